"""The finance leader's thirty seconds: six figures, what holds the money up, what needs attention, what has changed."""

from decimal import Decimal
from functools import partial

import pandas as pd
import streamlit as st

from pages import filters, frame, overview_alerts, overview_parts
from pages.context import Context
from pages.format import (
    count,
    duration,
    money_short,
    percent,
    plain,
    working_time,
)
from pages.frame import Definition, Figure, Said
from pages.overview_parts import Facts
from pages.tables import Column, work_table
from sync_engine.control.roles import Role
from sync_engine.insight.reports import cycle_time, service_levels
from sync_engine.insight.reports import overview as ask
from sync_engine.insight.statistics import FEW

TITLE = "Overview"
QUESTION = "Does the money flow, and where does it stand still?"
URL_PATH = "overview"
ROLES = frozenset(Role)
SECTION = "Today"
ICON = ":material/space_dashboard:"

ARROW = ":material/arrow_forward:"
SHORT = {"working days": "d", "working hours": "h", "working minutes": "min"}
SHOWN = ("gap", "stuck", "risk")

DEFINITIONS = (
    Definition("Finality gap", "value of what the business has approved and the ledger has not accepted", "requisitions approved, every order of which is not yet in the ERP", "open now; the line shows each day's end", "wall"),
    Definition("Stuck", "value of documents that stand longer in their stage than 95 % of their peers, past the step's objective, or behind a blocking exception", "open requisitions, orders, change orders and invoices; a requisition whose orders are drafted counts through its orders; peers: same type and stage, last 90 days, at least 30 of them", "open now", "each unit's working calendar"),
    Definition("Requisition to order", "median from first submit to the ERP's order number back in procurement; half took no longer", "requisitions ordered in the period", "completed in the period", "each unit's working calendar; a working day has 8 hours"),
    Definition("Exception rate", "documents that ever met an exception, of those that entered; one document counts once", "requisitions, orders, change orders and invoices submitted in the period", "entered in the period"),
    Definition("Objectives met", "objectives whose share of documents done by their deadline reaches the target; open past its deadline counts as missed", "documents whose deadline fell in the window", "each objective's own rolling window", "wall or working hours, as the objective says"),
    Definition("Invoices at risk", f"value of invoices due within {ask.RISK_DAYS} days, or past due, and not ready for payment", "open invoices", "due by then", "calendar days"),
)  # fmt: skip


def render(ctx: Context) -> None:
    """The page."""
    said = frame.begin(ctx, QUESTION)
    chosen = filters.row(ctx)
    facts = _gather(ctx, chosen)
    if (
        facts.documents is not None
        and facts.documents.empty
        and facts.exceptions is not None
        and facts.exceptions.whole == 0
        and chosen.units is None
    ):
        said.answer("Nothing has come in yet.")
        frame.no_data(ctx, said)
        return
    said.answer(_answer(facts))
    frame.figures(
        [
            figure
            for figure in (
                _gap(ctx, facts, said),
                _stuck(ctx, facts, said),
                _speed(facts, chosen),
                _exceptions(ctx, facts, chosen),
                _objectives(ctx, facts),
                _risk(ctx, facts, said),
            )
            if figure
        ]
    )
    _rows(ctx, facts)
    left, right = st.columns([3, 2], gap="large")
    with left, frame.part("What holds the money up"):
        overview_parts.holds_up(ctx, facts)
    with right, frame.part("Alerts"):
        overview_alerts.draw(ctx, chosen.units)
    with frame.part("What changed"):
        overview_parts.changed(ctx, chosen)
    frame.refresh_when_moved(ctx)
    frame.explain(ctx, DEFINITIONS)


def _gather(ctx: Context, chosen: filters.Filters) -> Facts:
    facts, reports, units, period, now = Facts(), ctx.reports, chosen.units, chosen.period, ctx.moment.as_of
    with frame.part("Finality gap"):
        facts.gap = ask.finality_gap(reports, units, since=period.since, as_of=now)
    with frame.part("Stuck documents"):
        facts.documents = ask.open_documents(reports, units, as_of=now)
    with frame.part("Requisition to order"):
        facts.speed = cycle_time.figures(
            reports, units, before=period.before.since, since=period.since, until=period.until, clock="business", zone=ctx.zone.key,
        )  # fmt: skip
    with frame.part("Exception rate"):
        facts.exceptions = ask.exception_share(reports, units, since=period.since, until=period.until)
        facts.exceptions_before = ask.exception_share(
            reports, units, since=period.before.since, until=period.before.until
        )
    with frame.part("Objectives"):
        facts.objectives = service_levels.service_levels(reports, units, as_of=now)
    with frame.part("Invoices at risk"):
        facts.risk = ask.invoices_at_risk(reports, units, as_of=now)
    return facts


def _value(rows: pd.DataFrame) -> Decimal:
    return sum((Decimal(value) for value in rows["group_amount"].dropna()), Decimal(0))


