"""Years of purchases at once: the events, recordings and documents that the engine would have written, made by the database itself
from a seed, so that ten million are there in minutes.

A journey is a requisition, its order and its invoice. Each step is a move that the lifecycles allow, with the statuses they give it;
one journey in sixteen is rejected, one in eight is changed on its way, and what would happen after the end has not happened. Invoices
are paid in the end, so that what stands open is what a company of that size has open, however many years it looks back on.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

from sync_engine.model.documents import DocumentType
from sync_engine.model.lifecycles import LIFECYCLES, Status

UNITS = 50
EVENTS_A_RECORDING = 10
"""About what an engine that is not behind writes at once."""

_R, _O, _I = DocumentType.REQUISITION, DocumentType.PURCHASE_ORDER, DocumentType.INVOICE
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0

_BEGINNING = [(_R, "requisition_received", 0.0), (_R, "validated", _MINUTE), (_R, "budget_confirmed", 2 * _MINUTE), (_R, "approval_requested", _MINUTE)]  # fmt: skip
_REST = [
    (_R, "approval_completed", 1.2 * _DAY), (_R, "decision_propagated", _MINUTE), (_R, "orders_drafted", 5 * _MINUTE), (_O, "order_drafted", 1.0), (_O, "order_accepted", 20 * _MINUTE),
    (_O, "commitment_confirmed", _MINUTE), (_O, "order_number_returned", _MINUTE), (_O, "export_marked", _MINUTE), (_R, "orders_confirmed", 10 * _MINUTE), (_O, "goods_received_in_full", 6 * _DAY),
    (_I, "invoice_received", 3 * _DAY), (_I, "acknowledged", _MINUTE), (_I, "invoice_validated", _MINUTE), (_I, "duplicate_excluded", _MINUTE), (_I, "matched", 4 * _HOUR),
    (_I, "released", _HOUR), (_I, "invoice_posted", 5 * _MINUTE), (_I, "match_result_returned", _MINUTE), (_O, "invoiced_in_full", _MINUTE),
    (_I, "payment_ready", _DAY), (_I, "payment_cleared", 12 * _DAY), (_I, "payment_status_returned", _MINUTE),
]  # fmt: skip
PATHS: dict[str, list[tuple[DocumentType, str, float]]] = {
    "straight": _BEGINNING + _REST,
    "changed": [*_BEGINNING, (_R, "changed", 0.5 * _DAY), *_BEGINNING[1:], *_REST],
    "rejected": [*_BEGINNING, (_R, "procurement_rejected", 1.5 * _DAY)],
}
"""What happens on each path, in order, each with the mean of the time since the step before (exponential), in seconds."""

MEAN_EVENTS = (13 * len(PATHS["straight"]) + 2 * len(PATHS["changed"]) + len(PATHS["rejected"])) / 16

_FROM_OUTSIDE = {"requisition_received", "approval_completed", "goods_received_in_full", "invoice_received", "procurement_rejected", "changed"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Made:
    """How much there is, and from when to when."""

    events: int
    documents: int
    recordings: int
    begins_at: datetime
    ends_at: datetime


def steps() -> list[tuple[Any, ...]]:
    """(path, place, document type, seq, activity, state before and after, both statuses after, whether it moves, mean of the wait, system)
    of every step, as the lifecycles have it."""
    rows = []
    for path, places in PATHS.items():
        status: dict[DocumentType, Status] = {}
        seq: dict[DocumentType, int] = {}
        for place, (kind, activity, wait_s) in enumerate(places):
            before = status.get(kind)
            after = LIFECYCLES[kind].after(before, activity) if before else LIFECYCLES[kind].initial
            status[kind], seq[kind] = after, seq.get(kind, 0) + 1
            state = before.state if before else None
            rows.append(
                (
                    path, place, kind.value, seq[kind], activity, state, after.state, after.approval_status.value, after.posting_status.value, state != after.state, wait_s,
                    "coupa" if activity in _FROM_OUTSIDE else "finsync",
                )
            )  # fmt: skip
    return rows


def make(connection: psycopg.Connection, *, events: int, ends_at: datetime, years: int = 3, seed: int = 7) -> Made:
    """Write about `events` events of the `years` before `ends_at`, over the engine's connection, in a cell that has its configuration
    but no documents yet. The same seed gives the same events."""
    begins_at = ends_at - timedelta(days=365 * years)
    journeys = round(events / MEAN_EVENTS)
    values = {
        "journeys": journeys, "seed": seed, "begins": begins_at.timestamp(), "ends": ends_at.timestamp(),
        "tick": (ends_at - begins_at).total_seconds() * EVENTS_A_RECORDING / events,
    }  # fmt: skip
    connection.execute("SELECT ensure_partitions(%s, %s)", [begins_at.date().replace(day=1), 12 * years + 2])
    connection.execute(
        """INSERT INTO business_unit (code, name, country, currency, company_code, calendar, time_zone)
           SELECT 'BENCH-' || to_char(u, 'FM00'), 'Unit ' || u, 'DE', 'EUR', '1010', c.calendar, 'Europe/Berlin'
             FROM generate_series(1, %s) AS u, (SELECT min(calendar) AS calendar FROM calendar_interval) c""",
        [UNITS],
    )
    with connection.transaction():
        connection.execute(_TEMPORARY)
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO made_step VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                steps(),
            )
        connection.execute(_MADE, values)
        connection.execute("ANALYZE made; ANALYZE made_step")
        recordings = connection.execute(_RECORDINGS, values).rowcount
        written = connection.execute(_EVENTS, values).rowcount
        documents = connection.execute(_DOCUMENTS, values).rowcount
        connection.execute(_EXCEPTIONS, values)
        connection.execute("DROP TABLE made, made_step; DROP FUNCTION pg_temp.chance, pg_temp.made_id")
    connection.commit()
    return Made(written, documents, recordings, begins_at, ends_at)


_TEMPORARY = """
CREATE TEMPORARY TABLE made_step (path text, place int, kind text, seq int, activity text, state_from text, state_to text, approval text, posting text,
                                  moves boolean, wait_s float8, system text);
