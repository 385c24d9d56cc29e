"""Runs a Python program in which every pickle is judged before it is loaded.

No `sitecustomize` and no file of the environment is touched: the program starts inside a process that has put two walls up first.

1. Whoever loads a pickle through `pickle`, `_pickle`, torch, joblib or pandas gets a loader that reads the stream abstractly first and
   refuses what the policy does not find safe.
2. An audit hook (PEP 578, event `pickle.find_class`), which a program cannot take down again, refuses names that are known to be
   dangerous, whichever unpickler looks them up.

Child processes that the program starts by itself stand outside; so does what loads no pickle (Keras layers, code from a hub).
"""

from __future__ import annotations

import io
import pickle
import runpy
import shutil
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bartizan.areas.artefacts.pickles import Policy, inspect
from bartizan.areas.artefacts.safety import Safety, UseKind
from bartizan.model.errors import InputError


class RefusedLoad(pickle.UnpicklingError):
    """A pickle that the policy does not find safe was about to be loaded."""


def demand(data: bytes | memoryview, policy: Policy, name: str = "a pickle") -> None:
    """Raise `RefusedLoad` where the pickle at the beginning of `data` is not safe."""
    ruling = inspect(bytes(data), policy).ruling
    if ruling.verdict is not Safety.SAFE:
        first = ruling.reasons[0]
        at = f" (byte {first.offset})" if first.offset is not None else ""
        raise RefusedLoad(f"bartizan refused to load {name}: {first.text}{at}; {ruling.verdict.value}")


def install(policy: Policy) -> None:
    """Put both walls up in this process, for good."""
    import _pickle

    inner: Any = _pickle.Unpickler
    talking = _let_processes_talk()

    class Unpickler(inner):  # type: ignore[misc]
        """An unpickler that judges what lies ahead before it loads it."""

        def __init__(self, file: Any, **options: Any) -> None:
            self._ahead = file
            super().__init__(file, **options)

        def load(self) -> Any:
            """As `pickle.Unpickler.load`."""
            _look_ahead(self._ahead, policy)
            return super().load()

    def load(file: Any, **options: Any) -> Any:
        return Unpickler(file, **options).load()

    def loads(data: Any, /, **options: Any) -> Any:
        demand(data, policy)
        return inner(io.BytesIO(data), **options).load()

    slow: Any = pickle._Unpickler
    load_slowly = slow.load

    def load_judged(self: Any) -> Any:
        _look_ahead(getattr(self, "file_handle", None) or _behind(self), policy)
        return load_slowly(self)

    slow.load = load_judged
    slow.__init__ = _remembering(slow.__init__)
    for module in (pickle, _pickle):
        module.Unpickler, module.load, module.loads = Unpickler, load, loads  # type: ignore[attr-defined]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "pickle.find_class" and len(arguments) == 2 and not getattr(talking, "now", False):
            module, name = map(str, arguments)
            why = policy.denial(module, name, UseKind.REFERENCE)
            if why is not None:
                raise RefusedLoad(f"bartizan refused to look up {module}.{name} in a pickle, which {why}")

    sys.addaudithook(hook)


def _let_processes_talk() -> threading.local:
    """Messages between the processes of one program are pickles of its own classes and functions: they are let through.

    Returns where it is noted, by thread, that such a message is being read.
    """
    from multiprocessing.reduction import ForkingPickler

    talking, loads = threading.local(), ForkingPickler.loads

    def heard(data: Any) -> Any:
        talking.now = True
        try:
            return loads(data)
        finally:
            talking.now = False

    ForkingPickler.loads = staticmethod(heard)  # type: ignore[assignment]
    return talking


def _remembering(initialise: Any) -> Any:
    def remember(self: Any, file: Any, *rest: Any, **options: Any) -> None:
        self._bartizan_file = file
        initialise(self, file, *rest, **options)

    return remember


def _behind(unpickler: Any) -> Any:
    return getattr(unpickler, "_bartizan_file", None)


def _look_ahead(file: Any, policy: Policy) -> None:
    """Judge what a loader is about to read, and put the file back to where it was. A stream that cannot be put back is refused."""
    try:
        at = file.tell()
        data = file.read()
        file.seek(at)
    except (AttributeError, OSError, ValueError) as error:
        raise RefusedLoad(f"bartizan refused to load a pickle from a stream that cannot be read ahead: {error}") from None
    demand(data, policy, str(getattr(file, "name", "a pickle")))


def main(arguments: Sequence[str]) -> None:
    """`python -m ...guarding POLICIES -- ARGUMENTS OF PYTHON`: put the walls up, then be the Python that was asked for."""
    place = list(arguments).index("--")
    policies, rest = [Path(name) for name in arguments[:place]], list(arguments[place + 1 :])
    policy = Policy.shipped().with_(policies) if policies else Policy.shipped()
    inspect(b"N.", policy)  # everything that judging imports is imported before the walls stand
    install(policy)
    _be_python(rest)


def _be_python(rest: list[str]) -> None:
    if rest[:1] == ["-m"] and len(rest) > 1:
        sys.argv = rest[1:]
        sys.path.insert(0, "")
        runpy.run_module(rest[1], run_name="__main__", alter_sys=True)
    elif rest[:1] == ["-c"] and len(rest) > 1:
        sys.argv = ["-c", *rest[2:]]
        sys.path.insert(0, "")
        exec(compile(rest[1], "<string>", "exec"), {"__name__": "__main__", "__builtins__": __builtins__})  # noqa: S102  (the user's own code)
    elif rest and not rest[0].startswith("-"):
        sys.argv = rest
        sys.path.insert(0, str(Path(rest[0]).resolve().parent))
        runpy.run_path(rest[0], run_name="__main__")
    else:
        raise SystemExit("bartizan: the guard runs a script, -m MODULE or -c CODE")


def guarded_command(command: Sequence[str], policies: Sequence[Path] = ()) -> list[str]:
    """The command that runs `command` behind the walls. `command` is `python ...`, a script, or a tool that is a Python script.

    Raises `InputError` for what is no Python program, which no guard of ours could stand in.
    """
    if not command:
        raise InputError("no command was given", cure="for example: bartizan run --guard-loads -- python train.py")
    program = command[0]
    name = Path(program).name
    if name.startswith("python"):
        interpreter = shutil.which(program)
        rest = list(command[1:])
    elif program.endswith(".py"):
        if not Path(program).is_file():
            raise InputError("there is no such script", place=program, cure="name a Python file that is there")
        interpreter, rest = sys.executable, list(command)
    else:
        found = shutil.which(program)
        interpreter = _interpreter(found) if found is not None else None
        rest = [found or program, *command[1:]]
    if interpreter is None:
        raise InputError(f"'{program}' is no Python program that can be found", cure="name a script, or `python -m MODULE`")
    return [interpreter, "-m", __name__, *(str(path.resolve()) for path in policies), "--", *rest]


def _interpreter(script: str) -> str | None:
    """The Python in the first line of a console script."""
    with open(script, "rb") as file:
        line = file.readline(1024)
    if not line.startswith(b"#!") or b"python" not in line:
        return None
    return line[2:].strip().decode("utf-8", "replace").split(" ")[-1]


if __name__ == "__main__":
    main(sys.argv[1:])
