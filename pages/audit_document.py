"""One document on the audit page, with its three answers side by side: who approved it, when it changed, how it was finally posted."""

from uuid import UUID

import pandas as pd
import streamlit as st

from pages import frame
from pages.context import Context
from pages.format import DOCUMENT_TYPES, count, day, money, plain, system, visible, when, words
from pages.tables import Column, work_table
from sync_engine.insight.reports import audit as ask

PATH = "audit"

APPROVALS = (
    Column("decided_at", "When", "time"),
    Column("who", "Who", width=190),
    Column("decision", "Decision", "status", on_card=True, width=95),
    Column("where", "Where", on_card=True),
    Column("comment", "Comment", width=220, on_card=True),
    Column("login", "Login", "id"),
    Column("asked_group", "Asked as"),
    Column("requested_at", "Asked", "time"),
    Column("number", "Request", "id"),
)
CHANGES = (
    Column("payload_version", "Version", "count"),
    Column("recorded_at", "When", "time", on_card=True),
    Column("by", "By", on_card=True),
    Column("fields", "What differs", width=230, on_card=True),
    Column("payload_hash", "SHA-256", "id", width=120),
    Column("mapping_version", "Mapping", "id"),
)
POSTINGS = (
    Column("event_at", "When", "time"),
    Column("activity", "What", "words", on_card=True),
    Column("number", "Document", "id"),
    Column("erp_numbers", "Number in the ERP", "id", on_card=True, width=180),
    Column("posting_status", "Ledger", "words", on_card=True),
    Column("message", "What was said", width=220),
    Column("where", "Where"),
)


def draw(ctx: Context, document_id: UUID) -> None:
    """Who approved it, when it changed, how it was finally posted: side by side."""
    found = ask.document(ctx.reports, document_id)
    if found is None:
        frame.no_permission("There is no such document, or it belongs to a business unit you do not see.")
        return
    approvals, changes, postings = (
        ask.approvals_of(ctx.reports, document_id),
        ask.changes_of(ctx.reports, document_id),
        ask.postings_of(ctx.reports, document_id),
    )
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.subheader(
                f"{DOCUMENT_TYPES.get(found['document_type'], words(found['document_type'])).capitalize()} {plain(found['number'])}",
                anchor=False,
                width="content",
            )
            st.badge(f"Business: {words(found['approval_status'])}", color="blue")
            st.badge(f"Ledger: {words(found['posting_status'])}", color="blue")
            ctx.link("trace", "Trace", document=str(document_id))
            ctx.link(
                PATH, "Close", icon=":material/close:", show=st.query_params.get("show"), q=st.query_params.get("q")
            )
        requested = f"requested by {plain(found['requester'])}" if found["requester"] else ""
        facts = (
            plain(found["title"]),
            money(found["amount"], found["currency"]),
            plain(found["business_unit"]),
            requested,
            day(found["submitted_at"]),
        )
        st.caption(" · ".join(fact for fact in facts if fact))
        first, second = st.columns([3, 2], gap="medium")
        with first:
            _approvals(ctx, approvals)
        with second:
            _changes(ctx, changes, approvals)
        _postings(ctx, postings, document_id, str(found["posting_status"]))


def _approvals(ctx: Context, rows: pd.DataFrame) -> None:
    decided = rows[rows["decision"].isin(["approved", "rejected"])]
    st.markdown(
        f"**Who approved it:** {', '.join(plain(who) for who in decided[decided['decision'] == 'approved']['decided_by'].dropna().unique()) or 'nobody'}",
        anchors=False,
    )
    if rows.empty:
        st.caption("Nobody was asked about this document itself.")
        return
    shown = rows.assign(
        who=[
            visible(by if isinstance(by, str) else approver)
            for by, approver in zip(rows["decided_by"], rows["approver"], strict=True)
        ],
        where=[system(name) for name in rows["system"]],
        decision=[words(decision) for decision in rows["decision"]],
        row=[str(position) for position in range(len(rows))],
    )
    work_table(
        ctx,
        shown,
        APPROVALS,
        key="audit.document.approvals",
        row_id="row",
        noun="request",
        title=lambda row: f"**{plain(row['who'])}** · {when(row['decided_at'], ctx.zone)}",
    )


def _changes(ctx: Context, rows: pd.DataFrame, approvals: pd.DataFrame) -> None:
    from_source = rows[rows["is_from_source"].astype(bool) & (rows["payload_version"] > 1)]
    last = pd.to_datetime(approvals[approvals["decision"] == "approved"]["decided_at"], utc=True).max()
    after = from_source[from_source["recorded_at"] > last] if not pd.isna(last) else from_source.iloc[0:0]
    if from_source.empty:
        sentence = "never by its source"
    else:
        sentence = (
            f"last {when(from_source['recorded_at'].max(), ctx.zone)}, {count(len(after), 'time')} after the last approval"
            if not pd.isna(last)
            else f"last {when(from_source['recorded_at'].max(), ctx.zone)}"
        )
    st.markdown(f"**When it changed:** {sentence}", anchors=False)
    shown = rows.assign(
        by=[
            "the hub" if not source else system(author)
            for author, source in zip(rows["author"], rows["is_from_source"], strict=True)
        ],
        fields=[
            "as it came" if version == 1 else visible(fields).replace("_", " ")
            for version, fields in zip(rows["payload_version"], rows["fields"], strict=True)
        ],
    )
    work_table(
        ctx,
        shown,
        CHANGES,
        key="audit.document.changes",
        row_id="payload_version",
        noun="version",
        title=lambda row: f"**Version {row['payload_version']}**",
    )


def _postings(ctx: Context, rows: pd.DataFrame, document_id: UUID, posting_status: str) -> None:
    own = rows[rows["document_id"] == document_id]["erp_numbers"].dropna()
    numbers = list(dict.fromkeys(own if len(own) else rows["erp_numbers"].dropna()))
    st.markdown(
        f"**How it was posted:** {words(posting_status)}"
        + (f" as {', '.join(plain(number) for number in numbers)}" if numbers else ""),
        anchors=False,
    )
    if rows.empty:
        st.caption("The ledger has not been asked yet.")
        return
    shown = rows.assign(
        where=[system(name) for name in rows["system"]], row=[str(position) for position in range(len(rows))]
    )
    work_table(
        ctx,
        shown,
        POSTINGS,
        key="audit.document.postings",
        row_id="row",
        noun="event",
        title=lambda row: f"**{plain(row['number'])}** · {when(row['event_at'], ctx.zone)}",
    )
