"""`finsync bench`: measured speed. Each command measures in a cell of its own beside the one that is configured."""

import signal
from collections.abc import Callable
from typing import Annotated, Any

import typer

from sync_engine.cli.speaking import AsJson, expected_errors, print_json, read_settings

bench = typer.Typer(no_args_is_help=True, help="Measured speed, as JSON.")


def _end_in_order(signum: int, _frame: object) -> None:
    """Told to stop, a measurement stops the servers and drops the cells it has made."""
    raise SystemExit(128 + signum)


def _measure(run: Callable[..., dict[str, Any]], *, as_json: bool, **how: Any) -> None:
    from sync_engine.opening import opened

    signal.signal(signal.SIGTERM, _end_in_order)
    settings = read_settings()
    with expected_errors(), opened(settings) as database:
        figures = run(database, progress=lambda line: typer.echo(line, err=True), **how)
    if as_json:
        print_json(figures)
    else:
        for name, value in figures.items():
            typer.echo(f"{name:44} {value}")


@bench.command("engine")
def bench_engine(
    quick: Annotated[bool, typer.Option(help="A tenth of everything: to see that it runs, not to quote.")] = False,
    as_json: AsJson = False,
) -> None:
    """Transitions, journeys over HTTP and memory, beside what PostgreSQL and bare calls reach in the same run."""
    from benchmarks.engine import run

    _measure(run, as_json=as_json, quick=quick)


@bench.command("rivals")
def bench_rivals(
    quick: Annotated[bool, typer.Option(help="A few journeys each: to see that it runs, not to quote.")] = False,
    as_json: AsJson = False,
) -> None:
    """The same flow on DBOS, procrastinate, Celery and our engine; needs the extra "bench", and says what it leaves out."""
    from benchmarks.rivals.run import run

    _measure(run, as_json=as_json, quick=quick)


@bench.command("growth")
def bench_growth(
    millions: Annotated[
        list[int] | None, typer.Option(min=0, help="How many finished rows of each kind; by default 0, 1 and 10.")
    ] = None,
    quick: Annotated[bool, typer.Option(help="Thousands instead of millions: to see that it runs.")] = False,
    as_json: AsJson = False,
) -> None:
    """Throughput and claim latency beside what is finished: 10 millions take some minutes to make, and 25 GB of disk."""
    from benchmarks.growth import FULL, QUICK, run

    sizes = tuple(one * 1_000_000 for one in millions) if millions else (QUICK if quick else FULL)
    _measure(run, as_json=as_json, finished=sizes, quick=quick)


@bench.command("import")
def bench_import(
    events: Annotated[int, typer.Option(min=100, help="How many the made file has.")] = 300_000, as_json: AsJson = False
) -> None:
    """How fast event logs come in, and in how much memory: the same events as CSV, XES and OCEL 2.0."""
    from benchmarks.importing import run

    _measure(run, as_json=as_json, events=events)


@bench.command("outage")
def bench_outage(
    documents: Annotated[int, typer.Option(min=10, help="How many wait when the ERP comes back.")] = 20_000,
    hours: Annotated[int, typer.Option(min=1, help="How long it is away, on the fast clock.")] = 72,
    as_json: AsJson = False,
) -> None:
    """An ERP that is down for so many virtual hours while so many orders come in: how they drain, and what others notice."""
    from benchmarks.outage import measure

    _measure(measure, as_json=as_json, documents=documents, hours=hours)


@bench.command("views")
def bench_views(
    events: Annotated[
        int, typer.Option(min=10_000, help="How many, over three years and 50 business units.")
    ] = 1_000_000,
    open_documents: Annotated[
        int, typer.Option("--open", min=0, help="How many documents stand open beside those the events leave open.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """How long the pages' questions take over years of events, beside plain SQL, pandas and DuckDB in the same run."""
    from benchmarks.views import run

    _measure(run, as_json=as_json, events=events, open_documents=open_documents)


@bench.command("pages")
def bench_pages(
    events: Annotated[
        int, typer.Option(min=1000, help="How many the pages look back on, over three years and 50 business units.")
    ] = 100_000,
    sessions: Annotated[
        int, typer.Option(min=1, help="At once on a page with one chart; a quarter of them on the fullest.")
    ] = 200,
    page: Annotated[
        list[str] | None, typer.Option(help="A page by its path, such as stuck; every page without.")
    ] = None,
    quick: Annotated[bool, typer.Option(help="Few of everything: to see that it runs, not to quote.")] = False,
    as_json: AsJson = False,
) -> None:
    """What a person waits for: first chart and full page of every view in a browser beside a page of one chart, and many sessions at once."""
    from benchmarks.pages import run

    if quick:
        few: dict[str, Any] = {"events": 3000, "sessions": 4, "rounds": 1, "think_s": 1.0, "lasts_s": 5.0}
        _measure(run, as_json=as_json, only=page or (), **few)
    else:
        _measure(run, as_json=as_json, events=events, sessions=sessions, only=page or ())
