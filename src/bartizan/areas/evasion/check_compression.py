"""The check that a net keeps the robustness of the net from which it was pruned, quantised, distilled or tuned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bartizan.areas.evasion.net_files import is_net
from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.errors import InputError
from bartizan.model.findings import Artefact, Attacker, Finding, Job, Knowledge, Measure, Severity, Verdict, about_of
from bartizan.model.system import Asset, Kind, Phase

if TYPE_CHECKING:
    from bartizan.areas.evasion.defences.drop import Comparison, DropRuling
    from bartizan.areas.evasion.result import Result


def _derived(node: Asset, _: Any) -> bool:
    return bool(node.compressed or node.fine_tuned) and is_net(node)


@check(
    "evasion.compression",
    threats=["lost-robustness"],
    kinds={Kind.MODEL},
    phases={Phase.DEVELOPMENT},
    controls=["compression-retest"],
    extra="torch",
    cost=Cost.SLOW,
    reads=["produced_by", "used", "training_sets", "test_sets"],
    applies=_derived,
)
def compression(
    job: Job,
    target: Asset,
    *,
    eps: float = 0.03,
    norm: str = "linf",
    tolerance: float = 0.02,
    images: int = 300,
    mean: str = "",
    std: str = "",
) -> Iterator[Finding]:
    """Accuracy and robust accuracy of a compressed or tuned net beside those of the net it comes from.

    The original is the model named as `base_model`, or used by the net or by the pipeline that produces it. Both are attacked by the margin
    cascade on the same test inputs, the derived one also by what broke the original. Fails where more than `tolerance` of the inputs lose
    their robustness beyond chance (exact McNemar test), whatever the accuracy without attack did.

    eps: the radius, in ranges of all pixels for pictures, in standard deviations of each column for rows
    norm: linf, l2 or l1
    tolerance: the share of test inputs whose robustness may be lost
    images: the most test inputs that are attacked
    mean: what is taken off each channel before both nets, numbers separated by commas
    std: by what each channel is divided before both nets
    """
    import msgspec

    from bartizan.areas.evasion.api import attack
    from bartizan.areas.evasion.defences.drop import Comparison, drop_gate, version
    from bartizan.areas.evasion.net_findings import radius_of
    from bartizan.areas.evasion.net_inputs import net_subject

    norm = radius_of(eps, norm, target)
    original = ancestor(job, target)
    same = msgspec.structs.replace(original, tested_on=target.tested_on, trained_on=target.trained_on)
    nets = [net_subject(job, asset, images, mean=mean, std=std) for asset in (same, target)]
    results = [
        attack(net.net, net.x, net.y, eps=[eps / 2, eps], norm=norm, bounds=net.bounds, seed=job.seed, confidence=job.confidence)
        for net in nets
    ]
    before = [one == "robust" for one in results[0].at[-1].outcomes]
    carried = (nets[1].decisions(results[0].at[-1].adversarial) == nets[1].y).tolist()
    after = [one == "robust" and bool(stands) for one, stands in zip(results[1].at[-1].outcomes, carried, strict=True)]
    doubts = ["" if one.trust.ok else str(one.trust) for one in results]
    rows = (
        version(original.id, results[0].clean, before, before, doubts[0]),
        version(target.id, results[1].clean, before, after, doubts[1]),
    )
    table = Comparison(before=rows[0], after=rows[1:], eps=eps, norm=norm)
    (ruling,) = drop_gate(table, tolerance=tolerance, confidence=job.confidence)
    for threat, asset in about_of(job):
        yield _finding(job, (threat, asset), table, ruling, results, tolerance)


def ancestor(job: Job, target: Asset) -> Asset:
    """The declared model that `target` was made from. Raises `InputError` where none or more than one could be it."""
    models = [node for node in job.related if isinstance(node, Asset) and node.kind is Kind.MODEL]
    named = [node for node in models if node.id == target.base_model]
    direct = [node for node in models if node.id in (target.uses or ())]
    found = named or direct or models
    if len(found) != 1:
        cure = f"declare uses: [the original] on '{target.id}', or a pipeline that uses the original and produces '{target.id}'"
        what = (
            f"the net that '{target.id}' comes from is not declared" if not found else f"'{target.id}' could come from {len(found)} models"
        )
        raise InputError(what, place=target.at, cure=cure)
    return found[0]


def _finding(job: Job, about: tuple[str, str], table: Comparison, ruling: DropRuling, results: list[Result], tolerance: float) -> Finding:
    from bartizan.areas.evasion.net_findings import spent

    old, new = table.before, table.after[0]
    return Finding(
        check=job.check, asset=about[1], threat=about[0], verdict=ruling.verdict,
        severity=Severity.MEDIUM if ruling.verdict is Verdict.FAIL else Severity.INFO,
        title=f"robust accuracy {old.robust.value:.1%} before, {new.robust.value:.1%} after ({table.norm} {table.eps:g}); "
        f"without attack {old.clean.value:.1%} before, {new.clean.value:.1%} after",
        why=f"'{new.name}' against '{old.name}' on the same {new.clean.n} test inputs: {ruling.why}. "
        f"The tolerated drop is {tolerance:.1%} of the inputs.",
        remedy=_remedy(ruling.verdict),
        measures=tuple(_measures(job, table, tolerance)),
        attacker=Attacker(knowledge=Knowledge.WHITE_BOX, budget={table.norm: table.eps}),
        artefacts=(_drawn(table, results),),
        details=spent(results[1]) | {"table": str(table).splitlines(), "original": spent(results[0]), "p": round(ruling.p, 6)},
    )  # fmt: skip


def _measures(job: Job, table: Comparison, tolerance: float) -> Iterator[Measure]:
    from bartizan.areas.evasion.net_findings import share

    old, new = table.before, table.after[0]
    yield share(
        job, "inputs that only the original keeps", new.lost, new.clean.n, limit=tolerance, higher_is_worse=True, role="attack-success",
        null=new.gained / new.clean.n, method="Clopper-Pearson; the null is the share that only the derived net keeps",
    )  # fmt: skip
    for name, row in (("the original", old), ("the derived net", new)):
        yield share(job, f"accuracy of {name} without attack", row.clean.k, row.clean.n)
        yield share(job, f"robust accuracy of {name}, at most", row.robust.k, row.robust.n)


def _drawn(table: Comparison, results: list[Result]) -> Artefact:
    from bartizan.areas.evasion.pictures import curve

    names = (f"before: {table.before.name}", f"after: {table.after[0].name}")
    lines = [(name, one.curve()) for name, one in zip(names, results, strict=True)]
    return Artefact(name="accuracy-by-radius.svg", media_type="image/svg+xml", data=curve(lines, across=f"radius ({table.norm})"))


def _remedy(verdict: Verdict) -> str:
    if verdict is Verdict.PASS:
        return ""
    if verdict is Verdict.INCONCLUSIVE:
        return "Declare more test inputs (tested_on), raise images, and run again."
    return "Compress less, or go on with adversarial training of the compressed net; ship the original until the table agrees."
