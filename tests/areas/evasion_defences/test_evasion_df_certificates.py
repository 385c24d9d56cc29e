"""Bounds by propagation: exact where theory says so, never above an attack, containing every sampled output, for all layers read."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")
from defence_nets import fit  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from bartizan.areas.evasion.certificates.balls import ball  # noqa: E402
from bartizan.areas.evasion.certificates.bounds import METHODS, contrasts, margins, output_bounds  # noqa: E402
from bartizan.areas.evasion.certificates.certify import certify  # noqa: E402
from bartizan.areas.evasion.certificates.graph import read  # noqa: E402
from bartizan.model.errors import InputError, UnknownName  # noqa: E402
from bartizan.model.statistics import clopper_pearson  # noqa: E402

NORMS = ("linf", "l2", "l1")


class Residual(nn.Module):
    """Everything a reader of residual nets must understand: normalisation, skip connections, views, means, scalings."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, 3, padding=1, groups=2)
        self.third = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.skip = nn.Conv2d(width, 2 * width, 1, stride=2)
        self.drop = nn.Dropout(0.5)
        self.last = nn.Linear(2 * width, 10)
        self.register_buffer("mean", torch.tensor([0.3]).reshape(1, 1, 1))

    def forward(self, x):
        z = functional.relu(self.norm(self.first((x - self.mean) / 0.4)))
        z = torch.relu(self.second(z) * 0.5 + z)
        z = (self.third(z) + self.skip(z)).relu()
        z = functional.adaptive_avg_pool2d(z, (2, 2)).mean((2, 3))
        return self.last(self.drop(z.view(z.size(0), -1)))


