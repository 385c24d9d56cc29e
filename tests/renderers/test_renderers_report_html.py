"""The HTML report: it needs nothing else, runs nothing foreign, links to what it holds, and says what an architect asks for."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from html.parser import HTMLParser

import msgspec
import pytest
import report_fixture
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.model.findings import Measure, Verdict
from bartizan.model.report import Report
from bartizan.model.system import Asset, Flow, Kind, Level, System
from bartizan.renderers import html_page
from bartizan.renderers.flow_layout import NODE_HEIGHT, NODE_WIDTH, layout
from bartizan.renderers.html_page import prose
from bartizan.renderers.html_rows import Anchors
from bartizan.renderers.svg_bars import measure_bar

HOSTILE = (
    "</style></script><script>alert(1)</script><img src=x onerror=alert(1)>\"' onload=alert(1) {{7*7}} {% raw %} `x` "
    "javascript:alert(1)\u202e"
)
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Every element with its attributes, and the raw text of style and script elements."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.raw: dict[str, list[str]] = {"style": [], "script": []}
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        inside = self.open[-1] if self.open else ""
        if inside in self.raw:
            self.raw[inside].append(data)
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def page_of(report: Report) -> Page:
    page = Page(html_page.render(report))
    assert page.open == []
    return page


@pytest.fixture(scope="module")
def page() -> Page:
    return page_of(report_fixture.report())


@pytest.fixture(scope="module")
def hostile() -> Page:
    return page_of(report_fixture.hostile(HOSTILE + "N" * 10_000))


@pytest.mark.parametrize("name", ["page", "hostile"])
def test_nothing_is_loaded_and_nothing_foreign_runs(name: str, request: pytest.FixtureRequest) -> None:
    found: Page = request.getfixturevalue(name)
    tags = [tag for tag, _ in found.elements]
    assert tags.count("script") == 1
    assert tags.count("style") == 1
    assert not {"iframe", "object", "embed", "base", "form", "img", "image", "foreignobject", "a:href"} & set(tags)
    for tag, attributes in found.elements:
        assert not [a for a in attributes if a.startswith("on") or a in {"style", "srcset", "action", "formaction"}], tag
        for name_ in ("src", "href", "xlink:href", "poster", "data"):
            if name_ in attributes:
                assert attributes[name_].startswith("#") or attributes[name_] == "data:,", (tag, attributes[name_])
    assert "url(http" not in "".join(found.raw["style"])
    assert "@import" not in "".join(found.raw["style"])


@pytest.mark.parametrize("name", ["page", "hostile"])
def test_the_policy_allows_the_pages_own_style_and_script_by_hash_alone(name: str, request: pytest.FixtureRequest) -> None:
    found: Page = request.getfixturevalue(name)
    policies = [a["content"] for tag, a in found.elements if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"]
    assert len(policies) == 1
    assert policies[0].startswith("default-src 'none'; ")
    assert "unsafe" not in policies[0]
    for kind in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256("".join(found.raw[kind]).encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policies[0]


def test_style_and_script_do_not_depend_on_the_report(page: Page, hostile: Page) -> None:
    assert page.raw == hostile.raw


@pytest.mark.parametrize("name", ["page", "hostile"])
def test_ids_are_unique_and_every_link_leads_somewhere(name: str, request: pytest.FixtureRequest) -> None:
    found: Page = request.getfixturevalue(name)
    ids = [a["id"] for _, a in found.elements if "id" in a]
    assert len(ids) == len(set(ids))
    targets = {a["href"][1:] for _, a in found.elements if a.get("href", "").startswith("#")}
    named = {word for _, a in found.elements for key in ("aria-labelledby", "data-toggles") for word in a.get(key, "").split()}
    assert targets | named <= set(ids)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", i) for i in ids)


def test_it_is_usable_without_a_mouse_and_without_eyes(page: Page) -> None:
    assert page.elements[[tag for tag, _ in page.elements].index("body") + 1] == ("a", {"class": "skip", "href": "#main"})
    for tag, attributes in page.elements:
        if tag == "svg":
            assert attributes.get("aria-hidden") == "true" or attributes.get("aria-label")
        if "tabindex" in attributes:
            assert attributes["tabindex"] == "0"
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert "prefers-color-scheme: dark" in "".join(page.raw["style"])
    assert "@media print" in "".join(page.raw["style"])


def test_it_says_what_remains_what_failed_and_what_to_do(page: Page) -> None:
    for words in (
        "3 critical and 6 high risks are open.",
        "bartizan assess --only deployment.dockerfile",
        "Why The measured success rate",
        "evidence for 2 of 7",
        "no statement of conformity",
        "service/app.py:14",
        "69 more trials",
        "1.1 to 6.3 %",
        "black-box, 2000 queries, linf 0.03",
        "scikit-learn 1.5.2",
        "How many requests may one caller make in a minute?",
        "accept by cro@example.org until 2027-03-31",
        "bartizan verify --key KEY.pem",
        "Credit bureau → training",
    ):
        assert words in page.text, words
    assert {v: page.text.count(w) > 0 for v, w in html_page.wording.VERDICT_WORDS.items()} == dict.fromkeys(Verdict, True)


def test_it_never_claims_conformity(page: Page) -> None:
    assert "certified" not in page.text.lower()
    assert "compliant" not in page.text.lower()


def test_an_unverified_chain_is_said_at_the_top() -> None:
    report = report_fixture.report()
    chain = msgspec.structs.replace(report.chain, verified=False, problems=("record 3 was changed",))
    text = page_of(msgspec.structs.replace(report, chain=chain)).text
    assert text.index("did not verify") < text.index("Residual risks")
    assert "record 3 was changed" in text


def test_an_empty_report_is_a_whole_page() -> None:
    report = report_fixture.report()
    empty = msgspec.structs.replace(
        report, system=System(name="x"), model=msgspec.structs.replace(report.model, instances=(), questions=()),
        threats={}, controls=(), risks=(), evidence=(), findings=(), checklist=(), coverage=(), gaps=(),
    )  # fmt: skip
    text = page_of(empty).text
    assert "No threat of the catalogue applies" in text
    assert "No check has run." in text


def test_long_names_are_cut_and_hidden_characters_shown(hostile: Page) -> None:
    assert "N" * 4_100 not in hostile.text
    assert "\u202e" not in hostile.text
    assert "\ufffd" in hostile.text


@given(st.text(max_size=60))
@settings(max_examples=15, deadline=None)
def test_any_text_anywhere_leaves_the_structure_as_it_is(text: str) -> None:
    tags = [tag for tag, _ in page_of(report_fixture.hostile(text)).elements]
    assert tags.count("script") == tags.count("style") == tags.count("h1") == 1
    assert tags.count("section") == 11


@given(st.text(max_size=80))
def test_prose_adds_code_and_nothing_else(text: str) -> None:
    bare = re.sub("</?code>", "", str(prose(text)))
    assert html.unescape(bare).replace("`", "") == html_page.wording.printable(text).replace("`", "")


def test_anchors_are_unique_also_for_the_same_name() -> None:
    anchors = Anchors()
    assert [anchors.take("risk", n) for n in ("a b", "a b", "", "ü")] == ["risk-a-b", "risk-a-b-2", "risk-x", "risk-x-2"]


def test_the_picture_of_a_measure_stands_on_one_scale() -> None:
    measure = Measure(name="m", value=0.5, low=0.4, high=0.6, confidence=0.95, n=10, limit=0.25)
    picture = str(measure_bar(measure))
    edges = [(float(x), float(w)) for x, w in re.findall(r'x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', picture)]
    assert all(x >= 0 and x + w <= 100.01 for x, w in edges)
    assert "limit 0.25" in picture


def test_nodes_of_the_diagram_do_not_overlap_and_crossings_lie_between_zones() -> None:
    diagram = layout(report_fixture.system())
    assert diagram is not None
    for n, a in enumerate(diagram.boxes):
        for b in diagram.boxes[n + 1 :]:
            assert abs(a.x - b.x) >= NODE_WIDTH or abs(a.y - b.y) >= NODE_HEIGHT
    edges = {lane.x for lane in diagram.lanes[1:]}
    assert {x for arrow in diagram.arrows for x, _ in arrow.crossings} <= edges
    crossing = {(a.flow.source, a.flow.target): len(a.crossings) for a in diagram.arrows if a.crossings}
    assert crossing == {("applicant", "web"): 2, ("bureau-feed", "loans"): 2, ("fit", "scorer"): 1}


def test_a_system_too_large_to_draw_becomes_a_table() -> None:
    report = report_fixture.report()
    assets = tuple(Asset(id=f"a{n}", kind=Kind.SERVICE) for n in range(200))
    flows = tuple(Flow(source=f"a{n}", target=f"a{n + 1}") for n in range(199))
    large = page_of(msgspec.structs.replace(report, system=System(name="large", assets=assets, flows=flows)))
    assert "Too many nodes or flows" in large.text
    assert "a198" in large.text


def test_worst_risk_first_whatever_the_order_given(page: Page) -> None:
    report = report_fixture.report()
    backwards = msgspec.structs.replace(report, risks=tuple(reversed(report.risks)))
    assert html_page.render(backwards) == html_page.render(report)
    tags = [a["class"].removeprefix("tag ") for tag, a in page.elements if tag == "span" and a.get("class", "").startswith("tag ")]
    assert tags[:3] == [Level.CRITICAL] * 3


def test_of_many_risks_each_stands_there_and_the_lower_ones_in_a_table() -> None:
    report = report_fixture.report(html_page.DETAILED + 30)
    found = page_of(report)
    ids = [a["id"] for _, a in found.elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for _, a in found.elements if a.get("href", "").startswith("#")} <= set(ids)
    rows = {a["id"]: tag for tag, a in found.elements if a.get("id", "").startswith("risk-")}
    assert len(rows) == len(report.risks)
    assert sorted(rows.values()).count("tr") == 30
    assert "The other 30 risks, lower than these" in found.text
