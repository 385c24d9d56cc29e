"""Findings for what could not be run: verdict `unknown`, the reason, and the command that would make it run."""

from __future__ import annotations

import traceback
from enum import StrEnum
from pathlib import Path
from typing import Any

from bartizan.model.errors import MAX_TEXT, one_line
from bartizan.model.findings import Finding, Job, Verdict, about_of


class Reason(StrEnum):
    """Why a job has no answer; stands in `details["reason"]` of its findings."""

    MISSING_EXTRA = "missing-extra"
    NO_TARGET = "no-target"
    REFUSED = "refused"
    ERROR = "error"
    TIME = "time"
    MEMORY = "memory"
    CRASH = "crash"
    INVALID = "invalid-finding"
    SILENT = "no-finding"


def again(job: Job, *options: str) -> str:
    """The command that runs this job alone once more."""
    return " ".join(("bartizan assess --only", f"{job.check}@{job.subject.id}", *options))


def unknown(
    job: Job,
    reason: Reason,
    title: str,
    *,
    why: str = "",
    remedy: str | None = None,
    pairs: tuple[tuple[str, str], ...] | None = None,
    **details: Any,
) -> tuple[Finding, ...]:
    """One finding `unknown` for each (threat, asset) of `pairs`, by default all that the job is about."""
    return tuple(
        Finding(
            check=job.check,
            asset=asset,
            threat=threat,
            verdict=Verdict.UNKNOWN,
            title=one_line(title),
            why=one_line(why),
            remedy=f"run it again: {again(job)}" if remedy is None else remedy,
            details={"reason": reason.value, **details},
        )
        for threat, asset in (about_of(job) if pairs is None else pairs)
    )


def missing_extra(job: Job, extra: str, command: str, missing: tuple[str, ...]) -> tuple[Finding, ...]:
    """For a job that needs an extra that is not installed; `missing` are the distributions it lacks."""
    lacks = f"not installed: {', '.join(missing)}" if missing else "an optional part is not installed"
    return unknown(job, Reason.MISSING_EXTRA, f"needs {command}", why=lacks, remedy=command, extra=extra)


def out_of_time(job: Job) -> tuple[Finding, ...]:
    """For a job that was ended at its time limit."""
    limit = job.budget.seconds
    remedy = f"give it more time: {again(job, f'--time-limit {max(1, round(limit * 4))}')}"
    return unknown(job, Reason.TIME, f"ran past {limit:g} s", why="it was ended at its time limit", remedy=remedy)


def out_of_memory(job: Job) -> tuple[Finding, ...]:
    """For a job that was ended because it took more memory than it may."""
    limit = job.budget.memory_mib
    remedy = f"give it more memory: {again(job, f'--memory-limit {limit * 4}')}"
    return unknown(job, Reason.MEMORY, f"needed more than {limit} MiB of memory", why="it was ended at its memory limit", remedy=remedy)


def crashed(job: Job, how: str, last_words: str = "") -> tuple[Finding, ...]:
    """For a job whose process died; `how` says of what, `last_words` is the last line it wrote."""
    return unknown(job, Reason.CRASH, f"its process died: {how}", why=f"last output: {last_words}" if last_words else "it wrote nothing")


def raised(job: Job, error: BaseException) -> tuple[Finding, ...]:
    """For a job that a check ended by raising; says where without naming folders of this machine."""
    text = one_line(str(error).replace(job.root.rstrip("/") + "/", ""), MAX_TEXT - 100)
    frames = traceback.extract_tb(error.__traceback__)
    where = f"raised at {Path(frames[-1].filename).name}:{frames[-1].lineno} in {frames[-1].name}" if frames else ""
    return unknown(job, Reason.ERROR, f"{type(error).__name__}: {text}" if text else type(error).__name__, why=where)
