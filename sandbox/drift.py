"""What can be wrong with the news itself: a field that changed its shape, rows told twice, rows out of order."""

from datetime import datetime
from random import Random

from sandbox.ledger import Row
from sandbox.wire import Faults, Standin


class Drift:
    """A vendor's release that changes one field of what a stand-in lists, for rows changed since it went live.

    Args:
        standin: Whose `faults.schema_drift` switches it on and off.
        field: The field it hits.
    """

    def __init__(self, standin: Standin, field: str) -> None:
        self._standin = standin
        self._field = field
        self._kind = ""
        self._since: datetime | None = None

    def notice(self) -> None:
        """See whether the switch was moved. Called before every write, so that what is written next counts as later."""
        kind = self._standin.faults.schema_drift
        if kind != self._kind:
            self._kind = kind
            self._since = self._standin.clock() if kind else None

    def sent(self, row: Row, changed_at: datetime) -> Row:
        """`row` as the present release sends it.

        Raises:
            ValueError: a kind of drift nobody has thought of.
        """
        self.notice()
        # Wire formats carry whole seconds at worst, so the switch is compared by the second.
        if self._since is None or changed_at < self._since.replace(microsecond=0):
            return row
        changed = dict(row)
        match self._kind:
            case "added":
                changed["release_marker"] = "next"
            case "renamed":
                changed[f"{self._field}_v2"] = changed.pop(self._field, None)
            case "removed":
                changed.pop(self._field, None)
            case "retyped":
                changed[self._field] = {"value": changed.get(self._field)}
            case other:
                raise ValueError(f"there is no drift called {other!r}; there are added, renamed, removed, retyped")
        return changed


def as_told(rows: list[Row], faults: Faults, rng: Random) -> list[Row]:
    """`rows` as a careless system tells them: some twice, some swapped with the next, by the shares of `faults`."""
    if not faults.duplicate_news_share and not faults.out_of_order_share:
        return rows
    told = [row for row in rows for _ in range(2 if rng.random() < faults.duplicate_news_share else 1)]
    for i in range(len(told) - 1):
        if rng.random() < faults.out_of_order_share:
            told[i], told[i + 1] = told[i + 1], told[i]
    return told
