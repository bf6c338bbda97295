"""What every page does with another maker's log: the switch between logs, the way to where it lies in time, and the plain sentence of
the pages that live on what such a log does not carry. Never a figure of ours under its name.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import pandas as pd
import streamlit as st

from pages import filters, frame, switches
from pages.context import ACTED_AT, LOG, Context
from pages.filters import Filters, Period
from pages.format import DOCUMENT_TYPES, count, day, plain, sentence, visible
from pages.frame import Definition, Said
from pages.switches import Switch
from pages.tables import Column, work_table
from sync_engine.insight.reports import Unanswered, everywhere
from sync_engine.insight.reports.imported import EXPORT_ROWS, Within, place_of
from sync_engine.insight.reports.process_map import span
from sync_engine.insight.reports.reading import OWN_LOG, Reports, in_parts

LOOK_EVERY_S = 3
"""How often a page that lacks something of its log looks whether it has come."""


class Answers(Protocol):
    """What of a page is needed here."""

    TITLE: str
    QUESTION: str
    URL_PATH: str
    ICON: str
    LACKS: str


def asked_for(logs: Sequence[str]) -> str:
    """The log that the address names; our own where it names none, or one that is not there."""
    name = st.query_params.get(LOG, OWN_LOG)
    return name if name in logs else OWN_LOG


def draw(ctx: Context, *others: Switch) -> None:
    """The switches of a page, with that between logs where there are several."""
    log = Switch(LOG, "Log", {OWN_LOG: "Our own"} | {name: visible(name) for name in ctx.logs}, is_other_matter=True)  # fmt: skip
    shown = [*others, *([log] if ctx.logs else [])]
    if shown:
        switches.draw(*shown)
    _coming(ctx)


def _coming(ctx: Context) -> None:
    """Say that there is more of the log than the page shows, and show it as soon as it is there."""
    reading, counting = ctx.log in ctx.moment.reading, ctx.log in ctx.moment.counting
    if not (reading or counting):
        return
    why = (
        "a file of it has not been read to its end. Where its import was interrupted, the same `finsync import-log` goes on with it"
        if reading
        else "the engine is still counting it. Where none is at work, `finsync up` starts one"
    )
    st.info(
        f"This is not all of the log {plain(ctx.log)}: {why}. What is missing appears here by itself.",
        icon=":material/update:",
    )
    drawn_at = time.monotonic()

    @st.fragment(run_every=LOOK_EVERY_S, key=f"finsync.coming.{ctx.url_path}")
    def look_again() -> None:
        # The fragment runs with the page too, which has only just asked.
        if time.monotonic() - drawn_at <= LOOK_EVERY_S / 2:
            return
        with suppress(Unanswered):
            if not everywhere.is_coming(ctx.reports, ctx.log):
                st.session_state[ACTED_AT] = ctx.reports.cache.now()  # what was answered without it is not shown again
                st.rerun()

    look_again()


def outside(ctx: Context, said: Said, period: Period, nothing: str = "Nothing moved", **kept: Any) -> None:
    """`nothing` lies in the period: say from when to when the log reaches, with a link that shows all of it."""
    reaches = span(ctx.reports, ctx.log)
    if reaches is None:
        if ctx.log in {*ctx.moment.reading, *ctx.moment.counting}:
            st.caption("Nothing of it has been counted yet.")
        elif ctx.is_imported:
            frame.no_permission(f"Nothing of the log {plain(ctx.log)} belongs to a business unit that you see.")
        else:
            frame.no_data(ctx, said)
        return
    first, last = (moment.astimezone(ctx.zone).date() for moment in reaches)
    frame.nothing_happened(f"{nothing} {period.within}. What there is reaches from {day(first)} to {day(last)}.")
    ctx.link(ctx.url_path, "Show all of it", **(kept | {"period": filters.CUSTOM, "since": first.isoformat(), "until": last.isoformat()}))  # fmt: skip


@dataclass(frozen=True)
class OfAType:
    """The documents of a log that a page is about: those of one type whose last event lies in the period."""

    chosen: Filters
    within: Within
    kind: str
    title: str
    """The type, as a sentence names it."""
    now: dict[str, Any]
    """The figures of all of them."""
    units: pd.DataFrame
    """The figures of each business unit."""

    @property
    def n(self) -> int:
        """How many documents."""
        return int(self.now["documents"])


def type_name(kind: str) -> str:
    """What documents of a type are called: by our name where it is one of ours, else by the log's own."""
    return sentence(DOCUMENT_TYPES.get(kind, kind))


