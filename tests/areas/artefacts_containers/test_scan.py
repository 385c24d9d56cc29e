"""Scanning files and folders: walking, the cache, several processes, hostile files, and no framework anywhere."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import random
import struct
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from containers_samples import Touch, zipped
from sklearn.ensemble import RandomForestClassifier

from bartizan.areas.artefacts.pickles import Policy
from bartizan.areas.artefacts.safety import Safety
from bartizan.areas.artefacts.scan_cache import ScanCache
from bartizan.areas.artefacts.scanning import VERSION, scan, scan_bytes

GOOD = pickle.dumps({"a": 1})


def test_folders_are_walked_and_links_out_are_told(tmp_path: Path, evil: bytes) -> None:
    outside = tmp_path / "outside.pkl"
    outside.write_bytes(evil)
    folder = tmp_path / "models"
    (folder / "deep").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / "deep" / "a.pkl").write_bytes(GOOD)
    (folder / "b.pkl").symlink_to(folder / "deep" / "a.pkl")
    assert scan([folder]).verdict is Safety.SAFE
    assert scan([folder]).skipped == (str(folder / ".git"),)
    (folder / "out.pkl").symlink_to(outside)
    report = scan([folder])
    assert [Path(file.path).name for file in report.files] == ["b.pkl", "a.pkl", "out.pkl"]
    assert report.verdict is Safety.NEEDS_POLICY
    assert not report.errors
    assert "leads out" in report.files[-1].reasons[0].text
    assert scan([folder / "out.pkl"]).verdict is Safety.UNSAFE


def test_what_cannot_be_read_is_told_and_never_safe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    report = scan([tmp_path / "missing", tmp_path])
    assert report.verdict is Safety.NEEDS_POLICY
    assert len(report.errors) == 2
    assert report.counts[Safety.SAFE] == 0


def test_several_processes_give_the_same(tmp_path: Path, evil: bytes) -> None:
    for number in range(60):
        (tmp_path / f"{number:03}.pkl").write_bytes(evil if number % 7 == 0 else GOOD)
    seen: list[tuple[int, int]] = []
    alone = scan([tmp_path], workers=1, listener=lambda _, done, total: seen.append((done, total)))
    shared = scan([tmp_path], workers=2)
    assert alone == shared
    assert seen[-1] == (60, 60)
    assert alone.counts == {Safety.SAFE: 51, Safety.NEEDS_POLICY: 0, Safety.UNSAFE: 9}


def test_the_cache_keeps_verdicts_by_content_name_and_policy(tmp_path: Path, evil: bytes) -> None:
    path, folder = tmp_path / "m.pkl", tmp_path / "cache"
    path.write_bytes(evil)
    cache = ScanCache(folder, Policy.shipped().digest, VERSION)
    first = scan([path], cache=cache)
    assert scan([path], cache=cache) == first
    kept = list(folder.rglob("*.json"))
    assert len(kept) == 1
    kept[0].write_bytes(kept[0].read_bytes().replace(b'"unsafe"', b'"safe"'))
    assert scan([path], cache=cache).verdict is Safety.SAFE, "the kept verdict is used"
    assert scan([path], cache=ScanCache(folder, "other policy", VERSION)).verdict is Safety.UNSAFE
    assert scan([path], cache=ScanCache(folder, Policy.shipped().digest, "other version")).verdict is Safety.UNSAFE
    path.rename(tmp_path / "n.pkl")
    assert scan([tmp_path / "n.pkl"], cache=cache).verdict is Safety.UNSAFE
    kept[0].write_bytes(b"{")
    (tmp_path / "n.pkl").rename(path)
    assert scan([path], cache=cache).verdict is Safety.UNSAFE


def test_a_cache_that_others_can_write_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "m.pkl").write_bytes(GOOD)
    folder = tmp_path / "cache"
    folder.mkdir()
    folder.chmod(0o777)
    scan([tmp_path / "m.pkl"], cache=ScanCache(folder, "p", "v"))
    assert not list(folder.iterdir())


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    rows = np.random.default_rng(0).normal(size=(60, 4))
    forest = RandomForestClassifier(4, random_state=0).fit(rows, np.arange(60) % 2)
    joblib.dump(forest, folder / "forest.joblib")
    joblib.dump(forest, folder / "forest.gz", compress=("gzip", 3))
    (folder / "forest.pkl").write_bytes(pickle.dumps(forest))
    torch.save(torch.nn.Linear(3, 2).state_dict(), folder / "linear.pt")
    return folder


def test_real_models_are_safe(models: Path) -> None:
    report = scan([models])
    assert report.verdict is Safety.SAFE, [reason.text for file in report.files for reason in file.reasons][:10]


BLOCKED = (
    "torch numpy sklearn scipy joblib pandas xgboost lightgbm tensorflow keras onnx safetensors skops h5py "
    "transformers cloudpickle dill numba"
)


def test_no_framework_is_needed(models: Path, tmp_path: Path, evil: bytes) -> None:
    (tmp_path / "bad.pkl").write_bytes(evil)
    program = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {BLOCKED.split()!r}:
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
from bartizan.cli.app import run
codes = run(['scan', {str(models)!r}, '--no-cache']), run(['scan', {str(tmp_path / "bad.pkl")!r}, '--no-cache'])
print(codes, [name for name in {BLOCKED.split()!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "(0, 1) []", done.stdout


def hostile() -> dict[str, bytes]:
    nested = GOOD
    for _ in range(30):
        nested = zipped([("data.pkl", nested)])
    streams = GOOD
    for _ in range(40):
        streams = gzip.compress(streams)
    zeros = gzip.compress(bytes(1 << 25), 1) * 33
    central = b"PK\x01\x02" + bytes(42)
    return {
        "zip within zip": nested,
        "gzip within gzip": streams,
        "zeros": zeros,
        "gguf counts": b"GGUF" + struct.pack("<IQQ", 3, 10**9, 10**9),
        "gguf array": b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"a" + struct.pack("<IIQ", 9, 8, 10**9) + bytes(1000),
        "gguf arrays": b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"a" + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 1000,
        "json": b'{"auto_map":' + b"[" * 3_000_000,
        "json objects": b'{"auto_map":[' + b"{}," * 8_000_000 + b"{}]}",
        "safetensors": struct.pack("<Q", 5_000_000) + b'{"a":' * 1_000_000,
        "marks": b"(" * 1_000_000,
        "memo": b"\x80\x04" + b"N\x94" * 500_000,
        "array header": b"\x93NUMPY\x02\0" + struct.pack("<I", 60_000) + b"(" * 60_000,
        "entries": central * 150_000 + b"PK\x05\x06" + bytes(8) + struct.pack("<LL", 46 * 150_000, 0) + b"\0\0",
        "local headers": b"PK\x03\x04" * 2_000_000,
        "ends": b"PK\x03\x04" + b"PK\x05\x06" * 300_000,
        "lzma dictionary": b"\x5d\0\0\xff\xff" + b"\xff" * 8 + bytes(100),
        "xml": b"<?xml version='1.0'?>" + b"<a>" * 1_000_000,
        "graphs": b"\x08\x08\x3a\x80\x80\x04" + b"\x0a\x04" * 40_000,
        "template": json.dumps({"chat_template": "{{" + "(" * 100_000 + "}}"}).encode(),
        "blocks": json.dumps({"chat_template": "{% if a %}" * 20_000}).encode(),
        "source": b"import os\n" + b"(" * 100_000,
    }


MEASURED = """
import sys, time
from pathlib import Path
from bartizan.areas.artefacts.scanning import scan
for path in sorted(Path(sys.argv[1]).iterdir()):
    begun = time.process_time()
    verdict = scan([path]).verdict.value
    print(path.name, verdict, round(time.process_time() - begun, 2), sep="|")
