"""A company's open documents at once, as the engine would have left them: with their event, the work that is next and, for some, the
exception that stops them; made by the database itself from a seed, beside the years of benchmarks/history.py.
"""

from datetime import datetime

import psycopg

PLACES = (
    ("requisition", "awaiting_approval", 22, "coupa", "await_decision"),
    ("requisition", "approved", 3, "coupa", "draft_orders"),
    ("requisition", "awaiting_budget", 3, "coupa", "check_budget"),
    ("purchase_order", "ordered", 34, "finsync", "await_receipt"),
    ("purchase_order", "received", 12, "finsync", "await_invoice"),
    ("purchase_order", "ordering", 2, "finsync", "create_order"),
    ("invoice", "in_review", 5, "basware", "await_review"),
    ("invoice", "payment_ready", 12, "basware", "await_clearing"),
    ("invoice", "payment_blocked", 4, "basware", "confirm_readiness"),
    ("invoice", "received", 3, "basware", "validate_invoice"),
)
"""Type, state, share in percent, where it came from, what is next."""


def make_open(connection: psycopg.Connection, *, documents: int, ends_at: datetime, seed: int = 7) -> int:
    """Write so many open documents, over the engine's connection, in a cell whose units are there; answers how many events that were.

    They have stood for up to three months, most of them for days; one in twelve is stopped by an exception.
    """
    kinds, states, shares, sources, steps = zip(*PLACES, strict=True)
    values = {
        "documents": documents, "seed": seed, "ends": ends_at.timestamp(), "kinds": list(kinds), "states": list(states), "shares": list(shares), "sources": list(sources), "steps": list(steps),
    }  # fmt: skip
    with connection.transaction():
        connection.execute(_MADE, values)
        connection.execute("ANALYZE made_open")
        connection.execute(_RECORDINGS)
        written = connection.execute(_EVENTS).rowcount
        connection.execute(_DOCUMENTS)
        connection.execute(_WORK)
        connection.execute(_EXCEPTIONS)
        connection.execute("DROP TABLE made_open")
    connection.commit()
    return written


_MADE = """
CREATE TEMPORARY TABLE made_open AS
WITH place AS (
    SELECT *, sum(share) OVER (ORDER BY nth) - share AS from_share, sum(share) OVER (ORDER BY nth) AS to_share
      FROM unnest(%(kinds)s::text[], %(states)s::text[], %(shares)s::int[], %(sources)s::text[], %(steps)s::text[]) WITH ORDINALITY AS p(kind, state, share, source, step, nth)
), dice AS (
    SELECT n, (hashint8extended(n * 8, %(seed)s) & 9007199254740991)::float8 / 9007199254740992 AS a, (hashint8extended(n * 8 + 1, %(seed)s) & 9007199254740991)::float8 / 9007199254740992 AS b,
           (hashint8extended(n * 8 + 2, %(seed)s) & 9007199254740991)::float8 / 9007199254740992 AS c, (hashint8extended(n * 8 + 3, %(seed)s) & 9007199254740991)::float8 / 9007199254740992 AS d,
           (hashint8extended(n * 8 + 4, %(seed)s) & 9007199254740991)::float8 / 9007199254740992 AS e
      FROM generate_series(1, %(documents)s) AS n
)
SELECT d.n, p.kind, p.state, p.source, p.step, u.code AS unit, to_timestamp(s.since) AS since,
       (lpad(to_hex((s.since * 1000)::bigint), 12, '0') || '70008' || substr(md5('open' || d.n), 1, 15))::uuid AS document_id,
       (lpad(to_hex(((%(ends)s - 7776000 + (d.n / 10)) * 1000)::bigint), 12, '0') || '70008' || substr(md5('open recording' || d.n / 10), 1, 15))::uuid AS recording_id,
       round(exp(4 + 5 * d.c)::numeric, 2) AS amount, d.d AS dice, d.e AS other
  FROM dice d
  JOIN place p ON d.a * 100 >= p.from_share AND d.a * 100 < p.to_share
  JOIN (SELECT code, row_number() OVER (ORDER BY code) AS nth, count(*) OVER () AS units FROM business_unit) u ON u.nth = 1 + floor(u.units * d.b ^ 2)
 CROSS JOIN LATERAL (SELECT %(ends)s - least(-ln(1 - d.e) * 9 * 86400, 7600000) AS since) s
"""

