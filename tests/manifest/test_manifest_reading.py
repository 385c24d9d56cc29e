"""The manifest is read into a System; what does not hold together is one line with file and line."""

from pathlib import Path

import pytest
from manifest_samples import CREDIT

from bartizan import manifest
from bartizan.manifest.addresses import format_of
from bartizan.model.errors import InputError, UnknownName
from bartizan.model.system import Authn, Format, Trust


def refusal(text: str) -> str:
    with pytest.raises(InputError) as caught:
        manifest.parse(text, "bartizan.yaml")
    return str(caught.value)


def changed(old: str, new: str) -> str:
    assert CREDIT.count(old) == 1, old
    return CREDIT.replace(old, new)


def test_a_realistic_manifest(tmp_path: Path) -> None:
    (tmp_path / "bartizan.yaml").write_text(CREDIT)
    system = manifest.load(tmp_path, name="bartizan.yaml")
    api = next(asset for asset in system.assets if asset.id == "api")
    scorer = system.assets[0]
    assert (system.name, system.high_risk, system.zones[0].trust) == ("credit-score", True, Trust.NONE)
    assert (scorer.format, scorer.tested_on, scorer.online_learning) == (Format.PICKLE, ("loans-test",), False)
    assert (api.authn, api.authz, api.serves) == (Authn.NONE, None, ("scorer",))
    assert api.quota is not None
    assert api.quota.requests_per_minute == 60
    assert (system.datasets[0].revision, system.datasets[0].licence) == ("1.10", "no")
    assert (system.flows[0].source, system.flows[0].target) == ("applicant", "api")
    assert str(api.at) == f"bartizan.yaml:{CREDIT[: CREDIT.index('- id: api')].count(chr(10)) + 1}"
    assert str(system.at) == "bartizan.yaml:2"


def test_the_smallest_manifest_leaves_all_unknown() -> None:
    system = manifest.parse("bartizan: 1\nsystem: {name: s}\nzones:\nflows: ~\nappetite:\n", "m")
    assert (system.assets, system.zones, system.impact, system.appetite.confidence) == ((), (), None, 0.95)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("authn: none", "authnn: none", "unknown key 'authnn' of endpoint 'api'; did you mean 'authn'?"),
        ("authn: none", "authn: no", "unknown authn 'no' of endpoint 'api'; did you mean 'none'?"),
        ("assets:", "asets:", "unknown key 'asets' of manifest; did you mean 'assets'?"),
        ("owner: team-risk", "ownr: team-risk", "unknown key 'ownr' of system 'credit-score'; did you mean 'owner'?"),
        ("bartizan: 1", "bartizan: 2", "manifest version 2 is not known; this release reads 'bartizan: 1'"),
        ("serves: scorer", "serves: scorr", "unknown asset 'scorr' of 'serves'; did you mean 'scorer'?"),
        ("trained_on: [loans]", "trained_on: [loan]", "unknown dataset 'loan' of 'trained_on'; did you mean 'loans'?"),
        ("tools: [mail]", "tools: [mail, mail]", "'tools' names the same id twice; keep one"),
        ("{from: api, to: scorer,", "{from: apii, to: scorer,", "unknown node 'apii' of 'from'; did you mean 'api'?"),
        ("zone: training}", "zone: trainin}", "unknown zone 'trainin' of 'zone'; did you mean 'training'?"),
        ("on: [scorer]", "on: [scorerr]", "unknown node 'scorerr' of 'on'; did you mean 'scorer'?"),
        ("{id: mail,", "{id: api,", "the id 'api' is taken on line 43; choose another"),
        ("{id: mail,", "{id: system,", "the id 'system' stands for the whole system; choose another"),
        ("{id: mail,", "{id: Mail,", "'Mail' is not an id; use lower-case letters"),
        ("{id: mail,", '{id: "a\\tb",', "'a b' is not an id"),
        ("authn: none", "task: other", "'task' does not fit the kind endpoint of 'api'; it fits model"),
        (
            "kind: store, holds: [embeddings, documents], acl: document",
            "kind: actor",
            "asset 'docs' cannot be of kind 'actor'; declare it under 'actors:'",
        ),
        ("kind: tool", "kind: tol", "unknown kind 'tol' of asset 'mail'; did you mean 'tool'?"),
        ("cdef0123456789abcdef\n", "\n", "'digest' must be sha256: and 64 hex digits in lower case; see 'sha256sum FILE'"),
        ("requests_per_minute: 60", "requests_per_minute: -1", "'requests_per_minute' must be at least 0, not -1"),
        ("retention: 365", "retention: -1", "'retention' must be at least 0, not -1"),
        ("confidence: 0.95", "confidence: 95", "'confidence' must be above 0.5 and below 1, not 95.0; 0.95 is usual"),
        ("evasion: 0.10", "evasion: 10", "the tolerance 'evasion' must be between 0 and 1, not 10.0; 5 % is written 0.05"),
        ("tpr_at_fpr_0.001: 0.005", "tpr_at_fpr_0.001: -1", "the tolerance 'tpr_at_fpr_0.001' must be between 0 and 1, not -1.0"),
        ("uri: data/test.csv", "uri: ../test.csv", "'uri' leaves the manifest's folder: '../test.csv'; move the manifest"),
        ("uri: data/test.csv", "uri: a/../../b", "'uri' leaves the manifest's folder"),
        ("uri: data/test.csv", "uri: /etc/passwd", "'uri' is an absolute path: '/etc/passwd'; write it relative"),
        ("uri: data/test.csv", "uri: 'C:\\data'", "'uri' is a path of one machine"),
        ("uri: data/test.csv", "uri: ~/test.csv", "'uri' starts in a home folder"),
        ("uri: data/test.csv", "uri: htps://x/y", "unknown uri scheme 'htps' of 'uri'; did you mean 'https'?"),
        ("uri: data/test.csv", "uri: 'https://u:secret@h/x'", "'uri' holds a password; remove it"),
        ("uri: data/test.csv", "uri: ''", "'uri' is empty or holds control characters"),
        ('"http://127.0.0.1:8080/score"', "127.0.0.1", "'url' has no scheme: '127.0.0.1'"),
        ('"http://127.0.0.1:8080/score"', '"http://h:99999/"', "'url' names no host, or a port that cannot be"),
        ('"http://127.0.0.1:8080/score"', '"http://[::1/"', "'url' is not an address"),
        ("name: credit-score", "name: ' '", "the system has an empty 'name'"),
        ("action: accept", "action: acept", "unknown action 'acept' of decision; did you mean 'accept'?"),
        ("catalogs: [security", "catalogs: [../security", "'catalogs' leaves the manifest's folder"),
    ],
)
def test_refusals_name_the_line(old: str, new: str, message: str) -> None:
    text = changed(old, new)
    line = CREDIT[: CREDIT.index(old)].count("\n") + 1
    said = refusal(text)
    where, _, what = said.partition(": ")
    assert what.startswith(message)
    assert where == f"bartizan.yaml:{line}"


