"""What is worked out of answers need not be worked out again: every drawing of a page asks for the same until something has happened.

What is kept is known by the content of everything it was made of, so that the same question of the same person, or of another who
sees the same, gets the same result, and any other does not. What several drawings share must not be changed by one of them:
a table that comes from here refuses.
"""

import hashlib
import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import wraps
from types import FunctionType
from typing import Any, NoReturn, ParamSpec, TypeVar, cast
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa

PLAIN = (
    str,
    bytes,
    bool,
    int,
    float,
    Decimal,
    UUID,
    date,
    datetime,
    timedelta,
    ZoneInfo,
    type(None),
    np.generic,
    pd.Timedelta,
    type(pd.NaT),
)
"""What is written down by its type and `repr`, exactly."""

LARGE = 2_500
"""A table of more rows is not read through to see whether it is known, unless it is shared and so is read once."""

_numbers = itertools.count()

P = ParamSpec("P")
T = TypeVar("T")


class Shared(pd.DataFrame):
    """A table that others hold too: what is taken from it is an ordinary table, it itself refuses to be changed."""

    _digest: str | None = None

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    def _refuse(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise TypeError("this table is shared with other drawings: `assign` or `copy` makes one that can be changed")

    __setitem__ = _refuse
    __delitem__ = _refuse  # type: ignore[misc]
    insert = _refuse
    pop = _refuse
    update = _refuse

    @property
    def digest(self) -> str:
        """What its content is known by, worked out once."""
        if self._digest is None:
            # Past pandas, which takes what is set on a table for a column that somebody got wrong.
            object.__setattr__(self, "_digest", _digest(_written_table(self)).hex())
        return str(self._digest)


class CannotBeWritten(Exception):
    """Something has no content that could be compared, such as a function made on the spot, or too much for that."""


class Kept:
    """Results by what they were made of, as many as weigh no more than `limit`; the least recently used go first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._weight = 0
        self._entries: OrderedDict[bytes, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: bytes) -> Any:
        """What is kept under `key`, or None."""
        with self._lock:
            found = self._entries.get(key)
            if found is None:
                return None
            self._entries.move_to_end(key)
            return found[0]

    def put(self, key: bytes, result: Any, weight: int = 1) -> None:
        """Keep `result`; what weighs more than a quarter of everything would only drive out the rest."""
        if weight > max(self._limit // 4, 1):
            return
        with self._lock:
            old = self._entries.pop(key, None)
            self._weight += weight - (old[1] if old else 0)
            self._entries[key] = (result, weight)
            while self._weight > self._limit:
                self._weight -= self._entries.popitem(last=False)[1][1]

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self._weight = 0

    def __len__(self) -> int:
        return len(self._entries)


kept = Kept(200_000)
"""Of this process; a result weighs its rows and one more."""


def once(work: Callable[P, T]) -> Callable[P, T]:
    """A function that remembers what it has worked out. It has to be pure, and answers a table, a plain value, or a tuple or frozen
    dataclass of such. Where an argument has no content that could be compared it works anew each time.
    """
    name = named(work)

    @wraps(work)
    def worked(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            key = key_of(name, args, kwargs)
        except CannotBeWritten:
            return work(*args, **kwargs)
        found = kept.get(key)
        if found is None:
            found, weight = _sealed(work(*args, **kwargs))
            kept.put(key, (found,), weight + 1)
            return cast("T", found)
        return cast("T", found[0])

    return worked


def shared(table: pd.DataFrame) -> pd.DataFrame:
    """The same table, as one that several may hold."""
    return table if isinstance(table, Shared) else Shared(table)


def named(work: Callable[..., Any]) -> str:
    """What a function is known by: no other is, not even the same one loaded again after it was edited."""
    return f"{next(_numbers)} {work.__module__}.{work.__qualname__}"


def key_of(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
    """What a call of a function that was `named` is known by.

    Raises:
        CannotBeWritten: an argument has no content that could be compared.
    """
    return _digest(_call(name, args, kwargs))


def _call(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[str]:
    yield name
    for part in (*args, *sorted(kwargs.items())):
        yield from _written(part)


def _digest(texts: Iterator[str]) -> bytes:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(f"{len(text)}:{text}".encode(errors="surrogatepass"))
    return digest.digest()


def _written(value: Any) -> Iterator[str]:
    """Everything in a value, piece by piece, such that no two values are written alike."""
    if isinstance(value, PLAIN):
        yield f"{type(value).__name__} {value!r}"
    elif isinstance(value, pd.DataFrame):
        yield f"frame {_known(value).digest}"
    elif isinstance(value, pd.Series | pd.Index | np.ndarray):
        yield f"column {value.dtype!r}"
        yield from _written(value.tolist())
    elif isinstance(value, list | tuple):
        yield f"{type(value).__name__} {len(value)}"
        for one in value:
            yield from _written(one)
    elif isinstance(value, Mapping):
        yield f"mapping {len(value)}"
        for pair in value.items():
            yield from _written(pair)
    elif isinstance(value, AbstractSet):
        yield f"set {len(value)}"
        yield from sorted(" ".join(_written(one)) for one in value)
    else:
        yield from _written_thing(value)


def _written_thing(value: Any) -> Iterator[str]:
    """By what it says it is known by, by its fields, or by its name."""
    digest = getattr(value, "digest", None)
    if isinstance(digest, str):
        yield f"{type(value).__qualname__} {digest}"
    elif is_dataclass(value) and not isinstance(value, type):
        yield type(value).__qualname__
        for field in fields(value):
            yield from _written(getattr(value, field.name))
    elif isinstance(value, FunctionType) and value.__qualname__.isidentifier():
        yield f"function {value.__module__}.{value.__qualname__}"
    else:
        raise CannotBeWritten(type(value).__name__)


def _known(table: pd.DataFrame) -> Shared:
    if isinstance(table, Shared):
        return table
    if len(table) > LARGE:
        raise CannotBeWritten("a large table that nobody shares")
    return Shared(table)


def _written_table(table: pd.DataFrame) -> Iterator[str]:
    yield f"{table.shape}"
    yield from _written(table.index.to_list())
    for name in table.columns:
        yield from _written(name)
        yield from _written(table[name])


def _sealed(result: Any) -> tuple[Any, int]:
    """A result that cannot be changed by who gets it, and how many rows it has."""
    if isinstance(result, pd.DataFrame):
        return shared(result), len(result)
    if isinstance(result, pa.Table):
        return result, result.num_rows
    if type(result) is tuple:
        sealed = [_sealed(one) for one in result]
        return tuple(one for one, _ in sealed), sum(weight for _, weight in sealed)
    if isinstance(result, (*PLAIN, frozenset)):
        return result, 0
    if is_dataclass(result) and not isinstance(result, type) and result.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        parts = {field.name: _sealed(getattr(result, field.name)) for field in fields(result)}
        return replace(result, **{name: one for name, (one, _) in parts.items()}), sum(w for _, w in parts.values())
    raise TypeError(f"{type(result).__name__} could be changed by one of those who share it")