_RECORDINGS = """
INSERT INTO recording (recording_id, engine_id, recorded_at, event_count, merkle_root)
SELECT recording_id, 'bench', max(since), count(*), sha256(recording_id::text::bytea) FROM made_open GROUP BY recording_id
"""

_EVENTS = """
INSERT INTO event (recording_id, ordinal, recorded_at, document_id, seq, document_type, correlation_id, business_unit, source, activity, event_at, observed_at, system, actor,
                   state_to, approval_status, posting_status, document_version)
SELECT m.recording_id, row_number() OVER (PARTITION BY m.recording_id ORDER BY m.n) - 1, r.recorded_at, m.document_id, 1, m.kind, m.document_id, m.unit, 'finsync', m.kind || '_received',
       m.since, m.since, m.source, 'engine', m.state, 'pending', 'not_submitted', 1
  FROM made_open m JOIN recording r USING (recording_id)
"""

_DOCUMENTS = """
INSERT INTO document (document_id, document_type, correlation_id, number, title, business_unit, source_system, state, approval_status, posting_status, state_since, version,
                      currency, amount, group_amount, supplier, supplier_name, requester, submitted_at, need_by_on, due_on, created_at, updated_at, last_event_seq, last_event_at)
SELECT m.document_id, m.kind, m.document_id, 'P' || m.n, 'Purchase P' || m.n, m.unit, m.source, m.state, 'pending', 'not_submitted', m.since, 1,
       'EUR', m.amount, m.amount, 'S' || m.n % 400, 'Supplier ' || m.n % 400, 'person ' || m.n % 200, m.since, (m.since + interval '30 days' * m.dice)::date,
       (m.since + interval '40 days' * m.dice)::date, m.since, r.recorded_at, 1, r.recorded_at
  FROM made_open m JOIN recording r USING (recording_id)
"""

_WORK = """
INSERT INTO work_item (work_item_id, document_id, business_unit, flow, step, system, status, due_at, step_since, objective_at, created_at)
SELECT md5('work' || m.document_id)::uuid, m.document_id, m.unit, m.kind, m.step, m.source, 'due', m.since + interval '200 days', m.since, m.since + interval '20 days' * (0.2 + m.dice), m.since
  FROM made_open m
"""

_EXCEPTIONS = """
INSERT INTO exception_case (case_id, document_id, system, category, code, origin, retryable, fingerprint, message, number, document_type, business_unit, currency, amount, group_amount,
                            status, blocks, owner_team, owner, raised_at, last_seen_at)
SELECT md5('case' || m.document_id)::uuid, m.document_id, 's4hana', k.category, k.code, 'finsync', 'after_fix', k.code || '|' || m.n % 400, k.code, 'P' || m.n, m.kind, m.unit, 'EUR', m.amount, m.amount,
       CASE WHEN m.n % 5 = 0 THEN 'claimed' ELSE 'open' END, m.n % 4 <> 0, 'finance operations', CASE WHEN m.n % 5 = 0 THEN 'person ' || m.n % 20 END, m.since + interval '1 hour', m.since + interval '1 hour'
  FROM made_open m
 CROSS JOIN LATERAL (SELECT (ARRAY['master_data', 'policy', 'erp_posting', 'external_outage'])[1 + m.n % 4] AS category,
                            (ARRAY['cost_centre_blocked', 'budget_exceeded', 'period_closed', 'system_unavailable'])[1 + m.n % 4] AS code) k
 WHERE m.dice < 1.0 / 12
"""
