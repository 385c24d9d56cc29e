"""Recognises secrets that stand in code or configuration as plain text, by the name of the variable or the shape of the value."""

from __future__ import annotations

import re

_SPLIT = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])")
_LAST_WORDS = frozenset({"password", "passwd", "passphrase", "pwd", "secret", "token", "credential", "credentials", "apikey", "pat"})
_LAST_PAIRS = frozenset(
    {
        ("api", "key"), ("access", "key"), ("secret", "key"), ("private", "key"), ("signing", "key"), ("encryption", "key"),
        ("account", "key"), ("storage", "key"), ("master", "key"), ("license", "key"), ("auth", "key"), ("service", "key"),
    }
)  # fmt: skip
_SHAPES = re.compile(
    r"(?<![A-Za-z0-9])(?:AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{22}|glpat-[A-Za-z0-9_-]{20}|hf_[A-Za-z0-9]{30}"
    r"|sk-[A-Za-z0-9_-]{32}|xox[abprs]-[A-Za-z0-9-]{10}|AIza[0-9A-Za-z_-]{35})|-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----"
)
_WITH_PASSWORD = re.compile(r"[a-z][a-z0-9+.-]{0,30}://[^\s:/@$]{1,200}:([^\s:/@]{1,200})@")
_NO_SECRET = re.compile(
    r"(?i:true|false|yes|no|none|null|on|off|-?\d{1,4}(?:\.\d+)?|<.*>|\{\{.*\}\}|\*+|x{3,}|\.\.\.|your[-_ ].*|replace[-_ ]?(?:me|with).*)"
)


def secret_name(name: str) -> bool:
    """Does a variable of this name hold a secret? Its last words decide: `DB_PASSWORD` does, `PASSWORD_FILE` and `MAX_TOKENS` do not."""
    words = [word.lower() for word in _SPLIT.split(name[:200]) if word]
    return bool(words) and (words[-1] in _LAST_WORDS or tuple(words[-2:]) in _LAST_PAIRS)


def literal(value: str, name: str = "") -> bool:
    """Is `value` written out? Not when it is empty, a switch, a small number, a reference, a path or a placeholder such as the `name`."""
    text = value.strip().strip("\"'")
    if not text or text.startswith(("$", "/", "./", "secret:", "vault:", "arn:")) or ("_" in name and name.lower() in text.lower()):
        return False
    return not _NO_SECRET.fullmatch(text[:200])


def secret_value(value: str) -> bool:
    """Does `value` hold a key of a well-known shape, a private key, or an address with a password in it?"""
    if _SHAPES.search(value):
        return True
    return any(literal(found[1]) for found in _WITH_PASSWORD.finditer(value))
