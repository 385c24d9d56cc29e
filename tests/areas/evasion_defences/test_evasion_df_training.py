"""Adversarial training: it hardens, it resumes exactly, it stops in time, and fast training notices that it overfits its own step."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch")
from defence_nets import cnn  # noqa: E402

from bartizan.areas.evasion.defences.inner import Threat, pgd, project, right, strongest, uniform  # noqa: E402
from bartizan.areas.evasion.defences.trainer import Plan, accuracy, train  # noqa: E402
from bartizan.areas.evasion.defences.training import AdversarialLoss, Recipe  # noqa: E402
from bartizan.model.errors import InputError, UnknownName  # noqa: E402

THREAT = Threat(eps=0.1)


@pytest.fixture(scope="module")
def plain(digits):
    """The same net trained without any attack (a radius too small to matter)."""
    x, y = digits
    return train(cnn(), x[:1300], y[:1300], Recipe(threat=Threat(eps=1e-6), guard_every=0), Plan(epochs=6)).model


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_every_attack_of_the_room_stays_inside_ball_and_range(digits, plain, norm):
    x, y = digits[0][1400:1430], digits[1][1400:1430]
    threat = Threat(eps=0.2, norm=norm)
    dice = torch.Generator().manual_seed(0)
    points = (
        pgd(plain, x, y, threat, dice=dice),
        strongest(plain, x, y, threat, dice=dice),
        project(x, x + uniform(x, threat, dice), threat),
    )
    for changed in points:
        size = (changed - x).flatten(1).norm(dim=1, p=2 if norm == "l2" else float("inf"))
        assert float(size.max()) <= 0.2 + 1e-6
        assert float(changed.min()) >= 0.0
        assert float(changed.max()) <= 1.0
    assert right(plain(points[1]), y).float().mean() <= right(plain(points[0]), y).float().mean()


@pytest.mark.parametrize(("method", "gain"), [("pgd", 0.2), ("trades", 0.2), ("fast", 0.2)])
def test_each_method_hardens_in_a_users_own_loop(digits, plain, method, gain):
    x, y = digits
    model, loss_of = cnn(), AdversarialLoss(Recipe(threat=THREAT, method=method, steps=4))
    optimiser = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    dice = torch.Generator().manual_seed(0)
    for _ in range(6):
        for i in torch.randperm(1300, generator=dice).split(64):
            loss = loss_of(model, x[i], y[i])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    assert model.training  # the loop's own mode is left alone
    before, after = accuracy(plain, x[1300:], y[1300:], THREAT), accuracy(model, x[1300:], y[1300:], THREAT)
    assert after[1] >= before[1] + gain
    assert after[0] >= 0.75


class Interrupted(Exception):
    pass


@pytest.mark.parametrize(
    ("method", "optimiser", "average", "at", "save_every"),
    [("fast", "sgd", 0.9, 13, 5), ("pgd", "adam", 0.0, 11, 0), ("trades", "sgd", 0.0, 2, 0)],
)
def test_interrupted_and_resumed_it_ends_at_the_same_weights(digits, tmp_path, method, optimiser, average, at, save_every):
    x, y = digits[0][:500], digits[1][:500]
    recipe = Recipe(threat=THREAT, method=method, steps=2, guard_every=3, collapse=0.9, rescue=2)
    plan = Plan(epochs=3, batch=64, rate=0.02, optimiser=optimiser, average=average, save_every=save_every)
    held = (digits[0][1400:1500], digits[1][1400:1500])
    straight = train(cnn(dropout=0.3), x, y, recipe, plan, validation=held)

    def stop(progress):
        if progress.step == at:
            raise Interrupted

    torch.manual_seed(99)  # the caller's own randomness plays no part
    with pytest.raises(Interrupted):
        train(cnn(dropout=0.3), x, y, recipe, plan, validation=held, progress=stop, checkpoint=tmp_path / "run.pt")
    torch.rand(7)
    steps = []
    resumed = train(
        cnn(5, dropout=0.3), x, y, recipe, plan, validation=held, progress=lambda p: steps.append(p.step), checkpoint=tmp_path / "run.pt"
    )
    assert steps[0] <= at + 1
    assert steps[-1] == 24
    assert (steps[0] > 1) == (at > 2)  # it did go on; stopped before the first checkpoint, it starts from the first weights
    for name, value in straight.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
    assert straight.history == resumed.history
    assert straight.relapses == resumed.relapses


def test_a_checkpoint_of_another_run_or_no_checkpoint_at_all_is_refused(digits, tmp_path):
    x, y = digits[0][:128], digits[1][:128]
    path, recipe, plan = tmp_path / "run.pt", Recipe(threat=THREAT), Plan(epochs=1)
    train(cnn(), x, y, recipe, plan, checkpoint=path)
    with pytest.raises(InputError, match="another recipe"):
        train(cnn(), x, y, Recipe(threat=Threat(eps=0.2)), plan, checkpoint=path)
    with pytest.raises(InputError, match="another recipe"):
        train(cnn(), x + 0.1, y, recipe, plan, checkpoint=path)
    path.write_bytes(b"no checkpoint")
    with pytest.raises(InputError, match="not a checkpoint"):
        train(cnn(), x, y, recipe, plan, checkpoint=path)


def test_it_stops_when_robust_accuracy_no_longer_rises_and_returns_the_best_epoch(digits):
    x, y = digits[0][:300], digits[1][:300]
    held = (digits[0][1400:1600], digits[1][1400:1600])
    seen = []
    done = train(cnn(), x, y, Recipe(threat=THREAT), Plan(epochs=60, patience=3, rate=0.05), validation=held, progress=seen.append)
    assert done.stopped_early
    assert len(done.history) == done.best + 3 < 60
    assert accuracy(done.model, *held, THREAT)[1] == max(epoch.robust for epoch in done.history)
    ends = [p for p in seen if p.robust is not None]
    assert [p.robust for p in ends] == [epoch.robust for epoch in done.history]
    assert all(p.steps == 180 for p in seen)


def test_the_guard_notices_catastrophic_overfitting_and_recovers(digits):
    """Plain FGSM at a wide radius collapses: it holds against its own step and against nothing else (Wong et al., 2020)."""
    x, y = digits
    wide = Threat(eps=0.25)
    results = {}
    for guard in (0, 4):
        recipe = Recipe(threat=wide, method="fast", noise=0.0, step=1.5, guard_every=guard, rescue=40)
        done = train(cnn(3), x[:1300], y[:1300], recipe, Plan(epochs=14, batch=64, rate=0.1, warm=1.0))
        results[guard] = (accuracy(done.model, x[1300:], y[1300:], wide)[1], done.relapses)
    assert results[0][1] == 0
    assert results[4][1] >= 1
    assert results[4][0] >= results[0][0] + 0.1  # measured: 17 % without the guard, 43 % with it


def test_wrong_recipes_are_named(digits):
    with pytest.raises(UnknownName, match="trades"):
        Recipe(threat=THREAT, method="trade")
    with pytest.raises(UnknownName, match="norm"):
        Threat(eps=0.1, norm="l7")
    with pytest.raises(InputError, match="eps"):
        Threat(eps=-1)
    with pytest.raises(UnknownName, match="optimiser"):
        Plan(optimiser="sgdd")
    with pytest.raises(InputError, match="labels"):
        train(cnn(), digits[0][:5], digits[1][:4], Recipe(threat=THREAT))
    with pytest.raises(InputError, match="loss became"):
        train(cnn(), digits[0][:200], digits[1][:200], Recipe(threat=THREAT), Plan(rate=1e30))
    assert copy.deepcopy(THREAT) == THREAT
