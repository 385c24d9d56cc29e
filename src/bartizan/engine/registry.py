"""The registry of checks: one decorator, one entry-point group (`bartizan.checks`), ours by the same road as a third party's.

An entry point names a module, or a package whose modules are all searched. Importing a check file is cheap: it imports nothing heavy at
its top. The decorator refuses at once a bad id, a missing docstring, an untyped parameter; `load` refuses a duplicate and a distribution
whose checks cannot be imported, `validate` an unknown threat or control as soon as a catalogue is at hand.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

import msgspec

from bartizan.engine.graph import INVERSE
from bartizan.model.checks import Check, Cost, Parameter
from bartizan.model.errors import BartizanError, UnknownName
from bartizan.model.findings import Finding
from bartizan.model.system import Kind, Phase

GROUP = "bartizan.checks"
_ID = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*\.[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}
_ATTRIBUTE = "__bartizan_check__"
_BROKEN = (
    ImportError,
    SyntaxError,
    NameError,
    AttributeError,
    TypeError,
    ValueError,
    LookupError,
    ArithmeticError,
    AssertionError,
    OSError,
    RuntimeError,
    BartizanError,
)
"""What importing foreign code may raise that we can lay at its door."""

Run = TypeVar("Run", bound=Callable[..., Iterator[Finding]])


class BadCheck(BartizanError):
    """A check that does not keep the rules of the registry: an error of whoever wrote it, found at import."""


def check(
    id: str,
    *,
    threats: Iterable[str],
    kinds: Iterable[Kind],
    phases: Iterable[Phase],
    controls: Iterable[str] = (),
    needs: Iterable[str] = (),
    extra: str | None = None,
    cost: Cost = Cost.FAST,
    reads: Iterable[str] = (),
    applies: Callable[..., bool] | None = None,
    valid_days: float | None = None,
    version: str = "1",
) -> Callable[[Run], Run]:
    """Declare the decorated generator as the check `id` (`area.name`).

    `threats` are those it gives findings for, `controls` those that its pass verifies, `kinds` what it runs on, `needs` the target
    protocols an adapter must supply, `extra` the optional install it needs, `reads` the relations whose nodes it also reads, `applies` a
    predicate on (node, system) that says where it makes sense, `version` changes whenever its findings would. Raises `BadCheck`.
    """

    def register(run: Run) -> Run:
        place = f"{run.__module__}.{run.__qualname__}"
        if not _ID.fullmatch(id):
            raise BadCheck(f"bad check id '{id}'", place=place, cure="write area.name in lower case with underscores")
        doc = inspect.getdoc(run)
        if not doc:
            raise BadCheck(f"check {id} has no docstring", place=place, cure="say in one line what it finds")
        title, _, summary = doc.partition("\n")
        inverse_names = set(INVERSE)
        for name in reads:
            if name not in inverse_names:
                raise UnknownName("relation", name, sorted(inverse_names), place=place)
        described = Check(
            id=id,
            title=title.strip(),
            summary=summary.strip(),
            threats=tuple(threats),
            controls=tuple(controls),
            kinds=frozenset(kinds),
            phases=frozenset(phases),
            needs=tuple(needs),
            extra=extra,
            cost=cost,
            reads=tuple(reads),
            applies=applies,
            parameters=tuple(_parameters(run, id, place)),
            valid_days=valid_days,
            version=version,
            module=run.__module__,
            run=run,
        )
        if not described.threats or not described.kinds or not described.phases:
            raise BadCheck(f"check {id} names no threat, kind or phase", place=place)
        setattr(run, _ATTRIBUTE, described)
        return run

    return register


def _parameters(run: Callable[..., Any], id: str, place: str) -> Iterator[Parameter]:
    try:
        hints = typing.get_type_hints(run)
    except NameError as error:
        raise BadCheck(f"a type in the signature of {id} cannot be resolved: {error}", place=place) from error
    helps = dict(re.findall(r"^\s*`?(\w+)`?: +(\S.*)$", inspect.getdoc(run) or "", re.MULTILINE))
    named = list(inspect.signature(run).parameters.values())
    if [p.name for p in named[:2]] != ["job", "target"]:
        raise BadCheck(f"check {id} must take (job, target, *, parameters)", place=place)
    for parameter in named[2:]:
        if parameter.kind is not parameter.KEYWORD_ONLY or parameter.default is parameter.empty:
            raise BadCheck(f"parameter '{parameter.name}' of {id} must be keyword-only with a default", place=place)
        kind = hints.get(parameter.name)
        if isinstance(kind, types.UnionType):
            kind = next((k for k in kind.__args__ if k is not type(None)), None)
        if kind not in _TYPES:
            raise BadCheck(f"parameter '{parameter.name}' of {id} must be a bool, int, float or str", place=place)
        yield Parameter(name=parameter.name, type=_TYPES[kind], default=parameter.default, help=helps.get(parameter.name, ""))


def checks_in(module: types.ModuleType) -> Iterator[Check]:
    """The checks that `module` defines itself, in the order of its lines."""
    for value in vars(module).values():
        described = getattr(value, _ATTRIBUTE, None)
        if isinstance(described, Check) and described.module == module.__name__:
            yield described


def _modules(name: str) -> Iterator[types.ModuleType]:
    """The module called `name` and, where it is a package, every module below it whose name starts with `check`."""
    top = importlib.import_module(name)
    yield top
    for info in pkgutil.walk_packages(getattr(top, "__path__", ()), prefix=f"{name}.", onerror=importlib.import_module):
        if info.name.rpartition(".")[2].startswith("check"):
            yield importlib.import_module(info.name)


def _gather(points: Iterable[EntryPoint]) -> tuple[dict[str, Check], list[BadCheck]]:
    """The checks that `points` lead to, and what is wrong with the rest. The first of two checks with one id stays."""
    found: dict[str, Check] = {}
    problems: list[BadCheck] = []
    for point in points:
        distribution = point.dist.name if point.dist else "bartizan"
        try:
            described = [check for module in _modules(point.module) for check in checks_in(module)]
        except _BROKEN as error:
            problems.append(
                BadCheck(
                    f"its checks cannot be imported: {type(error).__name__}: {error}",
                    place=f"distribution {distribution} ({point.value})",
                    cure=f"repair it, or remove it with pip uninstall {distribution}",
                )
            )
            continue
        for check in described:
            other = found.get(check.id)
            if other is None:
                found[check.id] = msgspec.structs.replace(check, distribution=distribution)
            elif other.run is not check.run:
                both = (
                    f"{other.module}.{other.run.__name__} ({other.distribution}) and {check.module}.{check.run.__name__} ({distribution})"
                )
                problems.append(BadCheck(f"check {check.id} is defined twice", place=both, cure="rename or uninstall one"))
    return dict(sorted(found.items())), problems


@cache
def load_all() -> tuple[Mapping[str, Check], tuple[BadCheck, ...]]:
    """All installed checks that can be used, by id, sorted; and what is wrong with the others. Raises nothing for a foreign error."""
    points = sorted(entry_points(group=GROUP), key=lambda p: (p.value.partition(".")[0] != "bartizan", p.name, p.value))
    found, problems = _gather(points)
    return types.MappingProxyType(found), tuple(problems)


def load() -> Mapping[str, Check]:
    """All installed checks by id, sorted. Raises `BadCheck` for a duplicate, naming both, and for a distribution that is broken."""
    found, problems = load_all()
    if problems:
        raise problems[0]
    return found


def forget() -> None:
    """Look for installed checks anew at the next `load`."""
    importlib.invalidate_caches()
    load_all.cache_clear()


def get(id: str) -> Check:
    """The check called `id`. Raises `UnknownName` with the nearest known one."""
    found, _ = load_all()
    if id not in found:
        raise UnknownName("check", id, list(found))
    return found[id]


def validate(checks: Iterable[Check], threats: Iterable[str], controls: Iterable[str]) -> None:
    """Raise `UnknownName` where a check names a threat or control that the catalogue does not have."""
    known_threats, known_controls = set(threats), set(controls)
    for described in checks:
        for name in described.threats:
            if name not in known_threats:
                raise UnknownName("threat", name, sorted(known_threats), place=described.id)
        for name in described.controls:
            if name not in known_controls:
                raise UnknownName("control", name, sorted(known_controls), place=described.id)
