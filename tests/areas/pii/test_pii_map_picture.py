"""The map of personal data names columns and kinds, and shows no value."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from bartizan.areas.pii.columns import scan_table
from bartizan.areas.pii.map_picture import personal_data_map

PEOPLE = {
    "mail": [f"anna{i}@example.org" for i in range(40)],
    "notes": ["call +49 30 901820 tomorrow please", *(f"nothing of note on day {i}" for i in range(39))],
    "surname": ["Quarterfield"] * 40,
    "amount": list(range(40)),
    "<script>alert(1)</script>": [f"x{i}@example.org" for i in range(40)],
}


def test_the_map_shows_columns_and_kinds_and_no_value() -> None:
    (picture,) = personal_data_map("people.csv", {"people.csv": scan_table(PEOPLE)})
    assert picture.data is not None
    root = ElementTree.fromstring(picture.data)
    words = ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"mail", "surname", "email"} <= set(words)
    assert "amount" not in words
    assert any(word.startswith("person_name, b") for word in words)
    shown = picture.data.decode()
    assert "anna1@" not in shown
    assert "Quarterfield" not in shown
    assert "901820" not in shown
    assert "<script" not in shown
    assert personal_data_map("people.csv", {"people.csv": scan_table(PEOPLE)})[0].data == picture.data


def test_without_personal_data_there_is_no_map() -> None:
    assert personal_data_map("x.csv", {"x.csv": scan_table({"a": [1, 2, 3], "b": ["u", "v", "w"]})}) == ()


def test_columns_of_several_files_are_told_apart() -> None:
    (picture,) = personal_data_map("folder", {"a.csv": scan_table({"mail": PEOPLE["mail"]}), "b.csv": scan_table({"mail": PEOPLE["mail"]})})
    assert picture.data is not None
    assert b"mail (a.csv)" in picture.data
    assert b"mail (b.csv)" in picture.data
