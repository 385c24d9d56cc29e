"""Follows bodies from one function to the next: what do these functions lead to, all in all?"""

from __future__ import annotations

import ast
from collections.abc import Iterable

from bartizan.areas.artefacts.policy_compiler.bodies import Classes, Direct, Finding, Step, Walker
from bartizan.areas.artefacts.policy_compiler.modules import Class, Function, World

MOST = 3_000
"""Most functions that are followed for one question."""


class Bodies:
    """Answers what running functions leads to; each body is walked once for each class its `self` may be of."""

    def __init__(self, world: World, classes: Classes) -> None:
        self.world, self.classes = world, classes
        self._direct: dict[tuple[Function, Class | None], Direct] = {}

    def direct(self, function: Function, cls: Class | None) -> Direct:
        """What the body itself does."""
        key = (function, cls if function.owner is not None else None)
        if key not in self._direct:
            scopes, around = [self.world.scope(function)], function.around
            while around is not None:
                scopes.append(self.world.scope(around))
                around = around.around
            walker = Walker(self.world, self.classes, function.module, scopes, key[1], function)
            body = [function.node.body] if isinstance(function.node, ast.Lambda) else function.node.body
            try:
                for node in body:
                    walker.visit(node)
            except RecursionError:
                walker.note(function.node, "nests too deep to be read", hard=True)
            self._direct[key] = walker.direct
        return self._direct[key]

    def leads_to(self, steps: Iterable[Step], *, strict: bool = True) -> list[Finding]:
        """What is found from `steps` on, the nearest first. `strict` also gives what cannot be told, and follows methods by name."""
        queue = [step for step in steps if strict or step.sure]
        seen = {(step.function, step.cls, step.sure) for step in queue}
        found: list[Finding] = []
        for step in queue:
            if len(seen) > MOST:
                node = step.function.node
                found.append(Finding(False, f"leads to more than {MOST} functions", step.function.module.name, node.lineno))
                break
            direct = self.direct(step.function, step.cls)
            found += [finding for finding in direct.findings if finding.hard or (strict and step.sure)]
            for after in direct.steps:
                item = Step(after.function, after.cls, after.sure and step.sure)
                key = (item.function, item.cls, item.sure)
                if key not in seen and (strict or item.sure) and (*key[:2], True) not in seen:
                    seen.add(key)
                    queue.append(item)
        return list(dict.fromkeys(found))
