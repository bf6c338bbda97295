"""The rows of the page on stuck documents, what is said of each, and what can be done with those that are chosen."""

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import pandas as pd
import streamlit as st

from pages import frame, switches
from pages.context import Addresses, Context
from pages.filters import Filters
from pages.format import DOCUMENT_TYPES, count, money_short, plain, sentence, visible, working_time
from pages.stuck_parts import NARROWED, URL_PATH, kept_filters, many, worth
from pages.switches import Switch
from pages.tables import Column, work_table
from sync_engine.control.roles import Action
from sync_engine.insight.once import once
from sync_engine.insight.reports import stuck as ask
from sync_engine.insight.reports.reading import in_parts
from sync_engine.insight.reports.stuck import BECAUSE, LEVELS
from sync_engine.insight.standing import PEERS_DAYS

PAGE_ROWS = 200
"""So many rows at once: more than anybody works through, few enough to be there at once."""

NAMES = {
    "stuck": "Stuck",
    "silent": "Silent",
    "unknown": "Not known",
    "watch": "To watch",
    "waiting": "Waiting by agreement",
    "moving": "Moving",
}
"""The levels as the page calls them."""

MOST_PICKED = 60
"""So many cases fit into an address."""

TABLE = "stuck.rows"
COLUMNS = (
    Column("number", "Document", "id", width=100),
    Column("known_as", "Known as", "id", width=130, help="What the ERP and the approval tool call it."),
    Column("reason", "Stands because", on_card=True, width=150),
    Column("group_amount", "Value (EUR)", "group_money", on_card=True),
    Column("age_business_s", "In this stage", "working", on_card=True),
    Column("pace", "Older than", "share", help="The share of its peers' stays in this stage that were shorter."),
    Column(
        "p_on_time",
        "On time",
        "share",
        help="Of the peers that had stood as long, the share that left the stage by its deadline: needed by, due, or the step's objective. Nothing without a deadline or 30 peers.",
    ),
    Column("who", "Who moves it", width=190, on_card=True),
    Column("next_step", "Next step", width=300),
    Column("why", "Counts as stuck because", width=180),
    Column("until", "Waits until", "date", help="The end of what it waits for by agreement."),
    Column("last_event_at", "Last heard of", "time"),
    Column("business_unit", "Unit", width=110),
    Column("document_type", "Type", "words"),
    Column("over_limit_s", "Past the limit", "working", help="Working time since it should have moved."),
    Column(
        "peers_said",
        "Compared with",
        help=f"Stays of the same type in the same stage, in the last {PEERS_DAYS} days and the rest of the month these begin in; those of the same unit where there are 30, of all units else.",
    ),
    Column("need_by_on", "Needed by", "date"),
    Column("due_on", "Due", "date"),
    Column("supplier_name", "Supplier"),
    Column("requester", "Requester"),
    Column("approval_status", "Business", "words"),
    Column("posting_status", "Ledger", "words"),
    Column("exception", "", "link", display="Exception"),
    Column("trace", "", "link", display="Trace"),
)


def draw(ctx: Context, chosen: Filters, asked: ask.Asked, found: pd.DataFrame) -> None:
    """The rows of the level that the address names, or the one document that it names; `found` is everything open, counted."""
    if "document" in st.query_params:
        _one(ctx, chosen, asked)
        return
    by_level = found.groupby("level")["documents"].sum()
    sizes = {level: int(by_level.get(level, 0)) for level in LEVELS}
    level = Switch(
        "level",
        "Rows",
        {
            name: f"{NAMES[name]} {sizes[name]:,}"
            for name in LEVELS
            if sizes[name] or name == LEVELS[0] or name == st.query_params.get("level")
        }
        | {"all": f"All {many(found):,}"},
    )
    because = switches.one_of("because", BECAUSE)
    wanted = switches.read(level)
    shown = found if wanted == "all" else found[found["level"] == wanted]
    heading = {"all": "Everything open"}.get(wanted) or NAMES[wanted]
    heading += ", most money first"
    if because is not None:
        shown = shown[shown["because"] == because]
        heading = f"{heading}: {BECAUSE[because]}"
    untaken = switches.one_of("taken", ("no",)) is not None
    if untaken:
        shown = shown[~shown["is_taken"]]
        heading += ", taken on by nobody"
    _head(ctx, chosen, heading)
    switches.draw(level)
    if shown.empty:
        frame.nothing_happened(f"None of {count(many(found), 'open document')} is here.")
        return
    there, after = many(shown), place_of(st.query_params.get("after"))
    narrowed = partial(
        ask.rows, ctx.reports, asked, level=None if wanted == "all" else wanted, because=because, untaken=untaken
    )
    page = _told(narrowed(after=after, most=PAGE_ROWS), ctx.addresses)
    before = 0 if after is None else int(page["before"].iloc[0]) if len(page) else there
    _table(
        ctx, page, there=there, everything=lambda: _everything(ctx, partial(narrowed, remember=False)), before=before
    )
    _turn(ctx, chosen, page, before, left=there - before - len(page))


