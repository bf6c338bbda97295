"""Coupa's query language over JSON rows: conditions, order, pages and chosen fields.

    ?status=approved   ?updated_at[gt_or_eq]=2026-01-31T09:00:00Z   ?supplier[name][contains]=steel

Attributes are written with underscores in a query and with dashes in a record; conditions are ANDed. A page holds at
most fifty records whatever limit is asked for, and there is neither a total nor a cursor: all as the vendor has it.
"""

import json
import operator as operators
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

Row = dict[str, Any]

PAGE_LIMIT = 50
TEXT_OPERATORS = frozenset({"contains", "starts_with", "ends_with"})
STEERING = frozenset({"limit", "offset", "order_by", "dir", "fields", "return_object", "show_deleted_lines"})
"""Arguments that are no conditions."""


_ON_TEXT: dict[str, Callable[[str, str], bool]] = {
    "contains": lambda text, wanted: wanted.lower() in text.lower(),
    "starts_with": lambda text, wanted: text.lower().startswith(wanted.lower()),
    "ends_with": lambda text, wanted: text.lower().endswith(wanted.lower()),
    "blank": lambda text, wanted: (text == "") == (wanted.lower() == "true"),
    "in": lambda text, wanted: text in wanted.split(","),
    "not_in": lambda text, wanted: text not in wanted.split(","),
}
_ON_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "": operators.eq,
    "not_eq": operators.ne,
    "gt": operators.gt,
    "lt": operators.lt,
    "gt_or_eq": operators.ge,
    "lt_or_eq": operators.le,
}
OPERATORS = (_ON_TEXT.keys() | _ON_ORDER.keys()) - {""}


class BadQuery(Exception):
    """A query the system refuses, with the sentence it says."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition: the way to the attribute (dashed), the operator ("" is equality) and what is wanted."""

    path: tuple[str, ...]
    operator: str
    wanted: str

    @property
    def is_time(self) -> bool:
        """Whether the attribute is a moment."""
        return self.path[-1].endswith(("-at", "-date"))

    def holds(self, row: Row) -> bool:
        """Whether any value at the end of the path satisfies it.

        Raises:
            BadQuery: what is wanted cannot be compared with such an attribute.
        """
        values = list(_values(row, self.path)) or [None]
        if self.operator in {"not_eq", "not_in"}:
            return all(self._compares(value) for value in values)
        return any(self._compares(value) for value in values)

    def _compares(self, value: Any) -> bool:
        if self.is_time and self.operator in TEXT_OPERATORS:
            raise BadQuery(f"{self.operator} cannot be used on {self.path[-1]}")
        if self.operator in _ON_TEXT:
            return _ON_TEXT[self.operator](_as_text(value), self.wanted)
        if self.operator in {"", "not_eq"} and not self.is_time:
            return (_as_text(value) == self.wanted) == (self.operator == "")
        if value is None:
            return self.operator == "not_eq"
        return _ON_ORDER[self.operator](self._comparable(value), self._comparable(self.wanted))

    def _comparable(self, value: Any) -> Any:
        if self.is_time:
            return moment(_as_text(value))
        try:
            return Decimal(_as_text(value))
        except InvalidOperation:
            raise BadQuery(f"{value!r} cannot be compared with {self.path[-1]}") from None


@dataclass(frozen=True, slots=True)
class Query:
    """What a list request asks for."""

    conditions: tuple[Condition, ...]
    order_by: str
    descending: bool
    limit: int
    offset: int
    fields: list[Any] | None

    def wanted(self, attribute: str, *operators: str) -> str | None:
        """What is wanted of a top-level attribute under one of `operators`; None when there is no such condition."""
        for condition in self.conditions:
            if condition.path == (attribute,) and condition.operator in operators:
                return condition.wanted
        return None

    def holds(self, row: Row) -> bool:
        """Whether every condition holds."""
        return all(condition.holds(row) for condition in self.conditions)

    def projected(self, row: Row) -> Row:
        """The row with the chosen fields only."""
        return row if self.fields is None else project(row, self.fields)


def parse(arguments: dict[str, list[str]], known: Collection[str]) -> Query:
    """The query that the arguments of a request spell.

    Args:
        arguments: As they came, repeated names kept.
        known: The top-level attributes (dashed) a condition may name.

    Raises:
        BadQuery: an attribute nobody knows, an order that is none, a number that is none.
    """
    conditions = tuple(
        _condition(name, value, known) for name, values in arguments.items() if name not in STEERING for value in values
    )
    order_by = _first(arguments, "order_by", "id").replace("_", "-")
    if order_by not in known:
        raise BadQuery(f"{order_by} is not a valid attribute to order by")
    direction = _first(arguments, "dir", "asc")
    if direction not in {"asc", "desc"}:
        raise BadQuery(f"dir is asc or desc, not {direction}")
    return Query(
        conditions=conditions,
        order_by=order_by,
        descending=direction == "desc",
        limit=min(PAGE_LIMIT, _whole_number(arguments, "limit", PAGE_LIMIT)),
        offset=_whole_number(arguments, "offset", 0),
        fields=chosen_fields(arguments),
    )


def chosen_fields(arguments: dict[str, list[str]]) -> list[Any] | None:
    """The `fields` argument; None when there is none.

    Raises:
        BadQuery: it is not a JSON list.
    """
    text = _first(arguments, "fields", "")
    if not text:
        return None
    try:
        fields = json.loads(text)
    except ValueError:
        fields = None
    if not isinstance(fields, list):
        raise BadQuery("fields is not a valid list")
    return fields


def moment(text: str) -> datetime:
    """The moment that `text` spells; without a time it is midnight, without a zone it is UTC.

    Raises:
        BadQuery: it spells none; a "+" that was not percent-encoded arrives as a blank and is the usual reason.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadQuery(f"{text} is not a valid date") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _condition(name: str, value: str, known: Collection[str]) -> Condition:
    steps = [step.rstrip("]") for step in name.split("[")]
    operator = steps.pop() if len(steps) > 1 and steps[-1] in OPERATORS else ""
    condition = Condition(tuple(step.replace("_", "-") for step in steps), operator, value)
    if condition.path[0] not in known:
        raise BadQuery(f"{name} is not a valid query attribute")
    if condition.is_time and operator in _ON_ORDER:
        moment(value)  # refused even when no record is there to be compared
    return condition


def _first(arguments: dict[str, list[str]], name: str, default: str) -> str:
    return arguments.get(name, [default])[0]


def _whole_number(arguments: dict[str, list[str]], name: str, default: int) -> int:
    text = _first(arguments, name, str(default))
    if not text.isdigit():
        raise BadQuery(f"{name} is not a valid number")
    return int(text)


def _values(found: Any, path: tuple[str, ...]) -> Iterator[Any]:
    if isinstance(found, list):
        for element in found:
            yield from _values(element, path)
    elif not path:
        yield found
    elif isinstance(found, dict):
        yield from _values(found.get(path[0]), path[1:])


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def project(row: Row, fields: list[Any]) -> Row:
    """The chosen fields of a row; a name or {name: [fields of what is inside]}."""
    chosen: Row = {}
    for field in fields:
        for name, inner in field.items() if isinstance(field, dict) else [(str(field), None)]:
            dashed = name.replace("_", "-")
            if dashed not in row:
                continue
            found = row[dashed]
            if inner is None:
                chosen[dashed] = found
            elif isinstance(found, list):
                chosen[dashed] = [project(element, inner) for element in found]
            elif isinstance(found, dict):
                chosen[dashed] = project(found, inner)
    return chosen
