"""Coupa's budget lines: what a cost centre may spend in a period, what is ordered from it, what is asked for.

`remaining` is the amount less what is ordered; `pending-requisitions-amount` is what submitted requisitions would take
on top. Only spend in the line's own currency counts, and only spend booked once the line exists.
"""

import calendar
import re
from collections.abc import Callable, Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sandbox.coupa.records import Lookup, currency_row, day_stamp, money, shares, stamp
from sandbox.ledger import Table

Row = dict[str, Any]

_PERIOD = re.compile(r"(?P<year>\d{4})(-(?P<month>0[1-9]|1[0-2])|-Q(?P<quarter>[1-4]))?")


def days_of(period: str) -> tuple[date, date]:
    """First and last day of a period called "2026", "2026-Q3" or "2026-07".

    Raises:
        ValueError: it is called otherwise.
    """
    found = _PERIOD.fullmatch(period)
    if found is None:
        raise ValueError(f"{period!r} is no period; write 2026, 2026-Q3 or 2026-07")
    year = int(found["year"])
    first, last = 1, 12
    if found["month"]:
        first = last = int(found["month"])
    elif found["quarter"]:
        first, last = int(found["quarter"]) * 3 - 2, int(found["quarter"]) * 3
    return date(year, first, 1), date(year, last, calendar.monthrange(year, last)[1])


class BudgetBook:
    """The budget lines of one instance.

    Args:
        table: Where they are kept; indexed by "segment-2", the cost centre.
        clock: Tells the time.
        lookup: Gives ids to master data.
    """

    def __init__(self, table: Table, clock: Callable[[], datetime], lookup: Lookup) -> None:
        self._table = table
        self._clock = clock
        self._lookup = lookup

    def set_line(
        self, *, company_code: str, cost_centre: str, account: str, period: str, amount: str, currency: str
    ) -> int:
        """Give a cost centre an amount for a period; giving it again changes the amount and keeps what was booked.

        Returns its id.
        """
        key = f"{company_code}|{cost_centre}|{account}|{period}|{currency}"
        first, last = days_of(period)
        now = self._clock()
        row = self._table.get(key) or {
            "id": self._lookup("budget line", key),
            "created-at": stamp(now),
            "description": f"{cost_centre} {period}",
            "notes": None,
            "currency": currency_row(currency, self._lookup),
            "period": {
                "id": self._lookup("period", period),
                "name": period,
                "start-date": day_stamp(first),
                "end-date": day_stamp(last),
                "is-open": True,
            },
            "segment-1": company_code,
            "segment-2": cost_centre,
            "segment-3": account or None,
            "_key": key,
            "_first": first.isoformat(),
            "_last": last.isoformat(),
            "_ordered": "0",
            "_pending": "0",
        }
        self._store({**row, "amount": money(Decimal(amount), currency)}, now)
        return int(row["id"])

    def book(self, lines: Iterable[Row], kind: str, sign: int, day: date) -> None:
        """Add (or with -1 take back) what `lines` bear under "pending" or "ordered" for the periods that hold `day`."""
        now = self._clock()
        for line in lines:
            for company_code, cost_centre, account, amount in shares(line):
                for row in self._table.find("segment-2", cost_centre):
                    if self._bears(row, company_code, account, line["currency"]["code"], day.isoformat()):
                        booked = str(Decimal(row[f"_{kind}"]) + sign * amount)
                        self._store({**row, f"_{kind}": booked}, now)

    @staticmethod
    def _bears(row: Row, company_code: str, account: str, currency: str, day: str) -> bool:
        same_place = row["segment-1"] == company_code and row["segment-3"] in {None, account}
        return same_place and row["currency"]["code"] == currency and row["_first"] <= day <= row["_last"]

    def _store(self, row: Row, now: datetime) -> None:
        currency = row["currency"]["code"]
        remaining = Decimal(row["amount"]) - Decimal(row["_ordered"])
        self._table.put(
            row["_key"],
            {
                **row,
                "remaining": money(remaining, currency),
                "remaining-budget": money(remaining - Decimal(row["_pending"]), currency),
                "pending-requisitions-amount": money(Decimal(row["_pending"]), currency),
                "updated-at": stamp(now),
            },
            now,
        )
