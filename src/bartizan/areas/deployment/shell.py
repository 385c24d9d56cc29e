"""Reads the shell commands of a RUN instruction well enough to recognise dangerous ones. Not a shell: linear in time, never an error."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"[^\S\n]*+(?:(?P<end>\|\|?|&&|[;&\n()])|(?P<word>(?:[^\s;&|()'\"\\]++|\\.|'[^']*+'|\"(?:[^\"\\]|\\.)*+\"|['\"\\])++))", re.DOTALL
)
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ash", "ksh", "python", "python3", "perl", "ruby", "node"})
_FETCHERS = frozenset({"curl", "wget", "aria2c", "fetch"})
_PREFIXES = frozenset({"sudo", "env", "exec", "time", "nice", "command", "doas", "then", "do", "else", "if", "!"})
_INNER = re.compile(r"(?:\$\(|`|<\()\s*(?:curl|wget)\b")
_OPEN_MODE = re.compile(r"0?[0-7]{2}[2367]|(?:[ugo]*a[ugo]*|[ugoa]*o[ugoa]*)?[+=][rxX]*w[rwxX]*")
_OPTIONS_WITH_VALUE = frozenset(
    {
        "-r", "--requirement", "-c", "--constraint", "-i", "--index-url", "--extra-index-url", "-f", "--find-links", "-t", "--target",
        "--prefix", "--root", "--trusted-host", "--no-binary", "--only-binary", "--platform", "--python-version", "--timeout", "--retries",
        "--cache-dir", "--python", "--index", "--default-index", "--progress-bar", "--proxy", "--src", "-C", "--config-settings",
        "--upgrade-strategy", "--root-user-action", "--group", "--extra", "-p", "--implementation", "--abi", "--cert", "--client-cert",
        "--log", "--report", "--build-option", "--global-option", "--link-mode", "--index-strategy", "--keyring-provider",
    }
)  # fmt: skip
_EDITABLE = ("-e", "--editable")
_COMMIT = re.compile(r"@[0-9a-f]{40}(?![0-9a-f])")
_HASHED = re.compile(r"#(?:.*&)?sha256=[0-9a-f]{64}")
_PROJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:\[[^\]]*\])?")


@dataclass(frozen=True)
class Command:
    """The words of one command without quotes; `piped` says that it reads the output of the one before."""

    words: tuple[str, ...]
    piped: bool

    @property
    def program(self) -> str:
        return next(iter(self.bare), "")

    @property
    def bare(self) -> tuple[str, ...]:
        """The words from the program on: without variables set before it and without `sudo` and its like."""
        at, before = 0, False
        while at < len(self.words):
            word = self.words[at]
            if word in _PREFIXES or re.match(r"[A-Za-z_]\w*=", word):
                before = True
            elif not (before and word.startswith("-")):
                break
            at += 1
        rest = self.words[at:]
        return (rest[0].rpartition("/")[2], *rest[1:]) if rest else ()


def commands(text: str) -> list[Command]:
    """The commands of a shell script or of the JSON form of RUN, in order."""
    if text.startswith("["):
        try:
            words = json.loads(text)
        except (ValueError, RecursionError):
            words = None
        if isinstance(words, list) and words and all(isinstance(word, str) for word in words):
            if len(words) > 2 and words[0].rpartition("/")[2] in _SHELLS and words[1] in ("-c", "-lc", "-ec", "-exc"):
                return commands(" " + words[2])
            return [Command(tuple(words), False)]
    return list(_split(text))


def _split(text: str) -> Iterator[Command]:
    words: list[str] = []
    piped, at = False, 0
    while (match := _TOKEN.match(text, at)) is not None and match.end() > at:
        at = match.end()
        if match["word"] is not None:
            words.append(re.sub(r"[\"']|\\(?=.)", "", match["word"]))
            continue
        if words:
            yield Command(tuple(words), piped)
        piped, words = match["end"] == "|", []
    if words:
        yield Command(tuple(words), piped)


def runs_download(found: list[Command]) -> bool:
    """Is something fetched from the network given straight to an interpreter, at once or through other commands?"""
    fetched = False
    for command in found:
        fetched = command.program in _FETCHERS or (fetched and command.piped)
        if fetched and command.piped and _runs_input(command):
            return True
    return False


def _runs_input(command: Command) -> bool:
    """Does the command run what it reads? An interpreter does unless it is given a program by name or in its arguments."""
    if command.program not in _SHELLS:
        return False
    for word in command.bare[1:]:
        if word in ("-", "-s", "--"):
            return True
        if word in ("-c", "-m", "-e", "-p") and not (word in ("-e", "-p") and command.program.endswith("sh")):
            return False
        if not word.startswith("-"):
            return word.startswith((">", "2>", "/dev/stdin"))
    return True


def runs_substituted_download(text: str) -> bool:
    """The other spellings: `sh -c "$(curl ...)"`, `bash <(curl ...)`, `eval`, `source`."""
    return bool(_INNER.search(text)) and bool(re.search(r"\b(?:(?:ba|z|da|a|k)?sh\s+(?:-\w+\s+)?[\"'<$`]|eval\s|source\s+<)", text))


def opens_files(command: Command) -> str | None:
    """The mode of a chmod that lets everybody write, or None."""
    words = command.bare
    if command.program != "chmod":
        return None
    mode = next((word for word in words[1:] if not re.fullmatch(r"-[A-Za-z]*R?[A-Za-z]*|--[a-z-]+", word)), "")
    return mode if any(_OPEN_MODE.fullmatch(part) for part in mode.split(",")[:10]) else None


def world_writable(mode: str) -> bool:
    """Does the mode of `COPY --chmod` let everybody write?"""
    return any(_OPEN_MODE.fullmatch(part) for part in mode.split(",")[:10])


def unverified(command: Command) -> str | None:
    """The option by which a fetch gives up the check of who answers, or None."""
    words, options = command.bare, set(command.words)
    if command.program == "curl" and any(re.fullmatch(r"-[A-Za-z]*k[A-Za-z]*|--insecure", word) for word in words[1:]):
        return "curl -k"
    for option in ("--no-check-certificate", "--allow-unauthenticated", "--force-yes", "--allow-untrusted"):
        if option in options:
            return option
    if installs_with_pip(words) and any(word.startswith("--trusted-host") for word in words):
        return "--trusted-host"
    return None


def installs_with_pip(words: tuple[str, ...]) -> int:
    """Where the arguments of `pip install` begin in `words`, or 0 where they are no such call."""
    for at in range(min(len(words), 6)):
        if words[at] == "install" and at and re.fullmatch(r"(?:.*/)?pip[0-9.]*", words[at - 1]):
            return at + 1
    return 0


def unpinned(command: Command) -> list[str]:
    """The packages that a `pip install` takes in whatever version there is; files, folders and constrained installs are not judged."""
    words = command.bare
    start = installs_with_pip(words)
    options = set(words[start:]) if start else set()
    if not start or options & {"--require-hashes", "--no-index", "-c", "--constraint", "--constraints"}:
        return []
    found, at = [], start
    while at < len(words):
        word = words[at]
        at += 1
        if word in _EDITABLE and at < len(words):
            word, at = words[at], at + 1
        elif word.startswith("-"):
            at += word in _OPTIONS_WITH_VALUE
            continue
        if _floating(word):
            found.append(word)
    return found


def _floating(word: str) -> bool:
    target = word.partition(" @ ")[2] or word
    if target.startswith(("git+", "hg+", "svn+")):
        return not _COMMIT.search(target)
    if "://" in target:
        return not _HASHED.search(target) and not target.startswith("file:")
    if "==" in word or word.startswith((".", "/", "$", ">", "<", "2>", "~")) or "/" in word or word.endswith((".whl", ".gz", ".zip")):
        return ".*" in word and "==" in word
    return bool(_PROJECT.match(word))
