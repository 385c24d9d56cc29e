"""One thread within, as many as before afterwards."""

from __future__ import annotations

import numpy as np
import threadpoolctl

from bartizan.methods.threads import one_thread


def _threads() -> list[int]:
    np.ones((2, 2)) @ np.ones((2, 2))
    return [library["num_threads"] for library in threadpoolctl.threadpool_info()]


def test_linear_algebra_has_one_thread_within_and_as_many_as_before_afterwards() -> None:
    before = _threads()
    with one_thread():
        assert set(_threads()) == {1}
    assert _threads() == before
