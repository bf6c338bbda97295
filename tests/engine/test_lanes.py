"""Asking outside systems: intent before the call, look-up before a second one, fencing, waiting, breaker."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import psycopg
import pytest

from sync_engine.database.connections import Database
from sync_engine.engine import atomic, store
from sync_engine.engine.beginning import begin_document
from sync_engine.engine.clock import VirtualClock
from sync_engine.engine.decisions import DECISIONS
from sync_engine.engine.engine import Engine
from sync_engine.engine.outcomes import Kind, Outcome, Spawn
from sync_engine.engine.recording import Recording
from sync_engine.model.errors import BusinessRejection, TransientError
from tests.toy import NOON, ToyErp, order, toy_engine


class Crash(BaseException):
    """The engine dies here."""


def crash_at(place: str) -> Callable[[str], None]:
    def point(where: str) -> None:
        if where == place:
            raise Crash(place)

    return point


def draft(connection: psycopg.Connection, engine: Engine, *numbers: str) -> None:
    recording = Recording(engine.engine_id, engine.clock.now(), engine.setup.new_id)
    for number in numbers:
        begin_document(recording, Spawn(order(number), "order_drafted"), engine.setup, parent=None)
    with connection.transaction():
        store.write(connection, recording)


def state(connection: psycopg.Connection) -> dict[str, tuple[str, str]]:
    return {
        number: (state, posting)
        for number, state, posting in connection.execute("SELECT number, state, posting_status FROM document")
    }


@pytest.fixture
def connection(any_database: Database) -> Iterator[psycopg.Connection]:
    """The engine's connection to a fresh cell, on every PostgreSQL there is."""
    with any_database.connected("finsync_engine") as open_connection:
        yield open_connection


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOON)


@pytest.fixture
def erp() -> ToyErp:
    return ToyErp()


@pytest.fixture
def engine(erp: ToyErp, clock: VirtualClock, connection: psycopg.Connection) -> Engine:
    engine = toy_engine(erp, clock)
    engine.register(connection, release="test")
    return engine


def test_an_order_travels_to_the_erp_and_back(engine, erp, connection):
    draft(connection, engine, "A", "B")
    engine.run_until_idle(connection)
    assert state(connection) == {"A": ("ordered", "accepted"), "B": ("ordered", "accepted")}
    assert len(erp.orders) == len(set(erp.orders)) == 2
    activities = [
        row[0]
        for row in connection.execute(
            "SELECT activity FROM event JOIN document USING (document_id) WHERE number = 'A' ORDER BY seq"
        )
    ]
    assert activities == [
        "order_drafted",
        "order_accepted",
        "commitment_confirmed",
        "order_number_returned",
        "export_marked",
    ]
    assert connection.execute("SELECT count(*) FROM intent WHERE outcome <> 'done'").fetchone() == (0,)


@pytest.mark.parametrize(
    "place", ["before_intent", "after_intent", "before_call", "after_call", "before_record", "after_record"]
)
def test_a_crash_anywhere_leaves_one_order(place, erp, clock, connection):
    doomed = toy_engine(erp, clock, name="doomed", crash_point=crash_at(place))
    doomed.register(connection, release="test")
    draft(connection, doomed, "A")
    with pytest.raises(Crash):
        doomed.run_until_idle(connection)
    survivor = toy_engine(erp, clock, name="survivor")
    for _ in range(10):
        clock.advance(150)  # past the lease, past the quiet period
        survivor.run_until_idle(connection)
    assert state(connection) == {"A": ("ordered", "accepted")}
    assert len(erp.orders) == 1


def test_a_lost_answer_is_looked_up_and_adopted(engine, erp, clock, connection):
    erp.lose = 1
    draft(connection, engine, "A")
    engine.run_until_idle(connection)
    assert state(connection) == {"A": ("requested", "unknown")}
    clock.advance(60)
    engine.run_until_idle(connection)
    assert state(connection) == {"A": ("ordered", "accepted")}
    assert len(erp.orders) == 1
    assert connection.execute("SELECT outcome FROM intent WHERE step = 'create_purchase_order'").fetchone() == (
        "adopted",
    )


