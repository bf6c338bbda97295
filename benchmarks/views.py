"""How long the pages' own questions take over years of events, and how fast those are folded; `finsync bench views --json`.

Every statement of sql/queries/report*.sql whose parameters can be filled is asked as a person who sees all units, through row level
security: over the last 90 days, the longest period the pages offer by name, and over the last 30 days, with which a page opens; or over
what the question speaks of otherwise. Beside them in the same run one question, cycle time by week and unit, of the
rollups, of plain SQL over the events, of pandas, and of DuckDB where it is installed.
"""

import importlib.util
import math
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pandas as pd
import psycopg
from psycopg.rows import dict_row

from benchmarks import cells
from benchmarks.history import make
from benchmarks.standing import make_open
from config import FOLDER
from sync_engine.control import access
from sync_engine.control.access import Person, acting
from sync_engine.control.roles import Role
from sync_engine.database.connections import Database
from sync_engine.database.statements import names, sql
from sync_engine.engine import promote
from sync_engine.insight import fold
from sync_engine.insight.reports.exception_rate import ATTRIBUTES_COMPARED, MOST_NEW
from sync_engine.insight.reports.first_pass import TOUCHES
from sync_engine.insight.reports.process_map import EXACT_TO
from sync_engine.insight.standing import JUDGED_AGAIN_AFTER_S, SILENT_DAYS, STUCK_TYPES, WORKING_DAY_S

TIMES = 40
"""How often each question is asked; the first answer warms the cache and is not counted."""

LEAST_TIMES = 20
ENOUGH_S = 6.0
"""Of a slow question fewer answers do, once they have taken so long together."""

LIMIT_MS = 100.0
"""What no question should take (issue 4, section 5)."""

GIVEN_UP_AFTER_S = 30
PERIOD = timedelta(days=90)
FIRST_VISIT = timedelta(days=30)

READS_EVERYTHING = frozenset({"report.integrity", "report.integrity_rows", "report.history_gaps"})
"""Asked when somebody presses the button that counts the whole record again, and once a day by an engine: what it finds must not be kept
from before. Timed like the others, and no part of a visit."""

Progress = Callable[[str], None]


def run(
    database: Database, *, events: int, progress: Progress, open_documents: int = 0, now: datetime | None = None
) -> dict[str, Any]:
    """Rates in events a second, sizes in bytes an event, times in ms (p50 and p95 of TIMES); of the page on stuck documents with so
    many `open_documents` beside those that the events left open.
    """
    ends_at = (now or datetime.now(UTC)).replace(minute=0, second=0, microsecond=0)
    figures: dict[str, Any] = {"machine": cells.machine(database)}
    with cells.cell(database) as cell, cells.connected(cell) as connection:
        progress(f"making {events} events")
        put_calendars_in_force(connection, ends_at)
        figures |= made_and_folded(connection, events, ends_at, progress)
        if open_documents:
            progress(f"making {open_documents} open documents")
            figures["open_documents"] = open_documents
            figures["looked_at_per_s"] = _opened(connection, open_documents, ends_at)
        tidied(cell)
        for name, period in (("questions", PERIOD), ("questions_of_a_first_visit", FIRST_VISIT)):
            figures[name] = _questions(cell, connection, ends_at, period, progress)
            slow = {
                one: answer["p95_ms"] or math.inf
                for one, answer in figures[name].items()
                if "p95_ms" in answer and one not in READS_EVERYTHING
            }
            figures[f"{name}_over_{LIMIT_MS:g}_ms"] = sorted(
                (one for one, p95_ms in slow.items() if p95_ms > LIMIT_MS), key=lambda one: -slow[one]
            )
        figures["cycle_time_by_week_and_unit"] = _compared(connection, ends_at, progress)
    return figures


def put_calendars_in_force(connection: psycopg.Connection, ends_at: datetime) -> None:
    """The configuration, with working hours from where the events begin, three years before, to after their end."""
    a_year_before = (ends_at - timedelta(days=365)).date()
    promote.put_in_force(connection, promote.load(FOLDER), today=a_year_before, now=ends_at, by="benchmark")


def _opened(connection: psycopg.Connection, documents: int, ends_at: datetime) -> int:
    """Make open documents, and let the folder look at them; answers how many of them it looked at in a second."""
    make_open(connection, documents=documents, ends_at=ends_at)
    began = time.perf_counter()
    # Later than when it last said how things stand, so that it says so of these too.
    fold.fold_all(connection, now=ends_at + timedelta(seconds=JUDGED_AGAIN_AFTER_S + 1))
    return round(documents / (time.perf_counter() - began))


