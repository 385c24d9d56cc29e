"""The shipped policy: ordinary models pass, the rules for uses and arguments hold, and further policies can only add."""

from __future__ import annotations

import collections
import io
import pickle
from pathlib import Path

import gadgets
import pytest

from bartizan.areas.artefacts.pickles import Loader, Policy, analyse, inspect, judge
from bartizan.areas.artefacts.pickles.distributions import is_argument_parser
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


MEMMAP = gadgets.name("numpy", "memmap")
REBUILD = gadgets.name("numpy._core.multiarray", "_reconstruct")
EMPTY = b"K\x00\x85" + gadgets.data(b"b")


@pytest.mark.parametrize("again", [b"", b"h\x000", b"h\x00b", b"h\x00\x85"])
def test_the_class_of_a_mapped_array_may_be_rebuilt_and_not_kept(again: bytes) -> None:
    """`numpy.memmap` writes files when it is called, so it may stand only where it is not."""
    arguments = b"(" + MEMMAP + EMPTY + b"t\x94"
    assert verdict(gadgets.whole(REBUILD + arguments + b"R")) is Safety.SAFE
    if again:
        assert verdict(gadgets.whole(REBUILD + arguments + b"R" + again)) is not Safety.SAFE
    assert verdict(gadgets.whole(gadgets.lst(MEMMAP))) is Safety.UNSAFE
    assert verdict(gadgets.whole(gadgets.dct(gadgets.text("a"), MEMMAP))) is Safety.UNSAFE
    kept = REBUILD + arguments + b"R0" + REBUILD + b"h\x00R0" + gadgets.lst(b"h\x00")
    assert verdict(gadgets.whole(kept)) is Safety.UNSAFE


def test_the_class_in_the_description_of_an_array_is_one_of_numpy(tmp_path: Path) -> None:
    joblib = pytest.importorskip("joblib")
    numpy = pytest.importorskip("numpy")
    mapped = numpy.memmap(tmp_path / "numbers", dtype="f4", mode="w+", shape=(3,))
    joblib.dump({"weights": mapped}, tmp_path / "mapped.joblib")
    raw = (tmp_path / "mapped.joblib").read_bytes()
    found = inspect(raw, loader=Loader.JOBLIB)
    assert found.ruling.verdict is Safety.SAFE, found.ruling.reasons
    other = raw.replace(b"\x8c\x05numpy", b"\x8c\x05posix").replace(b"\x8c\x06memmap", b"\x8c\x06system")
    assert other != raw
    assert inspect(other, loader=Loader.JOBLIB).ruling.verdict is Safety.UNSAFE


def test_objects_in_an_array_of_joblib_raise_no_alarm_for_who_reads_them_otherwise(tmp_path: Path) -> None:
    """The memo of the objects is their own; a loader that takes it for the one around them finds classes where modules should be."""
    joblib = pytest.importorskip("joblib")
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("sklearn")
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    table = pandas.DataFrame({"town": ["a", "b"]})
    for model in ({"model": make_pipeline(OneHotEncoder()).fit(table), "columns": list(table)}, table.columns, [table.columns]):
        joblib.dump(model, tmp_path / "model.joblib")
        found = inspect((tmp_path / "model.joblib").read_bytes())
        assert found.ruling.verdict is Safety.SAFE, found.ruling.reasons


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_distributions_and_searches_over_them_are_safe(protocol: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    pytest.importorskip("sklearn")
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import RandomizedSearchCV

    frozen = [stats.norm(0, 1), stats.loguniform(1e-3, 1), stats.randint(1, 9), stats.rv_discrete(values=([1, 2], [0.5, 0.5])), stats.gamma]
    search = RandomizedSearchCV(LogisticRegression(), {"C": stats.uniform(0, 1)})
    found = inspect(pickle.dumps([*frozen, search], protocol))
    assert found.ruling.verdict is Safety.SAFE, found.ruling.reasons


def test_all_texts_of_scipy_are_known_and_no_other_is() -> None:
    stats = pytest.importorskip("scipy.stats")
    known = [value for value in vars(stats).values() if isinstance(value, stats.rv_continuous | stats.rv_discrete)]
    assert len(known) > 100
    assert all(is_argument_parser(value._parse_arg_template) for value in known)
    text = stats.beta._parse_arg_template
    for at in range(0, len(text), 7):
        assert not is_argument_parser(text[:at] + text[at + 1 :])
        assert not is_argument_parser(text[:at] + "#" + text[at:])
    for shapes in ("a, a, ", "self, ", "lambda, ", "a, b", "é, ", "a=1, ", "*a, ", "(a), ", "a\n, "):
        assert not is_argument_parser(gadgets.parser(shapes)), shapes
    assert not is_argument_parser(gadgets.parser(scale="loc=0", out="loc, scale"))


def test_bytes_in_protocol_2_are_judged_as_the_torch_file_they_are() -> None:
    torch = pytest.importorskip("torch")
    assert verdict(pickle.dumps(torch.ones(2), 2)) is Safety.SAFE
    legacy = gadgets._torch_legacy("marker").decode("latin-1")
    encoded = gadgets.call(gadgets.name("_codecs", "encode"), gadgets.text(legacy), gadgets.text("latin1"))
    assert verdict(gadgets.whole(gadgets.call(gadgets.name("torch.storage", "_load_from_bytes"), encoded))) is Safety.UNSAFE


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (gadgets.call(gadgets.name("builtins", "type"), b"N"), Safety.SAFE),
        (gadgets.call(gadgets.name("builtins", "type"), gadgets.text("A"), b")", b"}"), Safety.UNSAFE),
        (gadgets.call(gadgets.name("operator", "itemgetter"), gadgets.text("a")), Safety.SAFE),
        (gadgets.call(gadgets.name("operator", "itemgetter"), gadgets.name("os", "system")), Safety.UNSAFE),
        (gadgets.call(gadgets.name("builtins", "bytes"), b"J\xff\xff\xff\x7f"), Safety.NEEDS_POLICY),
        (gadgets.lst(gadgets.name("transformers.models.bert.modeling_bert", "BertModel")), Safety.UNSAFE),
        (gadgets.lst(gadgets.name("lightgbm.basic", "Booster")), Safety.UNSAFE),
        (gadgets.name("lightgbm.basic", "Booster") + b")\x81", Safety.SAFE),
    ],
)
def test_what_decides_is_how_a_name_is_used(raw: bytes, expected: Safety) -> None:
    assert verdict(gadgets.whole(raw)) is expected


def test_a_second_special_attribute_does_not_hide_behind_one_that_is_allowed() -> None:
    shown = gadgets.name("scipy.stats._multivariate", "multivariate_normal_gen") + b")\x81"
    fine = gadgets.dct(gadgets.text("__doc__"), gadgets.text("about"))
    assert verdict(gadgets.whole(shown + fine + b"b")) is Safety.SAFE
    both = gadgets.dct(gadgets.text("__doc__"), gadgets.text("about"), gadgets.text("__setstate__"), gadgets.name("builtins", "len"))
    assert verdict(gadgets.whole(shown + both + b"b")) is not Safety.SAFE


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
