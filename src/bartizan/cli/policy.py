"""`bartizan policy`: the names that pickles of a library may use, derived from its files, signed, and compared on update."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bartizan.cli.options import NewFile, format_option, write
from bartizan.cli.show import json_text

if TYPE_CHECKING:
    from bartizan.evidence.signing import PublicKey

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)

LEFT_SHOWN = 12
"""Names left out that `allow` and `show` print without `--all`."""


@click.group("policy", epilog="Example: bartizan policy allow lifelines -o lifelines.policy.yaml")
def command() -> None:
    """Allow the classes of a library in model files, by the exact name and use, and keep that list under review."""


def environment_option(command: Any) -> Any:
    """`--environment`: folders of installed packages, or wheels."""
    return click.option(
        "--environment",
        "places",
        type=click.Path(path_type=Path, exists=True),
        multiple=True,
        metavar="SITE-PACKAGES|WHEEL",
        help="Where the package lies; the packages of this Python by default. Repeatable.",
    )(command)


@command.command("allow", epilog="Example: bartizan policy allow lifelines formulaic -o survival.policy.yaml")
@click.argument("packages", nargs=-1, required=True, metavar="PACKAGE...")
@environment_option
@click.option("-o", "--output", type=NewFile(), help="Write the policy to a file.")
@click.option("--keys", type=click.Path(path_type=Path, file_okay=False), help="Folder of the signing key; that of the project by default.")
@click.option("--trust-compiled", is_flag=True, help="Also allow classes of compiled modules, which nobody can see into.")
def allow(packages: tuple[str, ...], places: tuple[Path, ...], output: Path | None, keys: Path | None, trust_compiled: bool) -> int:
    """Derive the policy of PACKAGE from its files. They are read, never imported or run.

    A class or function is allowed in the uses whose code could be followed to its end and reaches no files, processes, network or code.
    What is left out stands in the policy with its reason and line.
    """
    from bartizan.areas.artefacts.policy_compiler import Environment, compile_policy
    from bartizan.areas.artefacts.policy_compiler.signed import as_yaml, installed, sign
    from bartizan.evidence import Keyring

    environment = Environment(places) if places else installed()
    document = compile_policy(packages, environment, trust_compiled=trust_compiled)
    if not document["allow"]:
        _left(document, False)
        click.echo("bartizan: nothing of it could be allowed", err=True)
        return 1
    write(as_yaml(sign(document, Keyring(keys or _state() / "keys").signer())), output)
    if output is not None:
        names = sum(len(row["names"].split()) for row in document["allow"])
        click.echo(
            f"{names} names allowed, {len(document['about']['left'])} names or uses left out: bartizan policy show {output}", err=True
        )
    return 0


@command.command("show", epilog="Example: bartizan policy show lifelines.policy.yaml --all")
@click.argument("path", type=FILE)
@format_option("table", "json")
@click.option("--all", "everything", is_flag=True, help="Show every name that was left out.")
def show(path: Path, form: str, everything: bool) -> None:
    """Show what a policy allows, and what was left out and why."""
    from bartizan.areas.artefacts.policy_compiler.signed import load

    document = load(path)
    if form == "json":
        click.echo(json_text(document))
        return
    for package in (document.get("about") or {}).get("packages") or ():
        click.echo(f"{package.get('name')} {package.get('version')}, {package.get('files')} files, sha256 {package.get('sha256')}")
    for row in document.get("allow") or ():
        click.echo(f"{row.get('modules')}: {row.get('uses') or 'looked up'}\n    {row.get('names')}\n    {row.get('why')}")
    _left(document, everything)


def _left(document: dict[str, Any], everything: bool) -> None:
    left = (document.get("about") or {}).get("left") or ()
    if left:
        click.echo("Left out:")
    for item in left if everything else left[:LEFT_SHOWN]:
        use = f" ({item['use']})" if item.get("use") else ""
        click.echo(f"    {item.get('name')}{use}: {item.get('why')}")
    if len(left) > LEFT_SHOWN and not everything:
        click.echo(f"    and {len(left) - LEFT_SHOWN} more: --all")


@command.command("diff", epilog="Example: bartizan policy diff old.policy.yaml new.policy.yaml")
@click.argument("old", type=FILE)
@click.argument("new", type=FILE)
@format_option("table", "json")
def diff(old: Path, new: Path, form: str) -> int:
    """Say what may be done under NEW and not under OLD, and the other way round. Exit code 0: nothing differs; 1: something does."""
    import msgspec

    from bartizan.areas.artefacts.policy_compiler.changes import changes
    from bartizan.areas.artefacts.policy_compiler.changes import packages as packages_of
    from bartizan.areas.artefacts.policy_compiler.signed import load

    before, after = load(old), load(new)
    found, moved = changes(before, after), list(packages_of(before, after))
    if form == "json":
        click.echo(json_text({"packages": moved, "changes": [msgspec.to_builtins(change) for change in found]}))
    else:
        for line in [*moved, *found]:
            click.echo(str(line))
        click.echo(f"{len(found)} names differ." if found else "The same names in the same uses.")
    return 1 if found else 0


@command.command("verify", epilog="Example: bartizan policy verify lifelines.policy.yaml --key release-key.pem")
@click.argument("path", type=FILE)
@click.option("--key", "keys", type=FILE, multiple=True, help="A public key as PEM that you trust; the project's own by default.")
@environment_option
@format_option("table", "json")
def verify(path: Path, keys: tuple[Path, ...], places: tuple[Path, ...], form: str) -> int:
    """Check the signature of a policy, and that its packages are installed as they were read. Exit code 1: something is wrong, or
    the key is none that is trusted."""
    import msgspec

    from bartizan.areas.artefacts.policy_compiler import Environment
    from bartizan.areas.artefacts.policy_compiler.signed import installed, standing
    from bartizan.evidence.signing import PublicKey

    trusted = [PublicKey.load(key.read_bytes(), str(key)) for key in keys] or known_keys()
    found = standing(path, keys=trusted, environment=Environment(places) if places else installed())
    good = found.signed and found.known and not found.problems
    if form == "json":
        click.echo(json_text(msgspec.to_builtins(found) | {"good": good}))
        return 0 if good else 1
    for problem in found.problems:
        click.echo(f"{path}: {problem}")
    if not found.signed and not found.problems:
        click.echo(f"{path}: is not signed: somebody wrote it by hand")
    elif found.signed and not found.known:
        click.echo(
            f"{path}: signed by the key {found.key}, which is none that you trust: name it with --key, or compile the policy yourself"
        )
    if good:
        click.echo(f"{path}: signed by the key {found.key}, unchanged; {', '.join(found.packages)}")
    return 0 if good else 1


def known_keys() -> list[PublicKey]:
    """The public keys of the project that the current folder belongs to."""
    from bartizan.evidence import Keyring
    from bartizan.evidence.signing import PublicKey

    folder = _state() / "keys"
    return [PublicKey.load(held.pem.encode("ascii")) for held in Keyring(folder).public()] if folder.is_dir() else []


def _state() -> Path:
    """The folder `.bartizan` of the nearest project upwards, or that of the current folder."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "bartizan.yaml").is_file() or (folder / ".bartizan" / "keys").is_dir():
            return folder / ".bartizan"
    return here / ".bartizan"
