"""What is removed when its time is over: whole months and finished work, nothing within its time, nothing under legal hold,
nothing that anything else still stands on (R131, D01, F21)."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from benchmarks import cells
from benchmarks.workshop import draft, instant_engine
from config import FOLDER
from sync_engine.configuration import BadConfiguration, Hold, load_retention
from sync_engine.engine import atomic, retention, store
from sync_engine.engine.clock import VirtualClock
from sync_engine.engine.recording import Recording
from sync_engine.engine.results import Recorder
from sync_engine.engine.retention import UnknownHold, due, keep_to
from tests.house import House

LONG_AGO = datetime(2025, 1, 20, 12, 0, tzinfo=UTC)
NOW = datetime(2026, 9, 15, 12, 0, tzinfo=UTC)
KEEP = load_retention(FOLDER)
WHOLE = ("event", "document", "document_identifier", "document_payload", "intent", "recording", "order_movement")


def journeys(connection, at, first=0, many=2):
    """Orders that went through all their steps at a moment; their bodies are written by hand, as the systems have none."""
    engine = instant_engine(connection, f"engine-{first}", VirtualClock(at))
    draft(connection, engine, first, many)
    engine.run_until_idle(connection)
    connection.execute(
        "INSERT INTO attempt_body (attempt_id, recorded_at, position, sent, answered, business_unit) "
        "SELECT attempt_id, recorded_at, 1, 'sent', 'answered', business_unit FROM attempt WHERE recorded_at = %s ON CONFLICT DO NOTHING",
        [at],
    )
    connection.execute(
        "INSERT INTO inbound_message (message_id, received_at, system, feed, kind, external_id, version, body, body_hash) "
        "VALUES (gen_random_uuid(), %s, 'erp', 'orders', 'order', '1', '1', '', '')",
        [at],
    )
    return engine


def count(connection, table):
    return cells.one(connection, psycopg.sql.SQL("SELECT count(*) FROM {}").format(psycopg.sql.Identifier(table)))


def counts(connection, *tables):
    return {table: count(connection, table) for table in tables}


def place(database, table, at):
    """The partitions that a table's rows of a moment lie in."""
    with cells.owned(database) as owner:
        moment = "received_at" if table == "inbound_message" else "recorded_at"
        names = owner.execute(
            psycopg.sql.SQL("SELECT DISTINCT tableoid::regclass::text FROM {} WHERE {} = %s").format(
                *map(psycopg.sql.Identifier, (table, moment))
            ),
            [at],
        )
        return {name.rpartition(".")[2] for (name,) in names}


@pytest.fixture
def old_and_new(any_database):
    with cells.connected(any_database) as connection:
        journeys(connection, LONG_AGO)
        journeys(connection, NOW, first=10)
        yield any_database, connection


def test_what_is_over_goes_and_everything_else_stays(old_and_new):
    """Calls and finished work of last year are removed; events, names, keys and everything of now stay."""
    database, connection = old_and_new
    kept = counts(connection, *WHOLE, "inbound_message")
    assert count(connection, "work_item") == 4
    ahead = due(connection, KEEP, now=NOW)
    assert ("event", date(2025, 1, 1)) in ahead.unsettled
    assert ahead.work == 2
    said = keep_to(connection, KEEP, now=NOW)
    assert "1 months of attempt dropped" in said
    assert "1 months of attempt_body dropped" in said
    assert "2 finished work items removed" in said
    assert counts(connection, *WHOLE, "inbound_message") == kept
    for table in ("attempt", "attempt_body"):
        assert cells.one(connection, f"SELECT count(*) FROM {table} WHERE recorded_at = %s", LONG_AGO) == 0
        assert cells.one(connection, f"SELECT count(*) FROM {table} WHERE recorded_at = %s", NOW) == 8
    assert count(connection, "work_item") == 2
    assert due(connection, KEEP, now=NOW).is_nothing
    assert keep_to(connection, KEEP, now=NOW) == "nothing was due"
    assert place(database, "event", LONG_AGO) == {"event_202501"}


