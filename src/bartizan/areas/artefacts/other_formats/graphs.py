"""Models that are protobuf messages: which kind one is, by its structure, and who judges it."""

from __future__ import annotations

from itertools import islice

from bartizan.areas.artefacts.containers.scope import LimitReached, Piece, Scope
from bartizan.areas.artefacts.other_formats import wire
from bartizan.areas.artefacts.other_formats.recognition import file_name

_ONNX_NUMBERS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26})
_LOOKED_AT = 64


def read_graph(piece: Piece, scope: Scope) -> bool:
    """Judge a message that is an ONNX model, a SavedModel, a graph or metadata of TensorFlow or a tokenizer's vocabulary; else False."""
    try:
        top = list(islice(wire.fields(piece.data, 0, len(piece.data), scope), 100_000))
    except wire.NotWire as error:
        return _damaged(piece, scope, str(error))
    except LimitReached:
        raise
    name = file_name(piece, scope)
    if is_onnx(top):
        from bartizan.areas.artefacts.other_formats.onnx_models import read_onnx

        return read_onnx(piece, scope)
    if is_saved_model(top, piece, scope):
        from bartizan.areas.artefacts.other_formats.tensorflow_graphs import read_saved_model

        return read_saved_model(piece, scope)
    if name == "keras_metadata.pb":
        from bartizan.areas.artefacts.other_formats.tensorflow_graphs import read_keras_metadata

        return read_keras_metadata(piece, scope)
    if _is_tensor(top):
        from bartizan.areas.artefacts.other_formats.onnx_models import read_onnx_tensor

        return read_onnx_tensor(piece, scope)
    if _is_vocabulary(top, piece, scope):
        scope.recognise("SentencePiece vocabulary")
        return True
    if _is_graph(top, piece, scope):
        from bartizan.areas.artefacts.other_formats.tensorflow_graphs import read_graph_def

        return read_graph_def(piece, scope)
    return _by_name(name, piece, scope)


def read_hidden_graph(piece: Piece, scope: Scope) -> bool:
    """Judge a graph in bytes that something else claims, too; what is no whole message is none."""
    try:
        top = list(islice(wire.fields(piece.data, 0, len(piece.data), scope), 100_000))
    except wire.NotWire:
        return False
    if not (is_onnx(top) or is_saved_model(top, piece, scope) or _is_graph(top, piece, scope)):
        return False
    return read_graph(piece, scope)


def _by_name(name: str, piece: Piece, scope: Scope) -> bool:
    """A message of no known structure: told only where the name promises a model."""
    if name == "fingerprint.pb":
        scope.recognise("TensorFlow fingerprint")
        return True
    if name.endswith((".onnx", ".pb")):
        scope.recognise("protobuf")
        scope.unsure("is a protobuf message of no kind that is known here", piece)
        return True
    return False


def _damaged(piece: Piece, scope: Scope, why: str) -> bool:
    """A message that breaks off: walked as far as it goes where it begins like a model."""
    name = file_name(piece, scope)
    if not name.endswith((".onnx", ".pb", ".pbtxt")):
        top: list[wire.Field] = []
        try:
            for field in wire.fields(piece.data, 0, len(piece.data), scope):
                top.append(field)
                if len(top) > _LOOKED_AT:
                    break
        except wire.NotWire:
            pass
        if not (top and top[0].number == 1 and top[0].kind == wire.VARINT and {f.number for f in top} & {2, 7, 8} and len(top) > 2):
            return False
    scope.recognise("protobuf")
    scope.unsure(f"is a protobuf message that is damaged: it {why}", piece)
    return True


def is_onnx(top: list[wire.Field]) -> bool:
    """The fields of ModelProto: ir_version (1), graph (7), operator sets (8), see onnx.proto."""
    numbers = {field.number for field in top}
    version = next((field for field in top if field.number == 1), None)
    if version is None or version.kind != wire.VARINT or not 1 <= version.value <= 1000:
        return False
    return (
        7 in numbers
        and (8 in numbers or numbers <= _ONNX_NUMBERS)
        and all(field.kind == wire.BYTES for field in top if field.number in (7, 8, 14, 20, 25))
    )


def _is_tensor(top: list[wire.Field]) -> bool:
    """TensorProto of ONNX: lengths (1) and a type (2) as plain numbers, which no graph has there; a name (8), raw bytes (9)."""
    numbers = {field.number for field in top}
    plain = all(field.kind == wire.VARINT for field in top if field.number in (1, 2))
    return (
        2 in numbers and plain and numbers <= {1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14} and bool(numbers & {4, 5, 6, 7, 9, 10, 11, 13})
    )


def is_saved_model(top: list[wire.Field], piece: Piece, scope: Scope) -> bool:
    """The fields of SavedModel: schema version (1), graphs with their meta information (2), see saved_model.proto."""
    metas = [field for field in top if field.number == 2 and field.kind == wire.BYTES]
    if not metas or any(field.kind != wire.VARINT for field in top if field.number == 1):
        return False
    return any(_has(piece, field, scope, 1, 2) or _has(piece, field, scope, 2) for field in metas[:_LOOKED_AT])


def _has(piece: Piece, field: wire.Field, scope: Scope, *wanted: int) -> bool:
    """Is the field a message that has all `wanted` fields, as bytes?"""
    try:
        found = {inner.number for inner in wire.fields(piece.data, field.start, field.end, scope) if inner.kind == wire.BYTES}
    except wire.NotWire:
        return False
    return found >= set(wanted)


def _is_vocabulary(top: list[wire.Field], piece: Piece, scope: Scope) -> bool:
    """sentencepiece_model.proto: pieces (1) of a text, a score in four bytes and a kind; a trainer (2), a normalizer (3)."""
    pieces = [field for field in top if field.number == 1]
    if not pieces or {field.number for field in top} - {1, 2, 3, 4, 5} or any(field.kind != wire.BYTES for field in top):
        return False
    for field in pieces[:_LOOKED_AT]:
        try:
            inner = [(f.number, f.kind) for f in wire.fields(piece.data, field.start, field.end, scope)]
        except wire.NotWire:
            return False
        if (1, wire.BYTES) not in inner or (2, wire.FIXED32) not in inner or not set(inner) <= {(1, 2), (2, 5), (3, 0)}:
            return False
    return True


def _is_graph(top: list[wire.Field], piece: Piece, scope: Scope) -> bool:
    """GraphDef of TensorFlow: nodes (1) of a name, an operator and inputs; a library (2), versions (4)."""
    nodes = [field for field in top if field.number == 1]
    return bool(nodes) and all(f.kind == wire.BYTES and _has(piece, f, scope, 1, 2) for f in nodes[:_LOOKED_AT])