def _one(ctx: Context, chosen: Filters, asked: ask.Asked) -> None:
    """The document that a mark of a chart stands for."""
    document_id = _document_id(st.query_params.get("document"))
    page = None if document_id is None else ask.one(ctx.reports, asked, document_id)
    if page is None or page.empty:
        _head(ctx, chosen, "This document")
        st.warning(
            "It is not open any more, or not among those that the filters leave and you may see.",
            icon=":material/link_off:",
        )
        if document_id is not None:
            ctx.link("trace", "Trace", icon=":material/timeline:", document=str(document_id))
        return
    row = page.iloc[0]
    _head(ctx, chosen, f"{sentence(DOCUMENT_TYPES[row['document_type']])} {plain(row['number'])}")
    with st.container(horizontal=True, gap="small"):
        ctx.link("trace", f"Trace {visible(row['number'])}", icon=":material/timeline:", document=str(document_id))
        if pd.notna(row["case_id"]):
            ctx.link("exceptions", "Open its exception", icon=":material/arrow_forward:", case=str(row["case_id"]))
    _table(ctx, _told(page, ctx.addresses))


def _document_id(text: str | None) -> UUID | None:
    try:
        return UUID(text or "")
    except ValueError:
        return None


def _head(ctx: Context, chosen: Filters, heading: str) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.subheader(heading, anchor=False, width="content")
        if any(name in st.query_params for name in NARROWED):
            ctx.link(URL_PATH, "Close the list", icon=":material/close:", **kept_filters(chosen))


def _table(ctx: Context, page: pd.DataFrame, **more: Any) -> None:
    """The rows, and above them what can be done with those that are chosen; `more` is what a part of a list has beside."""
    buttons = st.container(horizontal=True, vertical_alignment="center", gap="small")
    picked = work_table(
        ctx,
        page,
        COLUMNS,
        key=TABLE,
        row_id="document_id",
        noun="document",
        title=_title,
        selectable=True,
        card_action=partial(_card, ctx),
        **more,
    )
    chosen_rows = page[page["document_id"].astype(str).isin(picked)]
    with buttons:
        bar(ctx, chosen_rows, f"oldest in its stage for {working_time(chosen_rows['age_business_s'].max())}")


