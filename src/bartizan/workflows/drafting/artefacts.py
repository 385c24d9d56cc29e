"""Models and data in a folder: told by name and first bytes, never loaded."""

from __future__ import annotations

import re
from itertools import groupby

from bartizan.manifest.addresses import format_of
from bartizan.model.errors import one_line
from bartizan.model.system import Format, Stage
from bartizan.workflows.drafting.folder import File, Holdings
from bartizan.workflows.drafting.part import Part, shown, slug

_DATA = frozenset({".csv", ".tsv", ".parquet", ".jsonl", ".ndjson", ".feather", ".arrow", ".avro", ".orc"})
_LEARNT = frozenset(
    {
        "model",
        "models",
        "weight",
        "weights",
        "checkpoint",
        "checkpoints",
        "ckpt",
        "params",
        "parameters",
        "coef",
        "coefs",
        "classifier",
        "net",
    }
)
"""Words in the path of a NumPy file that hint at a model; without one it is data."""
_SHARD = re.compile(r"[-_.]\d{5}-of-\d{5}(?=\.)")
_STAGES = (
    ("train", Stage.TRAIN), ("training", Stage.TRAIN), ("val", Stage.VALIDATION), ("valid", Stage.VALIDATION), ("dev", Stage.VALIDATION),
    ("validation", Stage.VALIDATION), ("test", Stage.TEST), ("holdout", Stage.TEST), ("feedback", Stage.FEEDBACK), ("logs", Stage.LOGS),
)  # fmt: skip
_TEXTUAL = frozenset({".py", ".md", ".txt", ".rst", ".toml", ".cfg", ".ini", ".html", ".css", ".js", ".ts", ".sh", ".lock", ".ipynb"})
_MANY = 12
"""So many data files of one type in one folder are drafted as one data set."""


def told_by_bytes(head: bytes) -> Format | None:
    """The serialisation that the first bytes of a file prove, or None. `head` should have 512 bytes where the file has them.

    Sources: the pickle protocol's PROTO opcode (PEP 307, 3154), the GGUF and safetensors format notes, the ZIP application note.
    """
    if (
        len(head) >= 3
        and head[0] == 0x80
        and 2 <= head[1] <= 5
        and (head[1] < 4 or head[2] == 0x95)
        and head[2:3] in b"\x95c(}]KXU\x8a\x8c"
    ):
        return Format.PICKLE
    if head.startswith(b"GGUF"):
        return Format.GGUF
    if head.startswith(b"PK\x03\x04") and len(head) > 30:
        first = head[30 : 30 + int.from_bytes(head[26:28], "little")]
        return Format.TORCH if first.endswith(b"/data.pkl") else None
    if len(head) > 9 and head[8:10] in (b'{"', b"{}") and int.from_bytes(head[:8], "little") < 2**27:
        return Format.SAFETENSORS
    if head.startswith(b"tree\nversion=v"):
        return Format.LIGHTGBM
    return Format.XGBOOST if head.startswith(b'{"learner":') else None


def models(holdings: Holdings, covered: tuple[str, ...]) -> list[Part]:
    """A part for every model file; the shards of one model are one part. Files below the folders `covered` are left to who covers them."""
    parts: dict[str, Part] = {}
    for file in holdings.files:
        if file.suffix in _TEXTUAL and file.suffix != ".txt":
            continue
        named = format_of(file.name)
        proved = told_by_bytes(holdings.head(file, 512)) if file.size else None
        told = _agreed(named, proved)
        if told is None or _is_data(file, told) or any(file.path.startswith(f"{folder}/") for folder in covered):
            continue
        whole = _SHARD.sub("", file.path)
        if whole in parts:
            parts[whole].names.append(file.name)
            continue
        sharded = whole != file.path and file.parent
        stem = slug(re.sub(r"\.[^/]*$", "", whole.rpartition("/")[2]), "model")
        part = Part(id=stem, kind="model", said={"uri": file.parent if sharded else file.path, "format": told.value}, names=[file.name])
        if named is not None and told is not named:
            part.notes.append(f"the name says {named}, the first bytes say {told}")
        parts[whole] = part
    return list(parts.values())


def _is_data(file: File, told: Format | None) -> bool:
    """Whether a NumPy file, by the words of its name and of its folder, is data and no model."""
    words = set(re.split(r"[^a-z]+", file.name.lower()))
    if not any(word in words for word, _ in _STAGES):
        words.update(re.split(r"[^a-z]+", file.parent.rpartition("/")[2].lower()))
    return told is Format.NUMPY and not words & _LEARNT


def _arrays(holdings: Holdings, file: File) -> bool:
    """Whether a file named .npy or .npz is data: its first bytes may say that it is something else."""
    return file.suffix in (".npy", ".npz") and _is_data(file, _agreed(Format.NUMPY, told_by_bytes(holdings.head(file, 512))))


def _agreed(named: Format | None, proved: Format | None) -> Format | None:
    """The bytes win over the name, but joblib writes pickles and old torch files begin as one."""
    if proved is Format.PICKLE and named in (Format.JOBLIB, Format.TORCH):
        return named
    return proved or named


def datasets(holdings: Holdings) -> list[Part]:
    """A part for every data file, or for the folder that holds many of one type."""
    files = [file for file in holdings.files if file.suffix in _DATA or _arrays(holdings, file)]
    parts: list[Part] = []
    for (parent, suffix), group in groupby(sorted(files, key=lambda f: (f.parent, f.suffix, f.path)), key=lambda f: (f.parent, f.suffix)):
        members = list(group)
        if len(members) >= _MANY and parent:
            part = Part(id=slug(parent.rpartition("/")[2], "data"), kind="dataset", said={"uri": parent}, names=[parent])
            part.notes.append(f"{len(members)} {suffix} files")
            parts.append(_staged(part, parent.rpartition("/")[2]))
        else:
            parts += [_dataset(holdings, file) for file in members]
    return parts


def _dataset(holdings: Holdings, file: File) -> Part:
    stem = file.name[: -len(file.suffix)]
    part = Part(id=slug(stem, "data"), kind="dataset", said={"uri": file.path}, names=[file.name])
    if file.suffix in (".csv", ".tsv"):
        columns = _columns(holdings.text(file, 4096), "\t" if file.suffix == ".tsv" else None)
        if columns:
            part.hints["label"] = f"Columns: {shown(columns, 12)}"
    return _staged(part, stem)


def _columns(text: str, separator: str | None) -> list[str]:
    """The cells of the first line, where it looks like a header: several cells, none a number."""
    line = text.partition("\n")[0].strip()
    separator = separator or max(",;\t|", key=line.count)
    cells = [one_line(cell.strip().strip('"'), 40) for cell in line.split(separator)]
    numeric = any(re.fullmatch(r"[-+]?[\d.]+(?:[eE][-+]?\d+)?", cell) for cell in cells)
    return [] if len(cells) < 2 or numeric or not all(cells) else cells


def _staged(part: Part, name: str) -> Part:
    """The part with the stage that exactly one word of its name tells."""
    words = set(re.split(r"[^a-z]+", name.lower()))
    told = {stage for word, stage in _STAGES if word in words}
    if len(told) == 1:
        part.said = {"stage": told.pop().value, **part.said}
    return part
