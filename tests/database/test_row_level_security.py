"""Nobody sees or asks for anything beyond their business units, whatever they send to the database (P6, I7, R105, R139)."""

import itertools
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql as compose

from sync_engine.control.access import (
    NotKnown,
    Person,
    acting,
    end_session,
    open_session,
    people,
    person_of,
    put_people,
)
from sync_engine.control.roles import Role
from sync_engine.database.connections import borrowed
from tests.database.rows import UNITS, fill, id_of, tables
from tests.house import TUESDAY

NOBODYS = {
    "alert_rule_version": "the alert rules, and who changed them",
    "business_unit": "the names of the units themselves",
    "calendar_interval": "working hours",
    "config_version": "the configuration in force",
    "engine_instance": "which engines run",
    "expiry": "on which day a secret or certificate ends",
    "feed_state": "where each feed stands",
    "inbound_pending": "ids of messages that wait, and when they came",
    "job_run": "which jobs ran",
    "job_state": "how each job stands",
    "objective": "the objectives in force",
    "produced_past": "where the demo's clock stands",
    "record_check": "how many events were counted again, and when",
    "recording": "counts and Merkle roots",
    "rollup_begun": "since when each log is folded",
    "rollup_closed": "which periods are added up",
    "schema_migration": "which migrations were applied",
    "standing_judged": "as of when what is open was judged",
    "step_told": "of which days of a log something was told since they were worked out",
    "system_state": "how each system is",
}
"""What the application may read without a business unit: nothing in it is about a document."""


@pytest.fixture(scope="module")
def world(_servers):
    """A cell with a row per unit in every table, and engines as the application and the gate."""
    from tests.conftest import _server, drop_cell, new_cell

    database = new_cell(_server(_servers, "embedded", None))
    with database.connect_owner() as owner:
        owner.execute(compose.SQL("SET search_path TO {}").format(compose.Identifier(database.cell)))
        fill(owner)
    engine, app, gate = (
        database.engine(role, pool_size=2) for role in ("finsync_engine", "finsync_app", "finsync_gate")
    )
    yield database, engine, app, gate
    for pool in (engine, app, gate):
        pool.dispose()
    drop_cell(database)


@pytest.fixture
def enter(world):
    """Opens a session for a new person with sight of some units."""
    _, engine, _, gate = world
    names = (f"person.{number}@{uuid4().hex[:8]}" for number in itertools.count(1))

    def open_for(*units, roles=(Role.FINANCE_OPERATIONS,), hours=1.0):
        person = Person(next(names), "Somebody", frozenset(roles), units)
        with borrowed(engine) as connection:
            put_people(connection, [person], now=TUESDAY)
        return open_session(gate, person.user_id, hours=hours)

    return open_for


def readable(connection):
    """(name, has row level security, is a view) of everything the connection's role may select from."""
    return connection.execute(
        """SELECT relname, relrowsecurity, relkind = 'v' FROM pg_class
            WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f') AND has_table_privilege(oid, 'SELECT')
            ORDER BY relname"""
    ).fetchall()


def everything(connection):
    """All a connection can read of what belongs to business units: relation to its rows as text."""
    seen = {}
    for name, _, _ in readable(connection):
        if name not in NOBODYS:
            seen[name] = [
                str(row) for row in connection.execute(compose.SQL("SELECT * FROM {}").format(compose.Identifier(name)))
            ]
    return seen


def of(unit, rows):
    """The rows that are a unit's: they carry its name, or its id."""
    return [row for row in rows if unit in row or str(id_of(unit)) in row]


def test_the_application_reads_nothing_unguarded_but_what_is_nobodys(world):
    _, _, app, _ = world
    with borrowed(app) as connection:
        unguarded = {name for name, guarded, is_view in readable(connection) if not guarded and not is_view}
    assert unguarded == set(NOBODYS)


def test_nobodys_tables_have_no_business_unit(world):
    database, *_ = world
    with database.connect_owner() as owner:
        bearing = {
            name
            for (name,) in owner.execute(
                "SELECT table_name FROM information_schema.columns WHERE table_schema = %s AND column_name = 'business_unit'",
                [database.cell],
            )
        }
    assert bearing & set(NOBODYS) == set()