def _answer(facts: Facts) -> str:
    stuck = facts.stuck
    parts = []
    if stuck is not None and stuck.empty:
        parts.append(
            f"None of {count(len(facts.documents) if facts.documents is not None else 0, 'open document')} is stuck."
        )
    elif stuck is not None:
        by_reason = (
            stuck.assign(value=stuck["group_amount"].fillna(0).astype(float))
            .groupby("reason")["value"]
            .sum()
            .sort_values(ascending=False)
        )
        most = f", {money_short(by_reason.iloc[0])} of it: {plain(by_reason.index[0])}" if by_reason.iloc[0] > 0 else ""
        parts.append(
            f"{count(len(stuck), 'document')} worth {money_short(_value(stuck))} {'is' if len(stuck) == 1 else 'are'} stuck{most}."
        )
    if facts.gap is not None and facts.gap.documents:
        parts.append(f"{money_short(facts.gap.value)} is approved and not yet in the ERP.")
    elif facts.gap is not None:
        parts.append("Everything approved is in the ERP.")
    if facts.risk is not None and len(facts.risk):
        parts.append(
            f"{count(len(facts.risk), 'invoice')} worth {money_short(_value(facts.risk))} may miss the due date."
        )
    return " ".join(parts)


# -- the six figures ------------------------------------------------------------------------------------------------------


def _silent(said: Said, *systems: str) -> str:
    return "; ".join(
        f"{source.title} has been silent for {duration(source.age_s)}"
        for source in said.stale
        if source.system in systems
    )


def _gap(ctx: Context, facts: Facts, said: Said) -> Figure | None:
    gap = facts.gap
    if gap is None:
        return None
    values = [float(value) for value in gap.by_day["value"]]
    change = float(gap.value) - values[0] if len(values) > 1 else 0.0
    return Figure(
        "Not in the ERP yet",
        money_short(gap.value),
        n=f"oldest {duration(gap.oldest_h * 3600)}" if gap.oldest_h is not None else "",
        change=_signed(change) if change else "",
        better=change < 0,
        trend=values,
        link=partial(ctx.link, URL_PATH, icon=ARROW, label=f"{count(gap.documents, 'requisition')}", show="gap")
        if gap.documents
        else None,
        stale=_silent(said, "coupa", "s4hana"),
        help="Finality gap: what the business has agreed and the ledger has not accepted.",
    )


def _signed(change: float) -> str:
    return f"{'+' if change > 0 else '-'}{money_short(abs(change)).removeprefix('EUR ')}"


def _stuck(ctx: Context, facts: Facts, said: Said) -> Figure | None:
    stuck = facts.stuck
    if stuck is None:
        return None
    oldest = stuck["age_wall_s"].max() if len(stuck) else None
    return Figure(
        "Stuck",
        money_short(_value(stuck)),
        n=f"oldest {duration(oldest)}" if oldest is not None else "",
        target="target: none",
        link=partial(ctx.link, URL_PATH, icon=ARROW, label=f"{count(len(stuck), 'document')}", show="stuck")
        if len(stuck)
        else None,
        stale=_silent(said, "coupa", "s4hana", "servicenow", "basware"),
        help="Longer in their stage than 95 % of their peers, past the step's objective, or behind a blocking exception.",
    )


def _speed(facts: Facts, chosen: filters.Filters) -> Figure | None:
    if facts.speed is None:
        return None
    now, before = facts.speed.of("ordered"), facts.speed.of("ordered", before=True)
    change = (
        ""
        if now.p50_s is None or before.p50_s is None or min(now.n, before.n) < FEW
        else f"{'+' if now.p50_s > before.p50_s else '-'}{working_time(abs(now.p50_s - before.p50_s))}"
    )
    number, _, unit = working_time(now.p50_s).partition(" ")
    return Figure(
        "Requisition to order",
        f"{number} {SHORT[unit]}" if now.n >= FEW else "too few" if now.n else "no data",
        n=f"median in {unit}, n {now.n:,}; 85 % within {working_time(now.p85_s)}" if now.n >= FEW else f"n {now.n}",
        change=change,
        better=None if not change else change.startswith("-"),
        trend=[float(week["p50_s"]) for week in facts.speed.by_week("ordered").to_dict("records") if week["n"] >= FEW],
        help=f"First submit to order number back in procurement, {chosen.period.name}.",
    )


def _exceptions(ctx: Context, facts: Facts, chosen: filters.Filters) -> Figure | None:
    now, before = facts.exceptions, facts.exceptions_before
    if now is None or before is None:
        return None
    change = ""
    if now.share is not None and before.share is not None:
        points = (now.share - before.share) * 100
        change = f"{points:+.1f} points"
    return Figure(
        "Exception rate",
        percent(now.share),
        n=f"{now.part:,} of {count(now.whole, 'document')}",
        change=change,
        better=change.startswith("-") if change else None,
        link=partial(ctx.link, "exceptions", "Open the queue", icon=ARROW),
        help=f"Documents that entered in the {chosen.period.name} and ever met an exception.",
    )


