"""Foreign text made harmless for the format it goes into: Markdown, Mermaid labels, spreadsheet cells.

Manifests, models and file names may hold anything. A function here is applied once, to the bare text, at the place where it is written.
"""

from __future__ import annotations

import re
import unicodedata

_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
_JOINERS = "\u200c\u200d"
_MARKDOWN = re.compile(r"[\\`*{}\[\]|~!$]|(?<![^\W_])_|_(?![^\W_])")
_LINE_START = re.compile(r"^(?:[#+\-=:]|\d+(?=[.)]))")
_MERMAID = {c: f"#{ord(c)};" for c in map(chr, range(33, 127)) if not c.isalnum() and c not in " .,-_/:+=?'~^"} | {
    '"': "#quot;",
    "<": "#lt;",
    ">": "#gt;",
    "&": "#amp;",
}


def cut(text: str, limit: int) -> str:
    """`text`, or its first `limit` - 1 characters and an ellipsis where it is longer than `limit` (at least 1)."""
    return text if len(text) <= limit else text[: max(limit - 1, 0)] + "…"


def visible(text: str, keep: str = "") -> str:
    """`text` with every control, surrogate and direction-changing character but those in `keep` replaced by U+FFFD.

    Right-to-left letters stay; marks and overrides that reorder what a reader sees (CVE-2021-42574) do not.
    """
    if text.isascii() and text.isprintable():
        return text
    hidden = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    return "".join("\ufffd" if unicodedata.category(c) in hidden and c not in keep and c not in _JOINERS else c for c in text)


def line(text: str) -> str:
    """`text` on one line: runs of white space become one space, hidden characters U+FFFD."""
    return visible(" ".join(text.split()))


def markdown(text: str) -> str:
    """`text` as literal inline Markdown (GFM) on one line: safe in a paragraph, a list item and a table cell; no HTML, no automatic link.

    Long text is not cut here: use `cut` first.
    """
    folded = line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    escaped = _MARKDOWN.sub(lambda m: "\\" + m.group(), folded)
    escaped = escaped.replace("://", "\\://").replace("www.", "www\\.")
    return _LINE_START.sub(lambda m: m.group() + "\\" if m.group()[0].isdigit() else "\\" + m.group(), escaped)


def mermaid(text: str, limit: int = 60) -> str:
    """`text`, cut to `limit` characters, for use between the double quotes of a Mermaid label, as entity codes where needed."""
    return "".join(_MERMAID.get(c, c) for c in cut(line(text), limit))


def csv_cell(value: object) -> str:
    """`value` as the content of a CSV cell that no spreadsheet takes for a formula; the writer of the file does the quoting.

    None is empty, truth values are lower case, numbers stay numbers. A text that starts with one of `= + - @`, tab or line end, also after
    white space or in full width, gets a leading apostrophe (OWASP, CSV injection).
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    text = visible(str(value), keep="\t\r\n")
    risky = text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA)
    return f"'{text}" if risky else text
