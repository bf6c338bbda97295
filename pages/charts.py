"""DataFrame to plotly figure, in one look for light and dark. Pure: no Streamlit, no reading of anything.

Five meanings and no more (UI.md): ok, watch, stuck, waiting, unknown. Systems are told apart by lane and label, not by hue.
Every chart a page draws has a table behind it (`frame.chart`), and no chart has more than MAX_POINTS marks. Those that show how
things spread stand in `charts_spread`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from pages import drawn
from pages.drawing import Drawing, Plain

MAX_POINTS = 1500
OK, WATCH, STUCK, WAITING, UNKNOWN = "#009E73", "#E69F00", "#D55E00", "#0072B2", "#999999"
CATEGORY = {"master_data": "#56B4E9", "policy": "#CC79A7", "erp_posting": "#D55E00", "external_outage": "#999999"}
LEVEL = {
    "stuck": STUCK,
    "silent": "#CC79A7",
    "unknown": "#8a929c",
    "watch": WATCH,
    "waiting": "#56B4E9",
    "moving": WAITING,
}
FONT = "ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True, slots=True)
class Look:
    """What differs between light and dark."""

    text: str
    quiet: str
    grid: str
    accent: str
    surface: str


LIGHT = Look(text="#1f2630", quiet="#545c66", grid="#e3e6ea", accent="#0072B2", surface="#ffffff")
DARK = Look(text="#e6e9ee", quiet="#a9b2bd", grid="#323b46", accent="#56B4E9", surface="#14181e")


def look(*, dark: bool) -> Look:
    """The look of a theme."""
    return DARK if dark else LIGHT


def layout(style: Look, *, height: int) -> Plain:
    """What all charts have: type, colours, quiet axes, no legend. What a `Drawing` begins with."""
    axis = {
        "gridcolor": style.grid,
        "zerolinecolor": style.grid,
        "linecolor": style.grid,
        "tickfont": {"color": style.quiet, "size": 12},
        "automargin": True,
        "fixedrange": True,
    }
    return {
        "height": height,
        "margin": {"l": 8, "r": 16, "t": 8, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONT, "size": 13, "color": style.text},
        "hoverlabel": {
            "bgcolor": style.surface,
            "bordercolor": style.grid,
            "font": {"family": FONT, "size": 13, "color": style.text},
        },
        "showlegend": False,
        "dragmode": False,
        "bargap": 0.35,
        "modebar": {"remove": ["select2d", "lasso2d", "autoScale2d"]},
        "xaxis": axis,
        "yaxis": axis,
    }


def in_bars(frame: pd.DataFrame, value: str) -> pd.DataFrame:
    """The rows that have a bar, in the order of their marks: the lowest bar first, equals as they come from the top."""
    return frame.sort_values(value, ascending=False, kind="stable").head(25)[::-1]


@drawn.once
def bars(
    frame: pd.DataFrame,
    *,
    label: str,
    value: str,
    text: str,
    hover: str,
    style: Look,
    colour: str | None = None,
    colours: str | None = None,
    height: int | None = None,
    order: Sequence[str] | None = None,
) -> go.Figure:
    """Horizontal bars from zero, largest on top and equals as they come, each labelled at its end. `text` and `hover` name columns of
    words, `colours` one of colours. Labels that have an `order` of their own stand in it, the first on top."""
    shown = in_bars(frame, value)
    drawing = Drawing(layout(style, height=height or 44 + 34 * max(len(shown), 1)))
    drawing.trace(
        "bar",
        x=shown[value].astype(float),
        y=shown[label],
        orientation="h",
        text=shown[text],
        textposition="outside",
        cliponaxis=False,
        marker={"color": list(shown[colours]) if colours else colour or style.accent},
        customdata=shown[hover],
        hovertemplate="%{customdata}<extra></extra>",
    )
    longest = max((len(str(words)) for words in shown[text]), default=0)
    drawing.x(
        showgrid=False,
        showticklabels=False,
        rangemode="tozero",
        # The words at the end of the longest bar have to find room beside it, in a chart of half a page too.
        range=[0, float(shown[value].astype(float).max() or 1) * max(1.8, 1.3 + 0.05 * longest)],
    )
    drawing.y(showgrid=False, tickfont={"color": style.text, "size": 13})
    if order is not None:
        drawing.y(categoryorder="array", categoryarray=list(order)[::-1])
    return drawing.figure()


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart, named at its end.

    Args:
        column: Of its values.
        name: Its name.
        colour: Its colour.
        dashed: Whether it is.
        hover: A column of words, one for each mark of it; None: it has no marks.
    """

    column: str
    name: str
    colour: str
    dashed: bool = False
    hover: str | None = None


