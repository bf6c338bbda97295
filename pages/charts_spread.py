"""The charts of how things spread: a matrix of shares, ages beside those of their peers, shares against volume. In the look of
`charts`, and as pure.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import log10
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from pages import drawn
from pages.charts import LEVEL, LIGHT, MAX_POINTS, OK, STUCK, Look, layout, named_as_dates
from pages.drawing import Drawing, Plain


@drawn.once
def matrix(
    frame: pd.DataFrame,
    *,
    row: str,
    at: str,
    share: str,
    hover: str,
    order: Sequence[str],
    style: Look,
    height: int | None = None,
    across: Mapping[str, Any] | None = None,
) -> go.Figure:
    """A cell per row and stretch of time, the stronger the larger `share` (0 to 1). No cell: nothing happened then. `across` is what the
    axis of time has beside, as plotly calls it; None: its days are named as dates."""
    shown = frame.tail(MAX_POINTS)
    # pivot, not pivot_table: two cells in one place are a mistake, not something to average.
    values = shown.pivot(index=row, columns=at, values=share).reindex(order)  # noqa: PD010
    words = shown.pivot(index=row, columns=at, values=hover).reindex(order)  # noqa: PD010
    quiet = "#cfe9df" if style is LIGHT else "#1f4a3d"
    drawing = Drawing(layout(style, height=height or 76 + 42 * len(order)))
    drawing.trace(
        "heatmap",
        x=list(values.columns),
        y=list(values.index),
        z=values.astype(float).to_numpy(),
        customdata=words.to_numpy(),
        hovertemplate="%{customdata}<extra></extra>",
        hoverongaps=False,
        xgap=1,
        ygap=6,
        zmin=0,
        zmax=1,
        colorscale=[
            [0, quiet],
            [0.0001, "#f3c9ad" if style is LIGHT else "#5a3218"],
            [0.25, "#e8935a"],
            [1, STUCK],
        ],
        showscale=False,
    )
    drawing.x(showgrid=False, **named_as_dates(values.columns) if across is None else across)
    drawing.y(showgrid=False, autorange="reversed", tickfont={"color": style.text, "size": 13})
    return drawing.figure()


def levels_drawn(levels: pd.Series) -> list[str]:
    """The levels that have marks of their own in `ageing`, in its order: those that there are, and those the legend always names."""
    there = set(levels)
    return [name for name in reversed(LEVEL) if name in there or name in {"moving", "watch", "stuck"}]


@drawn.once
def ageing(
    frame: pd.DataFrame,
    *,
    stage: str,
    at: str,
    y: str,
    level: str,
    size: str,
    hover: str,
    bands: pd.DataFrame,
    style: Look,
    unit: str,
    height: int = 380,
) -> go.Figure:
    """What is open, by how long it has stood in its stage (log axis), on what its peers took there.

    Args:
        frame: A row per document; `at` is its place beside others of its stage (-1 to 1), `size` its marker's in pixels.
        stage: The column with the name of the stage.
        at: See `frame`.
        y: The age, above zero, in `unit`.
        level: One of charts.LEVEL.
        size: See `frame`.
        hover: A column of words.
        bands: stage, p50, p70, p85, p95 of its peers; a stage without peers has no row.
        style: Light or dark.
        unit: Of the ages, for the axis.
        height: In pixels.
    """
    drawing = Drawing(layout(style, height=height))
    shown = frame.head(MAX_POINTS)
    order = list(dict.fromkeys(shown[stage]))
    place = {name: position for position, name in enumerate(order)}
    lowest, highest = (float(shown[y].min()), float(shown[y].max())) if len(shown) else (1.0, 1.0)
    floor, ceiling = min(lowest, 1.0) / 1.6, max(highest, float(bands["p95"].max()) if len(bands) else 0.0) * 1.8
    drawing.shapes += _peer_bands(bands, place, floor, style)
    for name in levels_drawn(shown[level]):
        part = shown[shown[level] == name]
        drawing.trace(
            "scatter",
            x=[place[value] + 0.36 * float(offset) for value, offset in zip(part[stage], part[at], strict=True)],
            y=part[y].astype(float),
            mode="markers",
            name=name,
            marker={
                "color": LEVEL[name],
                "size": part[size],
                "opacity": 0.85 if name not in {"moving", "waiting"} else 0.55,
                "line": {"color": style.surface, "width": 1},
            },
            customdata=part[hover],
            hovertemplate="%{customdata}<extra></extra>",
            visible=True if len(part) else "legendonly",
        )
    drawing.lay(
        showlegend=True,
        legend={
            "orientation": "h",
            "y": 1.08,
            "x": 0,
            "font": {"color": style.quiet, "size": 12},
            "traceorder": "reversed",
            "itemsizing": "constant",
        },
        margin={"l": 8, "r": 16, "t": 30, "b": 8},
    )
    _stage_axes(drawing, order, floor, ceiling, unit, style)
    return drawing.figure()


def _peer_bands(bands: pd.DataFrame, place: Mapping[str, int], floor: float, style: Look) -> Iterator[Plain]:
    """The shapes behind the marks of each stage: what half, 70 %, 85 % and 95 % of the peers took there."""
    for band in bands.itertuples(index=False):
        if band.stage not in place:
            continue
        across = {"x0": place[band.stage] - 0.42, "x1": place[band.stage] + 0.42}
        for low, high, strength in (
            (floor, band.p50, 0.08),
            (band.p50, band.p70, 0.15),
            (band.p70, band.p85, 0.24),
            (band.p85, band.p95, 0.36),
        ):
            if high > max(low, floor):
                yield {
                    "type": "rect",
                    **across,
                    "y0": max(low, floor),
                    "y1": high,
                    "fillcolor": OK,
                    "opacity": strength,
                    "line": {"width": 0},
                    "layer": "below",
                }
        if band.p95 > floor:
            dashes = {"color": style.quiet, "width": 1, "dash": "dash"}
            yield {"type": "line", **across, "y0": band.p95, "y1": band.p95, "line": dashes}


def _stage_axes(drawing: Drawing, order: Sequence[str], floor: float, ceiling: float, unit: str, style: Look) -> None:
    drawing.x(
        tickmode="array",
        tickvals=list(range(len(order))),
        ticktext=[name.replace(": ", ":<br>").replace(" ", "<br>") for name in order],
        tickangle=0,
        showgrid=False,
        range=[-0.55, len(order) - 0.45],
        tickfont={"color": style.text, "size": 12},
    )
    drawing.y(
        type="log",
        range=[log10(floor), log10(ceiling)],
        title={"text": f"{unit} in the stage, log scale", "font": {"color": style.quiet, "size": 12}},
        dtick=1,
        minor={"ticks": ""},
    )


@drawn.once
def funnel(
    frame: pd.DataFrame,
    *,
    n: str,
    share: str,
    label: str,
    hover: str,
    apart: str,
    limits: pd.DataFrame,
    common: float,
    style: Look,
    narrow: bool = False,
    height: int = 300,
) -> go.Figure:
    """Shares of units against their volume, with the lines between which chance alone keeps a unit that is like all of them.

    Args:
        frame: A row per unit; `apart` is true where it lies outside the 95 % lines.
        n: Its volume.
        share: Its share, 0 to 1.
        label: Its name, written beside its mark.
        hover: A column of words.
        apart: See `frame`.
        limits: n, low_95, high_95, low_99, high_99 over the range of volumes.
        common: The share of all units together.
        style: Light or dark.
        narrow: On a phone.
        height: In pixels.
    """
    drawing = Drawing(layout(style, height=height))
    _chance(drawing, limits, common, style)
    top = max(float(frame[share].max()), float(limits["high_95"].iloc[len(limits) // 4])) * 125
    wide, high = PHONE_PX if narrow else WIDTH_PX, height - AXIS_PX
    widest = float(limits["n"].iloc[-1])
    drawing.trace(
        "scatter",
        x=frame[n],
        y=frame[share].astype(float) * 100,
        mode="markers+text",
        text=frame[label],
        textposition=_readable(
            frame[n] / widest * wide,
            frame[share].astype(float) * 100 / top * high,
            frame[label],
            [
                (limits["n"] / widest * wide, line * 100 / top * high)
                for line in (*(limits[name] for name in _LIMITS), pd.Series(common, index=limits.index))
            ],
            (wide, high),
        ),
        textfont={"color": style.text, "size": 12},
        marker={
            "color": [STUCK if outside else style.accent for outside in frame[apart]],
            "size": 11,
            "line": {"color": style.surface, "width": 1},
        },
        customdata=frame[hover],
        hovertemplate="%{customdata}<extra></extra>",
        cliponaxis=False,
    )
    drawing.lay(margin={"l": 8, "r": 70, "t": 12, "b": 8})
    drawing.x(
        title={"text": "documents that entered", "font": {"color": style.quiet, "size": 12}},
        range=[0, float(limits["n"].iloc[-1])],
    )
    drawing.y(
        ticksuffix=" %",
        rangemode="tozero",
        range=[0, top],
    )
    return drawing.figure()


WIDTH_PX, PHONE_PX, AXIS_PX, NAME_PX, LETTER_PX, MARK_PX, LINE_PX, MARGIN_PX = 800, 240, 60, 15, 7.5, 8, 3, 70
"""What a chart at a desk and on a phone, what is below and beside it, and names, marks and lines in it measure, roughly: enough to see which
names would lie upon something."""

_LIMITS = ("low_95", "high_95", "low_99", "high_99")

_SIDES = {
    "top center": (0, 1),
    "bottom center": (0, -1),
    "middle right": (1, 0),
    "middle left": (-1, 0),
    "top right": (1, 1),
    "bottom right": (1, -1),
    "top left": (-1, 1),
    "bottom left": (-1, -1),
}
"""Where a name may stand beside its mark: how far to the right and how far up. The earlier ones are better."""

COVERED, OUTSIDE, CROSSED = 100, 10, 1
"""How bad it is that a name lies upon another name or a mark, beyond the chart, upon a line."""

_Box = tuple[float, float, float, float]
"""Middle, and half of width and height, in pixels."""

_Line = tuple[pd.Series, pd.Series]
"""How far across and how far up it goes, in pixels."""


def _readable(
    across: pd.Series, up: pd.Series, names: pd.Series, lines: Sequence[_Line], size: tuple[float, float]
) -> list[str]:
    """On which side of its mark each name is written, so that it covers neither a name before it nor a mark and lies upon no line, as far as
    that goes. Places are in pixels from the corner; `size` is how wide and how high the chart is. Beside it stand the names of the lines."""
    spots = [(float(x), float(y)) for x, y in zip(across, up, strict=True)]
    marks = [(*spot, MARK_PX, MARK_PX) for spot in spots]
    found = []
    written = [(size[0] + MARGIN_PX / 2, float(line.iloc[-1]), MARGIN_PX / 2, NAME_PX) for _, line in lines]
    for spot, name in zip(spots, names, strict=True):
        boxes = {side: _beside(spot, side, len(str(name)) * LETTER_PX / 2) for side in _SIDES}
        others = [*written, *(mark for mark in marks if mark[:2] != spot)]
        found.append(min(boxes, key=lambda side: _badness(boxes[side], others, lines, size)))
        written.append(boxes[found[-1]])
    return found


def _badness(box: _Box, others: Sequence[_Box], lines: Sequence[_Line], size: tuple[float, float]) -> int:
    x, y, half_width, half_height = box
    is_outside = x < half_width or x + half_width > size[0] + MARGIN_PX or y < half_height or y + half_height > size[1]
    return (
        COVERED * sum(_overlap(box, one) for one in others)
        + OUTSIDE * is_outside
        + CROSSED * sum(_crosses(box, *line) for line in lines)
    )


def _crosses(box: _Box, across: pd.Series, up: pd.Series) -> int:
    """0: a line goes past a box; 1: it grazes it; 2: it goes through it."""
    x, y, half_width, half_height = box
    at = np.linspace(x - half_width, x + half_width, 9)
    heights = np.interp(at[at <= across.iloc[-1]], across.astype(float), up.astype(float))
    nearest = float(abs(heights - y).min()) if len(heights) else half_height + LINE_PX
    return (nearest < half_height) + (nearest < half_height + LINE_PX)


def _beside(spot: tuple[float, float], side: str, half: float) -> _Box:
    right, above = _SIDES[side]
    return (spot[0] + right * (half + MARK_PX), spot[1] + above * (NAME_PX / 2 + MARK_PX), half, NAME_PX / 2)


def _overlap(one: _Box, other: _Box) -> bool:
    return abs(one[0] - other[0]) < one[2] + other[2] and abs(one[1] - other[1]) < one[3] + other[3]


def _chance(drawing: Drawing, limits: pd.DataFrame, common: float, style: Look) -> None:
    """The lines between which chance alone keeps a unit, and the share of all of them in the middle."""
    for low, high, dash, name, shift in (
        ("low_95", "high_95", "dash", "95 %", -8),
        ("low_99", "high_99", "dot", "99 %", 8),
    ):
        for column in (low, high):
            drawing.trace(
                "scatter",
                x=limits["n"],
                y=limits[column] * 100,
                mode="lines",
                line={"color": style.quiet, "width": 1, "dash": dash},
                hoverinfo="skip",
            )
        drawing.note(
            name,
            x=limits["n"].iloc[-1],
            y=limits[high].iloc[-1] * 100,
            xanchor="left",
            xshift=4,
            yshift=shift,
            font={"color": style.quiet, "size": 12},
        )
    drawing.across(common * 100, {"color": style.quiet, "width": 1})
    drawing.note(
        f"all {common:.1%}".replace("%", " %"),
        x=limits["n"].iloc[-1],
        y=common * 100,
        xanchor="left",
        xshift=4,
        font={"color": style.quiet, "size": 12},
    )
