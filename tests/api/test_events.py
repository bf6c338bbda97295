"""The stream of state changes: nothing missed, nothing twice, in each document's order, and to nobody else."""

import threading
import time

import pytest

from sync_engine.database.connections import borrowed
from sync_engine.engine import atomic, store
from sync_engine.engine.beginning import begin_document
from sync_engine.engine.outcomes import Spawn
from sync_engine.engine.recording import Recording
from tests.toy import order


def read_all(client, headers, *, after=0, limit=100):
    """Every event after a position, page by page, and where the reader stands then."""
    events, has_more = [], True
    while has_more:
        answered = client.get("/v1/events", params={"after": after, "limit": limit}, headers=headers)
        assert answered.status_code == 200, answered.text
        page = answered.json()
        events += page["events"]
        assert page["next_after"] >= after
        after, has_more = page["next_after"], page["has_more"]
    return events, after


@pytest.fixture
def draft(house):
    """Writes a recording with one drafted order per number, inside the caller's transaction."""

    def write(connection, *numbers, unit="DE-SOUTH"):
        setup = house.engine.setup
        recording = Recording("test", house.clock.now(), setup.new_id)
        for number in numbers:
            begin_document(
                recording,
                Spawn(order(number).model_copy(update={"business_unit": unit}), "order_drafted"),
                setup,
                parent=None,
            )
        store.write(connection, recording)

    return write


def numbers(events):
    return [event["data"]["number"] for event in events]


def test_a_recording_committed_after_a_later_one_is_missed_by_no_reader(house, database, client, bearer, draft):
    """Finding 4 of RELIABILITY.md: ids are taken before the commit, positions after it."""
    headers = bearer()
    engine = database.engine("finsync_engine", pool_size=2)
    with borrowed(engine) as slow, borrowed(engine) as quick:
        with atomic.transaction(slow):
            draft(slow, "FIRST-BEGUN")
            slow.execute("SELECT 1").fetchone()
            with atomic.transaction(quick):
                draft(quick, "FIRST-COMMITTED")
            seen, position = read_all(client, headers)
            assert numbers(seen) == ["FIRST-COMMITTED"]
        later, position = read_all(client, headers, after=position)
        assert numbers(later) == ["FIRST-BEGUN"]
    written = dict(
        house.connection.execute(
            "SELECT d.number, r.written_order FROM recording r JOIN event e USING (recording_id) JOIN document d USING (document_id)"
        ).fetchall()
    )
    assert written["FIRST-BEGUN"] < written["FIRST-COMMITTED"], "they really were committed in the opposite order"
    assert read_all(client, headers, after=position) == ([], position)
    engine.dispose()


def test_two_readers_at_their_own_pace_each_see_every_event_once_and_in_order(house, client, bearer):
    headers = bearer()
    house.order_one()
    one, one_at = read_all(client, headers, limit=3)
    house.order_one(house.line(quantity="11"))
    more, _ = read_all(client, headers, after=one_at, limit=7)
    other, _ = read_all(client, headers, limit=1000)
    assert [event["id"] for event in [*one, *more]] == [event["id"] for event in other]
    ids = [event["id"] for event in other]
    assert len(set(ids)) == len(ids)
    positions = [int(event["position"]) for event in other]
    assert positions == sorted(set(positions))
    moved = house.connection.execute(
        "SELECT count(*) FROM event WHERE state_from IS NULL OR state_from <> state_to"
    ).fetchone()[0]
    assert len(other) >= moved > 20
    by_document = {}
    for event in other:
        by_document.setdefault(event["data"]["document_id"], []).append(int(event["sequence"]))
    assert all(history == sorted(history) for history in by_document.values()), "a document's events come in its order"


def test_readers_that_publish_at_the_same_time_neither_lose_nor_repeat(house, database, client, bearer, draft):
    headers = bearer()
    engine = database.engine("finsync_engine", pool_size=4)
    done, seen = threading.Event(), {name: [] for name in ("one", "other")}

    def write(name):
        with borrowed(engine) as connection:
            for place in range(25):
                with atomic.transaction(connection):
                    draft(connection, f"{name}-{place}a", f"{name}-{place}b")

    def read(name):
        position, quiet = 0, 0
        while quiet < 3:  # who finds the other one publishing is given what has been published before
            finished = done.is_set()
            events, position = read_all(client, headers, after=position, limit=13)
            seen[name] += numbers(events)
            quiet = quiet + 1 if finished and not events else 0
            time.sleep(0.01)

    writers = [threading.Thread(target=write, args=[name]) for name in ("A", "B", "C")]
    readers = [threading.Thread(target=read, args=[name]) for name in seen]
    for thread in [*writers, *readers]:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in readers:
        thread.join()
    engine.dispose()
    written = sorted(f"{name}-{place}{half}" for name in "ABC" for place in range(25) for half in "ab")
    assert sorted(seen["one"]) == sorted(seen["other"]) == written
    assert seen["one"] == seen["other"], "both in one order"


def test_a_reader_sees_the_events_of_its_units_and_passes_over_the_others(house, client, bearer, draft):
    with atomic.transaction(house.connection):
        draft(house.connection, "SOUTH-1", "SOUTH-2")
    with atomic.transaction(house.connection):
        draft(house.connection, "NORTH-1", unit="DE-NORTH")
    south, south_at = read_all(client, bearer("DE-SOUTH"))
    north, north_at = read_all(client, bearer("DE-NORTH"))
    assert (numbers(south), numbers(north)) == (["SOUTH-1", "SOUTH-2"], ["NORTH-1"])
    assert south_at == north_at, "nobody reads the others' events again and again"


def test_an_event_is_a_cloud_event_with_both_statuses(house, client, bearer):
    house.submit()
    house.run(minutes=10)
    events, _ = read_all(client, bearer())
    begun = next(
        event
        for event in events
        if event["subject"].startswith("requisition/") and event["data"]["previous_state"] is None
    )
    assert begun["specversion"] == "1.0"
    assert begun["source"].startswith("/finsync/cell")
    assert begun["type"].startswith("finsync.requisition.")
    assert begun["data"]["business_unit"] == "DE-SOUTH"
    assert (begun["data"]["approval_status"], begun["data"]["posting_status"]) == ("pending", "not_submitted")
    assert not {event["type"].rpartition(".")[2] for event in events} & {"exception_raised", "exception_closed"}


def test_a_position_of_another_stream_is_refused_instead_of_waited_for(client, bearer):
    answered = client.get("/v1/events", params={"after": 999}, headers=bearer())
    assert (answered.status_code, answered.json()["type"]) == (409, "urn:finsync:problem:position_unknown")


@pytest.mark.parametrize("asked", [{"after": -1}, {"limit": 0}, {"limit": 100000}, {"after": "x"}, {"after": 2**70}])
def test_a_position_that_cannot_be_is_told_field_by_field(client, bearer, asked):
    answered = client.get("/v1/events", params=asked, headers=bearer())
    assert answered.status_code == 422
    assert answered.json()["errors"][0]["field"] == f"query.{next(iter(asked))}"


def test_the_application_may_publish_and_change_nothing_else_of_a_recording(database, house, draft):
    import psycopg

    with atomic.transaction(house.connection):
        draft(house.connection, "A-1")
    with database.connected("finsync_app") as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("UPDATE recording SET position = 1")
        assert connection.execute("SELECT publish_recordings(10)").fetchone() == (1,)
        assert connection.execute("SELECT publish_recordings(10)").fetchone() == (0,)
        assert connection.execute("SELECT position, event_count FROM recording").fetchone() == (1, 1)
