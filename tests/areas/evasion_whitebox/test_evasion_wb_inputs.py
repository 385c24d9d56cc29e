"""Wrong inputs end in an error that names them; unusual but right ones give the same number."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
import bartizan.evasion as evasion  # noqa: E402

from bartizan.model.errors import InputError, UnknownName  # noqa: E402


@pytest.mark.parametrize(("change", "says"), [
    (lambda x, y: (x * 255, y), "outside bounds"),
    (lambda x, y: ((x - 0.3) / 0.2, y), "outside bounds"),
    (lambda x, y: ((x * 255).byte(), y), "floating-point"),
    (lambda x, y: (x * float("nan"), y), "NaN"),
    (lambda x, y: (x.permute(0, 2, 3, 1), y), "does not take inputs"),
    (lambda x, y: (x[:, 0, 0, 0], y), "shape"),
    (lambda x, y: (x, y[:-1]), "one class number per input"),
    (lambda x, y: (x, y + 1), "0..9"),
    (lambda x, y: (x, y + 0.5), "class numbers"),
    (lambda x, y: (x, y - 1), "0..9"),
    (lambda x, y: (x[:0], y[:0]), "at least one"),
])  # fmt: skip
def test_inputs_that_do_not_fit(weak: Any, held_out: tuple[Any, Any], change: Any, says: str) -> None:
    x, y = change(*held_out)
    with pytest.raises(InputError, match=says):
        evasion.attack(weak, x, y, eps=0.1)


@pytest.mark.parametrize(("wrapped", "says"), [
    (lambda net: lambda x: net(x).argmax(1), "labels, not scores"),
    (lambda net: lambda x: (net(x), 1), "tuple"),
    (lambda net: lambda x: net(x).repeat(1, 2).reshape(len(x), 2, 10), "shape"),
    (lambda net: lambda x: net(x) * float("nan"), "NaN"),
])  # fmt: skip
def test_models_that_give_no_scores(weak: Any, held_out: tuple[Any, Any], wrapped: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        evasion.attack(wrapped(weak), *held_out, eps=0.1)


@pytest.mark.parametrize(("options", "error"), [
    ({"eps": -0.1}, InputError), ({"eps": float("inf")}, InputError), ({"eps": []}, InputError), ({"norm": "l7"}, UnknownName),
    ({"strategy": "pdg"}, UnknownName), ({"step": 3}, UnknownName), ({"steps": 0}, InputError), ({"std": 0.0}, InputError),
    ({"bounds": (1.0, 0.0)}, InputError), ({"bounds": (0.0, float("inf"))}, InputError), ({"strategy": "cw"}, InputError),
    ({"gives": "odds"}, InputError), ({"mean": [0.1, 0.2]}, InputError),
])  # fmt: skip
def test_options_out_of_range(weak: Any, held_out: tuple[Any, Any], options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        evasion.attack(weak, *held_out, **{"eps": 0.1, **options})


def test_forms_of_labels_and_outputs_that_mean_the_same(hard: Any, held_out: tuple[Any, Any]) -> None:
    x, y = held_out[0][:40], held_out[1][:40]
    plain = evasion.attack(hard, x, y, eps=0.1).at[0].outcomes
    assert evasion.attack(hard, x, torch.nn.functional.one_hot(y, 10), eps=0.1).at[0].outcomes == plain
    assert evasion.attack(hard, x, y.double(), eps=0.1).at[0].outcomes == plain
    assert evasion.attack(lambda z: hard(z).log_softmax(1), x, y, eps=0.1).robust_accuracy == pytest.approx(
        plain.count("robust") / 40, abs=0.03
    )
