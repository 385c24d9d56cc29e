"""The corpus of ordinary models: real files, written by the libraries' own functions after small trainings.

Run as a program in the environment that has the libraries, with the folder to write to. What a missing library would write is left out.
"""

from __future__ import annotations

import gzip
import importlib
import json
import os
import pickle
import sys
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
SIZES = {"n_estimators": 4, "max_iter": 15, "n_components": 2, "n_init": 1, "max_trees": 4, "n_epochs": 5}
"""Settings that keep the trainings short, for the estimators that have them."""


def scikit_learn(folder: Path) -> None:
    """Every estimator that can be fitted on a small table, saved in turn by pickle and joblib, in old and new protocols, packed or not."""
    import joblib
    import numpy
    from sklearn.utils import all_estimators

    chance = numpy.random.default_rng(0)
    rows, labels = chance.normal(size=(60, 4)), numpy.arange(60) % 2
    for number, (name, kind) in enumerate(all_estimators()):
        fitted = _fitted(kind, rows, labels)
        if fitted is None:
            continue
        way = number % 6
        if way < 3:
            (folder / f"{name}.pkl").write_bytes(pickle.dumps(fitted, (2, 4, 5)[way]))
        else:
            joblib.dump(fitted, folder / f"{name}.joblib", compress=(0, ("zlib", 3), ("gzip", 3))[way - 3])


def _fitted(kind: Any, rows: Any, labels: Any) -> Any:
    import numpy
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.tree import DecisionTreeClassifier

    for inner in (None, LogisticRegression(), Ridge(), DecisionTreeClassifier()):
        try:
            made = _construct(kind, inner)
            made.set_params(**{key: value for key, value in SIZES.items() if key in made.get_params(deep=False)})
        except (TypeError, ValueError):
            continue
        for x, y in ((rows, labels), (numpy.abs(rows), labels), (rows, rows[:, :2]), (rows[:, 0], labels), (["a b c", "b d"] * 30, labels),
                     ([{"a": 1.0}, {"b": 2.0}] * 30, labels), (rows @ rows.T, labels), (labels, labels), ([[1], [2]] * 30,
                         None)):  # fmt: skip
            try:
                return made.fit(x, y)
            except (TypeError, ValueError, AttributeError, IndexError, KeyError, numpy.linalg.LinAlgError):
                continue
    return None


def _construct(kind: Any, inner: Any) -> Any:
    if inner is None:
        return kind()
    for arguments in ((inner,), ([("a", inner), ("b", inner)],), (inner, {"C": [0.1, 1.0]}), (inner, {"alpha": [0.1, 1.0]}),
                      ([("a", inner, [0, 1])],)):  # fmt: skip
        try:
            return kind(*arguments)
        except TypeError:
            continue
    raise TypeError(kind)


def pipelines(folder: Path) -> None:
    """What people put together with scikit-learn."""
    import joblib
    import numpy
    import pandas
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.compose import ColumnTransformer, make_column_selector
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, WhiteKernel
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, SGDClassifier
    from sklearn.metrics import f1_score, make_scorer
    from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, StratifiedKFold
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

    chance = numpy.random.default_rng(0)
    table = pandas.DataFrame(
        {"age": chance.normal(40, 9, 80), "town": chance.choice(["a", "b", "c"], 80), "income": chance.normal(size=80)}
    )
    labels = numpy.arange(80) % 2
    words = ["good film", "bad film", "a film", "good"] * 20
    columns = ColumnTransformer([
        ("n", make_pipeline(SimpleImputer(), StandardScaler()), ["age", "income"]),
        ("c", OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_include=object)),
    ])  # fmt: skip
    made = {
        "columns": make_pipeline(columns, LogisticRegression()).fit(table, labels),
        "text": make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), SGDClassifier(loss="log_loss")).fit(words, labels),
        "grid": GridSearchCV(make_pipeline(StandardScaler(), LogisticRegression()), {"logisticregression__C": [0.1, 1]},
                             scoring=make_scorer(f1_score), cv=StratifiedKFold(3)).fit(table[["age"]], labels),
        "random": RandomizedSearchCV(RandomForestClassifier(3), {"max_depth": [1, 2, 3]}, n_iter=2,
            random_state=0).fit(table[["age"]], labels),
        "calibrated": CalibratedClassifierCV(RandomForestClassifier(3), method="isotonic").fit(table[["age"]], labels),
        "kernel": GaussianProcessRegressor(RBF() + WhiteKernel()).fit(table[["age"]][:20], labels[:20]),
        "log": make_pipeline(FunctionTransformer(numpy.log1p), LogisticRegression()).fit(numpy.abs(table[["age"]]), labels),
        "neighbours": KNeighborsClassifier(algorithm="kd_tree").fit(table[["age", "income"]], labels),
        "ball": KNeighborsClassifier(algorithm="ball_tree", metric="haversine").fit(table[["age", "income"]], labels),
        "frames": make_pipeline(StandardScaler().set_output(transform="pandas"), LogisticRegression()).fit(table[["age"]], labels),
    }  # fmt: skip
    for name, model in made.items():
        joblib.dump(model, folder / f"{name}.joblib", compress=3 if name < "g" else 0)
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(model))
    joblib.dump(
        {"model": made["columns"], "columns": list(table.columns), "trained": pandas.Timestamp("2026-01-01")}, folder / "bundle.joblib"
    )
    for packer in ("bz2", "xz", "lzma", "lz4"):
        joblib.dump(made["text"], folder / f"text.{packer}", compress=(packer, 3))


