"""ONNX files become torch: each operator agrees with ONNX's own reference evaluator, whole nets with torch's; hostile files are refused."""

from __future__ import annotations

import contextlib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402
from torch import nn  # noqa: E402

from bartizan.adapters.onnx_models import load_onnx  # noqa: E402
from bartizan.areas.evasion.certificates.graph import read  # noqa: E402
from bartizan.model.errors import InputError, Refused  # noqa: E402

DICE = np.random.default_rng(0)


def fixed(name: str, values: Any) -> Any:
    return numpy_helper.from_array(np.asarray(values), name)


def floats(*shape: int) -> Any:
    return DICE.normal(size=shape).astype(np.float32)


def saved(path: Path, nodes: list[Any], weights: list[Any], shape: tuple[Any, ...], *, opset: int = 17, output: str = "out") -> Path:
    taken = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    given = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "net", [taken], [given], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9), path)
    return path


def node(kind: str, inputs: str = "x", **attributes: Any) -> Any:
    return helper.make_node(kind, inputs.split(), ["y"], **attributes)


W, B = fixed("w", floats(6, 3, 3, 3)), fixed("b", floats(6))
SCALE = [fixed(name, np.abs(floats(3)) + 0.1) for name in ("s", "o", "m", "v")]
CASES: dict[str, tuple[Any, list[Any]]] = {
    "conv": (node("Conv", "x w b", strides=[2, 1], pads=[1, 1, 1, 1]), [W, B]),
    "conv-uneven": (node("Conv", "x w b", pads=[1, 0, 2, 1], dilations=[2, 1]), [W, B]),
    "conv-same": (node("Conv", "x w", auto_pad="SAME_UPPER", strides=[2, 2]), [W]),
    "conv-groups": (node("Conv", "x w", group=3), [fixed("w", floats(6, 1, 3, 3))]),
    "norm": (node("BatchNormalization", "x s o m v"), SCALE),
    "instance": (node("InstanceNormalization", "x s o"), SCALE[:2]),
    "layer": (node("LayerNormalization", "x s", axis=-1), [fixed("s", floats(8))]),
    "lrn": (node("LRN", size=3, alpha=0.1), []),
    "max": (node("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]), []),
    "max-uneven": (node("MaxPool", kernel_shape=[3, 3], pads=[0, 1, 2, 0]), []),
    "average": (node("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]), []),
    "average-uneven": (node("AveragePool", kernel_shape=[2, 2], pads=[0, 1, 0, 0]), []),
    "average-counted": (node("AveragePool", kernel_shape=[2, 2], pads=[0, 1, 0, 0], count_include_pad=1), []),
    "global": (node("GlobalAveragePool"), []),
    "global-max": (node("GlobalMaxPool"), []),
    "leaky": (node("LeakyRelu", alpha=0.2), []),
    "prelu": (node("PRelu", "x p"), [fixed("p", floats(3, 1, 1))]),
    "clip": (node("Clip", "x l h"), [fixed("l", np.float32(-0.5)), fixed("h", np.float32(0.3))]),
    "softmax": (node("Softmax", axis=1), []),
    "transpose": (node("Transpose", perm=[0, 2, 3, 1]), []),
    "reshape": (node("Reshape", "x t"), [fixed("t", np.array([0, 3, -1]))]),
    "pad": (node("Pad", "x t c"), [fixed("t", np.array([0, 0, 1, 2, 0, 0, 0, 1])), fixed("c", np.float32(0.5))]),
    "pad-reflect": (node("Pad", "x t", mode="reflect"), [fixed("t", np.array([0, 0, 1, 2, 0, 0, 0, 1]))]),
    "mean": (node("ReduceMean", axes=[2, 3], keepdims=0), []),
    "sum": (node("ReduceSum", "x t"), [fixed("t", np.array([-1]))]),
    "slice": (node("Slice", "x a e d s"), [fixed(n, np.array([v])) for n, v in (("a", 6), ("e", -100), ("d", 3), ("s", -2))]),
    "gather": (node("Gather", "x t", axis=1), [fixed("t", np.array([2, 0, -1]))]),
    "expand": (node("Expand", "x t"), [fixed("t", np.array([1, 3, 8, 8]))]),
    "where": (node("Where", "c x z"), [fixed("c", floats(8) > 0), fixed("z", np.float32(2))]),
    "quantise": (node("QuantizeLinear", "x q z"), [fixed("q", np.float32(0.05)), fixed("z", np.uint8(100))]),
    "maximum": (node("Max", "x z"), [fixed("z", floats(8))]),
    "power": (node("Pow", "x z"), [fixed("z", np.float32(2))]),
    **{
        name: (node(name), [])
        for name in (
            "Relu",
            "Sigmoid",
            "Tanh",
            "Elu",
            "Selu",
            "Softplus",
            "Softsign",
            "HardSwish",
            "HardSigmoid",
            "Erf",
            "Exp",
            "Neg",
            "Identity",
        )
    },
    **{name: (node(name, "x z"), [fixed("z", floats(3, 1, 1))]) for name in ("Add", "Sub", "Mul", "Div")},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("batch", ["n", 1])
def test_each_operator_agrees_with_the_reference(case: str, batch: Any, tmp_path: Path) -> None:
    made, weights = CASES[case]
    nodes = [made, helper.make_node("Flatten", ["f"], ["out"])]
    cast = helper.make_node("Cast", ["y"], ["f"], to=TensorProto.FLOAT)
    path = saved(tmp_path / "m.onnx", [made, cast, nodes[1]], weights, (batch, 3, 8, 8))
    x = DICE.uniform(-1, 1, (1 if batch == 1 else 4, 3, 8, 8)).astype(np.float32)
    if case in ("lrn", "max-uneven"):  # which the reference evaluator itself gets wrong
        runtime = pytest.importorskip("onnxruntime")
        (expected,) = runtime.InferenceSession(str(path)).run(None, {"x": x})
    else:
        (expected,) = ReferenceEvaluator(str(path)).run(None, {"x": x})
    found = load_onnx(tmp_path, path)(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_shapes_worked_out_in_the_graph_become_constants(tmp_path: Path) -> None:
    """The road exporters take for `view(len(x), -1)`: Shape, Gather, Concat, Reshape; with MatMul, Add and a softmax of an old opset."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"]),
        helper.make_node("Concat", ["n", "rest"], ["t"], axis=0),
        helper.make_node("Reshape", ["x", "t"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["h"]),
        helper.make_node("Add", ["h", "b"], ["l"]),
        helper.make_node("Softmax", ["l"], ["out"]),
    ]
    weights = [fixed("zero", np.array([0])), fixed("rest", np.array([-1])), fixed("w", floats(12, 3)), fixed("b", floats(3))]
    path = saved(tmp_path / "m.onnx", nodes, weights, ("n", 3, 2, 2), opset=11)
    x = floats(5, 3, 2, 2)
    net = load_onnx(tmp_path, path)
    (expected,) = ReferenceEvaluator(str(path)).run(None, {"x": x})
    np.testing.assert_allclose(net(torch.from_numpy(x)).numpy(), expected, rtol=1e-5, atol=1e-6)
    assert net.input_shape == (3, 2, 2)


class _Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.norm = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)

    def forward(self, x: Any) -> Any:
        return torch.relu(x + self.norm(self.one(x)))


@pytest.mark.parametrize("dynamo", [False, True])
def test_an_exported_net_gives_torch_s_answers_and_gradients(dynamo: bool, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), _Residual(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(), nn.Linear(36, 5)).eval()
    net[1].norm.running_var.uniform_(0.5, 2.0)
    x, path = torch.rand(6, 1, 8, 8), tmp_path / "m.onnx"
    how: dict[str, Any] = (
        {"dynamic_shapes": ({0: torch.export.Dim("n")},), "external_data": False} if dynamo else {"dynamic_axes": {"i": {0: "n"}}}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (x,), str(path), dynamo=dynamo, input_names=["i"], verbose=False, **how)
    ours = load_onnx(tmp_path, path)
    grown, plain = x.clone().requires_grad_(), x.clone().requires_grad_()
    torch.testing.assert_close(ours(grown), net(plain), rtol=1e-5, atol=1e-6)
    slopes = [torch.autograd.grad(out.logsumexp(1).sum(), leaf)[0] for out, leaf in ((ours(grown), grown), (net(plain), plain))]
    torch.testing.assert_close(*slopes, rtol=1e-4, atol=1e-6)
    assert not any(weight.requires_grad for weight in ours.parameters())
    bounds = read(ours, x)  # certificates read the same layers
    torch.testing.assert_close(bounds.forward(x.double()).float(), net(x), rtol=1e-4, atol=1e-5)


DENSE = [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("MatMul", ["f", "w"], ["out"])]
SMALL = [fixed("w", floats(4, 3))]


def hostile(path: Path, kind: str) -> Path:
    """A small valid net with one thing wrong."""
    nodes, weights, shape = list(DENSE), list(SMALL), ("n", 4)
    if kind == "unknown":
        nodes.insert(0, helper.make_node("NonMaxSuppression", ["x"], ["other"]))
    elif kind == "foreign":
        nodes.insert(0, helper.make_node("Run", ["x"], ["other"], domain="com.example"))
    elif kind == "loop":
        body = helper.make_graph([], "body", [], [])
        nodes.insert(0, helper.make_node("Identity", ["x"], ["other"], body=body))
    elif kind == "cycle":
        nodes = [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Add", ["a", "x"], ["b"]), *nodes]
    elif kind == "twice":
        nodes.append(helper.make_node("Relu", ["f"], ["out"]))
    elif kind == "huge":
        weights = [TensorProto(name="w", data_type=1, dims=[4, 2**40], raw_data=b"abcd")]
    elif kind == "negative":
        weights = [TensorProto(name="w", data_type=1, dims=[-4, -3], raw_data=bytes(48))]
    elif kind == "short":
        weights = [TensorProto(name="w", data_type=1, dims=[4, 3], raw_data=b"abcd")]
    elif kind == "text":
        weights = [helper.make_tensor("w", TensorProto.STRING, [1], [b"a"])]
    elif kind == "outside":
        weights = [TensorProto(name="w", data_type=1, dims=[4, 3], data_location=1)]
        weights[0].external_data.add(key="location", value="../../etc/passwd")
    elif kind == "bomb":
        nodes = [helper.make_node("ConstantOfShape", ["w"], ["big"]), helper.make_node("Add", ["x", "big"], ["out"])]
        weights = [fixed("w", np.array([2**20, 2**20]))]
    elif kind == "outer":
        steps = [helper.make_node("Reshape", ["x", "t"], ["c"])]
        steps += [helper.make_node("Concat", [f"g{i - 1}" if i else "c"] * 16, [f"g{i}"], axis=1) for i in range(12)]
        nodes, weights = [*steps, helper.make_node("ReduceMean", ["g11"], ["out"], axes=[1])], [fixed("t", np.array([-1, 4]))]
    elif kind == "mixed":
        nodes = [helper.make_node("ReduceMean", ["x"], ["m"], axes=[0], keepdims=1), helper.make_node("Add", ["x", "m"], ["f"]), nodes[1]]
    elif kind == "strides":
        nodes = [
            helper.make_node("MaxPool", ["x"], ["p"], kernel_shape=[2, 2], strides=[0, 0]),
            helper.make_node("Flatten", ["p"], ["out"]),
        ]
        shape = ("n", 1, 4, 4)
    return saved(path, nodes, weights, shape)


REFUSED = {
    "unknown": "operator NonMaxSuppression is not read", "foreign": "operator com.example.Run is not read",
    "loop": "of a kind that is not read",
    "cycle": "reads 'b' before it is there", "twice": "'out' is written twice", "huge": "more weights", "negative": "dimensions",
    "short": "declares 12 numbers and holds 1", "text": "has the type STRING", "outside": "lies outside the file",
    "bomb": "has the dimensions",     "outer": "numbers for one image", "mixed": "mixes the images", "strides": r"strides=\[0, 0\]",
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_a_hostile_file_is_refused_with_its_name(kind: str, tmp_path: Path) -> None:
    path = hostile(tmp_path / "m.onnx", kind)
    with pytest.raises((InputError, Refused), match=REFUSED[kind]) as raised:
        load_onnx(tmp_path, path)
    assert str(raised.value).startswith("m.onnx: ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("data", [b"", b"\x08\x07", b"PK\x03\x04", b"\x80\x04K\x01.", b"\x3a" * 4000])
def test_bytes_that_are_no_model_are_named(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(data)
    with pytest.raises(InputError, match=r"m\.onnx: is no"):
        load_onnx(tmp_path, tmp_path / "m.onnx")


def test_damaged_files_never_raise_anything_else(tmp_path: Path) -> None:
    good = saved(tmp_path / "m.onnx", DENSE, SMALL, ("n", 4)).read_bytes()
    dice = np.random.default_rng(1)
    for _ in range(150):
        bad = bytearray(good)
        for place in dice.integers(0, len(bad), 3):
            bad[place] = int(dice.integers(0, 256))
        (tmp_path / "m.onnx").write_bytes(bytes(bad))
        with contextlib.suppress(InputError, Refused):
            load_onnx(tmp_path, tmp_path / "m.onnx")


def test_weights_beside_the_file_count_where_the_folder_is_declared(tmp_path: Path) -> None:
    folder = tmp_path / "net"
    folder.mkdir()
    saved(folder / "m.onnx", DENSE, SMALL, ("n", 4))
    x, plain = torch.rand(2, 4), load_onnx(tmp_path, folder / "m.onnx")
    onnx.save(onnx.load(folder / "m.onnx"), folder / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    with pytest.raises(Refused, match="declare the folder that holds both"):
        load_onnx(tmp_path, folder / "m.onnx")
    assert torch.equal(load_onnx(tmp_path, folder)(x), plain(x))
    (tmp_path / "secret.bin").write_bytes((folder / "w.bin").read_bytes())
    (folder / "w.bin").unlink()
    (folder / "w.bin").symlink_to(tmp_path / "secret.bin")
    with pytest.raises(Refused, match="outside the declared folder"):
        load_onnx(tmp_path, folder)


def test_what_the_file_leaves_open_the_data_says(tmp_path: Path) -> None:
    nodes = [helper.make_node("GlobalAveragePool", ["x"], ["p"]), helper.make_node("Flatten", ["p"], ["out"])]
    path = saved(tmp_path / "m.onnx", nodes, [], ("n", 3, "h", "w"))
    with pytest.raises(InputError, match="leaves its input open"):
        load_onnx(tmp_path, path)
    assert load_onnx(tmp_path, path, shape=(3, 7, 5))(torch.rand(2, 3, 7, 5)).shape == (2, 3)
    with pytest.raises(InputError, match="declare data that fits"):
        load_onnx(tmp_path, path, shape=(1, 7, 5))
