"""Charts that need not be built again: every drawing of a page asks for the same ones until something has happened.

To build a figure takes plotly ten times as long as to copy one. What is kept is known by everything it is made of, so that the same
question of the same person, or of another who sees the same, is answered with the same chart, and any other is not.
"""

import hashlib
import pickle
import threading
from collections import OrderedDict
from collections.abc import Callable
from copy import deepcopy
from functools import wraps
from typing import Any, ParamSpec

import plotly.graph_objects as go

KEPT = 512
"""Charts kept per process; one has some 50 kB."""

P = ParamSpec("P")

_built: OrderedDict[bytes, dict[str, Any]] = OrderedDict()
_lock = threading.Lock()


def once(build: Callable[P, go.Figure]) -> Callable[P, go.Figure]:
    """A builder of charts that remembers what it has built. It has to be pure; who gets a chart may change it, it is a copy."""

    @wraps(build)
    def built(*args: P.args, **kwargs: P.kwargs) -> go.Figure:
        key = _key(build, args, kwargs)
        if key is None:
            return build(*args, **kwargs)
        with _lock:
            found = _built.get(key)
            if found is not None:
                _built.move_to_end(key)
        if found is not None:
            return go.Figure(deepcopy(found), _validate=False)  # it was checked when it was built
        figure = build(*args, **kwargs)
        with _lock:
            _built[key] = figure.to_dict()
            while len(_built) > KEPT:
                _built.popitem(last=False)
        return figure

    return built


def _key(build: Callable[..., go.Figure], args: Any, kwargs: Any) -> bytes | None:
    """What a chart is made of, as a digest; None for what cannot be written down, such as a function of the moment."""
    try:
        written = pickle.dumps((build.__module__, build.__qualname__, args, kwargs), protocol=pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, AttributeError, TypeError):
        return None
    return hashlib.sha256(written).digest()
