"""One document through all systems: any number of any system finds it, and everything that happened to it and its family is here."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pandas as pd
import streamlit as st

from pages import filters, frame, trace_cancel, trace_imported, trace_said, trace_views
from pages.context import Context
from pages.format import (
    DOCUMENT_TYPES,
    count,
    day,
    due_words,
    duration,
    money,
    plain,
    sentence,
    system,
    visible,
    when,
    words,
)
from pages.frame import Definition
from pages.tables import Column, work_table
from sync_engine.control.roles import Role
from sync_engine.insight.reports import trace as ask
from sync_engine.insight.reports.reading import OWN_LOG
from sync_engine.insight.reports.trace import Family
from sync_engine.model.exceptions import kind_of

TITLE = "Document trace"
QUESTION = "What happened to this document, in all systems?"
URL_PATH = "trace"
ROLES = frozenset(Role)
SECTION = "Look up"
ICON = ":material/timeline:"
LACKS = ""

VIEWS: dict[str, tuple[str, Callable[[Context, dict[str, Any], Family], None]]] = {
    "timeline": ("Timeline", trace_views.timeline),
    "match": ("Three-way match", trace_views.match),
    "exceptions": ("Exceptions", trace_views.exceptions),
    "decisions": ("Who decided", trace_views.decisions),
    "calls": ("Calls", trace_said.calls),
    "payloads": ("Payloads", trace_said.payloads),
    "names": ("Identifiers", trace_said.identifiers),
}

FLOW_ORDER = (
    "supplier",
    "requisition",
    "approval",
    "purchase_order",
    "change_order",
    "goods_receipt",
    "invoice",
    "posting",
)

FOUND = (
    Column("number", "Number", "id"),
    Column("document_type", "Type", "words", on_card=True),
    Column("found_as", "Found as", "id"),
    Column("found_as_where", "In", on_card=True),
    Column("business_unit", "Unit"),
    Column("supplier_name", "Supplier"),
    Column("amount", "Amount", "money", on_card=True),
    Column("currency", "Currency"),
    Column("state", "Stands at", "words"),
    Column("trace", "", "link", display="Open"),
)

DEFINITIONS = (
    Definition("Family", "everything linked to the document, directly or through others, six links far and 200 documents at most", "documents you may see", "all time", left_out="nothing"),
    Definition("Order of the timeline", "by when it happened in the system where it happened; late news keep their place and say when we learned of them", "events and calls of the family", "all time", "wall"),
    Definition("Stage times", "from when we recorded the entry to when we recorded the leaving; stays follow each other without a gap and add up to the journey", "this document", "all time", "wall, and the unit's working calendar", "nothing"),
)  # fmt: skip


def render(ctx: Context) -> None:
    """The page."""
    said = frame.begin(ctx, QUESTION)
    text = _search_box()
    document_id = _document_in_url()
    if document_id is None and text:
        found = ask.search(ctx.reports, text, ctx.log if ctx.is_imported else None)
        exact = found[found["exact"].astype(bool)]
        if len(exact) == 1 or len(found) == 1:
            document_id = (exact if len(exact) == 1 else found).iloc[0]["document_id"]
        else:
            _choose(ctx, said, text, found)
            return
    if document_id is None:
        said.answer("Type any number of any system: a requisition, an order, an invoice, a task, a correlation id.")
        _invite(ctx)
        return
    _document(ctx, said, document_id)
    frame.explain(ctx, DEFINITIONS)


def _search_box() -> str:
    text = (st.query_params.get("q") or "")[:200].strip()
    st.session_state["trace.q"] = text
    st.text_input(
        "Any number of any system",
        key="trace.q",
        on_change=_search,
        icon=":material/search:",
        placeholder="2028, 4500000123, RE-4711, REQ0010042 …",
        max_chars=200,
    )
    return text


def _search() -> None:
    filters.put("q", (st.session_state["trace.q"] or "").strip())
    for name in ("document", "view"):
        filters.put(name, None)


def _document_in_url() -> UUID | None:
    asked = st.query_params.get("document")
    if not asked:
        return None
    try:
        return UUID(asked)
    except ValueError:
        st.warning("The address of this page names a document that cannot exist.", icon=":material/link_off:")
        return None


def _choose(ctx: Context, said: frame.Said, text: str, found: pd.DataFrame) -> None:
    if found.empty:
        said.answer(f"Nothing you may see is called {plain(text)} or begins so.")
        st.write("Searched: every identifier of every connected system, our own numbers, correlation ids. Read up to:")
        for source in said.sources:
            st.caption(f"{plain(source.title)}: {when(source.complete_until, ctx.zone)}")
        return
    more = f" (the first {ask.SEARCH_LIMIT}; type more of the number)" if len(found) == ask.SEARCH_LIMIT else ""
    said.answer(
        f"{count(len(found), 'document')} {'is' if len(found) == 1 else 'are'} called {plain(text)} or begin so{more}. Which one?"
    )
    found = found.assign(
        trace=[ctx.href(URL_PATH, document=str(document_id)) for document_id in found["document_id"]],
        found_as_where=[f"{system(row.found_as_system)}, {words(row.found_as_kind)}" for row in found.itertuples()],
    )
    for row in found.head(5).to_dict("records"):
        ctx.link(
            URL_PATH,
            f"{words(row['document_type']).capitalize()} {visible(row['number'])}, {visible(row['business_unit'])}",
            icon=":material/arrow_forward:",
            document=str(row["document_id"]),
        )
    work_table(
        ctx,
        found,
        FOUND,
        key="trace.found",
        row_id="document_id",
        noun="document",
        title=lambda row: f"**{plain(row['number'])}** · {plain(row['business_unit'])}",
        card_action=lambda row: ctx.link(URL_PATH, "Open", document=str(row["document_id"])),
    )


def _invite(ctx: Context) -> None:
    st.caption("Or open a document from a list: every row there leads here.")
    with st.container(horizontal=True, gap="small"):
        ctx.link("exceptions", "What is held up", icon=":material/arrow_forward:")
        ctx.link("stuck", "What is not moving", icon=":material/arrow_forward:")


def _document(ctx: Context, said: frame.Said, document_id: UUID) -> None:
    document = ask.document(ctx.reports, document_id)
    if document is None:
        said.answer("There is no such document among those you may see.")
        units = (
            "every business unit"
            if ctx.person.sees_all
            else f"only {', '.join(ctx.person.units) or 'no business unit'}"
        )
        frame.no_permission(
            f"If it exists, it belongs to a unit that has not been given to you: you see {plain(units)}."
        )
        return
    if ctx.is_imported and document["source"] != ctx.log:
        said.answer(f"This document is not of the log {plain(ctx.log)}.")
        ctx.link(URL_PATH, "Open it in its own log", log=None if document["source"] == OWN_LOG else document["source"], document=str(document_id))  # fmt: skip
        return
    family = ask.family(ctx.reports, document_id)
    if document["source"] != OWN_LOG:
        said.answer(trace_imported.answer(ctx, document))
        trace_imported.head(ctx, document)
        _family(ctx, document, family)
        with frame.part("Its events"):
            trace_imported.events(ctx, document)
        return
    cases = [case for case in ask.cases(ctx.reports, [document_id]) if case["closed_at"] is None]
    stopped = [] if cases or document["closed_at"] is not None else _stopped_orders(ctx, document_id, family)
    said.answer(_answer(document, cases, stopped))
    _head(ctx, document, cases, stopped)
    _family(ctx, document, family)
    view = st.query_params.get("view", "timeline")
    if view not in VIEWS:
        st.warning("The address of this page asks for a view that does not exist.", icon=":material/link_off:")
        view = "timeline"
    st.session_state["trace.view"] = view
    st.segmented_control(
        "View",
        list(VIEWS),
        key="trace.view",
        format_func=lambda name: VIEWS[name][0],
        required=True,
        label_visibility="collapsed",
        on_change=_choose_view,
    )
    with frame.part(VIEWS[view][0]):
        VIEWS[view][1](ctx, document, family)


def _choose_view() -> None:
    chosen = st.session_state["trace.view"]
    filters.put("view", None if chosen in {None, "timeline"} else chosen)


def _stopped_orders(ctx: Context, document_id: UUID, family: Family) -> list[dict[str, Any]]:
    """The exceptions that stop the orders a requisition waits for: it meets none itself, and yet does not go on."""
    orders = [
        link["from_document_id"]
        for link in family.links
        if link["relation"] == "fulfils" and link["to_document_id"] == document_id
    ]
    cases = ask.cases(ctx.reports, orders) if orders else []
    return [case for case in cases if case["closed_at"] is None and case["blocks"]]


def _answer(document: dict[str, Any], cases: list[dict[str, Any]], stopped: list[dict[str, Any]]) -> str:
    name = f"{DOCUMENT_TYPES[document['document_type']].capitalize()} {plain(document['number'])}"
    if cases:
        return f"{name} is held up: {_why(cases[0])}"
    if stopped:
        orders = list(dict.fromkeys(plain(case["document_number"]) for case in stopped))
        held = f"its order {orders[0]}" if len(orders) == 1 else f"{len(orders)} of its orders, first {orders[0]}"
        return f"{name} is held up by {held}: {_why(stopped[0])}"
    if document["closed_at"] is not None:
        return f"{name} is finished: {plain(words(document['state']))}."
    waiting = document["waiting_for"]
    return f"{name} stands at {plain(words(document['state']))}" + (
        f", waiting for {plain(waiting)}." if waiting else ", and is on its way."
    )


def _why(case: dict[str, Any]) -> str:
    kind = kind_of(case["code"])
    return f"{plain(kind.title)[0].lower()}{plain(kind.title)[1:]}. {plain(kind.next_step)}"


APPROVAL_COLOUR = {
    "approved": "green",
    "not_required": "gray",
    "pending": "blue",
    "rejected": "red",
    "withdrawn": "gray",
    "conflict": "red",
}
POSTING_COLOUR = {
    "accepted": "green",
    "posted": "green",
    "cleared": "green",
    "not_submitted": "gray",
    "unknown": "orange",
    "refused": "red",
    "blocked": "orange",
    "reversed": "gray",
}


def _head(ctx: Context, document: dict[str, Any], cases: list[dict[str, Any]], stopped: list[dict[str, Any]]) -> None:
    now = ctx.moment.as_of
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="trace.status"):
        st.badge(
            f"Business: {words(document['approval_status'])}",
            color=APPROVAL_COLOUR.get(document["approval_status"], "gray"),
            help="What the business agreed; says nothing about the ledger.",
        )
        st.badge(
            f"Ledger: {words(document['posting_status'])}",
            color=POSTING_COLOUR.get(document["posting_status"], "gray"),
            help="What the ledger accepted; says nothing about who agreed.",
        )
        st.badge(f"Stands at {words(document['state'])}", color="blue")
        if cases:
            st.badge(count(len(cases), "open exception"), color="red")
        if stopped:
            st.badge(f"{count(len(stopped), 'open exception')} of its orders", color="red")
    due = document["due_on"] or document["need_by_on"]
    facts = {
        "Value": money(document["amount"], document["currency"])
        + (f" = {money(document['group_amount'])}" if document["currency"] not in {None, "EUR"} else ""),
        "Unit": document["business_unit"],
        "Supplier": document["supplier_name"],
        "Requester": document["requester"],
        "Due" if document["due_on"] else "Needed by": f"{day(due)}, {due_words((due - now.date()).days)}"
        if due
        else "",
        "In this stage": "" if document["closed_at"] else duration((now - document["state_since"]).total_seconds()),
        "Next step": f"{words(document['step'])}, {system(document['asks'])}"
        if document["work_status"] in {"due", "in_call", "parked"}
        else "",
        "Also called": _names(ctx, document),
        "Correlation id": str(document["correlation_id"]),
    }
    with st.grid("auto", min_column_width=150, gap="small"):
        for label, value in facts.items():
            if value:
                with st.container(gap=None):
                    st.caption(label)
                    st.text(visible(value))
    for message in dict.fromkeys(case["message"] for case in (*cases, *stopped)):
        st.text(visible(message))
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        for case in stopped:
            number = visible(case["document_number"])
            ctx.link(
                URL_PATH, f"Trace of order {number}", icon=":material/timeline:", document=str(case["document_id"])
            )
            ctx.link(
                "exceptions",
                f"Open the exception of order {number}: {kind_of(case['code']).title}",
                icon=":material/inbox:",
                case=str(case["case_id"]),
            )
        for case in cases:
            ctx.link(
                "exceptions",
                f"Open the exception: {kind_of(case['code']).title}",
                icon=":material/inbox:",
                case=str(case["case_id"]),
            )
            if case["retryable"] != "never" and case["status"] in {"open", "claimed", "waiting"}:
                ctx.link(
                    "exceptions",
                    f"Reprocess {visible(document['number'])}",
                    icon=":material/replay:",
                    case=str(case["case_id"]),
                    scope="case",
                )
    trace_cancel.draw(ctx, document)


def _names(ctx: Context, document: dict[str, Any]) -> str:
    """What the document is called elsewhere: the first few; all of them are under Identifiers."""
    names = ask.identifiers(ctx.reports, [document["document_id"]])
    others = [
        visible(row.external_id).rpartition("/")[2] if row.kind == "invoice_number" else visible(row.external_id)
        for row in names.itertuples()
    ]
    return ", ".join(list(dict.fromkeys(name for name in others if name != visible(document["number"])))[:4])


def _family(ctx: Context, document: dict[str, Any], family: Family) -> None:
    others, names = [row for row in family.documents if row["document_id"] != document["document_id"]], family.names
    if not others:
        st.caption("Nothing is linked to it yet.")
        return
    with (
        st.expander(
            f"Family: {count(len(family.documents), 'document')}",
            expanded=not ctx.narrow and len(family.documents) <= 24,
            icon=":material/account_tree:",
        ),
        st.grid("auto", min_column_width=210, gap="small"),
    ):
        for kind in dict.fromkeys((*FLOW_ORDER, *(row["document_type"] for row in family.documents))):
            rows = sorted(
                (row for row in family.documents if row["document_type"] == kind),
                key=lambda row: (names[row["document_id"]], str(row["number"])),
            )
            if rows:
                with st.container(border=True, gap="xsmall"):
                    st.caption(plain(sentence(DOCUMENT_TYPES.get(kind, kind))))
                    for row in rows[:12]:
                        _relative(
                            ctx,
                            row,
                            names[row["document_id"]],
                            is_this=row["document_id"] == document["document_id"],
                        )
                    if len(rows) > 12:
                        st.caption(f"and {len(rows) - 12} more")


def _relative(ctx: Context, row: dict[str, Any], name: str, *, is_this: bool) -> None:
    amount = f", {money(row['amount'], row['currency'])}" if row["amount"] is not None else ""
    if is_this:
        st.markdown(f"**{plain(name)}** {plain(words(row['state']))}{plain(amount)}", anchors=False)
    else:
        ctx.link(
            URL_PATH,
            f"{visible(name)} {words(row['state'])}{amount}",
            icon=":material/description:",
            document=str(row["document_id"]),
        )
