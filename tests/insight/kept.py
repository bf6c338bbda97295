"""What the folder keeps of how things stand, beside what is worked out from scratch."""

from typing import Any

import psycopg

from sync_engine.insight import fold

KEPT = """SELECT s.document_id, s.kind_id, s.stage_id, k.document_type, k.state, k.business_unit, k.source_system, k.asks, k.reason, k.rule, k.owner_team, k.case_code, k.is_taken, k.band,
                 s.group_amount, s.state_since, s.heard_at, s.other_at::text, s.since_worked_s, s.other_worked_s
            FROM standing s JOIN standing_kind k USING (kind_id) ORDER BY s.document_id"""
SCRATCH = """SELECT document_id, kind_id, stage_id, document_type, state, business_unit, source_system, asks, reason, rule, owner_team, case_code, is_taken, band,
                    group_amount, state_since, heard_at, other_at::text, since_worked_s, other_worked_s
               FROM standing_fact ORDER BY document_id"""
JUDGED = """SELECT s.document_id, s.cause, s.is_old, s.is_over FROM standing s CROSS JOIN standing_judged j JOIN standing_kind k USING (kind_id) LEFT JOIN standing_limit l ON l.stage_id = s.stage_id
             WHERE (s.cause, s.is_old, s.is_over) <> (standing_cause(k.rule, s.state_since, s.heard_at, s.other_at, j.judged_at, coalesce(l.slow_before, '-infinity'), coalesce(l.stuck_before, '-infinity'),
                                                                    coalesce(l.silent_before, '-infinity'), coalesce(l.unbilled_before, '-infinity')),
                                                      s.state_since < coalesce(l.old_before, '-infinity'), s.state_since < coalesce(l.over_before, '-infinity'))"""
SUMS = "SELECT kind_id, cause, is_old, is_over, business_unit, documents, value, value_worked_s, oldest_since, oldest_worked_s FROM standing_group ORDER BY 1, 2, 3, 4"
SUMS_FROM_ROWS = """SELECT s.kind_id, s.cause, s.is_old, s.is_over, min(s.business_unit), count(*), sum(s.group_amount),
                           sum(s.group_amount::float8 * CASE WHEN s.cause = 3 OR s.cause = 2 AND k.rule = 3 THEN s.since_worked_s ELSE s.other_worked_s END) FILTER (WHERE s.cause <= 4),
                           min(s.state_since), min(s.since_worked_s)
                      FROM standing s JOIN standing_kind k USING (kind_id) GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"""


def assert_kept_as_it_stands(connection: psycopg.Connection) -> None:
    """Every row and every sum that is kept equals the definition worked out from scratch, once everything has been folded."""

    def asked(text: str) -> list[tuple[Any, ...]]:
        return connection.execute(text).fetchall()

    assert asked(KEPT) == asked(SCRATCH)
    assert asked(JUDGED) == []
    assert [_near(row) for row in asked(SUMS)] == [_near(row) for row in asked(SUMS_FROM_ROWS)]


def _near(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Sums of floats depend on their order in the last digits."""
    *rest, value_worked_s, oldest_since, oldest_worked_s = row
    return (*rest, None if value_worked_s is None else float(f"{value_worked_s:.9e}"), oldest_since, oldest_worked_s)


def folded(connection: psycopg.Connection, now: Any) -> None:
    """Everything that waits is folded."""
    while fold.fold(connection, now=now) is not None:
        pass
