"""`bartizan convert`: a model file in a format that holds numbers only."""

from __future__ import annotations

from pathlib import Path

import click

from bartizan.cli.options import NewFile


@click.command("convert", epilog="Example: bartizan convert model.pt -o model.safetensors")
@click.argument("source", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("-o", "--output", "target", required=True, type=NewFile(), help="FILE.safetensors or FILE.skops")
@click.option(
    "--policy", "policies", type=click.Path(path_type=Path, exists=True, dir_okay=False), multiple=True, help="Names allowed, too."
)
@click.option("--force", is_flag=True, help="Replace an existing file.")
def command(source: Path, target: Path, policies: tuple[Path, ...], force: bool) -> None:
    """Rewrite a pickle, a torch or joblib file as safetensors (tensors) or skops (scikit-learn). It is loaded only where it is safe."""
    from bartizan.areas.artefacts.converting import convert
    from bartizan.areas.artefacts.pickles import Policy

    left = convert(source, target, policy=Policy.shipped().with_(policies) if policies else None, force=force)
    if left:
        click.echo(f"left out, since they are no tensors: {', '.join(left[:10])}{' ...' if len(left) > 10 else ''}", err=True)
    click.echo(f"wrote {target}", err=True)
