"""What is planned, in which order, and what makes a job another one."""

from pathlib import Path

import msgspec
import pytest
from engine_samples import SYSTEM, by_id, make, threat_model
from hypothesis import given
from hypothesis import strategies as st

from bartizan.engine.planner import plan, seed_of
from bartizan.model.errors import InputError, Place, UnknownName
from bartizan.model.findings import Budget, Job
from bartizan.model.system import Appetite, Asset, Dataset, Decision, Kind, Stage, System
from bartizan.model.threats import ThreatModel

MEMBERSHIP = make("privacy.membership", ["membership"], {Kind.MODEL}, reads=["training_sets"])
LEAKAGE = make("quality.leakage", ["leakage"], {Kind.DATASET}, reads=["tests", "training_sets"])
OPEN_DOOR = make("access.open_door", ["no-authn", "membership"], {Kind.ENDPOINT})
CHECKS = by_id(MEMBERSHIP, LEAKAGE, OPEN_DOOR)
MODEL = threat_model(("no-authn", "api"), ("membership", "scorer"), ("leakage", "held-out"), ("membership", "nowhere"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/loans.csv").write_text("a\n1\n")
    (tmp_path / "data/held-out.csv").write_text("a\n2\n")
    (tmp_path / "models").mkdir()
    (tmp_path / "models/scorer.skops").write_bytes(b"weights")
    return tmp_path


def names(jobs: tuple[Job, ...]) -> list[str]:
    return [f"{job.check}@{job.subject.id}" for job in jobs]


def test_a_check_runs_where_its_threat_fires_on_its_kind_and_in_order_of_rank(root: Path) -> None:
    jobs = plan(SYSTEM, MODEL, CHECKS, root)
    assert names(jobs) == ["access.open_door@api", "privacy.membership@scorer", "quality.leakage@held-out"]
    assert [job.threats for job in jobs] == [("no-authn",), ("membership",), ("leakage",)]
    assert [node.id for node in jobs[1].related] == ["loans"]
    assert [item.uri for item in jobs[1].inputs] == ["models", "data/loans.csv"]
    assert all(item.digest for item in jobs[1].inputs)
    assert {job.confidence for job in jobs} == {0.9}


def test_reads_are_followed_from_node_to_node(root: Path) -> None:
    (job,) = plan(SYSTEM, MODEL, by_id(LEAKAGE), root)
    assert [node.id for node in job.related] == ["scorer", "loans"]


def test_a_threat_to_a_node_that_is_read_is_answered_for_that_node(root: Path) -> None:
    jobs = plan(SYSTEM, threat_model(("leakage", "scorer")), by_id(LEAKAGE), root)
    assert names(jobs) == ["quality.leakage@held-out"]
    assert jobs[0].about == (("leakage", "scorer"),)


def test_a_threat_that_fires_on_the_subject_is_not_carried_further(root: Path) -> None:
    (job,) = plan(SYSTEM, threat_model(("leakage", "scorer"), ("leakage", "held-out")), by_id(LEAKAGE), root)
    assert job.about == (("leakage", "held-out"),)


def test_applies_decides_where_a_check_makes_sense(root: Path) -> None:
    check = make("quality.leakage", ["leakage"], {Kind.DATASET}, applies=lambda node, system: node.stage is Stage.TEST and system is SYSTEM)
    assert names(plan(SYSTEM, threat_model(("leakage", "loans"), ("leakage", "held-out")), by_id(check), root)) == [
        "quality.leakage@held-out"
    ]


def test_no_threat_no_job(root: Path) -> None:
    assert plan(SYSTEM, threat_model(), CHECKS, root) == ()


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (["privacy"], ["privacy.membership@scorer"]),
        (["privacy.membership", "access"], ["access.open_door@api", "privacy.membership@scorer"]),
        (["quality.leakage@held-out"], ["quality.leakage@held-out"]),
        (["quality.leakage@loans"], []),
        (["quality.leakage@loans", "quality"], ["quality.leakage@held-out"]),
    ],
)
def test_only_keeps_what_it_names(root: Path, only: list[str], expected: list[str]) -> None:
    assert names(plan(SYSTEM, MODEL, CHECKS, root, only=only)) == expected


@pytest.mark.parametrize("word", ["privcy", "privacy.membershp", "privacy.membership@scorr"])
def test_a_misspelt_only_is_an_error_that_offers_the_nearest(root: Path, word: str) -> None:
    with pytest.raises(UnknownName, match="did you mean"):
        plan(SYSTEM, MODEL, CHECKS, root, only=[word])


def test_parameters_of_the_caller_are_checked(root: Path) -> None:
    (job,) = plan(SYSTEM, MODEL, by_id(MEMBERSHIP), root, parameters={"privacy.membership": {"rounds": 9}})
    assert job.parameters["rounds"] == 9
    with pytest.raises(UnknownName, match="rounds"):
        plan(SYSTEM, MODEL, by_id(MEMBERSHIP), root, parameters={"privacy.membership": {"round": 9}})
    with pytest.raises(UnknownName, match="unknown check"):
        plan(SYSTEM, MODEL, by_id(MEMBERSHIP), root, parameters={"privacy.member": {}})
    with pytest.raises(InputError, match="integer"):
        plan(SYSTEM, MODEL, by_id(MEMBERSHIP), root, parameters={"privacy.membership": {"rounds": 1.5}})


