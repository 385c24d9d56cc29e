"""What makes an image weak, read from its Dockerfile: the user, the bases, secrets, what is fetched and how."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bartizan.areas.deployment import images, shell
from bartizan.areas.deployment.instructions import Instruction, instructions
from bartizan.areas.deployment.stages import Stage, arguments, environment, external, reached, stages
from bartizan.areas.deployment.weakness import Weakness
from bartizan.methods import secret_shapes
from bartizan.model.errors import Place, one_line
from bartizan.model.findings import Severity

_USER_REMEDY = "End the last stage with a numbered user (USER 10001:10001) that owns only what it must write."
_SECRET_REMEDY = "Take the secret out, replace it wherever it was valid, and mount it at build or run time (RUN --mount=type=secret)."  # noqa: S105
_SECRET_FILES = re.compile(
    r"(?:.*/)?(?:\.env(?:\.(?!example|sample|template|dist)\w+)?|id_(?:rsa|dsa|ecdsa|ed25519)|\.pypirc|\.netrc|.+\.p12|.+\.pfx)"
)
_TOOLS = frozenset({"pip", "setuptools", "wheel", "uv"})


def weaknesses(text: str, name: str) -> list[Weakness]:
    """The weaknesses of the image that the Dockerfile `text`, called `name`, builds by default: its last stage and what that is made of.

    Raises `InputError` where it cannot be read as a Dockerfile.
    """
    every = stages(instructions(text, name), name)
    used = reached(every)
    final = every[-1]
    shipped = {id(stage) for stage in final.lineage()}
    found = list(_user(final, name))
    for stage in used:
        found += _base(stage, every, name)
        for instruction in stage.instructions:
            found += _instruction(instruction, name, id(stage) in shipped)
    return found


def _user(final: Stage, name: str) -> Iterator[Weakness]:
    """The user that the container runs as: the last USER of the final stage or of the stages it is built from."""
    declared = next((stage.user for stage in final.lineage() if stage.user is not None), None)
    root = list(final.lineage())[-1]
    if declared is None:
        place = Place(name, final.origin.line)
        if root.base == "scratch":
            yield Weakness("root-user", "no USER is set on an empty base: the container runs as root", Severity.HIGH, place, _USER_REMEDY)
        elif root.base is None or not images.parse(root.base).nonroot:
            what = "no USER is set: the base image decides, and most run as root"
            yield Weakness("no-user", what, Severity.MEDIUM, place, _USER_REMEDY)
        return
    value, instruction = declared
    place = Place(name, instruction.line)
    user = value.partition(":")[0].strip() if value is not None else None
    if user is None:
        what = f"USER {one_line(instruction.text, 60)} is decided at build time"
        yield Weakness("variable-user", what, Severity.MEDIUM, place, _USER_REMEDY)
    elif user in ("", "root") or (user.isdecimal() and int(user[:20]) == 0):
        yield Weakness(
            "root-user", f"the container runs as root (USER {one_line(instruction.text, 60)})", Severity.HIGH, place, _USER_REMEDY
        )
    elif not user.isdecimal():
        what = f"USER {one_line(user, 40)} is a name, which an orchestrator cannot tell from root"
        yield Weakness("named-user", what, Severity.LOW, place, _USER_REMEDY)


def _base(stage: Stage, every: list[Stage], name: str) -> Iterator[Weakness]:
    taken = [] if stage.parent is not None or stage.base == "scratch" else [(stage.base, stage.origin)]
    for reference, instruction in (*taken, *external(stage, every)):
        place = Place(name, instruction.line)
        if not reference or "$" in reference:
            what = f"the image {one_line(reference or instruction.text.split()[0], 80)} is decided at build time"
            yield Weakness("variable-base", what, Severity.MEDIUM, place, images.REMEDY)
        elif (bad := images.loose(reference)) is not None:
            yield Weakness("unpinned-base", bad[0], bad[1], place, images.REMEDY)


def _instruction(instruction: Instruction, name: str, shipped: bool) -> Iterator[Weakness]:
    place = Place(name, instruction.line)
    word, text = instruction.word, instruction.text
    if word in ("ENV", "ARG"):
        yield from _variables(instruction, place, shipped)
    elif word in ("ADD", "COPY"):
        yield from _files(instruction, place)
    elif word == "RUN":
        yield from _run(instruction, name)
    bodies = [body for _, body in instruction.heredocs]
    if word not in ("ENV", "ARG") and any(secret_shapes.secret_value(part) for part in (text, *bodies)):
        yield Weakness("secret", f"a secret stands in {word} as plain text", Severity.HIGH, place, _SECRET_REMEDY)


def _variables(instruction: Instruction, place: Place, shipped: bool) -> Iterator[Weakness]:
    declared = arguments(instruction.text) if instruction.word == "ARG" else environment(instruction.text)
    for key, value in declared:
        shown = one_line(key, 60)
        if value is not None and (
            secret_shapes.secret_value(value) or (secret_shapes.secret_name(key) and secret_shapes.literal(value, key))
        ):
            what = f"{instruction.word} {shown} holds a secret as plain text"
            yield Weakness("secret", what, Severity.HIGH, place, _SECRET_REMEDY)
        elif secret_shapes.secret_name(key) and (instruction.word == "ARG" or (value or "").startswith("$")):
            what = f"{instruction.word} {shown} takes a secret at build time, which stays in the history of the image"
            yield Weakness("secret-argument", what, Severity.MEDIUM if shipped else Severity.LOW, place, _SECRET_REMEDY)


def _files(instruction: Instruction, place: Place) -> Iterator[Weakness]:
    words = [word.strip("[]\"',") for word in instruction.text.split()]
    for source in words[:-1]:
        shown = one_line(source, 80)
        remote = instruction.word == "ADD" and re.match(r"(?:https?|ftp)://|git@|git://|ssh://", source)
        commit = re.search(r"#[0-9a-f]{40}(?:$|:)", source)
        if remote and not instruction.flag("checksum") and not commit:
            remedy = "Give the expected digest (ADD --checksum=sha256:...), or fetch and verify in one RUN."
            yield Weakness("remote-add", f"ADD takes {shown} from the network unverified", Severity.MEDIUM, place, remedy)
        if instruction.flag("from") is None and _SECRET_FILES.fullmatch(source):
            yield Weakness("secret-file", f"{instruction.word} brings {shown} into the image", Severity.HIGH, place, _SECRET_REMEDY)
    if shell.world_writable(instruction.flag("chmod") or ""):
        what = f"{instruction.word} --chmod lets everybody write"
        yield Weakness("open-mode", what, Severity.MEDIUM, place, "Give write access to one user alone, or to none.")


def _run(instruction: Instruction, name: str) -> Iterator[Weakness]:
    place = Place(name, instruction.line)
    if instruction.flag("security") == "insecure":
        yield Weakness("insecure-build", "RUN asks for a privileged build", Severity.MEDIUM, place, "Build without --security=insecure.")
    scripts = [(place, instruction.text)]
    if _runs_heredoc(instruction.text):
        for line, body in instruction.heredocs:
            scripts += [(Place(name, at), row) for at, row in _rows(line, body)]
    for at, script in scripts:
        yield from _script(script, at)


def _runs_heredoc(text: str) -> bool:
    """Is the heredoc of a RUN executed? It is when nothing stands before it, or a shell."""
    return bool(re.match(r"(?:(?:/\S*/)?(?:ba|da|a|z)?sh\s+(?:-\w+\s+)*)?\d*<<", text))


def _rows(line: int, body: str) -> Iterator[tuple[int, str]]:
    """The lines of a script with their numbers, continued lines joined, comments left out."""
    held, start = "", line
    for number, row in enumerate(body.split("\n"), start=line):
        if row.lstrip().startswith("#") and not held:
            continue
        start = start if held else number
        held += row
        if held.endswith("\\"):
            held = held[:-1] + " "
            continue
        if held.strip():
            yield start, held
        held = ""
    if held.strip():
        yield start, held


def _script(text: str, place: Place) -> Iterator[Weakness]:
    found = shell.commands(text)
    if shell.runs_download(found) or shell.runs_substituted_download(text):
        what = "what is fetched from the network is run at once, unseen and unverified"
        remedy = "Fetch a fixed version, compare its SHA-256, then run it."
        yield Weakness("download-and-run", what, Severity.MEDIUM, place, remedy)
    for command in found:
        if (mode := shell.opens_files(command)) is not None:
            remedy = "Give write access to one user alone, or to none."
            yield Weakness("open-mode", f"chmod {one_line(mode, 20)} lets everybody write", Severity.MEDIUM, place, remedy)
        if (option := shell.unverified(command)) is not None:
            remedy = "Leave the check of signatures and certificates on; add the certificate of your own authority instead."
            yield Weakness("unverified-fetch", f"{option} gives up the check of who answers", Severity.MEDIUM, place, remedy)
        loose = shell.unpinned(command)
        if loose:
            severity = Severity.LOW if {p.partition("[")[0].lower() for p in loose} <= _TOOLS else Severity.MEDIUM
            shown = one_line(", ".join(loose[:6]), 120)
            remedy = "Install from a lock file with hashes (pip install --require-hashes -r requirements.txt)."
            yield Weakness("unpinned-package", f"pip installs {shown} in whatever version there is", severity, place, remedy)
