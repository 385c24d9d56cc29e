"""What the abstract machine says about one pickle, and the bounds within which it works."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from mmap import mmap

import msgspec

from bartizan.areas.artefacts.safety import Use

Buffer = bytes | bytearray | memoryview | mmap
"""What is analysed: anything with bytes by index. A memory map is read only where opcodes stand, so long constants cost nothing."""


class Loader(Enum):
    """Who reads the stream."""

    ANY = "any"
    """Whoever: every reading that is known here is judged."""
    PICKLE = "pickle"
    """`pickle.load` in C or Python, `cloudpickle.load`, `dill.load`, `pandas.read_pickle`, `numpy.load`."""
    TORCH = "torch"
    """`torch.load`, with or without `weights_only`: persistent ids name storages."""
    JOBLIB = "joblib"
    """`joblib.load`: the bytes of an array stand in the stream right behind its description."""


class Limits(msgspec.Struct, frozen=True):
    """Bounds of one analysis; behind each the analysis is not complete."""

    opcodes: int = 200_000_000
    """Most opcodes."""
    uses: int = 20_000
    """Most distinct uses, and most distinct globals."""
    blocks: int = 5_000_000
    """Most objects that the pure machine keeps alive (some 60 bytes each), and most cells of 16 bytes of the fast one."""
    spans: int = 4_096
    """Most long constants that are listed."""


DEFAULT = Limits()


class Watched(msgspec.Struct, frozen=True):
    """What the machine keeps of the uses of one global.

    `positions`: arguments of its calls to show; `detailed` those of them whose text or bytes matter. `makes`: at which position stands
    the class of what comes out (-1 where it is the global's own). `state`: positions of a state to show. `confined`: it is
    reported when it is used for anything else than being called. `keys`: its state is shown attribute by attribute, these with their text
    (None: it is not); `takes` those of them for which a confined global may stand. `methods`: what may be looked up in its instances.
    `slow`: the compiled machine leaves a stream that names it to the pure one.
    """

    positions: tuple[int, ...] = ()
    detailed: frozenset[int] = frozenset()
    makes: int = -1
    state: tuple[int, ...] = ()
    confined: bool = False
    keys: frozenset[str] | None = None
    takes: frozenset[str] = frozenset()
    methods: frozenset[str] = frozenset()
    slow: bool = False


Watch = Mapping[tuple[str, str], Watched]


class Analysis(msgspec.Struct, frozen=True):
    """One reading of one pickle.

    `uses`: every distinct use of a global up to where the reading ends. `complete`: STOP was reached, and no loader would read otherwise.
    `end`: the offset behind STOP, or where the reading ended. `problems`: why it is not complete, or what a loader would stumble on.
    `stopped`: the offset at which every loader refuses the stream, -1 where none has to. `hidden`: offsets at which loaders part ways, so
    that one reads what another does not see. `constants`: offsets (start, end) of long strings and bytes. `persistent`: the kinds of
    persistent ids (`storage`, `module`, `?` for any other). `arrays`: offsets of array bytes that joblib reads in the stream.
    `opcodes`: how many were read.
    """

    uses: tuple[Use, ...]
    complete: bool
    end: int
    problems: tuple[str, ...] = ()
    stopped: int = -1
    hidden: tuple[int, ...] = ()
    constants: tuple[tuple[int, int], ...] = ()
    persistent: tuple[str, ...] = ()
    arrays: tuple[tuple[int, int], ...] = ()
    opcodes: int = 0
