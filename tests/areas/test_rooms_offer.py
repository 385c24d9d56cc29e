"""What rooms offer to programs is there, and stays what it is when it is asked for again."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import pytest

import bartizan.areas

ROOMS = sorted(found.name for found in pkgutil.iter_modules(bartizan.areas.__path__) if found.ispkg)

CODE = """
import types
import bartizan.areas.{room} as room
for name in dir(room):
    try:
        first = getattr(room, name)
    except ImportError as error:  # an extra that is not installed
        print(name, "needs", error.name)
        continue
    second = getattr(room, name)
    assert not isinstance(second, types.ModuleType), name + " is hidden by the module of its name"
    assert first is second, name
"""


@pytest.mark.parametrize("room", ROOMS)
def test_every_name_is_there_twice(room: str) -> None:
    if not hasattr(importlib.import_module(f"bartizan.areas.{room}"), "__getattr__"):
        pytest.skip("offers nothing to programs")
    done = subprocess.run([sys.executable, "-c", CODE.format(room=room)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
