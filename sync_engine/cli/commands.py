"""The commands of `finsync`. Each reads the environment, does one thing, and ends with 0 when it went well, 1 when what it
looked at is not as it should be, and 2 when it could not be done at all."""

import json
from typing import Annotated, Any

import typer

from sync_engine.cli.event_logs import event_logs
from sync_engine.cli.measuring import bench
from sync_engine.cli.rollups import rollups
from sync_engine.cli.simulation import simulation
from sync_engine.cli.speaking import AsJson
from sync_engine.cli.speaking import expected_errors as _expected_errors
from sync_engine.cli.speaking import give_up as _give_up
from sync_engine.cli.speaking import read_settings as _settings
from sync_engine.settings import Settings, release

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Finance Workflow Sync: moves purchasing documents between systems, and shows what is stuck.",
)
sandbox = typer.Typer(
    no_args_is_help=True, help="The company in the sandbox: break something, watch it surface, repair it."
)
app.add_typer(sandbox, name="sandbox")
app.add_typer(bench, name="bench")
app.add_typer(event_logs)
app.add_typer(rollups)
app.add_typer(simulation)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(release())
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def _print(figures: dict[str, Any]) -> None:
    typer.echo(json.dumps(figures, indent=2, default=str, ensure_ascii=False))


@app.command()
def migrate() -> None:
    """Bring the cell's schema up to date; in evaluation mode also make the people of people.toml known."""
    from sync_engine.cli.wiring import bring_up_to_date, make_people_known
    from sync_engine.opening import opened

    settings = _settings()
    with _expected_errors(), opened(settings) as database:
        done = bring_up_to_date(database)
        make_people_known(settings, database)
    typer.echo(f"The cell {done.cell!r} is up to date; applied: {', '.join(done.applied) or 'nothing new'}.")


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check every setting, the database's durability and rights, the schema, the systems and the identity provider."""
    from sync_engine.cli.doctor import Grade, examine, passed

    findings = examine(_settings())
    if as_json:
        _print({"passed": passed(findings), "findings": [finding.as_json() for finding in findings]})
    else:
        colours = {Grade.OK: typer.colors.GREEN, Grade.WARNING: typer.colors.YELLOW, Grade.ERROR: typer.colors.RED}
        for finding in findings:
            typer.echo(
                typer.style(f"{finding.grade.value:8}", fg=colours[finding.grade])
                + f"{finding.subject}: {finding.says}"
                + (f"\n        {finding.remedy}" if finding.remedy else "")
            )
    raise typer.Exit(0 if passed(findings) else 1)


def _refuse_unsafe_production(settings: Settings) -> None:
    if not settings.is_production:
        return
    from sync_engine.cli.doctor import examine, passed

    findings = examine(settings)
    if not passed(findings):
        _give_up(
            "Production mode refuses to start:\n"
            + "\n".join(f"  {one.subject}: {one.says} {one.remedy}" for one in findings if one.grade == "error")
        )


@app.command()
def engine(
    in_sandbox: Annotated[bool, typer.Option("--sandbox", help="Work on the running sandbox company.")] = False,
) -> None:
    """Run an engine until it is told to stop. Any number may run on one database."""
    from sync_engine.cli.engine_process import run_engine
    from sync_engine.cli.logs import set_up_logs
    from sync_engine.cli.sandbox_remote import sandbox_systems
    from sync_engine.cli.stopping import told_to_stop
    from sync_engine.configuration import load_systems

    settings = _settings()
    set_up_logs()
    with _expected_errors():
        if in_sandbox:
            systems, access = sandbox_systems(settings)
        else:
            _refuse_unsafe_production(settings)
            systems = load_systems(settings.config)
            access = systems.access
        with told_to_stop() as stop:
            run_engine(settings, systems, access, stop)


@app.command(name="app")
def run_application() -> None:
    """Serve the dashboard until it is told to stop."""
    from sync_engine.cli.app_process import run_app
    from sync_engine.cli.listening import is_taken
    from sync_engine.cli.logs import set_up_logs

    settings = _settings()
    set_up_logs()
    with _expected_errors():
        _refuse_unsafe_production(settings)
        if is_taken(settings.app_host, settings.app_port):
            _give_up(f"Port {settings.app_port} is taken; set FINSYNC_APP_PORT to another one.")
        run_app(settings)


