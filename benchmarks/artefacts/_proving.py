"""Opens files with the real loaders, each in a child process of its own, and says for which of them the marker appeared.

Run as a program in the environment that has the loaders: reads lines `folder<TAB>loader<TAB>file` and prints the folders whose marker
appeared. Every loader is imported once; each file is then loaded in a fork, with a time limit, nothing on its input and its folder as the
current one.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
SECONDS = 20
"""Longest time that a file may take to load."""


def proved(folder: Path) -> bool:
    """Did something make the marker?"""
    return any(path.name.startswith("marker") for path in folder.iterdir())


def load_pickle(path: str) -> Any:
    import pickle

    with open(path, "rb") as file:
        return pickle.load(file)


def load_bytes(path: str) -> Any:
    import pickle

    return pickle.loads(Path(path).read_bytes())


def load_beside(path: str) -> Any:
    """With the file's folder on the path, as in an interactive session there."""
    sys.path.insert(0, os.path.dirname(path))
    return load_pickle(path)


def load_python_pickle(path: str) -> Any:
    import pickle

    with open(path, "rb") as file:
        return pickle._Unpickler(file).load()  # type: ignore[attr-defined]


def load_torch(path: str) -> Any:
    import torch

    return torch.load(path, weights_only=False)


def load_torch_mmap(path: str) -> Any:
    import torch

    return torch.load(path, weights_only=False, mmap=True)


def load_joblib(path: str) -> Any:
    import joblib

    return joblib.load(path)


def load_numpy(path: str) -> Any:
    import numpy

    found = numpy.load(path, allow_pickle=True)
    return [found[key] for key in found] if hasattr(found, "files") else found


def load_pandas(path: str) -> Any:
    import pandas

    return pandas.read_pickle(path)


def load_gzip(path: str) -> Any:
    import gzip
    import pickle

    with gzip.open(path, "rb") as file:
        return pickle.load(file)


def load_nested_gzip(path: str) -> Any:
    import gzip
    import pickle

    with gzip.open(path, "rb") as outer, gzip.open(outer, "rb") as file:
        return pickle.load(file)


def load_compressed(path: str) -> Any:
    """bz2 or xz, as the name says."""
    import pickle

    opener = importlib.import_module("bz2" if path.endswith("bz2") else "lzma").open
    with opener(path, "rb") as file:
        return pickle.load(file)


def load_seven_zip(path: str) -> Any:
    """Unpacks the archive and loads the model in it, as people do with what they download."""
    import py7zr

    with py7zr.SevenZipFile(path) as archive:
        archive.extractall("unpacked")
    return load_pickle("unpacked/model.pkl")


def load_zip_member(path: str) -> Any:
    import pickle
    import zipfile

    with zipfile.ZipFile(path) as archive, archive.open("model.pkl") as file:
        return pickle.load(file)


def load_tar_member(path: str) -> Any:
    import pickle
    import tarfile

    with tarfile.open(path) as archive:
        return pickle.load(archive.extractfile("model.pkl"))  # type: ignore[arg-type]


def load_dill(path: str) -> Any:
    import dill

    with open(path, "rb") as file:
        return dill.load(file)


def load_keras(path: str) -> Any:
    import keras

    return keras.models.load_model(path, safe_mode=False)


def load_keras_and_predict(path: str) -> Any:
    import numpy

    return load_keras(path).predict(numpy.zeros((1, 2)), verbose=0)


def load_tokenizer_template(path: str) -> Any:
    """Renders a chat template in an environment without a sandbox, as llama-cpp-python did until 0.2.71 (CVE-2024-34359)."""
    import json

    from jinja2 import Environment

    template = json.loads(Path(path).read_text())["chat_template"]
    return Environment().from_string(template).render(messages=[])


def load_gguf_template(path: str) -> Any:
    from jinja2 import Environment

    raw = Path(path).read_bytes()
    key = b"tokenizer.chat_template"
    at = raw.index(key) + len(key) + 4
    size = int.from_bytes(raw[at : at + 8], "little")
    return Environment().from_string(raw[at + 8 : at + 8 + size].decode()).render(messages=[])


