"""The figures of the approvals page as they were reported on an evening (PRODUCT.md D15)."""

from collections.abc import Callable
from datetime import date

import pandas as pd

from pages.approvals_parts import Facts
from pages.explaining import Reported
from pages.format import count, day, duration, percent, working_time
from sync_engine.insight.reports import Unanswered
from sync_engine.insight.reports import approval_measures as measures
from sync_engine.insight.reports.approvals_known import known_on, median


def reported(facts: Facts, key: str) -> Callable[[date], Reported]:
    """How the figure `key` is had as it was reported on an evening."""

    def on(evening: date) -> Reported:
        if facts.found.there > len(facts.found.everything):
            raise Unanswered("approvals", "Not every request was read, so what was reported cannot be said. Choose a shorter period or fewer business units.")  # fmt: skip
        if evening < facts.asked.since.date():
            raise Unanswered("approvals", "That evening lies before the period of this page. Choose a longer period.")
        everything = measures.of(facts.found.everything, roles=facts.roles, types=facts.types)
        found = known_on(facts.found, everything, since=facts.asked.since, until=facts.asked.until, evening=evening)
        if key == "open":
            return Reported(f"{found.open_then:,} open", f"{len(facts.found.open):,} open now", "requests asked for by then and not known to be decided")  # fmt: skip
        days = f"{day(found.since_on)} to {day(found.until_on)} (UTC days)"
        restated = [(learned_on, n, "decisions that had been taken before") for learned_on, n in found.restated]
        return Reported(_said(key, found.then), _said(key, found.now), days, restated)

    return on


def _said(key: str, rows: pd.DataFrame) -> str:
    n = len(rows)
    if key in {"cycle", "heard"}:
        middle = median(rows["business_s" if key == "cycle" else "heard_s"])
        spoken = "too few for a median" if middle is None else working_time(middle) if key == "cycle" else duration(middle)  # fmt: skip
        return f"{spoken}, n {n:,}"
    parts = {
        "first": (rows["outcome"] == "approved") & ~rows["is_returned"].astype(bool),
        "rate": rows["outcome"] == "approved",
        "rush": rows["is_quick"].astype(bool) | rows["is_reflex"].astype(bool),
    }
    part = int(parts[key].sum())
    return f"{percent(part / n if n else None)}, {part:,} of {count(n, 'decision')}"
