"""The abstract machine reads what the real unpicklers read: the one in C and the one in Python."""

from __future__ import annotations

import _compat_pickle
import collections
import datetime
import decimal
import io
import pickle
import random
import re
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.areas.artefacts.pickles import Limits, analyse, inspect
from bartizan.areas.artefacts.pickles.analysis import DEFAULT
from bartizan.areas.artefacts.pickles.machine import Machine
from bartizan.areas.artefacts.pickles.policy import Policy
from bartizan.areas.artefacts.safety import Safety, UseKind

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.binary(max_size=20)
    | st.sampled_from(
        [int, dict, collections.OrderedDict, datetime.timedelta(1), datetime.date(2020, 1, 1), decimal.Decimal("1.5"), range(3), slice(1)]
    )
    | st.builds(bytearray, st.binary(max_size=5)),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.tuples(inner, inner, inner, inner)
        | st.tuples(inner)
        | st.dictionaries(st.text(max_size=8), inner, max_size=4)
        | st.builds(collections.OrderedDict, st.dictionaries(st.text(max_size=4), inner, max_size=3))
        | st.frozensets(st.integers(), max_size=3)
    ),
    max_leaves=20,
)


class Dummy:
    """What every name stands for while a stream of no good is loaded."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        pass

    def __new__(cls, *args: object, **kwargs: object) -> Dummy:
        return object.__new__(cls)

    def __setstate__(self, state: object) -> None:
        pass

    def append(self, item: object) -> None:
        pass

    def extend(self, items: object) -> None:
        pass

    def add(self, item: object) -> None:
        pass

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def __call__(self, *args: object) -> Dummy:
        return self


def recorder(base: Any) -> Any:
    """An unpickler that notes the names it would look up, as they are after Python 2's were mapped, and looks none up."""

    class Recorder(base):  # type: ignore[misc]
        def __init__(self, raw: bytes) -> None:
            super().__init__(io.BytesIO(raw))
            self.seen: list[tuple[str, str]] = []

        def find_class(self, module: str, name: str) -> type:
            self.seen.append((module, name))
            return Dummy

        def persistent_load(self, pid: object) -> object:
            return Dummy()

    return Recorder


CRecorder, PyRecorder = recorder(pickle.Unpickler), recorder(pickle._Unpickler)


def looked_up(kind: Any, raw: bytes) -> tuple[set[tuple[str, str]], bool]:
    """The names that a real unpickler looks up, and whether it reads to the end."""
    unpickler = kind(raw)
    try:
        unpickler.load()
    except Exception:  # noqa: BLE001 - whatever a broken stream makes of it
        return set(unpickler.seen), False
    return set(unpickler.seen), True


def ours(raw: bytes) -> set[tuple[str, str]]:
    return {(use.module, use.name) for use in analyse(raw).uses}


