"""Models that lie to gradients: the number is at most the truth plus two points, or the result says that it cannot be trusted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import bartizan.evasion as evasion  # noqa: E402

TRAPS: dict[str, Callable[[Any, Any], Any]] = {
    "logits x1000": lambda net, x: net(x) * 1000,
    "temperature": lambda net, x: net(x) * 100,
    "log-softmax": lambda net, x: net(x).log_softmax(1),
    "softmax": lambda net, x: net(x).softmax(1),
    "saturated softmax": lambda net, x: (net(x) * 1000).softmax(1),
    "output rounded": lambda net, x: (net(x) * 10).round() / 10,
    "logits / 1000": lambda net, x: net(x) / 1000,
    "input rounded": lambda net, x: net((x * 7).round() / 7),
    "input as bytes": lambda net, x: net((x * 7 + 0.5).byte().float() / 7),
    "through numpy": lambda net, x: net(torch.from_numpy(np.round(x.detach().numpy() * 7) / 7)),
    "noise": lambda net, x: net(x + 0.02 * torch.randn_like(x)),
}


@pytest.mark.parametrize("name", TRAPS)
def test_a_trap_does_not_raise_the_number(weak: Any, held_out: tuple[Any, Any], name: str) -> None:
    """The weak net is wholly broken at this radius: so is every disguise of it."""
    x, y = held_out[0][:50], held_out[1][:50]
    result = evasion.attack(lambda z: TRAPS[name](weak, z), x, y, eps=0.3)
    assert result.clean_accuracy >= 0.9
    assert result.robust_accuracy <= 0.04 or not result.trust.ok, str(result)


def test_logits_times_1000_stay_below_four_per_cent(weak: Any, held_out: tuple[Any, Any]) -> None:
    result = evasion.attack(lambda z: weak(z) * 1000, *held_out, eps=0.3)
    assert result.robust_accuracy <= 0.04
    plain = evasion.attack(lambda z: weak(z) * 1000, *held_out, eps=0.3, strategy="pgd", diagnose=False)
    assert plain.robust_accuracy >= 0.3  # why the cross-entropy alone is not enough
    assert not plain.trust.ok
    examined = evasion.attack(lambda z: weak(z) * 1000, *held_out, eps=0.3, strategy="pgd")
    assert examined.trust.escalations
    assert examined.robust_accuracy <= 0.04 or not examined.trust.ok


def test_dropout_left_on(held_out: tuple[Any, Any], weak: Any) -> None:
    model = torch.nn.Sequential(*list(weak)[:-1], torch.nn.Dropout(0.5), list(weak)[-1]).train()
    result = evasion.attack(model, *held_out, eps=0.3)
    assert model[-2].training
    assert result.robust_accuracy <= 0.02
    always = evasion.attack(lambda z: torch.nn.functional.dropout(weak(z), 0.1, training=True), held_out[0][:30], held_out[1][:30], eps=0.3)
    assert always.robust_accuracy <= 0.04 or not always.trust.ok


def test_negated_scores_are_named(weak: Any, held_out: tuple[Any, Any]) -> None:
    result = evasion.attack(lambda z: -weak(z), *held_out, eps=0.1)
    assert not result.trust.ok
    assert "negated" in str(result.trust)


def test_labels_that_do_not_belong_to_the_images(weak: Any, held_out: tuple[Any, Any]) -> None:
    result = evasion.attack(weak, held_out[0], held_out[1].flip(0), eps=0.1)
    assert not result.trust.ok
    assert "chance" in str(result.trust)


@pytest.mark.parametrize("form", ["two scores", "one score", "one probability"])
def test_two_classes_in_any_form(weak: Any, held_out: tuple[Any, Any], form: str) -> None:
    def scores(z: Any) -> Any:
        parts = weak(z)
        return parts[:, :5].logsumexp(1), parts[:, 5:].logsumexp(1)

    forms = {
        "two scores": lambda z: torch.stack(scores(z), 1),
        "one score": lambda z: scores(z)[1] - scores(z)[0],
        "one probability": lambda z: torch.sigmoid(scores(z)[1] - scores(z)[0])[:, None],
    }
    for strategy in ("cascade", "apgd-dlr"):
        result = evasion.attack(forms[form], held_out[0], (held_out[1] >= 5).long(), eps=0.3, strategy=strategy)
        assert result.robust_accuracy <= 0.02
        assert result.clean_accuracy >= 0.9


def test_a_model_without_any_gradient_is_searched_and_not_trusted(hard: Any, held_out: tuple[Any, Any]) -> None:
    def table(z: Any) -> Any:
        with torch.no_grad():
            return hard(z)

    x, y = held_out[0][:50], held_out[1][:50]
    result = evasion.attack(table, x, y, eps=0.15, queries=100)
    assert not result.trust.ok
    for rung in ("surrogate", "decisions"):
        assert any(rung in step for step in result.trust.escalations)
    assert result.robust_accuracy < result.clean_accuracy
    assert "not trustworthy because" in str(result)


def test_answers_that_depend_on_the_batch_are_named(weak: Any, held_out: tuple[Any, Any]) -> None:
    def batched(z: Any) -> Any:
        parts = weak(z)
        return parts - parts.mean(0) if len(parts) > 1 else parts

    result = evasion.attack(batched, *held_out, eps=0.1)
    assert not result.trust.ok
    assert "batch" in str(result.trust)