def test_rows_of_a_month_without_a_partition_get_it_and_documents_keep_their_reference(old_and_new):
    """A default partition can be emptied, although every document refers to its newest event there."""
    database, connection = old_and_new
    before = {
        table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in ("event", "document")
    }
    for table in ("event", "attempt", "inbound_message"):
        assert place(database, table, NOW) == {f"{table}_default"}
    said = keep_to(connection, KEEP, now=LONG_AGO)
    assert "12 rows moved into event 2025-01" in said
    for table in ("event", "attempt", "attempt_body", "inbound_message"):
        assert place(database, table, LONG_AGO) == {f"{table}_202501"}
        assert place(database, table, NOW) == {f"{table}_202609"}
    assert {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in before} == before
    with cells.owned(database) as owner:
        assert cells.one(
            owner,
            "SELECT convalidated FROM pg_constraint WHERE conname = 'every_state_has_its_event' AND conrelid = 'document'::regclass",
        )
    with pytest.raises(psycopg.errors.ForeignKeyViolation), connection.transaction():
        connection.execute("UPDATE document SET last_event_seq = 99")
    journeys(connection, NOW + timedelta(seconds=1), first=20)
    assert place(database, "event", NOW + timedelta(seconds=1)) == {"event_202609"}


def test_engines_go_on_while_months_are_settled_and_removed(any_database):
    """Claims and recordings stay right: every order takes every step once, whatever is moved beneath it."""
    with cells.connected(any_database) as connection, cells.connected(any_database) as other:
        journeys(connection, LONG_AGO)
        engine = instant_engine(other, "busy", VirtualClock(NOW))
        draft(other, engine, 100, 150)
        failed = []

        def work():
            try:
                for _ in range(400):
                    if engine.run_once(other, wanted=3).is_idle:
                        return
            except Exception as error:  # noqa: BLE001 - told to the test
                failed.append(error)

        worker = threading.Thread(target=work)
        worker.start()
        said = keep_to(connection, KEEP, now=NOW)
        worker.join(60)
        assert failed == []
        assert "rows moved into event 2026-09" in said
        moves = connection.execute(
            "SELECT count(*), count(DISTINCT (document_id, activity)) FROM event WHERE recorded_at = %s", [NOW]
        )
        assert moves.fetchone() == (150 * 6, 150 * 6)
        assert cells.one(connection, "SELECT count(*) FROM work_item WHERE status = 'done'") == 150


@contextmanager
def meanwhile_a_month_is_settled(connection, table, month):
    """What begins in the block finds `table`'s rows on their way to the default partition, and waits; `month` gets a partition
    of its own before the block is over."""
    with ThreadPoolExecutor(1) as worker, connection.transaction():
        assert cells.one(connection, "SELECT settle_default_month(%s, %s)", table, month) >= 0
        yield worker
        give_up_at = time.monotonic() + 20
        while not cells.one(
            connection, "SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))"
        ):
            assert time.monotonic() < give_up_at, "nobody waits"
            time.sleep(0.02)


def test_what_was_on_its_way_to_a_month_that_is_settled_meanwhile_is_recorded_anew(database, connection):
    """PostgreSQL refuses the row: it was sent to the default partition, which is not its place any more."""
    with cells.connected(database) as other:
        engine = instant_engine(other, "busy", VirtualClock(NOW))
        draft(other, engine, 0, 1)
        lane = engine.lanes["erp"]
        results = [lane.ask(item) for item in lane.claim(other, 5)]
        recording = Recorder(engine.setup, engine_id="busy", now=engine.clock.now).recording(results)
        with meanwhile_a_month_is_settled(connection, "attempt", NOW.date().replace(day=1)) as worker:
            written = worker.submit(store.record, other, recording)
        assert isinstance(written.exception(), atomic.Stale)
        lane.record(other, results)
        assert cells.one(other, "SELECT count(*) FROM attempt") == 1


