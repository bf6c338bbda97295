"""What is shown, to take along: a picture (PNG, made by the browser) and the numbers (CSV), both with what they mean, of which time, and
as of when, so that a slide or a sheet says by itself what it shows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from pages.charts import LIGHT, layout
from pages.context import Context
from pages.format import csv_bytes, visible, when
from sync_engine.control.roles import Action

PICTURE_PX = (1200, 640)
A_LINE = 130
"""So many characters of a picture's small print fit on a line."""


@dataclass(frozen=True, slots=True)
class Exported:
    """How a chart leaves the page.

    Args:
        ctx: Who looks.
        what: What is measured, of which time: stands in the picture and the sheet.
        name: Of the file, without its ending.
    """

    ctx: Context
    what: str
    name: str

    @property
    def stamp(self) -> str:
        """As of when, in which zone, and by which filters."""
        ctx = self.ctx
        units = ", ".join(st.query_params.get_all("unit")) or "every business unit that the reader may see"
        return f"As of {when(ctx.moment.as_of, ctx.zone)} ({ctx.zone.key}); {visible(units)}"


def draw(exported: Exported, figure: go.Figure, finding: str, note: str, table: pd.DataFrame, *, key: str) -> None:
    """The two ways out, under a chart."""
    if not exported.ctx.may(Action.EXPORT):
        return
    with st.container(horizontal=True, gap="small"):
        if st.button("Picture (PNG)", icon=":material/image:", type="tertiary", key=f"{key}.picture"):
            _picture(exported, figure, finding, note)
        st.download_button(
            "Numbers (CSV)",
            lambda: numbers(exported, finding, note, table),
            file_name=f"{exported.name}.csv",
            mime="text/csv",
            key=f"{key}.numbers",
            icon=":material/download:",
            type="tertiary",
            on_click=_note,
            args=(exported, key, len(table)),
        )


def _note(exported: Exported, key: str, rows: int) -> None:
    exported.ctx.note(
        Action.EXPORT, what=key, page=exported.ctx.url_path, rows=rows, filters=str(st.query_params.to_dict())
    )


def numbers(exported: Exported, finding: str, note: str, table: pd.DataFrame) -> bytes:
    """The table behind a chart as a sheet; its last columns say, in every row, what it is: rows are sorted and cut elsewhere."""
    said = {"What": exported.what, "Finding": finding, "Meaning": note, "As of": exported.stamp}
    whole = table.assign(**said)
    return csv_bytes(whole, [(name, name) for name in whole.columns])


@st.dialog("Picture of this chart", width="large", icon=":material/image:")
def _picture(exported: Exported, figure: go.Figure, finding: str, note: str) -> None:
    st.caption("The camera above the picture saves it as a PNG file.")
    st.plotly_chart(
        titled(figure, finding, [exported.what, note, exported.stamp]),
        theme=None,
        key=f"{exported.name}.picture",
        config={
            "displaylogo": False,
            "displayModeBar": True,
            "modeBarButtons": [["toImage"]],
            "toImageButtonOptions": {
                "format": "png",
                "filename": exported.name,
                "width": PICTURE_PX[0],
                "height": PICTURE_PX[1],
                "scale": 2,
            },
        },
        alt=finding,
    )


def titled(figure: go.Figure, finding: str, small: Sequence[str]) -> go.Figure:
    """A copy of a chart that can stand alone: light, its finding above it, what it means and as of when below."""
    alone = go.Figure(figure)
    lines = [line for text in small if text for line in wrap(text, A_LINE)]
    margin = alone.layout.margin.to_plotly_json()
    layout(alone, LIGHT, height=PICTURE_PX[1] - 60)
    alone.update_layout(
        paper_bgcolor=LIGHT.surface,
        plot_bgcolor=LIGHT.surface,
        showlegend=figure.layout.showlegend,
        margin={"l": margin.get("l", 8), "r": max(margin.get("r", 16), 24), "t": 96, "b": 84 + 16 * len(lines)},
        title={"text": "<br>".join(wrap(finding, 90)), "x": 0.01, "y": 0.97, "yanchor": "top", "font": {"size": 19, "color": LIGHT.text}},
    )  # fmt: skip
    alone.update_annotations(font={"color": LIGHT.text})
    alone.add_annotation(
        x=0,
        y=0,
        xref="paper",
        yref="paper",
        yshift=-48,
        yanchor="top",
        xanchor="left",
        align="left",
        text="<br>".join(lines),
        showarrow=False,
        font={"size": 12, "color": LIGHT.quiet},
    )
    return alone
