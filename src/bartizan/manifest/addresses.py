"""Where things lie: which uris and urls a manifest may hold, and which model format a file's name tells."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from bartizan.model.errors import InputError, Place, UnknownName
from bartizan.model.system import Format

URI_SCHEMES = (
    "abfs", "abfss", "arn", "az", "azureml", "bigquery", "dbfs", "docker", "file", "ftp", "ftps", "git", "git+https", "git+ssh", "gs",
    "hdfs", "hf", "http", "https", "jdbc", "kafka", "mlflow", "models", "mongodb", "mongodb+srv", "mysql", "oci", "ollama", "opensearch",
    "pkg", "postgres", "postgresql", "redis", "rediss", "runs", "s3", "sftp", "snowflake", "sqlite", "ssh", "wandb", "wasb", "wasbs",
)  # fmt: skip
"""Schemes of `uri`, `code` and `source`; a path without a scheme starts from the manifest's folder."""

URL_SCHEMES = (
    "amqp", "amqps", "grpc", "grpcs", "http", "https", "kafka", "mongodb", "mongodb+srv", "mqtt", "mqtts", "mysql", "postgres",
    "postgresql", "redis", "rediss", "tcp", "unix", "ws", "wss",
)  # fmt: skip
"""Schemes of `url`: something that answers."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_COMPRESSED = frozenset({".gz", ".xz", ".bz2", ".z", ".lz4", ".zst"})
_SUFFIXES = {
    ".pkl": Format.PICKLE,
    ".pickle": Format.PICKLE,
    ".dill": Format.PICKLE,
    ".joblib": Format.JOBLIB,
    ".skops": Format.SKOPS,
    ".safetensors": Format.SAFETENSORS,
    ".onnx": Format.ONNX,
    ".pt": Format.TORCH,
    ".pth": Format.TORCH,
    ".ckpt": Format.TORCH,
    ".ptl": Format.TORCHSCRIPT,
    ".torchscript": Format.TORCHSCRIPT,
    ".gguf": Format.GGUF,
    ".keras": Format.KERAS,
    ".h5": Format.KERAS,
    ".hdf5": Format.KERAS,
    ".npy": Format.NUMPY,
    ".npz": Format.NUMPY,
    ".pmml": Format.PMML,
    ".ubj": Format.XGBOOST,
    ".xgb": Format.XGBOOST,
    ".lgb": Format.LIGHTGBM,
}
_TORCH_BIN = re.compile(r"(?:pytorch_model|adapter_model|diffusion_pytorch_model)[\w.-]*\.bin")


def format_of(name: str) -> Format | None:
    """The serialisation that a file's name tells (`models/scorer.pkl.gz` is pickle), or None where the name leaves it open.

    `.bin`, `.json`, `.txt` and `.pb` belong to many programs and are taken only with the names that one program gives them.
    """
    bare = re.split("[?#]", name, maxsplit=1)[0] if "://" in name else name
    path = PurePosixPath(bare.lower())
    if path.suffix in _COMPRESSED:
        path = path.with_suffix("")
    if path.name == "saved_model.pb":
        return Format.SAVED_MODEL
    if _TORCH_BIN.fullmatch(path.name):
        return Format.TORCH
    return _SUFFIXES.get(path.suffix)


def check_uri(uri: str, field: str, place: Place, schemes: tuple[str, ...] = URI_SCHEMES) -> None:
    """Raise `InputError` where `uri` is neither a path inside the manifest's folder nor an address with a known scheme."""
    if not uri.strip() or not uri.isprintable():
        raise InputError(f"'{field}' is empty or holds control characters", place=place, cure="write a path or an address")
    if _DRIVE.match(uri):
        raise InputError(f"'{field}' is a path of one machine: '{uri}'", place=place, cure="write it relative to the manifest, with /")
    scheme = _SCHEME.match(uri)
    if scheme is None:
        _check_path(uri, field, place)
        return
    if scheme[1].lower() not in schemes:
        raise UnknownName("uri scheme", scheme[1], schemes, place=place, of=f"'{field}'")
    _check_secret(uri, field, place)


def check_url(url: str, field: str, place: Place) -> None:
    """Raise `InputError` where `url` is not an absolute address of something that answers."""
    if _SCHEME.match(url) is None:
        raise InputError(f"'{field}' has no scheme: '{url}'", place=place, cure="write it like http://host:port/path")
    check_uri(url, field, place, URL_SCHEMES)
    try:
        parts = urlsplit(url)
        answers = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        answers = False
    if not answers and not (url.lower().startswith("unix:") and len(url) > len("unix:")):
        raise InputError(
            f"'{field}' names no host, or a port that cannot be: '{url}'", place=place, cure="write it like http://host:port/path"
        )


def _check_path(path: str, field: str, place: Place) -> None:
    if path.startswith(("/", "\\")):
        cure = "write it relative to the manifest, or as file:///..."
        raise InputError(f"'{field}' is an absolute path: '{path}'", place=place, cure=cure)
    if path.startswith("~"):
        cure = "write it relative to the manifest, or as file:///..."
        raise InputError(f"'{field}' starts in a home folder: '{path}'", place=place, cure=cure)
    if ".." in re.split(r"[\\/]", path):
        cure = "move the manifest to the folder above, or write file:///..."
        raise InputError(f"'{field}' leaves the manifest's folder: '{path}'", place=place, cure=cure)


def _check_secret(uri: str, field: str, place: Place) -> None:
    """Passwords have no place in a file that is checked in and printed in reports."""
    try:
        secret = urlsplit(uri).password
    except ValueError:
        raise InputError(f"'{field}' is not an address: '{uri}'", place=place) from None
    if secret:
        raise InputError(f"'{field}' holds a password", place=place, cure="remove it; keep secrets in the environment")
