"""The charts of how long things take: single ones over time, how they spread, what is under way, where the time of a stage goes, and
who is slower than last quarter. In the look of `charts`, and as pure.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo
from math import log10
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from pages import drawn
from pages.charts import MAX_POINTS, OK, STUCK, UNKNOWN, WATCH, Look, Part, layout
from pages.drawing import Drawing

SPLIT = (
    Part("touch_s", "a call is running", OK),
    Part("transfer_s", "on its way between systems", WATCH),
    Part("wait_s", "waiting", UNKNOWN),
)
"""What a stage is made of; the parts add up to it."""


@drawn.once
def single(
    frame: pd.DataFrame, *, x: str, y: str, again: str, hover: str, lines: Sequence[tuple[float, str]], unit: str, style: Look, height: int = 340,
) -> go.Figure:  # fmt: skip
    """One mark per document: when it was done, how long it took (log axis), hollow and orange where it went back.

    Args:
        frame: A row per document.
        x: The column with its moment.
        y: The column with its duration in `unit`; what took no time at all stands on the lower edge.
        again: The column that is true where it was in a stage twice.
        hover: The column with words.
        lines: Durations with their names, drawn across: percentiles, an objective.
        unit: Of the durations.
        style: Light or dark.
        height: In pixels.
    """
    shown = frame.tail(MAX_POINTS)
    values = shown[y].astype(float)
    above = values[values > 0]
    floor = max(float(above.min()) if len(above) else 1.0, 1e-4) / 1.4
    drawing = Drawing(layout(style, height=height))
    for went_back, name, colour, symbol in (
        (False, "straight through", style.accent, "circle"),
        (True, "went back once or more", WATCH, "circle-open"),
    ):
        part = shown[shown[again].astype(bool) == went_back]
        drawing.trace(
            "scatter",
            x=part[x],
            y=part[y].astype(float).clip(lower=floor),
            mode="markers",
            name=name,
            marker={"color": colour, "size": 8, "symbol": symbol, "opacity": 0.75, "line": {"width": 2}}
            if went_back
            else {"color": colour, "size": 7, "opacity": 0.55},
            customdata=part[hover],
            hovertemplate="%{customdata}<extra></extra>",
            visible=True if len(part) else "legendonly",
        )
    for value, name in lines:
        if value > 0:
            _across(drawing, value, name, style)
    highest = max([float(values.max()) if len(values) else 1.0, *(value for value, _ in lines)])
    drawing.y(
        type="log",
        range=[log10(floor), log10(max(highest, floor * 10) * 1.3)],
        title={"text": f"{unit}, log scale", "font": {"color": style.quiet, "size": 12}},
        dtick=1,
    )
    drawing.x(showgrid=False)
    _legend_above(drawing, style)
    drawing.lay(margin={"l": 8, "r": 92, "t": 30, "b": 8})
    return drawing.figure()


def _across(drawing: Drawing, value: float, name: str, style: Look) -> None:
    drawing.across(value, {"color": style.quiet, "width": 1, "dash": "dash"})
    # On an axis that is logarithmic a line stands at its value, words stand at its logarithm.
    drawing.note(
        name, x=1, xref="paper", y=log10(value), xanchor="left", xshift=4, font={"color": style.quiet, "size": 12}
    )


def _legend_above(drawing: Drawing, style: Look) -> None:
    drawing.lay(
        showlegend=True,
        legend={
            "orientation": "h",
            "y": 1.02,
            "yanchor": "bottom",
            "x": 0,
            "font": {"color": style.quiet, "size": 12},
            "itemsizing": "constant",
            "traceorder": "normal",
        },
    )


@drawn.once
def spread(
    frame: pd.DataFrame, *, at: str, name: str, other: str | None, ticks: Sequence[tuple[float, str]], lines: Sequence[tuple[float, str, float]], hover: str, names: tuple[str, str], style: Look, height: int = 300,
) -> go.Figure:  # fmt: skip
    """How durations spread: a column per bin of equal ratio, its height the share of documents; a second population as a line.

    Args:
        frame: A row per bin, ascending, with every bin between the first and the last.
        at: The column with the middle of the bin, as log10 of its seconds.
        name: The column with the share of the population.
        other: The column with that of the one it is compared with; None: there is none.
        ticks: log10 of seconds, with their words, for the axis.
        lines: log10 of seconds, what stands there, and how high its name stands (0 to 1): a percentile, an objective.
        hover: The column with words.
        names: Of the two populations.
        style: Light or dark.
        height: In pixels.
    """
    shown = frame.head(MAX_POINTS)
    drawing = Drawing(layout(style, height=height))
    drawing.trace(
        "bar",
        x=shown[at],
        y=shown[name].astype(float) * 100,
        name=names[0],
        marker={"color": style.accent, "opacity": 0.8},
        customdata=shown[hover],
        hovertemplate="%{customdata}<extra></extra>",
    )
    if other is not None:
        drawing.trace(
            "scatter",
            x=shown[at],
            y=shown[other].astype(float) * 100,
            name=names[1],
            mode="lines",
            line={"color": WATCH, "width": 2.2, "shape": "hvh"},
            hoverinfo="skip",
        )
    for value, words, height_of_name in lines:
        drawing.upright(value, {"color": style.quiet, "width": 1, "dash": "dash"})
        drawing.note(
            words,
            x=value,
            y=height_of_name,
            yref="paper",
            xanchor="left",
            xshift=4,
            font={"color": style.quiet, "size": 12},
        )
    drawing.lay(bargap=0.06, margin={"l": 8, "r": 60, "t": 30, "b": 8})
    drawing.y(ticksuffix=" %", rangemode="tozero")
    drawing.x(
        showgrid=False, tickmode="array", tickvals=[value for value, _ in ticks], ticktext=[words for _, words in ticks]
    )
    if other is not None:
        _legend_above(drawing, style)
    return drawing.figure()


@drawn.once
def under_way(frame: pd.DataFrame, *, x: str, parts: Sequence[Part], hover: str, style: Look, height: int = 300) -> go.Figure:  # fmt: skip
    """Cumulative flow: what has come and what has left, day by day; the distance between the two is what is under way.

    Args:
        frame: A row per day.
        x: The column with the day.
        parts: Cumulative columns, the lowest first; each is filled down to the one before it.
        hover: The column with words.
        style: Light or dark.
        height: In pixels.
    """
    drawing = Drawing(layout(style, height=height))
    shown = frame.tail(MAX_POINTS // max(len(parts), 1))
    for place, part in enumerate(parts):
        drawing.trace(
            "scatter",
            x=shown[x],
            y=shown[part.column].astype(float),
            name=part.name,
            mode="lines",
            line={"color": part.colour, "width": 2},
            fill="tozeroy" if place == 0 else "tonexty",
            fillcolor=_faint(part.colour),
            customdata=shown[hover],
            hovertemplate="%{customdata}<extra></extra>" if place == len(parts) - 1 else None,
            hoverinfo=None if place == len(parts) - 1 else "skip",
        )
    _legend_above(drawing, style)
    drawing.lay(margin={"l": 8, "r": 16, "t": 30, "b": 8}, hovermode="x")
    drawing.y(rangemode="tozero")
    drawing.x(showgrid=False, tickformat="%d %b")
    return drawing.figure()


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.22)"


@drawn.once
def split_bars(
    frame: pd.DataFrame, *, label: str, parts: Sequence[Part], text: str, hover: str, style: Look, height: int
) -> go.Figure:
    """Horizontal bars from zero, largest on top, each made of parts that add up to it; `text` stands at the end of the bar."""
    shown = frame.iloc[::-1].tail(25)
    drawing = Drawing(layout(style, height=height))
    whole = shown[[part.column for part in parts]].astype(float).sum(axis=1)
    for part in parts:
        drawing.trace(
            "bar",
            x=shown[part.column].astype(float),
            y=shown[label],
            orientation="h",
            name=part.name,
            marker={"color": part.colour},
            customdata=shown[hover],
            hovertemplate="%{customdata}<extra></extra>",
        )
    for name, value, words in zip(shown[label], whole, shown[text], strict=True):
        drawing.note(words, x=value, y=name, xanchor="left", xshift=6, font={"color": style.text, "size": 13})
    drawing.lay(barmode="stack", margin={"l": 8, "r": 16, "t": 30, "b": 8})
    _legend_above(drawing, style)
    drawing.x(showgrid=False, showticklabels=False, range=[0, (float(whole.max()) or 1.0) * 1.7])
    drawing.y(showgrid=False, tickfont={"color": style.text, "size": 13})
    return drawing.figure()


@drawn.once
def against_before(
    frame: pd.DataFrame, *, row: str, column: str, change: str, text: str, hover: str, rows: Sequence[str], columns: Sequence[str], style: Look,
) -> go.Figure:  # fmt: skip
    """A cell per row and column, coloured by how much larger than before its value is: `change` is a ratio, 1 where nothing changed.
    `text` stands in the cell; cells without a comparison are plain."""
    # pivot, not pivot_table: two cells in one place are a mistake, not something to average.
    ratio = frame.pivot(index=row, columns=column, values=change).reindex(index=rows, columns=columns)  # noqa: PD010
    words = frame.pivot(index=row, columns=column, values=text).reindex(index=rows, columns=columns).fillna("")  # noqa: PD010
    said = frame.pivot(index=row, columns=column, values=hover).reindex(index=rows, columns=columns).fillna("")  # noqa: PD010
    strength = ratio.astype(float).map(lambda value: log10(value) / log10(2) if pd.notna(value) and value > 0 else 0.0)
    drawing = Drawing(layout(style, height=70 + 34 * len(rows)))
    drawing.trace(
        "heatmap",
        x=list(columns),
        y=list(rows),
        z=strength.where(words != "").to_numpy(),
        text=words.to_numpy(),
        texttemplate="%{text}",
        textfont={"color": style.text, "size": 12},
        customdata=said.to_numpy(),
        hovertemplate="%{customdata}<extra></extra>",
        hoverongaps=False,
        xgap=2,
        ygap=3,
        zmin=-1,
        zmax=1,
        colorscale=[[0, _over(OK, style)], [0.5, style.grid], [1, _over(STUCK, style)]],
        showscale=False,
    )
    drawing.x(side="top", showgrid=False, tickfont={"color": style.text, "size": 12}, tickangle=0)
    drawing.y(showgrid=False, autorange="reversed", tickfont={"color": style.text, "size": 13})
    return drawing.figure()


def _over(colour: str, style: Look) -> str:
    """A colour at half strength on the surface, so that words on it keep their contrast."""
    mixed = [
        round((int(colour[place : place + 2], 16) + int(style.surface[place : place + 2], 16)) / 2)
        for place in (1, 3, 5)
    ]
    return "#{:02x}{:02x}{:02x}".format(*mixed)


def versions_between(
    zone: tzinfo, versions: Iterable[tuple[str, datetime]], since: Any, until: Any
) -> list[tuple[Any, str]]:
    """Where the configuration changed within what is drawn, one mark a day: the `versions` of `charts.lines`."""
    by_day: dict[Any, list[str]] = {}
    for kind, at in versions:
        on = pd.Timestamp(at.astimezone(zone).replace(tzinfo=None)).normalize()
        if since <= on <= until:
            by_day.setdefault(on, []).append(kind)
    return [(on, f"new {', '.join(dict.fromkeys(kinds))}") for on, kinds in by_day.items()]


@drawn.once
def promise(
    frame: pd.DataFrame, *, x: str, y: str, words: Sequence[str], at: tuple[float, float], target: float, style: Look, height: int = 260,
) -> go.Figure:  # fmt: skip
    """The share that would have been in time against what is promised (log axis), the target across, and where one stands.

    Args:
        frame: A row per promise, ascending.
        x: The column with the promise in seconds.
        y: The column with the share, 0 to 1.
        words: The promises as people say them.
        at: The promise looked at, and its share.
        target: The share that is asked for.
        style: Light or dark.
        height: In pixels.
    """
    drawing = Drawing(layout(style, height=height))
    drawing.trace(
        "scatter",
        x=frame[x],
        y=frame[y].astype(float) * 100,
        mode="lines+markers",
        line={"color": style.accent, "width": 2.2},
        marker={"size": 6},
        customdata=list(words),
        hovertemplate="%{customdata}: %{y:.2f} %<extra></extra>",
    )
    drawing.trace(
        "scatter",
        x=[at[0]],
        y=[at[1] * 100],
        mode="markers",
        marker={
            "size": 14,
            "color": OK if at[1] >= target else STUCK,
            "symbol": "diamond",
            "line": {"color": style.surface, "width": 1},
        },
        hoverinfo="skip",
    )
    drawing.across(target * 100, {"color": style.quiet, "dash": "dash", "width": 1}, f"target {target * 100:g} %", {"color": style.quiet, "size": 12})  # fmt: skip
    few = max(1, len(frame) // 6)
    drawing.x(type="log", showgrid=False, tickmode="array", tickvals=list(frame[x])[::few], ticktext=list(words)[::few])
    drawing.y(ticksuffix=" %")
    return drawing.figure()
