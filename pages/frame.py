"""The anatomy of a page: its question and today's answer, how fresh that is, the figures, what a part of it could not answer,
the four ways of being empty, and how every figure is defined.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from pages import explaining, exporting, filters, marks, switches
from pages.context import LOG, Context
from pages.explaining import Definition, Explained, Explainer, LeftOut
from pages.exporting import Exported
from pages.format import count, day, duration, plain, when
from pages.grids import grid
from pages.marks import Marks
from sync_engine.insight.reports import DatabaseAway, Unanswered
from sync_engine.insight.reports.everywhere import Source, sources
from sync_engine.insight.reports.reading import OWN_LOG

FRESH_EVERY_S = 15

__all__ = [
    "Definition", "Explained", "Explainer", "Exported", "Figure", "LeftOut", "Marks", "Said", "begin", "chart", "explain", "figure_of_part", "figures", "no_data", "no_permission", "nothing_happened", "nothing_matches", "part",
    "refresh_when_moved",
]  # fmt: skip


@dataclass
class Said:
    """Where today's answer goes, once it is known: above everything, although it is worked out last."""

    place: Any
    sources: tuple[Source, ...]

    def answer(self, sentence: str) -> None:
        """Today's answer in a sentence or two; text from outside in it has been through `plain`."""
        self.place.markdown(f"#### {sentence}", anchors=False)

    @property
    def stale(self) -> tuple[Source, ...]:
        """The sources that have been silent for longer than they may."""
        return tuple(source for source in self.sources if source.is_stale)


def begin(ctx: Context, question: str) -> Said:
    """The head of a page: the question, room for the answer, how fresh everything is."""
    for name in (filters.WINDOW, filters.CHOSEN):  # of the page before
        st.session_state.pop(name, None)
    progress = ctx.moment.progress
    if progress is not None:
        at, of = progress
        st.info(
            f"The past is being produced: day {at} of {of}, {day(ctx.moment.as_of.astimezone(ctx.zone).date())}. Figures grow while you look.",
            icon=":material/history:",
        )
    if ctx.moment.behind:
        st.info(ctx.moment.behind, icon=":material/update:")
    st.title(question, anchor=False)
    place = st.empty()
    # How fresh our own systems are says nothing of another maker's log.
    found = () if ctx.is_imported else sources(ctx.feeds, ctx.moment.as_of)
    _freshness(ctx, found)
    switches.complain({LOG: (OWN_LOG, ctx.log)})
    return Said(place, found)


def _freshness(ctx: Context, found: Sequence[Source]) -> None:
    with st.container(horizontal=True, gap="xsmall", vertical_alignment="center", key="finsync.freshness"):
        for source in found:
            if source.age_s is None:
                st.badge(
                    f"{plain(source.title)}: never read",
                    icon=":material/help:",
                    color="gray",
                    help="Nothing has come from this system yet. See Integration health.",
                )
            elif source.is_stale:
                why = f"Silent: {', '.join(source.stale_feeds)}. {source.last_error}"
                st.badge(
                    f"{plain(source.title)}: stale, {duration(source.age_s)}",
                    icon=":material/schedule:",
                    color="gray",
                    help=plain(why),
                )
            else:
                help_text = (
                    f"Read up to {when(source.complete_until, ctx.zone)}"
                    if source.complete_until
                    else "Read; no news yet"
                )
                st.badge(f"{plain(source.title)}: {duration(source.age_s)} ago", color="green", help=help_text)
        if ctx.is_imported:
            st.badge(f"Imported log: {plain(ctx.log)}", icon=":material/upload_file:", color="blue", help="As it was read from its files; it does not go on by itself.")  # fmt: skip
        elif not found:
            st.badge("No system is connected yet", color="gray")
        st.caption(f"As of {when(ctx.moment.as_of, ctx.zone)}, times in {ctx.zone.key}", width="content")


# -- figures ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Figure:
    """One of at most six figures. `change` is words ("+12 against the 30 days before"), with `better` whether that is good.

    Args:
        label: What it is, with its unit.
        value: As people read it.
        n: What it is made of: "41 orders".
        change: Against the period before, or empty.
        better: Whether the change is for the better; None: neither.
        target: What it should be, or empty.
        trend: Values over time, oldest first.
        link: Draws the link to exactly the rows behind it.
        stale: It rests on a source that is silent: shown in grey, with the reason.
        explained: How it is made: draws the button that opens it.
    """

    label: str
    value: str
    n: str = ""
    change: str = ""
    better: bool | None = None
    target: str = ""
    trend: Sequence[float] = ()
    link: Callable[[], None] | None = None
    stale: str = ""
    help: str = ""
    explained: Explained | None = None


def figures(shown: Sequence[Figure]) -> None:
    """Up to six figures side by side; two columns on a phone."""
    with st.grid(
        min(len(shown), 3) if len(shown) in {3, 5, 6} else min(len(shown), 4), min_column_width=158, gap="small"
    ):
        for figure in shown[:6]:
            with st.container(border=True, gap="xsmall", height="stretch"):
                _figure(figure)
    explaining.dialog([(figure.value, figure.explained) for figure in shown[:6] if figure.explained is not None])


def figure_of_part(figure: Figure) -> None:
    """A figure that belongs to a part of the page, beside the at most six at its head."""
    with st.container(border=True, gap="xsmall", width=340):
        _figure(figure)
    if figure.explained is not None:
        explaining.dialog([(figure.value, figure.explained)])


