"""A file comes in once and whole: interrupted, repeated, out of order, with rows nobody can read (issue 4 section 1)."""

import gzip
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sync_engine.engine import merkle
from sync_engine.eventlog import importing, known
from sync_engine.eventlog.cycle_times import Question, cycle_times
from sync_engine.eventlog.importing import Stopped
from sync_engine.eventlog.records import BadLog
from sync_engine.eventlog.stages import Mapping
from sync_engine.insight import fold
from tests.eventlog.conftest import contents

ROOT = Path(__file__).parents[2]
HEAD = "case,activity,timestamp,resource,amount\n"


def rows_of(cases, events=3):
    """Cases of purchase events, an hour apart."""
    names = ("Create Purchase Requisition", "Create Purchase Order", "Pay invoice")
    return [
        f"C{case:04},{names[n % 3]},2026-03-{1 + case % 28:02}T{8 + n:02}:00:00Z,ann,{case}.50\n"
        for case in range(cases)
        for n in range(events)
    ]


def write(path, rows, head=HEAD):
    path.write_text(head + "".join(rows), encoding="utf-8")
    return path


def values(connection, query, *parameters):
    return connection.execute(query, parameters).fetchall()


class After:
    """A flag that is up after it was looked at so many times."""

    def __init__(self, looks):
        self.looks = looks

    def is_set(self):
        self.looks -= 1
        return self.looks < 0


def test_the_same_file_twice_is_in_once(connection, take, tmp_path):
    path = write(tmp_path / "log.csv", rows_of(20))
    first, second = take(path), take(path)
    assert (first["events_new"], second["events_new"], second["was_known"]) == (60, 0, True)
    assert len(contents(connection, "theirs")[0]) == 60


def test_a_file_is_put_in_order_by_how_much_there_is_and_not_by_what_was_there_before(
    connection, database, take, tmp_path
):
    """Counted while they were empty, the staged tables were compared row by row: a minute for what takes a second."""
    tables = ["staged_event", "ready_document", "ready_event"]
    with database.connect_owner() as owner:
        owner.execute(f"SET search_path TO {database.cell}")
        owner.execute(f"ANALYZE {', '.join(tables)}")
    told = {}

    def note(what, _behind, _there):
        counted = "SELECT relname, reltuples::int FROM pg_class WHERE relname = ANY (%s) AND relnamespace = current_schema()::regnamespace"
        told.setdefault(what, dict(values(connection, counted, tables)))

    take(write(tmp_path / "log.csv", rows_of(20)), progress=note)
    assert told["ordering"] == dict.fromkeys(tables, 0)
    assert told["writing"] == {"staged_event": 60, "ready_document": 20, "ready_event": 60}


def test_what_is_in_order_is_not_read_anew_for_every_document(connection, database, take, tmp_path):
    """Beside many other documents the planner takes those of a new log for few: closing a log of 12,000 cases took ten minutes."""
    take(write(tmp_path / "before.csv", rows_of(6_000, events=1)), log="before")
    with database.connect_owner() as owner:
        owner.execute(f"ANALYZE {database.cell}.document")
    rows = rows_of(300, events=10)
    take(write(tmp_path / "log.csv", rows))
    connection.execute("SELECT pg_stat_force_next_flush()")
    [(read,)] = values(connection, "SELECT pg_stat_get_tuples_returned(c) + pg_stat_get_tuples_fetched(c) + coalesce((SELECT sum(pg_stat_get_tuples_returned(indexrelid)) FROM pg_index WHERE indrelid = c), 0) FROM (SELECT 'ready_event'::regclass AS c) r")  # fmt: skip
    assert len(rows) < read < 30 * len(rows)


def test_a_longer_export_of_the_same_log_adds_what_is_new(connection, take, tmp_path):
    take(write(tmp_path / "monday.csv", rows_of(20)[:30]))
    done = take(write(tmp_path / "tuesday.csv", rows_of(20)))
    assert (done["events_new"], done["events_known"], done["events_late"]) == (30, 30, 0)
    take(write(tmp_path / "whole.csv", rows_of(20)), "whole")
    assert contents(connection, "theirs") == contents(connection, "whole")


