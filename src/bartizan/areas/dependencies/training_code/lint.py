"""Remarks on the training code below a path: Python, notebooks with their outputs, shell scripts, YAML and JSON configuration."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from bartizan.adapters.files import files_below, read_text, shown
from bartizan.areas.dependencies.training_code import loading_rules, running_rules
from bartizan.areas.dependencies.training_code.remarks import Remark, Rule
from bartizan.methods import secret_shapes
from bartizan.methods.python_source import Source, UnreadableError, parsed, text_of
from bartizan.model.errors import InputError, Place
from bartizan.model.findings import Severity

MAX_SOURCES = 20_000

LONGEST_OUTPUT = 200
"""Lines that a cell may print before its output counts as data."""

RULES: tuple[Rule, ...] = (
    *loading_rules.RULES,
    *running_rules.RULES,
    Rule(
        "notebook-output", "A notebook keeps data in its outputs",
        "Clear the outputs before the notebook leaves the desk: jupyter nbconvert --clear-output --inplace NOTEBOOK.", Severity.MEDIUM,
        lambda _: iter(()),
    ),
)  # fmt: skip
"""Every rule; `notebook-output` looks at what is no code."""

_ALLOW = re.compile(r"(?:#|//)\s*bartizan:\s*allow\s+([a-z-]+)\s+because\s+(\S.*)")
_SETTINGS = (
    (re.compile(r"""["']?trust_remote_code["']?\s*[:=]\s*["']?(?i:true|yes)\b"""), "remote-code", "a publisher's code is run"),
    (re.compile(r"""["']?weights_only["']?\s*[:=]\s*["']?(?i:false|no)\b"""), "unsafe-load", "files may bring code along"),
    (re.compile(r"""["']?(?:verify_ssl|ssl_verify|tls_verify|verify_certs)["']?\s*[:=]\s*["']?(?i:false|no)\b"""), "tls-off",
     "no certificate is checked"),
    (re.compile(r"""["']?insecure_skip_verify["']?\s*[:=]\s*["']?(?i:true)\b"""), "tls-off", "no certificate is checked"),
    (re.compile(r"""["'](?:Action|NotAction)["']\s*:\s*\[?\s*["'](?:\*|s3:\*|iam:\*|sagemaker:\*)["']"""), "broad-credentials",
     "everything is allowed"),
    (re.compile(r"""roles/(?:owner|editor)\b|AdministratorAccess|PowerUserAccess"""), "broad-credentials", "everything is allowed"),
)  # fmt: skip
_PAIR = re.compile(r"""^\s*(?:-\s*|export\s+)?["']?([A-Za-z_][\w.-]{0,80})["']?\s*[:=]\s*["']?([^"'\s#,]{8,300})""")
_SHELL_SUFFIXES = frozenset({".sh", ".bash", ".zsh"})
_SETTING_SUFFIXES = frozenset({".yaml", ".yml", ".json", ".toml", ".ini", ".cfg", ".env"})
_TABLE = re.compile(r"<table[^>]*class=[\"'][^\"']*dataframe|<th></th>")


def lint(path: Path, *, root: str | Path | None = None, rules: Iterable[str] | None = None) -> tuple[list[Remark], list[str]]:
    """The remarks on what lies at `path`, in order of files and lines, and the files that cannot be read as what they are called.

    `rules` keeps the named rules. Remarks that the code allows with a reason are among them, with `allowed` set. Raises `InputError` for a
    path that holds nothing to look at.
    """
    base = root if root is not None else (path if path.is_dir() else path.parent)
    wanted = {rule.id for rule in RULES} if rules is None else set(rules)
    remarks: list[Remark] = []
    unread: list[str] = []
    looked = 0
    for file in files_below(base, path):
        if not _is_code(file):
            continue
        looked += 1
        if looked > MAX_SOURCES:
            raise InputError(f"holds more than {MAX_SOURCES} sources", place=shown(base, path), cure="name a narrower folder")
        name = shown(base, file)
        try:
            text = read_text(base, file)
            remarks += _allowed(remarks_of(name, text), text)
        except (UnreadableError, InputError):
            unread.append(name)
    if not looked:
        raise InputError("holds no code", place=shown(base, path), cure="name Python files, notebooks, scripts or their folder")
    return sorted((r for r in remarks if r.rule in wanted), key=lambda r: (r.place.file, r.place.line, r.rule)), unread


