"""PostgreSQL array literals, written fast.

A recording hands the database some hundred arrays of up to five hundred values. psycopg's own array writer escapes value
by value in Python, which measured as half of the engine's time; here each column is written in one go by its type.
"""

import json
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

_text = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


def array_literal(values: Sequence[Any]) -> str:
    r"""`values` (all of one type, or None) as the text of a PostgreSQL array.

    >>> array_literal(["a", None, 'b"c'])
    '{"a",null,"b\\"c"}'
    >>> array_literal([Decimal("1.50"), None])
    '{1.50,NULL}'

    Raises:
        TypeError: a type no column of ours has.
    """
    sample = values[0] if values else None
    if sample is None:
        sample = next((value for value in values if value is not None), None)
        if sample is None:
            return "{" + ",".join(["NULL"] * len(values)) + "}"
    if isinstance(sample, str):
        return _strings(values)
    write = _WRITERS.get(type(sample))
    if write is None:
        raise TypeError(f"{type(sample).__name__} has no array form here")
    if len(values) == 1:
        return "{" + write(sample) + "}"
    return "{" + ",".join(_written(values, write)) + "}"


def _written(values: Sequence[Any], write: Callable[[Any], str]) -> list[str]:
    """Each value as text; one that repeats its neighbour, as the time of a recording does in every row, is written once."""
    texts, before, text = [], None, "NULL"
    for value in values:
        if value is not before:
            before, text = value, "NULL" if value is None else write(value)
        texts.append(text)
    return texts


def _strings(values: Sequence[Any]) -> str:
    # Most columns hold words that need no escaping, which shows in the text of all of them together.
    try:
        joined = '","'.join(values)
    except TypeError:  # some are None
        return _some_strings(values)
    if "\\" not in joined and joined.count('"') == 2 * (len(values) - 1):
        return '{"' + joined + '"}'
    return _some_strings(values)


def _some_strings(values: Sequence[Any]) -> str:
    # JSON and PostgreSQL quote alike but for what follows a backslash, so JSON's writer (in C) does the usual case.
    written = _text(values)
    if "\\" not in written:
        return "{" + written[1:-1] + "}"
    return "{" + ",".join(["null" if value is None else _quoted(value) for value in values]) + "}"


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


_UUID = "%032x"

_WRITERS: dict[type, Callable[[Any], str]] = {
    int: str,
    bool: lambda value: "t" if value else "f",
    float: repr,
    Decimal: str,
    UUID: lambda value: _UUID % value.int,
    datetime: lambda value: '"' + value.isoformat() + '"',
    date: date.isoformat,
    bytes: lambda value: '"\\\\x' + value.hex() + '"',
}
