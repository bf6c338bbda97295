"""What the database is like, read from its own catalogue after every migration (RELIABILITY 4.4, DESIGN 6 and 7)."""

import re

import psycopg
import pytest
from psycopg import sql as compose

from sync_engine.database.connections import ROLES
from sync_engine.database.statements import sql
from sync_engine.model.documents import ApprovalStatus, DocumentType, PostingStatus
from sync_engine.model.exceptions import Category, Retryable
from sync_engine.model.lifecycles import LIFECYCLES
from sync_engine.model.ports import Effect
from tests.conftest import new_cell
from tests.house import TUESDAY

APPEND_ONLY = {
    "event",
    "event_object",
    "attempt",
    "attempt_body",
    "inbound_message",
    "inbound_key",
    "inbound_disposition",
    "inbound_reread",
    "case_event",
    "document_payload",
    "config_version",
    "imported_event",
    "object_attribute",
    "event_log_reject",
    "alert_rule_version",
    "alert_event",
}
GROWING = {
    *APPEND_ONLY,
    "recording",
    "document",
    "document_identifier",
    "document_link",
    "work_item",
    "intent",
    "exception_case",
    "order_movement",
    "redrive_item",
    "command",
    "alert",
    "alert_notice",
}
HERE = "relnamespace = current_schema()::regnamespace"


@pytest.fixture
def owner(any_server):
    """The owner's connection to a fresh cell, on every server there is."""
    database = new_cell(any_server)
    with database.connect_owner() as connection:
        connection.execute(compose.SQL("SET search_path TO {}").format(compose.Identifier(database.cell)))
        yield connection


def column(connection, query, values=()):
    return [row[0] for row in connection.execute(query, values)]


def test_every_rule_of_the_catalogue_holds(owner):
    """One cell, every question: making a cell costs more than asking it."""
    _rows_of_units_are_guarded(owner)
    _views_ask_as_whoever_asks(owner)
    _roles_have_no_power_of_their_own(owner)
    _what_grows_is_never_changed(owner)
    _nothing_runs_behind_the_statements(owner)
    _functions_with_the_owners_rights_look_where_they_should(owner)
    _nothing_names_its_schema(owner)
    _status_words_are_the_programs(owner)


def _rows_of_units_are_guarded(owner):
    bearing = column(
        owner,
        f"""SELECT relname FROM pg_class c WHERE {HERE} AND relkind IN ('r', 'p') AND NOT relispartition
               AND EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = c.oid AND attname = 'business_unit' AND NOT attisdropped)""",
    )
    assert len(bearing) > 15
    guarded = column(
        owner,
        f"SELECT relname FROM pg_class WHERE {HERE} AND relkind IN ('r', 'p') AND relrowsecurity AND relforcerowsecurity",
    )
    assert set(bearing) - set(guarded) == set()
    policies = dict(
        owner.execute(
            """SELECT tablename, array_agg(DISTINCT r) FROM pg_policies, unnest(roles) AS r
                WHERE schemaname = current_schema() AND NOT policyname = ANY (%s) GROUP BY 1""",
            [["owners_functions_see_all", "owners_function_removes_finished", "foreign_logs_are_forgotten"]],
        ).fetchall()
    )
    assert set(guarded) == set(policies)
    assert all(set(roles) == {"finsync_app", "finsync_engine"} for roles in policies.values()), (
        "nobody else, and never everybody"
    )
    owners = owner.execute(
        "SELECT DISTINCT roles, cmd, qual FROM pg_policies WHERE schemaname = current_schema() AND policyname = 'owners_functions_see_all'"
    ).fetchall()
    assert [(roles, cmd) for roles, cmd, _ in owners] == [([owner.info.user], "SELECT")], (
        "the owner alone, and only to look"
    )
    assert "finsync.own_function" in owners[0][2], "and only while one of the functions for it runs"
    removes = owner.execute(
        """SELECT tablename, policyname, roles, cmd, qual FROM pg_policies
            WHERE schemaname = current_schema() AND policyname = 'owners_function_removes_finished'"""
    ).fetchall()
    assert [one[:4] for one in removes] == [
        ("work_item", "owners_function_removes_finished", [owner.info.user], "DELETE")
    ], "the owner removes nothing else, row by row"
    assert "finsync.own_function" in removes[0][4]
    assert "finished_at IS NOT NULL" in removes[0][4]
    forgetting = owner.execute(
        "SELECT tablename, roles, cmd, qual FROM pg_policies WHERE schemaname = current_schema() AND policyname = 'foreign_logs_are_forgotten'"
    ).fetchall()
    assert {(tuple(roles), cmd) for _, roles, cmd, _ in forgetting} == {((owner.info.user,), "DELETE")}, (
        "the owner alone, and only through the function that refuses our own log"
    )
    assert all("finsync.own_function" in qual for *_, qual in forgetting)
    ours_stay = {table for table, _, _, qual in forgetting if "(source <> 'finsync'::text)" in qual}
    assert ours_stay == {"event", "document"}, "our own events have no way out, whatever the function says"
    for role in (*ROLES, "public"):
        reached = column(
            owner,
            f"SELECT relname FROM pg_class WHERE {HERE} AND relispartition AND has_table_privilege(%s, oid, 'SELECT, INSERT, UPDATE, DELETE')",
            [role],
        )
        assert reached == [], "a partition has no rules of its own: it is reached through its table"