def load_transformers_config(path: str) -> Any:
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(os.path.dirname(path), trust_remote_code=True)


def load_transformers_tokenizer(path: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(os.path.dirname(path), trust_remote_code=True)


def load_skops(path: str) -> Any:
    import skops.io

    return skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))


def load_mlflow(path: str) -> Any:
    import mlflow.pyfunc

    return mlflow.pyfunc.load_model(os.path.dirname(path))


def run_notebook(path: str) -> Any:
    import json

    for cell in json.loads(Path(path).read_text())["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), {})


def load_torch_hub(path: str) -> Any:
    import torch

    return torch.hub.load(os.path.dirname(path), "entry", source="local", trust_repo=True)


def load_handler(path: str) -> Any:
    import runpy

    return runpy.run_path(path)


def load_shelve(path: str) -> Any:
    import shelve

    with shelve.open(path.removesuffix(".dat"), flag="r") as shelf:
        return list(shelf.values())


LOADERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "pickle": (load_pickle, ""), "python": (load_python_pickle, ""), "torch": (load_torch, "torch"), "torch mmap": (load_torch_mmap,
        "torch"),
    "loads": (load_bytes, ""), "beside": (load_beside, ""), "joblib": (load_joblib, "joblib numpy"), "numpy": (load_numpy, "numpy"),
    "pandas": (load_pandas, "pandas"), "gzip": (load_gzip, ""), "gzip twice": (load_nested_gzip, ""), "compressed": (load_compressed, ""),
    "7z": (load_seven_zip, "py7zr"), "zip": (load_zip_member, ""), "tar": (load_tar_member, ""), "dill": (load_dill, "dill"),
    "keras": (load_keras, "keras"), "keras predict": (load_keras_and_predict, "keras"), "template": (load_tokenizer_template, "jinja2"),
    "gguf": (load_gguf_template, "jinja2"), "config": (load_transformers_config, "transformers"),
    "tokenizer": (load_transformers_tokenizer, "transformers"), "skops": (load_skops, "skops.io"), "mlflow": (load_mlflow, "mlflow.pyfunc"),
    "notebook": (run_notebook, ""), "hub": (load_torch_hub, "torch"), "handler": (load_handler, ""), "shelve": (load_shelve, ""),
}  # fmt: skip
"""What opens a file, and the modules to import once before."""


def _child(folder: str, loader: str, file: str) -> None:
    """Load one file and end; whatever it raises is its own business."""
    os.setsid()
    os.chdir(folder)
    signal.alarm(SECONDS)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    try:
        LOADERS[loader][0](file)
    finally:
        sys.modules["atexit"]._run_exitfuncs() if "atexit" in sys.modules else None  # type: ignore[attr-defined]
        os._exit(0)


def main(lines: list[str]) -> int:
    """Load each file of `lines` and print the folders whose marker appeared."""
    warnings.simplefilter("ignore")
    missing: set[str] = set()
    for line in lines:
        folder, loader, file = line.rstrip("\n").split("\t")
        for module in LOADERS[loader][1].split():
            if module in missing:
                continue
            try:
                importlib.import_module(module)
            except ImportError:
                missing.add(module)
        if missing & set(LOADERS[loader][1].split()):
            continue
        process = os.fork()
        if not process:
            _child(folder, loader, file)
        _wait(process)
        if not proved(Path(folder)):
            time.sleep(0.05)
        if proved(Path(folder)):
            print(folder, flush=True)
    return 0


def _wait(process: int) -> None:
    ended = time.monotonic() + SECONDS + 5
    while time.monotonic() < ended:
        if os.waitpid(process, os.WNOHANG)[0]:
            return
        time.sleep(0.002)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


if __name__ == "__main__":
    sys.exit(main(sys.stdin.readlines()))
