"""The report as one HTML file that needs nothing else: no request leaves it, a content-security policy forbids any.

The style sheet and the script stand in the page and are allowed by their SHA-256 alone. All text is escaped by Jinja2's autoescape; a name
that a template does not get is an error. Where a text marks code with backticks it is shown as code.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from bartizan.model.report import Report
from bartizan.model.system import Level
from bartizan.model.threats import Stride
from bartizan.renderers import summary, wording
from bartizan.renderers.escape import cut
from bartizan.renderers.html_rows import STRIDE_WORDS, rows_of
from bartizan.renderers.svg_flows import flow_picture

SUFFIX = ".html"
MEDIA_TYPE = "text/html"

DETAILED = 400
"""Risks, and threats, that the page shows with all their details; those ranked below stand in a table: a browser opens any system."""

_TEMPLATES = Path(__file__).parent / "templates"


def render(report: Report) -> str:
    """The whole page, ending in a newline."""
    return page(
        "report.html.j2",
        report=report,
        rows=rows_of(report),
        detailed=DETAILED,
        picture=flow_picture(report.system),
        headline=summary.headline(report),
        scope=summary.scope_line(report),
        levels=summary.levels_of(report),
        verdicts=summary.verdicts_of(report),
        statuses=summary.statuses_of(report),
        actions=summary.actions_of(report, limit=6),
    )


def page(template: str, **values: Any) -> str:
    """A page of one of the templates, ending in a newline, with the style, the script and the policy that all our pages have."""
    environment = _environment()
    style, script = (_source(environment.get_template(name).render()) for name in ("style.css.j2", "script.js.j2"))
    policy = f"default-src 'none'; style-src '{style}'; script-src '{script}'; img-src data:; base-uri 'none'; form-action 'none'"
    return environment.get_template(template).render(policy=policy, **values).rstrip("\n") + "\n"


def _source(text: str) -> str:
    """The hash source of a content-security policy (CSP level 3) that allows exactly this inline text."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
        auto_reload=False,
    )
    environment.filters |= {
        "name": name,
        "prose": prose,
        "percent": wording.percent,
        "number": wording.number,
        "short": lambda text, limit=2000: cut(str(text), limit),
    }
    environment.globals |= {
        "between": wording.between,
        "quantity": wording.quantity,
        "interval": wording.interval,
        "counted": wording.counted,
        "plural": wording.plural,
        "verdict_words": wording.VERDICT_WORDS,
        "status_words": wording.STATUS_WORDS,
        "support_words": wording.SUPPORT_WORDS,
        "level_bars": {level: level.rank + 1 for level in Level},
        "stride": [(letter, STRIDE_WORDS[letter]) for letter in Stride],
        "verify_command": summary.VERIFY_COMMAND,
    }
    return environment


def _shown(value: Any) -> Any:
    """What a template prints: hidden and reordering characters are made visible, markup of ours stays."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return wording.printable(value)


def name(text: str, limit: int = 120) -> Markup:
    """A name from outside; a long one is cut, with more of it in the tooltip."""
    shown = wording.printable(str(text)) or "(empty)"
    if len(shown) <= limit:
        return escape(shown)
    return Markup('<span class="cut" title="{}">{}</span>').format(cut(shown, 600), cut(shown, limit))


def prose(text: str, limit: int = 2000) -> Markup:
    """A sentence in which backticks mark code."""
    parts = cut(wording.printable(str(text)), limit).split("`")
    if len(parts) % 2 == 0:
        return escape("`".join(parts))
    return Markup("").join(Markup("<code>{}</code>").format(p) if i % 2 else escape(p) for i, p in enumerate(parts))
