"""Hardening a declared model: measure it, make a new one, write it, measure that, and judge what became of its robustness.

The original file is never touched. What is measured is the model as read back from the new file, on the declared test set, by the attack
and with the radius that the manifest sets for the white-box check of such models.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bartizan.areas import evasion
from bartizan.areas.evasion.net_files import is_net
from bartizan.engine import planner, registry
from bartizan.engine.parameters import parameters_of
from bartizan.model.errors import InputError, Refused, UnknownName
from bartizan.model.findings import Job, Verdict
from bartizan.model.system import Asset, Kind
from bartizan.workflows.project import Project

TABLES, NETS = "evasion.white_box", "evasion.white_box_net"
"""The checks whose attack, radius and norm measure every version."""


@dataclass(frozen=True)
class Wanted:
    """Which model, how it is attacked (None: as the manifest sets), how much robust accuracy may be lost, and the seed."""

    asset: str | None = None
    eps: float | None = None
    norm: str | None = None
    rows: int = 500
    tolerance: float = 0.02
    seed: int = 0


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

    def check(self, endings: tuple[str, ...]) -> None:
        """Can it be written? Raises `InputError` for a wrong ending, a missing folder, or a file that is there already."""
        place = str(self.path)
        if self.path.suffix.lower() not in endings:
            raise InputError("has another ending than this model needs", place=place, cure="end its name with " + " or ".join(endings))
        if not self.path.parent.is_dir():
            raise InputError("the folder is not there", place=str(self.path.parent), cure="make it first")
        if self.path.exists() and (self.path.is_dir() or not self.force):
            raise InputError("is there already", place=place, cure="choose another name, or --force to replace it")

    def write(self, endings: tuple[str, ...], save: Callable[[Path], Any]) -> Any:
        """Have `save` write beside the place, then move it there: whole or not at all."""
        part = self.path.with_name(f".{self.path.stem}.part{self.path.suffix}")
        try:
            written = save(part)
            self.check(endings)
            part.replace(self.path)
        finally:
            part.unlink(missing_ok=True)
        return written


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What it came to: the table, the verdict on each version, how it was attacked, and the file that was written."""

    asset: str
    method: str
    eps: float
    norm: str
    attack: str
    table: Any
    rulings: tuple[Any, ...]
    written: str | None = None
    uri: str | None = None
    note: str = ""

    @property
    def failed(self) -> bool:
        """Did a version lose robustness, or a sanitiser gain none?"""
        return any(ruling.verdict is Verdict.FAIL for ruling in self.rulings)


def adversarial_training(
    project: Project, wanted: Wanted, target: Target, training: dict[str, Any], tell: Callable[[str], None]
) -> Report:  # fmt: skip
    """Train the model anew on examples against itself, write it, and compare both. On Ctrl-C the next call goes on from the checkpoint.

    `training`: the fields of `bartizan.evasion.Training`.
    """
    how = evasion.Training(seed=wanted.seed, **training)
    asset, measuring, model = _subject(project, wanted)
    _keep_original(project, asset, target)
    target.check(model.endings)
    made, note = model.harden(how, tell, target.kept)
    tell("writing and attacking the new model")
    written = target.write(model.endings, lambda path: model.save(made, path))
    target.kept.unlink(missing_ok=True)
    return _report(project, "adversarial-training", (asset, measuring, model), {"hardened": written}, wanted, target.path, note)


def compression(project: Project, wanted: Wanted, target: Target | None, keep: str | None, tell: Callable[[str], None]) -> Report:
    """Compare the versions of the model that compression gives; write the one that `keep` names to `target`."""
    if (keep is None) != (target is None):
        raise InputError("a version and a file belong together", cure="give both --keep and -o, or neither")
    asset, measuring, model = _subject(project, wanted)
    versions = model.versions()
    if keep is not None and target is not None:
        if keep not in versions:
            raise UnknownName("version", keep, list(versions))
        _keep_original(project, asset, target)
        target.check(model.endings)
        kept = versions[keep]
        versions = {keep: target.write(model.endings, lambda path: model.save(kept, path))}
    tell(f"attacking {len(versions)} versions")
    return _report(project, "compression", (asset, measuring, model), versions, wanted, target.path if target else None)


def sanitisation(project: Project, wanted: Wanted, sanitiser: str, tell: Callable[[str], None]) -> Report:
    """Compare the bare net with the net behind `sanitiser`, under an attack that ignores it and one that knows it; judge the latter."""
    asset, measuring, model = _subject(project, wanted)
    tell(f"attacking '{asset.id}' behind {sanitiser}")
    table = model.behind(sanitiser)
    return Report(
        asset=asset.id, method="sanitisation", eps=measuring.eps, norm=measuring.norm, attack=model.attack, table=table,
        rulings=(evasion.gain_gate(table.before, table.after[-1]),), note="Only what stands under the adaptive attack is a claim.",
    )  # fmt: skip


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


def _keep_original(project: Project, asset: Asset, target: Target) -> None:
    """No method replaces the model that it starts from, whatever `force` says. Raises `Refused`."""
    original = project.root / asset.uri if asset.uri and "://" not in asset.uri else None
    if original is not None and original.exists() and target.path.exists() and target.path.samefile(original):
        raise Refused(f"is the model '{asset.id}' itself, which stays as it is", place=str(target.path), cure="choose another name")


def _subject(project: Project, wanted: Wanted) -> tuple[Asset, Any, Any]:
    """The declared model, how it is measured, and the model loaded and measured."""
    asset = model_of(project, wanted.asset)
    check = registry.load()[NETS if is_net(asset) else TABLES]
    values = parameters_of(check, project.system.appetite, None)
    seed = planner.seed_of(wanted.seed, check.id, asset.id)
    asked = {name: value for name, value in (("eps", wanted.eps), ("norm", wanted.norm)) if value is not None}
    named = {name: values[name] for name in ("eps", "norm", "mean", "std") if name in values}
    measuring = evasion.Measuring(rows=wanted.rows, **(named | asked))
    job = Job(
        check=check.id, version=check.version, threats=check.threats, subject=asset, related=project.system.datasets, seed=seed,
        root=str(project.root),
    )  # fmt: skip
    return asset, measuring, evasion.declared_model(job, asset, measuring)


def _report(
    project: Project, method: str, subject: tuple[Asset, Any, Any], versions: dict[str, Any], wanted: Wanted, written: Path | None,
    note: str = "",
) -> Report:  # fmt: skip
    """Measure and judge `versions` beside the original."""
    asset, measuring, model = subject
    table = model.compare(versions)
    root, uri = project.root.resolve(), None
    if written is not None and written.resolve().is_relative_to(root):
        uri = written.resolve().relative_to(root).as_posix()
    return Report(
        asset=asset.id, method=method, eps=measuring.eps, norm=measuring.norm, attack=model.attack, table=table,
        rulings=evasion.drop_gate(table, tolerance=wanted.tolerance), written=None if written is None else str(written), uri=uri, note=note,
    )  # fmt: skip