def test_a_page_that_was_read_while_a_month_is_settled_is_kept(database, connection):
    house = House(VirtualClock(NOW), connection, database)
    house.submit()
    with house.database.connected("finsync_engine") as other:
        [feed] = [feed for feed in house.engine.collectors["coupa"].system.feeds if feed.name == "requisitions"]
        month = house.clock.now().date().replace(day=1)
        with meanwhile_a_month_is_settled(connection, "inbound_message", month) as worker:
            read = worker.submit(house.engine.collectors["coupa"].collect, other, feed, hinted=True)
        assert read.result().records > 0
        assert cells.one(other, "SELECT count(*) FROM inbound_message WHERE kind = 'requisition'") == 1


def test_a_legal_hold_keeps_what_it_names_with_its_month(old_and_new):
    _, connection = old_and_new
    number = cells.one(
        connection, "SELECT external_id FROM document_identifier WHERE recorded_at = %s LIMIT 1", LONG_AGO
    )
    held = KEEP.model_copy(update={"holds": (Hold(name="audit", reason="external audit", documents=(number,)),)})
    said = keep_to(connection, held, now=NOW)
    assert "1 months of attempt held" in said
    assert "1 months of attempt_body held" in said
    assert "1 finished work items removed" in said
    assert cells.one(connection, "SELECT count(*) FROM attempt WHERE recorded_at = %s", LONG_AGO) == 8
    assert count(connection, "work_item") == 3


def test_a_hold_on_a_business_unit_keeps_all_of_it(old_and_new):
    _, connection = old_and_new
    connection.execute(
        "INSERT INTO business_unit (code, name, country, currency, company_code, calendar, time_zone) VALUES ('DE-SOUTH', 'South', 'DE', 'EUR', '1010', 'DE-SOUTH', 'Europe/Berlin')"
    )
    held = KEEP.model_copy(
        update={"holds": (Hold(name="audit", reason="external audit", business_units=("DE-SOUTH",)),)}
    )
    keep_to(connection, held, now=NOW)
    assert count(connection, "work_item") == 4
    assert count(connection, "attempt") == 16


@pytest.mark.parametrize("names", [{"documents": ("4711-0815",)}, {"business_units": ("DE-NOWHERE",)}])
def test_a_hold_that_names_something_unknown_stops_all_removing(old_and_new, names):
    _, connection = old_and_new
    held = KEEP.model_copy(update={"holds": (Hold(name="audit", reason="external audit", **names),)})
    with pytest.raises(UnknownHold, match="which nobody knows"):
        keep_to(connection, held, now=NOW)
    assert counts(connection, "work_item", "attempt", "attempt_body") == {
        "work_item": 4,
        "attempt": 16,
        "attempt_body": 16,
    }


@pytest.mark.parametrize(
    "still_needed",
    [
        "UPDATE document SET closed_at = NULL",
        "UPDATE document SET closed_at = '2026-09-01T00:00:00Z'",
        "UPDATE work_item SET finished_at = '2026-09-01T00:00:00Z'",
        "UPDATE work_item SET status = 'parked', finished_at = NULL",
        "INSERT INTO exception_case (case_id, document_id, system, category, code, origin, retryable, fingerprint, message, status, blocks, owner_team, raised_at, last_seen_at) SELECT gen_random_uuid(), document_id, 'erp', 'policy', 'x', 'x', 'auto', 'x', 'x', 'open', false, 'x', now(), now() FROM document",
    ],
    ids=["open document", "document closed lately", "finished lately", "waits for a person", "open exception"],
)
def test_work_that_something_still_stands_on_is_not_removed(connection, still_needed):
    journeys(connection, LONG_AGO)
    connection.execute(still_needed)
    keep_to(connection, KEEP, now=NOW)
    assert count(connection, "work_item") == 2


def test_removing_goes_in_batches_past_what_has_to_stay(connection, monkeypatch):
    journeys(connection, LONG_AGO, many=12)
    monkeypatch.setattr(retention, "WORK_BATCH", 5)
    connection.execute(
        "UPDATE document SET closed_at = NULL WHERE number IN ('B0000000', 'B0000001', 'B0000002', 'B0000003', 'B0000004')"
    )
    assert "7 finished work items removed" in keep_to(connection, KEEP, now=NOW)


