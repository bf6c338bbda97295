"""What is shown, to take along: a picture (PNG, made by the browser) and the numbers (CSV), both with what they mean, of which time, and
as of when, so that a slide or a sheet says by itself what it shows. Every sheet of every page, of a chart or of a table, is made by
`sheet`; evidence for an auditor (pages/evidence.py) carries more.
"""

import io
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any
from urllib.parse import urlencode

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from pages.charts import DARK, LIGHT, layout
from pages.context import Context
from pages.drawing import Drawing, merged, taken_apart
from pages.explaining import Definition
from pages.filters import CHOSEN, WINDOW, address
from pages.format import csv_pieces, visible, when
from sync_engine.control.roles import Action
from sync_engine.insight.reports.reading import Unanswered

LONG = 2_000
"""So many rows of a sheet each say what they are."""

PICTURE_PX = (1200, 640)
"""Width and least height of a picture that is saved; a taller chart makes a taller one."""

TALLER_PX = 60
"""So much higher it is saved than it is shown."""

A_LINE = 130
"""So many characters of a picture's small print fit on a line."""


AT_ONCE = 2_500
"""So many rows are written within a second; of more the page shows how far it is."""

SHOWN_EVERY_S = 1
NEVER_BEGUN_AFTER_S = 120.0
"""An export of which nothing has been written by then is given up by the page: whoever was to write it is gone."""


@dataclass(slots=True)
class Progress:
    """How far an export is: of whoever writes it, for the page that shows it."""

    rows: int
    done: int = 0
    is_over: bool = False
    problem: str = ""
    asked_at: float = 0.0

    @property
    def share(self) -> float:
        """Of all rows; there may be more by now than were counted."""
        return min(self.done / self.rows, 1.0) if self.rows else 1.0

    @property
    def sentence(self) -> str:
        """How far it is, in words."""
        return f"Writing the sheet: {min(self.done, self.rows):,} of {self.rows:,} rows. It is saved by itself when it is whole."

    @property
    def has_ended(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self.is_over or (not self.done and time.monotonic() - self.asked_at > NEVER_BEGUN_AFTER_S)


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
    return b"".join(_pieces([table], columns, said, rows=len(table)))


def sheet_in_parts(parts: Iterable[pd.DataFrame], columns: Sequence[tuple[str, str]], said: Mapping[str, str], progress: Progress) -> bytes:  # fmt: skip
    """The same of rows that are asked for a part at a time while the sheet is written: no more of them are held than one part has."""
    out = io.BytesIO()
    try:
        for piece in _pieces(_counted(parts, progress), columns, said, rows=progress.rows):
            out.write(piece)
    except Unanswered as error:
        progress.problem = str(error)
        raise
    finally:
        progress.is_over = True
    return out.getvalue()


def _pieces(
    parts: Iterable[pd.DataFrame], columns: Sequence[tuple[str, str]], said: Mapping[str, str], *, rows: int
) -> Iterator[bytes]:
    whole = (
        part[[name for name, _ in columns]].assign(**{name: _repeated(text, len(part), everywhere=rows <= LONG, is_first=number == 0) for name, text in said.items()})
        for number, part in enumerate(parts)
    )  # fmt: skip
    return csv_pieces(whole, [*columns, *((name, name) for name in said)])


def _repeated(text: str, rows: int, *, everywhere: bool, is_first: bool) -> list[str]:
    if everywhere:
        return [text] * rows
    return [text if is_first else "", *[""] * (rows - 1)][:rows]


def _counted(parts: Iterable[pd.DataFrame], progress: Progress) -> Iterator[pd.DataFrame]:
    for part in parts:
        yield part
        progress.done += len(part)


def begin(key: str, progress: Progress) -> None:
    """Show how far a long export is from now on, where `show` is called with the same `key`."""
    progress.asked_at = time.monotonic()
    if progress.rows > AT_ONCE:
        st.session_state[f"{key}.under_way"] = progress


def show(key: str) -> None:
    """How far the export is that the reader has asked for, if it takes its time; nothing once it is there."""
    progress: Progress | None = st.session_state.get(f"{key}.under_way")
    if progress is None:
        return

    @st.fragment(run_every=None if progress.has_ended else SHOWN_EVERY_S, key=f"{key}.progress")
    def shown() -> None:
        if progress.problem:
            st.warning(f"The sheet could not be written to its end. {progress.problem}")
        elif not progress.has_ended:
            st.progress(progress.share, text=progress.sentence)
        else:
            del st.session_state[f"{key}.under_way"]
            st.rerun()

    shown()


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
    picture = titled(figure, finding, [exported.what, note, exported.stamp])
    st.plotly_chart(
        picture,
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
                "height": picture.layout.height + TALLER_PX,
                "scale": 2,
            },
        },
        alt=finding,
    )


def titled(figure: go.Figure, finding: str, small: Sequence[str]) -> go.Figure:
    """A copy of a chart that can stand alone: light, its finding above it, what it means and as of when below."""
    parts = _in_the_light(taken_apart(figure))
    held = parts["layout"]
    lines = [line for text in small if text for line in wrap(text, A_LINE)]
    above, below = 96, 84 + 16 * len(lines)
    height = max(PICTURE_PX[1] - TALLER_PX, held["height"] + above + below)
    alone = Drawing(merged(held, layout(LIGHT, height=height)), parts["data"], held.get("shapes", []))
    alone.lay(
        paper_bgcolor=LIGHT.surface,
        plot_bgcolor=LIGHT.surface,
        showlegend=held["showlegend"],
        margin={"l": held["margin"]["l"], "r": max(held["margin"]["r"], 24), "t": above, "b": below},
        title={"text": "<br>".join(wrap(finding, 90)), "x": 0.01, "y": 0.97, "yanchor": "top", "font": {"size": 19, "color": LIGHT.text}},
    )  # fmt: skip
    alone.notes = [merged(note, {"font": {"color": LIGHT.text}}) for note in held.get("annotations", ())]
    alone.note(
        "<br>".join(lines),
        x=0,
        y=0,
        xref="paper",
        yref="paper",
        yshift=-48,
        yanchor="top",
        xanchor="left",
        align="left",
        font={"size": 12, "color": LIGHT.quiet},
    )
    return alone.figure()


# Not the accent: it can be seen on white too, and is the colour of a category besides.
_LIT = {getattr(DARK, name): getattr(LIGHT, name) for name in ("text", "quiet", "grid", "surface")}


def _in_the_light(part: Any) -> Any:
    """A part of a figure with what the light look has in place of each colour of the dark one."""
    if isinstance(part, Mapping):
        return {name: _in_the_light(value) for name, value in part.items()}
    if isinstance(part, list | tuple):
        return [_in_the_light(value) for value in part]
    return _LIT.get(part, part) if isinstance(part, str) else part