def numpy_files(folder: Path) -> None:
    """Arrays of each kind, archives, generators."""
    import numpy

    chance = numpy.random.default_rng(0)
    for kind in ("f4", "f8", "i8", "u1", "c8", "?", "U5", "S3", "M8[ns]", "f2"):
        numpy.save(folder / f"array-{kind[:2].strip('?') or 'bool'}{kind[2:3].strip('[')}.npy", numpy.zeros((3, 2), kind))
    numpy.savez(folder / "two.npz", a=chance.normal(size=(20, 3)), b=numpy.arange(5))
    numpy.savez_compressed(folder / "packed.npz", weights=chance.normal(size=(20, 3)))
    objects = {
        "array": chance.normal(size=(10, 3)), "structured": numpy.zeros(3, [("a", "f4"), ("b", "i8", (2,))]), "scalar": numpy.float64(1.5),
        "strings": numpy.array(["a", "b"]), "objects": numpy.array(["a", None, {"b": 1}], dtype=object),
            "random": numpy.random.RandomState(0),
        "generator": numpy.random.default_rng(0), "masked": numpy.ma.array([1, 2], mask=[0, 1]),
            "poly": numpy.polynomial.Polynomial([1, 2]),
        "dates": numpy.array(["2026-01-01"], "M8[D]"), "fortran": numpy.asfortranarray(numpy.ones((3, 4))),
            "matrix": numpy.matrix([[1, 2]]),
    }  # fmt: skip
    for number, (name, made) in enumerate(objects.items()):
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(made, (2, 3, 4, 5)[number % 4]))
    numpy.save(folder / "objects.npy", objects["objects"], allow_pickle=True)


def pandas_files(folder: Path) -> None:
    """Tables and columns of each type."""
    import numpy
    import pandas

    table = pandas.DataFrame({
        "a": [1, 2, 3], "b": [0.5, None, 1.5], "c": ["x", "y", None], "d": pandas.to_datetime(["2026-01-01"] * 3), "e": [True, False, True],
        "f": pandas.Categorical(["u", "v", "u"]),
    })  # fmt: skip
    made = {
        "table": table, "column": table["a"], "text": table["c"], "category": table["f"], "index": table.set_index("d"),
        "multi": table.set_index(["a", "c"]), "period": pandas.period_range("2026-01", periods=3), "zone": pandas.date_range("2026",
            periods=3, tz="Europe/Berlin"),
        "interval": pandas.cut([1.0, 2.0, 3.0], 2), "nullable": table.convert_dtypes(),
            "sparse": table[["b"]].astype(pandas.SparseDtype("float")),
        "dict": {"mean": table[["a", "b"]].mean(), "n": 3}, "delta": pandas.to_timedelta([1, 2], "h"), "range": pandas.RangeIndex(5),
    }  # fmt: skip
    for number, (name, value) in enumerate(made.items()):
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(value, (4, 5, 2)[number % 3]))
    table.to_pickle(folder / "packed.pkl.gz")
    table.to_pickle(folder / "packed.pkl.xz")
    (folder / "numbers.pkl").write_bytes(pickle.dumps(pandas.DataFrame(numpy.zeros((50, 20)))))


