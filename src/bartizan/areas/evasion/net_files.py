"""Which declared models are nets whose weights can be followed: told by the format, without opening the file."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from bartizan.areas.evasion.tasks import NO_ROWS, PICTURES
from bartizan.model.system import Asset, Format, Task

FORMATS = frozenset({Format.ONNX, Format.TORCH, Format.SAFETENSORS})
SUFFIXES = frozenset({".onnx", ".safetensors", ".pt", ".pth", ".ckpt"})

_CLASSIFIERS = PICTURES | {Task.TABULAR_CLASSIFICATION, Task.ANOMALY_DETECTION, Task.OTHER}


def is_net(node: Asset, _: Any = None) -> bool:
    """Is the model stored as ONNX or as weights of torch, and does it classify pictures or rows?"""
    if node.task is not None and node.task not in _CLASSIFIERS:
        return False
    return node.format in FORMATS or (node.format is None and PurePosixPath(node.uri or "").suffix.lower() in SUFFIXES)


def has_rows(node: Asset, _: Any = None) -> bool:
    """Is it a model of rows or pictures that is no net, such as one of scikit-learn?"""
    return node.task not in NO_ROWS and not is_net(node)


def is_picture_net(node: Asset, _: Any = None) -> bool:
    """Is it a net (see `is_net`) that classifies pictures?"""
    return node.task in PICTURES and is_net(node)
