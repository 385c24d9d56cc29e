"""Recognises keys and tokens: known prefixes with their lengths and inner checks, private keys, passwords that are assigned in text."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from bartizan.areas.pii.hits import Hit
from bartizan.areas.pii.markers import KEY, NAMES
from bartizan.areas.pii.page import Page
from bartizan.methods.secret_shapes import literal

if TYPE_CHECKING:
    from numpy.typing import NDArray

_W = "A-Za-z0-9"
_SHAPES = (
    ("aws_access_key", rf"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{{16}}(?![{_W}])"),
    ("github_token", rf"gh[pousr]_[{_W}]{{36,255}}(?![{_W}])|github_pat_[{_W}]{{22}}_[{_W}]{{59}}(?![{_W}])"),
    ("gitlab_token", r"gl(?:pat|dt|rt|cbt|ptt|soat|ft|agent|imt)-[A-Za-z0-9_-]{20,50}(?![A-Za-z0-9_-])"),
    ("hugging_face_token", rf"(?:hf|api_org)_[A-Za-z]{{34}}(?![{_W}])|hf_[{_W}]{{34,40}}(?![{_W}])"),
    ("anthropic_key", r"sk-ant-[a-z0-9]{3,8}-[A-Za-z0-9_-]{80,120}"),
    (
        "openai_key",
        rf"sk-(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{{40,200}}|sk-[{_W}]{{20}}T3BlbkFJ[{_W}]{{20}}|sk-[{_W}]{{48}}(?![{_W}])",
    ),
    ("slack_token", r"xox[abeoprs]-(?:[0-9]{8,14}-){1,3}[A-Za-z0-9-]{16,64}|xapp-[0-9]-[A-Z0-9]{9,13}-[0-9]{10,15}-[a-f0-9]{60,70}"),
    ("google_key", r"AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])"),
    ("google_secret", r"GOCSPX-[A-Za-z0-9_-]{28}(?![A-Za-z0-9_-])"),
    ("stripe_key", rf"(?:sk|rk)_(?:live|test)_[{_W}]{{24,247}}(?![{_W}])|whsec_[{_W}]{{32}}(?![{_W}])"),
    ("twilio_key", r"(?:SK|AC)[0-9a-f]{32}(?![A-Za-z0-9])"),
    ("sendgrid_key", r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])"),
    ("npm_token", rf"npm_[{_W}]{{36}}(?![{_W}])"),
    ("pypi_token", r"pypi-AgEI[A-Za-z0-9_-]{50,300}"),
    ("digitalocean_token", r"do[opr]_v1_[a-f0-9]{64}(?![A-Za-z0-9])"),
    ("shopify_token", r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}(?![A-Za-z0-9])"),
    ("databricks_token", r"dapi[a-f0-9]{32}(?:-[0-9])?(?![A-Za-z0-9])"),
    ("telegram_token", r"[0-9]{8,10}:AA[A-Za-z0-9_-]{33}(?![A-Za-z0-9_-])"),
    ("age_key", r"AGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}"),
    ("vault_token", r"hvs\.[A-Za-z0-9_-]{24,200}"),
    ("json_web_token", r"eyJ[A-Za-z0-9_-]{8,2000}\.eyJ[A-Za-z0-9_-]{8,6000}\.[A-Za-z0-9_-]{16,1000}"),
)
_TOKEN = re.compile(r"(?<![A-Za-z0-9_])(?:" + "|".join(f"(?P<{name}>{shape})" for name, shape in _SHAPES) + ")")
_KEY_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?)-----([^-\0]{40,12000})-----END \1-----")
_ASSIGNED = re.compile(r"[A-Za-z_-]{0,24}[\"']?\s{0,3}(?:=|:|:=|=>)\s{0,3}([\"']?)([^\s\"'`,;<>(){}\[\]\0]{8,200})\1")
_TO_SIGN = 28  # the most places between a name and its sign
_REFERENCE = re.compile(r"[A-Za-z_]+(?:[._-]+[A-Za-z_]+)*")
_REACH = 32
_NOT_IN_TOKENS = re.compile(r"[^A-Za-z0-9_.:-]")


def token(page: Page, start: int, end: int) -> Hit | None:
    """The key of a known shape that holds the long token `[start, end)` and perhaps begins a little before it, or None."""
    flat = page.flat
    head = flat[max(0, start - _REACH) : start]
    begin = start
    for begin in range(start, max(0, start - len(head)), -1):
        if _NOT_IN_TOKENS.match(flat[begin - 1]):
            break
    found = (
        _TOKEN.search(flat, begin, min(len(flat), end + 9000)) if begin != start else _TOKEN.match(flat, begin, min(len(flat), end + 9000))
    )
    if found is None or found.start() >= end:
        return None
    kind, value = found.lastgroup or "", found[0]
    if not _varied(value[4:]):
        return None
    score, why = _judged(kind, value)
    return page.hit(f"secret.{kind}", found.start(), found.end(), score, why) if score else None


def _judged(kind: str, value: str) -> tuple[float, str]:
    if kind == "github_token" and value[:3] == "ghp" and len(value) == 40 and _crc62(value[4:34]) == value[34:]:
        return 0.99, "prefix, length and checksum"
    if kind == "json_web_token":
        return (0.95, "its head is JSON") if _json_head(value) else (0.0, "")
    return 0.9, "prefix and length"


def _crc62(text: str) -> str:
    """The CRC-32 of `text` in six characters of base 62."""
    number, out = zlib.crc32(text.encode()), ""
    for _ in range(6):
        number, rest = divmod(number, 62)
        out = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[rest] + out
    return out


def _json_head(value: str) -> bool:
    head = value.split(".", 1)[0]
    try:
        decoded = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (ValueError, binascii.Error):
        return False
    return isinstance(decoded, dict) and "alg" in decoded


def _varied(value: str) -> bool:
    """Not a placeholder: at least eight different characters in twelve or more, none of which makes up a third."""
    counts = Counter(value)
    return len(counts) >= min(8, len(value)) and counts.most_common(1)[0][1] * 3 <= len(value)


def entropy(value: str) -> float:
    """Shannon entropy of the characters of `value`, in bits a character."""
    n = len(value)
    return -sum(k / n * math.log2(k / n) for k in Counter(value).values())


def find(page: Page) -> Iterator[Hit]:
    """Private keys, and passwords and keys that a name is given in text (`password = ...`)."""
    for found in _KEY_BLOCK.finditer(page.flat) if KEY.keys() & page.marks.keys() else ():
        yield page.hit("secret.private_key", *found.span(), 0.99, "a private key in PEM")
    signs: NDArray[np.intp] | None = None
    for name in NAMES:
        if name in page.marks:
            if signs is None:
                signs = np.append(np.flatnonzero((page.codes == ord(":")) | (page.codes == ord("="))), np.iinfo(np.intp).max)
            behind = page.marks[name] + len(name)
            yield from _assigned(page, behind[signs[np.searchsorted(signs, behind)] <= behind + _TO_SIGN].tolist())


def _assigned(page: Page, behind: list[int]) -> Iterator[Hit]:
    """The literal values that are given to the names that end at `behind`."""
    done = 0
    for place in behind:
        if place < done:
            continue
        found = _ASSIGNED.match(page.flat, place, place + 272)
        if found is not None:
            done = found.end()
            yield from _literal(page, found)


def _literal(page: Page, found: re.Match[str]) -> Iterator[Hit]:
    value = found[2]
    if not found[1] and _REFERENCE.fullmatch(value):
        return
    mixed = any(c.isdigit() for c in value) + any(c.isalpha() for c in value) + any(not c.isalnum() for c in value)
    if (
        literal(value)
        and mixed >= 2
        and entropy(value) >= 2.5
        and "://" not in value
        and not value.endswith((".py", ".txt", ".json", "()"))
    ):
        yield page.hit("secret.assigned", *found.span(2), 0.65, "a literal value behind a name for secrets")
