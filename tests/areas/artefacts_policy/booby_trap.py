"""Packages with files as an installer would have left them: harmless classes, and every trap that is known here."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

BASE = '''"""What every trap starts from."""
import functools
import os
import os as operating
import pickle
import shutil
import subprocess
import sys
from os import system as sh

run = os.system
runners = {"a": os.system}

class Runs:
    def __setstate__(self, state):
        exec(state["code"])
'''

TRAPS = (
    """
class Writes:
    def __init__(self, path):
        with open(path, "w") as f:
            f.write("x")
""",
    """
class Removes:
    def __del__(self):
        shutil.rmtree(self.folder)
""",
    """
class Process(subprocess.Popen):
    pass
""",
    """
class Alias:
    def __setstate__(self, state):
        run(state["command"])
""",
    """
class LocalAlias:
    def __setstate__(self, state):
        go = operating
        go.system(state["command"])
""",
    """
class ImportedAlias:
    def __setstate__(self, state):
        sh(state["command"])
""",
    """
class Table:
    def __setstate__(self, state):
        runners["a"](state)
""",
    """
class Computed:
    def __setstate__(self, state):
        getattr(os, "sys" + "tem")(state)
""",
    """
class Loads:
    def __setstate__(self, state):
        self.inner = pickle.loads(state)
""",
    """
class LateImport:
    def __setstate__(self, state):
        __import__(state["module"]).run()
""",
    """
class InComprehension:
    def __setstate__(self, state):
        [f(state) for f in (os.system,)]
""",
    """
class InLambda:
    __setstate__ = lambda self, state: os.system(state)
""",
    """
class Mapped:
    def __setstate__(self, state):
        list(map(os.system, state))
""",
    """
class Handed:
    def __setstate__(self, state):
        state["function"](state["argument"])
""",
    """
class Deep:
    def __setstate__(self, state):
        self._one(state)
    def _one(self, state):
        two(state)

def two(state):
    return three(state)

def three(state):
    return Four().five(state)

class Four:
    def five(self, state):
        return eval(state)
""",
    """
class Hash:
    def __hash__(self):
        return hash(os.popen(self.command).read())
""",
    """
class Equal:
    def __eq__(self, other):
        return subprocess.call(self.command) == 0
""",
    """
class Attribute:
    def __getattr__(self, name):
        os.system(name)
""",
    """
class New:
    def __new__(cls, command):
        os.system(command)
        return super().__new__(cls)
""",
    """
class Sub(Runs):
    pass
""",
    """
class Setter:
    __slots__ = ("_x",)
    @property
    def x(self):
        return self._x
    @x.setter
    def x(self, value):
        os.system(value)
""",
    """
class Descriptor:
    def __set__(self, instance, value):
        os.system(value)

class Described:
    x = Descriptor()
""",
    """
class List(list):
    def append(self, item):
        os.system(item)
    def extend(self, items):
        os.system(items[0])
""",
    """
class Dict(dict):
    def __setitem__(self, key, value):
        eval(key)
""",
    """
class Patched:
    pass

Patched.__setstate__ = lambda self, state: os.system(state)
""",
    """
class PatchedByName:
    pass

setattr(PatchedByName, "__setstate__", Runs.__setstate__)
""",
    """
class PatchedComputed:
    pass

setattr(PatchedComputed, "__set" + "state__", Runs.__setstate__)
""",
    """
class Looped:
    pass

for kind in (Looped,):
    kind.__setstate__ = Runs.__setstate__
""",
    """
class InTable:
    pass

def install(kind, name, value):
    setattr(kind, name, value)

install(InTable, "__setstate__", Runs.__setstate__)
""",
    """
def evil(cls):
    cls.__setstate__ = Runs.__setstate__
    return cls

@evil
class Decorated:
    pass
""",
    """
def swap(cls):
    return subprocess.Popen

@swap
class Swapped:
    pass
""",
    """
def wrap(function):
    def inner(self, state):
        os.system(state)
    return inner

class Wrapped:
    @wrap
    def __setstate__(self, state):
        pass
""",
    """
Typed = type("Typed", (Runs,), {})
""",
    """
class Meta(type):
    def __call__(cls, *args):
        os.system(args[0])

class WithMeta(metaclass=Meta):
    pass
""",
    """
class Injecting(type):
    def __new__(mcls, name, bases, space):
        space["__setstate__"] = Runs.__setstate__
        return super().__new__(mcls, name, bases, space)

class Injected(metaclass=Injecting):
    pass
""",
    """
class Registry:
    def __init_subclass__(cls):
        cls.__setstate__ = Runs.__setstate__

class Registered(Registry):
    pass
""",
    """
class Partly:
    __setstate__ = functools.partialmethod(Runs.__setstate__)
""",
    """
class Rebound:
    pass

Rebound = subprocess.Popen
""",
    """
class Namespace:
    locals()["__set" + "state__"] = Runs.__setstate__
""",
    """
class Globals:
    def __setstate__(self, state):
        globals()["ru" + "n"](state)
""",
    """
class Subclasses:
    def __setstate__(self, state):
        [c for c in object.__subclasses__() if c.__name__ == "Popen"][0](state)
""",
    """
class Modules:
    def __setstate__(self, state):
        sys.modules["os"].system(state)
""",
    """
class Builtins:
    def __setstate__(self, state):
        __builtins__["eval"](state)
""",
    """
class Function:
    def __setstate__(self, state):
        self.__setstate__.__globals__["run"](state)
""",
    """
class UnknownBase(nowhere.Thing):
    pass
""",
    """
class ViaMethod:
    def __setstate__(self, state):
        state["helper"].fire(state)

