"""The charts of what is due: from open to paid, days against money, and what was foretold against what happened. In the look of `charts`, and
as pure."""

from collections.abc import Sequence
from textwrap import wrap

import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from pages import drawn
from pages.charts import LIGHT, WAITING, Look, layout
from pages.drawing import Drawing

CELL = 0.97
"""Of a column's width, what a cell of it takes."""


@drawn.once
def waterfall(frame: pd.DataFrame, *, label: str, value: str, base: str, colour: str, text: str, hover: str, style: Look, height: int = 340, lying: bool = False) -> go.Figure:  # fmt: skip
    """How a sum becomes another, step by step: each bar is `value` high and stands on `base`, where the one before it has led.

    Args:
        frame: A row per step, in order.
        label: The column with the steps' names.
        value: A bar's height.
        base: Where it begins.
        colour: A column of colours.
        text: A column of words at each bar.
        hover: A column of words.
        style: Light or dark.
        height: In pixels.
        lying: The steps stand below each other, the first on top: a phone has room for their names so.
    """
    names, amounts = frame[label], frame[value].astype(float)
    drawing = Drawing(layout(style, height=height))
    drawing.trace(
        "bar",
        x=amounts if lying else names,
        y=names if lying else amounts,
        orientation="h" if lying else "v",
        base=frame[base].astype(float),
        text=frame[text],
        textposition="outside",
        cliponaxis=False,
        marker={"color": list(frame[colour])},
        customdata=frame[hover],
        hovertemplate="%{customdata}<extra></extra>",
    )
    named = {"showgrid": False, "tickfont": {"color": style.text, "size": 12}, "tickangle": 0}
    if lying:
        reach = float((frame[base].astype(float) + amounts).max() or 1)
        drawing.y(**named, autorange="reversed")
        drawing.x(range=[0, reach * 1.45], showticklabels=False, showgrid=False)
        return drawing.figure()
    drawing.lay(margin={"t": 26})
    drawing.x(**named)
    drawing.y(rangemode="tozero", tickformat="~s")
    return drawing.figure()


@drawn.once
def grid(
    frame: pd.DataFrame,
    *,
    row: str,
    column: str,
    value: str,
    text: str,
    hover: str,
    rows: Sequence[str],
    columns: Sequence[str],
    style: Look,
    height: int = 300,
    wrapped: int = 40,
) -> go.Figure:
    """A cell per row of the frame, the stronger the larger its share (0 to 1) of what is at risk; its words stand in it. No cell: nothing.

    A column's name has lines of `wrapped` letters. Cells are bars, not a heat map: a browser tells of a click on a bar.
    """
    quiet = "#cfe9df" if style is LIGHT else "#1f4a3d"
    middle, strong = ("#f3c9ad", "#e8935a") if style is LIGHT else ("#5a3218", "#8f4515")
    shares = [float(share) for share in frame[value]]
    drawing = Drawing(layout(style, height=height))
    drawing.trace(
        "bar",
        y=frame[row],
        x=[CELL] * len(frame),
        base=[columns.index(name) + (1 - CELL) / 2 for name in frame[column]],
        width=0.93,
        orientation="h",
        marker={
            "color": sample_colorscale([[0, quiet], [0.5, middle], [1, strong]], shares) if shares else [],
            "line": {"width": 0},
        },
        text=frame[text],
        textposition="inside",
        insidetextanchor="middle",
        textangle=0,
        constraintext="none",
        insidetextfont={"color": style.text, "size": 12},
        customdata=frame[hover],
        hovertemplate="%{customdata}<extra></extra>",
    )
    drawing.x(
        showgrid=False,
        range=[0, len(columns)],
        tickvals=[place + 0.5 for place in range(len(columns))],
        ticktext=["<br>".join(wrap(name, wrapped)) for name in columns],
        tickangle=0,
        tickfont={"color": style.text, "size": 12},
        side="top",
    )
    drawing.y(
        showgrid=False,
        categoryorder="array",
        categoryarray=list(rows),
        autorange="reversed",
        tickfont={"color": style.text, "size": 13},
    )
    return drawing.figure()


@drawn.once
def reliability(frame: pd.DataFrame, *, said: str, happened: str, low: str, high: str, n: str, few: int, hover: str, style: Look, height: int = 320) -> go.Figure:  # fmt: skip
    """What was foretold (across) against the share that happened (up), with its interval; on the line both are the same. Marks of fewer than
    `few` are hollow."""
    drawing = Drawing(layout(style, height=height))
    drawing.trace("scatter", x=[0, 100], y=[0, 100], mode="lines", line={"color": style.quiet, "width": 1, "dash": "dash"}, hoverinfo="skip")  # fmt: skip
    up = frame[happened].astype(float) * 100
    drawing.trace(
        "scatter",
        x=frame[said].astype(float) * 100,
        y=up,
        mode="markers",
        error_y={"type": "data", "symmetric": False, "array": frame[high].astype(float) * 100 - up, "arrayminus": up - frame[low].astype(float) * 100, "color": style.quiet, "thickness": 1, "width": 4},
        marker={"color": WAITING, "size": 11, "symbol": ["circle-open" if held < few else "circle" for held in frame[n]]},
        customdata=frame[hover],
        hovertemplate="%{customdata}<extra></extra>",
    )  # fmt: skip
    drawing.note("as foretold", x=97, y=100, xanchor="right", yanchor="bottom", font={"color": style.quiet, "size": 12})
    drawing.x(range=[-3, 103], ticksuffix=" %", title={"text": "P(on time) as foretold", "font": {"color": style.quiet, "size": 12}})  # fmt: skip
    drawing.y(range=[-3, 106], ticksuffix=" %", title={"text": "paid in time", "font": {"color": style.quiet, "size": 12}})  # fmt: skip
    return drawing.figure()
