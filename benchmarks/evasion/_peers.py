"""One function for each attack of each tool, all alike: (model, x, y, eps) to adversarial images. Run inside the peers' environment."""

from __future__ import annotations

import importlib
import sys
import types
from pathlib import Path
from typing import Any


def art_classifier(model: Any, x: Any) -> Any:
    """The model as ART wants it."""
    import torch
    from art.estimators.classification import PyTorchClassifier

    loss = torch.nn.CrossEntropyLoss()
    return PyTorchClassifier(model, loss=loss, input_shape=tuple(x.shape[1:]), nb_classes=10, clip_values=(0.0, 1.0), device_type="cpu")


def art_autoattack(model: Any, x: Any, y: Any, eps: float) -> Any:
    """ART's AutoAttack with its standard list: PGD, APGD on two losses, DeepFool, Square."""
    import torch
    from art.attacks.evasion import AutoAttack

    attack = AutoAttack(art_classifier(model, x), eps=eps, eps_step=eps / 4, batch_size=128)
    return torch.tensor(attack.generate(x.numpy(), y.numpy()))


def official_autoattack(model: Any, x: Any, y: Any, eps: float) -> Any:
    """The standard version of AutoAttack by its authors (Croce, Hein, 2020), as PyPI's pyautoattack ships it."""
    from pyautoattack import AutoAttack

    found = AutoAttack(model, eps=eps, seed=0).run_standard_evaluation(x, y, batch_size=len(x))
    return found[0] if isinstance(found, tuple) else found


def torchattacks_autoattack(model: Any, x: Any, y: Any, eps: float) -> Any:
    """torchattacks' AutoAttack, standard version (10 steps a stage by its default)."""
    import torchattacks

    return torchattacks.AutoAttack(model, eps=eps, seed=0)(x, y)


def _adv_lib(name: str) -> Any:
    """A module of adv_lib.attacks without its front page, which loads torchvision for attacks on colours, and without its plotter."""
    package = importlib.import_module("adv_lib")
    if "adv_lib.attacks" not in sys.modules:
        sys.modules.setdefault("visdom", types.ModuleType("visdom"))
        front = types.ModuleType("adv_lib.attacks")
        front.__path__ = [str(Path(package.__path__[0]) / "attacks")]
        sys.modules["adv_lib.attacks"] = front
    return importlib.import_module(f"adv_lib.attacks.{name}")


def adv_lib_apgd(model: Any, x: Any, y: Any, eps: float) -> Any:
    """adv-lib's APGD on the cross-entropy, then targeted at every class: AutoAttack's two white-box stages that break nearly all."""
    import torch

    module, found = _adv_lib("auto_pgd"), x.clone()
    for attack, options in ((module.apgd, {"loss_function": "ce"}), (module.apgd_targeted, {})):
        with torch.no_grad():
            left = (model(found).argmax(1) == y).nonzero()[:, 0]
        if len(left):
            found[left] = attack(model, x[left], y[left], eps=eps, norm=float("inf"), **options).detach()
    return found


def art_pgd(model: Any, x: Any, y: Any, eps: float) -> Any:
    import torch
    from art.attacks.evasion import ProjectedGradientDescentPyTorch

    attack = ProjectedGradientDescentPyTorch(
        art_classifier(model, x), eps=eps, eps_step=eps / 10, max_iter=40, batch_size=128, verbose=False
    )
    return torch.tensor(attack.generate(x.numpy(), y.numpy()))


def foolbox_pgd(model: Any, x: Any, y: Any, eps: float) -> Any:
    import foolbox

    attack = foolbox.attacks.LinfPGD(abs_stepsize=eps / 10, steps=40)
    return attack(foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu"), x, y, epsilons=eps)[1]


def torchattacks_pgd(model: Any, x: Any, y: Any, eps: float) -> Any:
    import torchattacks

    return torchattacks.PGD(model, eps=eps, alpha=eps / 10, steps=40)(x, y)


def adv_lib_pgd(model: Any, x: Any, y: Any, eps: float) -> Any:
    return _adv_lib("projected_gradient_descent").pgd_linf(model, x, y, eps, steps=40, absolute_step_size=eps / 10)


def ours(model: Any, x: Any, y: Any, eps: float) -> Any:
    """The margin cascade with its defaults, diagnostics included."""
    from bartizan import evasion

    return evasion.attack(model, x, y, eps=eps).adversarial


def our_pgd(model: Any, x: Any, y: Any, eps: float) -> Any:
    """PGD alone, 40 steps."""
    from bartizan import evasion

    return evasion.attack(model, x, y, eps=eps, strategy="pgd", steps=40).adversarial


AUTOATTACKS = {
    "autoattack": official_autoattack, "art": art_autoattack, "torchattacks": torchattacks_autoattack, "adv-lib apgd": adv_lib_apgd,
}  # fmt: skip
PGDS = {"art": art_pgd, "foolbox": foolbox_pgd, "torchattacks": torchattacks_pgd, "adv-lib": adv_lib_pgd}