def test_without_a_session_nothing_is_there(world):
    _, _, app, _ = world
    with borrowed(app) as connection:
        assert {name: rows for name, rows in everything(connection).items() if rows} == {}


@pytest.mark.parametrize("unit", UNITS)
def test_a_session_sees_the_rows_of_its_unit_in_every_table_and_view_and_no_other(world, enter, unit):
    _, _, app, _ = world
    [other] = set(UNITS) - {unit}
    with acting(app, enter(unit).token) as connection:
        seen = everything(connection)
    assert {name: of(other, rows) for name, rows in seen.items() if of(other, rows)} == {}
    empty = {name for name, rows in seen.items() if not of(unit, rows)}
    assert empty == set(), "a table in which nobody sees anything proves nothing"


def test_two_units_are_both_and_a_star_is_all(world, enter):
    _, _, app, _ = world
    for units in (UNITS, ("*",)):
        with acting(app, enter(*units).token) as connection:
            for name, rows in everything(connection).items():
                assert all(of(unit, rows) for unit in UNITS), name


@pytest.mark.parametrize("units", [(), ("MOON",), ("de-south",), ("DE-SOUTH ",), ("DE",), ("%",), ("",)])
def test_units_that_are_not_quite_theirs_show_nothing(world, enter, units):
    _, _, app, _ = world
    with acting(app, enter(*units).token) as connection:
        assert not any(everything(connection).values())


@pytest.mark.parametrize("ask", ["count(*)", "sum(group_amount)", "max(number)"])
def test_counts_and_sums_hold_nothing_of_others(world, enter, ask):
    _, _, app, _ = world
    with acting(app, enter("MOON").token) as connection:
        assert connection.execute(f"SELECT coalesce(({ask})::text, '0') FROM document").fetchone() == ("0",)


# -- sessions end ----------------------------------------------------------------------------------------------------------


def sees_something(app, token):
    with acting(app, token) as connection:
        return bool(connection.execute("SELECT 1 FROM document").fetchall())


def test_a_session_that_has_ended_shows_nothing_from_then_on(world, enter):
    _, _, app, _ = world
    session, other = enter("*"), enter("*")
    assert sees_something(app, session.token)
    end_session(app, session.token)
    assert not sees_something(app, session.token)
    assert person_of(app, session.token) is None
    assert sees_something(app, other.token), "nobody else's session has ended with it"


def test_a_session_that_has_expired_shows_nothing(world, enter):
    _, _, app, _ = world
    assert not sees_something(app, enter("*", hours=0).token)
    assert not sees_something(app, enter("*", hours=-1).token)


def test_a_person_who_is_disabled_sees_nothing_at_once_and_gets_no_new_session(world, enter):
    database, _, app, gate = world
    session = enter("*")
    with database.connect_owner() as owner:
        owner.execute(
            compose.SQL("UPDATE {}.app_user SET is_active = false WHERE user_id = %s").format(
                compose.Identifier(database.cell)
            ),
            [session.person.user_id],
        )
    assert not sees_something(app, session.token)
    assert person_of(app, session.token) is None
    with pytest.raises(NotKnown, match="is not known here"):
        open_session(gate, session.person.user_id, hours=1)
    assert session.person.user_id not in {person.user_id for person in people(gate)}


def test_a_right_withdrawn_holds_from_the_next_query_on(world, enter):
    _, engine, app, _ = world
    session = enter("*")
    with borrowed(engine) as connection:
        put_people(
            connection,
            [Person(session.person.user_id, "Somebody", frozenset({Role.AUDITOR}), ("MOON",))],
            now=TUESDAY + timedelta(hours=1),
        )
    assert not sees_something(app, session.token)
    now = person_of(app, session.token)
    assert (now.roles, now.units, now.sees_all) == (frozenset({Role.AUDITOR}), ("MOON",), False)


def test_somebody_nobody_knows_gets_no_session(world):
    *_, gate = world
    with pytest.raises(NotKnown):
        open_session(gate, "nobody@nowhere", hours=1)


