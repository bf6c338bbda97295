"""The views of the trace: what happened when and where, whether it matches, what went wrong and who decided. Part of the document
trace page, as `trace_said` is.
"""

from decimal import Decimal
from typing import Any

import pandas as pd
import streamlit as st

from pages import charts, frame
from pages.charts import Mark
from pages.context import Context
from pages.format import DOCUMENT_TYPES, count, duration, exact, plain, system, visible, when, words, working_time
from pages.grids import grid
from pages.tables import Column, work_table
from sync_engine.insight.reports import exceptions as ask_exceptions
from sync_engine.insight.reports import trace as ask
from sync_engine.insight.reports.trace import Family
from sync_engine.model.exceptions import kind_of

LANES = ("coupa", "servicenow", "finsync", "s4hana", "basware")
DECISIONS = (
    "approval_completed", "approval_refused", "approval_granted", "approval_denied", "procurement_approved", "procurement_rejected", "review_approved", "review_refused", "change_approved",
    "change_refused_by_approver", "approval_contradicted", "withdrawn", "abandoned", "reprocessing_asked",
)  # fmt: skip
FAILED = ("refused", "not_sent", "unknown", "failed")

MARKS = {
    "move": Mark("Event", charts.WAITING, "circle"),
    "decision": Mark("Decision", charts.OK, "diamond"),
    "exception": Mark("Exception", charts.STUCK, "x"),
    "call": Mark("Call", charts.UNKNOWN, "line-ns-open"),
    "failed call": Mark("Call that failed", charts.STUCK, "triangle-up-open"),
}

STEPS = (
    Column("at", "When", "time"),
    Column("lane", "Where", on_card=True),
    Column("number", "Document", "id"),
    Column("what", "What", width=260, on_card=True),
    Column("actor", "Who", on_card=True),
    Column("change", "From, to", width=230),
    Column("approval_status", "Business", "words"),
    Column("posting_status", "Ledger", "words"),
    Column("late_s", "Learned after", "age", help="From when it happened until we knew."),
)


def title(row: dict[str, Any]) -> str:
    """What a row is called where it is a card."""
    return f"**{plain(row['number'])}**"


# -- timeline -------------------------------------------------------------------------------------------------------------------


def timeline(ctx: Context, document: dict[str, Any], family: Family) -> None:
    """Everything that happened, a lane per system, and how long each stage took."""
    events = ask.events(ctx.reports, family.document_ids)
    attempts = ask.attempts(ctx.reports, family.document_ids)
    if events.empty:
        frame.nothing_happened("Nothing has happened to it yet.")
        return
    events["number"] = events["document_id"].map(family.names)
    steps = _steps(ctx, events)
    marks = pd.concat([steps[["lane", "at", "kind", "hover"]], _call_marks(ctx, attempts)], ignore_index=True)
    systems = [*dict.fromkeys([*LANES, *events["system"], *attempts["system"]])]
    order = [system(name) for name in systems if system(name) in set(marks["lane"])]
    first, last = events["event_at"].min(), events["event_at"].max()
    failed = int(attempts["outcome"].isin(FAILED).sum())
    finding = f"{count(len(events), 'event')} in {count(len(order), 'system')} over {duration((last - first).total_seconds())}"
    finding += (
        f", {failed} of {count(len(attempts), 'call')} failed"
        if failed
        else f", {count(len(attempts), 'call')}, none failed"
    )
    st.subheader(finding, anchor=False)
    st.caption(
        f"Of the whole family, by when it happened where it happened. Times in {ctx.zone.key}. Drag to zoom in, double click for all."
    )
    figure = charts.lanes(
        marks,
        lane="lane",
        at="at",
        kind="kind",
        hover="hover",
        marks=MARKS,
        order=order,
        style=charts.look(dark=ctx.dark),
    )
    frame.show_figure(figure, key="trace.lanes", alt=finding)
    _stages(ctx, document)
    st.subheader("Event by event", anchor=False)
    work_table(ctx, steps, STEPS, key="trace.steps", row_id="row_id", noun="event", title=title, height=420)


