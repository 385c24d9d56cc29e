"""One thread for linear algebra: on small matrices further threads only wait for each other, at full load."""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager, nullcontext
from typing import Any


def one_thread() -> AbstractContextManager[Any]:
    """Within it, BLAS and OpenMP use one thread; without threadpoolctl, which comes with scikit-learn, it changes nothing."""
    try:
        limits = importlib.import_module("threadpoolctl").threadpool_limits
    except ImportError:
        return nullcontext()
    held: AbstractContextManager[Any] = limits(1)
    return held
