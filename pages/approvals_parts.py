"""The lists of the approvals page: the rows behind a figure, queues, who decides how, requisitions near their limit, mismatches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any

import pandas as pd
import streamlit as st

from pages import frame, switches
from pages.context import Context
from pages.filters import Period, put
from pages.format import DOCUMENT_TYPES, NOTHING, count, duration, plain, sentence
from pages.tables import Column, work_table
from sync_engine.insight.reports import approval_measures as measures
from sync_engine.insight.reports import approvals as ask
from sync_engine.insight.reports.approvals import Asked, Tasks
from sync_engine.insight.waiting import Cause

URL_PATH = "approvals"
KEPT = ("type", "role", "limit")
MARK = ("show", "cause", "of", "who")
"""What of the page is opened: which rows, of which cause, of which role, of whom (never by name)."""

FACTORS = (1.1, 1.25, 1.5, 2.0, 3.0, 5.0)
"""Times the present limit."""

CAUSES = {
    "off": "Outside of working hours",
    "unexplained": "Unexplained, reading included",
    "batching": "Kept for a sitting",
    "contention": "Busy with earlier requests",
    "priority": "Later requests taken first",
    "handover": "Between the systems (ours)",
}
ONLY_ROLES = "Approvers are named to finance leaders and auditors; you see the roles that were asked."


@dataclass(frozen=True)
class Facts:
    """What the page has found, for its parts."""

    asked: Asked
    found: Tasks
    causes: pd.DataFrame
    period: Period
    roles: Sequence[str] | None = None
    types: Sequence[str] | None = None


def link(ctx: Context, label: str, **changes: Any) -> None:
    """A link to this page with what is chosen on it, and something else opened."""
    ctx.link(URL_PATH, label, **(switches.kept(*KEPT) | changes))


def href(ctx: Context, **changes: Any) -> str | None:
    """The same as an address."""
    return ctx.href(URL_PATH, **(switches.kept(*KEPT) | changes))


def who(approver: str) -> str:
    """How an approver stands in an address: nobody is named there."""
    return sha256(approver.encode()).hexdigest()[:12]


def factor() -> float:
    """How many times the present limit the address asks about; what it says wrongly is left out."""
    asked = st.query_params.get("limit", "")
    return next((one for one in FACTORS if f"{one:g}" == asked), 1.5)


# -- what is opened -------------------------------------------------------------------------------------------------------


def opened(ctx: Context, facts: Facts) -> None:
    """The rows that the address asks for, if it does."""
    if not any(name in st.query_params for name in MARK):
        return
    found = rows(facts, {name: st.query_params.get(name) for name in MARK})
    if found is None:
        st.warning("The address of this page asks for rows that are not here; choose a figure or a row below.", icon=":material/link_off:")  # fmt: skip
        return
    heading, part = found
    st.subheader(f"{heading}: {count(len(part), 'request')}", anchor=False)
    _table(ctx, facts, part)
    st.button("Close the list", on_click=_close, icon=":material/close:", type="tertiary", key="approvals.close")


def rows(facts: Facts, at: dict[str, str | None]) -> tuple[str, pd.DataFrame] | None:
    """The heading and the rows of a mark; None: there is no such mark."""
    decided, show = facts.found.decided, at["show"]
    lists = {
        "decided": ("Decided", decided),
        "open": ("Open, oldest first", facts.found.open),
        "arrived": ("Asked for in the period", facts.found.arrived),
        "refused": ("Refused", decided[decided["outcome"] == "rejected"]),
        "not-at-once": ("Refused, or changed and asked for again", decided[(decided["outcome"] != "approved") | decided["is_returned"].astype(bool)]),
        "rush": ("In a rush", decided[decided["is_quick"] | decided["is_reflex"]]),
        "delegated": ("Decided by somebody else than was asked", decided[decided["is_delegated"].astype(bool)]),
        "backwards": ("Clocks that contradict each other", facts.found.backwards),
        "higher": (f"Not asked for with {factor():g} times the limit", measures.raised(decided, factor()).vanish),
    }  # fmt: skip
    if show == "cause":
        if at["cause"] not in {cause.value for cause in Cause}:
            return None
        part = decided[decided[at["cause"]] > 0].sort_values(at["cause"], ascending=False, kind="stable")
        heading = CAUSES[str(at["cause"])]
    elif show in lists:
        heading, part = lists[show]
    else:
        return None
    if at["of"] is not None:
        part, heading = part[part["role"] == at["of"]], f"{heading}, {plain(at['of'])}"
    if at["who"] is not None:
        theirs = [isinstance(name, str) and who(name) == at["who"] for name in part["approver"]]
        if not any(theirs):
            return None
        part = ask.kept(part, theirs)
        heading = f"{heading}, {plain(part['approver'].iloc[0])}"
    return heading, part


def _table(ctx: Context, facts: Facts, part: pd.DataFrame) -> None:
    causes = [cause.value for cause in Cause]
    measured = causes[0] in part.columns
    shown = part.assign(
        kind=[sentence(DOCUMENT_TYPES.get(name, name)) for name in part["document_type"]],
        trace=[ctx.href("trace", document=str(one)) if one else None for one in part["document_id"]],
        most=[CAUSES[max(causes, key=lambda cause: row[cause])] for row in part.to_dict("records")] if measured else "",
        waits_s=part["wall_s"] if measured else part["age_s"] if "age_s" in part.columns else None,
        works_s=part["business_s"] if measured else part["age_business_s"],
    )
    cause = st.query_params.get("cause")
    columns = [
        Column("number", "Document", "id"), Column("kind", "Type"), Column("business_unit", "Unit", on_card=True), Column("role", "Asked"),
        *([Column("approver", "Approver", on_card=True), Column("requester", "Requester")] if facts.asked.named else []),
        Column("group_amount", "Value", "group_money", on_card=True), Column("outcome", "Decision", "words"), Column("requested_at", "Asked at", "time"), Column("decided_at", "Decided at", "time"),
        Column("works_s", "Waited, at work", "working", on_card=True, help="Working time of the approver's calendar; of open ones until now."), Column("waits_s", "Waited in all", "elapsed"),
        *([Column(cause, CAUSES[cause], "elapsed")] if measured and cause in CAUSES else []),
        *([Column("most", "Mostly because", on_card=True)] if measured else []), Column("trace", "Trace", "link", display="Open"),
    ]  # fmt: skip
    work_table(
        ctx, shown, columns, key="approvals.rows", row_id="task_id", noun="request", title=lambda row: f"**{plain(row['number'])}** · {plain(row['role'])}",
        card_action=lambda row: ctx.link("trace", "Trace", document=str(row["document_id"])) if row["document_id"] else None,
    )  # fmt: skip


def _close() -> None:
    for name in MARK:
        put(name, None)


# -- queues ---------------------------------------------------------------------------------------------------------------


def queues(ctx: Context, facts: Facts) -> None:
    """Per role: what is open, what came and went, and when it would be clear."""
    days = measures.pace_days(facts.found, facts.asked.since, facts.asked.until)
    found = measures.queues(facts.found, days=days)
    if found.empty:
        return
    growing = found[found["grows_a_day"] > 0].sort_values("grows_a_day", ascending=False, kind="stable")
    open_now = int(found["open"].sum())
    st.subheader(
        f"{count(open_now, 'open request')}; {plain(growing.iloc[0]['role'])} falls behind most: {growing.iloc[0]['arrived']:,} came, {growing.iloc[0]['decided']:,} were decided"
        if len(growing)
        else f"{count(open_now, 'open request')}; as many were decided as came, with every role",
        anchor=False,
    )
    shown = found.assign(
        rows=[href(ctx, show="open", of=role) if n else None for role, n in zip(found["role"], found["open"], strict=True)],
        past=[href(ctx, show="decided", of=role) if n else None for role, n in zip(found["role"], found["decided"], strict=True)],
        clears=[clears(row) for row in found.to_dict("records")],
    )  # fmt: skip
    work_table(
        ctx,
        shown,
        (
            Column("role", "Asked", on_card=True),
            Column("open", "Open", "count", on_card=True),
            Column("rows", "", "link", display="Show"),
            Column("value", "Value", "group_money", on_card=True),
            Column("oldest_s", "Oldest", "age", on_card=True),
            Column("p50_s", "Median age", "working", help="Of what is open, 10 or more, in working time."),
            Column("p95_s", "95 % age", "working"),
            Column("arrived", "Came", "count", help=f"Asked for {facts.period.within}."),
            Column("decided", "Decided", "count"),
            Column("past", "", "link", display="Show"),
            Column("clears", "Clears in", help="At the pace of the period, if nothing more came."),
        ),
        key="approvals.queues",
        window=f"open now; came and decided {facts.period.within}",
        row_id="role",
        noun="role",
        title=lambda row: f"**{plain(row['role'])}**",
        card_action=lambda row: (
            link(ctx, f"Show {row['open']:,}", show="open", of=row["role"]) if row["open"] else None
        ),
    )


def clears(row: Mapping[Any, Any]) -> str:
    """When a queue would be empty, in words."""
    if not row["open"]:
        return "nothing open"
    if row["clears_in_s"] is None or pd.isna(row["clears_in_s"]):
        return "nothing was decided"
    grows = f", while {row['grows_a_day']:.1f} a day more come" if row["arrived"] > 1.1 * row["decided"] else ""
    return f"{duration(row['clears_in_s'])}{grows}"


# -- who decides how ------------------------------------------------------------------------------------------------------


def rates(ctx: Context, facts: Facts) -> None:
    """How often each role (each approver, to those who may know) approves, how quickly, and how many each document needed."""
    decided = facts.found.decided
    if decided.empty:
        return
    named = facts.asked.named
    found = measures.rates(decided, by=["role", "document_type", *(["person", "approver"] if named else [])])
    stamps = found[found["is_stamp"]]
    each = measures.hops(decided)
    st.subheader(
        f"{count(len(stamps), 'approver' if named else 'role')} {'approves' if len(stamps) == 1 else 'approve'} nearly everything within a minute"
        if len(stamps)
        else "Nobody approves everything within a minute",
        anchor=False,
    )
    delegated = int(decided["is_delegated"].sum())
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"{count(len(each), 'document')} needed {each.mean():.1f} decisions each, at most {each.max():,}. {_handed_on(facts)}", width="content")  # fmt: skip
        if delegated:
            link(ctx, f"{count(delegated, 'decision')} by somebody else than was asked", show="delegated")
    if not named:
        frame.no_permission(ONLY_ROLES)
    shown = found.assign(
        id=[str(place) for place in range(len(found))],
        kind=[sentence(DOCUMENT_TYPES.get(name, name)) for name in found["document_type"]],
        standing=["rubber stamp" if one else "" for one in found["is_stamp"]],
        text=[f"{row['approved']:,} of {row['decided']:,}" for row in found.to_dict("records")],
    )
    columns = (
        Column("role", "Asked", on_card=True), *([Column("approver", "Approver", on_card=True)] if named else []), Column("kind", "Of"), Column("decided", "Decided", "count", on_card=True),
        *([Column("rows", "", "link", display="Show")] if named else []),
        Column("rate", "Approved", "share", on_card=True), Column("text", "Approved (n)"), Column("p50_s", "Median", "working", help="Request to decision, 10 or more."),
        Column("quick", "Within a minute", "count"), Column("reflex", "One of many", "count", help="One of more than 5 by the same person within 5 minutes."), Column("standing", "Looks like"),
    )  # fmt: skip
    if named:
        shown = shown.assign(
            rows=[href(ctx, show="decided", of=role, who=who(name), type=kind) if isinstance(name, str) else None for role, name, kind in zip(found["role"], found["approver"], found["document_type"], strict=True)]
        )  # fmt: skip
    work_table(
        ctx, shown, columns, key="approvals.rates", row_id="id", noun="approver" if named else "role",
        title=lambda row: f"**{plain(row['approver'] if named else row['role'])}** · {plain(row['kind'])}",
    )  # fmt: skip


def _handed_on(facts: Facts) -> str:
    found = measures.propagation(facts.found)
    names = {"returned": "procurement or AP automation", "erp": "the ERP"}
    said = [
        f"{name} had what followed from the last decision in {duration(found[key].median())}, 95 % within {duration(found[key].quantile(0.95))} (n {len(found[key]):,})"
        for key, name in names.items()
        if len(found[key]) >= 10
    ]
    return sentence("; ".join(said)) + "." if said else ""


# -- limits and mismatches ------------------------------------------------------------------------------------------------

PATTERNS = {"near": "Just below", "split": "Split", "both": "Just below and split"}


def limits(ctx: Context, facts: Facts) -> None:
    """Requisitions that keep just below the amount from which a second approval is needed."""
    found = ask.near_limits(ctx.reports, facts.asked)
    head = found.iloc[0]
    shown = found[found["document_id"].notna()]
    there = int(head["there"])
    compared, uncompared = int(head["compared"]), int(head["uncompared"])
    if shown.empty:
        st.subheader("No requisition keeps just below its limit", anchor=False)
        frame.nothing_happened(f"{count(compared, 'requisition')} compared with {'its' if compared == 1 else 'their'} limit {facts.period.within}; {int(head['above']):,} lie as little above it.")  # fmt: skip
        return
    near, split = (int(shown["pattern"].isin(names).sum()) for names in (["near", "both"], ["split", "both"]))
    st.subheader(f"{count(near, 'requisition')} just below a limit against {int(head['above']):,} just above; {split:,} split below it", anchor=False)  # fmt: skip
    st.caption(
        f"Of {count(compared, 'requisition')} compared {facts.period.within}; {uncompared:,} are in a currency without a limit. As many just below as just above is chance; it is a reason to look, no more."
    )
    shown = shown.assign(
        what=[PATTERNS[name] for name in shown["pattern"]],
        below=[float(1 - amount / limit) for amount, limit in zip(shown["amount"], shown["limit_amount"], strict=True)],
        trace=[ctx.href("trace", document=str(one)) for one in shown["document_id"]],
    )
    work_table(
        ctx,
        shown,
        (
            Column("number", "Requisition", "id", on_card=True),
            Column("what", "Pattern", on_card=True),
            Column("business_unit", "Unit", on_card=True),
            *([Column("requester", "Requester", on_card=True)] if facts.asked.named else []),
            Column("supplier_name", "Supplier"),
            Column("amount", "Amount", "money", on_card=True),
            Column("limit_amount", "Limit", "money"),
            Column("below", "Below by", "share"),
            Column(
                "reached", "Together", "money", help="With others of the same requester and supplier within 3 days."
            ),
            Column("submitted_at", "Submitted", "time"),
            Column("state", "State", "words"),
            Column("trace", "Trace", "link", display="Open"),
        ),
        key="approvals.limits",
        row_id="document_id",
        noun="requisition",
        title=lambda row: f"**{plain(row['number'])}** · {plain(row['what'])}",
        card_action=lambda row: ctx.link("trace", "Trace", document=str(row["document_id"])),
        there=there,
    )


def mismatches(ctx: Context, facts: Facts) -> None:
    """Decisions on which two systems disagree."""
    found = ask.mismatches(ctx.reports, facts.asked)
    if found.empty:
        st.subheader("No decision differed between the systems", anchor=False)
        return
    there, is_open = int(found["there"].iloc[0]), int(found["closed_at"].isna().sum())
    st.subheader(f"{count(there, 'decision')} differed between the systems, {is_open:,} of them not settled", anchor=False)  # fmt: skip
    shown = found.assign(
        trace=[ctx.href("trace", document=str(one)) for one in found["document_id"]],
        case=[ctx.href("exceptions", case=str(one)) for one in found["case_id"]],
        kind=[sentence(DOCUMENT_TYPES.get(name, name)) for name in found["document_type"]],
        settled=[NOTHING if reason is None else reason.replace("_", " ") for reason in found["close_reason"]],
    )
    work_table(
        ctx,
        shown,
        (
            Column("number", "Document", "id", on_card=True),
            Column("kind", "Type"),
            Column("business_unit", "Unit", on_card=True),
            Column("message", "What they say", width=320, on_card=True),
            Column("group_amount", "Value", "group_money", on_card=True),
            Column("raised_at", "Since", "time"),
            Column("settled", "Settled"),
            Column("case", "Exception", "link", display="Open"),
            Column("trace", "Trace", "link", display="Open"),
        ),
        key="approvals.mismatches",
        row_id="case_id",
        noun="mismatch",
        title=lambda row: f"**{plain(row['number'])}** · {plain(row['business_unit'])}",
        card_action=partial(_open_case, ctx),
        there=there,
    )


def _open_case(ctx: Context, row: dict[str, Any]) -> None:
    ctx.link("exceptions", "Exception", case=str(row["case_id"]))
