"""Personal data: precision, recall and speed beside Presidio on its own public data; hostile input; pieces; Mondrian; names.

    python benchmarks/data/pii.py [FOLDER] [--peer PYTHON]

FOLDER holds `synth_dataset_v2.json` (data/) and `generated_large.json` (tests/data/) of github.com/microsoft/presidio-research
(MIT); without it that part is left out. The peer is installed into build/peers/presidio, or is the one that PYTHON runs. A found
value counts as right where it has the kind of an annotated one and overlaps it by half of what both cover. Times are of one
process's processor, best of three.
"""

from __future__ import annotations

import argparse
import functools
import json
import random
import subprocess
import sys
import time
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
HOSTILE = {"a.a.": "a.a.", "digits": "7", "@": "@", "a@a.": "a@a.", "digits apart": "1 ", "colons": "::", "long words": "x" * 15 + "1"}
PEER = """
import json, sys, time
from presidio_analyzer import RecognizerRegistry
names = set(json.loads(sys.argv[2]))
registry = RecognizerRegistry()
registry.load_predefined_recognizers(languages=["en"])
used = [r for r in registry.recognizers if set(r.supported_entities) & names]
def run(text):
    return [(h.entity_type, h.start, h.end) for r in used for h in r.analyze(text, r.supported_entities, None) or ()]
texts = json.load(open(sys.argv[1]))
run(texts[0])
start = time.process_time()
found = [run(text) for text in texts]
print("RESULT" + json.dumps([time.process_time() - start, found]))
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
    return best(lambda: pii.scan_texts(list(texts) * copies)) / copies, found


def peer(texts: Sequence[str], python: Path) -> tuple[float, list[list[tuple[str, int, int]]]]:
    """Seconds and hits of Presidio's patterns for the same kinds, without a language model."""
    path = PEERS / "texts.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(list(texts)))
    run = subprocess.run([python, "-c", PEER, path, json.dumps(list(KINDS.values()))], capture_output=True, text=True, check=True)
    seconds, found = json.loads(run.stdout.split("RESULT")[-1])
    return seconds, [[tuple(hit) for hit in hits] for hits in found]


def installed(python: Path | None) -> Path:
    """The interpreter of the peer, installed where it is not."""
    if python is not None:
        return python
    folder = PEERS / "presidio"
    if not (folder / "bin" / "presidio").exists() and not list(folder.glob("lib/*/site-packages/presidio_analyzer")):
        venv.create(folder, with_pip=True)
        subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "--quiet", "presidio-analyzer"], check=True)
    return folder / "bin" / "python"


def quality(folder: Path, python: Path | None) -> None:
    """Both on the public sets, type by type."""
    for name in SETS:
        documents = json.loads((folder / name).read_text("utf-8"))
        texts = [document["full_text"] for document in documents]
        size = sum(map(len, texts)) / 1e6
        results = {"bartizan": ours(texts), "presidio patterns": peer(texts, installed(python))}
        print(
            f"\n{name}: {len(texts)} texts, {size:.2f} MB\n{'':18}"
            + "".join(f"{kind:>15}" for kind in KINDS.values())
            + "   P / R        MB/s"
        )
        for who, (seconds, found) in results.items():
            counts = scored(documents, found)
            right, wrong, missed = (sum(c[i] for c in counts.values()) for i in range(3))
            recalls = "".join(f"{c[0] / max(c[0] + c[2], 1):15.3f}" for c in counts.values())
            print(f"{who:18}{recalls}   {right / (right + wrong):.3f} / {right / (right + missed):.3f}  {size / seconds:.2f}")
        print(f"times as fast: {results['presidio patterns'][0] / results['bartizan'][0]:.0f}")


def hostile() -> None:
    """1 MB of input made to be slow, as times the time of 1 MB of words."""
    from bartizan import pii

    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randrange(2, 10))) for _ in range(5000)]
    text = " ".join(draw.choice(words) if draw.random() > 0.02 else str(draw.randrange(10_000)) for _ in range(200_000))[: 1 << 20]
    ordinary = best(lambda: pii.scan_text(text))
    print(f"\nwords with 2 % numbers: {len(text) / ordinary / 1e6:.0f} MB/s; hostile input, times the time of words:")
    for name, piece in HOSTILE.items():
        long = piece * ((1 << 20) // len(piece))
        print(f"  {name:14}{best(functools.partial(pii.scan_text, long)) / ordinary:.1f}")


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


def names(folder: Path) -> None:
    """F1 of persons' names with the tagger, gate on."""
    from bartizan import pii

    finder = pii.NameFinder(threads=1)
    for name in SETS:
        documents = json.loads((folder / name).read_text("utf-8"))[:600]
        texts = [document["full_text"] for document in documents]
        start = time.process_time()
        found = finder.find(texts)
        speed = sum(len(text.split()) for text in texts) / (time.process_time() - start)
        KINDS["person_name"] = "PERSON"
        hits = [[("PERSON", hit.start, hit.end) for hit in group if hit.kind == "person_name"] for group in found]
        right, wrong, missed = scored(documents, hits)["PERSON"]
        precision, recall = right / (right + wrong), right / (right + missed)
        f1 = 2 * precision * recall / (precision + recall)
        print(f"names, {name}: P {precision:.3f} R {recall:.3f} F1 {f1:.3f}, {speed:.0f} words/s")


def main() -> int:
    """All parts for which there is data."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--peer", type=Path)
    arguments = parser.parse_args()
    if arguments.folder:
        quality(arguments.folder, arguments.peer)
        names(arguments.folder)
    else:
        print("no folder with the data of presidio-research: quality and names are left out")
    hostile()
    groups()
    return 0


if __name__ == "__main__":
    sys.exit(main())
