"""DataFrame to plotly figure, in one look for light and dark. Pure: no Streamlit, no reading of anything.

Five meanings and no more (UI.md): ok, watch, stuck, waiting, unknown. Systems are told apart by lane and label, not by hue.
Every chart a page draws has a table behind it (`frame.chart`), and no chart has more than MAX_POINTS marks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10

import pandas as pd
import plotly.graph_objects as go

MAX_POINTS = 1500
OK, WATCH, STUCK, WAITING, UNKNOWN = "#009E73", "#E69F00", "#D55E00", "#0072B2", "#999999"
CATEGORY = {"master_data": "#56B4E9", "policy": "#CC79A7", "erp_posting": "#D55E00", "external_outage": "#999999"}
LEVEL = {"stuck": STUCK, "watch": WATCH, "moving": WAITING}
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


def _layout(figure: go.Figure, style: Look, *, height: int, margin_left: int = 8) -> go.Figure:
    figure.update_layout(
        height=height,
        margin={"l": margin_left, "r": 16, "t": 8, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": FONT, "size": 13, "color": style.text},
        hoverlabel={"bgcolor": style.surface, "bordercolor": style.grid, "font": {"family": FONT, "size": 13, "color": style.text}},
        showlegend=False,
        dragmode=False,
        bargap=0.35,
        modebar={"remove": ["select2d", "lasso2d", "autoScale2d"]},
    )
    axis = {"gridcolor": style.grid, "zerolinecolor": style.grid, "linecolor": style.grid, "tickfont": {"color": style.quiet, "size": 12}, "automargin": True, "fixedrange": True}
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    return figure


def bars(frame: pd.DataFrame, *, label: str, value: str, text: str, hover: str, style: Look, colour: str | None = None, colours: str | None = None, height: int | None = None) -> go.Figure:
    """Horizontal bars from zero, largest on top, each labelled at its end. `text` and `hover` name columns of words, `colours` one of colours."""
    shown = frame.sort_values(value, kind="stable").tail(25)
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
    _layout(figure, style, height=height or 44 + 34 * max(len(shown), 1))
    figure.update_xaxes(showgrid=False, showticklabels=False, rangemode="tozero", range=[0, float(shown[value].astype(float).max() or 1) * 1.8])
    figure.update_yaxes(showgrid=False, tickfont={"color": style.text, "size": 13})
    return figure


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart, named at its end."""

    column: str
    name: str
    colour: str
    dashed: bool = False


