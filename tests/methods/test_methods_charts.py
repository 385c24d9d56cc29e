"""Charts: the same data gives the same bytes, foreign text cannot leave its place, sizes are bounded, no value of the data shows."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.methods import charts
from bartizan.methods.drawing import fitted, line, percent
from bartizan.methods.gallery import gallery

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</title><script>alert(1)</script>\"'&\u202e\u0007<image href='http://x/y'/>"


def drawn(name: str) -> dict[str, bytes]:
    """One picture of each kind, with `name` wherever text goes."""
    bar = charts.Bar(name, name, ((0.5, 0.4, 0.6), None))
    return {
        "rates": charts.rates(name, name, [name, name], [(name, [bar])]),
        "histograms": charts.histograms(name, name, [charts.Histogram(name, (1, 5, 2), name, name, name, name)]),
        "heat_map": charts.heat_map(name, name, [name, name], [(name, [0.3, None])]),
        "groups": charts.groups_of_rows(name, name, 10, [[1, 5], [2, 3, 4]], [name]),
        "outliers": charts.outlier_plot(name, name, [(0, 1.0), (1, 0.7)], [(2, 9.0)], 4.0),
        "gallery": gallery(np.zeros((2, 1, 8, 8), np.float32), [(name,), (name, name)], title=name),
    }


@pytest.mark.parametrize("kind", list(drawn("x")))
def test_foreign_text_stays_text(kind: str) -> None:
    data = drawn(HOSTILE)[kind]
    root = ElementTree.fromstring(data)
    assert {child.tag.removeprefix(SVG) for child in root.iter()} <= {
        "svg",
        "title",
        "desc",
        "style",
        "rect",
        "text",
        "path",
        "circle",
        "g",
        "image",
    }
    for image in root.iter(f"{SVG}image"):
        assert str(image.get("href")).startswith("data:image/png;base64,")
    assert "\u202e" not in data.decode()
    assert root.find(f"{SVG}title") is not None
    assert root.find(f"{SVG}desc") is not None
    assert not re.search(rb"(?:href|src|url|@import)[^>]{0,20}https?:", data.replace(b"href='http", b"").replace(b"href=&#x27;http", b""))


@given(st.text(max_size=60))
@settings(max_examples=60, deadline=None)
def test_any_name_gives_well_formed_pictures_and_the_same_bytes(name: str) -> None:
    first, second = drawn(name), drawn(name)
    assert first == second
    for data in first.values():
        ElementTree.fromstring(data)


def test_pictures_stay_small_and_say_what_they_leave_out() -> None:
    bars = [charts.Bar(f"g{i}", "n", ((0.1, 0.0, 0.2),)) for i in range(5000)]
    rows = [(i, 1.0 + i % 7) for i in range(200_000)]
    pictures = {
        "bars": charts.rates("t", "s", ["m"], [("all", bars)]),
        "columns": charts.histograms("t", "s", [charts.Histogram(f"c{i}", tuple(range(9999))) for i in range(3000)]),
        "rows": charts.heat_map("t", "s", [f"k{i}" for i in range(500)], [(f"c{i}", [0.5] * 500) for i in range(900)]),
        "groups": charts.groups_of_rows("t", "s", 200_000, [list(range(100_000))] * 400),
        "": charts.outlier_plot("t", "s", rows, rows, 3.0),
    }
    for what, data in pictures.items():
        assert len(data) < 400_000, what
        assert f"{what} more" in data.decode() or not what


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_no_picture_of_one(bad: float) -> None:
    for data in (
        charts.rates("t", "s", ["m"], [("b", [charts.Bar("x", "", ((bad, bad, bad),))])]),
        charts.heat_map("t", "s", ["k"], [("c", [bad])]),
        charts.outlier_plot("t", "s", [(0, bad), (1, 1.0)], [], 2.0),
    ):
        ElementTree.fromstring(data)
        assert b"nan" not in data
        assert b"inf" not in data


def test_a_bar_ends_where_its_rate_says() -> None:
    """Of a scale from 0 to 100 % a rate of one half fills half of the track."""
    root = ElementTree.fromstring(charts.rates("t", "s", ["m"], [("b", [charts.Bar("x", "", ((0.5, 0.25, 0.75),))])]))
    track, bar = (next(box for box in root.iter(f"{SVG}rect") if box.get("class") == kind) for kind in ("pale", "mark"))
    assert float(bar.get("width", 0)) == pytest.approx(float(track.get("width", 0)) / 2, abs=0.1)


@pytest.mark.parametrize(
    ("share", "said"), [(0.0, "0 %"), (0.0004, "<0.1 %"), (0.032, "3.2 %"), (0.47, "47 %"), (1.0, "100 %"), (float("nan"), "?")]
)
def test_shares_are_written_as_people_read_them(share: float, said: str) -> None:
    assert percent(share) == said


def test_text_is_cut_to_its_room() -> None:
    assert fitted("a" * 100, 65.0) == "a" * 9 + "…"
    assert fitted("日" * 100, 62.0) == "日" * 4 + "…"
    assert line("a\nb\u202ec", 10) == "a b\ufffdc"
