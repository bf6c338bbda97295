"""The command line as somebody uses it: real processes, a real database, exit codes."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import typer
from typer.testing import CliRunner

from sync_engine.cli.commands import app
from sync_engine.cli.demo import AlreadyRunning, NotADemo, begin_anew, only_one, past_of
from sync_engine.engine import store
from sync_engine.engine.beginning import begin_document
from sync_engine.engine.clock import VirtualClock
from sync_engine.engine.outcomes import Spawn
from sync_engine.engine.recording import Recording
from tests.toy import NOON, ToyErp, order, toy_engine

ROOT = Path(__file__).parents[2]
FINISHED = (
    "requisitions",
    "purchase_orders_in_erp",
    "invoices",
    "invoices_payment_ready",
    "exceptions_by_category",
    "transitions",
    "wall_s",
    "transitions_per_s",
)


@pytest.fixture
def finsync(server):
    """Runs the command line against the test's own server."""
    home = server.data.parent.parent

    def run(*arguments, **environment):
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("FINSYNC_") and name != "DATABASE_URL"
        }
        return subprocess.run(
            [sys.executable, "-m", "sync_engine.cli", *arguments],
            cwd=ROOT,
            env={**inherited, "FINSYNC_HOME": str(home), "COLUMNS": "200", **environment},
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )

    return run


@pytest.fixture
def told(server):
    """What the command line says within this process, for commands that soon end; a process of its own takes seconds to load."""

    def run(*arguments, **environment):
        settings = {
            "FINSYNC_HOME": str(server.data.parent.parent),
            "DATABASE_URL": None,
            "COLUMNS": "200",
            **environment,
        }
        return CliRunner().invoke(app, arguments, env=settings)

    return run


@pytest.mark.long
def test_the_headless_demo_prints_its_figures_and_finds_nothing_lost_or_ordered_twice(finsync):
    """The four zeros of the issue, on four days (a weekend is two of them at most); 14 days with several seeds are a command for people."""
    done = finsync("demo", "--headless", "--json", "--days", "4", "--seed", "5")
    figures = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    zeros = ("requisitions_with_two_live_orders", "events_lost", "parked_without_reason", "reconciliation_differences")
    assert {name: figures[name] for name in zeros} == dict.fromkeys(zeros, 0)
    assert set(FINISHED) <= set(figures)
    assert figures["requisitions"] > 20
    assert figures["purchase_orders_in_erp"] > 10
    assert figures["transitions"] > figures["requisitions"] * 5


def test_a_demo_cell_belongs_to_one_demo_at_a_time(database):
    with only_one(database), pytest.raises(AlreadyRunning, match=database.cell), only_one(database):
        pytest.fail("two demos in one cell")
    with only_one(database):
        assert past_of(database) is None


def test_a_demo_never_touches_documents_that_it_did_not_make(database, connection):
    _put_document(connection)
    with pytest.raises(NotADemo, match="FINSYNC_CELL"):
        begin_anew(database)
    assert len(store.rows(connection, "demo.any_document")) == 1


def test_a_demo_leaves_a_cell_alone_that_holds_tables_of_somebody_else(database, connection, noon):
    store.run(connection, "demo.begin_past", seed=7, begins_at=noon - timedelta(days=3), ends_at=noon)
    with database.connect_owner() as owner:
        owner.execute(f'CREATE TABLE "{database.cell}".payroll (secret text)'.encode())
    with pytest.raises(NotADemo, match="payroll"):
        begin_anew(database)


def test_beginning_anew_forgets_the_demo_that_was(database, connection, noon):
    store.run(connection, "demo.begin_past", seed=7, begins_at=noon - timedelta(days=3), ends_at=noon)
    _put_document(connection)
    begin_anew(database)
    assert past_of(database) is None


def test_a_past_can_be_gone_on_with_only_when_it_was_stopped_in_good_order(database, connection, noon):
    store.run(connection, "demo.begin_past", seed=7, begins_at=noon - timedelta(days=3), ends_at=noon)
    store.run(connection, "demo.reach_past", reached_at=noon - timedelta(days=2))
    assert not past_of(database).can_go_on
    store.run(connection, "demo.rest_past", reached_at=noon - timedelta(days=1))
    assert past_of(database).can_go_on
    assert past_of(database).reached_at == noon - timedelta(days=1)
    store.run(connection, "demo.begin_past", seed=7, begins_at=noon - timedelta(days=3), ends_at=noon)
    assert not past_of(database).can_go_on  # running again: cut off now, it would have to begin anew
    store.run(connection, "demo.finish_past", finished_at=noon)
    assert past_of(database).can_go_on