def test_nothing_is_sent_again_before_the_quiet_period_is_over(engine, erp, clock, connection):
    erp.lose = 1
    draft(connection, engine, "A")
    engine.run_until_idle(connection)
    erp.orders.clear()  # the effect is not visible yet
    connection.execute("UPDATE work_item SET due_at = %s WHERE status = 'due'", [clock.now()])
    engine.run_until_idle(connection)
    assert erp.orders == []
    assert state(connection) == {"A": ("requested", "unknown")}
    clock.advance(11)
    connection.execute("UPDATE work_item SET due_at = %s WHERE status = 'due'", [clock.now()])
    engine.run_until_idle(connection)
    assert len(erp.orders) == 1


def test_a_holder_whose_lease_ran_out_writes_nothing(engine, erp, clock, connection):
    draft(connection, engine, "A")
    slow = engine.lanes["toy"]
    items = slow.claim(connection, 10)
    clock.advance(130)
    other = toy_engine(erp, clock, name="engine-2")
    other.run_until_idle(connection)
    assert state(connection) == {"A": ("ordered", "accepted")}
    slow.record(connection, [slow.ask(item) for item in items])
    assert state(connection) == {"A": ("ordered", "accepted")}
    assert connection.execute("SELECT count(*) FROM event WHERE activity = 'order_accepted'").fetchone() == (1,)


def test_two_engines_never_take_one_item(engine, clock, connection, erp):
    draft(connection, engine, *[f"N{i}" for i in range(20)])
    other = toy_engine(erp, clock, name="engine-2")
    first, second = engine.lanes["toy"].claim(connection, 12), other.lanes["toy"].claim(connection, 12)
    assert len(first) == 12
    assert len(second) == 8
    assert not {item.work_item_id for item in first} & {item.work_item_id for item in second}


def test_a_refusal_parks_the_order_and_opens_a_case_and_a_task(engine, erp, connection):
    erp.fail_with = [
        BusinessRejection(
            "Cost centre 4711 is blocked.", system="toy", code="cost_centre_blocked", facts={"cost_centre": "4711"}
        )
    ]
    draft(connection, engine, "A")
    engine.lanes["toy"].record(
        connection, [engine.lanes["toy"].ask(item) for item in engine.lanes["toy"].claim(connection, 1)]
    )
    assert state(connection) == {"A": ("refused", "refused")}
    case = connection.execute("SELECT category, code, fingerprint, blocks, owner_team FROM exception_case").fetchone()
    assert case == (
        "master_data",
        "cost_centre_blocked",
        "cost_centre_blocked|toy|cost_centre=4711",
        True,
        "finance operations",
    )
    assert connection.execute("SELECT flow, step FROM work_item WHERE subject_id IS NOT NULL").fetchone() == (
        "exception_remediation",
        "create_task",
    )
    assert connection.execute("SELECT status FROM work_item WHERE flow = 'order_to_fulfilment'").fetchone() == (
        "parked",
    )


def test_a_throttled_system_is_left_alone_for_as_long_as_it_asks(engine, erp, clock, connection):
    erp.fail_with = [TransientError("slow down", system="toy", code="rate_limited", retry_after_s=300)]
    draft(connection, engine, "A", "B")
    engine.call(connection, engine.lanes["toy"], 1)
    calls = erp.calls
    clock.advance(299)
    engine.run_until_idle(connection)
    assert erp.calls == calls
    clock.advance(2)
    engine.run_until_idle(connection)
    assert set(state(connection).values()) == {("ordered", "accepted")}


