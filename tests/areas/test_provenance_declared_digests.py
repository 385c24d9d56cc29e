"""Declared digests: one flipped bit is seen, a match passes, a missing digest is unknown with the line to add."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from bartizan.model.errors import InputError, Place, Refused
from bartizan.model.findings import Severity, Verdict
from bartizan.model.system import Asset, Dataset, Kind, Origin, Stage

CHECK = "provenance.declared_digests"
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
"""SHA-256 of `abc` (FIPS 180-2, appendix B.1)."""


def dataset(digest: str | None, **more: object) -> Dataset:
    return Dataset(id="loans", stage=Stage.TRAIN, uri="loans.csv", digest=digest, at=Place("bartizan.yaml", 7), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("written", [f"sha256:{ABC}", ABC, f"SHA256:{ABC.upper()}"])
def test_a_match_passes(run_check, tmp_path: Path, written: str) -> None:
    (tmp_path / "loans.csv").write_bytes(b"abc")
    found = {f.threat: f.verdict for f in run_check(CHECK, dataset(written, origin=Origin.PUBLIC))}
    assert set(found.values()) == {Verdict.PASS}


def test_lineage_wants_an_origin_too(run_check, tmp_path: Path) -> None:
    (tmp_path / "loans.csv").write_bytes(b"abc")
    found = {f.threat: f.verdict for f in run_check(CHECK, dataset(ABC))}
    assert found == {"dataset-tampering": "pass", "registry-compromise": "pass", "unproven-lineage": "unknown"}


@pytest.mark.parametrize("bit", range(24))
def test_one_flipped_bit_fails(run_check, tmp_path: Path, bit: int) -> None:
    data = bytearray(b"abc")
    data[bit // 8] ^= 1 << bit % 8
    (tmp_path / "loans.csv").write_bytes(data)
    for finding in run_check(CHECK, dataset(ABC)):
        assert (finding.verdict, finding.severity) == (Verdict.FAIL, Severity.HIGH)
        assert [str(place) for place in finding.places] == ["bartizan.yaml:7"]


def test_a_missing_digest_is_unknown_with_the_line_to_add(run_check, tmp_path: Path) -> None:
    (tmp_path / "loans.csv").write_bytes(b"abc")
    for finding in run_check(CHECK, dataset(None)):
        assert finding.verdict is Verdict.UNKNOWN
        assert f"digest: sha256:{ABC}" in finding.remedy
    assert {f.verdict for f in run_check(CHECK, dataset(None), required=True)} == {Verdict.FAIL}


def test_a_folder_has_a_digest_of_names_and_contents(run_check, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "b").write_bytes(b"abc")
    (folder / "a").write_bytes(b"")
    empty = hashlib.sha256(b"").hexdigest()
    expected = hashlib.sha256(f"a\0sha256:{empty}\nb\0sha256:{ABC}\n".encode()).hexdigest()
    model = Asset(id="m", kind=Kind.MODEL, uri="model", digest=expected, trained_on=("loans",))
    assert {f.verdict for f in run_check(CHECK, model)} == {Verdict.PASS}
    (folder / "b").rename(folder / "c")
    assert {f.verdict for f in run_check(CHECK, model)} == {Verdict.FAIL}


def test_what_is_no_digest_is_an_error_with_its_line(run_check, tmp_path: Path) -> None:
    (tmp_path / "loans.csv").write_bytes(b"abc")
    with pytest.raises(InputError, match=r"bartizan\.yaml:7: digest 'md5:1' .* is not a SHA-256"):
        run_check(CHECK, dataset("md5:1"))


@pytest.mark.parametrize("uri", ["https://example.org/loans.csv", "s3://bucket/loans.csv", "missing.csv", "\0", "a\0b"])
def test_what_cannot_be_read_is_an_error(run_check, uri: str) -> None:
    with pytest.raises((InputError, Refused)):
        run_check(CHECK, Dataset(id="loans", stage=Stage.TRAIN, uri=uri, digest=ABC))
