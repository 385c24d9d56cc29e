"""`bartizan scan weights`: what differs from a reference, and which neurons stand out."""

from __future__ import annotations

from pathlib import Path

import click

from bartizan.cli.options import format_option
from bartizan.cli.show import json_text, table


@click.command("weights", epilog="Example: bartizan scan weights tuned.safetensors --reference base.safetensors")
@click.argument("path", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--reference", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="The weights that these should be.")
@format_option("table", "json")
def command(path: Path, reference: Path | None, form: str) -> None:
    """Compare weights with a reference, tensor by tensor, and list neurons that stand out in their layer.

    Ends with 1 where the weights differ from the reference. Neurons that stand out are information alone: honest models have them, and a
    backdoor need not show.
    """
    from bartizan.areas.artefacts.weights import differences, outliers

    changed = differences(path, reference) if reference is not None else None
    standing = outliers(path)
    if form == "json":
        click.echo(json_text({"differences": changed, "outliers": standing}))
    else:
        if changed:
            rows = [
                (d.tensor, d.state, f"{d.share:.1%}", f"{d.largest:.3g}", f"{d.relative:.2%}", "-" if d.rank is None else d.rank)
                for d in changed
            ]
            click.echo(table(("tensor", "what", "numbers", "largest", "relative", "rank"), rows))
        if standing:
            shown = [(o.tensor, o.row, f"{o.norm:.4g}", f"{o.deviations:+.1f}") for o in standing[:20]]
            click.echo(table(("stands out", "row", "norm", "deviations"), shown))
        compared = "not compared with a reference" if changed is None else f"{len(changed)} tensors differ from {reference}"
        click.echo(f"{compared}; {len(standing)} neurons stand out, which proves nothing by itself")
    if changed:
        raise click.exceptions.Exit(1)