def test_two_rows_that_say_the_same_are_two_events_and_stay_two(connection, take, tmp_path):
    rows = [rows_of(1)[0]] * 2
    assert take(write(tmp_path / "a.csv", rows))["events_new"] == 2
    assert take(write(tmp_path / "b.csv", [*rows, rows[0]]))["events_new"] == 1


@pytest.mark.parametrize("looks", [0, 1, 3, 4])
def test_an_import_that_was_stopped_goes_on_where_it_was(connection, take, tmp_path, monkeypatch, looks):
    """Stopped while reading, and while writing: nothing twice, nothing left out."""
    monkeypatch.setattr(importing, "BATCH_RECORDS", 20)
    monkeypatch.setattr(importing, "CHUNK_EVENTS", 16)
    path = write(tmp_path / "log.csv", rows_of(20))
    with pytest.raises(Stopped):
        take(path, stop=After(looks))
    assert known.logs(connection)[0]["files"][0]["phase"] != "ready"
    done = take(path)
    assert (done["events_read"], done["events_new"], done["rejected"]) == (60, 60, 0)
    take(write(tmp_path / "again.csv", rows_of(20)), "whole")
    assert contents(connection, "theirs") == contents(connection, "whole")
    assert values(connection, "SELECT count(*) FROM staged_event") == [(0,)]


def test_what_was_written_before_the_workbench_was_lost_is_whole(connection, database, take, tmp_path, monkeypatch):
    """A crash of the server empties the unlogged tables in the middle of writing: documents whose last event was in already never named it,
    and stood on no page of their log."""
    monkeypatch.setattr(importing, "CHUNK_EVENTS", 16)
    path = write(tmp_path / "log.csv", rows_of(20))
    with pytest.raises(Stopped):
        take(path, stop=After(1))
    with database.connect_owner() as owner:
        owner.execute(f"SET search_path TO {database.cell}")
        owner.execute("TRUNCATE staged_event, staged_relation, staged_object, staged_value, staged_link, staged_progress, staged_stage, ready_document, ready_event")  # fmt: skip
    [(written,)] = values(connection, "SELECT count(*) FROM event")
    done = take(path)
    assert 0 < written < 60
    assert (done["events_known"], done["events_new"]) == (written, 60 - written)
    assert values(connection, "SELECT DISTINCT last_event_seq, last_event_at IS NOT NULL FROM document") == [(3, True)]