def made_and_folded(
    connection: psycopg.Connection, events: int, ends_at: datetime, progress: Progress
) -> dict[str, Any]:
    """Years of events in a cell that has its configuration only; answers how many, how fast, and how much room they take."""
    began = time.perf_counter()
    made = make(connection, events=events, ends_at=ends_at)
    making_s = time.perf_counter() - began
    progress(f"folding {made.events} events")
    began = time.perf_counter()
    folded = fold.fold_all(connection, now=ends_at)
    folding_s = time.perf_counter() - began
    if folded != made.events:
        raise RuntimeError(f"{made.events} events were made and {folded} folded")
    return {
        "events": made.events,
        "documents": made.documents,
        "recordings": made.recordings,
        "years": 3,
        "made_per_s": round(made.events / making_s),
        "folded_per_s": round(folded / folding_s),
        "event_bytes_each": _bytes(connection, "event%") / made.events,
        "rollup_bytes_each": _bytes(connection, "rollup%") / made.events,
        "fact_bytes_each": sum(
            _bytes(connection, table) for table in ("document_milestone", "journey", "objective_result")
        )
        / made.events,
    }


def _bytes(connection: psycopg.Connection, like: str) -> int:
    row = connection.execute(
        "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND relname LIKE %s",
        [like],
    ).fetchone()
    return int(row[0]) if row else 0


def tidied(cell: Database) -> None:
    """As the server's own housekeeping leaves it after a while."""
    with cell.connect_owner() as owner:
        tables = [
            row[0]
            for row in owner.execute(
                "SELECT format('%%I.%%I', schemaname, tablename) FROM pg_tables WHERE schemaname = %s", [cell.cell]
            )
        ]
        owner.execute(f"VACUUM (ANALYZE) {', '.join(tables)}".encode())


def _questions(
    cell: Database, connection: psycopg.Connection, ends_at: datetime, period: timedelta, progress: Progress
) -> dict[str, dict[str, Any]]:
    """Per statement: p50_ms, p95_ms and rows; or why there is no answer."""
    person = Person("bench", "Bench", frozenset({Role.FINANCE_LEADER}), ("*",))
    access.put_people(connection, [person], now=ends_at)
    gate, app = (cell.engine(role, pool_size=1) for role in ("finsync_gate", "finsync_app"))
    token = access.open_session(gate, person.user_id, hours=12).token
    values = _values(connection, ends_at, period)
    answers: dict[str, dict[str, Any]] = {}
    try:
        limits = _asked_once(app, token, "report_stuck.limits", values)
        for name in names():
            if not name.startswith("report"):
                continue
            known = values | (STANDING | limits if name.startswith("report_stuck.") else {}) | OTHERWISE.get(name, {})
            asked = set(re.findall(r"%\((\w+)\)s", sql(name)))
            missing = sorted(asked - set(known))
            answers[name] = (
                {"not_asked": f"needs {', '.join(missing)}"}
                if missing
                else _timed(app, token, name, {one: _fitting(name, one, known[one]) for one in asked})
            )
            progress(f"{name}: {answers[name]}")
    finally:
        gate.dispose()
        app.dispose()
    return answers


STANDING: dict[str, Any] = dict.fromkeys(("because", "reasons", "teams", "team_reasons", "bands", "sources", "stages", "document_id", "after_value", "after_id")) | {
    "levels": ["stuck"], "untaken": False, "by_age": False, "silent_s": SILENT_DAYS * WORKING_DAY_S, "document_types": list(STUCK_TYPES),
}  # fmt: skip
"""What the first page of stuck documents asks."""


OTHERWISE: dict[str, dict[str, Any]] = {
    "report.decisions": {"text": None},
    "report.commands": {"text": None},
    "report_exception_rate.attributes": {"most": ATTRIBUTES_COMPARED},
    "report_exception_rate.new_causes": {"most": MOST_NEW},
    "report_process.map": {"exact_to": EXACT_TO},
    "report_process.deviations": {"patterns": [31]},
}
"""What a page fills in differently from the others: nobody has searched yet, and a table is no longer than anybody reads."""


def _asked_once(app: Any, token: str, name: str, values: dict[str, Any]) -> dict[str, Any]:
    with acting(app, token) as connection, connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(sql(name), values).fetchone() or {}