def _views_ask_as_whoever_asks(owner):
    views = owner.execute(
        f"SELECT relname, coalesce(reloptions::text, '') FROM pg_class WHERE {HERE} AND relkind = 'v'"
    ).fetchall()
    assert views
    assert [name for name, options in views if "security_invoker=true" not in options] == []
    assert column(owner, f"SELECT relname FROM pg_class WHERE {HERE} AND relkind = 'm'") == [], (
        "a materialized view has no rows of its own to guard"
    )


def _roles_have_no_power_of_their_own(owner):
    for role in ROLES:
        powers = owner.execute(
            "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication FROM pg_roles WHERE rolname = %s",
            [role],
        ).fetchone()
        assert powers == (False,) * 5, role
        assert column(owner, "SELECT 1 FROM pg_auth_members WHERE member = %s::regrole", [role]) == [], (
            f"{role} is nobody else"
        )
        assert column(owner, "SELECT relname FROM pg_class WHERE relowner = %s::regrole", [role]) == []
        assert column(owner, "SELECT proname FROM pg_proc WHERE proowner = %s::regrole", [role]) == []
        assert column(owner, "SELECT has_schema_privilege(%s, current_schema(), 'CREATE')", [role]) == [False]


def _what_grows_is_never_changed(owner):
    may = owner.execute(
        f"""SELECT relname, role, privilege FROM pg_class, unnest(%s::text[]) AS role, unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE']) AS privilege
             WHERE {HERE} AND relname = ANY (%s) AND (has_table_privilege(role, oid, privilege) OR (privilege = 'UPDATE' AND has_any_column_privilege(role, oid, privilege)))""",
        [list(ROLES), sorted(APPEND_ONLY)],
    ).fetchall()
    assert may == []
    kept = column(
        owner,
        f"SELECT relname FROM pg_class, unnest(%s::text[]) AS role WHERE {HERE} AND relkind IN ('r', 'p') AND NOT relispartition AND has_table_privilege(role, oid, 'DELETE')",
        [list(ROLES)],
    )
    assert set(kept) & GROWING == set(), "what happened is never removed"
    changed = column(
        owner,
        "SELECT attname FROM pg_attribute WHERE attrelid = 'intent'::regclass AND attnum > 0 AND has_column_privilege('finsync_engine', attrelid, attnum, 'UPDATE')",
    )
    assert set(changed) & {"idempotency_key", "payload_hash", "document_id", "operation", "first_sent_at"} == set(), (
        "an intent's key is kept for ever"
    )


def _nothing_runs_behind_the_statements(owner):
    triggers = column(
        owner,
        f"SELECT relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE {HERE} AND NOT tgisinternal",
    )
    assert triggers == [], "a distributed PostgreSQL refuses triggers"
    assert column(owner, "SELECT extname FROM pg_extension WHERE extname <> 'plpgsql'") == []
    sequences = column(owner, f"SELECT relname FROM pg_class WHERE {HERE} AND relkind = 'S'")
    assert sequences == ["recording_written_order_seq"], (
        "ids are made by the program; the order in which recordings were written is no id"
    )
    unkeyed = column(
        owner,
        f"SELECT relname FROM pg_class c WHERE {HERE} AND relkind IN ('r', 'p') AND NOT EXISTS (SELECT 1 FROM pg_index WHERE indrelid = c.oid AND indisprimary)",
    )
    assert unkeyed == []


def _functions_with_the_owners_rights_look_where_they_should(owner):
    definers = owner.execute(
        "SELECT proname, coalesce(proconfig::text, ''), has_function_privilege('public', oid, 'EXECUTE') FROM pg_proc WHERE pronamespace = current_schema()::regnamespace AND prosecdef"
    ).fetchall()
    assert definers
    astray = [name for name, settings, _ in definers if not re.search(r"search_path=[\w\" ]+, pg_temp", settings)]
    assert astray == [], "pg_temp is searched first where it is not named last"
    harmless = {
        "session_user_id",
        "session_user_name",
        "session_roles",
        "session_units",
        "session_sees_all",
        "end_session",
    }
    assert {name for name, _, everybody in definers if everybody} <= harmless


def _nothing_names_its_schema(owner):
    """DESIGN 7: no foreign key leaves the cell, no default reaches into another."""
    assert (
        column(
            owner,
            f"SELECT conname FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class f ON f.oid = k.confrelid WHERE c.{HERE} AND c.relnamespace <> f.relnamespace",
        )
        == []
    )