def _steps(ctx: Context, events: pd.DataFrame) -> pd.DataFrame:
    kinds = [
        "exception" if name == "exception_raised" else "decision" if name in DECISIONS else "move"
        for name in events["activity"]
    ]
    hovers = [
        f"<b>{_safe(words(row.activity))}</b><br>{_safe(words(row.document_type))} {_safe(row.number)}<br>{_safe(row.actor)}<br>{exact(row.event_at, ctx.zone)}<br>learned {exact(row.observed_at, ctx.zone)}"
        for row in events.itertuples()
    ]
    return events.assign(
        lane=[system(name) for name in events["system"]],
        at=pd.to_datetime(events["event_at"], utc=True).dt.tz_convert(ctx.zone.key),
        kind=kinds,
        hover=hovers,
        what=[words(name) for name in events["activity"]],
        change=[
            words(row.state_to)
            if row.state_from is None
            else f"{words(row.state_from)} → {words(row.state_to)}"
            if row.state_from != row.state_to
            else ""
            for row in events.itertuples()
        ],
        late_s=(
            pd.to_datetime(events["observed_at"], utc=True) - pd.to_datetime(events["event_at"], utc=True)
        ).dt.total_seconds(),
        row_id=[f"{row.document_id} {row.seq}" for row in events.itertuples()],
    )


def _call_marks(ctx: Context, attempts: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "lane": [system(name) for name in attempts["system"]],
            "at": pd.to_datetime(attempts["started_at"], utc=True).dt.tz_convert(ctx.zone.key),
            "kind": ["failed call" if outcome in FAILED else "call" for outcome in attempts["outcome"]],
            "hover": [
                f"<b>{_safe(words(row.operation))}</b>: {_safe(words(row.outcome))}<br>{_safe(row.number)}, try {row.try_number}, {duration(float(row.duration_ms) / 1000)}<br>{exact(row.started_at, ctx.zone)}"
                for row in attempts.itertuples()
            ],
        }
    )


def _safe(text: object) -> str:
    """Outside text for a chart's hover, which reads a little HTML."""
    return visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _stages(ctx: Context, document: dict[str, Any]) -> None:
    stays = ask.stays(ctx.reports, document["document_id"])
    if stays.empty:
        return
    total = float(pd.to_numeric(stays["wall_s"]).sum())
    longest = stays.loc[pd.to_numeric(stays["wall_s"]).idxmax()]
    with st.expander(
        f"Stage times: {duration(total)} in all, longest in {words(longest['stage'])}", icon=":material/timelapse:"
    ):
        shown = pd.DataFrame(
            {
                "Stage": [words(name) for name in stays["stage"]],
                "Entered": [when(moment, ctx.zone) for moment in stays["entered_at"]],
                "Left": ["still there" if pd.isna(moment) else when(moment, ctx.zone) for moment in stays["left_at"]],
                "Took": [duration(seconds) for seconds in stays["wall_s"]],
                "Of it working time": [working_time(seconds) for seconds in stays["business_s"]],
                "Left by": [words(name) for name in stays["activity"]],
            }
        )
        grid(shown, key="trace.stages")


# -- three-way match ---------------------------------------------------------------------------------------------------------------


def match(ctx: Context, document: dict[str, Any], family: Family) -> None:
    """Ordered, received and billed per order line, side by side."""
    del document
    orders = [row["document_id"] for row in family.documents if row["document_type"] == "purchase_order"]
    movements = ask.movements(ctx.reports, orders) if orders else pd.DataFrame()
    if movements.empty:
        st.info(
            "Nothing has been ordered, received or billed in this family yet, so there is nothing to match.",
            icon=":material/inbox:",
        )
        return
    lines = _matched(movements)
    open_lines = lines[lines["Verdict"] != "matches"]
    st.subheader(
        f"{count(len(lines) - len(open_lines), 'order line')} of {len(lines)} {'matches' if len(lines) - len(open_lines) == 1 else 'match'}",
        anchor=False,
    )
    numbers = {
        name: st.column_config.NumberColumn(name, format="%,.2f")
        for name in lines.columns
        if name not in {"Order", "Line", "Verdict"}
    }
    grid(lines, key="trace.match", column_config=numbers)
    with st.expander("The documents behind it"):
        behind = movements.assign(
            source=[f"{words(row.source_type)} {visible(row.source_number)}" for row in movements.itertuples()]
        )
        behind = behind[["order_number", "order_line", "kind", "quantity", "amount", "moved_on", "source"]]
        behind[["quantity", "amount"]] = behind[["quantity", "amount"]].astype(float)
        grid(
            behind.rename(
                columns={
                    "order_number": "Order",
                    "order_line": "Line",
                    "kind": "What",
                    "quantity": "Quantity",
                    "amount": "Amount",
                    "moved_on": "On",
                    "source": "By",
                }
            ),
            key="trace.match.behind",
        )