def mapped(names: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The names after the mapping of Python 2's, and without it: a stream may change its protocol on the way."""
    new = {_compat_pickle.NAME_MAPPING.get(pair, (_compat_pickle.IMPORT_MAPPING.get(pair[0], pair[0]), pair[1])) for pair in names}
    return new | names


@given(plain, st.integers(0, 5), st.booleans())
@settings(max_examples=80, deadline=None)
def test_the_names_of_real_pickles(value: object, protocol: int, in_python: bool) -> None:
    if in_python:
        stream = io.BytesIO()
        pickle._Pickler(stream, protocol).dump(value)
        raw = stream.getvalue()
    else:
        raw = pickle.dumps(value, protocol)
    found = analyse(raw)
    assert found.complete, found.problems
    assert found.end == len(raw)
    references = {(use.module, use.name) for use in found.uses if use.kind is UseKind.REFERENCE and use.argument is None}
    for kind in (CRecorder, PyRecorder):
        names, read = looked_up(kind, raw)
        assert read
        assert references <= mapped(names)
        assert len(references) == len(names)


OPCODES = [
    b"(",
    b"0",
    b"1",
    b"2",
    b"N",
    b"\x88",
    b"K\x01",
    b"M\x01\x02",
    b"I5\n",
    b"I0x1\n",
    b"I01\n",
    b"L7L\n",
    b"F1.5\n",
    b"G" + bytes(8),
    b"S'os'\n",
    b"Vsystem\n",
    b"X\x02\0\0\0os",
    b"\x8c\x06system",
    b"U\x02os",
    b"C\x01a",
    b"\x8e\x01" + bytes(7) + b"a",
    b"\x96\x01" + bytes(7) + b"a",
    b"\x8a\x01\x05",
    b"]",
    b"}",
    b")",
    b"\x8f",
    b"l",
    b"d",
    b"t",
    b"\x85",
    b"\x86",
    b"\x87",
    b"a",
    b"e",
    b"s",
    b"u",
    b"\x90",
    b"\x91",
    b"R",
    b"b",
    b"\x81",
    b"\x92",
    b"o",
    b"cmath\nsqrt\n",
    b"c__builtin__\nset\n",
    b"imath\nsin\n",
    b"(imath\nsin\n",
    b"(cmath\ncos\no",
    b"(K\x01t",
    b"]K\x01a",
    b"}K\x01K\x02s",
    b"(K\x01K\x02d",
    b"cmath\ntan\n)R",
    b"cmath\nexp\n)\x81}b",
    b"\x93",
    b"p1\n",
    b"q\x01",
    b"q\x02",
    b"r\x03\0\0\0",
    b"\x94",
    b"g1\n",
    b"h\x01",
    b"h\x02",
    b"j\x03\0\0\0",
    b"h\0",
    b"\x80\x02",
    b"\x80\x04",
    b"\x95\x04" + bytes(7),
    b"\x95\x09" + bytes(7),
    b"Q",
    b"Pab\n",
    b"\x98",
]


@given(st.lists(st.sampled_from(OPCODES), max_size=40))
@settings(max_examples=500, deadline=None)
def test_random_opcodes_look_nothing_up_that_we_do_not_see(parts: list[bytes]) -> None:
    check(b"\x80\x04" + b"".join(parts) + b".")


@given(plain, st.integers(0, 5), st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_mutated_pickles_look_nothing_up_that_we_do_not_see(value: object, protocol: int, seed: int) -> None:
    chance = random.Random(seed)
    raw = bytearray(pickle.dumps([value, decimal.Decimal(1), collections.OrderedDict], protocol))
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(raw))
        action = chance.random()
        if action < 0.4:
            raw[place] = chance.randrange(256)
        elif action < 0.7:
            raw[place:place] = chance.choice(OPCODES)
        else:
            del raw[place : place + chance.randint(1, 3)]
    check(bytes(raw))


def check(raw: bytes) -> None:
    """Every name that a real unpickler looks up is among ours, or we say that loaders part ways; what we call complete can be read."""
    found = analyse(raw)
    names = ours(raw)
    unknown = any(use.kind is UseKind.UNKNOWN for use in found.uses)
    kinds = [PyRecorder] if re.search(rb"r|p\d{4}", raw) else [PyRecorder, CRecorder]
    for kind in kinds:
        real, _ = looked_up(kind, raw)
        missing = {pair for pair in real if not mapped({pair}) & names}
        assert not missing or found.hidden or unknown, (missing, found)
    assert inspect(raw).ruling.verdict is not Safety.SAFE or found.complete


@given(plain, st.integers(0, 5), st.data())
@settings(max_examples=80, deadline=None)
def test_a_truncated_pickle_is_never_safe(value: object, protocol: int, data: st.DataObject) -> None:
    raw = pickle.dumps([value], protocol)
    cut = raw[: data.draw(st.integers(0, len(raw) - 1))]
    assert not analyse(cut).complete
    assert inspect(cut).ruling.verdict is not Safety.SAFE


@given(st.lists(st.sampled_from([part for part in OPCODES if part[:1] not in b"PQ"]), max_size=60) | plain)
@settings(max_examples=200, deadline=None)
def test_the_compiled_machine_says_the_same(value: object) -> None:
    pytest.importorskip("numba")
    from bartizan.areas.artefacts.pickles import fast

    raws = [b"\x80\x04" + b"".join(value) + b"."] if isinstance(value, list) and all(part in OPCODES for part in value) else []
    raws += [pickle.dumps(value, protocol) for protocol in range(6)]
    watch = Policy.shipped().watch
    for raw in raws:
        machine = Machine(raw, 0, DEFAULT, watch)
        machine.run()
        compiled = fast.analyse(raw, 0, DEFAULT, watch)
        assert compiled is None or compiled == machine.analysis()


def test_the_compiled_machine_reads_real_models() -> None:
    pytest.importorskip("numba")
    ensemble = pytest.importorskip("sklearn.ensemble")
    from bartizan.areas.artefacts.pickles import fast

    model = ensemble.RandomForestClassifier(n_estimators=3).fit([[0.0], [1.0], [2.0]], [0, 1, 1])
    watch = Policy.shipped().watch
    for protocol in (2, 3, 4, 5):
        raw = pickle.dumps([model, [datetime.datetime(2020, 1, n + 1) for n in range(20)], {"a": decimal.Decimal("1")}], protocol)
        machine = Machine(raw, 0, DEFAULT, watch)
        machine.run()
        assert fast.analyse(raw, 0, DEFAULT, watch) == machine.analysis()


def bombs() -> dict[str, bytes]:
    """Streams that cost a careless reader time or memory."""
    return {
        "a string of 4 GiB": b"\x80\x04X\xff\xff\xff\xff",
        "bytes of 8 EiB": b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f",
        "a frame of 8 EiB": b"\x80\x04\x95" + b"\xff" * 7 + b"\x7fN.",
        "memo at 2^32": b"\x80\x04Nr\xff\xff\xff\xff.",
        "memo at 10^30": b"Np" + b"9" * 31 + b"\n.",
        "a long number": b"I" + b"9" * 100_000 + b"\n.",
        "deep tuples": b"\x80\x04N" + b"\x85" * 300_000 + b".",
        "deep lists": b"(" * 200_000 + b"l" * 200_000 + b".",
        "billion laughs": b"\x80\x04]" + b"".join(b"(" + b"h\x00" * 10 + b"e" for _ in range(10_000)) + b".",
        "many names": b"\x80\x04" + b"".join(b"cm%d\nn\n0" % n for n in range(30_000)) + b"N.",
        "marks": b"(" * 1_000_000,
        "dups": b"\x80\x04N" + b"2" * 1_000_000 + b".",
        "no end of a line": b"I" + b"1" * 3_000_000,
        "a name of 10 MB": b"c" + b"a" * 10_000_000 + b"\nb\n.",
    }


def test_bombs_cost_little_and_are_not_safe_unless_they_can_be_read() -> None:
    for title, raw in bombs().items():
        found = inspect(raw)
        assert found.ruling.verdict is not Safety.SAFE or found.readings[0].complete, title


def test_limits_end_a_reading() -> None:
    raw = pickle.dumps(list(range(1000)))
    found = analyse(raw, limits=Limits(opcodes=100))
    assert not found.complete
    assert found.stopped < 0
    assert "not read further" in found.problems[-1]


def test_a_straddled_frame_is_hidden_and_a_clean_one_is_not() -> None:
    clean = b"\x80\x04\x95" + struct.pack("<Q", 2) + b"N0" + b"N."
    assert analyse(clean).complete
    between = b"\x80\x04\x95" + struct.pack("<Q", 1) + b"K\x05."
    assert analyse(between).complete
    assert pickle.loads(between) == 5
    cut = b"\x80\x04\x95" + struct.pack("<Q", 2) + b"M\x05\x00."
    assert analyse(cut).hidden == (11,)
    assert inspect(cut).ruling.verdict is Safety.UNSAFE


def test_offsets_and_ends() -> None:
    raw = b"junk" + pickle.dumps(collections.OrderedDict(a=1), 4)
    found = analyse(raw + b"tail", start=4)
    assert found.complete
    assert found.end == len(raw)
    reference = next(use for use in found.uses if use.kind is UseKind.REFERENCE)
    assert raw[reference.offset] == 0x93
    assert str(reference) == "collections.OrderedDict"


def test_long_constants_are_listed_and_memory_views_are_read() -> None:
    raw = pickle.dumps([b"x" * 5000, "y" * 2000, b"short"], 4)
    found = analyse(memoryview(raw))
    assert [end - start for start, end in found.constants] == [5000, 2000]
    assert found == analyse(raw) == analyse(bytearray(raw))
