"""What is shown, to take along: a picture (PNG, made by the browser) and the numbers (CSV), both with what they mean, of which time, and
as of when, so that a slide or a sheet says by itself what it shows. Every sheet of every page, of a chart or of a table, is made by
`sheet`; evidence for an auditor (pages/evidence.py) carries more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from urllib.parse import urlencode

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from pages.charts import LIGHT, layout
from pages.context import Context
from pages.explaining import Definition
from pages.filters import CHOSEN, WINDOW, address
from pages.format import csv_bytes, visible, when
from sync_engine.control.roles import Action

LONG = 2_000
"""So many rows of a sheet each say what they are."""

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
        return stamp(self.ctx)


def stamp(ctx: Context) -> str:
    """As of when, in which zone, by which filters, and the address that shows the same."""
    units = ", ".join(st.query_params.get_all("unit")) or "every business unit that the reader may see"
    chosen = st.session_state.get(CHOSEN, "")
    asked = urlencode({name: values for name, values in address().items() if name != "as"}, doseq=True)
    return f"As of {when(ctx.moment.as_of, ctx.zone)} ({ctx.zone.key}); {visible(units)}{f'; {visible(chosen)}' if chosen else ''}; {ctx.url_path}{f'?{visible(asked)}' if asked else ''}"


def window(of: Definition | None = None) -> str:
    """Of which time the figures of a page are: by a definition's window and, where that is the page's period, its dates."""
    period = st.session_state.get(WINDOW, "")
    if of is None:
        return period or "now"
    return f"{of.window}: {period}" if period and "period" in of.window else of.window


def sheet(table: pd.DataFrame, columns: Sequence[tuple[str, str]], said: Mapping[str, str]) -> bytes:
    """Rows as CSV with (column, heading) in order, and what they are: `said` stands in the last columns of every row, because rows are
    sorted and cut elsewhere; of more than LONG rows in the first alone, because nobody reads it a hundred thousand times."""
    rows = len(table)
    whole = table[[name for name, _ in columns]].assign(
        **{name: [text] * rows if rows <= LONG else [text, *[""] * (rows - 1)] for name, text in said.items()}
    )
    return csv_bytes(whole, [*columns, *((name, name) for name in said)])


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
    """The table behind a chart as a sheet."""
    said = {"What": exported.what, "Finding": finding, "Meaning": note, "Window": window(), "As of": exported.stamp}
    return sheet(table, [(name, name) for name in table.columns], said)


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