def test_pages_speak_of_the_time_a_past_has_reached_until_it_is_complete(database, connection, noon):
    began = datetime.now(UTC)
    with database.connected("finsync_app") as page:
        assert store.rows(page, "report.visit", most=1)[0]["as_of"] >= began
        store.run(connection, "demo.begin_past", seed=7, begins_at=noon - timedelta(days=3), ends_at=noon)
        store.run(connection, "demo.reach_past", reached_at=noon - timedelta(days=2))
        reached = store.rows(page, "report.visit", most=1)[0]
        assert reached["as_of"] == noon - timedelta(days=2)
        assert (reached["begins_at"], reached["ends_at"]) == (noon - timedelta(days=3), noon)
        store.run(connection, "demo.finish_past", finished_at=noon)
        assert store.rows(page, "report.visit", most=1)[0]["as_of"] >= began


def test_migrate_says_what_it_applied_and_does_nothing_the_second_time(told):
    cell = {"FINSYNC_CELL": f"migrated_{uuid4().hex[:8]}"}
    first = told("migrate", **cell)
    assert "0001_documents.sql" in first.stdout, first.stderr
    assert "nothing new" in told("migrate", **cell).stdout


def test_doctor_finds_a_sound_evaluation_and_shows_no_secret(told):
    cell = f"doctor_{uuid4().hex[:8]}"
    told("migrate", FINSYNC_CELL=cell)
    done = told("doctor", "--json", FINSYNC_CELL=cell, FINSYNC_COOKIE_SECRET="never-shown-anywhere")
    found = json.loads(done.stdout)
    by_subject = {finding["subject"]: finding for finding in found["findings"]}
    assert done.exit_code == 0, found
    assert found["passed"] is True
    assert by_subject["FINSYNC_COOKIE_SECRET"]["says"] == "set"
    assert "never-shown-anywhere" not in done.stdout + done.stderr
    assert by_subject["schema"]["grade"] == "ok"
    assert (by_subject["retention"]["grade"], by_subject["retention"]["says"]) == ("ok", "Nothing is due.")
    assert by_subject["identity provider"]["grade"] == "warning"
    assert by_subject["durability: fsync"]["grade"] == "warning"  # the test server's is off, and it says so


def test_production_refuses_a_half_configured_start_and_names_every_gap(finsync):
    """No embedded server, no identity provider, durability off: each is said with what to do (RELIABILITY 3, DESIGN 6)."""
    done = finsync("engine", FINSYNC_MODE="production")
    assert done.returncode == 2
    for gap in ("embedded server", "FINSYNC_OIDC_METADATA_URL", "fsync", "FINSYNC_COUPA_CLIENT_ID"):
        assert gap in done.stderr
    assert finsync("doctor", FINSYNC_MODE="production").returncode == 1
    assert finsync("demo", FINSYNC_MODE="production").returncode == 2


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"FINSYNC_CELL": "No Cell"}, "FINSYNC_CELL"),
        ({"FINSYNC_APP_PORT": "eighty"}, "eighty"),
        ({"FINSYNC_CONFIG": "/nowhere"}, "/nowhere"),
        ({"DATABASE_URL": "postgresql://127.0.0.1:1/none"}, "database"),
    ],
)
def test_a_wrong_setting_is_told_in_a_sentence_with_its_value(told, environment, says):
    done = told("reconcile", **environment)
    assert done.exit_code == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_the_switchboard_is_missed_in_a_sentence(told):
    done = told("sandbox", "break", "s4hana", "--posting-period", "closed")
    assert done.exit_code == 2
    assert "make demo" in done.stderr
    assert "closed or open" in told("sandbox", "break", "s4hana", "--posting-period", "ajar").stderr
    assert "lever=value" in told("sandbox", "break", "s4hana").stderr


def _put_document(connection):
    engine = toy_engine(ToyErp(), VirtualClock(NOON))
    recording = Recording(engine.engine_id, NOON, engine.setup.new_id)
    begin_document(recording, Spawn(order("4711"), "order_drafted"), engine.setup, parent=None)
    with connection.transaction():
        store.write(connection, recording)


def test_nothing_that_a_help_text_says_is_taken_for_markup():
    """Words in brackets are styles to whoever draws the help: "needs the extra [bench]" named none."""
    found, commands = [], [typer.main.get_command(app)]
    while commands:
        command = commands.pop()
        texts = [command.help or "", *(getattr(one, "help", None) or "" for one in command.params)]
        found += [f"{command.name}: {text}" for text in texts if re.search(r"\[[a-z]", text)]
        commands += getattr(command, "commands", {}).values()
    assert found == []
