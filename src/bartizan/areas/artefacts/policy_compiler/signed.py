"""Signs a compiled policy, and says of a policy file whether it is as it was signed and fits the packages that are installed.

The signature (Ed25519, RFC 8032) is over the RFC 8785 JSON of the whole document without the signature itself, so that comments and line
breaks of the file do not matter and every entry does. A policy written by hand has no signature and is taken as it is.
"""

from __future__ import annotations

import base64
import binascii
import sysconfig
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bartizan.areas.artefacts.pickles import Policy
from bartizan.areas.artefacts.policy_compiler.sources import Environment, normalised
from bartizan.model.errors import InputError, Refused

if TYPE_CHECKING:
    from bartizan.evidence.signing import PublicKey, Signer

Document = dict[str, Any]

HEADING = "# Compiled by bartizan from the files of the packages below. Changes break the signature: compile it again instead.\n"


class Standing(msgspec.Struct, frozen=True):
    """What is to be said of a policy file: whether it is signed, by which key (64 hex digits), whether that key is one of the known ones,
    and `problems`, each of which is a reason not to use it."""

    signed: bool
    key: str = ""
    known: bool = False
    packages: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def sign(document: Document, signer: Signer) -> Document:
    """`document` with the key and its signature in `about`."""
    public = base64.b64encode(signer.public.der).decode("ascii")
    about = {**document["about"], "key": public}
    unsigned = {**document, "about": about}
    signature = base64.b64encode(signer.sign(_message(unsigned))).decode("ascii")
    return {**unsigned, "about": {**about, "signature": signature}}


def as_yaml(document: Document) -> str:
    """The text of a policy file."""
    import yaml

    return HEADING + yaml.safe_dump(document, sort_keys=False, width=140, allow_unicode=True)


def load(path: Path) -> Document:
    """The document in a policy file. Raises `InputError`."""
    from bartizan.documents import read

    value = read(path).value
    if not isinstance(value, dict) or not ("allow" in value or "deny" in value):
        raise InputError(
            "is no policy: it has neither 'allow' nor 'deny'", place=str(path), cure="write one: bartizan policy allow PACKAGE"
        )
    return value


def standing(path: Path, *, keys: Sequence[PublicKey] = (), environment: Environment | None = None) -> Standing:
    """What is to be said of the policy file at `path`. `keys` are the known ones; `environment` is where its packages may be installed."""
    document = load(path)
    about = document.get("about")
    if not isinstance(about, dict) or not ("signature" in about or "key" in about or "packages" in about):
        return Standing(False)
    packages = [item for item in about.get("packages") or () if isinstance(item, dict)]
    names = tuple(f"{item.get('name')} {item.get('version')}" for item in packages)
    key, problem = _signature_of(document, about)
    if key is None:
        return Standing(False, "", False, names, (problem,))
    problems = [problem] if problem else []
    problems += _moved(packages, environment) if environment is not None else []
    known = any(other.id == key.id for other in keys)
    return Standing(not problem, key.id, known, names, tuple(problems))


def _signature_of(document: Document, about: Document) -> tuple[PublicKey | None, str]:
    """The key that a compiled policy names, and what is wrong with its signature (empty where nothing is)."""
    from bartizan.evidence.signing import PublicKey
    from bartizan.model.errors import EvidenceError

    try:
        key = PublicKey.load(base64.b64decode(str(about.get("key", "")), validate=True))
        signature = base64.b64decode(str(about.get("signature", "")), validate=True)
    except (binascii.Error, ValueError, EvidenceError):
        signature = b""
    if not signature:
        return None, "it was compiled and has no signature any more, or none that can be read"
    unsigned = {**document, "about": {name: value for name, value in about.items() if name != "signature"}}
    try:
        whole = key.holds(signature, _message(unsigned))
    except EvidenceError as error:
        return key, f"its signature is broken: {error}"
    return key, "" if whole else "its signature is broken: it was changed after it was signed"


def _moved(packages: Iterable[Document], environment: Environment) -> list[str]:
    problems = []
    for item in packages:
        name = str(item.get("name"))
        try:
            found = environment.package(name)
        except InputError:
            continue  # not installed here: there is nothing to compare with
        except Refused as error:
            problems.append(f"{name}: {error}")
            continue
        if normalised(found.name) == normalised(name) and found.digest != item.get("sha256"):
            same = "the same version with other files" if found.version == item.get("version") else f"version {found.version}"
            problems.append(
                f"it is for {name} {item.get('version')} (sha256 {str(item.get('sha256'))[:12]}), and {same} is installed "
                f"(sha256 {found.digest[:12]})"
            )
    return problems


def installed() -> Environment:
    """The packages of the running Python."""
    paths = dict.fromkeys(Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib"))
    return Environment([path for path in paths if path.is_dir()])


def with_policies(
    paths: Sequence[Path], *, keys: Sequence[PublicKey] = (), environment: Environment | None = None
) -> tuple[Policy, list[str]]:
    """The shipped policy and the files `paths`, and notes on keys that are not known.

    Raises `Refused` where a signature is broken or a package is installed in another version than the policy is for; `InputError`.
    """
    notes = []
    for path in paths:
        found = standing(path, keys=keys, environment=environment)
        if found.problems:
            cure = "compile it again with `bartizan policy allow`, and read what `bartizan policy diff` says"
            raise Refused(found.problems[0], place=str(path), cure=cure)
        if found.signed and not found.known:
            notes.append(
                f"{path}: signed by the key {found.key[:16]}, which is none of this project's: check it with `bartizan policy verify`"
            )
    return Policy.shipped().with_(paths), notes


def _message(document: Document) -> bytes:
    from bartizan.evidence.canonical import canonical, plain

    return b"bartizan policy 1\n" + canonical(plain(document))
