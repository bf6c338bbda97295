"""Values of OData V2: literals for filters and keys, the place in an ordered set, and one entity read field by field.

What is missing or retyped in an entity is a `MappingError` that names the field; nothing is guessed.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from collectors.http import excerpt
from sync_engine.model.errors import MappingError
from sync_engine.model.money import parse_amount

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_DATE = re.compile(r"/Date\((-?\d+)(?:[+-]\d{4})?\)/")
_TIME = re.compile(r"PT(\d+)H(\d+)M(\d+)(?:\.\d+)?S")
SAFE = "$'(),=:/-"
"""What stays readable in an address."""

Literal = str | bool | date | datetime | time


def literal(value: Literal) -> str:
    """A value as $filter and key predicates spell it.

    >>> literal("O'Hara"), literal(date(2024, 1, 31)), literal(time(9, 20)), literal(True)
    ("'O''Hara'", "datetime'2024-01-31T00:00:00'", "time'PT09H20M00S'", 'true')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return f"datetimeoffset'{value.astimezone(UTC).isoformat().replace('+00:00', 'Z')}'"
    if isinstance(value, date):
        return f"datetime'{value.isoformat()}T00:00:00'"
    if isinstance(value, time):
        return f"time'PT{value:%H}H{value:%M}M{value:%S}S'"
    return "'" + value.replace("'", "''") + "'"


def json_day(day: date) -> str:
    """Edm.DateTime in a JSON body.

    >>> json_day(date(2019, 3, 18))
    '/Date(1552867200000)/'
    """
    return f"/Date({(day - EPOCH.date()) // timedelta(milliseconds=1)})/"


def key(entity_set: str, *values: Literal, **named: Literal) -> str:
    """The path of one entity.

    >>> key("A_PurchaseOrder", "45"), key("A_PurchaseOrderItem", PurchaseOrder="45", PurchaseOrderItem="10")
    ("A_PurchaseOrder('45')", "A_PurchaseOrderItem(PurchaseOrder='45',PurchaseOrderItem='10')")
    """
    parts = [literal(value) for value in values] + [f"{name}={literal(value)}" for name, value in named.items()]
    return f"{entity_set}({quote(','.join(parts), safe=SAFE)})"


def one_of(name: str, values: Sequence[str]) -> str:
    """The filter for entities with any of `values`."""
    return "(" + " or ".join(f"{name} eq {literal(value)}" for value in values) + ")"


def from_position(position: Sequence[tuple[str, Literal]]) -> str:
    """The filter for everything at or behind a position in an order by several fields.

    It names the position instead of counting (`$skip`), so that entities which move or appear while pages are read
    shift nothing. The entity at the position itself comes again.

    >>> from_position([("A", "1"), ("B", "2")])
    "(A gt '1' or (A eq '1' and B ge '2'))"
    """
    (name, value), *rest = position
    if not rest:
        return f"{name} ge {literal(value)}"
    return f"({name} gt {literal(value)} or ({name} eq {literal(value)} and {from_position(rest)}))"


def bare(number: str) -> str:
    """A document number without leading zeros: SAP's services do not agree on them."""
    return number.lstrip("0") or "0" if number.isdigit() else number


class Entity:
    """One entity as SAP sent it, read field by field.

    Args:
        values: The JSON object.
        system: Who sent it, for errors.
        what: What it is, for errors: "purchase order".
    """

    def __init__(self, values: Any, *, system: str, what: str) -> None:
        if not isinstance(values, Mapping):
            message = f"The {what} is not an object: {excerpt(repr(values))}"
            raise MappingError(message, system=system, code="contract_change", facts={"field": what})
        self.values = values
        self._system = system
        self._what = what

    def text(self, name: str) -> str:
        """A text; empty when SAP says null."""
        value = self._value(name)
        return "" if value is None else self._typed(name, value, str)

    def bare(self, name: str) -> str:
        """A document number without leading zeros."""
        return bare(self.text(name))

    def amount(self, name: str) -> Decimal:
        """An Edm.Decimal, which JSON carries as text."""
        try:
            return parse_amount(self._typed(name, self._value(name), str))
        except ValueError as error:
            message = f"The {self._what} cannot be read: {name}: {error}"
            raise MappingError(message, system=self._system, code="field_invalid", facts={"field": name}) from None

    def flag(self, name: str) -> bool:
        """An Edm.Boolean."""
        value: bool = self._typed(name, self._value(name), bool)
        return value

    def moment(self, name: str) -> datetime | None:
        """An Edm.DateTimeOffset, aware UTC; None for null."""
        value = self._value(name)
        if value is None:
            return None
        found = _DATE.fullmatch(self._typed(name, value, str))
        if found is None:
            raise self._contract(name, value, "is not a date of OData V2")
        return EPOCH + timedelta(milliseconds=int(found[1]))

    def day(self, name: str) -> date | None:
        """An Edm.DateTime that carries a day; None for null."""
        at = self.moment(name)
        return None if at is None else at.date()

    def clock(self, name: str) -> time:
        """An Edm.Time."""
        value = self._typed(name, self._value(name), str)
        found = _TIME.fullmatch(value)
        if found is None:
            raise self._contract(name, value, "is not a time of OData V2")
        hours, minutes, seconds = (int(part) for part in found.groups())
        return time(hours % 24, minutes, seconds)

    def entities(self, name: str, what: str) -> list["Entity"]:
        """The entities behind an expanded navigation."""
        value = self._typed(name, self._value(name), dict)
        listed = value.get("results")
        if not isinstance(listed, list):
            raise self._contract(name, value, "was not expanded")
        return [Entity(values, system=self._system, what=what) for values in listed]

    @property
    def etag(self) -> str:
        """What If-Match has to say; "*" where the service gives none."""
        return str(self.values.get("__metadata", {}).get("etag", "*"))

    def _value(self, name: str) -> Any:
        if name not in self.values:
            raise self._contract(name, None, "is missing")
        return self.values[name]

    def _typed(self, name: str, value: Any, kind: type) -> Any:
        if not isinstance(value, kind):
            raise self._contract(name, value, f"is not a {kind.__name__}")
        return value

    def _contract(self, name: str, value: Any, wrong: str) -> MappingError:
        message = f"The {self._what} does not have the agreed shape: {name} {wrong}" + (
            f" (value {excerpt(repr(value))})" if value is not None else ""
        )
        return MappingError(message, system=self._system, code="contract_change", facts={"field": name, "value": value})