def _everything(ctx: Context, narrowed: Callable[..., pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Every row, as the columns show it, a part at a time."""
    at = ctx.addresses
    return (_told(part, at) for part in in_parts(narrowed, ask.place_of, most=ask.EXPORT_ROWS))


def place_of(after: str | None) -> ask.Place:
    """The place in the list that an address names ("12000.00~" and an id): the row with that value and id, not a number of rows, so
    that a document that moves meanwhile shifts nobody else to another page, and one that has gone leaves its place. None: no place.
    """
    found = re.fullmatch(r"(-?\d{1,15}(?:\.\d{1,6})?)~([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", after or "")
    return None if found is None else (Decimal(found[1]), UUID(found[2]))


def _turn(ctx: Context, chosen: Filters, page: pd.DataFrame, before: int, *, left: int) -> None:
    """The way to the next rows and back to the first."""
    if left <= 0 and not before:
        return
    kept = kept_filters(chosen) | switches.kept("level", "because", "taken")
    with st.container(horizontal=True):
        if before:
            ctx.link(URL_PATH, "The first rows", icon=":material/first_page:", **kept)
        if left > 0 and len(page):
            last = page.iloc[-1]
            value = -1 if pd.isna(last["group_amount"]) else last["group_amount"]
            ctx.link(
                URL_PATH,
                f"The next {min(left, PAGE_ROWS):,} of {left:,}",
                icon=":material/chevron_right:",
                after=f"{value:.6f}~{last['document_id']}",
                **kept,
            )


@once
def _told(rows: pd.DataFrame, at: Addresses) -> pd.DataFrame:
    """The rows with what is said about each in words, and its links."""
    return rows.assign(
        who=[f"{team}: {on}" if on else team for team, on in zip(rows["team"], rows["waits_on"], strict=True)],
        why=[BECAUSE.get(because, "") if isinstance(because, str) else "" for because in rows["because"]],
        until=[
            (row["due_on"] if row["reason"] == "waiting for payment" else row["need_by_on"])
            if row["reason"] in {"waiting for payment", "waiting for goods"}
            else None
            for row in rows.to_dict("records")
        ],
        peers_said=[
            "fewer than 30 peers" if pd.isna(peers) else f"{peers:,.0f} in {unit or 'all units'}"
            for peers, unit in zip(rows["peers"], rows["peer_unit"], strict=True)
        ],
        exception=[
            None if pd.isna(case_id) else at.href("exceptions", case=str(case_id)) for case_id in rows["case_id"]
        ],
        trace=[at.href("trace", document=str(document_id)) for document_id in rows["document_id"]],
    )


def _title(row: dict[str, Any]) -> str:
    known = f" ({plain(row['known_as'])})" if isinstance(row["known_as"], str) else ""
    return f"**{plain(row['number'])}**{known} · {plain(row['business_unit'])} · {NAMES[row['level']].lower()}"


def _card(ctx: Context, row: dict[str, Any]) -> None:
    if isinstance(row["exception"], str):
        ctx.link("exceptions", "Exception", case=str(row["case_id"]))
    ctx.link("trace", "Trace", document=str(row["document_id"]))


def bar(ctx: Context, picked: pd.DataFrame, about: str, *, noun: str = "document") -> None:
    """What can be done with the chosen rows of a list of documents: what they come to, their trace, and reprocessing what an exception
    stops. `about` says more of them."""
    if picked.empty:
        st.caption(
            "Choose rows to see what they are worth together, and to reprocess what an exception stops.",
            width="content",
        )
        return
    st.markdown(
        f"**{count(len(picked), noun)}**: {money_short(worth(picked))}, {about}",
        anchors=False,
        width="content",
    )
    if len(picked) == 1:
        ctx.link(
            "trace",
            f"Trace {visible(picked.iloc[0]['number'])}",
            icon=":material/timeline:",
            document=str(picked.iloc[0]["document_id"]),
        )
    cases = picked[picked["case_id"].notna()]
    if cases.empty:
        st.caption(
            "No exception stops what is chosen, so there is nothing to reprocess; what moves it stands under “Next step”.",
            width="content",
        )
        return
    if len(cases) == 1:
        ctx.link(
            "exceptions", "Open its exception", icon=":material/arrow_forward:", case=str(cases.iloc[0]["case_id"])
        )
    if not ctx.may(Action.REPROCESS):
        st.caption(ctx.why_not(Action.REPROCESS), width="content")
    elif len(cases) > MOST_PICKED:
        st.caption(
            f"At most {MOST_PICKED} at once go along from here; filter on the page of the exceptions instead.",
            width="content",
        )
    else:
        hexes = [UUID(str(case_id)).hex for case_id in cases["case_id"]]
        ctx.link(
            "exceptions",
            f"Reprocess {count(len(cases), noun)} ({money_short(worth(cases))})",
            icon=":material/replay:",
            scope="rows",
            pick=hexes,
        )
