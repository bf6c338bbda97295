"""DataFrame to plotly figure, in one look for light and dark. Pure: no Streamlit, no reading of anything.

Five meanings and no more (UI.md): ok, watch, stuck, waiting, unknown. Systems are told apart by lane and label, not by hue.
Every chart a page draws has a table behind it (`frame.chart`), and no chart has more than MAX_POINTS marks. Those that show how
things spread stand in `charts_spread`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go

from pages import drawn

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


def layout(figure: go.Figure, style: Look, *, height: int, margin_left: int = 8) -> go.Figure:
    """Give a figure what all of them have: type, colours, quiet axes, no legend."""
    figure.update_layout(
        height=height,
        margin={"l": margin_left, "r": 16, "t": 8, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": FONT, "size": 13, "color": style.text},
        hoverlabel={
            "bgcolor": style.surface,
            "bordercolor": style.grid,
            "font": {"family": FONT, "size": 13, "color": style.text},
        },
        showlegend=False,
        dragmode=False,
        bargap=0.35,
        modebar={"remove": ["select2d", "lasso2d", "autoScale2d"]},
    )
    axis = {
        "gridcolor": style.grid,
        "zerolinecolor": style.grid,
        "linecolor": style.grid,
        "tickfont": {"color": style.quiet, "size": 12},
        "automargin": True,
        "fixedrange": True,
    }
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    return figure


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
) -> go.Figure:
    """Horizontal bars from zero, largest on top and equals as they come, each labelled at its end. `text` and `hover` name columns of
    words, `colours` one of colours."""
    shown = frame.sort_values(value, ascending=False, kind="stable").head(25)[::-1]
    figure = go.Figure(
        go.Bar(
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
    )
    layout(figure, style, height=height or 44 + 34 * max(len(shown), 1))
    longest = max((len(str(words)) for words in shown[text]), default=0)
    figure.update_xaxes(
        showgrid=False,
        showticklabels=False,
        rangemode="tozero",
        # The words at the end of the longest bar have to find room beside it, in a chart of half a page too.
        range=[0, float(shown[value].astype(float).max() or 1) * max(1.8, 1.3 + 0.05 * longest)],
    )
    figure.update_yaxes(showgrid=False, tickfont={"color": style.text, "size": 13})
    return figure


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart, named at its end."""

    column: str
    name: str
    colour: str
    dashed: bool = False


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
) -> go.Figure:
    """Lines over time from zero, each named where it ends; an objective as a labelled line."""
    figure = go.Figure()
    shown = frame.tail(MAX_POINTS // max(len(series), 1))
    apart = _apart({line.name: shown[line.column].astype(float) for line in series}, height)
    for line in series:
        values = shown[line.column].astype(float)
        figure.add_scatter(
            x=shown[x],
            y=values,
            mode="lines",
            line={"color": line.colour, "width": 2.2, "dash": "dot" if line.dashed else "solid"},
            hovertemplate=f"%{{x|%a %d %b}}: %{{y:,.4~g}}{unit} {line.name}<extra></extra>",
        )
        ends = values.last_valid_index()
        if ends is not None:
            figure.add_annotation(
                x=shown.loc[ends, x],
                y=values.loc[ends],
                text=line.name,
                showarrow=False,
                xanchor="left",
                xshift=6,
                yshift=apart[line.name],
                font={"color": style.text, "size": 12},
            )
    if objective is not None:
        figure.add_hline(
            y=objective[0],
            line={"color": style.quiet, "dash": "dash", "width": 1},
            annotation={"text": objective[1], "font": {"color": style.quiet, "size": 12}},
        )
    layout(figure, style, height=height)
    figure.update_layout(margin={"l": 8, "r": 130, "t": 8, "b": 8})
    figure.update_yaxes(rangemode="tozero", ticksuffix=unit)
    return figure


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
    figure = go.Figure()
    shown = frame.tail(MAX_POINTS)
    for name, mark in marks.items():
        part = shown[shown[kind] == name]
        if part.empty:
            continue
        figure.add_scatter(
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
    if spans is not None:
        for span in spans.itertuples(index=False):
            figure.add_scatter(
                x=[span.start, span.end],
                y=[span.lane, span.lane],
                mode="lines",
                line={"color": style.grid, "width": 9},
                hoverinfo="text",
                text=span.hover,
                showlegend=False,
            )
        figure.data = (*figure.data[-len(spans) :], *figure.data[: -len(spans)]) if len(spans) else figure.data
    layout(figure, style, height=110 + 46 * len(order))
    figure.update_layout(
        showlegend=True,
        legend={"orientation": "h", "y": -0.22, "x": 0, "font": {"color": style.quiet, "size": 12}},
        dragmode="zoom",
    )
    figure.update_xaxes(fixedrange=False)
    figure.update_yaxes(
        categoryorder="array", categoryarray=list(reversed(order)), tickfont={"color": style.text, "size": 13}
    )
    return figure


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
    figure = go.Figure()
    shown = frame.tail(MAX_POINTS // max(len(parts), 1))
    for part in parts:
        figure.add_bar(
            x=shown[x],
            y=shown[part.column].astype(float),
            name=part.name,
            marker={"color": part.colour},
            customdata=shown[hover],
            hovertemplate="%{customdata}<extra></extra>",
        )
    layout(figure, style, height=height)
    figure.update_layout(
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
    figure.update_xaxes(showgrid=False, tickformat="%d %b")
    figure.update_yaxes(rangemode="tozero")
    return figure
