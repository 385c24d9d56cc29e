"""`bartizan sign`: sign a model or a data set, so that whoever loads it can tell that it is the one."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bartizan.cli.options import NewFile, format_option
from bartizan.model.errors import InputError, one_line

if TYPE_CHECKING:
    from bartizan.areas.provenance.signing.cache import Cache
    from bartizan.areas.provenance.signing.keys import PrivateKey
    from bartizan.areas.provenance.signing.statement import Statement


def what_options(command: Callable[..., int]) -> Callable[..., int]:
    """The options that say what of the folder is signed; the command gets them as one dictionary `what`."""

    @click.option("--ignore", multiple=True, metavar="NAME", help="Leave this file or folder out; repeatable.")
    @click.option("--with-git", "git", is_flag=True, help="Sign .git and its like, too; they are left out otherwise.")
    @click.option("--allow-symlinks", is_flag=True, help="Take in links that lead to a file in the same folder.")
    @click.option("--tree/--no-tree", default=True, help="Also sign a tree of chunks, for `verify --fast`.")
    @functools.wraps(command)
    def gathered(**rest: Any) -> int:
        return command(what={name: rest.pop(name) for name in ("ignore", "git", "allow_symlinks", "tree")}, **rest)

    return gathered


def key_options(command: Callable[..., int]) -> Callable[..., int]:
    """The options that say who signs; the command gets them as one dictionary `who`."""

    @click.option("--key", type=click.Path(path_type=Path, dir_okay=False), help="Your private key, as PEM.")
    @click.option("--new-key", type=click.Choice(["p256", "p384", "ed25519"]), help="Make KEY (and KEY.pub) if it is not there.")
    @click.option("--password-env", metavar="NAME", help="The variable that holds the password of KEY.")
    @click.option("--keyless", is_flag=True, help="Sign with the identity of this CI job by Sigstore; needs the network.")
    @functools.wraps(command)
    def gathered(**rest: Any) -> int:
        return command(who={name: rest.pop(name) for name in ("key", "new_key", "password_env", "keyless")}, **rest)

    return gathered


@click.command("sign", epilog="Example: bartizan sign model/ --key release.pem --new-key p256")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option("--output", "-o", type=NewFile(), help="The signature. Default: PATH.sig beside PATH.")
@key_options
@what_options
@click.option("--trust-mtime", is_flag=True, help="Do not read files whose size, times and inode are those of last time.")
@click.option("--quiet", "-q", is_flag=True, help="No progress.")
@format_option("table", "json")
def command(path: Path, output: Path | None, who: dict[str, Any], what: dict[str, Any], trust_mtime: bool, quiet: bool, form: str) -> int:
    """Sign a model or a data set, a file or a folder, in the format of OpenSSF model signing (a Sigstore bundle). Every file of the folder
    is covered; links are refused. Keys of the kinds p256 and p384 make signatures that model_signing verifies, too."""
    from bartizan.areas.provenance.signing import making
    from bartizan.cli.hashing import bar, remembered

    signature = output or (path.resolve().with_name(f"{path.resolve().name}.sig") if path.name in ("", "..") else _beside(path))
    key = signing_key(**who)
    if key is None:
        from bartizan.adapters import sigstore_keyless

        sigstore_keyless.available()
    cache = remembered(trust_mtime)
    with bar("signing", quiet=quiet) as listener:
        statement = making.state(path, signature=signature, cache=cache, listener=listener, **what)
    if key is None:
        _keyless(statement, signature)
    else:
        making.sign(path, signature, key, statement=statement)
    return _tell(signature, statement, key, cache, form)


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.sig")


def signing_key(key: Path | None, new_key: str | None, password_env: str | None, keyless: bool) -> PrivateKey | None:
    """The key that the options of `key_options` name, made where asked for; None for signing without one. Raises `InputError`."""
    from bartizan.areas.provenance.signing.keys import PrivateKey, create

    if (key is None) != keyless:
        raise InputError("nobody to sign as" if key is None else "two to sign as", cure="give either --key FILE or --keyless")
    if key is None:
        return None
    password = os.environ.get(password_env) if password_env else None
    if password_env and not password:
        raise InputError(f"the variable {password_env} is empty", cure="set it to the password of the key")
    secret = password.encode() if password else None
    if new_key is not None:
        return create(key, new_key, secret)
    if not key.exists():
        raise InputError("no such key", place=str(key), cure="make it with --new-key p256")
    return PrivateKey.read(key, secret)


def _keyless(statement: Statement, signature: Path) -> None:
    from bartizan.adapters import sigstore_keyless
    from bartizan.evidence.files import write_atomically

    write_atomically(signature, sigstore_keyless.sign(statement.encode()), 0o644)


def _tell(signature: Path, statement: Statement, key: PrivateKey | None, cache: Cache | None, form: str) -> int:
    from bartizan.cli.show import json_text

    if cache is not None:
        cache.save()
    signer = f"key {key.public.id}" if key is not None else "identity of this job"
    if form == "json":
        facts = {"signature": str(signature), "signer": signer, "digest": statement.digest, "files": len(statement.files)}
        click.echo(json_text(facts | {"ignored": statement.ignored}))
    else:
        click.echo(f"wrote {one_line(str(signature), 300)}: {len(statement.files)} files, sha256 {statement.digest[:16]}…, {signer[:20]}…")
    return 0