CREATE TEMPORARY TABLE made (n int, unit int, path text, place int, kind text, seq int, at float8, tick bigint, since_tick bigint);
CREATE FUNCTION pg_temp.chance(n bigint, what int, seed bigint) RETURNS float8 LANGUAGE sql IMMUTABLE
AS $$ SELECT (hashint8extended(n * 64 + what, seed) & 9007199254740991)::float8 / 9007199254740992 $$;
-- Ids that begin with a time, as ours do.
CREATE FUNCTION pg_temp.made_id(at float8, what text) RETURNS uuid LANGUAGE sql IMMUTABLE
AS $$ SELECT (lpad(to_hex((at * 1000)::bigint), 12, '0') || '70008' || substr(md5(what), 1, 15))::uuid $$;
"""

_MADE = """
INSERT INTO made
SELECT n, unit, path, place, kind, seq, at, tick,
       max(CASE WHEN moves THEN tick END) OVER (PARTITION BY n, kind ORDER BY place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
  FROM (SELECT t.*, ceil(at / %(tick)s)::bigint AS tick
          FROM (SELECT j.n, j.unit, s.path, s.place, s.kind, s.seq, s.moves,
                       j.submitted + sum(-ln(1 - pg_temp.chance(j.n, s.place, %(seed)s)) * s.wait_s * (0.6 + j.unit %% 10 * 0.1)) OVER (PARTITION BY j.n ORDER BY s.place) AS at
                  FROM (SELECT n, %(begins)s + (%(ends)s - %(begins)s) * (n - 1) / %(journeys)s AS submitted,
                               1 + floor(50 * pg_temp.chance(n, 63, %(seed)s) ^ 2)::int AS unit,
                               CASE WHEN n %% 16 = 5 THEN 'rejected' WHEN n %% 16 IN (2, 9) THEN 'changed' ELSE 'straight' END AS path
                          FROM generate_series(1, %(journeys)s) AS n) j
                  JOIN made_step s USING (path)) t) u
 WHERE tick * %(tick)s <= %(ends)s
"""

_RECORDINGS = """
INSERT INTO recording (recording_id, engine_id, recorded_at, event_count, merkle_root)
SELECT pg_temp.made_id(tick * %(tick)s, 'recording' || tick), 'bench', to_timestamp(tick * %(tick)s), count(*), sha256(tick::text::bytea)
  FROM made GROUP BY tick ORDER BY tick
"""

_EVENTS = """
INSERT INTO event (recording_id, ordinal, recorded_at, document_id, seq, document_type, correlation_id, business_unit, source, activity, event_at, observed_at, system, actor,
                   state_from, state_to, state_from_since, approval_status, posting_status, document_version)
SELECT pg_temp.made_id(m.tick * %(tick)s, 'recording' || m.tick), row_number() OVER (PARTITION BY m.tick ORDER BY m.at, m.n, m.place) - 1, to_timestamp(m.tick * %(tick)s),
       pg_temp.made_id(%(begins)s + m.n, m.kind || m.n), m.seq, m.kind, pg_temp.made_id(%(begins)s + m.n, 'requisition' || m.n), 'BENCH-' || to_char(m.unit, 'FM00'), 'finsync', s.activity,
       to_timestamp(m.at), to_timestamp(m.tick * %(tick)s), s.system, CASE s.system WHEN 'finsync' THEN 'engine' ELSE 'person ' || m.n %% 200 END,
       s.state_from, s.state_to, to_timestamp(m.since_tick * %(tick)s), s.approval, s.posting, m.seq
  FROM made m JOIN made_step s USING (path, place)
 ORDER BY m.tick
"""

_DOCUMENTS = """
INSERT INTO document (document_id, document_type, correlation_id, number, title, business_unit, source_system, state, approval_status, posting_status, state_since, version,
                      currency, amount, group_amount, supplier, supplier_name, requester, submitted_at, created_at, updated_at, closed_at, last_event_seq, last_event_at)
SELECT pg_temp.made_id(%(begins)s + l.n, l.kind || l.n), l.kind, pg_temp.made_id(%(begins)s + l.n, 'requisition' || l.n), l.n::text, 'Purchase ' || l.n, 'BENCH-' || to_char(l.unit, 'FM00'),
       'coupa', s.state_to, s.approval, s.posting, to_timestamp(CASE WHEN s.moves THEN l.tick ELSE l.since_tick END * %(tick)s), l.seq,
       'EUR', a.amount, a.amount, 'S' || l.n %% 400, 'Supplier ' || l.n %% 400, 'person ' || l.n %% 200, to_timestamp(l.first_at), to_timestamp(l.first_at), to_timestamp(l.tick * %(tick)s),
       CASE WHEN (l.kind, s.state_to) IN (('requisition', 'ordered'), ('requisition', 'rejected'), ('purchase_order', 'closed'), ('invoice', 'paid')) THEN to_timestamp(CASE WHEN s.moves THEN l.tick ELSE l.since_tick END * %(tick)s) END,
       l.seq, to_timestamp(l.tick * %(tick)s)
  FROM (SELECT DISTINCT ON (n, kind) *, first_value(at) OVER (PARTITION BY n, kind ORDER BY seq) AS first_at FROM made ORDER BY n, kind, seq DESC) l
  JOIN made_step s USING (path, place)
 CROSS JOIN LATERAL (SELECT round((exp(4 + 5 * pg_temp.chance(l.n, 62, %(seed)s)))::numeric, 2) AS amount) a
"""

_EXCEPTIONS = """
INSERT INTO exception_case (case_id, document_id, system, category, code, origin, retryable, fingerprint, message, number, document_type, business_unit, currency, amount, group_amount,
                            status, blocks, owner_team, raised_at, last_seen_at, closed_at, close_reason)
SELECT pg_temp.made_id(extract(epoch FROM d.created_at)::float8, 'case' || d.document_id), d.document_id, 's4hana', k.category, k.code, 'finsync', 'after_fix', k.code || '|' || d.supplier, k.code,
       d.number, d.document_type, d.business_unit, d.currency, d.amount, d.group_amount, CASE WHEN t.closed THEN 'closed' ELSE 'open' END, true, 'buyers', t.raised_at, t.raised_at,
       CASE WHEN t.closed THEN t.raised_at + interval '20 hours' END, CASE WHEN t.closed THEN 'fixed' END
  FROM document d
 CROSS JOIN LATERAL (SELECT (hashint8extended(hashtext(d.document_id::text), %(seed)s) & 1023) AS dice) h
 CROSS JOIN LATERAL (SELECT (ARRAY['master_data', 'policy', 'erp_posting', 'external_outage'])[1 + h.dice %% 4] AS category,
                            (ARRAY['cost_centre_blocked', 'budget_exceeded', 'period_closed', 'unavailable'])[1 + h.dice %% 4] AS code) k
 CROSS JOIN LATERAL (SELECT d.created_at + interval '1 hour' AS raised_at, d.created_at < to_timestamp(%(ends)s) - interval '4 days' AS closed) t
 WHERE h.dice < 60
"""
