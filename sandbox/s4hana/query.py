"""$filter and $orderby of OData V2, made into Python functions and into what an index can use; and the sets they ask.

A condition is a test, and beside it a few branches (its disjunctive normal form) that say which fields a row must have
which value in, or at least which. That is enough to find rows through an index or from a moment on; the test then
decides.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import chain
from operator import eq, ge, gt, le, lt, ne
from typing import Any, NamedTuple

from sandbox.ledger import Row, Table
from sandbox.s4hana.messages import Rejected, message
from sandbox.s4hana.wire import DAYS, DECIMALS, MOMENTS, TIMES, EntityType, stored

MAX_BRANCHES = 256
"""Beyond this a condition is only tested, no longer looked up."""

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {"eq": eq, "ne": ne, "gt": gt, "ge": ge, "lt": lt, "le": le}


@dataclass(frozen=True, slots=True)
class Branch:
    """What every row of one alternative has: exact values, and least values."""

    pins: Mapping[str, Any] = field(default_factory=dict)
    floors: Mapping[str, Any] = field(default_factory=dict)

    def both(self, other: "Branch") -> "Branch":
        """The branch of rows in this and in the other."""
        floors = dict(self.floors)
        for name, value in other.floors.items():
            floors[name] = max(value, floors.get(name, value))
        return Branch({**self.pins, **other.pins}, floors)


@dataclass(frozen=True, slots=True)
class Condition:
    """Whether a row is wanted."""

    test: Callable[[Row], bool]
    branches: tuple[Branch, ...] = (Branch(),)

    def pinned(self, name: str) -> list[Any] | None:
        """The only values `name` can have, each once; None when it can have any."""
        if any(name not in branch.pins for branch in self.branches):
            return None
        return list(dict.fromkeys(branch.pins[name] for branch in self.branches))

    def floor(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """The least values of one moment that is spread over `names` (a day and a time, say); () when there is none.

        A later part counts only where the earlier ones are exact: any time may follow on a later day.
        """
        return min((_floor(branch, names) for branch in self.branches), default=())


def _floor(branch: Branch, names: tuple[str, ...]) -> tuple[str, ...]:
    known: list[str] = []
    for name in names:
        if name in branch.pins:
            known.append(str(branch.pins[name]))
            continue
        if name in branch.floors:
            known.append(str(branch.floors[name]))
        break
    return tuple(known)


EVERYTHING = Condition(lambda _row: True)


class _Token(NamedTuple):
    kind: str
    text: str


_TOKEN = re.compile(
    r"\s*(?:(?P<literal>(?:datetimeoffset|datetime|time|guid)'[^']*'|'(?:[^']|'')*'|-?\d+(?:\.\d+)?[mMdDfFlL]?)"
    r"|(?P<word>[A-Za-z_]\w*)|(?P<mark>[(),]))"
)


def parse(text: str, entity_type: EntityType) -> Condition:
    """The condition that a $filter spells for rows of `entity_type`.

    Raises:
        Rejected: it cannot be read, names no property of the type, or compares it with what it cannot be.
    """
    if not text.strip():
        return EVERYTHING
    tokens, position = [], 0
    while position < len(text.rstrip()):
        found = _TOKEN.match(text, position)
        if found is None:
            raise _invalid(f"{text[position:]!r} is not understood")
        tokens.append(_Token(str(found.lastgroup), found[0].strip()))
        position = found.end()
    parser = _Parser(tokens, entity_type)
    condition = parser.either()
    if parser.tokens:
        raise _invalid(f"{parser.tokens[0].text!r} is not expected")
    return condition


def _invalid(reason: str) -> Rejected:
    return Rejected(message("/IWBEP/CM_MGW_RT/023", reason))


class _Parser:
    """Recursive descent over the tokens; `or` binds weaker than `and`, `and` weaker than `not`."""

    def __init__(self, tokens: list[_Token], entity_type: EntityType) -> None:
        self.tokens = tokens
        self._type = entity_type

    def either(self) -> Condition:
        condition = self._both()
        while self._next_is("or"):
            condition = _either(condition, self._both())
        return condition

    def _both(self) -> Condition:
        condition = self._one()
        while self._next_is("and"):
            condition = _both(condition, self._one())
        return condition

    def _one(self) -> Condition:
        if self._next_is("not"):
            inner = self._one().test
            return Condition(lambda row: not inner(row))
        if self._next_is("("):
            condition = self.either()
            self._expect(")")
            return condition
        word = self._take("word")
        if word in {"substringof", "startswith", "endswith"} and self._next_is("("):
            return self._text_function(word)
        operator = self._take("word")
        if operator not in _COMPARE:
            raise _invalid(f"{operator!r} is not an operator")
        return self._comparison(self._property(word), operator)

    def _comparison(self, name: str, operator: str) -> Condition:
        value = self._literal(name)
        default = self._type.fields[name]
        compare = _COMPARE[operator]
        if value is None:
            return Condition(lambda row: compare(row.get(name, default) in {None, ""}, True))
        if name in DECIMALS:
            return Condition(lambda row: compare(Decimal(row.get(name, default)), value))

        def test(row: Row) -> bool:
            present = row.get(name, default)
            return compare(present, value) if present is not None else operator == "ne"

        pins = {name: value} if operator == "eq" else {}
        return Condition(test, (Branch(pins, _least(name, operator, value)),))

    def _text_function(self, function: str) -> Condition:
        if function == "substringof":
            part = str(self._literal(""))
            self._expect(",")
            name = self._property(self._take("word"))
        else:
            name = self._property(self._take("word"))
            self._expect(",")
            part = str(self._literal(""))
        self._expect(")")
        if self._next_is("eq"):
            self._take("word")
        default = self._type.fields[name]
        if function == "substringof":
            return Condition(lambda row: part in str(row.get(name, default)))
        method = str.startswith if function == "startswith" else str.endswith
        return Condition(lambda row: method(str(row.get(name, default)), part))

    def _property(self, word: str) -> str:
        if word not in self._type.fields or word in self._type.unfilterable:
            raise Rejected(message("/IWBEP/CM_MGW_RT/022", f"Filterable property {word}", self._type.name))
        return word

    def _literal(self, name: str) -> Any:
        token = self.tokens.pop(0) if self.tokens else _Token("", "")
        if token.text in {"true", "false", "null"}:
            return {"true": True, "false": False, "null": None}[token.text]
        if token.kind != "literal":
            raise _invalid(f"{token.text!r} is not a value")
        text = token.text
        if name in DAYS | MOMENTS:
            if not text.startswith("datetime"):
                raise _invalid(f"{name} is not comparable with {text}")
            return stored(name, text)
        if name in TIMES:
            return stored(name, text[5:-1] if text.startswith("time'") else text)
        if text.startswith("'"):
            return stored(name, text[1:-1].replace("''", "'")) if name not in DECIMALS else Decimal(text[1:-1])
        if name not in DECIMALS:
            raise _invalid(f"{name} is not comparable with {text}")
        return Decimal(text.rstrip("mMdDfFlL"))

    def _take(self, kind: str) -> str:
        if not self.tokens or self.tokens[0].kind != kind:
            raise _invalid(f"expected a {kind} and found {self.tokens[0].text if self.tokens else 'the end'!r}")
        return self.tokens.pop(0).text

    def _next_is(self, text: str) -> bool:
        if self.tokens and self.tokens[0].kind != "literal" and self.tokens[0].text == text:
            self.tokens.pop(0)
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._next_is(text):
            raise _invalid(f"expected {text!r}")


def _least(name: str, operator: str, value: Any) -> dict[str, Any]:
    if operator == "gt" and name in DAYS:
        return {name: (date.fromisoformat(value) + timedelta(days=1)).isoformat()}
    return {name: value} if operator in {"ge", "gt"} else {}


def _both(left: Condition, right: Condition) -> Condition:
    one, other = left.test, right.test
    branches = tuple(mine.both(theirs) for mine in left.branches for theirs in right.branches)
    return Condition(lambda row: one(row) and other(row), branches if len(branches) <= MAX_BRANCHES else (Branch(),))


def _either(left: Condition, right: Condition) -> Condition:
    one, other = left.test, right.test
    branches = (*left.branches, *right.branches)
    return Condition(lambda row: one(row) or other(row), branches if len(branches) <= MAX_BRANCHES else (Branch(),))


@dataclass(frozen=True)
class EntitySet:
    """Rows of one table as entities.

    Args:
        type: What they look like.
        table: Where they are.
        found_by: Property to the table's index for it, best first; an empty index name is the table's key.
        changed_in: The properties that tell when a row was stored, where the table's order is by them.
        entities: The entities in a row of the table: itself, or its items.
        is_feed: Callers poll it, so that the faults of news apply.
    """

    type: EntityType
    table: Table
    found_by: dict[str, str]
    changed_in: tuple[str, ...] = ()
    entities: Callable[[Row], Sequence[Row]] = lambda row: (row,)
    is_feed: bool = False

    def candidates(self, condition: Condition, *, in_change_order: bool = False) -> Iterator[Row]:
        """The entities that can meet `condition`, without walking the table where an index or a moment helps."""
        for name, index in self.found_by.items():
            values = condition.pinned(name)
            if values is not None:
                found = (self._rows(index, value) for value in values)
                return chain.from_iterable(self.entities(row) for rows in found for row in rows)
        floor = condition.floor(self.changed_in)
        if not floor and not in_change_order:
            return chain.from_iterable(map(self.entities, self.table))
        since = _moment(floor) if floor else None
        return chain.from_iterable(self.entities(row) for _, row in self.table.changed_since(since))

    def changed_at(self, row: Row) -> datetime:
        """When a row was stored, by its own properties."""
        return _moment([row[name] for name in self.changed_in])

    def _rows(self, index: str, value: Any) -> list[Row]:
        if index:
            return self.table.find(index, value)
        row = self.table.get(str(value))
        return [] if row is None else [row]

    def one(self, keys: dict[str, Any]) -> Row | None:
        """The entity with these keys."""
        if set(keys) != set(self.type.keys):
            raise Rejected(message("/IWBEP/CM_MGW_RT/023", f"the keys of {self.type.name} are {self.type.keys}"))
        index = next((name for name in self.found_by if name in keys), None)
        rows = self.table if index is None else self._rows(self.found_by[index], keys[index])
        for row in chain.from_iterable(map(self.entities, rows)):
            if all(row[name] == value for name, value in keys.items()):
                return row
        return None


def _moment(parts: Sequence[str]) -> datetime:
    """A moment from one text or from a day and a time; UTC where it does not say."""
    at = datetime.fromisoformat("T".join(parts))
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


class Order(NamedTuple):
    """One field of $orderby."""

    name: str
    descending: bool


def parse_order(text: str, entity_type: EntityType) -> list[Order]:
    """The fields that an $orderby names, in order.

    Raises:
        Rejected: not a property of the type.
    """
    orders = []
    for part in filter(None, (part.split() for part in text.split(","))):
        if part[0] not in entity_type.fields:
            raise Rejected(message("/IWBEP/CM_MGW_RT/022", f"Property {part[0]}", entity_type.name))
        orders.append(Order(part[0], part[1:] == ["desc"]))
    return orders


def in_order(rows: list[Row], orders: list[Order], entity_type: EntityType) -> list[Row]:
    """The rows sorted by `orders`, ties as they were."""
    for order in reversed(orders):
        default = entity_type.fields[order.name]

        def value(row: Row, name: str = order.name, default: Any = default) -> Any:
            present = row.get(name, default)
            return Decimal(present) if name in DECIMALS else ("" if present is None else present)

        rows = sorted(rows, key=value, reverse=order.descending)
    return rows


def until_settled(rows: Iterator[Row], wanted: int, names: tuple[str, ...]) -> Iterator[Row]:
    """Rows, which come in the order of `names`, until more than `wanted` are there and no equal one can follow."""
    taken, last = 0, None
    for row in rows:
        at = [row.get(name) for name in names]
        if taken > wanted and at != last:
            return
        yield row
        taken, last = taken + 1, at
