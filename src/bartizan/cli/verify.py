"""`bartizan verify`: check a signed model or data set, an evidence store or a bundle offline for tampering."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from bartizan.cli.options import format_option
from bartizan.cli.show import json_text
from bartizan.model.errors import EvidenceError, InputError, one_line

if TYPE_CHECKING:
    from bartizan.areas.provenance.signing.verifying import Verifier


def signature_options(command: Callable[..., int]) -> Callable[..., int]:
    """The options for a signed model or data set; the command gets them as one dictionary `how`."""

    @click.option("--signature", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Of a model or data set.")
    @click.option("--identity", metavar="NAME", help="Who must have signed, where it was signed without a key.")
    @click.option("--issuer", metavar="URL", help="Who must have vouched for the identity.")
    @click.option("--offline", is_flag=True, help="With --identity: take the trusted root that is at hand.")
    @click.option("--allow-symlinks", is_flag=True, help="Let links count that lead to a file in the same folder.")
    @click.option("--fast", is_flag=True, help="Compare the signed tree of chunks instead of SHA-256.")
    @click.option("--trust-mtime", is_flag=True, help="Do not read files whose size, times and inode are those of last time.")
    @functools.wraps(command)
    def gathered(**rest: Any) -> int:
        names = ("signature", "identity", "issuer", "offline", "allow_symlinks", "fast", "trust_mtime")
        return command(how={name: rest.pop(name) for name in names}, **rest)

    return gathered


@click.command("verify", epilog="Example: bartizan verify model/ --signature model.sig --key release.pem.pub")
@click.argument("what", type=click.Path(path_type=Path, exists=True), default=Path(), metavar="STORE|BUNDLE|MODEL|DATASET|[PATH]")
@click.option("--key", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="The public key you trust, as PEM.")
@click.option("--checkpoint", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="A checkpoint you kept elsewhere.")
@click.option("--root", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Compare subjects with the files here, too.")
@signature_options
@format_option("table", "json")
def command(what: Path, key: Path | None, checkpoint: Path | None, root: Path | None, how: dict[str, Any], form: str) -> int:
    """Verify a signed model or data set (its signature is found beside it), or the signatures, the hash chain, the Merkle tree and the
    artefacts of a project, a .bartizan folder or a bundle. Needs no network. A record without --key can only show that it agrees with
    itself. Exit code 1: tampering found."""
    signature = how["signature"] or _found(what)
    if signature is not None:
        if checkpoint is not None or root is not None:
            raise InputError("--checkpoint and --root are for records, not for a signed model", place=str(signature))
        return _verify_signed(what, signature, key, how, form)
    from bartizan.evidence import verify_bundle, verify_store

    if what.is_file() and what.suffix not in (".yaml", ".yml"):
        if what.suffix != ".zip" and not _begins_as_zip(what):
            raise InputError("is no bundle, and no signature lies beside it", place=str(what), cure="name its signature with --signature")
        result = verify_bundle(what, key, checkpoint, root=root)
    else:
        result = verify_store(_store_folder(what), key, checkpoint, root=root)
    if form == "json":
        click.echo(json_text(msgspec.to_builtins(result) | {"ok": result.ok}))
    else:
        for warning in result.warnings:
            click.echo(f"{click.style('note', fg='yellow')}: {one_line(warning)}")
        for problem in result.problems:
            click.echo(f"{click.style('problem', fg='red')}: {one_line(problem)}")
        verdict = click.style("holds", fg="green") if result.ok else click.style("does not hold", fg="red")
        click.echo(f"{result.entries} entries, head {result.head[:16]}…, key {result.key[:16]}…: the record {verdict}.")
    return 0 if result.ok else 1


def _found(what: Path) -> Path | None:
    """The signature beside `what`, unless `what` is a record of ours."""
    if what.suffix in (".yaml", ".yml") or what.name.endswith(".bartizan.zip") or any(map(_is_store, (what, what / ".bartizan"))):
        return None
    from bartizan.areas.provenance.signing.verifying import signature_of

    return signature_of(what)


def _is_store(folder: Path) -> bool:
    return (folder / "evidence.db").is_file()


def _begins_as_zip(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(2) == b"PK"


def _store_folder(what: Path) -> Path:
    for folder in (what, what / ".bartizan", what.parent / ".bartizan"):
        if _is_store(folder):
            return folder
    raise InputError(
        "no evidence store and no signature here", place=str(what), cure="name a project, a .bartizan folder or a bundle, or --signature"
    )


def _verify_signed(what: Path, signature: Path, key: Path | None, how: dict[str, Any], form: str) -> int:
    from bartizan.cli.hashing import bar

    verifier = _verifier(signature, key, how)
    try:
        with bar("verifying", quiet=form == "json") as listener:
            result = verifier.verify(what, signature, listener)
    except EvidenceError as error:
        if form == "json":
            click.echo(json_text({"ok": False, "problems": [str(error)], "signature": str(signature), "signer": verifier.signer}))
        else:
            click.echo(f"{click.style('problem', fg='red')}: {one_line(str(error))}")
            click.echo(f"{one_line(str(signature), 300)}: {click.style('does not hold', fg='red')}.")
        return 1
    if verifier.cache is not None:
        verifier.cache.save()
    if form == "json":
        click.echo(json_text(msgspec.to_builtins(result) | {"ok": result.ok, "signature": str(signature)}))
        return 0 if result.ok else 1
    for note in result.notes:
        click.echo(f"{click.style('note', fg='yellow')}: {one_line(note)}")
    for problem in result.problems:
        click.echo(f"{click.style('problem', fg='red')}: {one_line(problem)}")
    verdict = click.style("is what was signed", fg="green") if result.ok else click.style("is not what was signed", fg="red")
    said = f"{result.files} files, {one_line(result.signer, 20)}, sha256 {result.digest[:16]}…"
    click.echo(f"{one_line(str(signature), 300)}: {said}: {one_line(str(what), 300)} {verdict}.")
    return 0 if result.ok else 1


def _verifier(signature: Path, key: Path | None, how: dict[str, Any]) -> Verifier:
    from bartizan.areas.provenance.signing.keys import PublicKey
    from bartizan.areas.provenance.signing.verifying import Verifier
    from bartizan.cli.hashing import remembered

    chosen = {"allow_symlinks": how["allow_symlinks"], "fast": how["fast"], "cache": remembered(how["trust_mtime"])}
    identity, issuer = how["identity"], how["issuer"]
    if key is not None and not identity and not issuer:
        return Verifier.of_key(PublicKey.read(key), **chosen)
    if key is None and identity and issuer:
        return Verifier.of_identity(identity, issuer, offline=how["offline"], **chosen)
    cure = "give --key FILE with the public key you trust, or --identity and --issuer where it was signed without a key"
    raise InputError("a signature proves nothing until you say whom you trust", place=str(signature), cure=cure)