def test_the_database_keeps_only_a_tokens_digest(world, enter):
    database, *_ = world
    token = enter("*").token
    with database.connect_owner() as owner:
        owner.execute(compose.SQL("SET search_path TO {}").format(compose.Identifier(database.cell)))
        for table in tables(owner):
            rows = owner.execute(compose.SQL("SELECT * FROM {}").format(compose.Identifier(table))).fetchall()
            assert token not in str(rows), table


# -- what injected SQL can try ---------------------------------------------------------------------------------------------

REFUSED = (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction)

STEALS = {
    "guess a session": "SET LOCAL finsync.session = 'guess'",
    "an empty session": "SET LOCAL finsync.session = ''",
    "name a unit": "SET LOCAL finsync.units = '*'",
    "be the engine": "SET ROLE finsync_engine",
    "be the gate": "SET ROLE finsync_gate",
    "be the owner": "SET ROLE postgres",
    "be somebody else altogether": "SET SESSION AUTHORIZATION postgres",
    "drop the role it took on": "RESET ROLE",
    "do without the rules": "SET LOCAL row_security = off",
    "read the sessions": "SELECT * FROM app_session",
    "read the people": "SELECT * FROM app_user",
    "open a session": "SELECT open_session('finance.leader', 'mine', interval '1 hour')",
    "know everybody's messages": "SELECT * FROM inbound_key",
    "read a partition": "SELECT * FROM event_default",
    "read another schema": "SELECT * FROM public.document",
    "read the server's files": "SELECT pg_read_file('/etc/passwd')",
    "run a program": "COPY (SELECT 1) TO PROGRAM 'true'",
    "make a function": "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "make a table": "CREATE TABLE mine (x int)",
    "make a policy": "CREATE POLICY mine ON document USING (true)",
    "switch the rules off": "ALTER TABLE document DISABLE ROW LEVEL SECURITY",
    "own it": "ALTER TABLE document OWNER TO finsync_app",
    "grant it": "GRANT SELECT ON app_session TO finsync_app",
    "a session of their own making": """
        CREATE TEMP TABLE app_user AS SELECT 'thief'::text AS user_id, 'Thief'::text AS name, ARRAY['finance_operations'] AS roles, ARRAY['*'] AS units, true AS is_active;
        CREATE TEMP TABLE app_session AS SELECT sha256(convert_to('mine', 'UTF8')) AS token_hash, 'thief'::text AS user_id,
            now() AS created_at, now() AS last_seen_at, now() + interval '1 hour' AS expires_at, NULL::timestamptz AS ended_at;
        GRANT SELECT ON app_user, app_session TO PUBLIC;
        SET LOCAL finsync.session = 'mine'""",
}


@pytest.mark.parametrize("theft", STEALS.values(), ids=STEALS.keys())
def test_injected_sql_sees_nothing_more(world, enter, theft):
    """Whoever can slip SQL into a query stays within the session it runs in: it is refused, or sees what it saw before."""
    _, _, app, _ = world
    token = enter("US-EAST").token
    with borrowed(app) as connection:
        connection.execute("BEGIN")
        try:
            connection.execute("SELECT set_config('finsync.session', %s, true)", [token])
            connection.execute(theft)
            seen = connection.execute("SELECT business_unit FROM document").fetchall()
            own = connection.execute("SELECT session_units()").fetchone()
        except REFUSED:
            return
        finally:
            connection.execute("ROLLBACK")
        assert seen in ([], [("US-EAST",)])
        assert own in (([],), (["US-EAST"],))


def test_the_look_at_injected_sql_notices_what_is_stolen(world, enter):
    """The control: the session's own token shows exactly its unit."""
    _, _, app, _ = world
    with acting(app, enter("US-EAST").token) as connection:
        assert connection.execute("SELECT business_unit FROM document").fetchall() == [("US-EAST",)]


# -- the application changes nothing ---------------------------------------------------------------------------------------


