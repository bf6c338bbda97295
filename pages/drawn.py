"""Charts that need not be built again: every drawing of a page asks for the same ones until something has happened.

To build a figure takes plotly ten times as long as to copy one. What is kept is known by everything it is made of, so that the same
question of the same person, or of another who sees the same, is answered with the same chart, and any other is not.
"""

from collections.abc import Callable
from copy import deepcopy
from functools import wraps
from typing import Any, ParamSpec

import plotly.graph_objects as go

from pages.drawing import put_together, taken_apart
from sync_engine.insight.once import CannotBeWritten, Kept, key_of, named

KEPT = Kept(512)
"""Charts of this process, taken apart; each weighs one."""

P = ParamSpec("P")


def once(build: Callable[P, go.Figure]) -> Callable[P, go.Figure]:
    """A builder of charts that remembers what it has built. It has to be pure; who gets a chart may change it, it is a copy."""
    name = named(build)

    @wraps(build)
    def built(*args: P.args, **kwargs: P.kwargs) -> go.Figure:
        try:
            key = key_of(name, args, kwargs)
        except CannotBeWritten:
            return build(*args, **kwargs)
        found: dict[str, Any] | None = KEPT.get(key)
        if found is not None:
            return put_together(deepcopy(found))
        figure = build(*args, **kwargs)
        KEPT.put(key, taken_apart(figure))
        return figure

    return built
