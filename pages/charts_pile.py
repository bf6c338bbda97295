"""The charts of a pile of work: what it is made of, and what comes into it and leaves it. In the look of `charts`, and as pure."""

import pandas as pd
import plotly.graph_objects as go

from pages import drawn
from pages.charts import MAX_POINTS, OK, STUCK, Look, layout
from pages.drawing import Drawing
from pages.format import count, day
from sync_engine.insight.once import once


@drawn.once
def blocks(
    frame: pd.DataFrame,
    *,
    outer: str,
    inner: str,
    value: str,
    text: str,
    hover: str,
    style: Look,
    colour: str = STUCK,
    height: int = 340,
) -> go.Figure:
    """A treemap: how a sum divides by `outer`, and within each by `inner`; area is `value`, which is above zero.

    Args:
        frame: A row per outer and inner.
        outer: The column with the larger blocks' names.
        inner: The column with the smaller blocks' names.
        value: See above.
        text: A column of words, written in the smaller block under its name.
        hover: A column of words.
        style: Light or dark.
        colour: Of all blocks; an outer one is told from the next by its frame and its name, not by hue.
        height: In pixels.
    """
    shown = frame.sort_values(value, ascending=False).head(MAX_POINTS)
    sums = shown.groupby(outer, sort=False)[value].sum()
    drawing = Drawing(layout(style, height=height))
    drawing.trace(
        "treemap",
        ids=[*sums.index, *(f"{a} | {b}" for a, b in zip(shown[outer], shown[inner], strict=True))],
        labels=[*sums.index, *shown[inner]],
        parents=["" for _ in sums] + list(shown[outer]),
        values=[*sums.astype(float), *shown[value].astype(float)],
        text=["" for _ in sums] + list(shown[text]),
        customdata=["" for _ in sums] + list(shown[hover]),
        branchvalues="total",
        textinfo="label+text",
        hovertemplate="%{customdata}<extra></extra>",
        marker={
            "colors": [style.grid for _ in sums] + [colour] * len(shown),
            "line": {"color": style.surface, "width": 1},
            "pad": {"t": 24, "l": 2, "r": 2, "b": 2},
        },
        textfont={"size": 13, "color": [style.text] * len(sums) + ["#ffffff"] * len(shown)},
        pathbar={"visible": False},
        tiling={"packing": "squarify", "pad": 1},
    )
    drawing.lay(margin={"l": 0, "r": 0, "t": 0, "b": 0}, uniformtext={"minsize": 11, "mode": "hide"})
    return drawing.figure()


@once
def told_by_day(
    days: pd.DataFrame, *, stands: str, noun: str, names: tuple[str, str, str], headings: dict[str, str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The days for `inflow` with what is said of each (`hover`), and the table under that chart.

    Args:
        days: day, begun, ended, self_cured (of those ended) and the column that `stands` names: counts of `noun`.
        stands: How many stood at the end of the day.
        noun: What is counted at the end of the day, singular.
        names: What begins and ends, and how it stands, as `inflow` names them.
        headings: Of the table's columns.
    """
    begun, ended, standing = names
    hover = [
        f"{day(row['day'])}: {row['begun']:,} {begun}, {row['ended']:,} {ended} ({row['self_cured']:,} by themselves); {count(row[stands], noun)} {standing}"
        for row in days.to_dict("records")
    ]
    return days.assign(hover=hover), days.rename(columns=headings)


@drawn.once
def inflow(
    frame: pd.DataFrame,
    *,
    x: str,
    up: str,
    down: str,
    stands: str,
    names: tuple[str, str, str],
    hover: str,
    style: Look,
    height: int = 260,
) -> go.Figure:
    """What came into a pile and what left it on each day, up and down from zero, and the pile itself as a line, all on one scale.

    Args:
        frame: A row per day.
        x: The day.
        up: The column that came in.
        down: The column that left, as a positive number; drawn below zero.
        stands: The column with the pile at the end of the day.
        names: Of up, down and stands, for the legend.
        hover: A column of words.
        style: Light or dark.
        height: In pixels.
    """
    drawing = Drawing(layout(style, height=height))
    shown = frame.tail(MAX_POINTS)
    for column, name, colour, sign in ((up, names[0], STUCK, 1), (down, names[1], OK, -1)):
        drawing.trace(
            "bar",
            x=shown[x],
            y=sign * shown[column].astype(float),
            name=name,
            marker={"color": colour},
            customdata=shown[hover],
            hovertemplate="%{customdata}<extra></extra>",
        )
    drawing.trace(
        "scatter",
        x=shown[x],
        y=shown[stands].astype(float),
        mode="lines",
        name=names[2],
        line={"color": style.text, "width": 2.2},
        hoverinfo="skip",
    )
    drawing.lay(
        barmode="relative",
        bargap=0.25,
        hovermode="closest",
        showlegend=True,
        legend={"orientation": "h", "y": -0.16, "x": 0, "font": {"color": style.quiet, "size": 12}},
    )
    drawing.x(showgrid=False, tickformat="%d %b")
    drawing.y(zeroline=True, zerolinecolor=style.quiet, tickformat=",d")
    return drawing.figure()
