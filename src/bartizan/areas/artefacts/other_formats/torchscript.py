"""TorchScript: a program in a small Python dialect beside its weights. Judged by the operators it calls; it has no way into Python."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bartizan.areas.artefacts.containers.scope import MIB, Piece, Scope

UNSAFE = frozenset({
    "save", "from_file", "load", "_load_for_lite_interpreter", "save_to_buffer", "_save_parameters",
})  # fmt: skip
"""Functions of torch that read or write a file which the program names."""

OPERATORS = frozenset({
    "prim", "aten", "quantized", "quantized_decomposed", "_quantized", "inductor", "torchvision", "torchaudio", "torchtext",
    "profiler", "sparse", "mkldnn", "mkldnn_prepacked", "xnnpack", "prepacked", "fb", "prims", "c10d_functional",
})  # fmt: skip
"""Namespaces of operators that torch and its own companions bring."""

MAX_SOURCE = 32 * MIB

_CALL = re.compile(r"\b(?:torch|aten)\s*\.\s*(\w+)\s*\(|\bops\s*\.\s*(\w+)\s*\.\s*(\w+)")


def judge_entries(entries: Mapping[str, Piece], scope: Scope) -> None:
    """Judge the program text of an archive."""
    for name, piece in entries.items():
        if name.lower().endswith(".py"):
            _program(piece, scope)


def _program(piece: Piece, scope: Scope) -> None:
    if len(piece.data) > MAX_SOURCE:
        scope.unsure("the program is longer than is read here", piece, 0)
        return
    text = bytes(piece.data).decode("utf-8", "replace")
    for found in _CALL.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        function, space, operator = found.groups()
        if function in UNSAFE or (space == "aten" and operator in UNSAFE):
            scope.unsafe(f"line {line} of the program calls torch.{function or operator}, which reaches files", piece, found.start())
        elif space is not None and space not in OPERATORS:
            scope.unsure(
                f"line {line} of the program calls the operator {space}.{operator}, which a library has to bring", piece, found.start()
            )