@app.command(name="api")
def run_canonical_api() -> None:
    """Serve the canonical API until it is told to stop."""
    from sync_engine.cli.api_process import run_api
    from sync_engine.cli.listening import is_taken
    from sync_engine.cli.logs import set_up_logs

    settings = _settings()
    set_up_logs()
    with _expected_errors():
        _refuse_unsafe_production(settings)
        if is_taken(settings.api_host, settings.api_port):
            _give_up(f"Port {settings.api_port} is taken; set FINSYNC_API_PORT to another one.")
        run_api(settings)


@app.command()
def token(
    user_id: Annotated[str, typer.Argument(help="A person or service that is known here.")],
    hours: Annotated[float, typer.Option(min=0.01, max=24 * 366, help="How long it opens the API.")] = 12.0,
) -> None:
    """Print a token for the canonical API. It opens what its owner may see; who holds it is its owner."""
    from sync_engine.control.access import NotKnown, open_session
    from sync_engine.opening import opened

    settings = _settings()
    with _expected_errors(), opened(settings) as database:
        gate = database.engine("finsync_gate", pool_size=1)
        try:
            typer.echo(open_session(gate, user_id, hours=hours).token)
        except NotKnown as error:
            _give_up(error)
        finally:
            gate.dispose()


@app.command()
def up() -> None:
    """Run engine and dashboard together over the systems of systems.toml."""
    from sync_engine.cli.demo_life import run_together

    settings = _settings()
    with _expected_errors():
        _refuse_unsafe_production(settings)
        run_together(settings)