def _figure(figure: Figure) -> None:
    colour = (
        "off"
        if figure.better is None
        else "normal"
        if figure.better == (not figure.change.startswith("-"))
        else "inverse"
    )
    st.metric(
        figure.label,
        figure.value,
        figure.change or None,
        delta_color=colour,
        delta_arrow="auto" if figure.change[:1] in {"+", "-"} else "off",
        chart_data=list(figure.trend) if len(figure.trend) > 1 and not figure.stale else None,
        help=figure.help or None,
    )
    small = [part for part in (figure.n, figure.target) if part]
    if figure.stale:
        st.badge("Source silent", color="gray", help=plain(figure.stale))
    if small:
        st.caption(" · ".join(small))
    if figure.link is not None:
        figure.link()
    if figure.explained is not None:
        explaining.button(figure.explained)


# -- parts that may fail alone ------------------------------------------------------------------------------------------


@contextmanager
def part(name: str) -> Iterator[None]:
    """A part of the page that may stay without an answer while the rest lives. A database that is away is everybody's matter."""
    try:
        yield
    except DatabaseAway:
        raise
    except Unanswered as error:
        st.warning(f"{name}: no answer. {error}", icon=":material/hourglass_disabled:")


def chart(
    figure: go.Figure, finding: str, table: pd.DataFrame, *, key: str, note: str = "", exported: Exported | None = None, opens: Marks | None = None,
) -> None:  # fmt: skip
    """A chart under its finding, with the table behind it and, where it says how, its ways out as a picture and as numbers; a click on a
    mark opens what `opens` says."""
    st.subheader(finding, anchor=False)
    if note:
        st.caption(note)
    show_figure(figure, key=key, alt=finding, opens=opens)
    with st.expander("The same as a table", icon=":material/table_rows:"):
        grid(table, key=f"{key}.table")
        if exported is not None:
            exporting.draw(exported, figure, finding, note, table, key=key)


def show_figure(
    figure: go.Figure, *, key: str, alt: str, opens: Marks | None = None, on_click: Callable[[], None] | None = None
) -> None:
    """A figure in the page's width without plotly's buttons; `alt` says what it shows to whom it cannot be shown. A click on a mark opens what
    `opens` says, or is `on_click`'s."""
    if opens is not None:
        figure, on_click = marks.clickable(figure, opens), partial(marks.clicked, key, opens)
    clicks: dict[str, Any] = {} if on_click is None else {"on_select": on_click, "selection_mode": "points"}
    quiet = {"displaylogo": False, "displayModeBar": False, "responsive": True}
    st.plotly_chart(figure, theme=None, key=key, config=quiet, alt=alt, **clicks)


# -- the four ways of being empty ---------------------------------------------------------------------------------------


def nothing_happened(sentence: str) -> None:
    """There is nothing, and that is good; the sentence carries the number that proves it."""
    st.success(sentence, icon=":material/check_circle:")


def nothing_matches(what: str, drop: Sequence[str], *, names: Sequence[str]) -> None:
    """Filters leave nothing over: says which to drop, and drops them: the common ones and those called `names`."""
    st.info(f"No {what} match. Drop {' or '.join(drop) or 'a filter'} to see more.", icon=":material/filter_list_off:")
    st.button("Clear the filters", on_click=filters.clear, args=(tuple(names),), icon=":material/close:")


def no_permission(sentence: str) -> None:
    """There may be something, and this person may not see it: names the grant that is missing."""
    st.info(sentence, icon=":material/lock:")


def no_data(ctx: Context, said: Said) -> None:
    """Nothing has come in at all."""
    if said.stale:
        names = ", ".join(plain(source.title) for source in said.stale)
        st.warning(
            f"There is no data: nothing has been heard from {names}. See Integration health.",
            icon=":material/cloud_off:",
        )
        ctx.link("health", "Open Integration health")
    else:
        st.info(
            "No documents have come in yet. As soon as a connected system has news, it appears here by itself.",
            icon=":material/inbox:",
        )


# -- the foot -------------------------------------------------------------------------------------------------------------


def explain(ctx: Context, definitions: Sequence[Definition]) -> None:
    """The foot of a page: what every figure on it means."""
    with st.expander("Explain these figures", icon=":material/info:"):
        for one in definitions:
            st.markdown(
                f"**{one.name}**: {one.what}  \n**Of:** {one.population}. **Window:** {one.window}. **Clock:** {one.calendar}. **Left out:** {one.left_out}.",
            )
        slow = sorted(ctx.reports.asked, key=lambda question: -question[1])[:3]
        asked = ", ".join(f"{name} {seconds * 1000:.0f} ms" for name, seconds in slow)
        st.caption(
            f"As of {when(ctx.moment.as_of, ctx.zone)} ({ctx.zone.key}). {'' if ctx.is_imported else 'Amounts in group currency at the rate of the day a document was received. '}{count(len(ctx.reports.asked), 'question')} to the database; slowest: {asked}."
        )


def refresh_when_moved(ctx: Context) -> None:
    """Say, without touching anything the reader does, that documents have moved since the page was drawn."""
    drawn_at = time.monotonic()

    @st.fragment(run_every=FRESH_EVERY_S, key=f"finsync.moved.{ctx.url_path}")
    def moved() -> None:
        # The fragment runs with the page too, which has only just asked.
        if time.monotonic() - drawn_at <= FRESH_EVERY_S / 2:
            return
        try:
            has_moved = ctx.reports.has_moved()
        except Unanswered:
            has_moved = False
        if has_moved and st.button(
            "Documents have moved: show the present state",
            icon=":material/refresh:",
            type="tertiary",
            key=f"finsync.refresh.{ctx.url_path}",
        ):
            st.rerun()

    moved()
