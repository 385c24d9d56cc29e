"""ONNX: where its weights lie outside, and which operators come from libraries. Numbers of fields are those of onnx.proto."""

from __future__ import annotations

from bartizan.areas.artefacts.containers.scope import LimitReached, Piece, Scope
from bartizan.areas.artefacts.other_formats import wire

STANDARD = frozenset({"", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview", "ai.onnx.preview.training"})
"""Domains of operators that the ONNX standard defines."""

BUILT_IN = frozenset({"com.microsoft", "com.microsoft.nchwc", "com.ms.internal.nhwc", "com.microsoft.experimental", "org.pytorch.aten"})
"""Domains that onnxruntime carries built in."""

MAX_DEPTH = 32
"""Graphs within attributes of nodes of graphs."""

_MODEL_GRAPH, _MODEL_TRAINING, _MODEL_FUNCTIONS = 7, 20, 25
_GRAPH_NODE, _GRAPH_TENSOR, _GRAPH_SPARSE = 1, 5, 15
_NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS, _ATTRIBUTE_SPARSE = (5, 10), (6, 11), (22, 23)
_TENSOR_NAME, _TENSOR_EXTERNAL, _TENSOR_LOCATION = 8, 13, 14


def read_onnx(piece: Piece, scope: Scope) -> bool:
    """Judge an ONNX model. Raises `LimitReached`."""
    scope.recognise("ONNX")
    walker = _Walker(piece, scope)
    try:
        walker.model()
    except wire.NotWire as error:
        scope.unsure(f"the ONNX message is damaged: it {error}", piece)
    unknown = {domain: at for domain, at in walker.used.items() if domain not in STANDARD | BUILT_IN and domain not in walker.defined}
    for domain, at in list(unknown.items())[:20]:
        scope.unsure(f"uses operators of the domain '{domain[:80]}', which a library has to bring", piece, at)
    return True


def read_onnx_tensor(piece: Piece, scope: Scope) -> bool:
    """Judge a tensor in a file of its own, as test data of ONNX are."""
    scope.recognise("ONNX tensor")
    _Walker(piece, scope).tensor(wire.Field(0, wire.BYTES, 0, 0, len(piece.data)))
    return True


class _Walker:
    def __init__(self, piece: Piece, scope: Scope) -> None:
        self.piece, self.scope, self.data = piece, scope, piece.data
        self.used: dict[str, int] = {}
        self.defined: set[str] = set()

    def model(self) -> None:
        for field in self._fields(0, len(self.data)):
            if field.number == _MODEL_GRAPH:
                self.graph(field, 0)
            elif field.number == _MODEL_FUNCTIONS:
                self.function(field)
            elif field.number == _MODEL_TRAINING:
                for inner in self._fields(field.start, field.end):
                    if inner.number in (1, 2) and inner.kind == wire.BYTES:
                        self.graph(inner, 0)

    def function(self, function: wire.Field) -> None:
        for field in self._fields(function.start, function.end):
            if field.number == 7 and field.kind == wire.BYTES:
                self.node(field, 0)
            elif field.number == 10 and field.kind == wire.BYTES:
                self.defined.add(wire.text(self.data, field))

    def graph(self, graph: wire.Field, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise LimitReached(f"its graphs are nested more than {MAX_DEPTH} deep")
        for field in self._fields(graph.start, graph.end):
            if field.kind != wire.BYTES:
                continue
            if field.number == _GRAPH_NODE:
                self.node(field, depth)
            elif field.number == _GRAPH_TENSOR:
                self.tensor(field)
            elif field.number == _GRAPH_SPARSE:
                self.sparse(field)

    def node(self, node: wire.Field, depth: int) -> None:
        domain = ""
        for field in self._fields(node.start, node.end):
            if field.number == _NODE_DOMAIN and field.kind == wire.BYTES:
                domain = wire.text(self.data, field)
            elif field.number == _NODE_ATTRIBUTE and field.kind == wire.BYTES:
                self.attribute(field, depth)
        self.used.setdefault(domain, node.start)

    def attribute(self, attribute: wire.Field, depth: int) -> None:
        for field in self._fields(attribute.start, attribute.end):
            if field.kind != wire.BYTES:
                continue
            if field.number in _ATTRIBUTE_GRAPHS:
                self.graph(field, depth + 1)
            elif field.number in _ATTRIBUTE_TENSORS:
                self.tensor(field)
            elif field.number in _ATTRIBUTE_SPARSE:
                self.sparse(field)

    def sparse(self, sparse: wire.Field) -> None:
        for field in self._fields(sparse.start, sparse.end):
            if field.number in (1, 2) and field.kind == wire.BYTES:
                self.tensor(field)

    def tensor(self, tensor: wire.Field) -> None:
        for field in self._fields(tensor.start, tensor.end):
            if field.number == _TENSOR_EXTERNAL and field.kind == wire.BYTES:
                self.external(field)

    def external(self, entry: wire.Field) -> None:
        """One key and value that say where the numbers of a tensor lie."""
        key = value = ""
        for field in self._fields(entry.start, entry.end):
            if field.number == 1 and field.kind == wire.BYTES:
                key = wire.text(self.data, field)
            elif field.number == 2 and field.kind == wire.BYTES:
                value = wire.text(self.data, field, 4096)
        if key == "location" and leads_away(value):
            self.scope.unsafe(f"reads its weights from '{value[:120]}', outside its own folder", self.piece, entry.start)
        elif key == "location":
            self.scope.note(f"weights lie in '{value[:80]}' beside it")

    def _fields(self, start: int, end: int) -> list[wire.Field]:
        return list(wire.fields(self.data, start, end, self.scope))


def leads_away(location: str) -> bool:
    """Does a path given in a model lead out of the model's folder, on any system?"""
    plain = location.replace("\\", "/")
    return not plain or "\0" in plain or plain.startswith(("/", "~")) or ":" in plain or ".." in plain.split("/")