def test_after_five_failures_the_breaker_opens_and_one_probe_closes_it(engine, erp, clock, connection):
    erp.fail_with = [TransientError("down", system="toy") for _ in range(7)]
    draft(connection, engine, *[f"N{i}" for i in range(10)])
    lane = engine.lanes["toy"]
    lane.record(connection, [lane.ask(item) for item in lane.claim(connection, 7)])
    assert connection.execute("SELECT breaker FROM system_state").fetchone() == ("open",)
    assert lane.claim(connection, 10) == []
    clock.advance(31)
    probe = lane.claim(connection, 10)
    assert len(probe) == 1
    assert lane.claim(connection, 10) == [], "the probe goes alone"
    lane.record(connection, [lane.ask(item) for item in probe])
    assert connection.execute("SELECT breaker, paused_until FROM system_state").fetchone() == ("closed", None)
    clock.advance(3600)
    engine.run_until_idle(connection)
    assert {s for s, _ in state(connection).values()} == {"ordered"}


def test_what_a_system_asked_for_outlasts_calls_that_were_under_way(erp, clock, connection, engine):
    """Found by simulation, seed 19 (F5, R087, I11): an answer to an older call, or the breaker, ended a Retry-After early."""
    draft(connection, engine, *[f"N{i}" for i in range(12)])
    other = toy_engine(erp, clock, name="engine-2")
    lane, theirs = engine.lanes["toy"], other.lanes["toy"]
    under_way = theirs.claim(connection, 2)
    erp.fail_with = [TransientError("slow down", system="toy", retry_after_s=900) for _ in range(5)]
    lane.record(connection, [lane.ask(item) for item in lane.claim(connection, 5)])
    asked = clock.now() + timedelta(seconds=900)
    paused = "SELECT breaker, paused_until FROM system_state"
    assert connection.execute(paused).fetchone() == ("open", asked)
    theirs.record(connection, [theirs.ask(under_way[0])])
    assert connection.execute(paused).fetchone() == ("closed", asked)
    clock.advance(600)
    assert lane.claim(connection, 10) == []
    clock.advance(301)
    assert lane.claim(connection, 10) != []


def test_a_breaker_that_opens_does_not_shorten_what_a_system_asked_for(erp, clock, connection, engine):
    """Found by simulation, seed 19 (F5): thirty seconds of the breaker took the place of fifteen minutes."""
    draft(connection, engine, *[f"N{i}" for i in range(12)])
    other = toy_engine(erp, clock, name="engine-2")
    lane, theirs = engine.lanes["toy"], other.lanes["toy"]
    under_way = theirs.claim(connection, 5)
    erp.fail_with = [TransientError("slow down", system="toy", retry_after_s=900)]
    erp.fail_with += [TransientError("down", system="toy") for _ in range(5)]
    lane.record(connection, [lane.ask(item) for item in lane.claim(connection, 1)])
    asked = clock.now() + timedelta(seconds=900)
    theirs.record(connection, [theirs.ask(item) for item in under_way])
    assert connection.execute("SELECT breaker, paused_until FROM system_state").fetchone() == ("open", asked)


def test_people_are_told_after_five_tries_and_the_case_closes_by_itself(engine, erp, clock, connection):
    erp.fail_with = [TransientError("down", system="toy") for _ in range(6)]
    draft(connection, engine, "A")
    for _ in range(12):
        clock.advance(1000)
        engine.run_until_idle(connection)
    assert state(connection) == {"A": ("ordered", "accepted")}
    assert connection.execute("SELECT code, close_reason, status FROM exception_case").fetchall() == [
        ("system_unavailable", "self_cured", "closed")
    ]


def test_the_shared_rate_limit_holds_for_all_engines(erp, clock, connection, engine):
    connection.execute("UPDATE system_state SET requests_per_s = 10, burst = 5, tokens = 5")
    draft(connection, engine, *[f"N{i}" for i in range(40)])
    other = toy_engine(erp, clock, name="engine-2")
    taken = sum(len(e.lanes["toy"].claim(connection, 40)) for e in (engine, other))
    assert taken == 5
    clock.advance(1)
    assert sum(len(e.lanes["toy"].claim(connection, 40)) for e in (engine, other)) == 5, (
        "the bucket holds five, however long it fills"
    )