def test_what_does_not_decide_the_outcome_leaves_the_digest(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    first = plan(SYSTEM, MODEL, CHECKS, root)
    moved = tmp_path_factory.mktemp("elsewhere") / "project"
    root.rename(moved)
    shifted = msgspec.structs.replace(
        SYSTEM,
        assets=tuple(msgspec.structs.replace(asset, at=Place("bartizan.yaml", 99)) for asset in SYSTEM.assets),
        appetite=msgspec.structs.replace(SYSTEM.appetite, fail_on="any"),
    )
    again = plan(shifted, MODEL, CHECKS, moved, budget=Budget(seconds=1, memory_mib=64))
    assert [job.digest for job in again] == [job.digest for job in first]


def test_a_decision_changes_no_job_on_the_system_itself(root: Path) -> None:
    checks = by_id(make("governance.owner", ["no-owner"], {Kind.SYSTEM}))
    import datetime as dt

    decision = Decision(risk="R-1", action="accept", by="me", why="so", until=dt.date(2030, 1, 1), state="s")  # type: ignore[arg-type]
    (before,) = plan(SYSTEM, threat_model(("no-owner", "system")), checks, root)
    (after,) = plan(msgspec.structs.replace(SYSTEM, decisions=(decision,)), threat_model(("no-owner", "system")), checks, root)
    assert before.digest == after.digest


@pytest.mark.parametrize("what", ["bytes", "new file", "declaration", "tolerance", "seed", "version", "queries", "confidence"])
def test_what_decides_the_outcome_changes_the_digest(root: Path, what: str) -> None:
    system, checks, options = SYSTEM, by_id(MEMBERSHIP), {}
    (before,) = plan(system, MODEL, checks, root)
    match what:
        case "bytes":
            (root / "models/scorer.skops").write_bytes(b"weighte")
        case "new file":
            (root / "models/empty").touch()
        case "declaration":
            system = msgspec.structs.replace(SYSTEM, datasets=(msgspec.structs.replace(SYSTEM.datasets[0], label="y"), SYSTEM.datasets[1]))
        case "tolerance":
            system = msgspec.structs.replace(SYSTEM, appetite=Appetite(confidence=0.9, tolerances={"privacy": 0.2}))
        case "confidence":
            system = msgspec.structs.replace(SYSTEM, appetite=Appetite(confidence=0.99))
        case "seed":
            options = {"seed": 1}
        case "version":
            checks = by_id(msgspec.structs.replace(MEMBERSHIP, version="2"))
        case "queries":
            options = {"budget": Budget(queries=10)}
    (after,) = plan(system, MODEL, checks, root, **options)  # type: ignore[arg-type]
    assert after.digest != before.digest


def test_seeds_differ_between_jobs_and_are_the_same_everywhere() -> None:
    assert seed_of(0, "a.b", "c") == 0x1368AAFE  # printf '0\0a.b\0c' | sha256sum
    assert len({seed_of(s, c, n) for s in range(3) for c in ("a.b", "a.c") for n in ("x", "y")}) == 12
    assert all(0 <= seed_of(s, "a.b", "c") < 2**32 for s in range(50))


@given(
    st.lists(
        st.tuples(st.sampled_from(["membership", "leakage", "no-authn"]), st.sampled_from(["api", "scorer", "loans", "held-out"])),
        unique=True,
    )
)
def test_every_planned_pair_fires_and_is_planned_once_a_check(fires: list[tuple[str, str]]) -> None:
    jobs = plan(SYSTEM, threat_model(*fires), CHECKS, Path("/nonexistent"))
    assert {pair for job in jobs for pair in job.about} <= set(fires)
    assert len({(job.check, job.subject.id) for job in jobs}) == len(jobs)
    assert all(job.threats and job.about for job in jobs)
    on_own_kind = {
        (t, e)
        for t, e in fires
        if (t, e) in {("membership", "scorer"), ("membership", "api"), ("no-authn", "api")}
        or (t == "leakage" and e in ("loans", "held-out"))
    }
    assert on_own_kind <= {pair for job in jobs for pair in job.about}


def test_a_large_system_is_planned_quickly_and_each_file_read_once(tmp_path: Path) -> None:
    datasets = tuple(Dataset(id=f"d{n}", stage=Stage.TRAIN, uri="shared.csv") for n in range(300))
    assets = tuple(Asset(id=f"m{n}", kind=Kind.MODEL, trained_on=(f"d{n}",)) for n in range(300))
    (tmp_path / "shared.csv").write_text("a\n")
    jobs = plan(
        System(name="big", datasets=datasets, assets=assets), threat_model(*(("membership", f"m{n}") for n in range(300))), CHECKS, tmp_path
    )
    assert len(jobs) == 300
    assert len({job.digest for job in jobs}) == 300


def test_the_model_may_be_empty_of_nodes(tmp_path: Path) -> None:
    assert plan(System(name="none"), ThreatModel(system="none", instances=(), questions=()), CHECKS, tmp_path) == ()
