"""Two lists of the audit page, each with its evidence: who approved what, and what people asked for."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import streamlit as st

from pages import evidence, filters, frame
from pages.context import Context
from pages.evidence import Evidence
from pages.filters import Filters
from pages.format import DOCUMENT_TYPES, exact, plain, system, visible, words
from pages.tables import Column, work_table
from sync_engine.insight.reports import audit as ask

PATH = "audit"
NOT_DONE = ("denied", "conflict", "failed")

VERDICTS = {
    "approval_completed": "approved",
    "review_approved": "approved",
    "change_approved": "approved",
    "procurement_rejected": "rejected",
    "approval_contradicted": "contradicted",
}
"""Every other decision is a refusal."""

DECISIONS = (
    Column("number", "Document", "id"),
    Column("open", "", "link", display="Open", width=60),
    Column("what", "Decided on"),
    Column("verdict", "Decision", "status", on_card=True, width=100),
    Column("decided_by", "Who", width=190, on_card=True),
    Column("decided_at", "When", "time", on_card=True),
    Column(
        "changed_at",
        "Last changed",
        "time",
        help="By the system it comes from; the hub's own additions are not counted.",
    ),
    Column("posting_status", "Ledger", "words"),
    Column("erp_orders", "Orders in the ERP", "id"),
    Column("group_amount", "Value (EUR)", "group_money"),
    Column("changed", "Changed", "status", width=115),
    Column("erp_invoices", "Invoices in the ERP", "id"),
    Column("accounting_documents", "Accounting documents", "id"),
    Column("reason", "Reason given", width=220),
    Column("business_unit", "Unit"),
    Column("requester", "Requester"),
    Column("supplier_name", "Supplier"),
)
REQUESTS = (
    Column("asked_at", "When", "time", on_card=True),
    Column("actor", "Who", width=210),
    Column("action", "Asked to", "words"),
    Column("number", "Document", "id"),
    Column("open", "", "link", display="Open", width=60),
    Column(
        "exceptions", "Exceptions", "count", help="How many the request was about; the first one's document is named."
    ),
    Column("reason", "Reason given", width=240, on_card=True),
    Column("status", "Outcome", "status", on_card=True, width=90),
    Column("answer", "What the engine said", width=260),
    Column("roles", "Roles then", "words"),
    Column("business_unit", "Unit"),
    Column("settled_at", "Settled", "time"),
    Column("particulars", "Particulars", width=200),
    Column("command_id", "Request", "id"),
)


def asked_with(ctx: Context, chosen: Filters, text: str = "", **more: str | None) -> str:
    """What a query was asked with, for the evidence."""
    units = ", ".join(chosen.units or (["all"] if ctx.person.sees_all else ctx.person.units))
    span = (
        f"text: {text}"
        if text
        else f"since: {exact(chosen.period.since, ctx.zone)}; until: {exact(chosen.period.until, ctx.zone)}"
    )
    return "; ".join([f"business units: {units}", span, *(f"{name}: {value}" for name, value in more.items() if value)])


def population(what: str, chosen: Filters, text: str = "", *, rows: int = 0) -> str:
    cut = f" (only the newest {ask.MOST_ROWS:,})" if rows >= ask.MOST_ROWS else ""
    span = f"of all time that match the search {text!r}" if text else chosen.period.within
    return f"{what} {span}{cut}"


def _search(label: str) -> str:
    text = (st.query_params.get("q") or "")[:100].strip()
    key = "audit.q"
    st.session_state[key] = text
    st.text_input(
        label,
        key=key,
        placeholder="4500000815, 2071, INC0010001, a name ...",
        on_change=_write_search,
        width=420,
        icon=":material/search:",
    )
    return text


def _write_search() -> None:
    filters.put("q", st.session_state["audit.q"].strip())


def _cut(rows: pd.DataFrame) -> None:
    if len(rows) >= ask.MOST_ROWS:
        st.caption(f"Only the newest {ask.MOST_ROWS:,}: choose a shorter period or fewer business units.")


def card_title(row: dict[str, Any]) -> str:
    number = row["number"] if isinstance(row["number"], str) else words(str(row.get("action", "")))
    return f"**{plain(number)}** · {plain(row['business_unit'] or 'no unit')}"


def opener(ctx: Context) -> Callable[[dict[str, Any]], None]:
    def draw(row: dict[str, Any]) -> None:
        if row["document_id"] is not None and not pd.isna(row["document_id"]):
            ctx.link(PATH, "All three answers", icon=":material/arrow_forward:", document=str(row["document_id"]))

    return draw


def hrefs(ctx: Context, rows: pd.DataFrame) -> list[str | None]:
    return [
        ctx.href(PATH, document=str(document_id)) if document_id is not None and not pd.isna(document_id) else None
        for document_id in rows["document_id"]
    ]


# -- decisions -------------------------------------------------------------------------------------------------------------


def decisions(ctx: Context, chosen: Filters) -> None:
    text = _search("A number of any system, or a name; looks through all time")
    only = st.query_params.get("only") == "changed"
    rows = ask.decisions(ctx.reports, chosen.units, since=chosen.period.since, until=chosen.period.until, text=text)
    if only:
        rows = rows[rows["is_changed_after"].astype(bool)]
        ctx.link(PATH, "Show all decisions", icon=":material/close:", show="decisions")
    if rows.empty:
        _none(chosen, "decisions", text, "Nothing was decided")
        return
    shown = rows.assign(
        what=[_what(row) for row in rows.to_dict("records")],
        verdict=[VERDICTS.get(activity, "refused") for activity in rows["activity"]],
        decided_by=[
            visible(who) or f"not named by {system(where)}"
            for who, where in zip(rows["decided_by"], rows["system"], strict=True)
        ],
        changed=["changed after" if after else "" for after in rows["is_changed_after"]],
        open=hrefs(ctx, rows),
    )
    _cut(rows)
    work_table(
        ctx,
        shown,
        DECISIONS,
        key="audit.decisions",
        row_id="decision_id",
        noun="decision",
        title=card_title,
        card_action=opener(ctx),
        height=460,
    )
    what = "Decisions whose document its source changed afterwards, recorded" if only else "Decisions recorded"
    taken = Evidence(
        "report.decisions",
        asked_with(ctx, chosen, text, only="changed afterwards" if only else None),
        population(what, chosen, text, rows=len(rows)),
        shown,
        evidence.columns_of(DECISIONS),
    )
    evidence.offer(ctx, taken, key="audit.decisions.evidence", noun="decision")


def _what(row: dict[str, Any]) -> str:
    if row["activity"].startswith("review"):
        return "invoice variance"
    return DOCUMENT_TYPES.get(row["document_type"], words(row["document_type"]))


def _none(chosen: Filters, what: str, text: str, sentence: str) -> None:
    if text:
        frame.nothing_matches(what, ["the search"], names=("q", "only"))
    elif chosen.units:
        frame.nothing_matches(what, ["business units"], names=("q", "only"))
    else:
        frame.nothing_happened(f"{sentence} {chosen.period.within}.")


# -- what people asked for ---------------------------------------------------------------------------------------------------


def requests(ctx: Context, chosen: Filters) -> None:
    text = _search("A name, a reason or a document; looks through all time")
    only = NOT_DONE if st.query_params.get("only") == "not_done" else None
    rows = ask.commands(
        ctx.reports, chosen.units, since=chosen.period.since, until=chosen.period.until, text=text, statuses=only
    )
    if only:
        ctx.link(PATH, "Show all requests", icon=":material/close:", show="requests")
    if not ctx.person.sees_all:
        st.caption("Your own requests, and those about your business units.")
    if rows.empty:
        _none(chosen, "requests", text, "Nobody asked for anything")
        return
    shown = rows.assign(
        particulars=[
            "; ".join(f"{words(name)}: {visible(value)}" for name, value in (details or {}).items())
            for details in rows["details"]
        ],
        open=[
            ctx.href("exceptions", redrive=redrive) if isinstance(redrive, str) else href
            for redrive, href in zip(rows["redrive_id"], hrefs(ctx, rows), strict=True)
        ],
    )
    _cut(rows)
    work_table(
        ctx,
        shown,
        REQUESTS,
        key="audit.requests",
        row_id="command_id",
        noun="request",
        title=lambda row: f"**{plain(words(row['action']))}** · {plain(row['actor'])}",
        card_action=opener(ctx),
        height=460,
    )
    what = "Requests that were not done, asked" if only else "Requests asked"
    taken = Evidence(
        "report.commands",
        asked_with(ctx, chosen, text, only="not done" if only else None),
        population(what, chosen, text, rows=len(rows)),
        shown,
        evidence.columns_of(REQUESTS),
        sum_of="",
    )
    evidence.offer(ctx, taken, key="audit.requests.evidence", noun="request")