class Joined(nn.Module):
    """Concatenation, leaky ReLU, one-dimensional convolution, subtraction."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv1d(1, 3, 5, stride=2), nn.Conv1d(1, 3, 5, stride=2, dilation=1)
        self.norm, self.pool, self.last = nn.BatchNorm1d(6), nn.AvgPool1d(2), nn.Linear(90, 10)

    def forward(self, x):
        z = x.flatten(1).unsqueeze(1)
        z = torch.cat([functional.leaky_relu(self.left(z), 0.2), 1 - self.right(z)], dim=1)
        return self.last(self.pool(functional.leaky_relu(self.norm(z))).flatten(1))


def nets() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {
        "mlp": nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 10)),
        "cnn": nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 8, 3, 2, 1), nn.ReLU(), nn.Flatten(),
                             nn.Linear(32, 10)),
        "overlapping": nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.LeakyReLU(0.1), nn.MaxPool2d(3, 1, 1), nn.AvgPool2d(2),
                                     nn.Flatten(), nn.Linear(36, 10), nn.LogSoftmax(1)),
        "residual": Residual(),
        "joined": Joined(),
    }  # fmt: skip


@pytest.fixture(scope="module")
def trained(digits):
    """A few epochs each, with a little noise: enough for certificates that are neither empty nor trivial."""
    x, y = digits
    found = nets()
    for net in found.values():
        torch.manual_seed(1)
        fit(net, x[:1400], y[:1400], epochs=5, rate=5e-3, noise=0.1)
    return found


def steepest(net, around, y, norm, steps=40):
    """Projected gradient descent on the margin inside the ball, its own small attack; returns the smallest margin met."""
    delta, best = torch.zeros_like(around.x), None
    for step in range(steps):
        delta.requires_grad_()
        logits = net(around.x + delta)
        own = logits.gather(1, y[:, None])[:, 0]
        margin = own - logits.scatter(1, y[:, None], -math.inf).amax(1)
        best = margin.detach() if best is None else torch.minimum(best, margin.detach())
        (slope,) = torch.autograd.grad(margin.sum(), delta)
        flat = slope.flatten(1)
        if norm == "linf":
            move = flat.sign()
        elif norm == "l2":
            move = flat / flat.norm(dim=1, keepdim=True).clamp_min(1e-12)
        else:
            move = torch.zeros_like(flat).scatter_(1, flat.abs().argmax(1, keepdim=True), 1.0) * flat.sign()
        delta = delta.detach() - (2.0 * around.eps / (1 + step / 4)) * move.reshape(slope.shape)
        delta = torch.maximum(torch.minimum(around.x + delta, around.high), around.low) - around.x
        size = torch.linalg.vector_norm(delta.flatten(1), ord={"linf": math.inf, "l2": 2, "l1": 1}[norm], dim=1)
        delta = delta * (around.eps / size.clamp_min(1e-12)).clamp_max(1).reshape(-1, 1, 1, 1)
    return best


@pytest.mark.parametrize("name", ["mlp", "cnn", "overlapping", "residual", "joined"])
@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.03), ("l2", 0.15), ("l1", 0.4)])
def test_no_bound_exceeds_an_attack_and_every_sample_lies_inside(trained, digits, name, norm, eps):
    net = trained[name].double()
    x, y = digits[0][1500:1512].double(), digits[1][1500:1512]
    graph, around = read(net, x), ball(x, norm, eps, (0.0, 1.0))
    met = steepest(net, around, y, norm)
    dice = torch.Generator().manual_seed(0)
    samples = []
    for k in range(60):
        u = torch.rand(x.shape, generator=dice, dtype=torch.float64)
        step = (
            torch.maximum(torch.minimum((2 * u - 1).sign() if k % 2 else 2 * u - 1, (around.high - x) / eps), (around.low - x) / eps) * eps
        )
        size = torch.linalg.vector_norm(step.flatten(1), ord={"linf": math.inf, "l2": 2, "l1": 1}[norm], dim=1)
        samples.append(graph.forward(x + step * (eps / size).clamp_max(1).reshape(-1, 1, 1, 1)))
    previous = None
    for method in METHODS:
        bound = margins(graph, around, y, method, steps=5).amin(1)
        assert (bound <= met + 1e-9).all()
        if previous is not None:
            assert (bound >= previous - 1e-9).all() or method == "crown"  # only crown's boxes may change the slopes chosen
        previous = bound
        low, high = output_bounds(graph, around, method)
        for logits in samples:
            assert (logits >= low - 1e-9).all()
            assert (logits <= high + 1e-9).all()
    trained[name].float()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("method", METHODS)
def test_a_linear_net_is_bounded_exactly(norm, method):
    """For logits W x + b the smallest margin in the ball is (w_y - w_j) x + b_y - b_j - eps |w_y - w_j| in the dual norm (Hoelder)."""
    torch.manual_seed(2)
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 7), nn.Linear(7, 5)).double()
    x, y, eps = torch.randn(6, 3, 4, dtype=torch.float64), torch.arange(6) % 5, 0.37
    found = margins(read(net, x), ball(x, norm, eps, None), y, method)
    weight, bias = net[2].weight @ net[1].weight, net[2].bias + net[2].weight @ net[1].bias
    c = contrasts(y, 5, x)
    dual = {"linf": 1, "l2": 2, "l1": math.inf}[norm]
    exact = c @ (x.flatten(1) @ weight.T + bias).unsqueeze(2) - eps * torch.linalg.vector_norm(c @ weight, ord=dual, dim=2, keepdim=True)
    if method == "ibp" and norm != "linf":
        assert (found <= exact[:, :, 0] + 1e-9).all()  # without a nonlinear layer there is nothing that intervals would stop at
    assert torch.allclose(found, exact[:, :, 0], atol=1e-9)


def test_the_minimum_over_a_cut_ball_is_the_brute_force_minimum():
    a, x = torch.tensor([[[1.0, -2.0]]], dtype=torch.float64), torch.tensor([[0.1, 0.5]], dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(*[torch.linspace(0, 1, 1001, dtype=torch.float64)] * 2, indexing="ij"), -1).reshape(-1, 2)
    for norm, order in (("linf", math.inf), ("l2", 2), ("l1", 1)):
        inside = grid[torch.linalg.vector_norm(grid - x, ord=order, dim=1) <= 0.3 + 1e-9]
        brute, bound = float((inside @ a[0, 0]).min()), float(ball(x, norm, 0.3, (0.0, 1.0)).minimum(a))
        assert bound <= brute + 1e-9
        assert bound >= brute - 4e-3
    # cut by the range: x1 can fall by 0.1 only, and the l2 ball then lets x2 rise by sqrt(0.09 - 0.01)
    exact = (0.1 - 0.1) - 2 * (0.5 + math.sqrt(0.08))
    assert float(ball(x, "l2", 0.3, (0.0, 1.0)).minimum(a)) == pytest.approx(exact, abs=1e-6)


def test_a_small_net_worked_out_by_hand():
    """relu(x1 + x2) - relu(x1 - x2) around (0, 0.25), linf 0.25: the minimum is 0; the relaxation's bounds follow by hand.

    Pre-activations lie in [-0.25, 0.75] and [-0.75, 0.25]. Intervals give 0 - 0.25. CROWN: the first unit from below by z (its larger
    part is positive), the second from above by (z + 0.75) / 4: x1 + x2 - (x1 - x2 + 0.75) / 4, at x1 = -0.25, x2 = 0: -0.375, so that
    intervals are kept.
    """
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False)).double()
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.0, 1.0], [1.0, -1.0]]))
        net[2].weight.copy_(torch.tensor([[1.0, -1.0]]))
    x, y = torch.tensor([[0.0, 0.25]], dtype=torch.float64), torch.tensor([1])
    graph, around = read(net, x), ball(x, "linf", 0.25, None)
    assert float(margins(graph, around, y, "ibp")) == pytest.approx(-0.25)
    assert float(margins(graph, around, y, "crown")) == pytest.approx(-0.25)
    best = float(margins(graph, around, y, "alpha-crown", steps=50))
    assert -0.25 <= best <= 0.0 + 1e-9
    inside = ball(torch.tensor([[1.0, 0.5]], dtype=torch.float64), "linf", 0.2, None)  # both units on: the net is 2 x2 there
    assert float(margins(graph, inside, y, "ibp")) == pytest.approx(1.1 - 0.9)
    assert float(margins(graph, inside, y, "crown")) == pytest.approx(2 * 0.3)


def test_the_certificate_counts_and_spends_the_dear_methods_on_open_images_only(trained, digits):
    x, y = digits[0][1500:1560], digits[1][1500:1560]
    net = trained["mlp"]
    found = certify(net, x, y, eps=0.03)
    alone = certify(net, x, y, eps=0.03, methods=["crown"])
    assert sum(found.resolved.values()) == sum(found.certified) == round(found.accuracy * 60)
    assert found.accuracy >= alone.accuracy > 0.2
    assert found.correct == int((net(x).argmax(1) == y).sum())
    assert (found.low, found.high) == clopper_pearson(sum(found.certified), 60)
    assert found.at_least >= found.low
    assert certify(net, x, y, eps=0.0).accuracy == found.correct / 60
    wrong = certify(net, x, (y + 1) % 10, eps=0.03)
    assert wrong.accuracy <= 0.1
    assert net.training is False
    assert next(net.parameters()).dtype == torch.float32


def test_a_net_with_one_output_is_read_as_two_classes():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1))
    x = torch.rand(50, 3)
    y = (net(x)[:, 0] > 0).long()
    assert certify(net, x, y, eps=1e-6).accuracy >= 0.9
    assert certify(net, x, 1 - y, eps=1e-6).accuracy == 0.0


def test_a_model_left_in_training_mode_is_certified_as_it_will_run(trained, digits):
    x, y = digits[0][1500:1510], digits[1][1500:1510]
    net = trained["residual"]
    expected = certify(net, x, y, eps=0.01, methods=["crown-ibp"])
    net.train()
    assert certify(net, x, y, eps=0.01, methods=["crown-ibp"]) == expected
    assert net.training
    net.eval()


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Sigmoid()), "'Sigmoid'"),
        (Branching(), "cannot be listed"),
        (nn.Sequential(nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular"), nn.Flatten(), nn.Linear(128, 10)), "circular"),
        (nn.Sequential(nn.Flatten(), nn.Softmax(1), nn.Linear(64, 10)), "softmax"),
        (nn.Conv2d(1, 2, 3), "shape"),
    ],
)
def test_what_cannot_be_certified_is_said_in_one_line(model, says):
    with pytest.raises(InputError, match=says):
        certify(model, torch.rand(2, 1, 8, 8), torch.tensor([0, 1]), eps=0.1)


def test_wrong_arguments_are_named(trained, digits):
    x, y = digits[0][:4], digits[1][:4]
    net = trained["mlp"]
    for changed, error, says in (
        ({"norm": "l3"}, UnknownName, "norm"),
        ({"methods": ["corwn"]}, UnknownName, "did you mean"),
        ({"eps": -1.0}, InputError, "eps"),
        ({"valid": (0.0, 0.5)}, InputError, "valid range"),
        ({"y": y[:2]}, InputError, "labels"),
        ({"y": y + 50}, InputError, "labels"),
    ):
        arguments = {"y": y, "eps": 0.1, **changed}
        with pytest.raises(error, match=says):
            certify(net, x, arguments.pop("y"), **arguments)


def test_the_engines_strongest_attack_never_breaks_a_certified_image(trained, digits):
    from bartizan.areas.evasion.api import attack
    from bartizan.areas.evasion.result import Outcome

    x, y = digits[0][1500:1560], digits[1][1500:1560]
    for name, norm, eps in (("mlp", "linf", 0.04), ("cnn", "linf", 0.03), ("mlp", "l2", 0.2), ("residual", "linf", 0.015)):
        proved = certify(trained[name], x, y, norm=norm, eps=eps)
        tried = attack(trained[name], x, y, norm=norm, eps=eps, diagnose=False).at[-1]
        assert proved.accuracy <= tried.robust_accuracy
        for sure, outcome in zip(proved.certified, tried.outcomes, strict=True):
            assert not sure or outcome is Outcome.ROBUST
