"""Charts that need not be built again: every drawing of a page asks for the same ones until something has happened.

What is kept is known by everything it is made of, so that the same question of the same person, or of another who sees the same, is
answered with the same chart, and any other is not.
"""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import plotly.graph_objects as go

from pages.drawing import KeptFigure, taken_apart
from sync_engine.insight.once import CannotBeWritten, Kept, key_of, named

KEPT = Kept(512)
"""Charts of this process, as they are sent; each weighs one."""

P = ParamSpec("P")


def once(build: Callable[P, go.Figure]) -> Callable[P, go.Figure]:
    """A builder of charts that remembers what it has built. It has to be pure; who gets a chart may change it, it is theirs."""
    name = named(build)

    @wraps(build)
    def built(*args: P.args, **kwargs: P.kwargs) -> go.Figure:
        try:
            key = key_of(name, args, kwargs)
        except CannotBeWritten:
            return build(*args, **kwargs)
        found = KEPT.get(key)
        if found is None:
            figure = build(*args, **kwargs)
            found = taken_apart(figure), figure.to_dict()
            KEPT.put(key, found)
        return KeptFigure(*found, key.hex())

    return built