class Fires:
    def fire(self, state):
        os.system(state)
""",
    """
class Rebuilt:
    def __reduce__(self):
        return rebuild, (self.text,)

def rebuild(text):
    return eval(text)
""",
    """
def called(function, value):
    return function(value)

class Reduces:
    def __reduce__(self):
        return called, (len, ())
""",
    """
class Conditional:
    if sys.platform:
        def __setstate__(self, state):
            os.system(state)
    else:
        def __setstate__(self, state):
            pass
""",
    """
class Walrus:
    def __setstate__(self, state):
        (f := os.system)(state)
""",
    """
class Chosen:
    def __setstate__(self, state):
        (print if state is None else os.system)(state)
""",
    """
class Generated:
    def __setstate__(self, state):
        next(os.system(x) for x in state)
""",
    """
class Nested:
    class Inner:
        def __setstate__(self, state):
            os.system(state)
""",
    """
class Slotted:
    def __setattr__(self, name, value):
        os.system(value)
""",
    """
class Default:
    def __setstate__(self, state, run=os.system):
        run(state)
""",
    """
class Context:
    def __setstate__(self, state):
        with Opened(state):
            pass

class Opened:
    def __init__(self, path):
        self.file = open(path, "w")
""",
    """
class Inherits:
    def __setstate__(self, state):
        state["helper"].fire(state)

class Harmless:
    def fire(self, state):
        self.inner(state)
    def inner(self, state):
        pass

class Overrides(Harmless):
    def inner(self, state):
        os.system(state)
""",
    """
class Touches:
    def __setstate__(self, state):
        state["helper"].value

class HasProperty:
    @property
    def value(self):
        return os.system("x")
""",
    """
class ByText:
    def __setstate__(self, state):
        getattr(state["function"], "__globals__")["run"](state)
""",
    """
class Imports:
    def __setstate__(self, state):
        import importlib as loader
        loader.import_module("subprocess").run(state)
""",
    """
class Renamed:
    pass

from subprocess import Popen as Renamed
""",
    """
class ByGlobal:
    pass

def change():
    global ByGlobal
    ByGlobal = subprocess.Popen

change()
""",
    """
class Starred:
    pass

from traps.stars import *
""",
    """
class ByModule:
    pass

sys.modules[__name__].ByModule = subprocess.Popen
""",
    """
class ByComputedModule:
    pass

setattr(sys.modules[__name__], "By" + "ComputedModule", subprocess.Popen)
""",
    """
class InBody:
    (__setstate__ := Runs.__setstate__)
""",
    """
class Named:
    def __set_name__(self, owner, name):
        owner.__setstate__ = Runs.__setstate__

class Owner:
    attribute = Named()
""",
    """
class Merging(type):
    def __new__(mcls, name, bases, space):
        return super().__new__(mcls, name, bases, {**space, "__setstate__": Runs.__setstate__})

class Merged(metaclass=Merging):
    pass
""",
    """
class BoundLate:
    def __init__(self, command):
        self.run = os.system
        self.run(command)
""",
    """
@functools.lru_cache
def cached(command):
    return os.system(command)

class Cached:
    def __setstate__(self, state):
        cached(state)
""",
    """
import enum

class Missing(enum.Enum):
    A = 1
    @classmethod
    def _missing_(cls, value):
        os.system(value)
""",
)

GOOD = """
import enum
import collections
from dataclasses import dataclass, field

from sklearn.base import BaseEstimator, ClassifierMixin

Pair = collections.namedtuple("Pair", "a b")

class Plain:
    def __init__(self, x):
        self.x = x

class Kept(Plain):
    def __setstate__(self, state):
        state.pop("old", None)
        self.__dict__.update(state)

class Estimator(ClassifierMixin, BaseEstimator):
    def __init__(self, c=1.0):
        self.c = c
    def fit(self, X, y):
        self.classes_ = sorted(set(y))
        return self
    def save(self, path):
        with open(path, "w") as f:
            f.write("x")

@dataclass
class Row:
    a: int
    b: list = field(default_factory=list)

class Colour(enum.Enum):
    RED = 1

class Bag(dict):
    pass

class Stack(list):
    def append(self, item):
        super().append(item)

class TrainingFailed(ValueError):
    pass

class Outer:
    class Inner:
        pass

class Versioned:
    def __reduce__(self):
        return _rebuild, (self.x,)

def _rebuild(x):
    made = Plain(x)
    return made

def score(a, b):
    return a - b

def store(path):
    open(path, "w").close()
"""

MARK = "import pathlib; pathlib.Path({marker!r}).touch()\n"


def write_package(folder: Path, name: str, files: Mapping[str, str | bytes], version: str = "1.0") -> Path:
    """Writes a package as an installer leaves it: its files, METADATA and RECORD. Returns `folder`."""
    rows = []
    for path, text in files.items():
        content = text.encode() if isinstance(text, str) else text
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        rows.append(f"{path},sha256={digest},{len(content)}")
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "RECORD").write_text("\n".join([*rows, f"{info.name}/METADATA,,", f"{info.name}/RECORD,,"]) + "\n")
    return folder


def write_wheel(folder: Path, target: Path) -> Path:
    """The files in `folder` as a wheel."""
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder).as_posix())
    return target


def trap(text: str) -> dict[str, str]:
    """The files of a package `traps` with one trap in the module `traps.trap`."""
    start = "from traps.base import *\nfrom traps.base import run, runners, sh, operating, os, subprocess, sys, functools, pickle, shutil\n"
    stars = "from subprocess import Popen as Starred\n"
    return {"traps/__init__.py": "", "traps/base.py": BASE, "traps/stars.py": stars, "traps/trap.py": start + text}
