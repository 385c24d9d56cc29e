"""TensorFlow: SavedModel, GraphDef and the metadata of Keras beside it; operators that run Python or reach files.

Numbers of fields are those of saved_model.proto, meta_graph.proto, graph.proto, function.proto, node_def.proto and saved_metadata.proto."""

from __future__ import annotations

from bartizan.areas.artefacts.containers.scope import Piece, Scope
from bartizan.areas.artefacts.other_formats import wire
from bartizan.areas.artefacts.other_formats.bounded_json import NotJson, parse
from bartizan.areas.artefacts.other_formats.keras_models import judge_config

UNSAFE = {
    "PyFunc": "runs Python that the loading process registered", "PyFuncStateless": "runs Python that the loading process registered",
    "EagerPyFunc": "runs Python that the loading process registered", "ReadFile": "reads a file that the model names",
    "WriteFile": "writes a file that the model names", "WriteRawProtoSummary": "writes files", "SaveDataset": "writes files",
    "SaveDatasetV2": "writes files", "WriteSummary": "writes files", "CreateSummaryFileWriter": "writes files",
    "CreateSummaryDbWriter": "writes files", "DatasetToTFRecord": "writes files", "DebugIdentityV2": "sends values to an address",
    "DebugIdentityV3": "sends values to an address", "DistributedSave": "writes files", "RpcCall": "calls an address",
    "RpcClient": "calls an address", "RpcServer": "opens a port", "DataServiceDataset": "fetches from an address",
    "DataServiceDatasetV2": "fetches from an address",
    "DataServiceDatasetV3": "fetches from an address", "DataServiceDatasetV4": "fetches from an address",
    "RegisterDataset": "calls an address",
}  # fmt: skip
"""Operators that run code or reach out of the process, and what they do."""

READING = frozenset({
    "MatchingFiles", "MatchingFilesDataset", "TextLineDataset", "TextLineReader", "TextLineReaderV2", "FixedLengthRecordDataset",
    "FixedLengthRecordDatasetV2", "FixedLengthRecordReader", "FixedLengthRecordReaderV2", "TFRecordDataset", "TFRecordDatasetV2",
    "TFRecordReader", "TFRecordReaderV2", "WholeFileReader", "WholeFileReaderV2", "IdentityReader", "LMDBReader", "LMDBDataset",
    "SqlDataset", "CSVDataset", "CSVDatasetV2", "ImmutableConst", "LoadDataset", "LoadDatasetV2", "ReaderReadV2", "SnapshotDataset",
    "SnapshotDatasetV2", "CacheDataset", "InitializeTableFromTextFile", "LoadAndRemapMatrix", "PrintV2", "GenerateVocabRemapping",
})  # fmt: skip
"""Operators that read (or may write) files whose names the graph makes up."""


def read_saved_model(piece: Piece, scope: Scope) -> bool:
    """Judge a SavedModel by the operators of all its graphs and functions."""
    scope.recognise("SavedModel")
    graphs = [field for field in _fields(piece, scope, 0, len(piece.data)) if field.number == 2 and field.kind == wire.BYTES]
    for meta in graphs:
        for field in _fields(piece, scope, meta.start, meta.end):
            if field.number == 2 and field.kind == wire.BYTES:
                _graph(field.start, field.end, piece, scope)
    return True


def read_graph_def(piece: Piece, scope: Scope) -> bool:
    """Judge a frozen graph."""
    scope.recognise("TensorFlow graph")
    _graph(0, len(piece.data), piece, scope)
    return True


def read_keras_metadata(piece: Piece, scope: Scope) -> bool:
    """Judge `keras_metadata.pb`: nodes (1) whose metadata (5) are the configuration of a layer as JSON."""
    scope.recognise("Keras metadata")
    for node in _fields(piece, scope, 0, len(piece.data)):
        if node.number == 1 and node.kind == wire.BYTES:
            for field in _fields(piece, scope, node.start, node.end):
                if field.kind == wire.BYTES and piece.head(1, field.start) == b"{":
                    _metadata(piece.part(field.start, field.end), scope)
    return True


def _metadata(piece: Piece, scope: Scope) -> None:
    try:
        judge_config(parse(bytes(piece.data)), piece, scope)
    except NotJson as error:
        scope.unsure(f"the configuration of a layer {error}", piece, 0)


def _graph(start: int, end: int, piece: Piece, scope: Scope) -> None:
    for field in _fields(piece, scope, start, end):
        if field.kind != wire.BYTES:
            continue
        if field.number == 1:
            _node(field, piece, scope)
        elif field.number == 2:
            for function in _fields(piece, scope, field.start, field.end):
                if function.number == 1 and function.kind == wire.BYTES:
                    for node in _fields(piece, scope, function.start, function.end):
                        if node.number == 3 and node.kind == wire.BYTES:
                            _node(node, piece, scope)


def _node(node: wire.Field, piece: Piece, scope: Scope) -> None:
    for field in _fields(piece, scope, node.start, node.end):
        if field.number == 2 and field.kind == wire.BYTES:
            operator = wire.text(piece.data, field, 200)
            if operator in UNSAFE:
                scope.unsafe(f"the operator {operator} {UNSAFE[operator]}", piece, node.start)
            elif operator in READING:
                scope.unsure(f"the operator {operator} reaches files that the graph names", piece, node.start)
            elif ">" in operator:
                scope.unsure(f"the operator '{operator[:80]}' comes from a library of its own", piece, node.start)


def _fields(piece: Piece, scope: Scope, start: int, end: int) -> list[wire.Field]:
    try:
        return list(wire.fields(piece.data, start, end, scope))
    except wire.NotWire as error:
        scope.unsure(f"the message is damaged: it {error}", piece, start)
        return []