def _fitting(name: str, parameter: str, value: Any) -> Any:
    """A single value as a list where the statement takes one."""
    takes_list = re.search(rf"%\({parameter}\)s::\w+\[\]", sql(name))
    return [value] if takes_list and value is not None and not isinstance(value, list) else value


def _timed(app: Any, token: str, name: str, values: dict[str, Any]) -> dict[str, Any]:
    took: list[float] = []
    rows = 0
    for _ in range(TIMES + 1):
        began = time.perf_counter()
        try:
            with acting(app, token) as connection, connection.cursor(row_factory=dict_row) as cursor:
                cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(GIVEN_UP_AFTER_S * 1000)])
                rows = len(cursor.execute(sql(name), values).fetchall())
        except psycopg.errors.QueryCanceled:
            return {"p50_ms": None, "p95_ms": None, "gave_up_after_s": GIVEN_UP_AFTER_S}
        except psycopg.ProgrammingError as error:
            # One question that cannot be put so costs no run of half an hour.
            return {"not_asked": str(error).splitlines()[0]}
        took.append(time.perf_counter() - began)
        if sum(took) > (ENOUGH_S if len(took) > LEAST_TIMES else GIVEN_UP_AFTER_S):
            break
    counted = pd.Series(took[1:] or took) * 1000
    p50_ms, p95_ms = (round(float(counted.quantile(share)), 1) for share in (0.5, 0.95))
    return {"p50_ms": p50_ms, "p95_ms": p95_ms, "rows": rows}


def _values(connection: psycopg.Connection, ends_at: datetime, period: timedelta = PERIOD) -> dict[str, Any]:
    """What a page fills in as long as nobody chooses otherwise: no unit, so long a period, the business clock."""
    sample = connection.execute(
        """SELECT (SELECT document_id FROM document WHERE document_type = 'requisition' ORDER BY document_id DESC OFFSET 100 LIMIT 1), (SELECT case_id FROM exception_case ORDER BY case_id DESC LIMIT 1),
                  (SELECT name FROM objective ORDER BY name LIMIT 1), (SELECT recording_id FROM recording ORDER BY recording_id DESC LIMIT 1)"""
    ).fetchone()
    document_id, case_id, objective, recording_id = sample or (None,) * 4
    since = ends_at - period
    nothing = dict.fromkeys(
        ("units", "categories", "codes", "owner_teams", "fingerprint", "redrive_id", "statuses", "stage", "parts", "step", "reported_on", "systems", "operation", "types", "suppliers", "week", "control", "log", "after_s", "after_at", "after_id")
    )  # fmt: skip
    return nothing | {
        "since": since, "until": ends_at, "before": since - period, "as_of": ends_at, "at_least": ends_at - timedelta(days=1), "at_most": ends_at - timedelta(days=14), "peers_since": since, "since_on": since.date(), "until_on": ends_at.date(), "before_on": (since - period).date(),
        "first_on": since.date(), "last_on": ends_at.date(),
        "evening": (ends_at - timedelta(days=7)).date(), "clock": "business", "zone": "Europe/Berlin", "which": "ordered", "stop": "ordered", "days": 30, "limit": 200, "most": 200,
        "document_types": ["requisition", "purchase_order", "invoice"], "document_id": document_id, "case_id": case_id, "objective": objective, "recording_id": recording_id, "source": "finsync",
        "measures": ["ordered_business", "posted_business"], "measure": "ordered_business", "part": "", "by": ["unit"], "shares": [0.5, 0.85, 0.95], "exact_to": 4000, "system": "s4hana", "origin": since, "bucket_s": 86400, "text": "123", "newest": 20_000, "fewest": 10, "silent_s": 7 * 86400, "revisions": ["changed"],
        "document_type": "requisition", "from_activity": "validated", "activity": "budget_confirmed", "approval_status": "approved", "posting_status": "not_submitted", "named": True, "share": 0.05, "calendars": ["DE-SOUTH", "DE-NORTH"],
        "touches": list(TOUCHES), "is_first": False, "in_time": False, "evening_until": ends_at - timedelta(days=7),
        "document_ids": [document_id], "activities": ["requisition_received", "validated", "budget_confirmed"], "verdict": "objected", "rule": "", "alert_id": document_id, "attempt_id": document_id,
    }  # fmt: skip


