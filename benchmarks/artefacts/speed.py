"""How long a scan takes and what memory it needs: millions of opcodes, huge constants and files, many small files, a cold start.

Each file is given to bartizan and to the peers in child processes of their own; the time is that of the processor, the memory what the
process took beyond what it held before the scan. The bounds are those of the project; the script fails where bartizan misses one.

    python benchmarks/artefacts/speed.py [--environments FOLDER] [--peers NAMES]
"""

from __future__ import annotations

import argparse
import pickle
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import _peers  # noqa: E402

GIB = 1 << 30

OURS = """
import sys, time
from pathlib import Path
from bartizan.areas.artefacts.scanning import scan
def peak():
    return int(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0]) / 1024
warm, *paths = sys.argv[1:]
scan([warm], workers=1)
Path('/proc/self/clear_refs').write_text('5')
held, begun = peak(), time.process_time()
found = scan(paths, workers=1)
print(time.process_time() - begun, peak() - held, found.verdict.value)
"""
"""Scans one file first, so that what is compiled once is compiled, then measures."""

THEIRS = """
import importlib, json, os, sys, time
from pathlib import Path
def peak():
    return int(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0]) / 1024
entry, arguments, warm, path = sys.argv[1:]
module, _, name = entry.partition(':')
function = getattr(importlib.import_module(module), name)
out = os.dup(1)
nothing = os.open(os.devnull, os.O_RDWR)
os.dup2(nothing, 1), os.dup2(nothing, 2)
def ask(file):
    sys.argv = [name, *(part.replace('{}', file) for part in json.loads(arguments))]
    try:
        return function() or 0
    except SystemExit as ended:
        return ended.code or 0
ask(warm)
Path('/proc/self/clear_refs').write_text('5')
held, begun = peak(), time.process_time()
code = ask(path)
os.write(out, f'{time.process_time() - begun} {peak() - held} exit-{code}'.encode())
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 where bartizan misses a bound."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", type=Path, default=_peers.BUILD, help="where the environments of the peers are")
    parser.add_argument("--peers", default="picklescan,modelscan,fickling", help="names, separated by commas; '' for none")
    chosen = parser.parse_args(arguments)
    peers = [peer for peer in _peers.PEERS if peer.name in chosen.peers.split(",")]
    with tempfile.TemporaryDirectory() as name:
        return _table(Path(name), peers, chosen.environments)


def _table(folder: Path, peers: Sequence[_peers.Peer], environments: Path) -> int:
    warm = folder / "warm.pkl"
    _opcodes(warm)
    print("| file | scanner | seconds (processor) | memory, MB | answer |\n|---|---|---|---|---|")
    missed = 0
    for title, suffix, write, seconds, memory in FILES:
        path = folder / f"file{suffix}"
        write(path)
        spent, taken, answer = _measure([sys.executable, "-c", OURS, str(warm), str(path)])
        missed += _row(title, spent, taken, answer, seconds, memory)
        for peer in peers if path.is_file() else ():
            python = _peers.environment(peer.name.partition(" ")[0], peer.requirements, environments)
            asked = [python, "-W", "ignore", "-c", THEIRS, peer.entry, _peers.json.dumps(list(peer.arguments)), str(warm), str(path)]
            print("| {} | {} | {:.2f} | {:.0f} | {} |".format(title, peer.name, *_measure(asked)), flush=True)
        if path.is_file():
            path.unlink()
    spent, taken, answer = _cold(warm.with_name("small.pkl"))
    return int(bool(missed + _row("one small file, cold start of the command", spent, taken, answer, 0.35, None)))


def _row(title: str, spent: float, taken: float, answer: str, seconds: float, memory: float | None) -> int:
    missed = spent > seconds or (memory is not None and taken > memory)
    bound = f"at most {seconds}" + (f" s, {memory} MB" if memory is not None else " s")
    print(f"| {title} | bartizan ({bound}) | {spent:.3f} | {taken:.0f} | {answer}{' MISSED' if missed else ''} |", flush=True)
    return int(missed)


def _measure(command: Sequence[str]) -> tuple[float, float, str]:
    """The best of three runs (one where the first takes long): seconds, megabytes, answer."""
    best = (float("inf"), 0.0, "")
    for _ in range(3):
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        except subprocess.TimeoutExpired:
            return float("inf"), 0.0, "too long"
        words = done.stdout.split()
        if len(words) != 3:
            return float("inf"), 0.0, (done.stderr.strip().splitlines() or ["no answer"])[-1][:60]
        best = min(best, (float(words[0]), float(words[1]), words[2]))
        if best[0] > 5:
            break
    return best


def _cold(path: Path) -> tuple[float, float, str]:
    """The command itself on one small file: processor seconds and memory of the whole process, best of five."""
    path.write_bytes(pickle.dumps({"a": 1}))
    code = "import resource, subprocess, sys; c = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode; " \
           "u = resource.getrusage(resource.RUSAGE_CHILDREN); print(u.ru_utime + u.ru_stime, u.ru_maxrss / 1024, f'exit-{c}')"  # fmt: skip
    runs = []
    for _ in range(5):
        asked = [sys.executable, "-c", code, sys.executable, "-m", "bartizan", "scan", str(path), "--no-cache"]
        words = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
        runs.append((float(words[0]), float(words[1]), words[2]))
    return min(runs)


def _opcodes(path: Path, count: int = 4_000_000) -> None:
    """A pickle of at least `count` opcodes: a dict of lists, as settings or vocabularies are."""
    path.write_bytes(pickle.dumps({f"key {i}": [i, i * 0.5, None, f"text {i}"] for i in range(count // 10)}, 4))


def _constant(path: Path) -> None:
    """A bytes object of 2 GiB, of which the file holds a hole."""
    with open(path, "wb") as file:
        file.write(b"\x80\x04\x8e" + struct.pack("<Q", 2 * GIB))
        file.seek(2 * GIB, 1)
        file.write(b".")


def _torch(path: Path) -> None:
    """A checkpoint of one tensor of 3 GiB, as `torch.save` lays it out, with a hole for the numbers."""
    storage = "(" + "".join(f"X{len(text):c}\0\0\0{text}" for text in ("storage",)) + "ctorch\nFloatStorage\nX\1\0\0\0" + "0X\3\0\0\0cpu"
    count = 3 * GIB // 4
    body = b"\x80\x02}X\1\0\0\0wctorch._utils\n_rebuild_tensor_v2\n(" + storage.encode() + b"J" + struct.pack("<i", count) + b"tQK\0"
    body += b"J" + struct.pack("<i", count) + b"\x85K\1\x85\x89}tRs."
    entries = [(b"m/data.pkl", body, len(body)), (b"m/byteorder", b"little", 6), (b"m/data/0", b"", 3 * GIB), (b"m/version", b"3\n", 2)]
    listed = b""
    with open(path, "wb") as file:
        for name, raw, size in entries:
            at = file.tell()
            extra = struct.pack("<HHQQ", 1, 16, size, size)
            file.write(
                struct.pack("<4s5H3L2H", b"PK\3\4", 45, 0, 0, 0, 0, 0, 0xFFFFFFFF, 0xFFFFFFFF, len(name), len(extra)) + name + extra + raw
            )
            file.seek(size - len(raw), 1)
            extra = struct.pack("<HHQQQ", 1, 24, size, size, at)
            listed += struct.pack(
                "<4s6H3L5H2L", b"PK\1\2", 45, 45, 0, 0, 0, 0, 0, 0xFFFFFFFF, 0xFFFFFFFF, len(name), len(extra), 0, 0, 0, 0, 0xFFFFFFFF
            )
            listed += name + extra
        start = file.tell()
        end = start + len(listed)
        file.write(listed + struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, len(entries), len(entries), len(listed), start))
        file.write(
            struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
            + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
        )


def _many(folder: Path) -> None:
    """244 small files: pickles of a kilobyte or two."""
    folder.mkdir()
    for number in range(244):
        (folder / f"{number}.pkl").write_bytes(pickle.dumps({f"name {i}": [number, i, 0.5] for i in range(number % 60 + 10)}, number % 6))


FILES: tuple[tuple[str, str, Callable[[Path], None], float, float | None], ...] = (
    ("4 million opcodes", ".pkl", _opcodes, 0.3, 64), ("2 GiB of bytes", ".pkl", _constant, 0.1, 100), ("3 GiB checkpoint", ".pt",
        _torch, 0.1, 100),
    ("244 small files", "s", _many, 1.0, None),
)  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
