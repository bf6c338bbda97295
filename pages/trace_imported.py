"""The trace of another maker's document: what its log says happened to it, event by event, and where it waited longest. Nothing of
ours can be done with it: it lives in systems that we do not move.
"""

from typing import Any

import pandas as pd
import streamlit as st

from pages import frame
from pages.context import Context
from pages.format import DOCUMENT_TYPES, count, duration, plain, sentence, visible, when, words
from pages.tables import Column, work_table
from sync_engine.insight.reports import imported as ask

STEPS = (
    Column("event_at", "When", "time", on_card=True),
    Column("what", "What", width=260, on_card=True),
    Column("waited_s", "After", "elapsed", help="Since the event before, wall clock."),
    Column("change", "From, to", width=230),
    Column("actor", "Who", on_card=True),
    Column("beside", "Named beside", "id", help="The document that the event moved, where it only names this one."),
    Column("doubt", "Time", help="Whether the time can be right."),
)


def answer(ctx: Context, document: dict[str, Any]) -> str:
    """Where it stands, in a sentence; a log does not go on, so nothing is on its way."""
    name = f"{plain(sentence(DOCUMENT_TYPES.get(document['document_type'], document['document_type'])))} {plain(document['number'])}"
    if document["last_event_at"] is None:
        return f"{name} is only named by events of other documents."
    stood = "came to its end" if document["closed_at"] is not None else "stood"
    return f"{name} {stood} at “{plain(words(document['state']))}” on {when(document['state_since'], ctx.zone)}, as far as its log goes."


def head(ctx: Context, document: dict[str, Any]) -> None:
    """What the log says of it beside its events."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="trace.status"):
        if not ctx.is_imported:  # else it stands above already
            st.badge(f"Imported log: {plain(document['source'])}", icon=":material/upload_file:", color="blue")
        st.badge(f"Stands at {plain(words(document['state']))}", color="blue")
        if document["business_unit"]:
            st.badge(f"Unit {plain(document['business_unit'])}", color="gray")


def events(ctx: Context, document: dict[str, Any]) -> None:
    """Event by event, with those that name it beside another document."""
    found = ask.events(ctx.reports, document["document_id"])
    if found.empty:
        frame.nothing_happened("Its log has no event that names it.")
        return
    waited = found["waited_s"].astype(float)
    finding = f"{count(len(found), 'event')} over {duration(waited.fillna(0).sum())}"
    if waited.max() > 0:
        longest = found.loc[waited.idxmax()]
        finding += f"; it waited longest, {duration(longest['waited_s'])}, for “{plain(words(longest['activity']))}”"
    st.subheader(finding, anchor=False)
    shown = found.assign(
        row_id=[str(place) for place in range(len(found))],
        what=[words(name) for name in found["activity"]],
        change=[_change(row) for row in found.to_dict("records")],
        doubt=["cannot be right" if value else "" for value in found["is_suspect"]],
    )
    work_table(ctx, shown, STEPS, key="trace.steps", row_id="row_id", noun="event", title=lambda row: f"**{plain(row['what'])}**", height=420)  # fmt: skip


def _change(row: dict[Any, Any]) -> str:
    if not pd.isna(row["beside"]) or row["state_from"] == row["state_to"]:
        return ""
    return visible(words(row["state_to"])) if row["state_from"] is None else visible(f"{words(row['state_from'])} → {words(row['state_to'])}")  # fmt: skip
