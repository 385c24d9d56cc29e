"""Hardening a declared model: measure it, make a new one, write it, measure that, and judge what became of its robustness.

The original file is never touched. What is measured is the model as read back from the new file, on the declared test set, by the attack
of the check `evasion.white_box` with the radius that the manifest sets for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bartizan.adapters import model_files
from bartizan.areas import evasion
from bartizan.engine import planner, registry
from bartizan.engine.parameters import parameters_of
from bartizan.model.errors import InputError, UnknownName
from bartizan.model.findings import Job
from bartizan.model.system import Asset, Dataset, Kind
from bartizan.workflows.project import Project

CHECK = "evasion.white_box"
"""The check whose attack and radius measure every version."""


@dataclass(frozen=True)
class Measuring:
    """How versions are measured and judged: radius and norm (None: those that the manifest sets), rows, tolerated drop, seed."""

    eps: float | None = None
    norm: str | None = None
    rows: int = 500
    tolerance: float = 0.02
    seed: int = 0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What hardening came to: the table, the verdict on each version, how it was attacked, the file that was written."""

    asset: str
    method: str
    eps: float
    norm: str
    attack: str
    table: Any
    rulings: tuple[Any, ...]
    written: str | None = None
    uri: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Did the version that counts (the one written, else any) lose robustness?"""
        return any(ruling.verdict == "fail" for ruling in self.rulings)


Tell = Callable[[str], None]
"""Hears one line of progress at a time."""


class Subject:
    """A declared model with its problem (see `tabular_whitebox.Problem`), and what measures it."""

    def __init__(self, project: Project, asset: str | None, measuring: Measuring) -> None:
        self.asset = model_of(project, asset)
        check = registry.load()[CHECK]
        values = parameters_of(check, project.system.appetite, None)
        self.eps = float(values["eps"] if measuring.eps is None else measuring.eps)
        self.norm = str(values["norm"] if measuring.norm is None else measuring.norm)
        self.measuring = measuring
        self.root = project.root
        related = tuple(node for node in project.system.datasets if isinstance(node, Dataset))
        seed = planner.seed_of(measuring.seed, CHECK, self.asset.id)
        job = Job(
            check=CHECK,
            version=check.version,
            threats=check.threats,
            subject=self.asset,
            related=related,
            seed=seed,
            root=str(project.root),
        )
        if not self.eps > 0.0 or measuring.rows < 1:
            raise InputError(f"eps={self.eps} and rows={measuring.rows}", cure="both must be positive")
        self.problem = evasion.declared_problem(job, self.asset, self.norm, measuring.rows)
        self.seed = seed

    @property
    def estimator(self) -> Any:
        """The model as it is."""
        return self.problem.prepared.estimator

    def report(self, method: str, versions: dict[str, Any], written: Path | None, notes: tuple[str, ...] = ()) -> Report:
        """Measure and judge `versions` beside the original."""
        table, attack = evasion.compare_estimators(self.problem, versions, self.eps, self.seed)
        rulings = evasion.drop_gate(table, tolerance=self.measuring.tolerance)
        return Report(
            asset=self.asset.id, method=method, eps=self.eps, norm=self.norm, attack=attack, table=table, rulings=rulings,
            written=None if written is None else str(written), uri=self._uri(written), notes=notes,
        )  # fmt: skip

    def _uri(self, written: Path | None) -> str | None:
        """The new file as the manifest would name it, where it lies below the manifest."""
        if written is None or not written.resolve().is_relative_to(self.root.resolve()):
            return None
        return written.resolve().relative_to(self.root.resolve()).as_posix()


def model_of(project: Project, asset: str | None) -> Asset:
    """The declared model called `asset`; the only one where none is named. Raises `UnknownName`, or `InputError` with the names."""
    models = {node.id: node for node in project.system.assets if node.kind is Kind.MODEL}
    if asset is not None:
        if asset not in models:
            raise UnknownName("model", asset, list(models), place=project.manifest.name)
        return models[asset]
    if len(models) != 1:
        cure = f"name one with --asset: {', '.join(models)}" if models else "declare one"
        raise InputError(f"declares {len(models)} models", place=project.manifest.name, cure=cure)
    return next(iter(models.values()))


@dataclass(frozen=True)
class Target:
    """Where the new model goes; `checkpoint` keeps an unfinished training (None: beside `path`)."""

    path: Path
    force: bool = False
    checkpoint: Path | None = None

    @property
    def kept(self) -> Path:
        """Where an unfinished training is kept."""
        return self.checkpoint or self.path.with_name(f".{self.path.name}.checkpoint")


def adversarial_training(
    project: Project, asset: str | None, target: Target, measuring: Measuring, tell: Tell, *, rounds: int | None = None,
    widen: int = 2, margin: float = 1.2,
) -> Report:  # fmt: skip
    """Train the model anew on examples against itself, write it, and compare both. On Ctrl-C the next call goes on from the checkpoint."""
    subject = Subject(project, asset, measuring)
    model_files.check_target(target.path, boosted=model_files.is_boosted(subject.estimator), force=target.force)
    training = evasion.Training(eps=subject.eps, margin=margin, rounds=rounds, widen=widen, seed=measuring.seed)

    def heard(seen: Any) -> None:
        tell(f"round {seen.number}: {seen.clean:.1%} right, {seen.robust:.1%} under attack, on training rows set aside")

    made = evasion.harden_declared(subject.problem, training, progress=heard, checkpoint=target.kept)
    tell("writing and attacking both models")
    written = model_files.save_classifier(made.model, target.path, force=target.force)
    target.kept.unlink(missing_ok=True)
    notes = (f"best of {len(made.rounds)} rounds: {made.rounds[made.best].number}, by the training rows set aside",)
    return subject.report("adversarial-training", {"hardened": written}, target.path, notes)


def compression(
    project: Project, asset: str | None, target: Target | None, measuring: Measuring, tell: Tell, *, keep: str | None = None
) -> Report:
    """Compare the versions of the model that compression gives; write the one that `keep` names to `target`."""
    subject = Subject(project, asset, measuring)
    versions = evasion.compressed_estimators(subject.estimator)
    if (keep is None) != (target is None):
        raise InputError("a version and a file belong together", cure="give both --keep and -o, or neither")
    path = None
    if keep is not None and target is not None:
        if keep not in versions:
            raise UnknownName("version", keep, list(versions))
        path = target.path
        versions = {keep: model_files.save_classifier(versions[keep], path, force=target.force)}
    tell(f"attacking the original and {len(versions)} versions")
    return subject.report("compression", versions, path)