def test_a_flow_whose_work_was_removed_can_begin_again_and_sends_nothing_twice(connection):
    """A change may reach a document long after its end; its key is still there, so what was sent then is known (D01)."""
    engine = journeys(connection, LONG_AGO, many=1)
    connection.execute("UPDATE intent SET fencing_token = 7")  # tried several times, then
    keep_to(connection, KEEP, now=NOW)
    assert count(connection, "work_item") == 0
    [document_id] = connection.execute("SELECT document_id FROM document").fetchone()
    recording = Recording(engine.engine_id, NOW, engine.setup.new_id)
    for _ in range(2):  # two changes in one batch begin it once
        recording.restarts.add(
            engine.setup.new_id(NOW),
            document_id,
            None,
            "DE-SOUTH",
            "order_to_fulfilment",
            "create_purchase_order",
            "erp",
            NOW,
        )
    with atomic.transaction(connection):
        store.write(connection, recording)
    assert connection.execute("SELECT status, step, business_unit, tries FROM work_item").fetchall() == [
        ("due", "create_purchase_order", "DE-SOUTH", 0)
    ]
    assert cells.one(connection, "SELECT count(*) FROM intent WHERE outcome = 'done'") == 4
    [item] = instant_engine(connection, "later", VirtualClock(NOW)).lanes["erp"].claim(connection, 1)
    assert item.fencing_token == 8, "older tokens than those of its intents would be refused"
    assert cells.one(connection, "SELECT max(sends) FROM intent") == 2, "it is the same intent again, not another one"


REFUSED = {
    "SELECT drop_month('event', '2020-01-01', '{}', '{}')": "kept for ever",
    "SELECT drop_month('document', '2020-01-01', '{}', '{}')": "kept for ever",
    "SELECT drop_month('attempt', date_trunc('month', now())::date, '{}', '{}')": "not old enough",
    "SELECT drop_month('inbound_message', (now() - interval '200 days')::date, '{}', '{}')": "not old enough",
    "SELECT settle_default_month('document', '2020-01-01')": "no month of a partitioned table",
    "DELETE FROM work_item": "permission denied",
    "DELETE FROM attempt": "permission denied",
    "DROP TABLE attempt_default": "must be owner",
}


def test_no_configuration_and_no_engine_removes_what_the_database_protects(connection):
    for asked, refused in REFUSED.items():
        with pytest.raises(psycopg.Error, match=refused):
            connection.execute(asked)


def test_the_application_may_remove_nothing(database):
    with database.connected("finsync_app") as connection:
        for asked in (
            "SELECT drop_month('attempt', '2020-01-01', '{}', '{}')",
            "SELECT * FROM retire_work(gen_random_uuid(), now(), 1, '{}', '{}', true)",
            "SELECT settle_default_month('attempt', '2020-01-01')",
            "SELECT confirm_events()",
            "SELECT * FROM retained_months()",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(asked)


def test_a_table_that_others_hold_is_left_for_the_next_run(old_and_new):
    database, connection = old_and_new
    keep_to(
        connection,
        KEEP.model_copy(update={"days": KEEP.days.model_copy(update={"attempt_body": 4000, "attempt": 4000})}),
        now=NOW,
    )
    with cells.owned(database) as reader, reader.transaction():
        reader.execute("SELECT count(*) FROM attempt_body")
        assert "1 months of attempt_body busy" in keep_to(connection, KEEP, now=NOW)
    assert "1 months of attempt_body dropped" in keep_to(connection, KEEP, now=NOW)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("attempt = 10", "days.attempt"),
        ("attempt_body = 500", "longer than attempt"),
        ("event = 400", "days.event"),
    ],
)
def test_a_retention_that_cannot_be_is_refused_with_its_place(tmp_path, wrong, said):
    text = (FOLDER / "retention.toml").read_text()
    name = wrong.partition(" ")[0]
    lines = [line for line in text.splitlines() if not line.startswith(f"{name} ")]
    lines.insert(lines.index("[days]") + 1, wrong)
    (tmp_path / "retention.toml").write_text("\n".join(lines))
    with pytest.raises(BadConfiguration, match=said):
        load_retention(tmp_path)


def test_a_hold_names_something():
    with pytest.raises(ValueError, match="names neither"):
        Hold(name="audit", reason="external audit")