_FROM_ROLLUPS = """
SELECT business_unit, starts_on, n, rollup_percentiles(buckets, counts, '{0.5,0.9}') AS p
  FROM rolled('finsync', '{ordered_wall}', NULL, NULL, %(since)s, %(until)s, 'week', 'UTC', '{unit}')
"""
_FROM_EVENTS = """
SELECT business_unit, date_trunc('week', ordered_at AT TIME ZONE 'UTC')::date, count(*), percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY extract(epoch FROM ordered_at - submitted_at))
  FROM (SELECT document_id, business_unit, min(event_at) FILTER (WHERE activity = 'requisition_received') AS submitted_at, min(event_at) FILTER (WHERE activity = 'orders_confirmed') AS ordered_at
          FROM event WHERE activity IN ('requisition_received', 'orders_confirmed') GROUP BY 1, 2) j
 WHERE ordered_at >= %(since)s AND ordered_at < %(until)s GROUP BY 1, 2
"""
_IN_DUCKDB = """
SELECT unit, date_trunc('week', ordered_at), count(*), quantile_cont(epoch(ordered_at - submitted_at), [0.5, 0.9])
  FROM (SELECT document, unit, min(at) FILTER (WHERE activity = 'requisition_received') AS submitted_at, min(at) FILTER (WHERE activity = 'orders_confirmed') AS ordered_at
          FROM events WHERE activity IN ('requisition_received', 'orders_confirmed') GROUP BY 1, 2)
 WHERE ordered_at >= ? AND ordered_at < ? GROUP BY 1, 2
"""


def _compared(connection: psycopg.Connection, ends_at: datetime, progress: Progress) -> dict[str, dict[str, float]]:
    """The same question in four ways, over the last 13 weeks and over all of it: medians in ms, data already in memory."""
    began = time.perf_counter()
    codes = connection.execute(
        "SELECT hashtextextended(document_id::text, 0), business_unit, activity, event_at AT TIME ZONE 'UTC' FROM event"
    ).fetchall()
    held = pd.DataFrame(codes, columns=["document", "unit", "activity", "at"]).astype(
        {"unit": "category", "activity": "category"}
    )
    del codes
    progress(f"read into pandas in {time.perf_counter() - began:.0f} s")
    duck = None
    if importlib.util.find_spec("duckdb"):
        duck = importlib.import_module("duckdb").connect()
        duck.register("frame", held)
        duck.execute("CREATE TABLE events AS SELECT * FROM frame")
    answers = {}
    for label, since in (("13_weeks", ends_at - timedelta(weeks=13)), ("all", ends_at - timedelta(days=365 * 3))):
        values = {"since": since, "until": ends_at}
        bare = [since.replace(tzinfo=None), ends_at.replace(tzinfo=None)]
        ways: dict[str, Callable[[], Any]] = {
            "rollups_ms": partial(_asked, connection, _FROM_ROLLUPS, values),
            "sql_over_events_ms": partial(_asked, connection, _FROM_EVENTS, values),
            "pandas_ms": partial(_in_pandas, held, *bare),
        }
        if duck:
            ways["duckdb_ms"] = partial(_asked, duck, _IN_DUCKDB, bare)
        answers[label] = {way: _median_ms(ask) for way, ask in ways.items()}
        progress(f"{label}: {answers[label]}")
    return answers


def _asked(connection: Any, text: str, values: Any) -> list[Any]:
    rows: list[Any] = connection.execute(text, values).fetchall()
    return rows


def _in_pandas(events: pd.DataFrame, since: datetime, until: datetime) -> pd.DataFrame:
    begun = events[events["activity"] == "requisition_received"].groupby("document")["at"].min()
    ordered = events[events["activity"] == "orders_confirmed"].groupby("document").agg(at=("at", "min"), unit=("unit", "first"))  # fmt: skip
    ordered = ordered[(ordered["at"] >= since) & (ordered["at"] < until)]
    took = (ordered["at"] - begun.reindex(ordered.index)).dt.total_seconds()
    by_unit_and_week = took.groupby([ordered["unit"], ordered["at"].dt.to_period("W")], observed=True)
    return pd.DataFrame({share: by_unit_and_week.quantile(share) for share in (0.5, 0.9)})


def _median_ms(ask: Callable[[], Any]) -> float:
    took = []
    for _ in range(6):
        began = time.perf_counter()
        ask()
        took.append(time.perf_counter() - began)
        if sum(took) > GIVEN_UP_AFTER_S:
            break
    return round(float(pd.Series(took[1:] or took).median()) * 1000, 1)
