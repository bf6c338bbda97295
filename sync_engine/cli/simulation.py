"""`finsync simulate`: many seeded schedules of faults against the real engine, and what did not hold."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from sync_engine.cli.speaking import AsJson, expected_errors, print_json

simulation = typer.Typer()


@simulation.command()
def simulate(
    schedules: Annotated[int, typer.Option(min=1, help="How many seeds.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="The first seed.")] = 1,
    jobs: Annotated[int, typer.Option(min=1, help="Processes to spread them over.")] = 1,
    replay: Annotated[int | None, typer.Option(min=0, help="Play this one seed and tell what happened last.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Write every failing plan, made small, into this folder.")] = None,
    mutants: Annotated[bool, typer.Option(help="Plant known bugs and see that each is seen.")] = False,
    only: Annotated[str, typer.Option(help="Of the planted bugs this one only.")] = "",
    most: Annotated[int, typer.Option(min=1, help="Seeds in which a planted bug is looked for.")] = 300,
    as_json: AsJson = False,
) -> None:
    """Run seeded schedules of faults against the real engine on a PostgreSQL of their own; ends with 1 if anything did not hold."""
    with expected_errors():
        if mutants:
            report = _hunted(only, most, jobs)
        elif replay is not None:
            report = _replayed(replay)
        else:
            report = _simulated(range(seed, seed + schedules), jobs, keep)
    if as_json:
        print_json(report)
    else:
        typer.echo(", ".join(f"{name} {value}" for name, value in report.items() if not isinstance(value, dict | list)))
    raise typer.Exit(1 if report["failed"] else 0)


def _simulated(seeds: range, jobs: int, keep: Path | None) -> dict[str, Any]:
    from sandbox.simulation.report import Report
    from sandbox.simulation.simulate import results

    report, began = Report(), None
    if keep is not None:  # hours are not played for a folder that cannot be written to
        keep.mkdir(parents=True, exist_ok=True)
    for result in results(seeds, jobs=jobs):
        # Counted from the first result on: starting a server and its workers is no part of a schedule.
        began = began or time.monotonic()
        report.add(result)
        for finding in result.findings:
            typer.echo(f"seed {result.plan.seed}: {finding.invariant}: {finding.document}: {finding.says}", err=True)
    if keep is not None and report.failed:
        _keep(report.failed, keep)
    return report.as_json(seconds=time.monotonic() - (began or 0.0))


def _keep(failed: list[Any], folder: Path) -> None:
    from sandbox.simulation.simulate import keep, stage

    with stage() as alone:
        for result in failed:
            plan = alone.smallest(result)
            path = keep(folder, result.findings[0].invariant, plan, alone.play(plan))
            typer.echo(
                f"seed {plan.seed}: {len(plan.stories)} journeys and {plan.faults_max} faults are enough: {path}",
                err=True,
            )


def _replayed(seed: int) -> dict[str, Any]:
    from sandbox.simulation.plan import draw
    from sandbox.simulation.simulate import stage

    with stage() as alone:
        result = alone.play(draw(seed))
    return {
        "failed": int(bool(result.findings)),
        **result.as_json(),
        "plan": result.plan.as_json(),
        "last": list(result.last),
    }


def _hunted(only: str, most: int, jobs: int) -> dict[str, Any]:
    from sandbox.simulation.mutants import MUTANTS
    from sandbox.simulation.mutants.hunt import hunt_all, report
    from sandbox.simulation.mutants.patches import NotApplicable

    if only and only not in MUTANTS:
        raise typer.BadParameter(f"there is no planted bug called {only}; there are {', '.join(MUTANTS)}")
    wanted = [MUTANTS[only]] if only else list(MUTANTS.values())
    hunted = []
    try:
        for one in hunt_all(wanted, most=most, jobs=jobs):
            hunted.append(one)
            seen = f"seen by {', '.join(one.caught_by)}" if one.caught_by else "seen by nobody"
            alarms = f"; false alarm: {one.false_alarms[0]}" if one.false_alarms else ""
            typer.echo(f"{one.mutant.name}: {seen} in {one.seeds} seeds, {one.seconds:.1f} s{alarms}", err=True)
    except NotApplicable as error:
        typer.echo(f"A planted bug does not fit the program any more: {error}", err=True)
        raise typer.Exit(2) from None
    return report(hunted)
