"""Ensembles of models as a defence: one model to call, and its worth under an attack on one member and under one on all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import torch
from torch import Tensor, nn

from bartizan.areas.evasion.defences.inner import Evaluating, Threat
from bartizan.areas.evasion.defences.measuring import Attack, Rate, attacked, own_attack, rate, stands
from bartizan.model.errors import InputError, UnknownName

RULES = ("probabilities", "logits", "vote")


class Ensemble(nn.Module):
    """Several classifiers of the same classes (K >= 2 logits each) that answer as one.

    `rule`: the logarithm of the mean probability, the mean logit, or the share of votes; a vote has the gradient of the mean probability.
    """

    def __init__(self, members: Sequence[nn.Module], rule: str = "probabilities") -> None:
        super().__init__()
        if not members:
            raise InputError("an ensemble needs a member", place="ensemble")
        if rule not in RULES:
            raise UnknownName("rule", rule, RULES)
        self.members, self.rule = nn.ModuleList(members), rule

    def forward(self, x: Tensor) -> Tensor:
        """Scores (B, K) of inputs (B, ...)."""
        each = torch.stack([member(x) for member in self.members])
        if self.rule == "logits":
            return each.mean(0)
        mean = each.log_softmax(2).logsumexp(0) - math.log(len(each))
        if self.rule == "probabilities":
            return mean
        shares = nn.functional.one_hot(each.argmax(2), each.shape[2]).to(each.dtype).mean(0)
        votes = (shares + 1e-3 * mean.exp()).clamp_min(1e-9).log()  # a tie goes to the larger probability
        return mean + (votes - mean).detach()


class EnsembleMeasure(msgspec.Struct, frozen=True, kw_only=True):
    """An ensemble beside its members, all on the same images.

    `members`: robust accuracy of each under the attack on itself. `naive`: the ensemble facing the examples made for its first member.
    `adaptive`: facing the attack on the ensemble and those on every member; only this is a claim.
    """

    clean: Rate
    members: tuple[Rate, ...]
    naive: Rate
    adaptive: Rate


def measure_ensemble(ensemble: Ensemble, x: Tensor, y: Tensor, threat: Threat, *, attack: Attack = own_attack) -> EnsembleMeasure:
    """Measure an ensemble on images `x` (N, ...) with labels `y` (N,)."""
    with Evaluating(ensemble):
        clean = stands(ensemble, x, y)
        alone, surviving, naive = [], clean.clone(), clean.clone()
        for at, member in enumerate(ensemble.members):
            examples = attacked(member, x, y, threat, attack)
            alone.append(rate(stands(member, x, y) & stands(member, examples, y)))
            surviving &= stands(ensemble, examples, y)
            naive = surviving.clone() if at == 0 else naive
        todo = torch.nonzero(surviving).flatten()
        if len(todo):
            surviving[todo] = stands(ensemble, attacked(ensemble, x[todo], y[todo], threat, attack), y[todo])
    return EnsembleMeasure(clean=rate(clean), members=tuple(alone), naive=rate(naive), adaptive=rate(surviving))
