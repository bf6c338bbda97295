"""Charts that need not be built again: every drawing of a page asks for the same ones until something has happened.

To build a figure takes plotly ten times as long as to copy one. What is kept is known by everything it is made of, so that the same
question of the same person, or of another who sees the same, is answered with the same chart, and any other is not.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import fields, is_dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import wraps
from typing import Any, ParamSpec
from uuid import UUID

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from pages.drawing import put_together, taken_apart

KEPT = 512
"""Charts kept per process; the least recently used go first."""

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
    type(None),
    np.generic,
    pd.Timedelta,
    type(pd.NaT),
)
"""What is written down by its type and `repr`, exactly."""

P = ParamSpec("P")

_built: OrderedDict[bytes, dict[str, Any]] = OrderedDict()
_lock = threading.Lock()


def once(build: Callable[P, go.Figure]) -> Callable[P, go.Figure]:
    """A builder of charts that remembers what it has built. It has to be pure; who gets a chart may change it, it is a copy."""

    @wraps(build)
    def built(*args: P.args, **kwargs: P.kwargs) -> go.Figure:
        try:
            key = _key(build, args, kwargs)
        except _CannotBeWritten:
            return build(*args, **kwargs)
        with _lock:
            found = _built.get(key)
            if found is not None:
                _built.move_to_end(key)
        if found is not None:
            return put_together(deepcopy(found))
        figure = build(*args, **kwargs)
        parts = taken_apart(figure)
        with _lock:
            _built[key] = parts
            while len(_built) > KEPT:
                _built.popitem(last=False)
        return figure

    return built


class _CannotBeWritten(Exception):
    """Something a chart is made of has no content that could be compared, such as a function."""


def _key(build: Callable[..., go.Figure], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
    digest = hashlib.sha256(f"{build.__module__}.{build.__qualname__}".encode())
    for part in (*args, *sorted(kwargs.items())):
        for text in _written(part):
            digest.update(f"{len(text)}:{text}".encode(errors="surrogatepass"))
    return digest.digest()


def _written(value: Any) -> Iterator[str]:
    """Everything in a value, piece by piece, such that no two values are written alike."""
    if isinstance(value, PLAIN):
        yield f"{type(value).__name__} {value!r}"
    elif isinstance(value, pd.DataFrame):
        yield f"frame {value.shape}"
        yield from _written(value.index.to_list())
        for name in value.columns:
            yield from _written(name)
            yield from _written(value[name])
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
    elif is_dataclass(value) and not isinstance(value, type):
        yield type(value).__qualname__
        for field in fields(value):
            yield from _written(getattr(value, field.name))
    else:
        raise _CannotBeWritten(type(value).__name__)