status = Path("/proc/self/status").read_text()
print(int(status.partition("VmHWM:")[2].split()[0]) // 1024)
"""


def test_hostile_files_end_soon_and_are_never_safe(tmp_path: Path) -> None:
    for name, data in hostile().items():
        (tmp_path / f"{name}.{'py' if name == 'source' else 'json'}").write_bytes(data)
    done = subprocess.run([sys.executable, "-c", MEASURED, str(tmp_path)], capture_output=True, text=True, check=True)
    *lines, memory = done.stdout.splitlines()
    rows = [line.split("|") for line in lines]
    assert len(rows) == len(hostile())
    assert not [row for row in rows if row[1] == "safe" or float(row[2]) > 10], rows
    assert int(memory) < 512, rows


def test_truncated_and_changed_exploits_do_not_pass(marker: Path, models: Path, tmp_path: Path, loads) -> None:
    """A cut-off or changed exploit may only be safe where the loader itself no longer runs it."""
    torch.save({"w": torch.zeros(8), "x": Touch(marker)}, tmp_path / "bad.pt")
    joblib.dump([np.arange(100.0), Touch(marker)], tmp_path / "bad.gz", compress=("gzip", 3))
    loaders = {
        "bad.pt": "import torch; torch.load(path, weights_only=False)",
        "bad.gz": "import joblib; joblib.load(path)",
    }
    chance = random.Random(4)
    passed = []
    for name, loader in loaders.items():
        data = (tmp_path / name).read_bytes()
        for _ in range(100):
            changed = bytearray(data[: chance.randrange(1, len(data))]) if chance.random() < 0.5 else bytearray(data)
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
            if scan_bytes(bytes(changed), name).safety is Safety.SAFE:
                passed.append((bytes(changed), loader))
    assert len(passed) < 10
    assert not any(loads(loader, data) for data, loader in passed)


def test_mutants_of_real_models_break_nothing(models: Path) -> None:
    chance = random.Random(5)
    for path in sorted(models.iterdir()):
        data = path.read_bytes()
        for _ in range(12):
            changed = bytearray(data)
            for _ in range(chance.randrange(1, 8)):
                changed[chance.randrange(len(changed))] = chance.randrange(256)
            del changed[chance.randrange(len(changed)) :]
            report = scan_bytes(bytes(changed), path.name)
            assert not any("breaks the reader" in reason.text for reason in report.reasons), report.reasons