def _matched(movements: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for (order, line), group in movements.groupby(["order_number", "order_line"], sort=True):
        quantity = {
            kind: sum((Decimal(value) for value in group.loc[group["kind"] == kind, "quantity"]), Decimal(0))
            for kind in ("ordered", "received", "billed")
        }
        amount = {
            kind: sum((Decimal(value) for value in group.loc[group["kind"] == kind, "amount"]), Decimal(0))
            for kind in ("ordered", "billed")
        }
        rows.append(
            {
                "Order": visible(order),
                "Line": line,
                "Ordered": float(quantity["ordered"]),
                "Received": float(quantity["received"]),
                "Billed": float(quantity["billed"]),
                "Ordered amount": float(amount["ordered"]),
                "Billed amount": float(amount["billed"]),
                "Verdict": _verdict(quantity, amount),
            }
        )
    return pd.DataFrame(rows)


def _verdict(quantity: dict[str, Decimal], amount: dict[str, Decimal]) -> str:
    if quantity["billed"] > quantity["received"]:
        return "billed more than received" if quantity["received"] else "billed, not received"
    if quantity["billed"] == 0:
        return "not billed yet" if quantity["received"] else "not received yet"
    if quantity["ordered"] and amount["billed"] * quantity["ordered"] != amount["ordered"] * quantity["billed"]:
        return "price differs"
    return "matches" if quantity["billed"] == quantity["ordered"] else "matches in part"


# -- exceptions and decisions ----------------------------------------------------------------------------------------------------------


def exceptions(ctx: Context, document: dict[str, Any], family: Family) -> None:
    """Every exception of the family, open ones first."""
    del document
    cases = ask.cases(ctx.reports, family.document_ids)
    if not cases:
        frame.nothing_happened(
            f"None of the {count(len(family.documents), 'document')} of this family ever met an exception."
        )
        return
    for case in sorted(cases, key=lambda case: (case["closed_at"] is not None, case["raised_at"])):
        with st.container(border=True, gap="xsmall"):
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.badge(
                    "Open" if case["closed_at"] is None else f"Closed: {words(case['close_reason'])}",
                    color="red" if case["closed_at"] is None else "green",
                )
                st.markdown(
                    f"**{plain(case['document_number'])}**: {plain(kind_of(case['code']).title)}",
                    anchors=False,
                    width="content",
                )
                ctx.link("exceptions", "Open", icon=":material/arrow_forward:", case=str(case["case_id"]))
            st.text(visible(case["message"]))
            closed = (
                f", closed {when(case['closed_at'], ctx.zone)} by {visible(case['closed_by'])}"
                if case["closed_at"]
                else ""
            )
            st.caption(
                plain(f"Since {when(case['raised_at'], ctx.zone)}, seen {count(case['occurrences'], 'time')}{closed}")
            )


def decisions(ctx: Context, document: dict[str, Any], family: Family) -> None:
    """Who approved what, who set what aside, how it was finally posted."""
    del document
    events = ask.events(ctx.reports, family.document_ids)
    rows: list[dict[str, Any]] = [
        {
            "at": row.event_at,
            "Who": visible(row.actor),
            "Decided": words(row.activity),
            "Document": f"{DOCUMENT_TYPES[row.document_type]} {visible(row.number)}",
            "In": system(row.system),
            "Said": _said(row.attributes),
        }
        for row in events.itertuples()
        if row.activity in DECISIONS
        or row.activity in {"order_accepted", "invoice_posted", "invoice_blocked", "payment_cleared"}
    ]
    for case in ask.cases(ctx.reports, family.document_ids):
        rows.extend(
            {
                "at": event["happened_at"],
                "Who": visible(event["actor"]),
                "Decided": words(event["action"]),
                "Document": f"exception of {visible(case['document_number'])}",
                "In": system("finsync"),
                "Said": visible(event["comment"]),
            }
            for event in ask_exceptions.history(ctx.reports, case["case_id"])
            if event["action"] in {"accept", "abandon", "closed", "reprocess", "assign", "claim"}
        )
    if not rows:
        st.info("Nobody has decided anything about this family yet.", icon=":material/inbox:")
        return
    rows.sort(key=lambda row: row["at"])
    st.subheader(f"{count(len(rows), 'decision')}, in order", anchor=False)
    shown = pd.DataFrame(
        [
            {"When": when(row["at"], ctx.zone), **{name: value for name, value in row.items() if name != "at"}}
            for row in rows
        ]
    )
    grid(shown, key="trace.decisions")


def _said(attributes: Any) -> str:
    if not isinstance(attributes, dict):
        return ""
    return visible(attributes.get("comment") or attributes.get("reason") or attributes.get("message") or "")