def of_a_type(ctx: Context, said: Said, ask: Callable[[Reports, Within], pd.DataFrame], shown: Collection[str], *, nothing: str, names: Sequence[str]) -> OfAType | None:  # fmt: skip
    """Draw the filters and the switch between types, and `ask` for the figures by type and unit; None where there is nothing, which has been
    said then.

    Args:
        ctx: What the page knows.
        said: Where its answer stands.
        ask: Answers a row per type (business_unit None) and per type and unit.
        shown: What the parameter `show` may be.
        nothing: What is answered where the period holds nothing.
        names: The parameters of the address that are left out with the filters.
    """
    chosen = filters.row(ctx)
    within = Within(ctx.log, chosen.period.since, chosen.period.until, chosen.units)
    found = ask(ctx.reports, within)
    whole = found[found["business_unit"].isna()]
    kinds = Switch("type", "Documents", {name: visible(type_name(name)) for name in whole["document_type"]})
    draw(ctx, *([kinds] if len(kinds.options) > 1 else []))
    if whole.empty:
        said.answer(nothing)
        if chosen.units is not None:
            frame.nothing_matches("documents", ["business units"], names=names)
        else:
            outside(ctx, said, chosen.period)
        return None
    switches.complain({"type": kinds.options, "show": shown})
    kind = switches.read(kinds)
    now = whole[whole["document_type"] == kind].to_dict("records")[0]
    units = found[found["business_unit"].notna() & (found["document_type"] == kind)]
    return OfAType(chosen, within, kind, kinds.options[kind], now, units)


def rows(
    ctx: Context, heading: str, asked: Callable[..., pd.DataFrame], in_words: Callable[[pd.DataFrame], pd.DataFrame],
    columns: Callable[[pd.DataFrame], Sequence[Column]], *, key: str, of: Definition, closes: Mapping[str, Any] | None, title: Callable[[dict[str, Any]], str] | None = None,
) -> None:  # fmt: skip
    """The documents that a figure of the page opens, each with the way to its trace.

    Args:
        ctx: What the page knows.
        heading: What they are.
        asked: Asks for them, `most` at most `after` a place, not to `remember` where all are exported; `found` says how many there are, and business_unit and number are among the columns.
        in_words: Makes of what was asked what is shown.
        columns: What is shown of each, by what was asked.
        key: Of the table.
        of: What they are counted by, for the sheet.
        closes: Where the link "Close the list" leads; None: there is nothing to close.
        title: Of a card; by default the number and the unit.
    """
    with frame.part("The rows"):
        found = asked()
        with st.container(horizontal=True, vertical_alignment="center"):
            st.subheader(heading, anchor=False, width="content")
            if closes is not None:
                ctx.link(ctx.url_path, "Close the list", icon=":material/close:", **closes)
        if found.empty:
            frame.nothing_happened("There is no such document.")
            return

        def told(some: pd.DataFrame) -> pd.DataFrame:
            return in_words(some).assign(trace=[ctx.href("trace", document=str(one)) for one in some["document_id"]])

        work_table(
            ctx,
            told(found),
            (*columns(found), Column("trace", "", "link", display="Trace")),
            key=key,
            row_id="document_id",
            noun="document",
            title=title or (lambda row: f"**{plain(row['number'])}** · {plain(row['business_unit'])}"),
            card_action=lambda row: ctx.link("trace", "Trace", document=str(row["document_id"])),
            there=int(found["found"].iloc[0]),
            everything=lambda: (
                told(part) for part in in_parts(partial(asked, remember=False), place_of, most=EXPORT_ROWS)
            ),
            of=of,
        )


def cannot_say(ctx: Context, page: Answers, pages: Sequence[Answers]) -> None:
    """A page that an imported log says nothing for: what it lacks, and which pages can say something."""
    said = frame.begin(ctx, page.QUESTION)
    said.answer(f"The log {plain(ctx.log)} cannot answer this.")
    draw(ctx)
    st.write(f"An imported log does not carry {page.LACKS}. Nothing of our own documents is shown under its name.")
    can = [one for one in pages if not one.LACKS]
    st.subheader(f"{count(len(can), 'page')} can say something of it", anchor=False)
    for one in can:
        ctx.link(one.URL_PATH, f"{one.TITLE}: {one.QUESTION}", icon=one.ICON)
    ctx.link(page.URL_PATH, f"{page.TITLE} of our own documents", icon=page.ICON, log=None, unit=None)


def units(ctx: Context, found: pd.DataFrame, columns: Sequence[Column], *, path: str, kind: str) -> None:
    """A row per business unit with what `columns` say of it, and the way to its documents of a type, on the page at `path`."""
    codes = found["business_unit"]
    work_table(
        ctx,
        found.assign(
            unit=[visible(code or "of no unit") for code in codes],
            open=[ctx.href(path, type=kind, unit=code, show="all") if code else None for code in codes],
        ),
        (
            Column("unit", "Unit"),
            Column("documents", "Documents", "count", on_card=True),
            *columns,
            Column("open", "Rows", "link", display="Open"),
        ),
        key=f"{path}.imported.units",
        row_id="unit",
        noun="unit",
        title=lambda row: f"**{plain(row['unit'])}**",
        card_action=lambda row: (
            ctx.link(path, f"Show {row['documents']:,}", type=kind, unit=row["business_unit"], show="all")
            if row["business_unit"]
            else None
        ),
    )
