"""Explain this number: every figure opens how it is made, of what, what is left out and why, how fresh it is, and what was reported on
any past evening (PRODUCT.md D15). One dialog for all pages; the address names the figure, so that a colleague's link opens it too.

A page gives its `frame.Figure` an `Explained`; the button and the dialog are drawn by `frame.figures`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from typing import Any

import streamlit as st

from pages.context import Context
from pages.filters import Period, put
from pages.format import count, day, duration, plain, when
from sync_engine.insight.reports import Unanswered
from sync_engine.insight.reports.everywhere import Source
from sync_engine.insight.statistics import FEW, SOME

PARAMETER = "explain"
MOST_RESTATED = 6


@dataclass(frozen=True, slots=True)
class Definition:
    """How one figure is made."""

    name: str
    what: str
    population: str
    window: str
    calendar: str = "none: counts and amounts"
    left_out: str = "test documents"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """So many documents are not in a figure, for a reason; `link` opens them."""

    reason: str
    n: int
    link: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Reported:
    """A figure in words as it was reported on an evening and as it stands now over the same days, with what was learned between."""

    then: str
    now: str
    days: str
    restated: Sequence[tuple[date, int, str]] = ()
    """(day on which it was learned, documents, what they came to); negative: they left it."""


@dataclass(frozen=True)
class Explained:
    """What the dialog of one figure says.

    Args:
        ctx: Who looks.
        key: The figure's name in the address.
        definition: Its definition, as the foot of the page prints it.
        formula: How it is computed, in words or symbols.
        period: The stretch of time it is about; None: now.
        included: How many documents are in it.
        noun: What they are.
        link: Opens exactly them.
        left_out: What is not in it, and why.
        sources: The systems it rests on, with the age of their news.
        is_sampled: Whether few documents make it unsure: a percentile or a share, not a sum.
        reported: The figure as reported on the evening of a UTC day; None where the past is not kept.
    """

    ctx: Context
    key: str
    definition: Definition
    formula: str
    included: int
    noun: str
    period: Period | None = None
    link: Callable[[], None] | None = None
    left_out: Sequence[LeftOut] = ()
    sources: Sequence[Source] = ()
    is_sampled: bool = False
    reported: Callable[[date], Reported] | None = None


@dataclass(frozen=True)
class Explainer:
    """What the figures of one page have in common, so that each says the rest alone.

    Args:
        ctx: Who looks.
        definitions: As the foot of the page prints them; a figure names its own.
        sources: The systems the page rests on.
        period: The stretch of time it is about; None: now.
    """

    ctx: Context
    definitions: Sequence[Definition]
    sources: Sequence[Source]
    period: Period | None = None

    def __call__(self, key: str, name: str, formula: str, included: int, noun: str, **more: Any) -> Explained:
        """The explanation of the figure that the definition called `name` is about; `more` as in Explained.

        Raises:
            StopIteration: the page does not define it.
        """
        definition = next(one for one in self.definitions if one.name == name)
        about: dict[str, Any] = {"sources": self.sources, "period": self.period} | more
        return Explained(self.ctx, key, definition, formula, included, noun, **about)


def button(explained: Explained) -> None:
    """The way into the dialog, under a figure."""
    st.button(
        "Explain",
        icon=":material/info:",
        type="tertiary",
        key=f"explain.{explained.key}",
        on_click=put,
        args=(PARAMETER, explained.key),
        help=f"How “{explained.definition.name}” is made.",
    )


def dialog(shown: Sequence[tuple[str, Explained]]) -> None:
    """Open the dialog of the figure that the address names; `shown` are the figures of the page with their values."""
    asked = st.query_params.get(PARAMETER)
    for value, explained in shown:
        if explained.key == asked:
            _opened(value, explained)
            return


def _close() -> None:
    put(PARAMETER, None)


@st.dialog("How this number is made", width="medium", icon=":material/info:", on_dismiss=_close)
def _opened(value: str, explained: Explained) -> None:
    ctx, one = explained.ctx, explained.definition
    st.markdown(f"#### {one.name}: {value}", anchors=False)
    st.markdown(f"{one.what[:1].upper()}{one.what[1:]}.", anchors=False)
    for label, said in (
        ("Formula", explained.formula),
        ("Window", _window(explained)),
        ("Clock", one.calendar),
        ("Population", one.population),
    ):
        st.markdown(f"**{label}:** {said}", anchors=False)
    _included(explained)
    st.markdown(f"**Fresh as of:** {_fresh(explained)}", anchors=False)
    if explained.reported is not None:
        _past(ctx, explained)


def _window(explained: Explained) -> str:
    period, zone = explained.period, explained.ctx.zone
    if period is None:
        return f"{explained.definition.window}, as of {when(explained.ctx.moment.as_of, zone)} ({zone.key})"
    return f"{explained.definition.window}: {when(period.since, zone)} to {when(period.until, zone)} ({zone.key})"


def _included(explained: Explained) -> None:
    sure = ""
    if explained.is_sampled and explained.included < SOME:
        sure = (
            f" Fewer than {FEW}: no percentile is shown."
            if explained.included < FEW
            else f" Fewer than {SOME}: a small sample."
        )
    st.markdown(f"**In it:** {count(explained.included, explained.noun)}.{sure}", anchors=False)
    if explained.link is not None:
        explained.link()
    st.markdown(
        f"**Left out:** {explained.definition.left_out}."
        + "".join(f"  \n{one.n:,} now: {one.reason}" for one in explained.left_out if one.n),
        anchors=False,
    )
    for one in explained.left_out:
        if one.n and one.link is not None:
            one.link()


def _fresh(explained: Explained) -> str:
    said = [
        f"{plain(source.title)} never read"
        if source.age_s is None
        else f"{plain(source.title)} {duration(source.age_s)} ago{', silent' if source.is_stale else ''}"
        for source in explained.sources
    ]
    none = (
        f"the imported log {plain(explained.ctx.log)}, as it was read"
        if explained.ctx.is_imported
        else "no system is connected yet"
    )
    return f"{when(explained.ctx.moment.as_of, explained.ctx.zone)}; {', '.join(said) or none}."


def _past(ctx: Context, explained: Explained) -> None:
    today = ctx.moment.as_of.astimezone(UTC).date()
    evening = st.date_input(
        "As it was reported on the evening of",
        value=None,
        max_value=today - timedelta(days=1),
        format="YYYY-MM-DD",
        key=f"explain.{explained.key}.evening",
        help="News that came later restates a figure; what was reported before stays to be had. Days are UTC days.",
    )
    if not isinstance(evening, date) or explained.reported is None:
        return
    try:
        found = explained.reported(evening)
    except Unanswered as error:
        st.warning(str(error), icon=":material/hourglass_disabled:")
        return
    st.markdown(
        f"On the evening of {day(evening)} this was reported for {found.days}: **{found.then}**. The same days now: **{found.now}**.",
        anchors=False,
    )
    if not found.restated:
        st.caption("Nothing has restated it since.")
    for learned_on, documents, what in found.restated[-MOST_RESTATED:]:
        st.caption(f"Learned on {day(learned_on)}: {documents:+,} {what}.")
    if len(found.restated) > MOST_RESTATED:
        st.caption(f"and {len(found.restated) - MOST_RESTATED} restatements before these.")
