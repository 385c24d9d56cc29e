"""The check of access policies: weak ones fail and say why, a good one passes, and the attempts see what is really shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from access_loans import KEY, POLICY, loans, write

from bartizan.areas.access.attempts import attempts
from bartizan.areas.access.compiling import view
from bartizan.areas.access.policy import load
from bartizan.areas.access.reading import Journal, Reader, open
from bartizan.engine import registry
from bartizan.model.errors import InputError
from bartizan.model.findings import Job, Verdict
from bartizan.model.system import Dataset, Sensitivity, Stage, Subject
from bartizan.testing import checks

pl = pytest.importorskip("polars")
pytest.importorskip("cedarpy")
pytest.importorskip("duckdb")

CHECK = "access.policy"


def dataset(**more: object) -> Dataset:
    given = {
        "id": "loans",
        "stage": Stage.TRAIN,
        "uri": "loans.parquet",
        "access": "loans.parquet.access.yaml",
        "subjects": (Subject.PERSON,),
    }
    return Dataset(**{**given, **more})  # type: ignore[arg-type]


def test_a_policy_that_hides_what_it_says_passes(tmp_path: Path, run_check) -> None:
    write(tmp_path)
    for finding in run_check(CHECK, dataset()):
        assert finding.verdict is Verdict.PASS, finding.why
        assert finding.measures[0].k == 0
        assert finding.measures[0].n > 500
        assert finding.details["probability_cap"] == 0.5
        assert "Whoever can open the file" in finding.why


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_the_contract_of_checks(tmp_path: Path, kind: str) -> None:
    write(tmp_path, kind)
    described = registry.get(CHECK)
    subject = dataset(uri=f"loans.{kind}", access=f"loans.{kind}.access.yaml")
    job = Job(check=CHECK, version=described.version, threats=described.threats, subject=subject, root=str(tmp_path))
    outcomes = checks.contract(described, [job])
    assert {finding.verdict for finding in outcomes[0].findings} == {Verdict.PASS}
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"loans.{kind}", f"loans.{kind}.access.yaml"]  # it leaves nothing behind


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (' when { context.purpose == Purpose::"audit" }', "", "permits reading for every purpose"),
        ("  email: {tags: [direct], mask: keyed}\n", "", "'email'"),
        ("mask: prefix, keep: 2", "mask: prefix, keep: 4", "the masks of 'zip' hide nearly nothing"),
        ("mask: bucket, width: 10000", "mask: bucket, width: 2", "hide nearly nothing"),
        ("  note: {tags: [direct], mask: constant", "  note: {tags: [feature], mask: constant", None),
    ],
)
def test_a_weak_policy_fails_and_says_why(tmp_path: Path, run_check, old: str, new: str, said: str | None) -> None:
    assert old in POLICY
    write(tmp_path, policy=POLICY.replace(old, new))
    [first, second] = run_check(CHECK, dataset())
    assert first.verdict is second.verdict is (Verdict.FAIL if said else Verdict.PASS), first.why
    assert (said or "none saw a hidden value") in first.why


def test_everybody_everything_fails_where_it_is_about_persons(tmp_path: Path, run_check) -> None:
    head, _, _ = POLICY.partition("policies: |")
    write(tmp_path, policy=head + "policies: |\n  permit (principal, action, resource);\n")
    assert "everybody sees every column" in run_check(CHECK, dataset())[0].why
    harmless = dataset(subjects=(Subject.NONE,), sensitivity=Sensitivity.PUBLIC)
    assert run_check(CHECK, harmless)[0].verdict is Verdict.PASS
    assert run_check(CHECK, dataset(subjects=(Subject.NONE,), sensitivity=Sensitivity.RESTRICTED))[0].verdict is Verdict.FAIL


def test_a_copy_in_a_clear_column_is_found(tmp_path: Path, run_check) -> None:
    path = write(
        tmp_path, policy=POLICY.replace("amount: {type: integer, tags: [feature]}", "amount: {tags: [feature]}\n  login: {tags: [feature]}")
    )
    frame = pl.DataFrame(loans()).with_columns(login=pl.lit("mail:") + pl.col("email"))
    frame.write_parquet(path)
    [first, _] = run_check(CHECK, dataset())
    assert first.verdict is Verdict.FAIL
    assert "values of 'email' in the clear column 'login'" in first.why
    assert "person" not in first.why.replace("personal", "")  # no value is repeated


def test_nobody_sees_a_row(tmp_path: Path, run_check) -> None:
    head, _, _ = POLICY.partition("policies: |")
    rule = 'permit (principal, action == Action::"read", resource) when { context.purpose == Purpose::"audit" };'
    write(tmp_path, policy=f"{head}policies: |\n  {rule}\n")
    [first, _] = run_check(CHECK, dataset())
    assert first.verdict is Verdict.INCONCLUSIVE
    assert "bartizan data read" in first.remedy


def test_a_policy_that_does_not_hold_is_no_verdict(tmp_path: Path, run_check) -> None:
    write(tmp_path, policy=POLICY.replace("  zip: {", "  zipp: {"))
    with pytest.raises(InputError, match="did you mean 'zip'"):
        run_check(CHECK, dataset())


def test_it_applies_where_a_policy_is_declared() -> None:
    applies = registry.get(CHECK).applies
    assert applies is not None
    assert applies(dataset(), None)
    assert not applies(dataset(access=None), None)


def test_the_attempts_see_what_is_shown(tmp_path: Path) -> None:
    """Against a reader that shows everything, while the view says that it is hidden, every way finds it."""
    path = write(tmp_path)
    everything = POLICY.replace(
        'permit (principal in Role::"owner", action, resource)', 'permit (principal == User::"alice", action, resource)'
    )
    leaky = tmp_path / "leaky.yaml"
    leaky.write_text(everything.replace('Purpose::"audit"', 'Purpose::"training"'))
    promised = view(load(Path(f"{path}.access.yaml")), path, "alice", "training", key=KEY, extra=pl.col("region") == "north")
    shown = view(load(leaky), path, "alice", "training", key=KEY, extra=pl.col("region") == "north")
    with Reader(shown, Journal(shown.policy, path, "alice", "training", tmp_path / "log")) as reader:
        found = {seen.way: seen for seen in attempts(reader, promised)}
    for way in ("star", "join", "aggregate of one row", "regular expression"):
        assert found[way].hits == 6, way
    assert found["raw SQL"].hits == 0
    with open(path, "alice", "training", key=KEY) as reader:
        assert not any(seen.hits for seen in attempts(reader, promised))
