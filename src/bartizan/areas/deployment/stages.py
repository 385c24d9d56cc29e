"""Groups the instructions of a Dockerfile into build stages and resolves what ARG and ENV say.

Only the stages that the last one is built from, or copies from, reach the image: the others are not built.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from bartizan.areas.deployment.instructions import Instruction
from bartizan.model.errors import InputError, Place

MAX_VALUE = 4096
"""Longest value, in characters, that variables expand to; a longer one counts as not known."""

MAX_STAGES = 200
"""Most stages of a file that is read."""

_VARIABLE = re.compile(r"\\?\$(?:\{([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-+?])([^{}]*))?\}|([A-Za-z_][A-Za-z0-9_]*))")
_PAIR = re.compile(r"([A-Za-z_][A-Za-z0-9_.-]*)=((?:\"(?:[^\"\\]|\\.)*+\"|'[^']*+'|\\.|[^\s\"'\\])*+)")

Values = Mapping[str, str | None]
"""Variables by name; None is a variable whose value is given at build time."""


@dataclass
class Stage:
    """One build stage. `base` is what FROM names with variables resolved, None where they are decided at build time; `parent` is the
    stage it stands for. `values` are the variables at its end, `user` the last USER of the stage with its resolved text."""

    name: str
    origin: Instruction
    base: str | None
    parent: Stage | None
    values: dict[str, str | None] = field(default_factory=dict)
    instructions: list[Instruction] = field(default_factory=list)
    user: tuple[str | None, Instruction] | None = None

    def lineage(self) -> Iterator[Stage]:
        """This stage, the one it is built from, and so on."""
        stage: Stage | None = self
        while stage is not None:
            yield stage
            stage = stage.parent


def stages(found: list[Instruction], name: str) -> list[Stage]:
    """The stages in order. Raises `InputError` where the file, called `name`, has no FROM or starts with something else."""
    outside: dict[str, str | None] = {}
    result: list[Stage] = []
    for instruction in found:
        if len(result) > MAX_STAGES:
            raise InputError(f"has more than {MAX_STAGES} stages", place=Place(name, instruction.line), cure="declare a smaller file")
        if instruction.word == "FROM" and not instruction.triggered:
            result.append(_opened(instruction, outside, result, name))
        elif not result:
            if instruction.word != "ARG":
                raise InputError(f"{instruction.word} before FROM", place=Place(name, instruction.line), cure="start with FROM")
            outside.update((key, value and expand(value, outside)) for key, value in arguments(instruction.text))
        else:
            _take(result[-1], instruction, outside)
    if not result:
        raise InputError("has no FROM", place=Place(name), cure="declare a Dockerfile or Containerfile")
    return result


def _opened(instruction: Instruction, outside: Values, earlier: list[Stage], name: str) -> Stage:
    words = instruction.text.split()
    if len(words) not in (1, 3) or (len(words) == 3 and words[1].upper() != "AS"):
        raise InputError("FROM must read: FROM image [AS name]", place=Place(name, instruction.line))
    base = expand(words[0].strip("\"'"), outside)
    parent = next((stage for stage in reversed(earlier) if base and stage.name == base.lower()), None)
    stage = Stage(words[2].lower() if len(words) == 3 else "", instruction, base, parent)
    if parent is not None:
        stage.values.update({key: parent.values[key] for key in _environment(parent)})
    return stage


def _environment(stage: Stage) -> set[str]:
    """The names that ENV sets in `stage` and those it is built from: ARG does not survive a stage, ENV does."""
    return {key for one in stage.lineage() for i in one.instructions if i.word == "ENV" for key, _ in environment(i.text)}


def _take(stage: Stage, instruction: Instruction, outside: Values) -> None:
    stage.instructions.append(instruction)
    if instruction.triggered:
        return
    if instruction.word == "ARG":
        for key, value in arguments(instruction.text):
            if value is None:
                stage.values.setdefault(key, outside.get(key))
            else:
                stage.values[key] = expand(value, stage.values)
    elif instruction.word == "ENV":
        before = dict(stage.values)
        stage.values.update((key, expand(value, before)) for key, value in environment(instruction.text))
    elif instruction.word == "USER":
        stage.user = (expand(instruction.text.strip("\"'"), stage.values), instruction)


def arguments(text: str) -> list[tuple[str, str | None]]:
    """The names that an ARG declares, each with its default or None."""
    pairs: list[tuple[str, str | None]] = [(match[1], unquoted(match[2])) for match in _PAIR.finditer(text)]
    return pairs or [(word, None) for word in text.split() if word.isidentifier()]


def environment(text: str) -> list[tuple[str, str]]:
    """The names that an ENV sets, each with its value: `a=b c="d e"`, or the old form `name the rest`."""
    first, _, rest = text.partition(" ")
    if "=" not in first:
        return [(first, unquoted(rest.strip()))] if first else []
    return [(match[1], unquoted(match[2])) for match in _PAIR.finditer(text)]


def unquoted(value: str) -> str:
    """`value` without the quotes around it."""
    return value[1:-1] if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'" else value


def expand(text: str, values: Values) -> str | None:
    """`text` with its variables replaced, or None where one is not known or the result is longer than `MAX_VALUE`."""
    unknown = False

    def put(match: re.Match[str]) -> str:
        nonlocal unknown
        if match[0].startswith("\\"):
            return match[0][1:]
        name, operator, word = match[1] or match[4], match[2] or "", match[3] or ""
        value = values.get(name)
        if operator in ("-", ":-"):
            value = value or word
        elif operator in ("+", ":+"):
            value = word if value else ""
        unknown = unknown or value is None
        return (value or "")[: MAX_VALUE + 1]

    if len(text) > MAX_VALUE:
        return None
    result = _VARIABLE.sub(put, text)
    return None if unknown or len(result) > MAX_VALUE else result


def reached(all_stages: list[Stage]) -> list[Stage]:
    """The stages that end up in the image of the last one, in the order of the file: those it is built from or takes files from."""
    wanted, queue = {id(all_stages[-1])}, [all_stages[-1]]
    while queue:
        stage = queue.pop()
        for other in (stage.parent, *(_named(name, all_stages) for name, _ in sources(stage))):
            if other is not None and id(other) not in wanted:
                wanted.add(id(other))
                queue.append(other)
    return [stage for stage in all_stages if id(stage) in wanted]


def _named(name: str, all_stages: list[Stage]) -> Stage | None:
    if name.isdecimal():
        return all_stages[int(name[:6])] if int(name[:6]) < len(all_stages) else None
    return next((stage for stage in all_stages if stage.name == name.lower()), None)


def sources(stage: Stage) -> Iterator[tuple[str, Instruction]]:
    """What `stage` takes files from (COPY --from, RUN --mount=from=), with variables resolved where they can be."""
    for instruction in stage.instructions:
        for key, value in instruction.flags:
            if key == "from" and instruction.word == "COPY":
                yield expand(value, stage.values) or value, instruction
            elif key == "mount":
                for part in value.split(","):
                    if part.startswith("from="):
                        yield expand(part[5:], stage.values) or part[5:], instruction


def external(stage: Stage, all_stages: list[Stage]) -> Iterator[tuple[str, Instruction]]:
    """The images, none of them a stage, that `stage` takes files from."""
    for name, instruction in sources(stage):
        if _named(name, all_stages) is None and not name.isdecimal():
            yield name, instruction