def scipy_files(folder: Path) -> None:
    """Sparse matrices, trees and curves."""
    import numpy
    from scipy import interpolate, sparse, spatial

    x = numpy.arange(8.0)
    made = {
        "csr": sparse.eye(4, format="csr"), "csc": sparse.eye(4, format="csc"), "coo": sparse.eye(4, format="coo"),
            "array": sparse.csr_array(numpy.eye(3)),
        "lil": sparse.eye(4, format="lil"), "dia": sparse.eye(4), "dok": sparse.dok_matrix((3, 3)), "kdtree": spatial.cKDTree(numpy.eye(5)),
        "tree": spatial.KDTree(numpy.eye(5)), "spline": interpolate.CubicSpline(x, x**2), "linear": interpolate.interp1d(x, x**2),
        "bspline": interpolate.make_interp_spline(x, x**2), "pchip": interpolate.PchipInterpolator(x, x),
            "rotation": spatial.transform.Rotation.identity(),
        "grid": interpolate.RegularGridInterpolator((x, x), numpy.ones((8, 8))),
    }  # fmt: skip
    for name, value in made.items():
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(value))
    sparse.save_npz(folder / "saved.npz", made["csr"])


def torch_files(folder: Path) -> None:
    """Whole modules, state dicts, checkpoints of trainings, TorchScript, the old format."""
    import torch
    from torch import nn

    for name, module in _modules().items():
        torch.save(module, folder / f"module-{name}.pt")
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 2))
    torch.save(net.state_dict(), folder / "state.pth")
    torch.save(net.state_dict(), folder / "state-old.bin", _use_new_zipfile_serialization=False)
    torch.save(net, folder / "net-old.pt", _use_new_zipfile_serialization=False)
    (folder / "net.pkl").write_bytes(pickle.dumps(net))
    gzip.GzipFile(folder / "state.pkl.gz", "wb").write(pickle.dumps(net.state_dict()))
    for name, optimiser in _optimisers(net).items():
        net(torch.ones(3, 4)).sum().backward()
        optimiser.step(lambda: net(torch.ones(3, 4)).sum()) if name == "LBFGS" else optimiser.step()
        checkpoint = {"epoch": 3, "model": net.state_dict(), "optimizer": optimiser.state_dict(), "loss": 0.25, "args": {"lr": 0.1}}
        torch.save(checkpoint, folder / f"checkpoint-{name}.ckpt")
        if name in ("SGD", "Adam", "AdamW", "RMSprop"):
            torch.save(optimiser, folder / f"optimiser-{name}.pt")
    optimiser = torch.optim.SGD(net.parameters(), 0.1)
    schedulers = torch.optim.lr_scheduler
    for scheduler in (schedulers.StepLR(optimiser, 2), schedulers.CosineAnnealingLR(optimiser, 5), schedulers.ReduceLROnPlateau(optimiser),
                      schedulers.OneCycleLR(optimiser, 0.1, 10), schedulers.ExponentialLR(optimiser, 0.9),
                          schedulers.MultiStepLR(optimiser, [1, 2])):  # fmt: skip
        torch.save({"scheduler": scheduler.state_dict(), "step": 1}, folder / f"scheduler-{type(scheduler).__name__}.pt")
    for kind in (torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.uint8, torch.complex64):
        torch.save(torch.ones(3, 2).to(kind), folder / f"tensor-{str(kind)[6:]}.pt")
    torch.save(
        {"sparse": torch.eye(3).to_sparse(), "size": torch.Size([1, 2]), "rng": torch.get_rng_state(), "d": defaultdict(dict)},
        folder / "odds.pt",
    )
    torch.jit.script(net).save(folder / "scripted.pt")
    torch.jit.trace(net.eval(), torch.ones(1, 4)).save(folder / "traced.pt")
    quantised = torch.ao.quantization.quantize_dynamic(net, {nn.Linear}, dtype=torch.qint8)
    torch.save(quantised.state_dict(), folder / "quantised.pt")
    torch.save(torch.export.export(net, (torch.ones(1, 4),)).state_dict, folder / "exported-state.pt")


