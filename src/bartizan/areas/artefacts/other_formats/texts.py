"""Model files that are text: configurations, notebooks, trees, PMML, templates, code. What a text is, and who judges it."""

from __future__ import annotations

import re

from bartizan.areas.artefacts.containers.scope import MIB, Piece, Scope
from bartizan.areas.artefacts.other_formats.bounded_json import NotJson, parse
from bartizan.areas.artefacts.other_formats.recognition import file_name
from bartizan.areas.artefacts.safety import Safety

TOLD = (
    b"auto_map", b"custom_pipeline", b"trust_remote_code", b"class_name", b'"cells"', b"chat_template", b"_class_name", b"py_module",
    b"\\u", b"loader_module", b"nbformat", b"\"type\"",
)  # fmt: skip
"""Words of which a JSON text must hold one before it can reach for code; without any it is data, whatever its size."""

MAX_TEXT = 64 * MIB

_YAML_TAG = re.compile(rb"(?:!!python/|tag:yaml\.org,2002:python/)(object/apply|object/new|object|name|module)[:\s]?([\w.]{0,80})")


def read_text(piece: Piece, scope: Scope) -> bool:
    """Judge a text."""
    name = file_name(piece, scope)
    head = piece.head(4096).lstrip(b"\xef\xbb\xbf \t\r\n")
    if name.endswith((".jinja", ".jinja2", ".j2")):
        from bartizan.areas.artefacts.other_formats.chat_templates import judge_template

        scope.recognise("template")
        before = len(scope.reasons)
        judge_template(piece.head(2 * MIB).decode("utf-8", "replace"), piece, scope, 0)
        if "chat_template" not in f"{scope.file}!{piece.name}":
            scope.reasons[before:] = [reason for reason in scope.reasons[before:] if reason.safety is Safety.UNSAFE]
        return True
    if head[:1] in (b"{", b"["):
        return _json(name, piece, scope)
    if head[:5] == b"<?xml" or head[:5] == b"<PMML" or (head[:9].upper() == b"<!DOCTYPE" and b"html" not in head[:40].lower()):
        from bartizan.areas.artefacts.other_formats.pmml import read_xml

        return read_xml(piece, scope)
    if name == "mlmodel":
        from bartizan.areas.artefacts.other_formats.mlflow_layout import read_mlmodel

        return read_mlmodel(piece, scope)
    if head.startswith((b"tree\nversion=", b"tree\r\nversion=")):
        scope.recognise("LightGBM")
        return True
    if name.endswith((".py", ".pyw")):
        from bartizan.areas.artefacts.other_formats.source_code import read_source

        return read_source(piece, scope)
    scope.recognise("text")
    _yaml_tags(piece, scope)
    return True


def _yaml_tags(piece: Piece, scope: Scope) -> None:
    """Tags by which an unsafe YAML loader makes objects or calls functions."""
    if not file_name(piece, scope).endswith((".yaml", ".yml")):
        return
    for found in _YAML_TAG.finditer(piece.head(MAX_TEXT)):
        kind, target = found[1].decode(), found[2].decode()
        if kind in ("object/apply", "object/new"):
            scope.unsafe(f"the YAML tag python/{kind} calls {target} in an unsafe loader", piece, found.start())
        else:
            scope.unsure(f"the YAML tag python/{kind} looks {target} up in an unsafe loader", piece, found.start())


def _json(name: str, piece: Piece, scope: Scope) -> bool:
    scope.recognise("JSON")
    data = bytes(piece.data)
    if b'"learner"' in data[:4096]:
        scope.formats[-1:] = ["XGBoost"] if scope.formats[-1] == "JSON" else scope.formats[-1:]
        return True
    if not any(word in data for word in TOLD):
        return True
    try:
        value = parse(data, piece, scope)
    except NotJson as error:
        if (name.endswith((".json", ".ipynb", ".jsonl", ".ndjson")) and not name.endswith(("l", "nd"))) or "deep" in str(error):
            scope.unsure(f"the JSON text {error}", piece, 0)
        return True
    from bartizan.areas.artefacts.other_formats.hugging_face import judge_json

    judge_json(value, name, piece, scope)
    return True
