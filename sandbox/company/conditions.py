"""What is wrong with the systems themselves at the moment: a state at rest, and disturbances laid over it.

A disturbance changes some faults and takes exactly those back when it is over, so that two of them can overlap and
whatever a test has set by hand stays.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sandbox.company import odds
from sandbox.ledger import Ledger, Row
from sandbox.wire import Faults, Standin

Values = dict[str, Any]

MAINTENANCE = "maintenance"
"""What lies over SAP in its window, weekly or by hand."""


class Conditions:
    """The faults of all stand-ins.

    Args:
        standins: By name.
        ledger: Where the disturbances are kept, so that they outlive a restart.
        latency_scale: How much of the usual latency calls take.
    """

    def __init__(self, standins: Mapping[str, Standin], ledger: Ledger, *, latency_scale: float) -> None:
        self._standins = standins
        self._ledger = ledger
        self._table = ledger.table("disturbance", ("system",))
        self._at_rest = {name: _at_rest(name, latency_scale) for name in standins}
        for name in standins:
            self._apply(name, set(self._at_rest[name]))
            for row in self._over(name):
                self._apply(name, set(row["values"]))

    def disturb(self, system: str, key: str, values: Values, *, at: datetime) -> None:
        """Lay a disturbance called `key` over a system.

        Raises:
            ValueError: an unknown fault, or a value it cannot have.
        """
        Faults().update(values)  # all of it can be set, or none is
        row = {"system": system, "values": values, "on": True, "ordinal": self._ledger.number("disturbance")}
        self._table.put(f"{system}/{key}", row, at)
        self._apply(system, set(values))

    def calm(self, system: str, key: str, *, at: datetime) -> None:
        """Take a disturbance back; one that is not there is no matter."""
        row = self._table.get(f"{system}/{key}")
        if row is not None and row["on"]:
            self._table.put(f"{system}/{key}", {**row, "on": False}, at)
            self._apply(system, set(row["values"]))

    def of(self, system: str) -> dict[str, Values]:
        """What lies over a system, by its key."""
        prefix = f"{system}/"
        return {
            key.removeprefix(prefix): row["values"]
            for key, row in self._table.rows.items()
            if row["system"] == system and row["on"]
        }

    def _over(self, system: str) -> list[Row]:
        rows = [row for row in self._table.find("system", system) if row["on"]]
        return sorted(rows, key=lambda row: int(row["ordinal"]))

    def _apply(self, system: str, names: set[str]) -> None:
        values: Values = dict(self._at_rest[system])
        for row in self._over(system):
            values |= row["values"]
        standin = self._standins[system]
        untouched = Faults()
        with standin.lock:
            standin.faults.update({name: values.get(name, getattr(untouched, name)) for name in sorted(names)})


def _at_rest(system: str, latency_scale: float) -> Values:
    latency = odds.LATENCY_S[system] * latency_scale
    values = {
        "latency_s": latency,
        "latency_jitter_s": latency * odds.LATENCY_JITTER,
        "duplicate_news_share": odds.CARELESS_NEWS_SHARES[system],
        "out_of_order_share": odds.CARELESS_NEWS_SHARES[system],
    }
    if system == "s4hana":
        values |= {"reply_lost_share": odds.REPLY_LOST_SHARE, "only_writes": True}
    return values