def _modules() -> dict[str, Any]:
    from torch import nn

    small = {
        "linear": nn.Linear(3, 2), "conv": nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        "lstm": nn.LSTM(4, 8, 2), "gru": nn.GRU(4, 8), "rnn": nn.RNN(3, 3), "attention": nn.MultiheadAttention(8, 2),
        "encoder": nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 2), "decoder": nn.TransformerDecoderLayer(8, 2, 16),
        "transformer": nn.Transformer(8, 2, 1, 1, 16), "embedding": nn.Embedding(10, 4), "bag": nn.EmbeddingBag(10, 4),
            "norm": nn.LayerNorm(4),
        "group": nn.GroupNorm(2, 4), "instance": nn.InstanceNorm2d(3), "transposed": nn.ConvTranspose2d(2, 3, 2),
            "bilinear": nn.Bilinear(2, 3, 4),
        "prelu": nn.PReLU(), "gelu": nn.GELU(), "silu": nn.SiLU(), "softmax": nn.Softmax(1), "upsample": nn.Upsample(scale_factor=2),
        "loss": nn.CrossEntropyLoss(), "list": nn.ModuleList([nn.Linear(2, 2), nn.Tanh()]), "dict": nn.ModuleDict({"a": nn.Linear(2, 2)}),
        "parameters": nn.ParameterList([nn.Parameter(nn.Linear(2, 2).weight.detach())]), "conv1d": nn.Conv1d(2, 3, 3),
            "conv3d": nn.Conv3d(1, 2, 3),
        "dropout": nn.Dropout(0.2), "pool": nn.AdaptiveAvgPool2d(1), "rms": nn.RMSNorm(4), "unfold": nn.Unfold(2),
            "shuffle": nn.PixelShuffle(2),
        "spectral": nn.utils.parametrizations.spectral_norm(nn.Linear(3, 3)), "named": nn.Sequential(OrderedDict(a=nn.Linear(2, 2),
            b=nn.Sigmoid())),
    }  # fmt: skip
    small.pop("spectral")
    return small


def _optimisers(net: Any) -> dict[str, Any]:
    from torch import optim

    kinds = (
        optim.SGD,
        optim.Adam,
        optim.AdamW,
        optim.RMSprop,
        optim.Adagrad,
        optim.Adadelta,
        optim.Adamax,
        optim.NAdam,
        optim.RAdam,
        optim.LBFGS,
    )
    return {kind.__name__: kind(net.parameters(), lr=0.01) for kind in kinds}


def boosters(folder: Path) -> None:
    """XGBoost and LightGBM: their own formats and pickles."""
    import joblib
    import lightgbm
    import numpy
    import xgboost

    chance = numpy.random.default_rng(0)
    rows, labels = chance.normal(size=(80, 4)), numpy.arange(80) % 2
    quiet: dict[str, Any] = {"verbose": -1, "min_child_samples": 2}
    made = {
        "xgb-classifier": xgboost.XGBClassifier(n_estimators=3).fit(rows, labels),
            "xgb-regressor": xgboost.XGBRegressor(n_estimators=3).fit(rows, labels),
        "xgb-ranker": xgboost.XGBRanker(n_estimators=3).fit(rows, labels, group=[40, 40]),
            "xgb-forest": xgboost.XGBRFClassifier(n_estimators=3).fit(rows, labels),
        "lgb-classifier": lightgbm.LGBMClassifier(n_estimators=3, **quiet).fit(rows, labels),
        "lgb-regressor": lightgbm.LGBMRegressor(n_estimators=3, **quiet).fit(rows, labels),
        "lgb-ranker": lightgbm.LGBMRanker(n_estimators=3, **quiet).fit(rows, labels, group=[40, 40]),
    }  # fmt: skip
    made["xgb-booster"], made["lgb-booster"] = made["xgb-classifier"].get_booster(), made["lgb-classifier"].booster_
    for name, model in made.items():
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(model))
        joblib.dump(model, folder / f"{name}.joblib", compress=3 if "r" in name[-1] else 0)
    for suffix in ("json", "ubj"):
        made["xgb-booster"].save_model(folder / f"xgb.{suffix}")
    made["lgb-booster"].save_model(folder / "lgb.txt")


