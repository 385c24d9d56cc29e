"""A scan of model files as SARIF 2.1.0: one result for each reason, at its byte of the file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from bartizan.model.errors import Place
from bartizan.renderers.sarif_log import log, result

SUFFIX = ".sarif"
MEDIA_TYPE = "application/sarif+json"

_LEVELS = {"unsafe": "error", "needs-policy": "warning", "safe": "note"}
_TITLES = {
    "unsafe-model-file": "Loading the file runs code or reaches files, network or processes",
    "unreviewed-model-file": "Loading the file uses what nobody reviewed, or it could not be read to its end",
}
_RULES = {"unsafe": "unsafe-model-file", "needs-policy": "unreviewed-model-file"}


def render(files: Iterable[Mapping[str, Any]]) -> str:
    """The log of the reports of files as plain values: `path`, `safety`, `reasons` (`text`, `offset`, `safety`)."""
    results = []
    for file in files:
        place = Place(_relative(str(file["path"])))
        results += [
            result(_RULES[reason["safety"]], _LEVELS[reason["safety"]], str(reason["text"]), place, offset=reason["offset"])
            for reason in file["reasons"]
        ]
    return log(results, _TITLES)


def _relative(path: str) -> str:
    """Relative to the working folder where it lies below, as code scanning wants it."""
    relative = os.path.relpath(path)
    return (path if relative.startswith("..") else relative).replace(os.sep, "/")
