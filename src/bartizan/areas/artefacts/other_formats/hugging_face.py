"""Configurations in JSON: what of the Hugging Face libraries, Keras and Jupyter in them leads to code."""

from __future__ import annotations

from typing import Any

from bartizan.areas.artefacts.containers.scope import Piece, Scope
from bartizan.areas.artefacts.other_formats.bounded_json import NotJson, walk
from bartizan.areas.artefacts.other_formats.chat_templates import judge_template

SENTENCE_TRANSFORMERS = ("sentence_transformers.", "transformers.", "torch.nn.")


def judge_json(value: Any, name: str, piece: Piece, scope: Scope) -> None:
    """Judge a parsed JSON text called `name`."""
    if isinstance(value, dict) and isinstance(value.get("cells"), list):
        from bartizan.areas.artefacts.other_formats.source_code import judge_notebook

        judge_notebook(value, piece, scope)
        return
    try:
        if isinstance(value, dict) and "class_name" in value and "config" in value:
            from bartizan.areas.artefacts.other_formats.keras_models import judge_config

            scope.formats[:] = ["Keras configuration" if format_ == "JSON" else format_ for format_ in scope.formats]
            judge_config(value, piece, scope)
        for item in walk(value):
            _remote_code(item, piece, scope)
            _templates(item, piece, scope)
    except NotJson as error:
        scope.unsure(f"the JSON text {error}", piece, 0)
    if name == "modules.json" and isinstance(value, list):
        _modules(value, piece, scope)
    if name == "model_index.json" and isinstance(value, dict):
        _pipeline(value, piece, scope)


def _remote_code(item: dict[str, Any], piece: Piece, scope: Scope) -> None:
    mapped = item.get("auto_map")
    if isinstance(mapped, dict) and mapped:
        targets = [str(t) for value in mapped.values() for t in (value if isinstance(value, list) else [value]) if t]
        where = f"of the repository {targets[0].partition('--')[0][:80]}" if targets and "--" in targets[0] else "beside it"
        scope.unsure(f"auto_map leads to Python code {where} ({', '.join(targets)[:120]}), run with trust_remote_code=True", piece, 0)
    for name, pipeline in (item.get("custom_pipelines") or {}).items() if isinstance(item.get("custom_pipelines"), dict) else ():
        target = pipeline.get("impl") if isinstance(pipeline, dict) else pipeline
        scope.unsure(
            f"the custom pipeline '{str(name)[:60]}' is Python code ({str(target)[:80]}), run with trust_remote_code=True", piece, 0
        )
    if item.get("trust_remote_code") is True:
        scope.unsafe("asks for trust_remote_code, which runs code from a repository", piece, 0)
    if isinstance(item.get("auto_mapping"), dict) and item["auto_mapping"].get("parent_library"):
        library = str(item["auto_mapping"]["parent_library"])
        if not library.startswith(("transformers", "diffusers", "peft", "sentence_transformers", "timm")):
            scope.unsure(f"the adapter imports '{library[:80]}'", piece, 0)


def _templates(item: dict[str, Any], piece: Piece, scope: Scope) -> None:
    found = item.get("chat_template")
    entries = found if isinstance(found, list) else [found]
    for entry in entries:
        source = entry.get("template") if isinstance(entry, dict) else entry
        if isinstance(source, str):
            judge_template(source, piece, scope, 0)
    if isinstance(found, dict):
        for source in found.values():
            if isinstance(source, str):
                judge_template(source, piece, scope, 0)


def _modules(modules: list[Any], piece: Piece, scope: Scope) -> None:
    for module in modules:
        kind = module.get("type") if isinstance(module, dict) else None
        if isinstance(kind, str) and not kind.startswith(SENTENCE_TRANSFORMERS):
            scope.unsure(f"the module '{kind[:80]}' is somebody's own code", piece, 0)


def _pipeline(index: dict[str, Any], piece: Piece, scope: Scope) -> None:
    """diffusers: each component is a library and a class; a pair under `_class_name` names a file with a pipeline of one's own."""
    if isinstance(index.get("_class_name"), list):
        scope.unsure(f"the pipeline is somebody's own code ({str(index['_class_name'])[:80]})", piece, 0)
    for name, pair in index.items():
        if name.startswith("_") or not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str):
            continue
        library = pair[0].partition(".")[0]
        if library not in ("diffusers", "transformers", "stable_diffusion", "onnxruntime", "optimum", "k_diffusion", "flax", "pipelines"):
            scope.unsure(f"the component '{name[:60]}' comes from '{pair[0][:80]}', which is somebody's own code or library", piece, 0)