def transformers_files(folder: Path) -> None:
    """Folders as `save_pretrained` writes them, of small models with random weights, with tokenizers and a trainer's settings."""
    import torch
    import transformers

    tiny = {"vocab_size": 60, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    kinds = {
        "bert": ("BertModel", "BertConfig", tiny), "roberta": ("RobertaForMaskedLM", "RobertaConfig", tiny),
        "llama": ("LlamaForCausalLM", "LlamaConfig", tiny), "mistral": ("MistralForCausalLM", "MistralConfig",
            tiny | {"num_key_value_heads": 2}),
        "gpt2": ("GPT2LMHeadModel", "GPT2Config", {"vocab_size": 60, "n_embd": 8, "n_layer": 1, "n_head": 2}),
        "t5": ("T5ForConditionalGeneration", "T5Config", {"vocab_size": 60, "d_model": 8, "d_kv": 4, "d_ff": 16, "num_layers": 1,
            "num_heads": 2}),
        "vit": ("ViTForImageClassification", "ViTConfig", {k: v for k, v in tiny.items() if k != "vocab_size"} | {"image_size": 8,
            "patch_size": 4}),
        "qwen": ("Qwen2ForCausalLM", "Qwen2Config", tiny | {"num_key_value_heads": 2}),
        "distilbert": ("DistilBertModel", "DistilBertConfig", {"vocab_size": 60, "dim": 8, "n_layers": 1, "n_heads": 2, "hidden_dim": 16}),
    }  # fmt: skip
    for name, (model, config, settings) in kinds.items():
        made = getattr(transformers, model)(getattr(transformers, config)(**settings))
        made.save_pretrained(folder / name)
        torch.save(made.state_dict(), folder / name / "pytorch_model.bin")
        _tokenizer(name).save_pretrained(folder / name)
    (folder / "bert" / "README.md").write_text(
        "---\nlicense: mit\n---\n# A small model\n\n```python\nfrom transformers import AutoModel\n```\n"
    )


TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + message['content'] | trim + ' [/INST]' }}"
    "{% else %}{{ message.content }}{{ eos_token }}{% endif %}{% endfor %}"
)


def _tokenizer(name: str) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.BPE(unk_token="[UNK]") if len(name) % 2 else models.WordPiece(unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = (trainers.BpeTrainer if len(name) % 2 else trainers.WordPieceTrainer)(vocab_size=60, special_tokens=["[UNK]", "[PAD]"])
    words.train_from_iterator(["a small text to learn words of", "exec eval os system import"], trainer)
    made = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]")
    made.chat_template = TEMPLATE
    return made


def safetensors_files(folder: Path) -> None:
    import numpy
    from safetensors.numpy import save_file

    for name, kind in (("f4", "f4"), ("f2", "f2"), ("i8", "i8"), ("u1", "u1")):
        save_file({"w": numpy.zeros((3, 4), kind), "b": numpy.ones(3, kind)}, folder / f"{name}.safetensors", {"format": "np"})
    save_file({}, folder / "empty.safetensors")


def skops_files(folder: Path) -> None:
    import numpy
    import skops.io
    from sklearn import ensemble, linear_model, naive_bayes, pipeline, preprocessing, svm, tree

    rows, labels = numpy.random.default_rng(0).normal(size=(40, 3)), numpy.arange(40) % 2
    for made in (linear_model.LogisticRegression(), ensemble.RandomForestClassifier(3), svm.SVC(), tree.DecisionTreeRegressor(),
        naive_bayes.GaussianNB(),
                 pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.Ridge()),
                     ensemble.GradientBoostingClassifier(n_estimators=3)):  # fmt: skip
        skops.io.dump(made.fit(rows, labels), folder / f"{type(made).__name__}.skops")


def onnx_files(folder: Path) -> None:
    """Graphs by hand and from torch, with weights inside and beside."""
    import numpy
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])
    weights = numpy_helper.from_array(numpy.zeros((4, 2), "f4"), "w")
    for name, nodes in {"matmul": [("MatMul", ["x", "w"], ["y"])], "relu": [("MatMul", ["x", "w"], ["h"]), ("Relu", ["h"], ["y"])],
                        "softmax": [("MatMul", ["x", "w"], ["h"]), ("Softmax", ["h"], ["y"])]}.items():  # fmt: skip
        graph = helper.make_graph([helper.make_node(*node) for node in nodes], name, [given], [result], [weights])
        onnx.save(helper.make_model(graph), folder / f"{name}.onnx")
    big = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], "big", [given], [result], [numpy_helper.from_array(numpy.zeros((4, 2), "f4"), "w")]
    )
    onnx.save(helper.make_model(big), folder / "beside.onnx", save_as_external_data=True, location="beside.data", size_threshold=0)


