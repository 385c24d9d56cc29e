"""Policies derived from files: harmless classes get exactly the uses they need, traps get none, and nothing of the package runs."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from booby_trap import GOOD, MARK, TRAPS, trap, write_package, write_wheel

from bartizan.areas.artefacts.pickles import Policy, inspect
from bartizan.areas.artefacts.policy_compiler import Environment, compile_policy
from bartizan.areas.artefacts.safety import Safety
from bartizan.cli.app import run
from bartizan.model.errors import InputError, Refused

HARMLESS = {
    "Four": "new build",  # its method evaluates, and nothing but the class that is refused calls it
    "Fires": "new build",
    "Harmless": "new build",
    "Overrides": "new build",
    "HasProperty": "new build",
    "Nested": "new build",
    "Reduces": "new build",  # the function that it names is looked up only
    "called": "",
    "Table": "new",  # may be made, not filled: what its __setstate__ calls cannot be told
    "Handed": "new",
}
"""What stands beside the traps and cannot be used to reach them."""


def allowed(document: dict[str, Any]) -> dict[str, str]:
    return {name: row.get("uses", "") for row in document["allow"] for name in row["names"].split()}


def left(document: dict[str, Any]) -> dict[str, str]:
    return {item["name"].rpartition(".")[2]: item["why"] for item in document["about"]["left"]}


@pytest.mark.parametrize("text", TRAPS, ids=lambda text: next(word for word in text.split() if word[0].isupper()).strip(":("))
def test_a_trap_gets_no_entry(text: str, tmp_path: Path) -> None:
    document = compile_policy(["traps"], Environment([write_package(tmp_path, "traps", trap(text))]))
    found = allowed(document)
    assert found.items() <= HARMLESS.items()


def test_a_trap_comes_with_its_reason_and_line(tmp_path: Path) -> None:
    text = next(text for text in TRAPS if "class Deep" in text)
    why = left(compile_policy(["traps"], Environment([write_package(tmp_path, "traps", trap(text))])))["Deep"]
    assert why == "__setstate__: uses eval, which runs or imports code (traps.trap, line 18)"


def test_harmless_classes_get_the_uses_they_need(tmp_path: Path) -> None:
    document = compile_policy(["good"], Environment([write_package(tmp_path, "good", {"good/__init__.py": GOOD})]))
    assert allowed(document) == {
        "Pair": "new",
        "Plain": "new build",
        "Kept": "new build",
        "Estimator": "new build",
        "Row": "new build",
        "Colour": "call build",
        "Bag": "new build setitem",
        "Stack": "new build append",
        "TrainingFailed": "new call build",
        "Outer": "new build",
        "Outer.Inner": "new build",
        "Versioned": "new build",
        "_rebuild": "call",
        "score": "",
    }
    assert set(left(document)) == {"store"}
    assert all(row["why"] for row in document["allow"])


def test_pickles_of_the_package_are_safe_afterwards(tmp_path: Path) -> None:
    site = write_package(
        tmp_path / "site", "good", {"good/__init__.py": GOOD.replace("from sklearn.base", "from good.bases"), "good/bases.py": BASES}
    )
    made = subprocess.run([sys.executable, "-c", MAKE], cwd=site, capture_output=True, check=True)
    data = made.stdout
    assert inspect(data).ruling.verdict is Safety.NEEDS_POLICY
    path = tmp_path / "good.policy.yaml"
    path.write_text(json.dumps(compile_policy(["good"], Environment([site]))))
    assert inspect(data, Policy.shipped().with_([path])).ruling == inspect(b"\x80\x04N.").ruling


BASES = "class BaseEstimator:\n    pass\n\nclass ClassifierMixin:\n    pass\n"

MAKE = """
import pickle, sys, good
bag, stack = good.Bag(), good.Stack()
bag["a"] = good.Pair(1, 2); stack.append(good.Row(1))
kept, error, outer = good.Kept(1), good.TrainingFailed("no"), good.Outer.Inner()
model = good.Estimator().fit([[1]], [1])
made = [bag, stack, kept, error, outer, model, good.Colour.RED, good.score]
sys.stdout.buffer.write(pickle.dumps(made, 4))
"""


def test_nothing_of_a_booby_trapped_package_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marker = tmp_path / "marker"
    mark = MARK.format(marker=str(marker))
    files = {
        "trapped/__init__.py": mark,
        "trapped/inner.py": "class Fine:\n    pass\n",
        "trapped/setup.py": mark,
        "trapped/conftest.py": mark,
        "trapped/_version.py": mark,
        "trapped.pth": mark,
        "sitecustomize.py": mark,
        "alone.py": "class Alone:\n    pass\n",
    }
    site = write_package(tmp_path / "site", "trapped", files)
    monkeypatch.chdir(tmp_path)
    child = [sys.executable, "-m", "bartizan", "policy", "allow", "trapped", "--environment"]
    for place in (site, write_wheel(site, tmp_path / "trapped-1.0-py3-none-any.whl")):
        done = subprocess.run([*child, str(place), "-o", "trapped.policy.yaml"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert not marker.exists()
        text = Path("trapped.policy.yaml").read_text()
        assert "names: Alone" in text
        assert "names: Fine" not in text
        assert "importing it calls .touch" in text
    subprocess.run([sys.executable, "-c", "import trapped"], cwd=site, check=True)
    assert marker.exists()


def test_a_wheel_and_its_installation_have_the_same_digest(tmp_path: Path) -> None:
    site = write_package(tmp_path / "site", "good", {"good/__init__.py": GOOD})
    (site / "good" / "__pycache__").mkdir()
    (site / "good" / "__pycache__" / "x.pyc").write_bytes(b"")
    wheel = write_wheel(site, tmp_path / "good-1.0-py3-none-any.whl")
    assert Environment([wheel]).package("good").digest == Environment([site]).package("good").digest


def test_a_file_that_is_not_the_installed_one_is_refused(tmp_path: Path) -> None:
    site = write_package(tmp_path, "good", {"good/__init__.py": GOOD})
    (site / "good" / "__init__.py").write_text(GOOD + "\n")
    with pytest.raises(Refused, match="was changed after it was installed"):
        compile_policy(["good"], Environment([site]))
    with pytest.raises(InputError, match="no package 'nothing' is installed here"):
        compile_policy(["nothing"], Environment([site]))


def test_compiled_code_in_place_of_the_source_is_refused(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"sly/__init__.py": "", "sly/__pycache__/__init__.cpython-311.pyc": b"\xa7\x0d\x0d\x0a\x01\0\0\0"}
    with pytest.raises(Refused, match="in place of the source"):
        compile_policy(["sly"], Environment([write_package(tmp_path, "sly", files)]))


def test_compiled_classes_need_trust(tmp_path: Path) -> None:
    binary = b"\x7fELF\0__pyx_unpickle_Tree\0fast.Heap.__reduce_cython__\0"
    files: dict[str, str | bytes] = {"fast/__init__.py": "", "fast/trees.cpython-311-x86_64-linux-gnu.so": binary}
    environment = Environment([write_package(tmp_path, "fast", files)])
    seen = compile_policy(["fast"], environment)
    assert not allowed(seen)
    assert "is compiled" in left(seen)["trees"]
    trusted = compile_policy(["fast"], environment, trust_compiled=True)
    assert allowed(trusted).keys() == {"Tree", "Heap", "__pyx_unpickle_Tree", "__pyx_unpickle_Heap"}
    assert "taken on trust" in trusted["about"]["compiled"]


def test_files_that_are_no_python_are_named(tmp_path: Path) -> None:
    deep = "x = " + "(" * 5_000 + ")" * 5_000
    files: dict[str, str | bytes] = {"odd/__init__.py": "", "odd/broken.py": "class :", "odd/deep.py": deep, "odd/zero.py": b"a\0b"}
    document = compile_policy(["odd"], Environment([write_package(tmp_path, "odd", files)]))
    assert {"broken", "deep", "zero"} <= set(left(document))
    assert not document["allow"]


def test_names_that_lead_in_circles_end(tmp_path: Path) -> None:
    chain = "\n".join(f"x{n + 1} = x{n} if x{n} else x{n}" for n in range(40))
    text = f"from circle import *\na = b\nb = a or b\nx0 = a\n{chain}\nclass Last(x40):\n    pass\nclass Own(Own):\n    pass\n"
    document = compile_policy(["circle"], Environment([write_package(tmp_path, "circle", {"circle/__init__.py": text})]))
    assert set(left(document)) == {"Last", "Own"}


def compiled(folder: Path, version: str = "1.0", text: str = GOOD) -> Path:
    """A policy made by the command, with the site-packages beside it."""
    site = write_package(folder / f"site-{version}", "good", {"good/__init__.py": text}, version)
    path = folder / f"good-{version}.yaml"
    assert run(["policy", "allow", "good", "--environment", str(site), "-o", str(path)]) == 0
    return path


def test_a_changed_policy_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    path = compiled(tmp_path)
    model = tmp_path / "model.pkl"
    model.write_bytes(pickle.dumps([1, 2]))
    assert run(["policy", "verify", str(path)]) == 0
    assert run(["scan", str(model), "--policy", str(path)]) == 0
    changed = tmp_path / "changed.yaml"
    changed.write_text(path.read_text().replace("uses: call build", "uses: call build setitem"))
    unsigned = tmp_path / "unsigned.yaml"
    unsigned.write_text("\n".join(line for line in path.read_text().splitlines() if "signature:" not in line))
    capsys.readouterr()
    for bad, words in ((changed, "its signature is broken"), (unsigned, "has no signature any more")):
        assert run(["policy", "verify", str(bad)]) == 1
        assert words in capsys.readouterr().out
        assert run(["scan", str(model), "--policy", str(bad)]) == 2
        assert words in capsys.readouterr().err
        assert run(["run", "--guard-loads", "--policy", str(bad), "--", sys.executable, "-c", "pass"]) == 2
    comment = tmp_path / "comment.yaml"
    comment.write_text("# reviewed\n" + path.read_text())
    assert run(["policy", "verify", str(comment)]) == 0


def test_a_foreign_key_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    path = compiled(tmp_path / "mine")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert run(["policy", "verify", str(path)]) == 1
    assert "none that you trust" in capsys.readouterr().out
    model = tmp_path / "model.pkl"
    model.write_bytes(pickle.dumps(1))
    assert run(["scan", str(model), "--policy", str(path)]) == 0
    assert "none of this project's" in capsys.readouterr().err
    key = next((tmp_path / "mine" / ".bartizan" / "keys" / "public").glob("*.pem"))
    assert run(["policy", "verify", str(path), "--key", str(key)]) == 0


def test_another_version_in_the_environment_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    old, new = compiled(tmp_path), compiled(tmp_path, "2.0", GOOD + "\nclass Added:\n    pass\n")
    capsys.readouterr()
    assert run(["policy", "verify", str(old), "--environment", str(tmp_path / "site-2.0")]) == 1
    assert "it is for good 1.0" in (said := capsys.readouterr().out)
    assert "version 2.0 is installed" in said
    assert run(["policy", "diff", str(old), str(new)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "good: 1.0 became 2.0, with other files",
        "+ good.Added: new, build, new in this policy",
        "1 names differ.",
    ]
    assert run(["policy", "diff", str(new), str(new)]) == 0


def test_the_difference_names_uses_that_came_and_went() -> None:
    from bartizan.areas.artefacts.policy_compiler.changes import changes

    old = {"allow": [{"modules": "a", "names": "X Y Z", "uses": "new build"}]}
    new = {
        "allow": [
            {"modules": "a", "names": "X", "uses": "new call"},
            {"modules": "a", "names": "Y", "uses": "new build", "arguments": {0: "plain"}},
        ]
    }
    assert [str(change) for change in changes(old, new)] == [
        "~ a.X: now also call; no longer build",
        "~ a.Y: other rules for its arguments",
        "- a.Z: was new, build, no longer allowed",
    ]


def test_policies_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    path = compiled(tmp_path)
    assert run(["policy", "show", str(path)]) == 0
    said = capsys.readouterr().out
    assert "good: new build setitem\n    Bag\n" in said
    assert "good.store: uses open, which reaches files" in said
    assert run(["policy", "show", str(path), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["about"]["packages"][0]["name"] == "good"


def firing(name: str, command: str) -> list[bytes]:
    """Pickles that make, fill, call or use as a key the class `name` of `traps.trap`, with `command` wherever code of it could look."""

    def text(value: str) -> bytes:
        return b"X" + len(value.encode()).to_bytes(4, "little") + value.encode()

    made = b"\x80\x04" + text("traps.trap") + text(name) + b"\x93"
    state = b"}" + text("command") + text(command) + b"s" + text("code") + text(f"__import__('os').system({command!r})") + b"s"
    code = text(f"__import__('os').system({command!r})")
    return [
        made + b")\x81" + text(command) + b"b.",
        made + b")\x81" + code + b"b.",
        made + b")\x81]" + text(command) + b"ab.",
        made + b")\x81" + state + b"b.",
        made + b")\x81N}" + text("x") + text(command) + b"s\x86b.",
        b"\x80\x04}" + made[2:] + b")\x81" + state + b"bNs.",
        made + text(command) + b"\x85\x81.",
        made + text(command) + b"\x85R.",
        made + b")\x81" + text(command) + b"a.",
        made + b")\x81" + code + b"Ns.",
    ]


LOAD = """
import gc, pickle, sys
for data in pickle.load(sys.stdin.buffer):
    try:
        pickle.loads(data)
    except BaseException:
        pass
    gc.collect()
"""


@pytest.mark.slow
def test_pickles_that_fire_traps_are_never_safe_under_the_derived_policy(tmp_path: Path) -> None:
    fired = 0
    for number, text in enumerate(TRAPS):
        site = write_package(tmp_path / str(number), "traps", trap(text))
        path = tmp_path / f"{number}.yaml"
        path.write_text(json.dumps(compile_policy(["traps"], Environment([site]))))
        policy = Policy.shipped().with_([path])
        names = [line.split()[1].partition("(")[0].strip(":") for line in text.splitlines() if line.startswith("class ")]
        tries = [
            (site / f"{name}-{n}", data) for name in names for n in range(10) for data in [firing(name, f"touch {site}/{name}-{n}")[n]]
        ]
        child = [sys.executable, "-c", LOAD]
        subprocess.run(child, input=pickle.dumps([data for _, data in tries]), cwd=site, capture_output=True, check=False, timeout=60)
        for marker, data in tries:
            if marker.exists():
                fired += 1
                assert inspect(data, policy).ruling.verdict is not Safety.SAFE, marker.name
    assert fired >= 40
