"""Every format of the report: the same bytes for the same report, nothing foreign let loose, the structure its readers expect."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import msgspec
import pytest
import report_fixture
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.model.errors import Place, UnknownName
from bartizan.model.findings import Measure, Verdict
from bartizan.renderers import csv_table, formats, junit, markdown, sarif, summary, wording

HOSTILE = "=cmd|'/C calc'!A0 <script>alert(1)</script> ]]> [x](javascript:alert(1)) `|\n# {0} \x00\x1b\ud800\u202e"
NAMES = sorted(formats.FORMATS)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_report_gives_the_same_bytes(name: str) -> None:
    assert formats.render(report_fixture.report(), name) == formats.render(report_fixture.report(), name)


def test_the_bytes_do_not_depend_on_the_hash_seed() -> None:
    code = (
        "import hashlib, report_fixture; from bartizan.renderers import formats\n"
        "print(hashlib.sha256(''.join(formats.render(report_fixture.report(), n) for n in formats.FORMATS).encode()).hexdigest())"
    )
    digests = set()
    for seed in ("0", "1", "77"):
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(report_fixture.__file__).parent)}
        digests.add(subprocess.run([sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True).stdout)
    assert len(digests) == 1


@pytest.mark.parametrize("name", NAMES)
def test_each_format_survives_hostile_text_and_can_be_written(name: str) -> None:
    text = formats.render(report_fixture.hostile(HOSTILE * 20), name)
    assert "\ud800" not in text
    text.encode("utf-8")
    assert formats.media_type(name).count("/") == 1


@pytest.mark.parametrize("name", NAMES)
def test_no_format_claims_conformity_or_names_the_machine(name: str) -> None:
    text = formats.render(report_fixture.report(), name).lower()
    assert "certified" not in text
    assert not re.search(r"compliant: *\d", text)
    assert "/home/somebody" not in text


def test_suffixes_are_found_from_the_longest_first() -> None:
    suffixes = [suffix for _, suffix in formats.FORMATS.values()]
    for n, later in enumerate(suffixes):
        assert not any(later.endswith(earlier) for earlier in suffixes[:n])


def test_an_unknown_format_offers_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'sarif'"):
        formats.render(report_fixture.report(), "sariff")


# JSON


def test_json_holds_the_report_and_its_summary() -> None:
    data = json.loads(formats.render(report_fixture.report(), "json"))
    report = report_fixture.report()
    assert data["schema"] == "bartizan-report/v1"
    assert set(data) == {"schema", "summary", *report.__struct_fields__} - {"pictures"}
    assert data["summary"]["levels"] == {"critical": 3, "high": 6, "medium": 3, "low": 2}
    assert data["summary"]["verdicts"] == {"fail": 3, "inconclusive": 1, "unknown": 1, "pass": 1}
    assert [r["id"] for r in data["risks"]] == [r.id for r in report.risks]
    assert data["risks"][0]["residual"]["mean"] == report.risks[0].residual.mean


# Markdown


def test_markdown_lets_no_markup_through() -> None:
    text = formats.render(report_fixture.hostile(HOSTILE), "markdown")
    outside = re.sub(r"(?<!\\)(`+)(?!`).*?(?<!`)\1(?!`)", "", text)
    assert "<script" not in outside
    assert not re.search(r"(?<!\\)\]\(", outside)


@given(st.text(alphabet="`|\\ab\n <", max_size=12))
def test_a_markdown_code_span_cannot_be_left(text: str) -> None:
    span = markdown._code(text)
    fence = re.match("`+", span)
    assert fence is not None
    inner = span[fence.end() : -fence.end()]
    assert "\n" not in span
    assert fence.group() not in re.findall("`+", inner)
    assert not re.search(r"(?<!\\)\|", span)


def test_markdown_tables_have_as_many_cells_in_every_row() -> None:
    for report in (report_fixture.report(), report_fixture.hostile(HOSTILE)):
        width = None
        for line in formats.render(report, "markdown").splitlines():
            cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else None
            assert None in (width, cells) or cells == width, line
            width = cells


# CSV


@pytest.mark.parametrize(("name", "rows"), [("csv", 14), ("findings-csv", 8)])
def test_csv_has_one_row_each_and_no_formula(name: str, rows: int) -> None:
    for report in (report_fixture.report(), report_fixture.hostile(HOSTILE)):
        table = list(csv.reader(io.StringIO(formats.render(report, name), newline="")))
        assert len(table) == rows + 1
        assert len({len(row) for row in table}) == 1
        for cell in (cell for row in table[1:] for cell in row):
            assert not cell.startswith(("=", "+", "@", "\t", "\r")), cell
            assert not cell.startswith("-") or float(cell) <= 0


def test_csv_numbers_are_those_of_the_risks() -> None:
    table = list(csv.DictReader(io.StringIO(csv_table.render(report_fixture.report()), newline="")))
    by_id = {r.id: r for r in report_fixture.report().risks}
    assert {row["risk"]: float(row["residual"]) for row in table} == {id: r.residual.mean for id, r in by_id.items()}


# SARIF: the rules of the standard that our logs touch, written out


def log_of(text: str) -> dict[str, Any]:
    log: dict[str, Any] = json.loads(text)
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    return run


def assert_sarif(run: dict[str, Any]) -> None:
    rules = run["tool"]["driver"]["rules"]
    assert run["tool"]["driver"]["name"]
    assert len({r["id"] for r in rules}) == len(rules)
    for rule in rules:
        assert 0.0 <= float(rule["properties"]["security-severity"]) <= 10.0
        assert len(set(rule["properties"]["tags"])) == len(rule["properties"]["tags"])
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["kind"] in {"fail", "open"}
        assert result["level"] in {"none", "note", "warning", "error"}
        assert (result["level"] == "none") == (result["kind"] != "fail")  # section 3.27.10
        assert result["message"]["text"]
        related = result.get("relatedLocations", [])
        for location in [*result["locations"], *related]:
            artefact = location["physicalLocation"]["artifactLocation"]
            assert artefact["uriBaseId"] in run["originalUriBaseIds"]
            assert re.fullmatch(r"[A-Za-z0-9._~/%-]+", artefact["uri"])
            assert not artefact["uri"].startswith("/")
            assert location["physicalLocation"].get("region", {"startLine": 1})["startLine"] >= 1
        assert len({location["id"] for location in related}) == len(related)
        for suppression in result.get("suppressions", []):
            assert suppression["kind"] in {"inSource", "external"}
            assert suppression["status"] in {"accepted", "underReview", "rejected"}
            assert suppression["justification"]
    fingerprints = [result["partialFingerprints"][sarif.FINGERPRINT] for result in run["results"]]
    assert len(set(fingerprints)) == len(fingerprints)


def test_sarif_keeps_the_rules_of_the_standard() -> None:
    assert_sarif(log_of(sarif.render(report_fixture.report())))
    assert_sarif(log_of(sarif.render(report_fixture.hostile(HOSTILE))))


def test_sarif_results_are_what_did_not_pass() -> None:
    run = log_of(sarif.render(report_fixture.report()))
    assert [r["properties"]["verdict"] for r in run["results"]] == ["fail", "fail", "fail", "inconclusive", "unknown"]
    pickle = run["results"][0]
    assert pickle["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "service/app.py"
    assert pickle["locations"][0]["physicalLocation"]["region"] == {"startLine": 14}
    assert pickle["suppressions"][0]["justification"].startswith("Data is deleted by contract in March.")
    unplaced = next(r for r in run["results"] if r["ruleId"] == "membership-inference")
    assert unplaced["locations"][0]["physicalLocation"]["region"] == {"startLine": 30}, "the line of the manifest that declares the model"
    assert unplaced["properties"]["security-severity"] == "9.5"


def test_sarif_fingerprints_outlive_moved_lines() -> None:
    report = report_fixture.report()
    moved = tuple(msgspec.structs.replace(f, places=tuple(Place(p.file, p.line + 7) for p in f.places)) for f in report.findings)
    texts = [sarif.render(r) for r in (report, msgspec.structs.replace(report, findings=moved))]
    first, second = ([r["partialFingerprints"] for r in log_of(text)["results"]] for text in texts)
    assert texts[0] != texts[1]
    assert first == second


@pytest.mark.parametrize(
    ("file", "uri"),
    [
        ("a b.py", "a%20b.py"),
        ("/etc/passwd", "etc/passwd"),
        ("../x/./y.py", "x/y.py"),
        ("javascript:alert(1)", "javascript%3Aalert%281%29"),
        ("c:\\d\\e", "c%3A/d/e"),
        ("", "."),
    ],
)
def test_sarif_uris_are_relative(file: str, uri: str) -> None:
    assert sarif._uri(file) == uri


# JUnit


def test_junit_counts_what_it_holds() -> None:
    root = ET.fromstring(junit.render(report_fixture.report()))
    assert root.attrib | {"name": ""} == {"name": "", "tests": "6", "failures": "2", "errors": "1", "skipped": "2", "time": "0"}
    assert [s.get("name") for s in root] == ["artefacts", "deployment", "evasion", "extraction", "privacy", "quality"]
    for kind in ("failure", "error", "skipped"):
        assert len(root.findall(f"./testsuite/testcase/{kind}")) == int(root.get(f"{kind}s") or root.get(kind) or -1)


@given(st.text(max_size=60))
@settings(max_examples=25, deadline=None)
def test_junit_is_well_formed_whatever_it_holds(text: str) -> None:
    ET.fromstring(junit.render(report_fixture.hostile(text)).encode())


# What people read in every format


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.0, "0 %"),
        (0.0004, "<0.1 %"),
        (0.0315, "3.1 %"),
        (0.0996, "10 %"),
        (0.473, "47 %"),
        (0.994, "99.4 %"),
        (0.9996, ">99.9 %"),
        (1.0, "100 %"),
    ],
)
def test_percentages_have_the_precision_they_deserve(p: float, text: str) -> None:
    assert wording.percent(p) == text


@given(st.floats(0, 1), st.floats(0, 1))
def test_percentages_keep_the_order(a: float, b: float) -> None:
    def read(p: float) -> float:
        text = wording.percent(p).removesuffix(" %")
        return {"<0.1": 0.05, ">99.9": 99.95}.get(text) or float(text)

    low, high = sorted((a, b))
    assert read(low) <= read(high)


def test_only_counted_proportions_are_percentages() -> None:
    auc = Measure(name="AUC", value=0.58, low=0.54, high=0.62, confidence=0.95, n=800)
    assert wording.interval(auc) == "0.54 to 0.62"
    assert wording.interval(msgspec.structs.replace(auc, k=464)) == "54 to 62 %"


def test_actions_come_worst_first_and_name_a_command() -> None:
    report = report_fixture.report()
    actions = summary.actions_of(report, limit=20)
    doable = [a.level.rank for a in actions if not a.command.startswith("bartizan explain")]
    assert doable == sorted(doable, reverse=True)
    assert [a.command.startswith("bartizan explain") for a in actions[: len(doable)]] == [False] * len(doable)
    assert all(a.command.startswith(("bartizan ", "pip install ")) for a in actions)
    assert {id for a in actions for id in a.risks} == {r.id for r in report.risks if r.status == "open"}


def test_pressing_findings_come_first() -> None:
    verdicts = [f.verdict for f in summary.pressing(report_fixture.findings())]
    assert verdicts == [Verdict.FAIL] * 3 + [Verdict.INCONCLUSIVE, Verdict.UNKNOWN, Verdict.PASS]
