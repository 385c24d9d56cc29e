"""MLflow: the file `MLmodel` says which module loads the model and which code is imported with it."""

from __future__ import annotations

from typing import Any

from bartizan.areas.artefacts.containers.scope import MIB, Piece, Scope
from bartizan.areas.artefacts.other_formats.onnx_models import leads_away

CODE_KEYS = ("code", "model_code_path", "code_path", "code_paths")
"""Settings that name code which is put on the import path, or run, when the model is loaded."""

PATH_KEYS = ("data", "model_path", "artifact_path", "python_model", "model_data", "pickled_model", "uri", "model_binary", "path")


def read_mlmodel(piece: Piece, scope: Scope) -> bool:
    """Judge the description of an MLflow model."""
    from bartizan.documents import parse
    from bartizan.model.errors import BartizanError

    scope.recognise("MLflow model")
    if len(piece.data) > MIB:
        scope.unsure("the description is longer than is read here", piece, 0)
        return True
    try:
        value = parse(bytes(piece.data).decode("utf-8", "replace"), "MLmodel").value
    except BartizanError as error:
        scope.unsure(f"the description cannot be read: {error.what}", piece, 0)
        return True
    flavors = value.get("flavors") if isinstance(value, dict) else None
    if not isinstance(flavors, dict):
        scope.unsure("the description names no flavour", piece, 0)
        return True
    for name, flavor in flavors.items():
        if isinstance(flavor, dict):
            _flavor(str(name), flavor, piece, scope)
    return True


def _flavor(name: str, flavor: dict[str, Any], piece: Piece, scope: Scope) -> None:
    module = flavor.get("loader_module")
    if isinstance(module, str) and module.partition(".")[0] != "mlflow":
        scope.unsure(f"the module '{module[:80]}' loads the model, which is somebody's own code", piece, _at(piece, module))
    for key in CODE_KEYS:
        code = flavor.get(key)
        if code:
            scope.unsure(
                f"the code in '{str(code)[:80]}' is imported when the model is loaded ({name}.{key})", piece, _at(piece, str(code))
            )
    for key in PATH_KEYS:
        path = flavor.get(key)
        if isinstance(path, str) and path and leads_away(path):
            scope.unsafe(f"the path '{path[:120]}' leads out of the model's folder ({name}.{key})", piece, _at(piece, path))


def _at(piece: Piece, word: str) -> int:
    return max(0, bytes(piece.data).find(word.encode("utf-8", "replace")))