def test_a_bug_parks_the_item_with_its_dump_and_the_others_go_on(engine, erp, connection):
    erp.fail_with = [ZeroDivisionError("a bug")]
    draft(connection, engine, "A", "B")
    engine.run_until_idle(connection)
    assert sorted(state(connection).values()) == [("drafted", "not_submitted"), ("ordered", "accepted")]
    code, facts = connection.execute("SELECT code, facts FROM exception_case").fetchone()
    assert code == "unexpected"
    assert "ZeroDivisionError" in facts["dump"]


def test_every_state_has_its_event_or_the_database_refuses(engine, connection):
    draft(connection, engine, "A")
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match="every_state_has_its_event"), connection.transaction():
        connection.execute("UPDATE document SET state = 'closed', last_event_seq = last_event_seq + 1")


def test_the_engine_can_neither_change_nor_remove_an_event(engine, connection):
    draft(connection, engine, "A")
    for statement in (
        "UPDATE event SET actor = 'nobody'",
        "DELETE FROM event",
        "DELETE FROM attempt",
        "UPDATE inbound_message SET body = ''",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


def test_an_item_woken_while_it_is_held_looks_again_at_once(engine, clock, connection):
    draft(connection, engine, "A")
    engine.run_until_idle(connection)
    item = connection.execute("SELECT document_id, due_at FROM work_item WHERE flow = 'order_to_fulfilment'").fetchone()
    assert item[1] > clock.now() + timedelta(hours=20)
    recording = Recording("test", clock.now(), engine.setup.new_id)
    recording.wake(item[0])
    with connection.transaction():
        store.write(connection, recording)
    assert (
        connection.execute("SELECT due_at FROM work_item WHERE flow = 'order_to_fulfilment'").fetchone()[0]
        == clock.now()
    )


def test_a_case_is_closed_even_if_the_document_has_changed_while_the_outcome_was_under_way(
    engine, erp, clock, connection
):
    erp.fail_with = [TransientError("down", system="toy") for _ in range(5)]
    draft(connection, engine, "A")
    while not connection.execute("SELECT 1 FROM exception_case").fetchall():
        clock.advance(1000)
        engine.run_until_idle(connection)
    clock.advance(1000)
    lane = engine.lanes["toy"]
    results = [lane.ask(item) for item in lane.claim(connection, 1)]
    with connection.transaction():  # news comes in meanwhile
        [head] = store.lock_heads(connection, [results[0].item.head.document_id]).values()
        recording = Recording("somebody", clock.now(), engine.setup.new_id)
        recording.note(head, "step_superseded")
        store.write(connection, recording)
    lane.record(connection, results)
    assert connection.execute("SELECT status, close_reason FROM exception_case").fetchall() == [
        ("closed", "self_cured")
    ]


def test_an_outcome_sent_again_after_it_was_recorded_changes_nothing(engine, clock, connection):
    draft(connection, engine, "A")
    lane = engine.lanes["toy"]
    results = [lane.ask(item) for item in lane.claim(connection, 1)]
    lane.record(connection, results)
    before = connection.execute("SELECT step, status, due_at FROM work_item").fetchall()
    lane.record(connection, results)  # the connection was lost at the commit, and nobody knows whether it stood
    assert connection.execute("SELECT step, status, due_at FROM work_item").fetchall() == before
    assert connection.execute("SELECT count(*) FROM event WHERE activity = 'order_accepted'").fetchone() == (1,)


def test_an_answer_that_no_database_takes_parks_its_order_and_no_other(engine, erp, connection):
    erp.fail_with = [BusinessRejection("a lone surrogate: \ud800", system="toy", code="cost_centre_blocked")]
    draft(connection, engine, "A", "B", "C")
    engine.run_until_idle(connection)
    assert sorted(state(connection).values()) == [
        ("drafted", "not_submitted"),
        ("ordered", "accepted"),
        ("ordered", "accepted"),
    ]
    assert connection.execute("SELECT code, facts ->> 'dump' LIKE '%Unicode%' FROM exception_case").fetchall() == [
        ("unexpected", True)
    ]


def test_a_decision_that_cannot_be_recorded_parks_its_item_and_no_other(engine, erp, clock, connection, monkeypatch):
    def decide(items, _desk):
        return [
            Outcome(Kind.WAIT, facts={"note": "\ud800" if item.head.number == "N7" else ""}, wait_s=9e5)
            for item in items
        ]

    monkeypatch.setitem(DECISIONS, "await_fulfilment", decide)
    draft(connection, engine, *[f"N{i}" for i in range(20)])
    engine.run_until_idle(connection)
    rows = connection.execute(
        "SELECT number, status FROM work_item JOIN document USING (document_id) WHERE flow = 'order_to_fulfilment'"
    ).fetchall()
    assert {number for number, status in rows if status == "parked"} == {"N7"}
    assert connection.execute("SELECT code, number FROM exception_case").fetchall() == [("unexpected", "N7")]


@pytest.mark.parametrize(
    ("flow", "step"), [("of_a_later_release", "create_purchase_order"), ("order_to_fulfilment", "later_step")]
)
@pytest.mark.parametrize(
    ("status", "system"),
    [("due", "toy"), ("in_call", "toy"), ("due", "finsync")],
    ids=["call", "abandoned call", "decision"],
)
def test_what_only_a_later_release_knows_is_left_to_it(engine, clock, connection, flow, step, status, system):
    draft(connection, engine, "N1", "N2", "N3")
    held = (flow, step, status, system, clock.now() - timedelta(hours=1) if status == "in_call" else None)
    connection.execute(
        """UPDATE work_item SET flow = %s, step = %s, status = %s, system = %s, lease_until = %s, engine_id = 'later'
            WHERE document_id = (SELECT document_id FROM document WHERE number = 'N1')""",
        held,
    )
    engine.run_until_idle(connection)
    assert {number for number, (state, _) in state(connection).items() if state == "ordered"} == {"N2", "N3"}
    assert connection.execute(
        """SELECT flow, step, status, system, lease_until, fencing_token, tries FROM work_item JOIN document USING (document_id)
            WHERE number = 'N1'"""
    ).fetchall() == [(*held, 0, 0)]


def test_items_handed_back_are_due_at_once_and_were_never_sent(engine, erp, connection):
    draft(connection, engine, "A", "B")
    lane = engine.lanes["toy"]
    lane.give_back(connection, lane.claim(connection, 2))
    assert connection.execute("SELECT DISTINCT outcome FROM intent").fetchall() == [("not_sent",)]
    engine.run_until_idle(connection)
    assert set(state(connection).values()) == {("ordered", "accepted")}
    assert connection.execute("SELECT count(*) FROM attempt WHERE effect = 'look_up'").fetchone() == (0,)


def test_only_claims_nobody_here_knows_of_are_recovered_not_what_was_recorded_and_claimed_again(engine, connection):
    draft(connection, engine, "A", "B", "C")
    lane = engine.lanes["toy"]
    [first] = lane.claim(connection, 1)
    lane.record(connection, [lane.ask(first)])
    claimed = lane.claim(connection, 3)
    assert first.work_item_id in {item.work_item_id for item in claimed}
    [known, *_] = [item for item in claimed if item.work_item_id != first.work_item_id]
    held = [(item.work_item_id, item.fencing_token) for item in (first, known)]
    assert lane.recover(connection, held) == 2, "one claim lost with its answer, one known under its earlier token only"
    rows = connection.execute("SELECT work_item_id FROM work_item WHERE status = 'in_call'").fetchall()
    assert rows == [(known.work_item_id,)]


def test_an_engine_that_stood_still_between_its_claim_and_its_call_sends_nothing(erp, clock, connection):
    """F13: what is sent under a claim that may be over could be sent twice."""

    def stands_still(where: str) -> None:
        if where == "before_call":
            clock.advance(130)

    slow = toy_engine(erp, clock, name="slow", crash_point=stands_still)
    slow.register(connection, release="test")
    draft(connection, slow, "A")
    [item] = slow.lanes["toy"].claim(connection, 1)
    result = slow.lanes["toy"].ask(item)
    assert (erp.orders, result.outcome.kind) == ([], Kind.NOT_SENT)
    slow.lanes["toy"].record(connection, [result])
    assert state(connection) == {"A": ("drafted", "not_submitted")}
    assert connection.execute("SELECT consecutive_failures FROM system_state").fetchone() == (0,), (
        "the ERP did nothing wrong"
    )


def test_an_intent_that_is_written_late_leaves_the_one_of_the_new_holder_alone(erp, clock, connection):
    def stands_still(where: str) -> None:
        if where == "before_intent":
            clock.advance(130)
            toy_engine(erp, clock, name="engine-2").run_until_idle(connection)

    slow = toy_engine(erp, clock, name="slow", crash_point=stands_still)
    slow.register(connection, release="test")
    draft(connection, slow, "A")
    slow.lanes["toy"].claim(connection, 1)
    intent = "SELECT outcome, engine_id FROM intent WHERE step = 'create_purchase_order'"
    assert connection.execute(intent).fetchone() == ("done", "engine-2")


def test_what_is_handed_back_late_leaves_the_intent_of_the_new_holder_alone(engine, erp, clock, connection):
    draft(connection, engine, "A")
    late = engine.lanes["toy"].claim(connection, 1)
    clock.advance(130)
    toy_engine(erp, clock, name="engine-2").run_until_idle(connection)
    engine.lanes["toy"].give_back(connection, late)
    assert connection.execute("SELECT outcome FROM intent WHERE step = 'create_purchase_order'").fetchone() == ("done",)


def test_what_is_to_be_asked_for_again_is_not_due_while_its_system_is_to_be_left_alone(engine, connection):
    """Seed 31120 (I11): for as long as a system was paused every engine looked every second, and found nothing it might do."""
    connection.execute(
        "INSERT INTO reread_wanted (message_id, received_at, system, feed, kind, external_id, version, due_at)"
        " VALUES (gen_random_uuid(), %(now)s, 'toy', 'orders', 'order', '1', '1', %(now)s)",
        {"now": NOON},
    )
    [before] = store.rows(connection, "work.pulse", now=NOON)
    until = NOON + timedelta(minutes=15)
    connection.execute("UPDATE system_state SET paused_until = %s WHERE system = 'toy'", [until])
    [paused] = store.rows(connection, "work.pulse", now=NOON)
    [after] = store.rows(connection, "work.pulse", now=until)
    assert (before["rereads"], paused["rereads"], after["rereads"]) == (True, False, True)
    assert paused["next_at"] == until


def test_an_engine_that_was_overtaken_keeps_what_it_has_prepared(connection):
    """Every statement would have to be planned anew after each collision, which costs more than the statements themselves."""
    for _ in range(3):
        store.rows(connection, "work.pulse", now=NOON)
    prepared = set(connection._prepared._names)
    assert prepared
    with pytest.raises(Crash):
        _overtaken(connection)
    assert prepared <= set(connection._prepared._names)
    assert store.rows(connection, "work.pulse", now=NOON)


def _overtaken(connection: psycopg.Connection) -> None:
    with atomic.transaction(connection):
        store.rows(connection, "work.pulse", now=NOON)
        raise Crash
