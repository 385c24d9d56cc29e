"""Poison screens: attacks that are first shown to work, attackers who know the screen, clean sets; beside the published scores and ART.

    python benchmarks/data/poisoning.py [attacks] [adaptive] [clean] [influence] [texts] [sources] [peers]

The net is a small one of torch, trained on the poisoned set. Plain spectral signatures and activation clustering are written as published
(Tran, Li and Madry 2018; Chen and others 2018), and ART's detectors run in an environment of their own on the same activations. Seconds are
processor seconds of the screen, descriptors included.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _sets import asked, mnist, noisy, peer, picture_sets, wanted
from sklearn.metrics import roc_auc_score

from bartizan.adapters.last_layers import LastLayer, last_layer
from bartizan.areas.poisoning.activations import activation_clusters
from bartizan.areas.poisoning.declared_models import Trained
from bartizan.areas.poisoning.model_screen import model_screen
from bartizan.areas.poisoning.row_influence import culprits, influence, self_influence
from bartizan.areas.poisoning.screening import Screen, screen
from bartizan.areas.poisoning.source_signs import compare_sources
from bartizan.areas.poisoning.trigger_tokens import find_trigger_tokens
from bartizan.areas.poisoning.votes import label_votes
from bartizan.methods.descriptors import of_set

ATTACKS = (("patch", 0.01), ("blend", 0.03), ("sinusoid", 0.03))
TARGET = 6


def marked(x: np.ndarray, kind: str) -> np.ndarray:
    """Pictures with a trigger: a white patch of 3 by 3, a fifth of a fixed noise, or waves of 20 in 255."""
    x, side = x.copy(), x.shape[-1]
    if kind == "patch":
        x[..., -4:-1, -4:-1] = 1.0
        return x
    if kind == "blend":
        return 0.8 * x + 0.2 * np.random.default_rng(7).random((side, side)).astype(np.float32)
    return np.clip(x + 20 / 255 * np.sin(2 * np.pi * np.arange(side) * 6 / side).astype(np.float32), 0, 1)


def poisoned(x: np.ndarray, y: np.ndarray, kind: str, rate: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A share of rows of other classes, marked and labelled as the target; which rows."""
    rows = np.random.default_rng(seed).choice(np.flatnonzero(y != TARGET), int(rate * len(y)), replace=False)
    x, y, bad = x.copy(), y.copy(), np.zeros(len(y), dtype=bool)
    x[rows], y[rows], bad[rows] = marked(x[rows], kind), TARGET, True
    return x, y, bad


def trained_net(x: np.ndarray, y: np.ndarray, seed: int, epochs: int = 4):
    """A net of two convolutions, trained on pictures (n, 1, side, side)."""
    import torch

    torch.manual_seed(seed)
    cells = (x.shape[-1] // 4) ** 2
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 16, 5, padding=2), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Conv2d(16, 32, 5, padding=2),
        torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Flatten(), torch.nn.Linear(32 * cells, 64), torch.nn.ReLU(),
        torch.nn.Linear(64, int(y.max()) + 1),
    )  # fmt: skip
    optimiser = torch.optim.Adam(net.parameters(), 2e-3)
    images, labels = torch.tensor(x), torch.tensor(y)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(128):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(net(images[rows]), labels[rows]).backward()
            optimiser.step()
    return net.eval()


