"""What scans once got wrong, found by the corpus of `benchmarks/artefacts`."""

from __future__ import annotations

import json
from pathlib import Path

import skops.io
import torch
from scipy.stats import norm

from bartizan.areas.artefacts.safety import Safety
from bartizan.areas.artefacts.scanning import scan, scan_bytes


def test_code_that_a_loader_runs_for_its_name_is_not_safe() -> None:
    code = b"import os\ndef entry():\n    os.mkdir('x')\n"
    assert scan_bytes(code, "hubconf.py").safety is Safety.NEEDS_POLICY
    assert scan_bytes(code, "model/handler.py").safety is Safety.NEEDS_POLICY
    assert scan_bytes(code, "train.py").safety is Safety.SAFE


def test_a_notebook_that_starts_a_process_is_not_safe() -> None:
    def notebook(source: str) -> bytes:
        cell = {"cell_type": "code", "source": [source], "metadata": {}, "outputs": [], "execution_count": None}
        return json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()

    assert scan_bytes(notebook("import os; os.system('touch x')"), "n.ipynb").safety is Safety.NEEDS_POLICY
    assert scan_bytes(notebook("import numpy; numpy.mean([1])"), "n.ipynb").safety is Safety.SAFE


def test_a_checkpoint_whose_first_entry_is_as_long_as_the_records_of_zip64_is_read_one_way(tmp_path: Path) -> None:
    """The directory's first entry has 46 bytes and its name's 30: as many as lie between it and what readers without ZIP64 would take."""
    path = tmp_path / "scheduler-MultiStepLR.pt"
    torch.save({"step": 1}, path)
    assert len("scheduler-MultiStepLR/data.pkl") == 30
    assert scan([path]).verdict is Safety.SAFE, scan([path]).files[0].reasons


def test_an_import_before_prose_is_seen_where_a_loader_would_find_the_module(tmp_path: Path) -> None:
    """The import alone runs a module that lies beside the file, whatever stands behind it."""
    raw = b"cmy-module\nX\nIt is a good model.\n"
    (tmp_path / "notes.txt").write_bytes(raw)
    (tmp_path / "model.pkl").write_bytes(raw)
    assert scan([tmp_path / "notes.txt"]).verdict is Safety.SAFE
    assert scan([tmp_path / "model.pkl"]).verdict is Safety.NEEDS_POLICY
    (tmp_path / "my-module.py").write_text("print(1)\n")
    assert scan([tmp_path / "notes.txt"]).verdict is Safety.NEEDS_POLICY
    (tmp_path / "notes.txt").write_bytes(b"cmy-module\nX\n.")
    assert scan([tmp_path / "notes.txt"]).verdict is Safety.NEEDS_POLICY


def test_a_distribution_in_skops_whose_code_is_not_seen_is_not_safe() -> None:
    """A distribution of scipy runs a text of its state; in a pickle the text is compared, in skops it lies elsewhere in the schema."""
    assert scan_bytes(skops.io.dumps(norm), "model.skops").safety is not Safety.SAFE