def _status_words_are_the_programs(owner):
    assert words(owner, "document", "document_type") - {"finsync"} == set(DocumentType) == set(LIFECYCLES)
    assert words(owner, "document", "approval_status") == set(ApprovalStatus)
    assert words(owner, "document", "posting_status") == set(PostingStatus)
    assert words(owner, "exception_case", "category") == set(Category)
    assert words(owner, "exception_case", "retryable") == set(Retryable)
    assert words(owner, "attempt", "effect") == {*Effect, "look_up"}


def words(owner, table, name):
    """The words a column's check allows, and those of the columns it depends on."""
    [check] = column(
        owner,
        """SELECT pg_get_constraintdef(k.oid) FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)
            WHERE k.conrelid = %s::regclass AND k.contype = 'c' AND a.attname = %s""",
        [table, name],
    )
    return set(re.findall(r"'([a-z_]+)'", check))


IMPOSSIBLE = {
    "a state without its event": (
        "INSERT INTO document (document_id, document_type, correlation_id, number, source_system, state, approval_status, posting_status, state_since, created_at, updated_at, last_event_seq, last_event_at) VALUES (gen_random_uuid(), 'invoice', gen_random_uuid(), '1', 'x', 'received', 'pending', 'unknown', now(), now(), now(), 1, now())",
        "every_state_has_its_event",
    ),
    "an amount without its currency": (
        "INSERT INTO document (document_id, document_type, correlation_id, number, source_system, state, approval_status, posting_status, state_since, created_at, updated_at, last_event_seq, last_event_at, amount) VALUES (gen_random_uuid(), 'invoice', gen_random_uuid(), '1', 'x', 'received', 'pending', 'unknown', now(), now(), now(), 1, now(), 5)",
        "amount_has_currency",
    ),
    "parked without a reason": (
        "INSERT INTO inbound_disposition (message_id, disposed_at, outcome, mapping_version) VALUES (gen_random_uuid(), now(), 'parked', '1')",
        "parked_says_why",
    ),
    "closed without a reason": (
        "INSERT INTO exception_case (case_id, system, category, code, origin, retryable, fingerprint, message, status, blocks, owner_team, raised_at, last_seen_at, closed_at) VALUES (gen_random_uuid(), 'x', 'policy', 'x', 'x', 'auto', 'x', 'x', 'closed', true, 'x', now(), now(), now())",
        "closed_at_and_reason_come_together",
    ),
    "in a call without a lease": (
        "INSERT INTO work_item (work_item_id, document_id, flow, step, system, status, due_at, step_since, objective_at, created_at) VALUES (gen_random_uuid(), gen_random_uuid(), 'f', 's', 'x', 'in_call', now(), now(), now(), now())",
        "in_call_has_a_lease",
    ),
    "reprocessed without saying why": (
        "INSERT INTO redrive (redrive_id, asked_by, asked_at, reason_code, reason, scope, item_count, group_amount) VALUES (gen_random_uuid(), 'x', now(), 'x', '', 'x', 1, 1)",
        "redrive_reason_check",
    ),
}


@pytest.mark.parametrize(("statement", "rule"), IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
def test_an_impossible_row_is_refused_by_the_database(connection, statement, rule):
    """R131 among them: no state row without its audit row."""
    with pytest.raises(psycopg.errors.IntegrityError) as refused:
        connection.execute(statement)
    assert refused.value.diag.constraint_name == rule


def test_a_claim_finds_its_work_by_due_time_however_much_is_done_or_waits(database):
    """F21: what is done, and what waits for the future, costs a claim nothing."""
    with database.connected("finsync_engine") as connection:
        connection.execute(
            """INSERT INTO work_item (work_item_id, document_id, flow, step, system, status, due_at, step_since, objective_at, created_at, finished_at)
               SELECT gen_random_uuid(), gen_random_uuid(), 'f', 's', 's4hana', CASE WHEN n > 20 THEN 'done' ELSE 'due' END,
                      %(now)s::timestamptz + make_interval(secs => CASE WHEN n > 10 THEN n ELSE -n END), %(now)s, %(now)s, %(now)s, CASE WHEN n > 20 THEN %(now)s::timestamptz END
                 FROM generate_series(1, 5000) AS n""",
            {"now": TUESDAY},
        )
        connection.execute(
            "INSERT INTO system_state (system, role, title, requests_per_s, burst, tokens, tokens_at, breaker_since) VALUES ('s4hana', 'erp', 'SAP', 1000, 1000, 1000, %(now)s, %(now)s)",
            {"now": TUESDAY},
        )
        for statement, values in (
            (
                "work.claim_calls",
                {
                    "system": "s4hana",
                    "wanted": 50,
                    "engine_id": "e",
                    "lease_until": TUESDAY,
                    "steps": ["f.s"],
                    "now": TUESDAY,
                },
            ),
            ("work.claim_decisions", {"wanted": 50, "steps": ["f.s"], "now": TUESDAY}),
            ("work.pulse", {"now": TUESDAY}),
        ):
            plan = "\n".join(row[0] for row in connection.execute("EXPLAIN " + sql(statement), values))
            assert re.search(r"using work_(due|in_turn) on work_item", plan), plan
            assert "Seq Scan on work_item" not in plan
