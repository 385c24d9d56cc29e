"""The verdict on a pickle: what was read, held against the policy."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import msgspec

from bartizan.areas.artefacts.pickles.analysis import DEFAULT, Analysis, Buffer, Limits, Loader
from bartizan.areas.artefacts.pickles.distributions import is_argument_parser
from bartizan.areas.artefacts.pickles.policy import Entry, Policy
from bartizan.areas.artefacts.pickles.reading import analyse
from bartizan.areas.artefacts.pickles.values import text_of
from bartizan.areas.artefacts.safety import Argument, Reason, Ruling, Safety, Use, UseKind

TORCH_MAGIC = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
"""The number (as pickle writes it) with which torch's old format begins, see `torch/serialization.py`."""

_ENCODINGS = frozenset({"latin1", "latin-1", "iso-8859-1", "iso8859-1", "ascii", "utf-8", "utf8", "raw_unicode_escape"})

_CALLERS = frozenset({"made", "generator", "generator-maker", "rebuild", "torch-legacy"})
"""Rules of functions that call or make what they are given, so that they may not be called with arguments that cannot be seen."""

_BASES = frozenset(f"builtins:{name}" for name in ("object", "dict", "list", "tuple", "set", "frozenset", "float", "int", "str", "bytes"))

_WORDS = {
    UseKind.REFERENCE: "refers to",
    UseKind.NEW: "makes an instance of",
    UseKind.CALL: "calls",
    UseKind.BUILD: "puts a state into what came of",
    UseKind.APPEND: "appends to what came of",
    UseKind.SETITEM: "sets items in what came of",
    UseKind.ADD: "adds to what came of",
    UseKind.INSIDE: "changes the inside of",
}


class Inspection(msgspec.Struct, frozen=True):
    """The verdict on the pickle at one place, the readings it rests on, and where the pickle ends."""

    ruling: Ruling
    readings: tuple[Analysis, ...]
    end: int


def inspect(
    data: Buffer, policy: Policy | None = None, *, start: int = 0, loader: Loader = Loader.ANY, limits: Limits = DEFAULT
) -> Inspection:
    """Reads the pickle in `data` from `start` on in every way that `loader` could, and judges each. `end` is that of the last reading."""
    policy = policy or Policy.shipped()
    plain = analyse(data, start=start, limits=limits, watch=policy.watch)
    readings = [plain]
    if loader in (Loader.ANY, Loader.JOBLIB) and any(use.name == "NumpyArrayWrapper" for use in plain.uses):
        readings.append(analyse(data, start=start, limits=limits, loader=Loader.JOBLIB, watch=policy.watch))
    last = readings[-1]
    reasons = list(judge(last, policy, loader=loader, data=data).reasons)
    if len(readings) == 2:
        known = {(reason.text, reason.offset) for reason in reasons}
        astray = _classes(last) if not reasons else frozenset()
        for reason in _uses_and_hidden(plain, policy, data):
            wrong = reason.safety is Safety.NEEDS_POLICY and reason.use is not None and reason.use.module in astray
            if (reason.text, reason.offset) not in known and not wrong:
                reasons.append(reason)
    return Inspection(Ruling.of(reasons), tuple(readings), last.end)


def _classes(analysis: Analysis) -> frozenset[str]:
    """The names of classes in a reading, which no module has.

    The objects of an array are a pickle of their own in joblib's files. Who reads such a file as one pickle takes their numbers for those
    of the memo around them, and so a class, as in `Pipeline.dtype`, for the module of a global, which it then does not find.
    """
    names = {use.name for use in analysis.uses if use.kind is UseKind.REFERENCE}
    return frozenset(name for name in names if name.isidentifier() and name[0].isupper() and not name.isupper())


def judge(analysis: Analysis, policy: Policy, *, loader: Loader = Loader.ANY, data: Buffer | None = None) -> Ruling:
    """The verdict on one reading. `data` is what was read; without it a pickle in bytes that the loader would load is not followed.

    A reading that is not complete is never safe: where the loader itself stops, nothing behind that place runs, and what ran before it is
    judged, but the file is of no use either.
    """
    reasons = list(_uses_and_hidden(analysis, policy, data))
    if "?" in analysis.persistent:
        reasons.append(Reason("has a persistent id that is not one of torch's storages", safety=Safety.NEEDS_POLICY))
    if "module" in analysis.persistent and loader not in (Loader.ANY, Loader.TORCH):
        reasons.append(Reason("has a persistent id of torch's", safety=Safety.NEEDS_POLICY))
    if not analysis.complete and not analysis.hidden:
        at = analysis.stopped if analysis.stopped >= 0 else analysis.end
        why = analysis.problems[-1] if analysis.problems else "the reading is not complete"
        reasons.append(Reason(f"cannot be read to its end: {why}", at, safety=Safety.NEEDS_POLICY))
    return Ruling.of(reasons)


