"""The benchmark of the pages' questions measures what it says, over rows like those the engine writes (issue 4 section 5)."""

from datetime import UTC, datetime, timedelta

import pytest

from benchmarks import views
from benchmarks.history import make, steps
from sync_engine.database.connections import borrowed
from sync_engine.insight import fold
from sync_engine.model.lifecycles import LIFECYCLES
from tests.insight.test_fold import EXPECTED, KEPT
from tests.insight.told import told

ENDS_AT = datetime(2026, 9, 1, 9, tzinfo=UTC)


@pytest.fixture
def connection(cell):
    _, pool = cell
    with borrowed(pool) as connection:
        yield connection


BROKEN = {
    "a place in a history that is missing": "SELECT document_id FROM event GROUP BY 1 HAVING count(*) <> max(seq) OR min(seq) <> 1",
    "a move that does not begin where the last one ended": """SELECT 1 FROM (SELECT state_from, lag(state_to) OVER w AS before, seq FROM event WINDOW w AS (PARTITION BY document_id ORDER BY seq)) e
        WHERE state_from IS DISTINCT FROM before""",
    "a stay that does not begin with its entry": """SELECT 1 FROM (SELECT state_from_since, max(CASE WHEN state_from IS DISTINCT FROM state_to THEN recorded_at END) OVER (PARTITION BY document_id ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS entered_at FROM event) e
        WHERE state_from_since IS DISTINCT FROM entered_at""",
    "an event apart from its recording": "SELECT 1 FROM event e LEFT JOIN recording r USING (recording_id) WHERE r.recorded_at IS DISTINCT FROM e.recorded_at",
    "a recording that counts wrongly": "SELECT 1 FROM recording r WHERE event_count <> (SELECT count(*) FROM event e WHERE e.recording_id = r.recording_id AND e.ordinal < r.event_count)",
    "a history that was written out of order": "SELECT 1 FROM (SELECT r.written_order, lag(r.written_order) OVER (PARTITION BY e.document_id ORDER BY e.seq) AS before FROM event e JOIN recording r USING (recording_id)) o WHERE written_order < before",
    "an event that was recorded before it happened": "SELECT 1 FROM event WHERE event_at > recorded_at OR recorded_at > %s",
    "a document that is not where its last event left it": """SELECT 1 FROM document d LEFT JOIN event e ON e.document_id = d.document_id AND e.seq = d.last_event_seq AND e.recorded_at = d.last_event_at
        WHERE (d.state, d.approval_status, d.posting_status, d.document_type) IS DISTINCT FROM (e.state_to, e.approval_status, e.posting_status, e.document_type)""",
}


def test_years_made_at_once_are_rows_as_the_engine_writes_them(cell, connection):
    told(cell, connection, 1, journeys=1)
    made = make(connection, events=4000, ends_at=ENDS_AT)
    assert 3500 < made.events < 4100
    for fault, text in BROKEN.items():
        assert connection.execute(text, [ENDS_AT] if "%s" in text else None).fetchall() == [], fault
    units, first = connection.execute("SELECT count(DISTINCT business_unit), min(event_at) FROM event").fetchone()
    assert units > 40
    assert first < ENDS_AT - timedelta(days=1090)
    fold.fold_all(connection, now=ENDS_AT)
    assert connection.execute(KEPT).fetchall() == connection.execute(EXPECTED).fetchall()


def test_every_step_that_is_made_is_one_the_lifecycles_allow():
    for row in steps():
        _, _, kind, seq, activity, before, after, *_ = row
        lifecycle = LIFECYCLES[kind]
        assert (before is None) == (seq == 1)
        assert before is None or lifecycle.moves[before, activity].target == after


@pytest.mark.timeout(300)
def test_a_small_run_answers_every_question(database, monkeypatch):
    monkeypatch.setattr(views, "TIMES", 2)
    figures = views.run(database, events=3000, open_documents=300, progress=lambda _: None, now=ENDS_AT)
    assert figures["events"] > 2500
    assert figures["folded_per_s"] > 0
    unfilled = {name: answer["not_asked"] for name, answer in figures["questions"].items() if "not_asked" in answer}
    assert {name: why for name, why in unfilled.items() if not why.startswith("needs ")} == {}
    answered = {name: answer for name, answer in figures["questions"].items() if "p95_ms" in answer}
    assert len(answered) > 60
    assert all(answer["p95_ms"] is not None for answer in answered.values())
    assert answered["report_cycle_time.figures"]["rows"] > 50
    assert answered["report_stuck.counts"]["rows"] > 20
    assert answered["report_stuck.rows"]["rows"] > 20
    assert answered["report_rolled.figures"]["rows"] > 10
    assert figures["cycle_time_by_week_and_unit"]["all"].keys() >= {"rollups_ms", "sql_over_events_ms", "pandas_ms"}
