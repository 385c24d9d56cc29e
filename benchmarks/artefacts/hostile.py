"""Files made to break a scanner: mutated exploits, cut-off exploits, and bombs that ask for endless work or memory.

A file must not crash the scan, take longer than 10 s or more than 512 MB; and where the scan calls it safe, its real loader must stop
before the payload, which is tried in a child process.

    python benchmarks/artefacts/hostile.py [--environments FOLDER] [--seed N]
"""

from __future__ import annotations

import argparse
import bz2
import dataclasses
import gzip
import json
import lzma
import random
import struct
import subprocess
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import _peers  # noqa: E402
from _exploits import Exploit, build, exploits, prove  # noqa: E402
from _exploits_containers import GOOD, tarred, zipped  # noqa: E402

MUTATED, CUT, SECONDS, MEMORY = 130, 200, 10.0, 512
BASES = ("reduce-protocol-0", "reduce-protocol-4", "torch-zip", "torch-legacy", "torch-tar-gnu", "joblib-zlib", "joblib-bz2", "joblib-lzma",
         "joblib-object-array", "numpy-archive", "numpy-header-version-3", "gzip-twice", "zip-member", "tar-member-gz", "inst-protocol-2",
         "frame-straddled-128k", "chat-template", "gguf-template")  # fmt: skip
"""Exploits that mutants and cut-off files are made of."""

SCAN = """
import sys, time
from pathlib import Path
from bartizan.areas.artefacts.scanning import scan
for line in sys.stdin:
    begun = time.process_time()
    Path('/proc/self/clear_refs').write_text('5')
    report = scan([line.rstrip('\\n')], workers=1).files[0]
    peak = int(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0]) // 1024
    odd = any('breaks the reader' in reason.text for reason in report.reasons)
    print(report.safety.value, round(time.process_time() - begun, 3), peak, int(odd), sep='\\t', flush=True)
"""


def bombs() -> dict[str, bytes]:
    """Small files that unfold: in a pickle's memo and stack, in archives, streams, headers and texts."""
    packer = zlib.compressobj(9)
    zeros = b"".join(packer.compress(bytes(1 << 20)) for _ in range(1500)) + packer.flush()
    nested, streams = GOOD, GOOD
    for _ in range(40):
        nested, streams = zipped([("data.pkl", nested)]), gzip.compress(streams)
    laughs = b"\x80\x04]" + b"".join(b"(" + b"h%c" % (n - 1 if n else 0) * 10 + b"l\x94" for n in range(40)) + b"."
    wide = struct.pack("<IQQQ", 3, 0, 1, 1) + b"a"
    return {
        "zlib-zeros": zeros, "gzip-zeros": gzip.compress(bytes(200 << 20)), "bz2-zeros": bz2.compress(bytes(100 << 20)),
        "xz-zeros": lzma.compress(bytes(100 << 20), preset=0), "zip-in-zip": nested, "gzip-in-gzip": streams, "laughs": laughs,
        "marks": b"\x80\x04" + b"(" * 3_000_000, "memo": b"\x80\x04" + b"N\x94" * 1_000_000 + b".", "dup": b"\x80\x04N"
            + b"2" * 3_000_000 + b".",
        "tuples": b"\x80\x04N" + b"\x85" * 2_000_000 + b".", "lists": b"\x80\x04" + b"]" * 1_000_000 + b"a" * 999_999 + b".",
        "put-high": b"\x80\x04Nr\xff\xff\xff\x7f.", "put-text": b"Np99999999999999\n.", "long-int": b"L" + b"9" * 3_000_000 + b"L\n.",
        "long4": b"\x80\x04\x8b\xff\xff\xff\x7f", "text8": b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7f", "bytearray8": b"\x80\x05\x96"
            + b"\xff" * 7 + b"\x7f",
        "frames": b"\x80\x04" + (b"\x95" + bytes(8)) * 300_000 + b"N.",
            "globals": b"".join(b"cm%d\nx\n0" % n for n in range(200_000)) + b"N.",
        "calls": b"\x80\x04" + b"cos\nsystem\n)R0" * 200_000 + b"N.", "builds": b"\x80\x04" + b"ccollections\nUserDict\n)\x81"
            + b"}b" * 500_000 + b".",
        "zip-entries": zipped([(f"a{n}", b"") for n in range(30_000)]), "zip-ends": b"PK\3\4" + b"PK\5\6" * 300_000,
        "zip-headers": b"PK\3\4" * 2_000_000, "tar-entries": tarred([(str(n), b"") for n in range(5_000)]),
        "tensors-header": struct.pack("<Q", 80_000_000) + b'{"a":' * 1_000_000, "gguf-counts": b"GGUF" + struct.pack("<IQQ", 3,
            10**12, 10**12),
        "gguf-array": b"GGUF" + wide + struct.pack("<IIQ", 9, 8, 10**10) + bytes(1000), "array-header": b"\x93NUMPY\2\0"
            + struct.pack("<I", 60_000) + b"(" * 60_000,
        "json-deep": b'{"auto_map":' + b"[" * 3_000_000, "json-template": json.dumps({"chat_template": "{{" + "(" * 100_000
            + "}}"}).encode(),
        "template-loop": json.dumps({"chat_template": "{% for a in b %}" * 10_000}).encode(),
            "xml-deep": b"<?xml version='1.0'?><PMML>" + b"<a>" * 1_000_000,
        "xml-laughs": b"<?xml version='1.0'?><!DOCTYPE p [<!ENTITY a 'x'>" + b"".join(b"<!ENTITY %c '%s'>" % (98 + n, b"&%c;" % (97
            + n) * 10) for n in range(12)) + b"]><PMML>&m;</PMML>",
        "protobuf": b"\x08\x08\x3a\x80\x80\x04" + b"\x0a\x04" * 400_000,
    }  # fmt: skip


