"""The checks of this room on real files, and the map of columns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bartizan import pii
from bartizan.areas.pii.columns import named_kind
from bartizan.areas.pii.names import missing
from bartizan.engine import registry
from bartizan.model.errors import InputError, UnknownName
from bartizan.model.findings import Budget, Finding, Job, Verdict
from bartizan.model.system import Asset, Dataset, Kind, Sensitivity, Stage, Subject
from bartizan.testing import checks

RunCheck = Callable[..., list[Finding]]


def dataset(**more: object) -> Dataset:
    return Dataset(id="loans", stage=Stage.TRAIN, **({"uri": "loans.csv"} | more))


def test_columns_are_mapped_by_name_content_and_check_digits() -> None:
    tfn = [
        n
        for n in range(100_000_000, 100_004_000)
        if sum(int(d) * w for d, w in zip(str(n), (1, 4, 3, 7, 5, 8, 6, 9, 10), strict=True)) % 11 == 0
    ]
    found = pii.scan_table(
        {
            "reference": tfn[:100],
            "number": list(range(100_000_000, 100_000_100)),
            "SSN": [536221234.0, None, float("nan")],
            "dateOfBirth": ["1980-02-03", "1990-05-06"],
            "remark": ["call +49 30 901820 now", "nothing"],
            "first_name": ["A", "B"],
            "amount": np.array([1.5, 2.25]),
        }
    )
    assert {name: column.main for name, column in found.items()} == {
        "reference": "au_tfn",
        "number": None,
        "SSN": "us_ssn",
        "dateOfBirth": "date_of_birth",
        "remark": "phone",
        "first_name": "person_name",
        "amount": None,
    }
    assert (found["SSN"].rows, found["SSN"].filled) == (3, 1)
    assert found["remark"].kinds["phone"].whole == 0


def test_a_value_that_stands_often_is_counted_often() -> None:
    (column,) = pii.scan_table({"to": ["a@b.example", "x"] * 5000}).values()
    assert (column.values, column.kinds["email"].rows, column.kinds["email"].values) == (2, 5000, 1)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("cust_email", "email"),
        ("GENDER", "sex"),
        ("Zip Code", "postcode"),
        ("filename", None),
        ("average", None),
        ("userName", "person_name"),
        ("x", None),
    ],
)
def test_names_of_columns(name: str, kind: str | None) -> None:
    assert named_kind(name) == kind


def test_identifying_details_in_training_data_fail(tmp_path: Path, run_check: RunCheck) -> None:
    table = pd.DataFrame({"amount": range(50), "contact": [f"u{i}@example.org" if i < 20 else "" for i in range(50)]})
    table.to_csv(tmp_path / "loans.csv", index=False)
    (finding,) = run_check("pii.personal_data", dataset(subjects=(Subject.NONE,), sensitivity=Sensitivity.PUBLIC))
    assert finding.verdict is Verdict.FAIL
    assert (finding.measures[0].k, finding.measures[0].n) == (20, 50)
    assert "not about persons" in finding.why
    assert "example.org" not in str(finding)
    assert finding.details["columns"]["loans.csv"]["contact"]["kinds"] == {"email": 20}


def test_numbers_alone_pass_and_free_text_is_not_called_clean(tmp_path: Path, run_check: RunCheck) -> None:
    table = pd.DataFrame({"amount": np.arange(50), "rate": np.linspace(0, 1, 50)})
    table.to_csv(tmp_path / "loans.csv", index=False)
    (finding,) = run_check("pii.personal_data", dataset())
    assert finding.verdict is Verdict.PASS
    table["remark"] = [f"she came by twice in week {i}" for i in range(50)]
    table.to_csv(tmp_path / "loans.csv", index=False)
    (finding,) = run_check("pii.personal_data", dataset(), names="off")
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "names in it were not searched" in finding.why
    with pytest.raises(UnknownName, match="strict"):
        run_check("pii.personal_data", dataset(), names="stric")


@pytest.mark.skipif(missing() is not None, reason="the tagger is not installed")
def test_names_in_free_text_fail_none_pass_and_few_are_open(tmp_path: Path, run_check: RunCheck) -> None:
    def judged(remarks: list[str], seconds: float = 600.0) -> Finding:
        pd.DataFrame({"amount": range(len(remarks)), "remark": remarks}).to_csv(tmp_path / "loans.csv", index=False)
        described = registry.get("pii.personal_data")
        job = Job(check=described.id, version=described.version, threats=described.threats, subject=dataset(), root=str(tmp_path),
                  budget=Budget(seconds=seconds))  # fmt: skip
        (finding,) = described.run(job, job.subject)
        return finding

    plain = [f"The customer came by twice in week {i} and asked for the rate" for i in range(300)]
    finding = judged(plain)
    assert (finding.verdict, finding.details["columns"]["loans.csv"]["remark"]["texts"]["read"]) == (Verdict.PASS, 300)
    assert "300 texts were read for names" in finding.why
    finding = judged([*plain[:200], *(f"My name is Hannah Meyer and in week {i} I asked for the rate" for i in range(100))])
    assert (finding.verdict, finding.severity) == (Verdict.FAIL, "high")
    assert "names of persons in 100 of 300 texts" in finding.why
    assert "Meyer" not in str(finding)
    assert (finding.measures[0].k, finding.measures[0].n) == (100, 300)
    finding = judged([*plain[:299], "My name is Hannah Meyer and I asked for the rate"])
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "1 of 300 texts seem to hold a person's name, which may be false alarms" in finding.why
    finding = judged(plain, seconds=1.0)
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "of about 300 texts" in finding.why
    assert finding.needed == 300 - finding.details["columns"]["loans.csv"]["remark"]["texts"]["read"] > 200


def test_a_key_in_a_folder_of_texts_is_critical(tmp_path: Path, run_check: RunCheck) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("hello\npostgres://app:k3yOfTheDoor@db.example.org/x\n")
    (finding,) = run_check("pii.personal_data", dataset(uri="notes"))
    assert (finding.verdict, finding.severity) == (Verdict.FAIL, "critical")
    store = Asset(id="bucket", kind=Kind.STORE, uri="notes")
    (finding,) = run_check("pii.secrets", store)
    assert finding.verdict is Verdict.FAIL
    assert [str(place) for place in finding.places] == ["notes/a.txt:2"]
    assert "k3yOfTheDoor" not in str(finding)


def test_a_data_set_without_text_is_no_pass(tmp_path: Path, run_check: RunCheck) -> None:
    (tmp_path / "loans.csv").write_text("a,b\n")
    with pytest.raises(InputError, match="no text"):
        run_check("pii.personal_data", dataset())


def test_the_checks_keep_the_contract(tmp_path: Path) -> None:
    (tmp_path / "loans.csv").write_text("a,b\n1,x@example.org\n")
    for id, subject in (("pii.personal_data", dataset()), ("pii.secrets", Asset(id="s", kind=Kind.STORE, uri="loans.csv"))):
        described = registry.get(id)
        checks.contract(described, [Job(check=id, version="1", threats=described.threats, subject=subject, root=str(tmp_path))])