def test_a_killed_import_goes_on_with_the_same_command(database, connection, tmp_path):
    """A process of its own, killed in the middle of a batch."""
    path = write(tmp_path / "log.csv", rows_of(400))
    program = """
import os, signal, sys
from random import Random
from pathlib import Path
from sync_engine.database.connections import Database, borrowed
from sync_engine.eventlog import importing
from sync_engine.model.ids import id_maker
importing.BATCH_RECORDS, importing.CHUNK_EVENTS = 200, 150
kill_at = sys.argv[4]
def show(what, behind, there):
    if (what, behind) == ("writing", 300) and kill_at == "writing":
        os.kill(os.getpid(), signal.SIGKILL)
database = Database(sys.argv[1], cell=sys.argv[2], roles_log_in=True)
with borrowed(database.engine("finsync_engine", pool_size=1)) as connection:
    importing.import_log(connection, importing.Request(Path(sys.argv[3]), "theirs"), new_id=id_maker(Random()), progress=show)
"""
    url = database.owner_url.set(drivername="postgresql").render_as_string(hide_password=False)
    run = [sys.executable, "-c", program, url, database.cell, str(path)]
    killed = subprocess.run([*run, "writing"], cwd=ROOT, check=False, env={**os.environ}, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert values(connection, "SELECT count(*) FROM event WHERE source = 'theirs'") == [(300,)]
    subprocess.run([*run, "never"], cwd=ROOT, check=True, timeout=60)
    assert values(
        connection, "SELECT count(*), count(DISTINCT (document_id, seq)) FROM event WHERE source = 'theirs'"
    ) == [(1200, 1200)]


def test_rows_in_any_order_give_the_same_history(connection, take, tmp_path):
    """Stage times follow the order of events, not of rows; every stay ends where the next begins."""
    rows = rows_of(5)
    take(write(tmp_path / "forward.csv", rows), "forward")
    take(write(tmp_path / "backward.csv", rows[::-1]), "backward")
    history = """SELECT d.number, e.seq, e.activity, e.state_from, e.state_to, e.state_from_since, e.event_at
                   FROM event e JOIN document d USING (document_id) WHERE e.source = %s ORDER BY 1, 2"""
    forward, backward = (values(connection, history, log) for log in ("forward", "backward"))
    assert forward == backward
    assert [row[1:5] for row in forward[:3]] == [
        (1, "Create Purchase Requisition", None, "awaiting_approval"),
        (2, "Create Purchase Order", "awaiting_approval", "ordered"),
        (3, "Pay invoice", "ordered", "paid"),
    ]
    assert forward[1][5] == forward[0][6]
    assert forward[2][5] == forward[1][6]
    [(state, since, closed)] = values(
        connection, "SELECT state, state_since, closed_at FROM document WHERE source = 'forward' AND number = 'C0000'"
    )
    assert (state, since, closed) == ("paid", forward[2][6], forward[2][6])


def test_a_stage_is_entered_once_however_many_events_keep_it(connection, take, tmp_path):
    """Trap 6: time in a stage begins with its first event."""
    rows = [f"A,{name},2026-03-0{day}T08:00:00Z,,\n" for day, name in enumerate(("ask", "ask", "pay"), 1)]
    take(write(tmp_path / "log.csv", rows), mapping=Mapping({"ask": "asked", "pay": "paid"}))
    found = values(connection, "SELECT state_from, state_from_since FROM event WHERE source = 'theirs' ORDER BY seq")
    assert found == [
        (None, None),
        ("asked", datetime(2026, 3, 1, 8, tzinfo=UTC)),
        ("asked", datetime(2026, 3, 1, 8, tzinfo=UTC)),
    ]


def test_every_chunk_is_a_recording_whose_root_the_rows_give(connection, take, tmp_path, monkeypatch):
    """DESIGN 6: a verifier rebuilds the Merkle root from the rows alone."""
    monkeypatch.setattr(importing, "CHUNK_EVENTS", 25)
    take(write(tmp_path / "log.csv", rows_of(20)))
    recordings = values(connection, "SELECT recording_id, event_count, merkle_root FROM recording ORDER BY recorded_at")
    assert [count for _, count, _ in recordings] == [25, 25, 10]
    columns = ", ".join(merkle.LEAF_COLUMNS)
    for recording_id, _, root in recordings:
        rows = values(connection, f"SELECT {columns} FROM event WHERE recording_id = %s ORDER BY ordinal", recording_id)
        assert merkle.root([merkle.leaf(dict(zip(merkle.LEAF_COLUMNS, row, strict=True))) for row in rows]) == root


def test_what_cannot_be_read_is_kept_with_its_line_and_value(connection, take, tmp_path):
    bad = ["C9,Pay invoice,yesterday,ann,1\n", ",Pay invoice,2026-03-01T08:00:00Z,ann,1\n", "C9,too,few\n"]
    done = take(write(tmp_path / "log.csv", [*rows_of(40), *bad, "C9,Pay\x00,2026-03-01T08:00:00Z,ann,1\n"]))
    assert (done["events_new"], done["rejected"]) == (120, 4)
    told = [(one["line"], one["value"], one["reason"]) for one in known.rejects(connection, "theirs")]
    assert told[0] == (122, "yesterday", "the time in 'timestamp' cannot be read")
    assert [line for line, _, _ in told] == [122, 123, 124, None]
    assert known.rejects(connection, "theirs")[0]["raw"] == bad[0].strip()


def test_times_that_cannot_be_right_are_kept_marked_and_left_out_only_when_asked(connection, take, tmp_path):
    """Trap 7: 1948, the future, an end before its start."""
    head = "case,activity,start_timestamp,timestamp\n"
    rows = [
        "A,old,,1948-01-01T00:00:00Z\n", "A,begin,,2026-03-01T08:00:00Z\n", "A,end,2026-03-02T09:00:00Z,2026-03-02T08:00:00Z\n",
        "A,later,,2026-03-03T08:00:00Z\n", "A,far,,2999-01-01T00:00:00Z\n",
    ]  # fmt: skip
    assert take(write(tmp_path / "log.csv", rows, head))["suspect"] == 3
    all_of_them = cycle_times(connection, Question("theirs"))
    without = cycle_times(connection, Question("theirs", without_suspect=True))
    assert all_of_them["cases"][0]["first_event_at"].year == 1948
    assert (all_of_them["suspect_events"], all_of_them["summary"]["events"], without["summary"]["events"]) == (3, 5, 2)
    assert without["cases"][0]["duration_s"] == 2 * 86400


def test_a_wall_clock_and_elapsed_time_differ_across_a_clock_change(connection, take, tmp_path):
    """Trap 7: two nights of a Berlin clock; the hour that is skipped is marked."""
    rows = [
        "S,a,2026-03-28 12:00,,\n",
        "S,b,2026-03-29 12:00,,\n",
        "A,a,2026-10-24 12:00,,\n",
        "A,b,2026-10-25 12:00,,\n",
        "X,a,2026-03-29 02:30,,\n",
    ]
    assert take(write(tmp_path / "log.csv", rows), time_zone="Europe/Berlin")["suspect"] == 1
    figures = cycle_times(connection, Question("theirs", time_zone="Europe/Berlin"))
    seconds = {case["case_id"]: (case["duration_s"] / 3600, case["wall_clock_s"] / 3600) for case in figures["cases"]}
    assert (seconds["S"], seconds["A"]) == ((23, 24), (25, 24))
    assert figures["cases_across_a_clock_change"] == 2


def test_a_log_of_a_unit_is_seen_by_that_unit_and_a_mixed_case_by_nobody_alone(connection, take, tmp_path):
    """RELIABILITY 4.4: a document whose rows name two units belongs to none."""
    head = "case,activity,timestamp,unit\n"
    rows = ["A,x,2026-03-01,DE-SOUTH\n", "A,y,2026-03-02,DE-SOUTH\n", "B,x,2026-03-01,DE-SOUTH\n", "B,y,2026-03-02,US-EAST\n", "C,x,2026-03-01,\n", "C,y,2026-03-01,US-EAST\n"]  # fmt: skip
    path = write(tmp_path / "log.csv", rows, head)
    take(path, "by-column", unit_column="unit")
    take(path, "by-owner", unit="US-EAST")
    take(path, "of-nobody")
    units = "SELECT DISTINCT d.number, d.business_unit, e.business_unit FROM document d JOIN event e USING (document_id) WHERE d.source = %s ORDER BY 1"
    assert values(connection, units, "by-column") == [("A", "DE-SOUTH", "DE-SOUTH"), ("B", "", ""), ("C", "", "")]
    assert {row[1:] for row in values(connection, units, "by-owner")} == {("US-EAST", "US-EAST")}
    assert {row[1:] for row in values(connection, units, "of-nobody")} == {("", "")}


def test_an_object_event_moves_the_object_its_activity_speaks_of(connection, take, tmp_path):
    log = {
        "ocel:events": {
            "1": {"ocel:activity": "Create Purchase Order", "ocel:timestamp": "2026-03-01T08:00:00Z", "ocel:omap": ["R", "O", "M"], "ocel:vmap": {}},
            "2": {"ocel:activity": "Plan", "ocel:timestamp": "2026-03-02T08:00:00Z", "ocel:omap": ["M", "gone"], "ocel:vmap": {}},
        },
        "ocel:objects": {one: {"ocel:type": kind, "ocel:ovmap": {}} for one, kind in (("R", "PURCHREQ"), ("O", "PURCHORD"), ("M", "MATERIAL"))},
    }  # fmt: skip
    path = tmp_path / "log.jsonocel.gz"
    path.write_bytes(gzip.compress(json.dumps(log).encode()))
    take(path)
    moved = values(
        connection,
        "SELECT d.number, e.state_to FROM event e JOIN document d USING (document_id) WHERE e.source = 'theirs' ORDER BY e.event_at",
    )
    assert moved == [("O", "ordered"), ("M", "Plan")]
    states = dict(
        values(connection, "SELECT number, document_type || ': ' || state FROM document WHERE source = 'theirs'")
    )
    assert states["R"] == "PURCHREQ: named by events only"
    assert states["gone"] == "undeclared: named by events only"


def test_a_log_is_forgotten_without_a_trace_but_its_recordings(database, connection, take, tmp_path):
    path = write(tmp_path / "log.csv", [*rows_of(20), "C9,Pay invoice,yesterday,ann,1\n"])
    take(path)
    take(path, "other")
    before = values(connection, "SELECT count(*) FROM recording")
    assert known.forget(connection, "theirs", by_whom="ann", why="it was a trial") == 60
    with database.connect_owner() as owner:
        owner.execute(f"SET search_path TO {database.cell}".encode())
        left = {
            table: owner.execute(f"SELECT count(*) FROM {table} WHERE {column} IN ('theirs', 'log:theirs')".encode()).fetchone()[0]
            for table, column in (
                ("event", "source"), ("document", "source"), ("document_identifier", "system"), ("event_log", "name"), ("event_log_file", "log"),
                ("event_log_reject", "log"), ("imported_event", "log"),
            )
        }  # fmt: skip
    assert set(left.values()) == {0}
    assert values(connection, "SELECT count(*) FROM recording") == before
    assert values(connection, "SELECT log, event_count, forgotten_by, reason FROM forgotten_recording") == [
        ("theirs", 60, "ann", "it was a trial")
    ]
    assert [log["name"] for log in known.logs(connection)] == ["other"]
    assert len(contents(connection, "other")[0]) == 60
    assert take(path)["events_new"] == 60


def test_our_own_log_is_never_imported_into_or_forgotten(connection):
    import psycopg

    for refused in (
        lambda: known.checked_name("finsync"),
        lambda: known.forget(connection, "finsync", by_whom="ann", why="x"),
    ):
        with pytest.raises(BadLog, match="our own log"):
            refused()
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        connection.execute("SELECT forget_event_log('finsync', 'ann', 'x')")


def test_a_file_that_breaks_off_leaves_no_event_and_nothing_staged(connection, take, tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "BATCH_RECORDS", 2)
    event = (
        '<event><string key="concept:name" value="x"/><date key="time:timestamp" value="2026-01-01T00:00:00Z"/></event>'
    )
    path = tmp_path / "log.xes"
    path.write_text(f'<log><trace><string key="concept:name" value="1"/>{event * 2000}', encoding="utf-8")
    with pytest.raises(BadLog, match="cannot be read as XML"):
        take(path)
    assert values(connection, "SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM staged_event)") == [(0, 0)]
    path.write_text(f'<log><trace><string key="concept:name" value="1"/>{event * 2000}</trace></log>', encoding="utf-8")
    assert take(path)["events_new"] == 2000


def test_two_imports_into_one_log_do_not_run_at_once(database, connection, take, tmp_path):
    from sync_engine.eventlog.importing import Busy, _alone

    path = write(tmp_path / "log.csv", rows_of(2))
    with (
        database.connected("finsync_engine") as other,
        _alone(other, "theirs"),
        pytest.raises(Busy, match="is running"),
    ):
        take(path)
    assert take(path)["events_new"] == 6


def test_what_is_folded_while_the_file_is_still_coming_in_is_counted_like_the_rest(
    database, connection, take, tmp_path, monkeypatch
):
    """A living engine folds every second: a log that took longer lost the paths of what was counted before its documents were there, from
    the process map and from every page of a log, and nothing said so."""
    monkeypatch.setattr(importing, "CHUNK_EVENTS", 16)
    with database.connected("finsync_engine") as engine:

        def fold_meanwhile(phase, *_):
            if phase == "writing":
                fold.fold_all(engine, now=datetime.now(UTC))

        take(write(tmp_path / "log.csv", rows_of(20)), progress=fold_meanwhile)
        fold.fold_all(engine, now=datetime.now(UTC))
    kept = "SELECT number, activities, state, submitted_at, closed_at FROM document_path p JOIN document d USING (document_id) ORDER BY number"
    meanwhile = values(connection, kept)
    assert [len(row[1]) for row in meanwhile] == [3] * 20
    assert all(row[3] is not None for row in meanwhile)
    fold.rebuild(connection, source="theirs")
    assert values(connection, kept) == meanwhile