_DATES = {
    "tickformatstops": [
        {"dtickrange": [None, 30_000], "value": "%H:%M:%S\n%d %b"},
        {"dtickrange": [60_000, 43_200_000], "value": "%H:%M\n%d %b"},
        {"dtickrange": [86_400_000, 604_800_000], "value": "%d %b"},
        {"dtickrange": ["M1", None], "value": "%b %Y"},
    ]
}
"""Days as the pages write them, by how far the ticks lie apart (milliseconds, months): plotly has the month before the day."""


def named_as_dates(at: pd.Series | pd.Index) -> Plain:
    """The axis of a chart over time; over anything else it is left to plotly."""
    return _DATES if pd.api.types.infer_dtype(at) in {"date", "datetime", "datetime64"} else {}


def weeks(days: Iterable[Any], *, narrow: bool) -> Plain:
    """The axis of a chart by weeks: each is named by its first day, on a phone four of them at most."""
    named = list(days)
    return {"tickvals": named[:: 1 + len(named) // 4 if narrow else 1], "tickformat": "%d %b", "tickangle": 0}


@drawn.once
def lines(
    frame: pd.DataFrame,
    *,
    x: str,
    series: Sequence[Line],
    style: Look,
    unit: str = "",
    objective: tuple[float, str] | None = None,
    height: int = 260,
    across: Mapping[str, Any] | None = None,
    up: Mapping[str, Any] | None = None,
    versions: Iterable[tuple[object, str]] = (),
    named_below: bool = False,
) -> go.Figure:
    """Lines over time from zero, each named where it ends; an objective as a labelled line.

    Args:
        frame: A row per moment.
        x: The column with it.
        series: The lines.
        style: Light or dark.
        unit: Of the values, with the space before it.
        objective: How high it lies, and its name.
        height: In pixels.
        across: What the axis of time has beside, as plotly calls it; None: its days are named as dates.
        up: What the axis of values has beside.
        versions: When the configuration changed, and what of it: what a curve may break at, a thin line each.
        named_below: Names stand in a legend: beside the lines they would take half of a phone's width.
    """
    drawing = Drawing(layout(style, height=height))
    shown = frame.tail(MAX_POINTS // max(len(series), 1))
    apart = _apart({line.name: shown[line.column].astype(float) for line in series}, height)
    for line in series:
        values = shown[line.column].astype(float)
        drawing.trace(
            "scatter",
            x=shown[x],
            y=values,
            line={"color": line.colour, "width": 2.2, "dash": "dot" if line.dashed else "solid"},
            **_marked(shown, line) if line.hover else {"mode": "lines", "hovertemplate": f"%{{x|%a %d %b}}: %{{y:,.4~g}}{unit} {line.name}<extra></extra>"},
        )  # fmt: skip
        ends = values.last_valid_index()
        if ends is not None and not named_below:
            drawing.note(
                line.name,
                x=shown.loc[ends, x],
                y=values.loc[ends],
                xanchor="left",
                xshift=6,
                yshift=apart[line.name],
                font={"color": style.text, "size": 12},
            )
    quiet = {"color": style.quiet, "size": 12}
    if objective is not None:
        drawing.across(objective[0], {"color": style.quiet, "dash": "dash", "width": 1}, objective[1], quiet)
    _changes(drawing, versions, style)
    drawing.lay(margin={"r": 12 if named_below else 130})
    if named_below:
        drawing.lay(showlegend=True, legend={"orientation": "h", "y": -0.2, "x": 0, "font": quiet})
    drawing.y(rangemode="tozero", ticksuffix=unit, **up or {})
    drawing.x(**named_as_dates(shown[x]) if across is None else across)
    return drawing.figure()


def _changes(drawing: Drawing, versions: Iterable[tuple[object, str]], style: Look) -> None:
    for at, what in versions:
        drawing.upright(at, {"color": WAITING, "width": 1, "dash": "dot"})
        quiet = {"color": style.quiet, "size": 11}
        drawing.note(what, x=at, y=1, yref="paper", xanchor="left", xshift=3, yanchor="top", font=quiet)


def _marked(shown: pd.DataFrame, line: Line) -> Plain:
    """What a line has that says something at each of its marks; over what is missing it goes on."""
    return {
        "name": line.name,
        "mode": "lines+markers",
        "marker": {"size": 8},
        "connectgaps": True,
        "customdata": shown[line.hover],
        "hovertemplate": "%{customdata}<extra></extra>",
    }


NAME_PX, AXIS_PX = 15, 45
"""So much height the name of a line takes, and what is below and above of the lines."""


def _apart(lines_by_name: dict[str, pd.Series], height: int) -> dict[str, float]:
    """How far each line's name is moved up, in pixels, so that names of lines that end together can both be read."""
    known = {name: held for name, values in lines_by_name.items() if len(held := values.dropna())}
    top = max((float(values.max()) for values in known.values()), default=0.0) or 1.0
    moved = dict.fromkeys(lines_by_name, 0.0)
    ends = sorted((float(values.iloc[-1]) / top * (height - AXIS_PX), name) for name, values in known.items())
    last: dict[object, float] = {}
    for at, name in ends:
        where = known[name].index[-1]
        last[where] = max(at, last.get(where, float("-inf")) + NAME_PX)
        moved[name] = last[where] - at
    return moved


@dataclass(frozen=True, slots=True)
class Mark:
    """How one kind of mark on the lanes looks."""

    name: str
    colour: str
    symbol: str


@drawn.once
def lanes(
    frame: pd.DataFrame,
    *,
    lane: str,
    at: str,
    kind: str,
    hover: str,
    marks: dict[str, Mark],
    order: Sequence[str],
    style: Look,
    spans: pd.DataFrame | None = None,
) -> go.Figure:
    """A swim lane per system: marks at moments by kind, and (in `spans`: lane, start, end, hover) bars for what took long."""
    drawing = Drawing(layout(style, height=110 + 46 * len(order)))
    shown = frame.tail(MAX_POINTS)
    for span in spans.itertuples(index=False) if spans is not None else ():
        drawing.trace(
            "scatter",
            x=[span.start, span.end],
            y=[span.lane, span.lane],
            mode="lines",
            line={"color": style.grid, "width": 9},
            hoverinfo="text",
            text=span.hover,
            showlegend=False,
        )
    for name, mark in marks.items():
        part = shown[shown[kind] == name]
        if part.empty:
            continue
        drawing.trace(
            "scatter",
            x=part[at],
            y=part[lane],
            mode="markers",
            name=mark.name,
            marker={
                "color": mark.colour,
                "symbol": mark.symbol,
                "size": 11,
                "line": {"color": style.surface, "width": 1},
            },
            customdata=part[hover],
            hovertemplate="%{customdata}<extra></extra>",
        )
    drawing.lay(
        showlegend=True,
        legend={"orientation": "h", "y": -0.22, "x": 0, "font": {"color": style.quiet, "size": 12}},
        dragmode="zoom",
    )
    drawing.x(fixedrange=False, **named_as_dates(shown[at]))
    drawing.y(categoryorder="array", categoryarray=list(reversed(order)), tickfont={"color": style.text, "size": 13})
    return drawing.figure()


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a stacked column."""

    column: str
    name: str
    colour: str


@drawn.once
def columns(
    frame: pd.DataFrame, *, x: str, parts: Sequence[Part], hover: str, style: Look, height: int = 260
) -> go.Figure:
    """Stacked columns over days from zero; the first part stands at the bottom. `hover` names a column of words."""
    drawing = Drawing(layout(style, height=height))
    shown = frame.tail(MAX_POINTS // max(len(parts), 1))
    for part in parts:
        drawing.trace(
            "bar",
            x=shown[x],
            y=shown[part.column].astype(float),
            name=part.name,
            marker={"color": part.colour},
            customdata=shown[hover],
            hovertemplate="%{customdata}<extra></extra>",
        )
    drawing.lay(
        barmode="stack",
        bargap=0.2,
        showlegend=True,
        legend={
            "orientation": "h",
            "y": -0.16,
            "x": 0,
            "traceorder": "normal",
            "font": {"color": style.quiet, "size": 12},
        },
    )
    drawing.x(showgrid=False, tickformat="%d %b")
    drawing.y(rangemode="tozero")
    return drawing.figure()