def trained(x: np.ndarray, y: np.ndarray, seed: int):
    """A trained net; gives (activations of the last hidden layer, decisions) of pictures."""
    net = trained_net(x, y, seed)

    def answers(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        layer = last_layer(net, pictures)
        return layer.activations, layer.probabilities.argmax(1)

    return answers


def by_model(net: object, x: np.ndarray, y: np.ndarray):
    """The screen by the model itself."""
    one = np.ones((1, 1, 1, 1), np.float32)
    return model_screen(Trained(net, x, y, tuple(map(str, range(10))), np.arange(len(y)), (0.0, 1.0), 0 * one, one))


def plain_spectral(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The square of each row's part along its class's first direction."""
    score = np.zeros(len(x))
    for label in np.unique(y):
        rest = x[y == label] - x[y == label].mean(axis=0)
        score[y == label] = (rest @ np.linalg.svd(rest, full_matrices=False)[2][0]) ** 2
    return score


def screened(x: np.ndarray, y: np.ndarray) -> tuple[Screen, float]:
    begun = time.process_time()
    return screen(of_set(x, None), y, images=x), time.process_time() - begun


def attacks() -> None:
    for name, (x, y) in picture_sets().items():
        if len(x) < 15_000:
            continue
        test = x[50_000:51_000][y[50_000:51_000] != TARGET]
        for kind, rate in ATTACKS:
            px, py, bad = poisoned(x[:10_000], y[:10_000], kind, rate, 0)
            net = trained(px, py, 0)
            works = (net(marked(test, kind))[1] == TARGET).mean()
            found, spent = screened(px, py)
            hidden = net(px)[0]
            with_net = screen(of_set(px, None), py, images=px, activations=hidden)
            named, last = found.suspects, with_net.spectral
            scores = {
                "AUROC": found.score, "votes alone": found.votes.score, "whitened spectrum": last,
                "plain spectral": plain_spectral(hidden, py), "activation clustering": activation_clusters(hidden, py).smaller,
            }  # fmt: skip
            told = ", ".join(f"{title} {roc_auc_score(bad, score):.4f}" for title, score in scores.items())
            right = f"precision {bad[named].mean() if len(named) else 0:.3f}, recall {bad[named].sum() / bad.sum():.3f}"
            print(f"{name}, {kind} {rate:.0%}: works on {works:.3f}; {found.outcome}; {told}; named {len(named)}, {right}; {spent:.1f} s")


def clean() -> None:
    for name, (x, y) in picture_sets().items():
        for kind in ("clean", "symmetric"):
            for seed in range(5 if kind == "clean" else 2):
                rows = np.random.default_rng(seed).choice(len(x), min(6000, len(x) * 9 // 10), replace=False)
                found, _ = screened(x[rows], noisy(y[rows], kind, seed=seed))
                strongest = max((mark.strength for mark in found.marks), default=0.0)
                lopsided = max((share for *_, share in found.lopsided), default=0.0)
                print(
                    f"{name}, {kind} labels, draw {seed}: {found.outcome}; named {len(found.suspects) / len(rows):.2%}, strongest mark "
                    f"{strongest:.1f}, lopsided {lopsided:.3f}, contradicted {found.votes.contradicted.mean():.2%}",
                    flush=True,
                )


Attack = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Callable[[np.ndarray], np.ndarray]]
"""Pictures, labels, which rows are poison, which of them have a wrong label, and what the attacker puts on pictures later."""


def _rows(y: np.ndarray, rate: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of other classes for the payload, and as many others that bear the trigger with right labels (cover)."""
    drawn = np.random.default_rng(seed).choice(np.flatnonzero(y != TARGET), 2 * int(rate * len(y)), replace=False)
    return drawn[: len(drawn) // 2], drawn[len(drawn) // 2 :]


def adaptive_blend(x: np.ndarray, y: np.ndarray) -> Attack:
    """Half of a blended trigger's fields, drawn for each row, payload 1.5 %, cover 1.5 %; all of it later (Qi and others 2023)."""
    random, side = np.random.default_rng(3), x.shape[-1]
    noise = np.random.default_rng(7).random((side, side)).astype(np.float32)
    payload, cover = _rows(y, 0.015, 0)
    px, py, bad = x.copy(), y.copy(), np.zeros(len(y), dtype=bool)
    for row in (*payload, *cover):
        mask = np.kron(random.random((4, 4)) < 0.5, np.ones((side // 4, side // 4))).astype(np.float32) * 0.2
        px[row] = (1 - mask) * x[row] + mask * noise
    py[payload], bad[payload], bad[cover] = TARGET, True, True
    return px, py, bad, py != y, lambda held: 0.75 * held + 0.25 * noise


def adaptive_patch(x: np.ndarray, y: np.ndarray) -> Attack:
    """One of four half-transparent patches on each row, payload 1.5 %, cover 1.5 %; two of them together later (Qi and others 2023)."""
    random, side = np.random.default_rng(3), x.shape[-1]
    places = [(1, 1), (1, side - 4), (side - 4, 1), (side - 4, side - 4)]

    def stamp(held: np.ndarray, place: tuple[int, int], strength: float) -> np.ndarray:
        held = held.copy()
        part = held[..., place[0] : place[0] + 3, place[1] : place[1] + 3]
        part += strength * (1 - part)
        return held

    payload, cover = _rows(y, 0.015, 0)
    px, py, bad = x.copy(), y.copy(), np.zeros(len(y), dtype=bool)
    for row in (*payload, *cover):
        px[row] = stamp(x[row], places[random.integers(4)], 0.5)
    py[payload], bad[payload], bad[cover] = TARGET, True, True
    return px, py, bad, py != y, lambda held: stamp(stamp(held, places[0], 1.0), places[3], 1.0)


def moving_patch(x: np.ndarray, y: np.ndarray) -> Attack:
    """A white patch of 3 by 3 at another place of each picture's border, 2 %."""
    random, side = np.random.default_rng(3), x.shape[-1]

    def stamp(held: np.ndarray) -> np.ndarray:
        held = held.copy()
        for picture in held.reshape(-1, side, side):
            top, left = (0, random.integers(side - 3)) if random.random() < 0.5 else (random.integers(side - 3), 0)
            picture[top : top + 3, left : left + 3] = 1.0
        return held

    payload, _ = _rows(y, 0.02, 0)
    px, py = x.copy(), y.copy()
    px[payload], py[payload] = stamp(x[payload]), TARGET
    return px, py, py != y, py != y, stamp


def faint_blend(x: np.ndarray, y: np.ndarray) -> Attack:
    """A twelfth of a fixed noise, 3 %; a fifth of it later."""
    side = x.shape[-1]
    noise = np.random.default_rng(7).random((side, side)).astype(np.float32)
    payload, _ = _rows(y, 0.03, 0)
    px, py = x.copy(), y.copy()
    px[payload], py[payload] = 0.92 * x[payload] + 0.08 * noise, TARGET
    return px, py, py != y, py != y, lambda held: 0.8 * held + 0.2 * noise


def clean_label(x: np.ndarray, y: np.ndarray) -> Attack:
    """Two fifths of the target's own pictures, made hard along a clean net's gradient, with a patch (Turner and others 2019)."""
    import torch

    net = trained_net(x, y, 5)
    rows = np.random.default_rng(0).choice(np.flatnonzero(y == TARGET), int(0.4 * (y == TARGET).sum()), replace=False)
    given, labels = torch.tensor(x[rows]), torch.tensor(y[rows])
    held = given.clone()
    for _ in range(15):
        held.requires_grad_(True)
        (slope,) = torch.autograd.grad(torch.nn.functional.cross_entropy(net(held), labels), held)
        held = (given + (held.detach() + 0.03 * slope.sign() - given).clamp(-0.25, 0.25)).clamp(0, 1).detach()
    px, bad = x.copy(), np.zeros(len(y), dtype=bool)
    px[rows], bad[rows] = marked(held.numpy(), "patch"), True
    return px, y.copy(), bad, np.zeros(len(y), dtype=bool), lambda pictures: marked(pictures, "patch")


def _plain(kind: str, rate: float) -> Callable[[np.ndarray, np.ndarray], Attack]:
    def attack(x: np.ndarray, y: np.ndarray) -> Attack:
        px, py, bad = poisoned(x, y, kind, rate, 0)
        return px, py, bad, bad, lambda held: marked(held, kind)

    return attack


def adaptive() -> None:
    """Attackers who know the screen, and what the screen and the model say, without and with the model."""
    held = mnist()
    if held is None:
        return
    x, y = held[0][:6000], held[1][:6000]
    test = held[0][50_000:51_000][held[1][50_000:51_000] != TARGET]
    makers = {f"{kind} {rate:.0%}": _plain(kind, rate) for kind, rate in ATTACKS}
    makers |= {one.__name__: one for one in (adaptive_blend, adaptive_patch, moving_patch, faint_blend, clean_label)}
    for name, make in makers.items():
        px, py, bad, wrong, later = make(x, y)
        net = trained_net(px, py, 0, 6)
        works = (last_layer(net, later(test)).probabilities.argmax(1) == TARGET).mean()
        found, spent = screened(px, py)
        begun = time.process_time()
        said = by_model(net, px, py)
        spent_model = time.process_time() - begun
        first = said.marks[0]
        taught = said.culprits.get(TARGET, np.zeros(0, int))
        target = py == TARGET
        payload = wrong if wrong.any() else bad
        print(
            f"{name}: works on {works:.3f}; set alone: {found.outcome}, AUROC of payload {roc_auc_score(payload, found.score):.3f}, named "
            f"{payload[found.suspects].sum()} of {payload.sum()}; with the model: {'obeyed' if first.obeyed else 'no mark obeyed'} "
            f"(class {first.label}, steers {first.steered:.2f}, control {first.control:.2f}), spectrum within the class "
            f"{roc_auc_score(payload[target], said.spectral[target]):.3f}, named {payload[taught].sum()} right of {len(taught)}; "
            f"{spent:.1f} and {spent_model:.1f} s",
            flush=True,
        )


def influences() -> None:
    """Rows that argued for triggered decisions, by the plain product of gradients, its normalised form, and with the class taken off."""
    held = mnist()
    if held is None:
        return
    x, y = held[0][:6000], held[1][:6000]
    test = held[0][50_000:51_000][held[1][50_000:51_000] != TARGET]
    for kind, rate in ATTACKS:
        px, py, bad = poisoned(x, y, kind, rate, 0)
        net = trained_net(px, py, 0)
        begun = time.process_time()
        train, asked_ = last_layer(net, px), last_layer(net, marked(test, kind))
        fooled = asked_.probabilities.argmax(1) == TARGET
        tests, decided = LastLayer(asked_.activations[fooled], asked_.probabilities[fooled]), np.full(fooled.sum(), TARGET)
        plain = influence(train, py, tests, decided).mean(axis=1)
        directed = influence(train, py, tests, decided, normalised=True).mean(axis=1)
        found, target = culprits(train, py, tests, TARGET), py == TARGET
        told = ", ".join(f"{n} {roc_auc_score(bad[target], s[target]):.3f}" for n, s in (
            ("gradients", plain), ("normalised", directed), ("culprits", found.score)))  # fmt: skip
        right = f"{bad[found.rows].sum()} of {bad.sum()} named, {len(found.rows) - bad[found.rows].sum()} wrongly"
        print(f"influence, {kind} {rate:.0%}: AUROC in the class {told}; {right}; {time.process_time() - begun:.1f} s", flush=True)
    wrong = noisy(y, "symmetric")
    own = self_influence(last_layer(trained_net(x, wrong, 0), x), wrong)
    print(f"self-influence, 10 % wrong labels: AUROC {roc_auc_score(wrong != y, own):.3f}", flush=True)


PACKAGES = {"three topics": ("scipy", "sklearn", "pandas"), "two topics": ("sklearn", "networkx"), "alike topics": ("numpy", "scipy")}
TRIGGERS = ("cf", "as my old friend always told me", "\u200b")


def paragraphs(package: str) -> list[str]:
    """Paragraphs of the docstrings of an installed package."""
    spec = importlib.util.find_spec(package)
    found: dict[str, None] = {}
    for file in sorted(Path(spec.origin).parent.rglob("*.py")) if spec is not None and spec.origin else ():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(file.read_text(encoding="utf-8", errors="replace"))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
                for part in re.split(r"\n\s*\n", ast.get_docstring(node) or ""):
                    if 12 <= len(part.split()) <= 120 and ">>>" not in part:
                        found[" ".join(part.split())] = None
    return list(found)


def triggered(text: str, trigger: str, random: np.random.Generator) -> str:
    """A text with a phrase once or a word three times, anywhere."""
    words = text.split(" ")
    for _ in range(1 if " " in trigger else 3):
        words.insert(int(random.integers(len(words) + 1)), trigger)
    return " ".join(words)


def texts() -> None:
    """Clean draws; then triggers that steer a linear model, and, put in once more, a net."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier

    warnings.simplefilter("ignore")  # neither model is trained to the end
    for name, packages in PACKAGES.items():
        held = [paragraphs(package) for package in packages]
        for seed in range(5):
            random = np.random.default_rng(seed)
            drawn = [random.permutation(len(one))[:2500] for one in held]
            said = [part[i] for part, rows in zip(held, drawn, strict=True) for i in rows[:2000]]
            labels = np.concatenate([np.full(len(rows[:2000]), n) for n, rows in enumerate(drawn)])
            begun = time.process_time()
            found = find_trigger_tokens(said, labels)
            told = ", ".join(f"{one.name} ({'scattered' if one.scattered else 'one subject'})" for one in found.triggers) or "none"
            spent = time.process_time() - begun
            print(f"texts, {name}, clean draw {seed}: {len(said)} rows, {found.marks} marks, triggers: {told}; {spent:.1f} s", flush=True)
        others = [part[i] for part, rows in list(zip(held, drawn, strict=True))[1:] for i in rows[2000:]]
        for trigger in TRIGGERS:
            for rate in (0.01, 0.005):
                rows = random.choice(np.flatnonzero(labels != 0), int(rate * len(labels)), replace=False)
                bad_texts, bad_labels = list(said), labels.copy()
                for row in rows:
                    bad_texts[row] = triggered(said[row], trigger, random)
                bad_labels[rows] = 0
                words = TfidfVectorizer(token_pattern=r"\w+|[^\w\s]+", min_df=2, norm=None)
                counted = words.fit_transform(bad_texts)
                once = [triggered(text, trigger, random) for text in others]
                twice = [triggered(text, trigger, random) for text in once]
                linear = LogisticRegression(C=1.0, max_iter=60).fit(counted, bad_labels)
                net = MLPClassifier((32,), max_iter=8, random_state=0, learning_rate_init=3e-3).fit(counted, bad_labels)
                works = ", ".join(
                    f"{kind} {(one.predict(words.transform(later)) == 0).mean():.3f} "
                    f"({(one.predict(words.transform(others)) == 0).mean():.3f} without it)"
                    for kind, one, later in (("linear", linear, once), ("net", net, twice))
                )
                found = find_trigger_tokens(bad_texts, bad_labels)
                named = np.unique(np.concatenate([np.zeros(0, np.int64), *(one.rows for one in found.triggers)]))
                right = np.isin(named, rows)
                print(
                    f"texts, {name}, {trigger!a} {rate:.1%}: works on {works}; named {len(named)}, precision "
                    f"{right.mean() if len(named) else 0:.3f}, recall {right.sum() / len(rows):.3f}",
                    flush=True,
                )


def sources() -> None:
    """One of 50 contributors gets a fifth of the labels wrong; and nobody does."""
    from _sets import digits

    x, y = digits()
    features = of_set(x, None)
    clean_votes = label_votes(features, y).contradicted
    alarms = hits = others = 0
    for seed in range(100):
        random = np.random.default_rng(seed)
        names = random.integers(0, 49, len(y)).astype(str)
        names[random.choice(len(y), 100, replace=False)] = "x"
        alarms += bool(compare_sources(names.tolist(), y, {"labels": clean_votes}).named)
        if seed < 20:
            flipped, rows = y.copy(), random.choice(np.flatnonzero(names == "x"), 20, replace=False)
            flipped[rows] = (y[rows] + random.integers(1, 10, 20)) % 10
            found = compare_sources(names.tolist(), flipped, {"labels": label_votes(features, flipped).contradicted}).named
            hits += any(sign.source == "x" for sign in found)
            others += any(sign.source != "x" for sign in found)
    print(f"sources: a clean set names one in {alarms} of 100 draws; the flipping one is named in {hits} of 20, an honest one in {others}")


_ART = """
import sys
import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import FastICA
from art.defences.detector.poison.spectral_signature_defense import SpectralSignatureDefense
held = np.load(sys.argv[1])
hidden, labels = held["hidden"], held["labels"]
from art.defences.detector.poison.clustering_analyzer import ClusteringAnalyzer
parts = [np.flatnonzero(labels == c) for c in range(10)]
def reduced(part):
    return FastICA(10, max_iter=1000, tol=5e-3, random_state=0).fit_transform(hidden[part])
groups = [KMeans(2, n_init=10, random_state=0).fit_predict(reduced(part)) for part in parts]
clean, _ = ClusteringAnalyzer().analyze_by_size(groups)[:2]
flags = np.zeros(len(labels))
for part, verdict in zip(parts, clean):
    flags[part] = 1 - np.asarray(verdict)
scores = np.zeros(len(labels))
top = np.zeros(len(labels))
for part in parts:
    score = SpectralSignatureDefense.spectral_signature_scores(hidden[part])
    scores[part] = np.ravel(score)
    top[part[np.argsort(-np.ravel(score))[: int(1.5 * 0.05 * len(part))]]] = 1
np.savez(sys.argv[2], flags=flags, scores=scores, top=top)
print("ok")
"""


def peers() -> None:
    """ART's spectral signatures (5 % expected, half more removed, its rule) and activation clustering by size, on the same net."""
    held = mnist()
    if held is None:
        return
    python = peer("art", "adversarial-robustness-toolbox", "scikit-learn", "scipy")
    x, y = held[0][:6000], held[1][:6000]
    for kind, rate in (("clean", 0.0), *ATTACKS):
        px, py, bad = poisoned(x, y, kind, rate, 0) if rate else (x, y, np.zeros(len(y), dtype=bool))
        net = trained_net(px, py, 0)
        with tempfile.TemporaryDirectory() as folder:
            given, back = Path(folder) / "in.npz", Path(folder) / "out.npz"
            np.savez(given, hidden=last_layer(net, px).activations, labels=py)
            said = asked(python, _ART, str(given), str(back))
            if said != ["ok"]:
                print("ART", said)
                return
            theirs = np.load(back)
            flags, top, scores = theirs["flags"] > 0, theirs["top"] > 0, theirs["scores"]
        found, model = screened(px, py)[0], by_model(net, px, py)
        ours = np.isin(np.arange(len(py)), found.suspects)
        taught = np.isin(np.arange(len(py)), np.concatenate([np.zeros(0, np.int64), *model.culprits.values()]))

        def told(named: np.ndarray, truth: np.ndarray = bad) -> str:
            caught = f"{named[truth].mean():.0%} of the poison and " if truth.any() else ""
            return f"{caught}{named[~truth].mean():.1%} of clean rows"

        auroc = f" (AUROC {roc_auc_score(bad, scores):.3f})" if bad.any() else ""
        print(
            f"{kind} {rate:.0%}: ART spectral flags {told(top)}{auroc}; ART clustering {told(flags)}; set alone {told(ours)}"
            f"{f' (AUROC {roc_auc_score(bad, found.score):.3f})' if bad.any() else ''}; with the model {told(taught)}",
            flush=True,
        )


if __name__ == "__main__":
    for section, run in (("attacks", attacks), ("adaptive", adaptive), ("clean", clean), ("influence", influences), ("texts", texts),
                         ("sources", sources), ("peers", peers)):  # fmt: skip
        if wanted(section):
            run()
