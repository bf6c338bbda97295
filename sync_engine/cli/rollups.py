"""`finsync rebuild-rollups`: what the pages read, made anew from the events."""

import time
from typing import Annotated

import typer

from sync_engine.cli.speaking import AsJson, expected_errors, print_json, read_settings

rollups = typer.Typer()


@rollups.command()
def rebuild_rollups(
    source: Annotated[str | None, typer.Option(help="Of one log only, by its name.")] = None, as_json: AsJson = False
) -> None:
    """Make what the pages read anew from the events; figures of past days stay as they were reported."""
    from sync_engine.insight import fold
    from sync_engine.opening import opened

    began = time.monotonic()
    with expected_errors(), opened(read_settings()) as database, database.connected("finsync_engine") as connection:
        counted = fold.rebuild(connection, source=source)
    wall_s = round(time.monotonic() - began, 1)
    if as_json:
        print_json({"source": source, "events": counted, "wall_s": wall_s})
    else:
        typer.echo(f"Counted {counted} events anew in {wall_s} s.")