@app.command()
def demo(
    days: Annotated[int, typer.Option(min=1, max=400, help="How much past to produce.")] = 90,
    seed: Annotated[int, typer.Option(help="One seed is one company.")] = 7,
    headless: Annotated[bool, typer.Option(help="Produce, compare the ledgers, print the figures, end.")] = False,
    anew: Annotated[bool, typer.Option(help="Forget the past that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Produce a company's past with the real engine, then let it live on with the dashboard open."""
    settings = _settings()
    if settings.is_production:
        _give_up("The demo does not run in production mode.")
    with _expected_errors():
        if not headless:
            from sync_engine.cli.demo_life import live

            live(settings, days=days, seed=seed, anew=anew)
        else:
            _show_figures(_headless(settings, days=days, seed=seed), as_json=as_json)


def _headless(settings: Settings, *, days: int, seed: int) -> dict[str, Any]:
    from sync_engine.cli.demo import Stopped, headless
    from sync_engine.cli.progress import days_bar
    from sync_engine.cli.stopping import told_to_stop
    from sync_engine.opening import opened

    with opened(settings) as database, told_to_stop() as stop, days_bar(days) as show:
        try:
            return headless(settings, database, days=days, seed=seed, progress=show, stop=stop)
        except Stopped:
            _give_up("Stopped before it was done; there is nothing to compare.")


def _show_figures(figures: dict[str, Any], *, as_json: bool) -> None:
    from sync_engine.cli.demo import is_clean

    if as_json:
        _print(figures)
    else:
        for name, value in figures.items():
            if not isinstance(value, list | dict):
                typer.echo(f"{name.replace('_', ' '):36} {value}")
        for difference in figures["differences"]:
            typer.echo(f"  {difference['sentence']}")
    raise typer.Exit(0 if is_clean(figures) else 1)


@app.command()
def reconcile(
    in_sandbox: Annotated[bool, typer.Option("--sandbox", help="Compare with the running sandbox company.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare the systems' own books with ours; ends with 1 when anything differs."""
    import time
    from random import SystemRandom

    from sync_engine.cli.sandbox_remote import sandbox_systems
    from sync_engine.cli.wiring import connect_systems, make_setup
    from sync_engine.configuration import load_systems
    from sync_engine.engine import promote
    from sync_engine.engine.engine import database_now
    from sync_engine.insight.reconcile import reconcile as compare
    from sync_engine.insight.reconcile import remember
    from sync_engine.model.errors import SyncError
    from sync_engine.opening import opened

    settings = _settings()
    with _expected_errors(), opened(settings) as database:
        if in_sandbox:
            systems, access = sandbox_systems(settings)
        else:
            systems = load_systems(settings.config)
            access = systems.access
        setup = make_setup(promote.load(settings.config), systems, rng=SystemRandom())
        sessions = connect_systems(setup, systems, timer=time.perf_counter, access=access)
        try:
            with database.connected("finsync_engine") as connection:
                found = compare(connection, setup, sessions)
                remember(connection, found.differences, now=database_now(connection), new_id=setup.new_id)
                figures = found.as_json()
        except SyncError as error:
            _give_up(f"The books of {error.system} cannot be read: {error}")
    _show_figures(figures, as_json=as_json)


@sandbox.command()
def serve(
    first_port: Annotated[int, typer.Option(help="The switchboard's; the systems have the four after it.")] = 8900,
    seed: Annotated[int, typer.Option(help="Of a company that is not there yet.")] = 7,
) -> None:
    """Let the company live on loopback ports until it is told to stop."""
    from sync_engine.cli.logs import set_up_logs
    from sync_engine.cli.sandbox_remote import serve_company
    from sync_engine.cli.stopping import told_to_stop

    settings = _settings()
    set_up_logs()
    with told_to_stop() as stop:
        try:
            serve_company(settings.home, first_port, stop, seed=seed)
        except OSError as error:
            _give_up(f"The ports from {first_port} on cannot be used: {error}")


@sandbox.command()
def status() -> None:
    """What the company is, where its systems listen, and what is wrong at the moment."""
    _print(_ask_company("GET", "/status"))


@sandbox.command()
def troubles(only_open: Annotated[bool, typer.Option("--open", help="Only those that last.")] = False) -> None:
    """Every trouble the company has had."""
    for told in _ask_company("GET", "/troubles" + ("?open=true" if only_open else ""))["troubles"]:
        typer.echo(f"{told['from'][:16]}  {(told['until'] or 'lasts')[:16]:16}  {told['system']:10}  {told['what']}")


@sandbox.command()
def levers() -> None:
    """What can be broken, with what argument, and what takes it back."""
    for name, lever in _ask_company("GET", "/levers").items():
        typer.echo(
            f"{name:24} {lever['title']}; {lever['argument']}, e.g. {lever['example']} ({', '.join(lever['systems'])})"
        )


System = Annotated[str, typer.Argument(help="coupa, servicenow, s4hana or basware.")]
Levers = Annotated[list[str] | None, typer.Argument(help="lever=value; `finsync sandbox levers` lists them.")]
PostingPeriod = Annotated[str, typer.Option(help="closed or open: of every company code, or the one named.")]
CompanyCode = Annotated[str, typer.Option(help="With --posting-period.")]


@sandbox.command(name="break")
def break_something(
    system: System, pulled: Levers = None, posting_period: PostingPeriod = "", company_code: CompanyCode = ""
) -> None:
    """Break something: `finsync sandbox break s4hana --posting-period closed`, or `... cost_centre_blocked=4711`."""
    _pull("/break", system, pulled or [], posting_period, company_code)


@sandbox.command()
def repair(
    system: System, pulled: Levers = None, posting_period: PostingPeriod = "", company_code: CompanyCode = ""
) -> None:
    """Take back what was broken, with the same arguments."""
    opposite = {"closed": "open", "open": "closed"}
    if posting_period in opposite:
        _pull("/break", system, [], opposite[posting_period], company_code)
    _pull(
        "/repair",
        system,
        pulled or [],
        "" if posting_period in opposite else posting_period,
        company_code,
        may_be_empty=bool(posting_period),
    )


def _pull(
    path: str, system: str, pulled: list[str], posting_period: str, company_code: str, *, may_be_empty: bool = False
) -> None:
    from sync_engine.cli.sandbox_remote import Refused, period_levers

    with _expected_errors():
        named = period_levers(_settings(), posting_period, company_code) if posting_period else []
        for text in pulled:
            name, equals, value = text.partition("=")
            if not equals:
                raise Refused(
                    f"{text!r} names no value; write {name}=value. `finsync sandbox levers` lists what there is."
                )
            named.append((name, value))
        if not named and not may_be_empty:
            raise Refused(
                "Say what: --posting-period closed, or lever=value. `finsync sandbox levers` lists what there is."
            )
    for name, value in named:
        for line in _ask_company("POST", path, {"system": system, "name": name, "value": value})["done"]:
            typer.echo(line)


@sandbox.command()
def submit(
    unit: Annotated[str, typer.Argument(help="The business unit, for instance DE-SOUTH.")],
    amount: Annotated[str | None, typer.Option(help="About how much, in the unit's currency.")] = None,
    contract: Annotated[bool, typer.Option(help="Whether the supplier is under contract.")] = True,
    hurry: Annotated[bool, typer.Option(help="Everybody decides within seconds, whatever the hour.")] = True,
) -> None:
    """Let somebody submit a requisition now; prints its number in procurement."""
    body = {"unit": unit, "amount": amount, "contract": contract, "hurry": hurry}
    typer.echo(_ask_company("POST", "/submit", body)["requisition"])


def _ask_company(method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    from sync_engine.cli.sandbox_remote import ask_company

    with _expected_errors():
        return ask_company(_settings().home, method, path, body)