def test_the_application_can_neither_change_nor_remove_anything_anywhere(world, enter):
    database, _, app, _ = world
    with database.connect_owner() as owner:
        owner.execute(compose.SQL("SET search_path TO {}").format(compose.Identifier(database.cell)))
        names = tables(owner)
        may = owner.execute(
            """SELECT relname, privilege FROM pg_class, unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS privilege
                WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v')
                  AND (has_table_privilege('finsync_app', oid, privilege) OR (privilege IN ('INSERT', 'UPDATE') AND has_any_column_privilege('finsync_app', oid, privilege)))"""
        ).fetchall()
    assert may == [("command", "INSERT")]
    token = enter("*").token
    for name in names:
        for statement in ("DELETE FROM {}", "TRUNCATE {}", "LOCK TABLE {} IN ACCESS EXCLUSIVE MODE"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), acting(app, token) as connection:
                connection.execute(compose.SQL(statement).format(compose.Identifier(name)))


def command(connection, *, actor, roles=("finance_operations",), **more):
    values = {
        "command_id": uuid4(),
        "actor": actor,
        "roles": list(roles),
        "action": "comment",
        "asked_at": TUESDAY,
        **more,
    }
    connection.execute(
        compose.SQL("INSERT INTO command ({}) VALUES ({})").format(
            compose.SQL(", ").join(map(compose.Identifier, values)),
            compose.SQL(", ").join(compose.Placeholder() * len(values)),
        ),
        list(values.values()),
    )
    return values["command_id"]


def test_a_person_asks_in_their_own_name_with_the_rights_they_have(world, enter):
    _, _, app, _ = world
    session = enter("US-EAST")
    with acting(app, session.token) as connection:
        asked = command(connection, actor=session.person.user_id)
        assert connection.execute("SELECT status FROM command WHERE command_id = %s", [asked]).fetchone() == ("asked",)


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param({"actor": "somebody.else"}, id="in somebody else's name"),
        pytest.param({"actor": ""}, id="in nobody's name"),
        pytest.param({"roles": ["auditor"]}, id="with another role"),
        pytest.param({"roles": ["finance_operations", "integration_support"]}, id="with one role more"),
        pytest.param({"roles": []}, id="with no role"),
        pytest.param({"business_unit": "DE-SOUTH"}, id="in another unit's history"),
        pytest.param({"status": "done"}, id="as done already"),
        pytest.param({"result": "{}"}, id="with its own result"),
    ],
)
def test_a_forged_command_is_refused_by_the_database(world, enter, forged):
    _, _, app, _ = world
    session = enter("US-EAST")
    with pytest.raises(psycopg.errors.InsufficientPrivilege), acting(app, session.token) as connection:
        command(connection, **{"actor": session.person.user_id, **forged})


@pytest.mark.parametrize("token", ["", "guess"])
def test_without_a_session_nothing_can_be_asked(world, enter, token):
    _, _, app, _ = world
    session = enter("US-EAST")
    with pytest.raises(psycopg.errors.InsufficientPrivilege), acting(app, token) as connection:
        command(connection, actor=session.person.user_id)


def test_a_person_sees_their_own_commands_and_those_of_their_units_only(world, enter):
    _, _, app, _ = world
    mine, theirs = enter("MOON"), enter("MOON")
    with acting(app, theirs.token) as connection:
        command(connection, actor=theirs.person.user_id, reason="not for others")
    with acting(app, mine.token) as connection:
        own = command(connection, actor=mine.person.user_id)
        assert [row[0] for row in connection.execute("SELECT command_id FROM command")] == [own]


def test_what_the_gate_may_do_is_open_sessions_and_keep_people_and_nothing_else(world):
    database, *_ = world
    with database.connect_owner() as owner:
        owner.execute(compose.SQL("SET search_path TO {}").format(compose.Identifier(database.cell)))
        may = owner.execute(
            """SELECT relname, array_agg(privilege ORDER BY privilege) FROM pg_class, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege
                WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v') AND has_table_privilege('finsync_gate', oid, privilege) GROUP BY 1"""
        ).fetchall()
    assert may == [("app_user", ["INSERT", "SELECT", "UPDATE"])]
