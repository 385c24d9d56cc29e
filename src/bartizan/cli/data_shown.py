"""What the commands of `bartizan data` share: options, the words of a refusal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bartizan.cli.data_progress import progress as progress
from bartizan.cli.data_progress import told as told
from bartizan.cli.show import json_text
from bartizan.cli.sign import signing_key
from bartizan.model.errors import EvidenceError, InputError, one_line

if TYPE_CHECKING:
    from bartizan.areas.provenance.passport.statement import Held
    from bartizan.areas.provenance.signing.keys import PrivateKey, PublicKey

SHOWN = 40
"""Changes that a table shows."""

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
passport_option: Callable[[Any], Any] = click.option(
    "--passport", type=FILE, help="The passport. Default: PATH.passport.jsonl beside PATH."
)
trusted_key_option: Callable[[Any], Any] = click.option("--key", type=FILE, required=True, help="The public key you trust, as PEM.")


def passport_of(path: Path, passport: Path | None) -> Path:
    """The passport given, or the one beside the data."""
    from bartizan.areas.provenance.passport.statement import passport_path

    return passport or passport_path(path)


def read_passport(path: Path, key: PublicKey | None) -> Held:
    """The passport at `path`. Raises `InputError` where it is none at all, which nobody can judge, and `EvidenceError` where it is one
    that does not hold."""
    from bartizan.areas.provenance.passport.statement import read

    is_passport(path)
    return read(path, key)


def is_passport(path: Path) -> None:
    """Raise `InputError` where `path` is no passport at all."""
    from bartizan.areas.provenance.passport.statement import read

    try:
        read(path, None, details=False)
    except EvidenceError as error:
        raise InputError(error.what, place=str(error.place or path), cure="name what bartizan data record wrote") from None


def private_key(who: dict[str, Any]) -> PrivateKey:
    """The key that signs, from the options of `key_options`. Raises `InputError` where there is none."""
    key = signing_key(**who)
    if key is None:
        raise InputError("a passport is signed with a key", cure="give --key FILE, and --new-key ed25519 to make one")
    return key


def named(text: str) -> tuple[str, str]:
    """The two sides of NAME=VALUE. Raises `InputError`."""
    name, sign, kind = text.partition("=")
    if not sign or not name:
        raise InputError(f"'{one_line(text, 80)}' is not NAME=VALUE")
    return name, kind


def shown(path: Path | str) -> str:
    """A name for people: on one line, without control characters."""
    return one_line(str(path), 200)


def refused(why: str, form: str) -> int:
    """Say that something does not hold; the exit code for that."""
    click.echo(json_text({"ok": False, "problems": [why]}) if form == "json" else f"refused: {one_line(why)}")
    return 1
