"""`finsync simulate`: many seeded schedules of faults against the real engine, and what did not hold."""

from typing import Annotated

import typer

from sync_engine.cli.commands import AsJson, _expected_errors, _print, app


@app.command()
def simulate(
    schedules: Annotated[int, typer.Option(min=1, help="How many seeds.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="The first seed.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Run seeded schedules of faults against the real engine on a PostgreSQL of their own; ends with 1 if anything did not hold."""
    from sandbox.simulation.simulate import results

    failed = []
    with _expected_errors():
        for result in results(range(seed, seed + schedules)):
            if result.findings:
                failed.append(result)
                for finding in result.findings:
                    typer.echo(
                        f"seed {result.plan.seed}: {finding.invariant}: {finding.document}: {finding.says}", err=True
                    )
    if as_json:
        _print({"schedules": schedules, "failed": [result.plan.seed for result in failed]})
    else:
        typer.echo(f"{schedules} schedules, {len(failed)} failed.")
    raise typer.Exit(1 if failed else 0)