def _is_code(file: Path) -> bool:
    return file.suffix in {".py", ".ipynb", *_SHELL_SUFFIXES, *_SETTING_SUFFIXES} or file.name == ".env"


def remarks_of(name: str, text: str) -> list[Remark]:
    """The remarks on one file. Raises `UnreadableError`."""
    if name.endswith((".py", ".ipynb")):
        source = parsed(name, text)
        found = [(rule, line, said) for rule in RULES for line, said in rule.find(source)]
        extra = _of_outputs(source) if name.endswith(".ipynb") else iter(())
    else:
        found, extra = [], _of_lines(name, text)
    by_id = {rule.id: rule for rule in RULES}
    found += [(by_id[id], line, said) for id, line, said in extra]
    made = (Remark(rule.id, Place(name, line), said, rule.fix, rule.severity) for rule, line, said in found)
    return list(dict.fromkeys(made))


def _of_lines(name: str, text: str) -> Iterator[tuple[str, int, str]]:
    """Shell commands and settings, line by line."""
    patterns = running_rules.SHELL if Path(name).suffix in _SHELL_SUFFIXES else _SETTINGS
    for number, line in enumerate(text.split("\n"), start=1):
        if len(line) > 10_000 or line.lstrip().startswith("#"):
            continue
        for pattern, id, why in patterns:
            if pattern.search(line):
                yield ("shell-load" if id == "unsafe-load" and patterns is running_rules.SHELL else id), number, why
        pair = _PAIR.match(line)
        named = (
            pair is not None
            and secret_shapes.secret_name(pair[1])
            and secret_shapes.literal(pair[2], pair[1])
            and not pair[2].startswith("{")
        )
        if named or secret_shapes.secret_value(line):
            yield "secret", number, "a secret is written out; whoever reads the file has it"


def _of_outputs(source: Source) -> Iterator[tuple[str, int, str]]:
    """Tables, long listings and secrets that the cells of a notebook printed."""
    lines, place = source.text.split("\n"), 1
    for number, cell in enumerate(source.cells, start=1):
        place = _line_of_cell(source, lines, cell, place)
        for output in cell.get("outputs") or ():
            if not isinstance(output, dict):
                continue
            data = output["data"] if isinstance(output.get("data"), dict) else {}
            html, plain = text_of(data.get("text/html")), text_of(data.get("text/plain")) + text_of(output.get("text"))
            if secret_shapes.secret_value(plain) or secret_shapes.secret_value(html):
                yield "secret", place, f"the output of cell {number} shows a key"
            if _TABLE.search(html) or plain.count("\n") > LONGEST_OUTPUT:
                yield "notebook-output", place, f"the output of cell {number} holds rows of data"


def _line_of_cell(source: Source, lines: list[str], cell: dict[str, object], before: int) -> int:
    first = text_of(cell.get("source")).split("\n")[0]
    for number, line in enumerate(lines, start=1):
        if source.lines.get(number, 0) >= before and line.removeprefix("pass  # ") == first:
            return source.lines[number]
    return before


def _allowed(remarks: list[Remark], text: str) -> list[Remark]:
    """The remarks, with the reason where their line allows them."""
    lines = text.split("\n")
    found = []
    for remark in remarks:
        line = lines[remark.place.line - 1] if 0 < remark.place.line <= len(lines) else ""
        allow = _ALLOW.search(line)
        found.append(replace(remark, allowed=allow[2].strip()[:300]) if allow and allow[1] == remark.rule else remark)
    return found