def _objectives(ctx: Context, facts: Facts) -> Figure | None:
    if facts.objectives is None:
        return None
    measured = [one for one in facts.objectives if one.attained is not None]
    met = [one for one in measured if one.attained is not None and one.attained >= one.target]
    worst = min(measured, key=lambda one: one.budget_left if one.budget_left is not None else 1.0, default=None)
    said = (
        f"{plain(worst.title)}: {percent(worst.attained)} of {percent(worst.target)}, n {worst.due:,}" if worst else ""
    )
    return Figure(
        "Objectives met",
        f"{len(met)} of {len(measured)}" if measured else "no data",
        n=said,
        target=f"{len(facts.objectives) - len(measured)} without data"
        if measured and len(measured) < len(facts.objectives)
        else "",
        link=partial(ctx.link, "service-levels", "Open objectives"),
        help="Share of documents done by their deadline, against the objective's target; the one with the least budget left is named.",
    )


def _risk(ctx: Context, facts: Facts, said: Said) -> Figure | None:
    risk = facts.risk
    if risk is None:
        return None
    return Figure(
        "Invoices at risk",
        money_short(_value(risk)),
        n=f"due within {ask.RISK_DAYS} days, not ready",
        target="target: none",
        link=partial(ctx.link, URL_PATH, icon=ARROW, label=f"{count(len(risk), 'invoice')}", show="risk")
        if len(risk)
        else None,
        stale=_silent(said, "basware", "s4hana"),
    )


# -- the rows behind a figure -----------------------------------------------------------------------------------------------

STUCK_COLUMNS = (
    Column("number", "Document", "id"),
    Column("document_type", "Type", "words"),
    Column("business_unit", "Unit"),
    Column("reason", "Stands because", on_card=True, width=210),
    Column("group_amount", "Value (EUR)", "group_money", on_card=True),
    Column("age_wall_s", "In this stage", "age", on_card=True),
    Column("owner_team", "Who moves it"),
    Column("supplier_name", "Supplier"),
    Column("need_by_on", "Needed by", "date"),
    Column("due_on", "Due", "date"),
    Column("trace", "", "link", display="Trace"),
)
GAP_COLUMNS = (
    Column("number", "Requisition", "id"),
    Column("business_unit", "Unit"),
    Column("state", "Stands at", "words", on_card=True),
    Column("posting_status", "Ledger", "words"),
    Column("group_amount", "Value (EUR)", "group_money", on_card=True),
    Column("approved_at", "Approved", "time"),
    Column("age_s", "Since approval", "age", on_card=True),
    Column("trace", "", "link", display="Trace"),
)
RISK_COLUMNS = (
    Column("number", "Invoice", "id"),
    Column("supplier_name", "Supplier", on_card=True),
    Column("business_unit", "Unit"),
    Column("group_amount", "Value (EUR)", "group_money", on_card=True),
    Column("due_on", "Due", "date"),
    Column("days_left", "Days left", "days", on_card=True),
    Column("reason", "Stands because", width=210),
    Column("owner_team", "Who moves it"),
    Column("trace", "", "link", display="Trace"),
)


def _rows(ctx: Context, facts: Facts) -> None:
    shown = st.query_params.get("show")
    if shown not in SHOWN:
        if shown:
            st.warning("The address of this page asks for rows that do not exist here.", icon=":material/link_off:")
        return
    rows, columns, heading = None, STUCK_COLUMNS, ""
    if shown == "stuck":
        heading = "Stuck documents, most money first"
        rows = (
            None
            if facts.stuck is None
            else facts.stuck.sort_values("group_amount", ascending=False, key=pd.to_numeric, na_position="last")
        )
    elif shown == "risk":
        rows, columns, heading = facts.risk, RISK_COLUMNS, "Invoices at risk, most money first"
    elif facts.gap is not None:
        with frame.part("Finality gap"):
            rows, columns, heading = (
                ask.finality_gap_rows(ctx.reports, filters.read(ctx).units, as_of=ctx.moment.as_of),
                GAP_COLUMNS,
                "Approved and not in the ERP, most money first",
            )
    if rows is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(heading, anchor=False, width="content")
        ctx.link(URL_PATH, "Close the list", icon=":material/close:", show=None)
    rows = rows.assign(trace=[ctx.href("trace", document=str(document_id)) for document_id in rows["document_id"]])
    work_table(
        ctx,
        rows,
        columns,
        key=f"overview.{shown}",
        row_id="document_id",
        noun="document",
        title=_card_title,
        card_action=lambda row: ctx.link("trace", "Trace", document=str(row["document_id"])),
    )


def _card_title(row: dict[str, object]) -> str:
    return f"**{plain(row['number'])}** · {plain(row['business_unit'])}"
