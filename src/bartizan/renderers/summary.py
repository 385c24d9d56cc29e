"""The answer in short: how many risks remain at which level, what failed, what is unknown, what to do next."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping

import msgspec

from bartizan.model.findings import Finding, Verdict
from bartizan.model.report import Report
from bartizan.model.risks import Evidence, Risk, Status
from bartizan.model.system import SYSTEM_ID, Level, elements_of
from bartizan.renderers.wording import LEVELS, STATUS_WORDS, VERDICT_WORDS, VERDICTS, plural

VERIFY_COMMAND = "bartizan verify --key KEY.pem"
"""How a reader checks the evidence chain without trusting this report; KEY.pem is the public key, handed over by another road."""

_COMMAND = re.compile(r"`((?:bartizan|pip) [^`\n]+)`|(pip install '[^'\n]+')|\brun: ((?:bartizan|pip) [^`\n;]+)$")


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """A next step: what to do, the command to start with, the worst level it is about and the risks that wait for it."""

    text: str
    command: str
    level: Level
    risks: tuple[str, ...]


def ranked(risks: Iterable[Risk]) -> list[Risk]:
    """Risks with the worst first; within a level the open ones first, and of those the ones of certain threats."""
    order = {status: status is not Status.OPEN for status in Status}
    return sorted(risks, key=lambda r: (-r.residual.level.rank, order[r.status], not r.certain, -r.residual.mean, r.threat, r.asset, r.id))


def levels_of(report: Report) -> dict[Level, int]:
    """How many risks stand at each residual level, worst first, zeros included."""
    return {level: sum(r.residual.level is level for r in report.risks) for level in LEVELS}


def statuses_of(report: Report) -> dict[Status, int]:
    """How many risks have each status, zeros included."""
    return {status: sum(r.status is status for r in report.risks) for status in Status}


def verdicts_of(report: Report) -> dict[Verdict, int]:
    """How many findings have each verdict, most pressing first, zeros included."""
    return {verdict: sum(f.verdict is verdict for f in report.findings) for verdict in VERDICTS}


def headline(report: Report) -> str:
    """The answer in one sentence."""
    open_levels = {level: sum(r.residual.level is level and r.status is Status.OPEN for r in report.risks) for level in LEVELS}
    parts = [f"{count} {level}" for level, count in open_levels.items() if count]
    if not report.risks:
        return "No threat of the catalogue applies to what is declared."
    if not parts:
        return f"No open risk: all {len(report.risks)} are within tolerance or decided." if len(report.risks) > 1 else "No open risk."
    joined = parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
    return f"{joined} {'risk is' if sum(open_levels.values()) == 1 else 'risks are'} open."


def counts_line(report: Report) -> str:
    """Verdicts and statuses in one line: `3 checks failed, 2 unknown, 12 passed; 1 risk accepted`."""
    verdicts = ", ".join(f"{n} {VERDICT_WORDS[v]}" for v, n in verdicts_of(report).items() if n) or "none yet"
    decided = ", ".join(f"{n} {STATUS_WORDS[s]}" for s, n in statuses_of(report).items() if n)
    return f"Findings: {verdicts}. Risks: {decided or 'none'}."


def actions_of(report: Report, limit: int = 5) -> tuple[Action, ...]:
    """The next steps of the open risks: what can be done with a command before what nothing here can measure, worst first, and of one
    level what a check saw fail before what was not measured.

    Steps that several risks share are said once.
    """
    commands = _commands(report)
    failed = {(f.threat, f.asset) for f in report.findings if f.verdict is Verdict.FAIL}
    groups: dict[str, list[Risk]] = {}
    for risk in ranked(r for r in report.risks if r.status is Status.OPEN and r.next_step):
        groups.setdefault(risk.next_step, []).append(risk)
    steps = []
    for text, risks in groups.items():
        command = command_in(text) or commands.get(text) or next((c for r in risks if (c := commands.get((r.threat, r.asset)))), None)
        action = Action(
            text=text,
            command=command or f"bartizan explain {risks[0].id}",
            level=risks[0].residual.level,
            risks=tuple(r.id for r in risks),
        )
        proved = any((r.threat, r.asset) in failed for r in risks)
        steps.append((command is None, -action.level.rank, not proved, not risks[0].certain, action))
    return tuple(step[-1] for step in sorted(steps, key=lambda step: step[:-1])[:limit])


def _commands(report: Report) -> dict[object, str]:
    """The command that helps: for a threat and asset what measures it again or closes its gap, for an open question where it stands."""
    found: dict[object, str] = {
        (f.threat, f.asset): f"bartizan assess --only {shlex.quote(f.check)}" for f in reversed(pressing(report.findings))
    }
    found |= {(g.threat, g.asset): g.command for g in report.gaps if g.command.startswith(("bartizan ", "pip "))}
    return found | {q.text: "bartizan threats --questions" for q in report.model.questions}


def command_in(text: str) -> str | None:
    """The first command of ours or of pip that a sentence holds, in backticks, as `pip install '...'` or after `run:`; else None."""
    found = _COMMAND.search(text)
    return next(group for group in found.groups() if group) if found else None


def threat_title(report: Report, threat: str) -> str:
    """The title of a threat, or its id where the catalogue of this report does not hold it."""
    known = report.threats.get(threat)
    return known.title if known else threat


def titles_of(report: Report) -> Mapping[str, str]:
    """What to call each node: its title, or its id; the system by its name."""
    titles = {e.id: getattr(e, "title", None) or e.id for e in elements_of(report.system)}
    return {**titles, SYSTEM_ID: report.system.name}


def sources_of(report: Report) -> Mapping[tuple[str, str, str], Evidence]:
    """The newest record that holds a finding of this check, asset and threat."""
    return {(f.check, f.asset, f.threat): e for e in sorted(report.evidence, key=lambda e: e.seq) for f in e.findings}


def pressing(findings: Iterable[Finding]) -> list[Finding]:
    """Findings with what failed first, then what is inconclusive, unknown, passed; within that by severity and name."""
    order = {v: i for i, v in enumerate(VERDICTS)}
    return sorted(findings, key=lambda f: (order[f.verdict], -f.severity.rank, f.asset, f.check, f.threat, f.title))


def decision_line(risk: Risk) -> str:
    """Who decided what about a risk and until when; a void decision is said to be void; empty where none was made."""
    if risk.decision is not None:
        d = risk.decision
        return f"{d.action} by {d.by} until {d.until.isoformat()}: {d.why}"
    if risk.void_decision is not None:
        d = risk.void_decision
        return f"void: {d.action} by {d.by} was made on an earlier state of this risk"
    return ""


def scope_line(report: Report) -> str:
    """What the report covers: `12 threats apply, 3 hang on an open question; 9 records of evidence`."""
    model = report.model
    return (
        f"{plural(len(model.certain), 'threat applies', 'threats apply')}, {len(model.possible)} more hang on open questions; "
        f"{plural(report.chain.entries, 'record')} in the evidence chain."
    )
