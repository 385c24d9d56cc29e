"""The section about data sets and the page of a scan: pictures stand there once, whatever they hold stays a picture."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
import report_fixture
from test_renderers_report_html import Page

from bartizan.methods import charts
from bartizan.model.findings import Artefact, Finding, Measure, Verdict
from bartizan.renderers import data_scan_html, html_page
from bartizan.renderers.pictures import MOST_BYTES, Album, picture_of

HOSTILE = "</title></style><script>alert(1)</script>\"' onload=alert(1) {{7*7}}\u202e"
SVG = charts.groups_of_rows("Rows that repeat", "Two rows <b>repeat</b>.", 10, [[1, 5]])
OTHER = charts.groups_of_rows("Others", "", 10, [[2, 5]])


def artefact(data: bytes, name: str = "groups.svg", kind: str = "image/svg+xml", digest: str = "") -> Artefact:
    return Artefact(name=name, media_type=kind, data=data, digest=digest, size=len(data))


def finding(check: str, text: str = "title", *artefacts: Artefact, verdict: Verdict = Verdict.FAIL, asset: str = "loans") -> Finding:
    measure = Measure(name=text, value=0.1, low=0.05, high=0.2, confidence=0.95, n=100, k=10, unit="share of rows", limit=0.05)
    return Finding(check=check, asset=asset, threat="biased-data", verdict=verdict, title=text, why=text, remedy=text, measures=(measure,),
                   artefacts=artefacts)  # fmt: skip


@dataclass
class Line:
    area: str
    check: str
    verdict: Verdict | None
    title: str
    why: str = ""
    remedy: str = ""
    finding: Finding | None = None


@dataclass
class Scan:
    path: str
    lines: list[Line]
    passport: Any = None
    details: Any = None
    schemas: dict[str, str] = field(default_factory=dict)


def scanned(text: str) -> Scan:
    found = finding("quality.near_duplicates", text, artefact(SVG))
    return Scan(
        path=f"/home/somebody/{text.replace('/', '')}.csv",
        lines=[
            Line("quality", found.check, found.verdict, text, text, text, found),
            Line("fairness", "", None, f"not covered: {text}"),
            Line(text, text, Verdict.PASS, text),
        ],
        schemas={text: text},
    )


@pytest.mark.parametrize("text", ["plain", HOSTILE, ""])
def test_the_page_of_a_scan_is_whole_and_runs_nothing_foreign(text: str) -> None:
    written = data_scan_html.render(scanned(text))
    page = Page(written)
    assert page.open == []
    tags = [tag for tag, _ in page.elements]
    assert tags.count("script") == tags.count("style") == tags.count("h1") == 1
    assert tags.count("img") == 1
    (image,) = (attributes for tag, attributes in page.elements if tag == "img")
    assert image["src"].startswith("data:image/svg+xml;base64,")
    assert base64.b64decode(image["src"].partition(",")[2]) == SVG
    assert image["alt"].startswith("Rows that repeat. Two rows <b>repeat</b>.")
    for tag, attributes in page.elements:
        assert not any(name.startswith("on") for name in attributes), tag
        assert not attributes.get("src", "data:").startswith("http")
        assert attributes.get("href", "#")[0] == "#" or attributes["href"] == "data:,"
    assert "/home/somebody" not in written
    assert written == data_scan_html.render(scanned(text))


def test_the_page_of_a_scan_says_what_failed_first_and_what_nobody_looked_at() -> None:
    lines = [
        Line("quality", "quality.a", Verdict.PASS, "all is well"),
        Line("quality", "quality.b", Verdict.FAIL, "labels are wrong", remedy="look"),
        Line("poisoning", "poisoning.c", Verdict.INCONCLUSIVE, "cannot tell"),
        Line("fairness", "", None, "not covered: nothing here looks"),
    ]
    text = Page(data_scan_html.render(Scan("x.csv", lines))).text
    assert "1 check failed; 2 answers not settled" in text
    assert text.index("labels are wrong", text.index("What to do") + 60) < text.index("all is well")
    assert "not covered" in text
    assert "Nothing failed; 2 answers not settled" in Page(data_scan_html.render(Scan("x.csv", lines[2:]))).text


def test_the_report_shows_the_pictures_of_each_data_set_once() -> None:
    report = report_fixture.report()
    kept = artefact(SVG, digest="sha256:aa"), artefact(OTHER, digest="sha256:bb")
    cleared = tuple(msgspec.structs.replace(one, data=None) for one in kept)
    found = (
        finding("quality.near_duplicates", "rows repeat", cleared[0]),
        finding("quality.near_duplicates", "rows repeat", cleared[0], asset="nothing-declared"),
        finding("evasion.white_box", "breaks", cleared[1], asset="scorer"),
        finding("pii.personal_data", "emails", artefact(b"", digest="sha256:cc")),
    )
    report = msgspec.structs.replace(report, findings=found, pictures={"sha256:aa": SVG, "sha256:bb": OTHER})
    written = html_page.render(report)
    page = Page(written)
    assert page.open == []
    shown = [base64.b64decode(attributes["src"].partition(",")[2]) for tag, attributes in page.elements if tag == "img"]
    assert shown == [SVG, OTHER]
    data = written[written.index('<section id="data"') : written.index('<section id="findings"')]
    assert "rows repeat" in data
    assert "emails" in data
    assert "Nothing looked at:" in data
    assert data.count("<img") == 1


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("image/svg+xml", None),
        ("image/svg+xml", b"<html><script>alert(1)</script></html>"),
        ("image/svg+xml", b"<svg" + b" " * MOST_BYTES),
        ("image/png", SVG),
        ("text/html", b"<svg></svg>"),
        ("image/svg+xml;x", SVG),
    ],
)
def test_what_is_no_picture_is_not_shown(kind: str, data: bytes | None) -> None:
    assert picture_of(artefact(SVG, kind=kind), data) is None


def test_a_page_holds_no_more_pictures_than_it_has_room_for() -> None:
    large = [artefact(b"<svg>" + bytes([65 + n]) * (MOST_BYTES - 100), digest=str(n)) for n in range(40)]
    taken = Album({}).take([finding("quality.x", "t", *large)])
    assert 0 < len(taken) <= 16
