"""The commands about event logs: in, out, how long its cases took, which there are, and forgotten."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from sync_engine.cli.speaking import AsJson, expected_errors, give_up, print_json, read_settings

event_logs = typer.Typer()

LogFile = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="The log, packed or not.")]
Source = Annotated[str, typer.Option("--source", help="The log's name here; it stays beside our own, 'finsync'.")]


@contextmanager
def _engine_connection() -> Iterator[Any]:
    """A connection as the engine, to a schema that is up to date."""
    from sync_engine.cli.wiring import bring_up_to_date
    from sync_engine.opening import opened

    settings = read_settings()
    with expected_errors(), opened(settings) as database:
        if not settings.is_production:
            bring_up_to_date(database)
        with database.connected("finsync_engine") as connection:
            yield connection


@event_logs.command("import-log")
def import_log(
    file: LogFile,
    source: Source = "",
    kind: Annotated[str, typer.Option("--format", help="csv, xes, ocel1-json, ocel2-json, ocel2-xml or ocel2-sqlite; by default what the file looks like.")] = "",
    case_column: Annotated[str, typer.Option(help="CSV: which case a row belongs to.")] = "",
    activity_column: Annotated[str, typer.Option(help="CSV: what happened.")] = "",
    time_column: Annotated[str, typer.Option(help="CSV: when it happened, or was completed.")] = "",
    start_column: Annotated[str, typer.Option(help="CSV: when it began.")] = "",
    resource_column: Annotated[str, typer.Option(help="CSV: who did it.")] = "",
    id_column: Annotated[str, typer.Option(help="CSV: the event's own id.")] = "",
    unit_column: Annotated[str, typer.Option(help="The business unit that may see the row's case; by default --unit for all.")] = "",
    unit: Annotated[str, typer.Option(help="The business unit the log belongs to; by default only who sees all units sees it.")] = "",
    timezone: Annotated[str, typer.Option(help="The zone of times that name none.")] = "UTC",
    time_format: Annotated[str, typer.Option(help="iso, unix, day-first, month-first, year-first, or a pattern such as '%d.%m.%Y %H:%M'.")] = "",
    delimiter: Annotated[str, typer.Option(help="CSV: between cells; 'tab' for a tabulator.")] = "",
    encoding: Annotated[str, typer.Option(help="CSV: of the text, for instance cp1252.")] = "",
    mapping: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="What activities mean here, as --guess-mapping prints it.")] = None,
    document_type: Annotated[str, typer.Option(help="What the cases of CSV and XES are called here.")] = "case",
    guess_mapping: Annotated[bool, typer.Option("--guess-mapping", help="Only print a mapping file for this log.")] = False,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Read an event log of any maker (OCEL 1 and 2, XES, CSV). The same file twice is in once; a stopped import goes on."""
    from random import SystemRandom

    from sync_engine.cli.progress import import_bar
    from sync_engine.cli.stopping import told_to_stop
    from sync_engine.eventlog import importing, known, stages
    from sync_engine.eventlog.opening import FORMATS, Options
    from sync_engine.model.ids import id_maker

    options = Options(
        case_column, activity_column, time_column, start_column, resource_column, unit_column, id_column,
        timezone, time_format, delimiter, encoding,
    )  # fmt: skip
    if kind and kind not in FORMATS:
        give_up(f"--format takes {', '.join(FORMATS)}.")
    with expected_errors():
        words = stages.load_mapping(mapping) if mapping else stages.Mapping()
        request = importing.Request(file, source, kind, options, words, unit, document_type)
        if guess_mapping:
            typer.echo(
                stages.guessed_mapping(importing.activities_of(importing.reader_of(request), document_type)), nl=False
            )
            return
        if not source:
            give_up("Give the log a name: --source NAME.")
        known.checked_name(source)
    with _engine_connection() as connection, told_to_stop() as stop, import_bar() as show:
        try:
            done = importing.import_log(connection, request, new_id=id_maker(SystemRandom()), progress=show, stop=stop)
        except importing.Stopped:
            give_up("Stopped. What was read stands; the same command goes on from there.")
    if as_json:
        print_json(done)
    else:
        _tell(done)


def _tell(done: dict[str, Any]) -> None:
    if done["was_known"]:
        typer.echo(f"{done['file']} is in {done['log']} already; nothing was added.")
        return
    typer.echo(
        f"{done['log']}: {done['events_new']} events from {done['file']} ({done['format']}), {done['activities']} activities."
    )
    for what, value in done["guessed"].items():
        typer.echo(f"  taken without being told: {what} = {value}")
    typer.echo(f"  times without a zone were read as {done['time_zone']}")
    for count, says in (
        ("events_known", "events were in already"),
        ("events_late", "events are older than what was in already; they stand behind it in their documents' history"),
        (
            "suspect",
            "events have a time that cannot be right (before 1990, in the future, or before their start); they are kept and marked",
        ),
        ("rejected", f"records could not be read: `finsync logs --rejects {done['log']}` shows line and value"),
    ):
        if done.get(count):
            typer.echo(f"  {done[count]} {says}")
    typer.echo(
        '  the pages show it under the switch "Log", and more of it as an engine counts it (`finsync up`, `finsync engine`)'
    )


