"""PEP 440 and OSV's evaluation, by cases with known answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from bartizan.areas.dependencies.advisories.osv import Affected, Package, Range
from bartizan.areas.dependencies.advisories.versions import Status, fixed_versions, status

YES, NO, UNKNOWN = Status.AFFECTED, Status.NOT_AFFECTED, Status.UNKNOWN


def entry(*events: dict[str, str], versions: tuple[str, ...] = (), kind: str = "ECOSYSTEM") -> Affected:
    ranges = (Range(kind, events),) if events else ()
    return Affected(Package("PyPI", "thing"), ranges, versions)


@pytest.mark.parametrize(
    ("events", "installed", "expected"),
    [
        ([{"introduced": "0"}, {"fixed": "2.0"}], "1.9.9", YES),
        ([{"introduced": "0"}, {"fixed": "2.0"}], "2.0", NO),
        ([{"introduced": "0"}, {"fixed": "2.0"}], "2.0.0", NO),
        ([{"introduced": "0"}, {"fixed": "2.0"}], "2.0rc1", YES),
        ([{"introduced": "0"}, {"fixed": "2.0"}], "2.0.dev5", YES),
        ([{"introduced": "0"}, {"fixed": "2.0"}], "2.0.post1", NO),
        ([{"introduced": "0"}, {"fixed": "2.0"}], "1!0.1", NO),
        ([{"introduced": "1.10"}], "1.9", NO),
        ([{"introduced": "1.10"}], "1.10", YES),
        ([{"introduced": "0"}, {"last_affected": "2.4.0"}], "2.4.0+cpu", YES),
        ([{"introduced": "0"}, {"last_affected": "2.4.0"}], "2.4.1", NO),
        ([{"introduced": "0"}, {"fixed": "1.0+patched"}], "1.0+patched", NO),
        ([{"introduced": "0"}, {"fixed": "1.0"}, {"introduced": "2.0"}, {"fixed": "2.3"}], "1.5", NO),
        ([{"introduced": "0"}, {"fixed": "1.0"}, {"introduced": "2.0"}, {"fixed": "2.3"}], "2.1", YES),
        ([{"fixed": "2.3"}, {"introduced": "2.0"}, {"fixed": "1.0"}, {"introduced": "0"}], "2.1", YES),
        ([{"introduced": "0", "fixed": "1.0"}], "0.5", YES),
        ([{"introduced": "0"}, {"limit": "3"}], "3.1", NO),
        ([{"introduced": "0"}, {"limit": "*"}], "3.1", YES),
        ([{"introduced": "0"}, {"last_affected": "2.6.0-NA"}], "2.13.0", NO),
        ([{"introduced": "0"}, {"last_affected": "2.6.0-cu124"}], "2.5.1", YES),
        ([{"introduced": "0"}, {"last_affected": "2.6.0-NA"}], "2.6.0", UNKNOWN),
        ([{"introduced": "0"}, {"fixed": "soon"}], "1.0", UNKNOWN),
        ([{"fixed": "2.0"}], "1.0", UNKNOWN),
        ([{"introduced": "0"}, {"fixed": "2.0"}], "not-a-version", UNKNOWN),
        ([{"introduced": "0"}, {"fixed": "2.0"}], "9" * 5000, UNKNOWN),
    ],
)
def test_range(events: list[dict[str, str]], installed: str, expected: Status) -> None:
    assert status(entry(*events), "PyPI", installed) is expected


def test_listed_versions_decide_without_a_range() -> None:
    listed = entry(versions=("1", "1.1"))  # as kept: one spelling for 1.0 and 1.0.0
    assert status(listed, "PyPI", "1.0.0") is YES
    assert status(listed, "PyPI", "1.1+local") is YES
    assert status(listed, "PyPI", "1.2") is NO
    assert status(listed, "PyPI", "banana") is UNKNOWN


def test_an_unreadable_version_that_is_listed_is_affected() -> None:
    assert status(entry({"introduced": "0"}, {"fixed": "1"}, versions=("2004d-x",)), "PyPI", "2004d-x") is YES


def test_commits_alone_cannot_be_compared() -> None:
    assert status(entry({"introduced": "0"}, {"fixed": "abc"}, kind="GIT"), "PyPI", "1.0") is UNKNOWN
    assert status(Affected(Package("PyPI", "thing")), "PyPI", "1.0") is UNKNOWN


def test_repairs_lie_above_what_is_installed() -> None:
    both = entry({"introduced": "0"}, {"fixed": "1.2"}, {"introduced": "2.0"}, {"fixed": "2.3"})
    assert fixed_versions(both, "PyPI", "2.1") == ("2.3",)
    assert fixed_versions(both, "PyPI", "1.0") == ("1.2", "2.3")


numbers = st.lists(st.integers(0, 12), min_size=1, max_size=3)
versions = st.builds(lambda n, tail: ".".join(map(str, n)) + tail, numbers, st.sampled_from(["", "a1", "rc2", ".post1", ".dev3", "+cpu"]))


@given(versions, versions, versions)
def test_one_interval_is_what_it_says(low: str, high: str, installed: str) -> None:
    """introduced <= v < fixed, with versions compared by `packaging`, which this module does not decide."""
    low, high = sorted((low.replace("+cpu", ""), high.replace("+cpu", "")), key=Version)
    if Version(low) == Version(high):
        return
    v = Version(Version(installed).public)
    expected = (low == "0" or Version(low) <= v) and v < Version(high)  # "0" lies below every version
    assert (status(entry({"introduced": low}, {"fixed": high}), "PyPI", installed) is YES) == expected


def test_debian_versions_are_compared_as_dpkg_does() -> None:
    pytest.importorskip("univers")
    affected = Affected(Package("Debian:12", "openssl"), (Range("ECOSYSTEM", ({"introduced": "0"}, {"fixed": "3.0.11-1~deb12u2"})),))
    assert status(affected, "Debian:12", "3.0.11-1~deb12u1") is YES
    assert status(affected, "Debian:12", "3.0.11-1~deb12u2") is NO
    assert status(affected, "Debian:12", "3.0.9-1") is YES