def keras_files(folder: Path) -> None:
    import keras

    dense = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, "relu"), keras.layers.Dropout(0.1), keras.layers.Dense(2, "softmax")]
    )
    dense.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    picture = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3), keras.layers.MaxPooling2D(), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    given = keras.Input((4,))
    branches = keras.Model(given, keras.layers.Concatenate()([keras.layers.Dense(2)(given), keras.layers.Dense(3)(given)]))
    text = keras.Sequential([keras.Input((5,)), keras.layers.Embedding(10, 4), keras.layers.LSTM(3), keras.layers.Dense(1)])
    for name, model in {"dense": dense, "picture": picture, "branches": branches, "text": text}.items():
        model.save(folder / f"{name}.keras")
        model.save_weights(folder / f"{name}.weights.h5")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.save(folder / f"{name}.h5")


def plain_files(folder: Path) -> None:
    """What lies beside models: Python's own data, settings, tables, notebooks, notes."""
    import collections
    import datetime
    import decimal
    import pathlib
    import uuid

    values: dict[str, Any] = {
        "dict": {"a": [1, 2.5, None, True], "b": {"c": (1, "x")}}, "ordered": OrderedDict(a=1), "default": defaultdict(list, a=[1]),
        "counter": collections.Counter("abca"), "dates": [datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
            datetime.timedelta(1)],
        "bytes": [b"abc", bytearray(b"x"), {1, 2}, frozenset("a")], "path": pathlib.PurePosixPath("/data/x"),
            "decimal": decimal.Decimal("1.5"),
        "uuid": uuid.UUID(int=1), "vocabulary": {f"word{i}": i for i in range(3000)}, "recursive": [],
    }  # fmt: skip
    values["recursive"].append(values["recursive"])
    for number, (name, value) in enumerate(values.items()):
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(value, number % 6))
    (folder / "table.csv").write_text("a,b\n1,2\n3,4\n")
    (folder / "settings.json").write_text(json.dumps({"learning_rate": 0.1, "layers": [1, 2]}))
    (folder / "settings.yaml").write_text("model:\n  layers: [1, 2]\n")
    (folder / "requirements.txt").write_text("numpy==2.0\ntorch>=2\n")
    cells = [
        {"cell_type": "code", "source": ["import numpy as np\n", "np.mean([1, 2])"], "metadata": {}, "outputs": [], "execution_count": 1}
    ]
    (folder / "explore.ipynb").write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))


ROOMS: dict[str, tuple[Callable[[Path], None], str]] = {
    "scikit-learn": (scikit_learn, "sklearn joblib"), "pipelines": (pipelines, "sklearn pandas joblib"), "numpy": (numpy_files, "numpy"),
    "pandas": (pandas_files, "pandas"), "scipy": (scipy_files, "scipy"), "torch": (torch_files, "torch"), "boosters": (boosters,
        "xgboost lightgbm"),
    "transformers": (transformers_files, "transformers torch"), "safetensors": (safetensors_files, "safetensors"),
        "skops": (skops_files, "skops sklearn"),
    "onnx": (onnx_files, "onnx"), "keras": (keras_files, "keras h5py"), "plain": (plain_files, ""),
}  # fmt: skip


def main(arguments: list[str]) -> int:
    """Write the rooms named after the folder, or all, and print how many files each has."""
    warnings.simplefilter("ignore")
    root, chosen = Path(arguments[0]), arguments[1:] or list(ROOMS)
    for name in chosen:
        make, needs = ROOMS[name]
        try:
            for module in needs.split():
                importlib.import_module(module)
        except ImportError as error:
            print(f"{name}: left out ({error})")
            continue
        (root / name).mkdir(parents=True)
        make(root / name)
        print(f"{name}: {sum(path.is_file() for path in (root / name).rglob('*'))} files", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