def changed(raw: bytes, chance: random.Random) -> bytes:
    """`raw` with one to six wounds: bytes changed, cut out, doubled or put in."""
    found = bytearray(raw)
    for _ in range(chance.randint(1, 6)):
        at, size = chance.randrange(len(found)), chance.randint(1, 12)
        way = chance.randrange(4)
        if way == 0:
            found[at] ^= 1 << chance.randrange(8)
        elif way == 1:
            found[at] = chance.choice(b"(.0)}]cR\x93\x94\x95\x80\x81btsuqhPK\0\xff")
        elif way == 2 and len(found) > 20:
            del found[at : at + size]
        else:
            found[at:at] = found[chance.randrange(len(found)) :][:size]
    return bytes(found)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what became of the files; 1 where one broke a bound."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", type=Path, default=_peers.BUILD, help="where the environment of the loaders is")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    python = _peers.environment("loaders", tuple(_peers.LOADERS.read_text().split()), chosen.environments)
    with tempfile.TemporaryDirectory() as name:
        return _run(Path(name), python, random.Random(chosen.seed))


def _run(folder: Path, python: str, chance: random.Random) -> int:
    sources = [exploit for exploit in exploits() if exploit.title in BASES]
    groups = {
        "mutated": lambda: _altered(sources, MUTATED, lambda raw: changed(raw, chance)),
        "cut off": lambda: _altered(sources, CUT, lambda raw: raw[: chance.randrange(len(raw))]),
    }
    print(
        "| files | of | longest, s | most memory, MB | readers broken | safe | safe and run by the loader |\n|---|---|---|---|---|---|---|"
    )
    failed = _group("bombs", [(None, _written(folder / "bombs", title, raw)) for title, raw in bombs().items()], python)
    for title, make in groups.items():
        failed += _group(title, list(build(folder / title.replace(" ", "-"), list(make()))), python)
    return int(bool(failed))


def _written(folder: Path, title: str, raw: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / title).write_bytes(raw)
    return folder / title


def _altered(sources: Sequence[Exploit], count: int, change: Callable[[bytes], bytes]) -> Iterator[Exploit]:
    for number in range(count):
        source = sources[number % len(sources)]

        def altered(folder: Path, source: Exploit = source) -> None:
            source.build(folder)
            path = folder / "model" if (folder / "model").is_file() else folder / source.file
            path.write_bytes(change(path.read_bytes()))

        yield dataclasses.replace(source, title=f"{source.title}-{number}", build=altered)


def _group(title: str, files: list[tuple[Exploit | None, Path]], python: str) -> int:
    given = "".join(f"{path}\n" for _, path in files)
    done = subprocess.run([sys.executable, "-c", SCAN], input=given, capture_output=True, text=True, check=False)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    crashed = len(files) - len(rows)
    safe = [(exploit, path) for (exploit, path), row in zip(files, rows, strict=False) if row[0] == "safe"]
    ran = prove(python, [(exploit, path) for exploit, path in safe if exploit is not None])
    longest, memory = max(float(row[1]) for row in rows), max(int(row[2]) for row in rows)
    broken = sum(int(row[3]) for row in rows)
    counts = ", ".join(f"{verdict} {count}" for verdict, count in Counter(row[0] for row in rows).items())
    print(f"| {title} ({counts}) | {len(files)} | {longest} | {memory} | {broken} | {len(safe)} | {len(ran)} |", flush=True)
    for path in sorted(ran) + [path for exploit, path in safe if exploit is None]:
        print(f"  safe: {path}", file=sys.stderr)
    return int(crashed > 0 or longest > SECONDS or memory > MEMORY or bool(ran))


if __name__ == "__main__":
    sys.exit(main())