@event_logs.command("cycle-time")
def cycle_time(
    source: Source,
    case_type: Annotated[str, typer.Option(help="The object type whose cases are meant, where a log has several.")] = "",
    per_case: Annotated[bool, typer.Option("--per-case", help="Every case, not only what they add up to.")] = False,
    calendar: Annotated[str, typer.Option(help="Business seconds by this calendar of calendars.toml.")] = "",
    timezone: Annotated[str, typer.Option(help="Times are shown in this zone, and wall-clock seconds beside elapsed ones.")] = "UTC",
    from_start: Annotated[bool, typer.Option("--from-start", help="Begin at the start of the first event, where it has one.")] = False,
    without_suspect: Annotated[bool, typer.Option("--without-suspect", help="Leave out events whose time cannot be right.")] = False,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """How long the cases of a log took, from their first event to their last."""
    from sync_engine.configuration import load_calendars
    from sync_engine.eventlog.cycle_times import Question, cycle_times

    settings = read_settings()
    with expected_errors():
        calendars = load_calendars(settings.config).calendars
    if calendar and calendar not in calendars:
        give_up(f"There is no calendar {calendar!r}; calendars.toml has {', '.join(calendars)}.")
    question = Question(source, case_type, from_start, without_suspect, timezone)
    with _engine_connection() as connection:
        figures = cycle_times(connection, question, calendars.get(calendar))
    figures["calendar"] = calendar or None
    if not per_case:
        del figures["cases"]
    if as_json:
        print_json(figures)
        return
    typer.echo(f"{source}, {figures['case_type']}: {figures['durations']}; times in {figures['time_zone']}.")
    for name, value in figures["summary"].items():
        typer.echo(f"  {name:12} {value}")
    for case in figures.get("cases", []):
        typer.echo(
            f"  {case['case_id']:24} {case['first_event_at']:%Y-%m-%d %H:%M:%S}  {case['events']:4}  {case['duration_s']} s"
        )


@event_logs.command("logs")
def list_logs(
    rejects: Annotated[str, typer.Option(help="Show what could not be read of this log.")] = "",
    as_json: AsJson = False,
) -> None:
    """Which logs are in beside our own, how much is in them, and since when."""
    from sync_engine.eventlog import known

    with _engine_connection() as connection:
        found = known.rejects(connection, rejects) if rejects else known.logs(connection)
    if as_json:
        print_json({"rejects" if rejects else "logs": found})
    elif rejects:
        for one in found:
            where = f"line {one['line']}" if one["line"] else f"record {one['position']}"
            typer.echo(f"{one['file_name']}, {where}: {one['reason']}: {one['value']!r}")
    else:
        for one in found:
            open_files = [file["file"] for file in one["files"] or [] if file["phase"] != "ready"]
            typer.echo(
                f"{one['name']:32} {one['format'] or '':13} {one['events']:>10} events  {one['documents']:>9} objects  in since {one['created_at']:%Y-%m-%d %H:%M}"
                + (f"  not finished: {', '.join(open_files)}" if open_files else "")
            )


@event_logs.command("forget-log")
def forget_log(
    source: Annotated[str, typer.Argument(help="The imported log.")],
    reason: Annotated[str, typer.Option(help="Kept beside the recordings that have no events any more.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove an imported log with everything that came with it. Our own log cannot be removed."""
    import getpass

    from sync_engine.eventlog import known
    from sync_engine.insight import fold

    with expected_errors():
        known.checked_name(source)
    if not yes:
        typer.confirm(f"Remove the log {source!r} with all its events and objects?", abort=True)
    with _engine_connection() as connection, connection.transaction():
        fold.forget(connection, source)
        events = known.forget(connection, source, by_whom=getpass.getuser(), why=reason)
    typer.echo(f"{source} is forgotten: {events} events.")


@event_logs.command("export-log")
def export_log(
    file: Annotated[Path, typer.Argument(dir_okay=False, help="Where to; '.gz' at the end packs CSV, XES and JSON.")],
    kind: Annotated[str, typer.Option("--format", help="ocel2-json, ocel2-sqlite, ocel2-xml, xes, csv or parquet.")],
    source: Source = "finsync",
    case: Annotated[str, typer.Option("--case", help="XES and CSV: the object type whose cases are written.")] = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a log, our own or an imported one, for other tools and for the warehouse."""
    from sync_engine.eventlog.exporting import WRITERS, export

    if kind not in WRITERS:
        give_up(f"--format takes {', '.join(WRITERS)}.")
    if file.exists() and not overwrite:
        give_up(f"{file} is there already; --overwrite replaces it.")
    with _engine_connection() as connection:
        done = export(connection, source, kind, file, case_type=case)
    if as_json:
        print_json(done)
    else:
        typer.echo(f"{file}: {done['events']} events of {source} as {kind}.")
