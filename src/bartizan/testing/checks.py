"""The contract of a check, to be run by whoever writes one:

    contract(registry.get("my_area.my_check"), jobs)

Every function raises `AssertionError` with the reason; none needs a test framework.
"""

from __future__ import annotations

import inspect
import json
import pickle
import subprocess
import sys
from collections.abc import Iterable, Sequence

import msgspec

from bartizan.engine import extras, runner
from bartizan.engine.graph import INVERSE
from bartizan.engine.parameters import parameters_of
from bartizan.model.checks import Check
from bartizan.model.findings import Finding, Job, Outcome, Verdict, about_of
from bartizan.model.system import Appetite

HEAVY = (
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "sklearn",
    "torch",
    "tensorflow",
    "cryptography",
    "jinja2",
    "fastapi",
    "pydantic",
    "requests",
    "httpx",
)
"""Modules that a check file must not load when it is imported: listing all checks has to stay quick."""


def contract(check: Check, jobs: Sequence[Job] = ()) -> tuple[Outcome, ...]:
    """All that holds for `check`: its description, a light import, and for each job of it that it answers and repeats itself."""
    described(check)
    light([check])
    return tuple(repeatable(job) for job in jobs)


def described(check: Check) -> None:
    """The description is complete: what people and the planner need to know is said."""
    title = check.title
    assert 10 <= len(title) <= 140, f"{check.id}: the first line of the docstring has {len(title)} characters, not 10 to 140"
    assert check.threats, f"{check.id} names no threat"
    assert check.kinds, f"{check.id} names no kind"
    assert check.phases, f"{check.id} names no phase"
    assert all(name in INVERSE for name in check.reads), f"{check.id} reads an unknown relation"
    assert check.valid_days is None or check.valid_days > 0, f"{check.id} counts for no time"
    assert inspect.isgeneratorfunction(check.run) or "yield" not in inspect.getsource(check.run), f"{check.id} is no generator"
    if check.extra:
        assert extras.libraries(check.distribution, check.extra), f"{check.id}: {check.distribution} has no extra '{check.extra}'"
    parameters_of(check, Appetite(), {p.name: p.default for p in check.parameters})


def light(checks: Iterable[Check], heavy: Sequence[str] = HEAVY) -> None:
    """Importing the files of `checks` loads none of `heavy`. Looked at in a fresh interpreter."""
    modules = sorted({check.module for check in checks})
    code = (
        "import sys, json, importlib; sys.path[:] = json.loads(sys.argv[1]);"
        "[*map(importlib.import_module, sys.argv[2:])]; print(*sys.modules)"
    )
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-P", "-c", code, json.dumps(sys.path), *modules], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"cannot import {', '.join(modules)}: {done.stderr.strip().splitlines()[-1:]}"
    loaded = set(done.stdout.split()) & set(heavy)
    assert not loaded, f"importing {', '.join(modules)} loads {', '.join(sorted(loaded))}: import them inside the function"


def repeatable(job: Job) -> Outcome:
    """The job answers all it was planned for, and run twice gives the same findings; they survive every journey."""
    first, second = runner.run_job(job), runner.run_job(job)
    assert first.findings == second.findings, f"{job.check} run twice on {job.subject.id} gives different findings: draw from job.seed only"
    answered = {(finding.threat, finding.asset) for finding in first.findings}
    assert answered == set(about_of(job)), f"{job.check} did not answer {set(about_of(job)) - answered}"
    for finding in first.findings:
        portable(finding)
    return first


def portable(finding: Finding) -> None:
    """A finding is data: it can be pickled and written as JSON or MessagePack and is the same afterwards; it says what to do."""
    assert pickle.loads(pickle.dumps(finding)) == finding  # noqa: S301 - pickled here
    for codec in (msgspec.json, msgspec.msgpack):
        assert codec.decode(codec.encode(finding), type=Finding) == finding, f"{finding.check}: changed by {codec.__name__}"
    if finding.verdict is not Verdict.PASS:
        assert finding.remedy, f"{finding.check}: the finding '{finding.title}' ({finding.verdict}) has no remedy"
    if finding.verdict is Verdict.INCONCLUSIVE:
        assert finding.needed is None or finding.needed > 0, f"{finding.check}: an inconclusive finding that needs no more trials"
