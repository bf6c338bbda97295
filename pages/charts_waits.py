"""The charts of waiting: when requests come and are decided in a week, and whether large ones wait longer. As pure as `charts`."""

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from pages import drawn
from pages.charts import MAX_POINTS, OK, WAITING, Look, layout
from pages.drawing import Drawing

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@drawn.once
def week(frame: pd.DataFrame, *, style: Look, narrow: bool, height: int = 260) -> go.Figure:
    """What came and what was decided in each hour of the week (weekday, hour, arrived, decided), all 168 of them in order."""
    drawing = Drawing(layout(style, height=height))
    x = list(range(len(frame)))
    hours = [f"{WEEKDAYS[row.weekday]}, {row.hour:02}:00 to {row.hour + 1:02}:00" for row in frame.itertuples(index=False)]  # fmt: skip
    for column, name, colour in (("arrived", "asked for", WAITING), ("decided", "decided", OK)):
        drawing.trace(
            "scatter",
            x=x,
            y=frame[column],
            mode="lines",
            line={"color": colour, "width": 2, "shape": "hvh"},
            name=name,
            customdata=hours,
            hovertemplate=f"%{{customdata}}: %{{y:,}} {name}<extra></extra>",
        )
    drawing.lay(
        showlegend=True,
        legend={"orientation": "h", "y": 1.14, "x": 0, "font": {"color": style.quiet, "size": 12}},
        margin={"l": 8, "r": 16, "t": 30, "b": 8},
    )
    drawing.x(
        tickmode="array",
        tickvals=[24 * day + 12 for day in range(7)],
        ticktext=[name[:2] if narrow else name for name in WEEKDAYS],
        showgrid=False,
        range=[-1, len(frame)],
    )
    for day in range(1, 7):
        drawing.upright(24 * day - 0.5, {"color": style.grid, "width": 1})
    drawing.y(rangemode="tozero")
    return drawing.figure()


@drawn.once
def value_and_wait(
    frame: pd.DataFrame, *, value: str, hours: str, hover: str, marks: Sequence[tuple[float, float, float]], style: Look, height: int = 320,
) -> go.Figure:  # fmt: skip
    """A mark per decision at its value and its hours, both axes logarithmic; `marks` are (value from, value to, median hours)."""
    shown = frame.head(MAX_POINTS)
    drawing = Drawing(layout(style, height=height))
    drawing.trace(
        "scatter",
        x=shown[value].astype(float),
        y=shown[hours].astype(float),
        mode="markers",
        marker={"color": style.accent, "size": 6, "opacity": 0.45},
        customdata=shown[hover],
        hovertemplate="%{customdata}<extra></extra>",
    )
    for begin, end, middle in marks:
        drawing.trace(
            "scatter",
            x=[begin, end],
            y=[middle, middle],
            mode="lines",
            line={"color": style.text, "width": 2.5},
            hovertemplate=f"median {middle:,.1f} working hours<extra></extra>",
        )
    quiet = {"color": style.quiet, "size": 12}
    drawing.x(type="log", title={"text": "Value in EUR, log scale", "font": quiet}, dtick=1)
    drawing.y(type="log", title={"text": "Working hours, log scale", "font": quiet}, dtick=1)
    return drawing.figure()