def _uses_and_hidden(analysis: Analysis, policy: Policy, data: Buffer | None) -> Iterator[Reason]:
    for at in analysis.hidden:
        yield Reason("loaders read different things from here on, which no pickler writes", at)
    for use in analysis.uses:
        yield from _use(use, policy, data)


def _use(use: Use, policy: Policy, data: Buffer | None) -> Iterator[Reason]:
    if use.kind is UseKind.UNKNOWN:
        what = f"does something with what {use} gave back" if use.module != "?" else f"uses {use.name}"
        yield Reason(f"calls what {use} gave back" if use.argument and use.module != "?" else what, use.offset, use)
        return
    if use.kind is UseKind.EXTENSION:
        yield Reason(f"looks up number {use.name} of the extension registry, which stands for any name", use.offset, use)
        return
    words = f"{_WORDS[use.kind]} {use}"
    if use.kind is UseKind.INSIDE:
        yield Reason(f"{words}, for the whole process", use.offset, use)
        return
    denied = policy.denial(use.module, use.name, use.kind)
    if denied is not None:
        yield Reason(f"{words}, which {denied}", use.offset, use)
        return
    entry = policy.entry(use.module, use.name)
    if entry is None:
        yield _unknown(use, words)
    elif use.kind is not UseKind.REFERENCE and use.kind not in entry.uses:
        yield Reason(f"{words}, for which it was not reviewed", use.offset, use, Safety.NEEDS_POLICY)
    else:
        yield from _details(use, entry, policy, data, words)


def _unknown(use: Use, words: str) -> Reason:
    """A name that no entry is for: of the standard library it is refused, since nearly every gadget is; others somebody has to review."""
    if use.module.partition(".")[0] in sys.stdlib_module_names and use.module != "__main__":
        return Reason(f"{words}, which no data of a model needs", use.offset, use)
    return Reason(f"{words}, which nobody reviewed", use.offset, use, Safety.NEEDS_POLICY)


def _details(use: Use, entry: Entry, policy: Policy, data: Buffer | None, words: str) -> Iterator[Reason]:
    """What the state or the arguments of an allowed use say."""
    if use.kind is UseKind.BUILD and use.argument is not None:
        if use.argument == "?":
            if not entry.any_state:
                yield Reason(f"{words} that is computed", use.offset, use, Safety.NEEDS_POLICY)
        elif use.argument not in entry.attributes:
            yield Reason(f"{words} with the attribute {use.argument}, which the loader itself would use", use.offset, use)
    if use.kind is UseKind.REFERENCE and use.argument is not None:
        yield Reason(f"keeps {use} as a value, for which it was not reviewed", use.offset, use)
    if use.kind is UseKind.BUILD and entry.state_keys:
        for item in use.arguments:
            yield from _attribute(use, entry, item, policy, data)
        return
    rules = entry.state_items if use.kind is UseKind.BUILD else entry.arguments
    for position, argument in enumerate(use.arguments):
        rule = rules.get(position)
        if rule is not None and argument.kind != "missing":
            yield from _argument(use, f"argument {position} of {use}", rule, argument, policy, data)


def _attribute(use: Use, entry: Entry, item: Argument, policy: Policy, data: Buffer | None) -> Iterator[Reason]:
    """One attribute of a state that is only good with the attributes that were reviewed."""
    rule = entry.state_keys.get(item.key)
    if not item.key:
        yield Reason(f"puts a state into what came of {use} that cannot be seen", use.offset, use)
    elif rule is None:
        safety = Safety.NEEDS_POLICY if item.kind in ("constant", "text", "bytes", "data") else Safety.UNSAFE
        yield Reason(f"sets the attribute {item.key} of what came of {use}, which was not reviewed", use.offset, use, safety)
    else:
        yield from _argument(use, f"the attribute {item.key} of {use}", rule, item, policy, data)