def test_missing_parts_are_named() -> None:
    assert refusal("system: {name: a}") == "bartizan.yaml:1: manifest has no 'bartizan'; add 'bartizan: ...'"
    assert refusal("bartizan: 1\nsystem: {}") == "bartizan.yaml:2: system has no 'name'; add 'name: ...'"
    assert "zone 'a' has no 'trust'" in refusal("bartizan: 1\nsystem: {name: s}\nzones: [{id: a}]")


def test_a_name_of_10_000_characters_is_read_and_a_longer_one_is_not() -> None:
    long = "x" * 10_000
    system = manifest.parse(f"bartizan: 1\nsystem: {{name: {long}}}\nassets: [{{id: {long}, kind: model, title: {long}}}]", "m")
    assert system.assets[0].title == system.name == long
    said = refusal(f"bartizan: 1\nsystem: {{name: {long}x}}")
    assert len(said) < 300


def test_no_manifest_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"bartizan.yaml: there is no manifest; draft one with 'bartizan init'"):
        manifest.load(tmp_path)
    with pytest.raises(UnknownName):
        manifest.parse("x: 1", "m")


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("m/a.pkl", Format.PICKLE),
        ("a.pkl.gz", Format.PICKLE),
        ("a.joblib", Format.JOBLIB),
        ("a.SKOPS", Format.SKOPS),
        ("a.pt", Format.TORCH),
        ("pytorch_model-00001-of-00002.bin", Format.TORCH),
        ("firmware.bin", None),
        ("config.json", None),
        ("a.h5", Format.KERAS),
        ("x/saved_model.pb", Format.SAVED_MODEL),
        ("graph.pb", None),
        ("s3://b/a.onnx?v=1", Format.ONNX),
        ("a.safetensors", Format.SAFETENSORS),
        ("a", None),
        (".pkl", None),
        ("a.gguf", Format.GGUF),
        ("a.tar.gz", None),
    ],
)
def test_the_format_is_told_by_the_name(name: str, format: Format | None) -> None:
    assert format_of(name) is format


def test_a_declared_format_stands() -> None:
    text = "bartizan: 1\nsystem: {name: s}\nassets: [{id: m, kind: model, uri: m.pkl, format: joblib}, {id: p, kind: pipeline, uri: p.pkl}]"
    model, pipeline = manifest.parse(text, "m").assets
    assert (model.format, pipeline.format) == (Format.JOBLIB, None)
