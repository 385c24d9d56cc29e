"""Which packages there are: requirements, environments, wheels, SBOMs, container images."""

import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from bartizan.areas.dependencies.inventory import packages_in
from bartizan.areas.dependencies.typosquats import popular, suspects
from bartizan.model.errors import InputError


def listed(path: Path) -> set[tuple[str, str, str | None]]:
    return {(p.ecosystem, p.name, p.version) for p in packages_in(path)}


def test_requirements(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("A.b==1.0 --hash=sha256:" + "0" * 64 + "\nc>=2\n-e .\n")
    assert listed(tmp_path) == {("PyPI", "a-b", "1.0"), ("PyPI", "c", None)}


def test_lock(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").write_text('[[package]]\nname = "numpy"\nversion = "1.16.0"\n')
    assert listed(tmp_path) == {("PyPI", "numpy", "1.16.0")}


def metadata(name: str, version: str) -> str:
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: decoy\n"


def test_environment(tmp_path: Path) -> None:
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    (site / "Foo_Bar-1.0.dist-info").mkdir(parents=True)
    (site / "Foo_Bar-1.0.dist-info" / "METADATA").write_text(metadata("Foo_Bar", "1.0"))
    (tmp_path / "pyvenv.cfg").write_text("home = /usr/bin\n")
    assert listed(tmp_path) == {("PyPI", "foo-bar", "1.0")}
    assert listed(site) == {("PyPI", "foo-bar", "1.0")}


def test_wheel(tmp_path: Path) -> None:
    path = tmp_path / "foo-2.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("foo-2.0.dist-info/METADATA", metadata("foo", "2.0"))
    assert listed(path) == {("PyPI", "foo", "2.0")}
    path.write_bytes(b"PK\3\4 broken")
    with pytest.raises(InputError, match="wheel"):
        packages_in(path)


def test_sbom(tmp_path: Path) -> None:
    path = tmp_path / "bom.json"
    inner = {"name": "b", "purl": "pkg:deb/debian/openssl@3.0.9-1?arch=amd64&distro=debian-12"}
    path.write_text(json.dumps({"bomFormat": "CycloneDX", "components": [{"purl": "pkg:pypi/Foo@1.0", "components": [inner]}]}))
    assert listed(path) == {("PyPI", "foo", "1.0"), ("Debian:12", "openssl", "3.0.9-1")}
    path.write_text(json.dumps({"spdxVersion": "SPDX-2.3", "packages": [{"externalRefs": [{"referenceLocator": "pkg:pypi/bar@2"}]}]}))
    assert listed(path) == {("PyPI", "bar", "2")}


def layer(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            packed.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


def image(path: Path, *layers: bytes) -> Path:
    with tarfile.open(path, "w") as packed:
        entries = {f"{i}/layer.tar": data for i, data in enumerate(layers)}
        manifest = json.dumps([{"Layers": list(entries)}]).encode()
        for name, data in {**entries, "manifest.json": manifest}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            packed.addfile(info, io.BytesIO(data))
    return path


DPKG = (
    "Package: libssl3\nStatus: install ok installed\nSource: openssl (3.0.9-1)\nVersion: 3.0.9-1+b1\n\n"
    "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n"
)


def test_container_image(tmp_path: Path) -> None:
    site = "usr/lib/python3/site-packages"
    base = layer(
        {
            "etc/os-release": 'ID=debian\nVERSION_ID="12"\n',
            "var/lib/dpkg/status": DPKG,
            f"{site}/old-1.dist-info/METADATA": metadata("old", "1"),
            f"{site}/kept-1.dist-info/METADATA": metadata("kept", "1"),
        }
    )
    above = layer({f"{site}/.wh.old-1.dist-info": "", f"{site}/new-2.dist-info/METADATA": metadata("new", "2")})
    path = image(tmp_path / "image.tar", base, above)
    assert listed(path) == {("Debian:12", "openssl", "3.0.9-1"), ("PyPI", "kept", "1"), ("PyPI", "new", "2")}


def test_a_truncated_image_is_an_error(tmp_path: Path) -> None:
    path = image(tmp_path / "image.tar", layer({"etc/os-release": "ID=debian\n"}))
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(InputError):
        packages_in(path)


def test_nothing_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("# nothing\n")
    with pytest.raises(InputError, match="no package"):
        packages_in(tmp_path)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("reqeusts", "requests"), ("urlib3", "urllib3"), ("djanga", "django"), ("python3-dateutil", "python-dateutil"),
        ("colourama", "colorama"), ("scikitlearn", "scikit-learn"), ("tensorfolw", "tensorflow"), ("requests-python", "requests"),
    ],
)  # fmt: skip
def test_imitations(name: str, target: str) -> None:
    assert [s.target for s in suspects([name])] == [target]


def test_popular_names_and_strangers_are_no_imitations() -> None:
    assert suspects(popular()) == []
    assert suspects(["bartizan", "my-companys-scoring", "xy"]) == []


def test_a_table_is_no_list_of_packages(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("age;income\n1;2\n3;4\n")
    with pytest.raises(InputError, match="no list of packages"):
        packages_in(tmp_path / "rows.csv")