def _argument(use: Use, where: str, rule: str, argument: Argument, policy: Policy, data: Buffer | None) -> Iterator[Reason]:
    if rule == "array-class" and argument.text == "numpy:memmap":
        return
    if rule in ("called", "made", "type-name", "generator", "array-class") and argument.kind == "name":
        module, _, name = argument.text.partition(":")
        kind = UseKind.CALL if rule in ("called", "generator") else UseKind.NEW
        inner = Use(module, name, kind, use.offset)
        entry = policy.entry(module, name)
        if kind is UseKind.CALL and entry is not None and (entry.confined or _CALLERS & set(entry.arguments.values())):
            yield Reason(f"{where} is {module}.{name}, whose own arguments cannot be seen", use.offset, use)
        yield from (Reason(f"{where}: {reason.text}", use.offset, use, reason.safety) for reason in _use(inner, policy, data))
    elif rule == "argument-parser":
        if argument.kind != "text" or not is_argument_parser(argument.text):
            yield Reason(f"{where} is run as code, and it is not what scipy writes there", use.offset, use)
    elif rule == "torch-legacy" and argument.span is not None:
        yield from _torch_legacy(use, argument, policy, data)
    elif not _fits(rule, argument):
        bad = rule == "absent" or argument.kind in ("name", "unknown", "result", "method")
        safety = Safety.UNSAFE if bad else Safety.NEEDS_POLICY
        yield Reason(f"{where} is not {rule}", use.offset, use, safety)


def _fits(rule: str, argument: Argument) -> bool:
    kind, text = argument.kind, argument.text
    if rule == "encoding":
        return kind == "text" and text.lower() in _ENCODINGS
    if rule == "object":
        return kind == "name" and text in _BASES
    if rule == "numpy-name":
        return kind == "text" and (text == "numpy" or text.isidentifier())
    if rule in ("plain", "type-name"):
        return kind in ("text", "constant", "bytes", "data") or text == "_codecs:encode"
    if rule == "plain-or-made":
        return kind in ("text", "constant", "bytes", "data", "result")
    if rule == "generator-maker":
        return kind == "name" and text in ("numpy.random._pickle:__bit_generator_ctor", "numpy.random:__bit_generator_ctor")
    if rule == "rebuild":
        return kind == "name" and text.startswith("torch._utils:_rebuild_")
    if rule == "generator" and kind == "result":
        return text.startswith("numpy.random.")
    if rule == "array":
        return kind == "result" and text.rpartition(":")[2] in ("ndarray", "NumpyArrayWrapper")
    if rule in ("string", "method"):
        return kind == rule or (rule == "string" and (kind in ("text", "bytes") or text == "_codecs:encode"))
    return rule == "any" or (rule in ("constant", "called", "made", "generator", "array-class") and kind in ("text", "constant", "bytes"))


def _torch_legacy(use: Use, argument: Argument, policy: Policy, data: Buffer | None) -> Iterator[Reason]:
    """Bytes that `torch.load` reads: five pickles one behind the other, then the numbers (`torch/serialization.py`, `_legacy_load`)."""
    if data is None:
        yield Reason("loads bytes as a torch file", use.offset, use, Safety.NEEDS_POLICY)
        return
    span = argument.span or (0, 0)
    inner = bytes(data[span[0] : span[1]])
    if argument.kind == "encoded":
        text = text_of(data, span[0], len(inner)) or ""
        inner = text.encode("latin-1", "replace")
    head = 2 if inner[:1] == b"\x80" else 0
    if inner[head : head + len(TORCH_MAGIC)] != TORCH_MAGIC:
        yield Reason("loads bytes as a torch file, and they are none of the old format", use.offset, use, Safety.NEEDS_POLICY)
        return
    at = 0
    for _ in range(5):
        analysis = analyse(inner, start=at, watch=policy.watch)
        if any(other.module == "torch.storage" and other.name == "_load_from_bytes" for other in analysis.uses):
            yield Reason("loads bytes within bytes as a torch file", span[0] + at, use, Safety.NEEDS_POLICY)
            return
        for reason in judge(analysis, policy, loader=Loader.TORCH, data=inner).reasons:
            yield Reason(reason.text, span[0] + (reason.offset or 0), reason.use, reason.safety)
        if not analysis.complete:
            return
        at = analysis.end
