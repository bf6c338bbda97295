"""Migrations: forward only, each once, whoever runs them; several cells side by side in one database (R147, DESIGN 7)."""

import hashlib
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count

import psycopg
import pytest
from psycopg import sql as compose

from sql import MIGRATIONS, VIEWS
from sync_engine.control.access import Person, acting, open_session, put_people
from sync_engine.control.roles import Role
from sync_engine.database import migrate as migrating
from sync_engine.database.connections import Database, borrowed
from sync_engine.database.migrate import EditedMigration, migrate, pending
from sync_engine.engine.clock import VirtualClock
from tests.conftest import migrated_cell
from tests.house import TUESDAY, House

_names = count(1)


@pytest.fixture
def cell():
    return f"migrated_{next(_names)}"


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Folders of migrations and views of our own, to be filled by the test."""
    made = {}
    for name, source in (("MIGRATIONS", MIGRATIONS), ("VIEWS", VIEWS)):
        made[name] = tmp_path / name.lower()
        made[name].mkdir()
        monkeypatch.setattr(migrating, name, made[name])
        made[f"all {name}"] = sorted(source.glob("*.sql"))
    return made


def connect(server):
    return psycopg.connect(server.url(), autocommit=True)


def picture(connection, cell):
    """Everything the catalogue says of a schema, without its name."""
    asked = {
        "columns": "SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns WHERE table_schema = %s",
        "constraints": "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = %s::regnamespace",
        "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = %s",
        "policies": "SELECT tablename, policyname, roles::text, cmd, qual, with_check FROM pg_policies WHERE schemaname = %s",
        "grants": "SELECT grantee, table_name, privilege_type FROM information_schema.role_table_grants WHERE table_schema = %s",
        "column grants": "SELECT grantee, table_name, column_name, privilege_type FROM information_schema.role_column_grants WHERE table_schema = %s",
        "functions": "SELECT proname, prosrc, prosecdef, proconfig::text, proacl::text FROM pg_proc WHERE pronamespace = %s::regnamespace",
        "views": "SELECT viewname, definition FROM pg_views WHERE schemaname = %s",
    }
    connection.execute(compose.SQL("SET search_path TO {}").format(compose.Identifier(cell)))
    return {
        what: sorted(str(row).replace(cell, "<cell>") for row in connection.execute(query, [cell]))
        for what, query in asked.items()
    }


def test_step_by_step_and_all_at_once_end_the_same(server, cell, folders):
    step_by_step, at_once = f"{cell}_steps", f"{cell}_at_once"
    with connect(server) as connection:
        for path in folders["all MIGRATIONS"]:
            shutil.copy(path, folders["MIGRATIONS"])
            assert migrate(connection, cell=step_by_step, release=path.name).applied == (path.name,)
        for path in folders["all VIEWS"]:
            shutil.copy(path, folders["VIEWS"])
            assert migrate(connection, cell=step_by_step, release=path.name).applied == ()
        done = migrate(connection, cell=at_once, release="1")
        assert done.applied == tuple(path.name for path in folders["all MIGRATIONS"])
        assert done.views == tuple(path.name for path in folders["all VIEWS"])
        first, second = picture(connection, step_by_step), picture(connection, at_once)
    assert {what for what in first if first[what] != second[what]} == set()
    assert all(first.values()), "each part of the picture shows something"


def test_alerts_of_before_are_the_same_alerts_afterwards(server, cell, folders):
    """0009 names what an alert is about by its subject; those that were there keep theirs, and who had settled them."""
    before = [path for path in folders["all MIGRATIONS"] if path.name < "0009"]
    for path in before:
        shutil.copy(path, folders["MIGRATIONS"])
    with connect(server) as connection:
        migrate(connection, cell=cell, release="1")
        connection.execute(
            "INSERT INTO alert (alert_id, rule, document_id, deadline_on, state, severity, message, owner_team, fired_at, resolved_at)"
            " VALUES (gen_random_uuid(), 'r', '00000000-0000-0000-0000-000000000001', '2026-09-20', 'firing', 'high', 'm', 't', now(), NULL),"
            " (gen_random_uuid(), 'r', '00000000-0000-0000-0000-000000000002', '2026-09-21', 'resolved', 'high', 'm', 't', now(), now())"
        )
        for path in folders["all MIGRATIONS"]:
            shutil.copy(path, folders["MIGRATIONS"])
        migrate(connection, cell=cell, release="2")
        found = connection.execute(
            "SELECT subject, occasion, is_found, resolved_by FROM alert ORDER BY subject"
        ).fetchall()
        is_forced = connection.execute(
            "SELECT relforcerowsecurity FROM pg_class WHERE oid = 'alert'::regclass"
        ).fetchone()
    assert found == [
        ("document:00000000-0000-0000-0000-000000000001", "2026-09-20", True, None),
        ("document:00000000-0000-0000-0000-000000000002", "2026-09-21", False, "finsync"),
    ]
    assert is_forced == (True,)


def test_imported_documents_of_before_name_their_last_event(server, cell, folders):
    """0042: those of an import that was begun anew never came to name it; what only others name has none."""
    for path in folders["all MIGRATIONS"]:
        if path.name < "0042":
            shutil.copy(path, folders["MIGRATIONS"])
    led, named = "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"
    with connect(server) as connection:
        migrate(connection, cell=cell, release="1")
        for document_id in (led, named):
            connection.execute(
                "INSERT INTO document (document_id, document_type, correlation_id, number, source, source_system, state, approval_status, posting_status, state_since, created_at, updated_at)"
                " VALUES (%s, 'order', gen_random_uuid(), '1', 'theirs', 'theirs', 'x', 'not_required', 'not_submitted', now(), now(), now())",
                [document_id],
            )
        for seq in (1, 2):
            connection.execute(
                "INSERT INTO event (recording_id, ordinal, recorded_at, document_id, seq, document_type, correlation_id, business_unit, source, activity, event_at, observed_at, system, actor, state_to, approval_status, posting_status, document_version)"
                " VALUES (gen_random_uuid(), 0, '2026-09-20', %s, %s, 'order', gen_random_uuid(), '', 'theirs', 'a', now(), now(), 'theirs', '', 'x', 'not_required', 'not_submitted', 1)",
                [led, seq],
            )
        shutil.copy(
            next(path for path in folders["all MIGRATIONS"] if path.name.startswith("0042")), folders["MIGRATIONS"]
        )
        migrate(connection, cell=cell, release="2")
        found = connection.execute(
            "SELECT last_event_seq, (last_event_at AT TIME ZONE 'UTC')::date::text FROM document ORDER BY document_id"
        ).fetchall()
        forced = connection.execute(
            "SELECT bool_and(relforcerowsecurity) FROM pg_class WHERE oid IN ('document'::regclass, 'event'::regclass)"
        ).fetchone()
    assert found == [(2, "2026-09-20"), (None, None)]
    assert forced == (True,)


def test_a_second_run_changes_nothing(any_server, cell):
    with connect(any_server) as connection:
        first = migrate(connection, cell=cell, release="1")
        before = picture(connection, cell)
        again = migrate(connection, cell=cell, release="2")
        assert first.applied
        assert first.views
        assert (again.applied, again.views) == ((), ())
        assert picture(connection, cell) == before
        assert pending(connection) == []


def test_what_was_applied_is_on_record_with_digest_release_and_user(server, cell):
    """SOX: which change came when, under which release, by whom."""
    with connect(server) as connection:
        migrate(connection, cell=cell, release="1.2.3")
        rows = connection.execute(
            "SELECT name, sha256, release, applied_by, applied_at <= clock_timestamp() FROM schema_migration ORDER BY name"
        ).fetchall()
    expected = [
        (path.name, hashlib.sha256(path.read_bytes()).hexdigest(), "1.2.3", "postgres", True)
        for path in sorted(MIGRATIONS.glob("*.sql"))
    ]
    assert rows == expected


def test_a_migration_that_was_edited_after_it_was_applied_is_refused(server, cell, folders):
    for path in folders["all MIGRATIONS"]:
        shutil.copy(path, folders["MIGRATIONS"])
    with connect(server) as connection:
        migrate(connection, cell=cell, release="1")
        edited = folders["MIGRATIONS"] / folders["all MIGRATIONS"][0].name
        edited.write_text(edited.read_text() + "\n-- only a comment\n")
        (folders["MIGRATIONS"] / "9999_next.sql").write_text("CREATE TABLE next (x int PRIMARY KEY)")
        with pytest.raises(EditedMigration, match=f"{edited.name} was applied and has been edited"):
            migrate(connection, cell=cell, release="2")
        assert connection.execute("SELECT to_regclass('next')").fetchone() == (None,), (
            "nothing after it is applied either"
        )
        edited.write_text(folders["all MIGRATIONS"][0].read_text())
        assert migrate(connection, cell=cell, release="3").applied == ("9999_next.sql",), (
            "the refused run holds no lock"
        )


def test_a_migration_that_fails_leaves_nothing_of_itself_and_can_be_repaired(server, cell, folders):
    for path in folders["all MIGRATIONS"]:
        shutil.copy(path, folders["MIGRATIONS"])
    broken = folders["MIGRATIONS"] / "9999_next.sql"
    broken.write_text("CREATE TABLE next (x int PRIMARY KEY); SELECT 1 / 0;")
    with connect(server) as connection:
        with pytest.raises(psycopg.errors.DivisionByZero):
            migrate(connection, cell=cell, release="1")
        assert connection.execute("SELECT to_regclass('next')").fetchone() == (None,)
        assert pending(connection) == ["9999_next.sql"]
        broken.write_text("CREATE TABLE next (x int PRIMARY KEY)")
        assert migrate(connection, cell=cell, release="2").applied == ("9999_next.sql",)


def test_a_view_that_reads_differently_is_replaced_and_the_application_may_read_it(server, cell, folders):
    for name in ("MIGRATIONS", "VIEWS"):
        for path in folders[f"all {name}"]:
            shutil.copy(path, folders[name])
    with connect(server) as connection:
        migrate(connection, cell=cell, release="1")
        view = folders["VIEWS"] / "90_more.sql"
        view.write_text("CREATE VIEW more WITH (security_invoker = true) AS SELECT 1 AS x FROM document")
        assert migrate(connection, cell=cell, release="2").views == tuple(
            path.name for path in sorted(folders["VIEWS"].glob("*.sql"))
        )
        view.write_text("CREATE VIEW more WITH (security_invoker = true) AS SELECT 1 AS x, 2 AS y FROM document")
        assert migrate(connection, cell=cell, release="3").views
        assert connection.execute("SELECT has_table_privilege('finsync_app', 'more', 'SELECT')").fetchone() == (True,)
        view.unlink()
        migrate(connection, cell=cell, release="4")
        assert connection.execute("SELECT to_regclass('more')").fetchone() == (None,)


def test_two_migrators_at_once_apply_everything_once(any_server, cell):
    def run(_):
        with connect(any_server) as connection:
            return migrate(connection, cell=cell, release="1").applied

    with ThreadPoolExecutor(4) as pool:
        done = sorted(pool.map(run, range(4)), key=len)
    assert done == [(), (), (), tuple(path.name for path in sorted(MIGRATIONS.glob("*.sql")))]


def test_a_connection_in_a_transaction_is_refused(server, cell):
    with psycopg.connect(server.url()) as connection, pytest.raises(ValueError, match="their own transactions"):
        migrate(connection, cell=cell, release="1")


@pytest.mark.parametrize("name", ["Europe", "eu-1", 'a "b" c', "select"])
def test_a_cell_may_be_called_anything(server, cell, name):
    with connect(server) as connection:
        assert migrate(connection, cell=f"{name} {cell}", release="1").applied


def test_two_cells_in_one_database_share_nothing(server):
    """Each has its own documents, its own work, its own people; an engine of one does nothing in the other."""
    with ExitStack() as stack:
        houses = []
        for seed in (1, 2):
            database = migrated_cell(server)
            pool = database.engine("finsync_engine", pool_size=1)
            stack.callback(pool.dispose)
            connection = stack.enter_context(borrowed(pool))
            houses.append(House(VirtualClock(TUESDAY), connection, database, seed=seed))
        first, second = houses
        order_of_first = first.order_one()[1]
        assert second.documents("requisition") == []
        second.submit(title="only here")
        second.submit(title="and here")
        second.run(minutes=10)
        first.run(minutes=10)
        assert [d[1] for d in first.documents("requisition")] == ["ordered"]
        assert len(second.documents("requisition")) == 2
        assert (first.live_orders(), second.live_orders()) == ([order_of_first], [])


def test_a_session_of_one_cell_opens_nothing_in_another(server):
    here, there = migrated_cell(server), migrated_cell(server)
    for database in (here, there):
        with database.connected("finsync_engine") as connection:
            put_people(connection, [Person("leader", "Leader", frozenset({Role.FINANCE_LEADER}), ("*",))], now=TUESDAY)
    gate, app_here, app_there = (
        here.engine("finsync_gate", pool_size=1),
        here.engine("finsync_app", pool_size=1),
        there.engine("finsync_app", pool_size=1),
    )
    token = open_session(gate, "leader", hours=1).token
    with acting(app_here, token) as connection:
        assert connection.execute("SELECT session_user_id()").fetchone() == ("leader",)
        other = compose.Identifier(there.cell)
        assert connection.execute(compose.SQL("SELECT {}.session_user_id()").format(other)).fetchone() == (None,)
        assert connection.execute(compose.SQL("SELECT count(*) FROM {}.command").format(other)).fetchone() == (0,)
    with acting(app_there, token) as connection:
        assert connection.execute("SELECT session_user_id()").fetchone() == (None,)
    for pool in (gate, app_here, app_there):
        pool.dispose()


def test_a_database_without_logins_takes_the_roles_on(server, cell):
    """One DATABASE_URL for all: the owner's connection takes the role on, with its rights and its search path."""
    with connect(server) as connection:
        migrate(connection, cell=cell, release="1")
    database = Database(server.url(), cell=cell)
    with database.connected("finsync_app") as connection:
        assert connection.execute("SELECT current_user, current_schema()").fetchone() == ("finsync_app", cell)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM document")
