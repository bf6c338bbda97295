"""Bills that look like bills that are here already, before they are paid: by what they agree in, with how sure that is, and what people
have said of them (R082, PRODUCT.md 4.11).
"""

from collections.abc import Sequence

import pandas as pd

from sync_engine.insight.asking import Row
from sync_engine.insight.open_invoices import Rules
from sync_engine.insight.reports.reading import Reports
from sync_engine.model.policies import Bill, duplicate_invoices

MOST_PAIRS = 2_000

PRIOR = {"exact": 0.95, "reference": 0.85, "date": 0.7, "value": 0.6, "vendor": 0.5}
"""How often each pattern is a duplicate before anybody has said anything: ours, to begin with."""

PRIOR_WEIGHT = 4
"""It counts as much as so many verdicts."""

PATTERNS = {
    "exact": "reference, date, value and supplier agree",
    "reference": "the reference differs by how it is written",
    "date": "only the date differs",
    "value": "the value differs by less than 1 %",
    "vendor": "two supplier numbers of one name",
}

COLUMNS = (
    "document_id", "number", "business_unit", "supplier_name", "amount", "currency", "group_amount", "due_on", "state", "invoiced_on", "other_id", "other_number", "other_supplier_name", "other_amount",
    "other_state", "other_invoiced_on", "verdict", "author", "decided_at", "verdict_reason", "pattern", "confidence", "judged",
)  # fmt: skip


def confidence(pattern: str, judged: int, duplicates: int) -> float:
    """How likely a pair of a pattern is a duplicate: the share of verdicts that said so, begun with ours (the mean of a beta
    distribution).

    >>> confidence("exact", 0, 0), round(confidence("exact", 4, 0), 3)
    (0.95, 0.475)
    """
    return (duplicates + PRIOR[pattern] * PRIOR_WEIGHT) / (judged + PRIOR_WEIGHT)


def candidates(reports: Reports, units: Sequence[str] | None, known: Rules, *, suppliers: Sequence[str] | None = None) -> pd.DataFrame:  # fmt: skip
    """Pairs of an unpaid invoice and an earlier one that agree in all four fields or in three and nearly in the fourth, surest first.
    Those that somebody called distinct stay in, with the verdict: the page leaves them out of what is to be judged."""
    rows = []
    for row in reports.remembered("report_invoices_due.alike", units=list(units) if units else None, suppliers=list(suppliers) if suppliers else None, days=known.duplicate_days, most=MOST_PAIRS):  # fmt: skip
        pattern = _pattern(row, known)
        if pattern is None:
            continue
        judged, duplicates = (row["said"] or {}).get(pattern, (0, 0))
        rows.append({**row, "pattern": pattern, "judged": judged, "confidence": confidence(pattern, judged, duplicates)})  # fmt: skip
    frame = pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=object) for name in COLUMNS})
    return frame.sort_values(["confidence", "group_amount"], ascending=False, kind="stable", na_position="last").reset_index(drop=True)  # fmt: skip


def _pattern(row: Row, known: Rules) -> str | None:
    new = Bill(str(row["document_id"]), row["number"], row["invoiced_on"], row["amount"], row["currency"], row["supplier"], row["supplier_name"])  # fmt: skip
    other = Bill(str(row["other_id"]), row["other_number"], row["other_invoiced_on"], row["other_amount"], row["currency"], row["other_supplier"], row["other_supplier_name"])  # fmt: skip
    reasons = duplicate_invoices(new, [other], days=known.duplicate_days, name_score=known.duplicate_name_score)
    return reasons[0].facts["pattern"] if reasons else None
