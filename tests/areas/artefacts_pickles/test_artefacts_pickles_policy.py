"""The shipped policy: ordinary models pass, the rules for uses and arguments hold, and further policies can only add."""

from __future__ import annotations

import collections
import io
import pickle
from pathlib import Path

import gadgets
import pytest

from bartizan.areas.artefacts.pickles import Loader, Policy, analyse, inspect, judge
from bartizan.areas.artefacts.safety import Safety, UseKind
from bartizan.model.errors import InputError


def verdict(raw: bytes) -> Safety:
    return inspect(raw).ruling.verdict


@pytest.mark.parametrize("protocol", range(6))
def test_plain_data_is_safe(protocol: int) -> None:
    value = [1, "a", b"b", {"x": (1.5, None)}, {1, 2}, collections.OrderedDict(a=1), collections.defaultdict(list, a=[1])]
    assert verdict(pickle.dumps(value, protocol)) is Safety.SAFE


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_fitted_models_are_safe(protocol: int) -> None:
    joblib = pytest.importorskip("joblib")
    numpy = pytest.importorskip("numpy")
    pytest.importorskip("sklearn")
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rng = numpy.random.RandomState(0)
    x, y = rng.rand(20, 3), numpy.arange(20) % 2
    models = [
        make_pipeline(StandardScaler(), LogisticRegression()),
        RandomForestClassifier(3, random_state=rng),
        GradientBoostingClassifier(n_estimators=2),
        KNeighborsClassifier(algorithm="kd_tree"),
    ]
    for model in models:
        model.fit(x, y)
        found = inspect(pickle.dumps(model, protocol))
        assert found.ruling.verdict is Safety.SAFE, found.ruling.reasons
    stream = io.BytesIO()
    joblib.dump(models, stream)
    found = inspect(stream.getvalue(), loader=Loader.JOBLIB)
    assert found.ruling.verdict is Safety.SAFE, found.ruling.reasons
    assert found.end == len(stream.getvalue())


def test_an_unknown_class_needs_a_policy_and_an_unknown_name_of_the_standard_library_is_unsafe() -> None:
    assert verdict(gadgets.whole(gadgets.name("some_library", "Model") + b")\x81")) is Safety.NEEDS_POLICY
    assert verdict(gadgets.whole(gadgets.name("__main__", "Model") + b")\x81")) is Safety.NEEDS_POLICY
    assert verdict(gadgets.whole(gadgets.name("difflib", "Differ") + b")\x81")) is Safety.UNSAFE


def test_a_use_that_was_not_reviewed_is_not_safe() -> None:
    model = gadgets.name("sklearn.linear_model._logistic", "LogisticRegression")
    assert verdict(gadgets.whole(model + b")\x81")) is Safety.SAFE
    assert verdict(gadgets.whole(model + b")R")) is Safety.NEEDS_POLICY
    assert verdict(gadgets.whole(model + b")\x81N" + b"a")) is Safety.NEEDS_POLICY


def test_a_function_whose_arguments_decide_may_not_be_kept() -> None:
    kept = gadgets.whole(gadgets.lst(gadgets.name("copyreg", "_reconstructor")))
    assert verdict(kept) is Safety.UNSAFE
    called = gadgets.call(
        gadgets.name("copyreg", "_reconstructor"), gadgets.name("types", "SimpleNamespace"), gadgets.name("builtins", "object"), b"N"
    )
    assert verdict(gadgets.whole(called)) is Safety.SAFE


def test_calls_elsewhere_do_not_make_up_for_a_function_that_is_kept() -> None:
    confined = gadgets.name("copyreg", "_reconstructor")
    pair = confined + gadgets.text("__doc__") + b"\x86\x940"
    looked_up = b"".join(gadgets.name("builtins", "getattr") + b"h\x00R0" for _ in range(3))
    assert verdict(gadgets.whole(pair + looked_up + b"h\x00")) is Safety.UNSAFE
    arguments = gadgets.name("types", "SimpleNamespace") + gadgets.name("builtins", "object") + b"N"
    by_inst = b"(" + arguments + b"icopyreg\n_reconstructor\n0"
    assert verdict(gadgets.whole(by_inst + by_inst + gadgets.lst(confined))) is Safety.UNSAFE
    assert verdict(gadgets.whole(by_inst + b"N")) is Safety.SAFE


def test_a_method_of_a_class_is_a_look_up() -> None:
    get = gadgets.name("builtins", "getattr")
    fine = gadgets.call(get, gadgets.name("zoneinfo", "ZoneInfo"), gadgets.text("_unpickle"))
    assert verdict(gadgets.whole(fine)) is Safety.SAFE
    assert verdict(gadgets.whole(gadgets.call(get, gadgets.name("numpy", "log"), gadgets.text("__globals__")))) is not Safety.SAFE
    assert verdict(gadgets.whole(gadgets.call(get, gadgets.call(gadgets.name("builtins", "object")), gadgets.text("x")))) is Safety.UNSAFE


def test_a_policy_adds_names_and_lifts_no_denial(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("allow:\n- modules: some_library.**\n  names: Model\n  uses: new build\n- modules: os\n  names: system\n  uses: call\n")
    policy = Policy.shipped().with_([file])
    raw = gadgets.whole(gadgets.name("some_library.inner", "Model") + b")\x81}b")
    assert inspect(raw, policy).ruling.verdict is Safety.SAFE
    assert inspect(gadgets.CALLS["os.system"]("x"), policy).ruling.verdict is Safety.UNSAFE
    assert policy.digest != Policy.shipped().digest


@pytest.mark.parametrize(
    "text",
    [
        "allow: 1\n",
        "other: []\n",
        "allow:\n- names: x\n",
        "allow:\n- modules: x\n  names: y\n  uses: fly\n",
        "allow:\n- modules: x\n  names: y\n  arguments: {0: odd}\n",
    ],
)
def test_a_policy_that_says_nothing_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(text)
    with pytest.raises(InputError):
        Policy.shipped().with_([file])


def test_judging_says_the_use_and_the_byte() -> None:
    raw = gadgets.CALLS["os.system"]("x")
    ruling = judge(analyse(raw), Policy.shipped())
    call = next(reason for reason in ruling.reasons if reason.use is not None and reason.use.kind is UseKind.CALL)
    assert raw[call.offset or 0] == 0x52
    assert "os.system" in call.text


def test_numbers_in_torch_storages_are_judged_as_the_file_they_are() -> None:
    torch = pytest.importorskip("torch")
    assert verdict(pickle.dumps({"weight": torch.ones(3)})) is Safety.SAFE