def lines(frame: pd.DataFrame, *, x: str, series: Sequence[Line], style: Look, unit: str = "", objective: tuple[float, str] | None = None, height: int = 260) -> go.Figure:
    """Lines over time from zero, each named where it ends; an objective as a labelled line."""
    figure = go.Figure()
    shown = frame.tail(MAX_POINTS // max(len(series), 1))
    for line in series:
        values = shown[line.column].astype(float)
        figure.add_scatter(
            x=shown[x],
            y=values,
            mode="lines",
            line={"color": line.colour, "width": 2.2, "dash": "dot" if line.dashed else "solid"},
            hovertemplate=f"%{{x|%a %d %b}}: %{{y:,.4~g}}{unit} {line.name}<extra></extra>",
        )
        if len(shown):
            figure.add_annotation(x=shown[x].iloc[-1], y=values.iloc[-1], text=line.name, showarrow=False, xanchor="left", xshift=6, font={"color": style.text, "size": 12})
    if objective is not None:
        figure.add_hline(y=objective[0], line={"color": style.quiet, "dash": "dash", "width": 1}, annotation={"text": objective[1], "font": {"color": style.quiet, "size": 12}})
    _layout(figure, style, height=height)
    figure.update_layout(margin={"l": 8, "r": 130, "t": 8, "b": 8})
    figure.update_yaxes(rangemode="tozero", ticksuffix=unit)
    return figure


@dataclass(frozen=True, slots=True)
class Mark:
    """How one kind of mark on the lanes looks."""

    name: str
    colour: str
    symbol: str


def lanes(frame: pd.DataFrame, *, lane: str, at: str, kind: str, hover: str, marks: dict[str, Mark], order: Sequence[str], style: Look, spans: pd.DataFrame | None = None) -> go.Figure:
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
            marker={"color": mark.colour, "symbol": mark.symbol, "size": 11, "line": {"color": style.surface, "width": 1}},
            customdata=part[hover],
            hovertemplate="%{customdata}<extra></extra>",
        )
    if spans is not None:
        for span in spans.itertuples(index=False):
            figure.add_scatter(x=[span.start, span.end], y=[span.lane, span.lane], mode="lines", line={"color": style.grid, "width": 9}, hoverinfo="text", text=span.hover, showlegend=False)
        figure.data = (*figure.data[-len(spans) :], *figure.data[: -len(spans)]) if len(spans) else figure.data
    _layout(figure, style, height=110 + 46 * len(order))
    figure.update_layout(showlegend=True, legend={"orientation": "h", "y": -0.22, "x": 0, "font": {"color": style.quiet, "size": 12}}, dragmode="zoom")
    figure.update_xaxes(fixedrange=False)
    figure.update_yaxes(categoryorder="array", categoryarray=list(reversed(order)), tickfont={"color": style.text, "size": 13})
    return figure


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a stacked column."""

    column: str
    name: str
    colour: str


def columns(frame: pd.DataFrame, *, x: str, parts: Sequence[Part], hover: str, style: Look, height: int = 260) -> go.Figure:
    """Stacked columns over days from zero; the first part stands at the bottom. `hover` names a column of words."""
    figure = go.Figure()
    shown = frame.tail(MAX_POINTS // max(len(parts), 1))
    for part in parts:
        figure.add_bar(x=shown[x], y=shown[part.column].astype(float), name=part.name, marker={"color": part.colour}, customdata=shown[hover], hovertemplate="%{customdata}<extra></extra>")
    _layout(figure, style, height=height)
    figure.update_layout(barmode="stack", bargap=0.2, showlegend=True, legend={"orientation": "h", "y": -0.16, "x": 0, "traceorder": "normal", "font": {"color": style.quiet, "size": 12}})
    figure.update_xaxes(showgrid=False, tickformat="%d %b")
    figure.update_yaxes(rangemode="tozero")
    return figure


def matrix(frame: pd.DataFrame, *, row: str, at: str, share: str, hover: str, order: Sequence[str], style: Look, height: int | None = None) -> go.Figure:
    """A cell per row and stretch of time, the stronger the larger `share` (0 to 1). No cell: nothing happened then."""
    shown = frame.tail(MAX_POINTS)
    # pivot, not pivot_table: two cells in one place are a mistake, not something to average.
    values = shown.pivot(index=row, columns=at, values=share).reindex(order)  # noqa: PD010
    words = shown.pivot(index=row, columns=at, values=hover).reindex(order)  # noqa: PD010
    quiet = "#cfe9df" if style is LIGHT else "#1f4a3d"
    figure = go.Figure(
        go.Heatmap(
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
            colorscale=[[0, quiet], [0.0001, "#f3c9ad" if style is LIGHT else "#5a3218"], [0.25, "#e8935a"], [1, STUCK]],
            showscale=False,
        )
    )
    _layout(figure, style, height=height or 76 + 42 * len(order))
    figure.update_xaxes(showgrid=False)
    figure.update_yaxes(showgrid=False, autorange="reversed", tickfont={"color": style.text, "size": 13})
    return figure


def ageing(frame: pd.DataFrame, *, stage: str, at: str, y: str, level: str, size: str, hover: str, bands: pd.DataFrame, style: Look, unit: str, height: int = 380) -> go.Figure:
    """What is open, by how long it has stood in its stage (log axis), on what its peers took there.

    Args:
        frame: A row per document; `at` is its place beside others of its stage (-1 to 1), `size` its marker's in pixels.
        stage: The column with the name of the stage.
        at: See `frame`.
        y: The age, above zero, in `unit`.
        level: "stuck", "watch" or "moving".
        size: See `frame`.
        hover: A column of words.
        bands: stage, p50, p85, p95 of its peers; a stage without peers has no row.
        style: Light or dark.
        unit: Of the ages, for the axis.
        height: In pixels.
    """
    figure = go.Figure()
    shown = frame.head(MAX_POINTS)
    order = list(dict.fromkeys(shown[stage]))
    place = {name: position for position, name in enumerate(order)}
    lowest, highest = (float(shown[y].min()), float(shown[y].max())) if len(shown) else (1.0, 1.0)
    floor, ceiling = min(lowest, 1.0) / 1.6, max(highest, float(bands["p95"].max()) if len(bands) else 0.0) * 1.8
    for band in bands.itertuples(index=False):
        if band.stage not in place:
            continue
        x0, x1 = place[band.stage] - 0.42, place[band.stage] + 0.42
        for low, high, strength in ((floor, band.p50, 0.10), (band.p50, band.p85, 0.20), (band.p85, band.p95, 0.34)):
            if high > max(low, floor):
                figure.add_shape(type="rect", x0=x0, x1=x1, y0=max(low, floor), y1=high, fillcolor=OK, opacity=strength, line_width=0, layer="below")
        if band.p95 > floor:
            figure.add_shape(type="line", x0=x0, x1=x1, y0=band.p95, y1=band.p95, line={"color": style.quiet, "width": 1, "dash": "dash"})
    for name in ("moving", "watch", "stuck"):
        part = shown[shown[level] == name]
        figure.add_scatter(
            x=[place[value] + 0.36 * float(offset) for value, offset in zip(part[stage], part[at], strict=True)],
            y=part[y].astype(float),
            mode="markers",
            name=name,
            marker={"color": LEVEL[name], "size": part[size], "opacity": 0.85 if name != "moving" else 0.55, "line": {"color": style.surface, "width": 1}},
            customdata=part[hover],
            hovertemplate="%{customdata}<extra></extra>",
            visible=True if len(part) else "legendonly",
        )
    _layout(figure, style, height=height)
    figure.update_layout(showlegend=True, legend={"orientation": "h", "y": 1.08, "x": 0, "font": {"color": style.quiet, "size": 12}, "traceorder": "reversed", "itemsizing": "constant"}, margin={"l": 8, "r": 16, "t": 30, "b": 8})
    figure.update_xaxes(tickmode="array", tickvals=list(place.values()), ticktext=[name.replace(": ", ":<br>").replace(" ", "<br>") for name in order], tickangle=0, showgrid=False, range=[-0.55, len(order) - 0.45], tickfont={"color": style.text, "size": 12})
    figure.update_yaxes(type="log", range=[log10(floor), log10(ceiling)], title={"text": f"{unit} in the stage, log scale", "font": {"color": style.quiet, "size": 12}}, dtick=1, minor={"ticks": ""})
    return figure


def funnel(frame: pd.DataFrame, *, n: str, share: str, label: str, hover: str, apart: str, limits: pd.DataFrame, common: float, style: Look, height: int = 300) -> go.Figure:
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
        height: In pixels.
    """
    figure = go.Figure()
    for low, high, dash, name, shift in (("low_95", "high_95", "dash", "95 %", -8), ("low_99", "high_99", "dot", "99 %", 8)):
        for column in (low, high):
            figure.add_scatter(x=limits["n"], y=limits[column] * 100, mode="lines", line={"color": style.quiet, "width": 1, "dash": dash}, hoverinfo="skip")
        figure.add_annotation(x=limits["n"].iloc[-1], y=limits[high].iloc[-1] * 100, text=name, showarrow=False, xanchor="left", xshift=4, yshift=shift, font={"color": style.quiet, "size": 12})
    figure.add_hline(y=common * 100, line={"color": style.quiet, "width": 1})
    figure.add_annotation(x=limits["n"].iloc[-1], y=common * 100, text=f"all {common:.1%}".replace("%", " %"), showarrow=False, xanchor="left", xshift=4, font={"color": style.quiet, "size": 12})
    figure.add_scatter(
        x=frame[n],
        y=frame[share].astype(float) * 100,
        mode="markers+text",
        text=frame[label],
        textposition="top center",
        textfont={"color": style.text, "size": 12},
        marker={"color": [STUCK if outside else style.accent for outside in frame[apart]], "size": 11, "line": {"color": style.surface, "width": 1}},
        customdata=frame[hover],
        hovertemplate="%{customdata}<extra></extra>",
        cliponaxis=False,
    )
    _layout(figure, style, height=height)
    figure.update_layout(margin={"l": 8, "r": 70, "t": 12, "b": 8})
    figure.update_xaxes(title={"text": "documents that entered", "font": {"color": style.quiet, "size": 12}}, range=[0, float(limits["n"].iloc[-1])])
    figure.update_yaxes(ticksuffix=" %", rangemode="tozero", range=[0, max(float(frame[share].max()), float(limits["high_95"].iloc[len(limits) // 4])) * 125])
    return figure
