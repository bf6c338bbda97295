"""A chart while it is put together: plain dicts, of which plotly makes a figure in one go.

Each `figure.update_*` and `figure.add_*` of plotly costs milliseconds, because it checks anew what it has checked before: a line across
checks every line and every word there is so far. Checked all at once a figure is checked as well, in a tenth of the time.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import plotly.graph_objects as go

Plain = dict[str, Any]
"""A part of a figure as plotly calls it: names and values, nested."""


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> Plain:
    """Both in one: where both say something, `above` holds, name by name; a list takes the place of a list. Neither is changed."""
    found = dict(below)
    for name, value in above.items():
        held = found.get(name)
        found[name] = merged(held, value) if isinstance(held, Mapping) and isinstance(value, Mapping) else value
    return found


def taken_apart(figure: go.Figure) -> Plain:
    """A figure's `data` and `layout` as plain dicts that are no longer its own."""
    return {"data": [trace.to_plotly_json() for trace in figure.data], "layout": figure.layout.to_plotly_json()}


def put_together(parts: Plain) -> go.Figure:
    """A figure of what `taken_apart` gave, not checked again: what has been changed since has to be right. It keeps the parts."""
    return go.Figure(parts, _validate=False)


class KeptFigure(go.Figure):
    """A figure that was checked when it was drawn first and is sent as it was then. Only for whoever looks into it does plotly make its
    objects anew, which takes a hundred times as long; what they change is their own.

    Args:
        parts: What `taken_apart` gave of it, shared.
        sent: What the browser gets of it, shared.
        digest: What it is known by.
    """

    def __init__(self, parts: Plain, sent: Plain, digest: str) -> None:
        self._parts, self._sent, self.__dict__["digest"] = parts, sent, digest
        self._is_opened = False

    def __getattr__(self, name: str) -> Any:
        if self.__dict__.get("_is_opened", True):
            raise AttributeError(name)
        self._is_opened = True
        super().__init__(deepcopy(self._parts), _validate=False)
        return getattr(self, name)

    def to_dict(self) -> Plain:
        """What the browser gets."""
        sent: Plain = super().to_dict() if self._is_opened else self._sent
        return sent


@dataclass(slots=True)
class Drawing:
    """A chart that is not yet a figure.

    Args:
        layout: What it has from the beginning (`charts.layout`).
        traces: The lower ones first.
        shapes: Lines and areas that are no data.
        notes: Words on it.
    """

    layout: Plain
    traces: list[Plain] = field(default_factory=list)
    shapes: list[Plain] = field(default_factory=list)
    notes: list[Plain] = field(default_factory=list)

    def trace(self, kind: str, **how: Any) -> None:
        """Draw data, above what is drawn already; plotly names the kinds in small letters: bar, scatter."""
        self.traces.append({"type": kind, **how})

    def shape(self, kind: str, **how: Any) -> None:
        """Draw a rect or a line."""
        self.shapes.append({"type": kind, **how})

    def note(self, text: str, **how: Any) -> None:
        """Write words at a place."""
        self.notes.append({"text": text, "showarrow": False, **how})

    def across(self, y: float, line: Plain, said: str | None = None, font: Plain | None = None) -> None:
        """A line over the whole width; what is said of it stands above its right end."""
        self.shape("line", xref="x domain", x0=0, x1=1, yref="y", y0=y, y1=y, line=line)
        if said is not None:
            self.note(said, xref="x domain", x=1, yref="y", y=y, xanchor="right", yanchor="bottom", font=font)

    def upright(self, x: Any, line: Plain) -> None:
        """A line over the whole height."""
        self.shape("line", xref="x", x0=x, x1=x, yref="y domain", y0=0, y1=1, line=line)

    def lay(self, **layout: Any) -> None:
        """Have this in the layout too, or instead of what it has by that name."""
        self.layout = merged(self.layout, layout)

    def x(self, **axis: Any) -> None:
        """Have this on the axis across."""
        self.lay(xaxis=axis)

    def y(self, **axis: Any) -> None:
        """Have this on the axis up."""
        self.lay(yaxis=axis)

    def figure(self) -> go.Figure:
        """The figure, checked.

        Raises:
            ValueError: It says something that plotly does not know.
        """
        pieces = {"shapes": self.shapes, "annotations": self.notes}
        return go.Figure(self.traces, self.layout | {name: held for name, held in pieces.items() if held})
