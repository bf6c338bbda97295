"""The finance leader's thirty seconds: six figures, what holds the money up, what needs attention, what has changed."""

from collections.abc import Callable, Iterator
from functools import partial

import pandas as pd
import streamlit as st

from pages import filters, frame, imported, overview_alerts, overview_imported, overview_parts, switches
from pages import overview_figures as figures
from pages.context import Context
from pages.format import (
    count,
    money_short,
    plain,
    words,
)
from pages.overview_parts import Facts
from pages.stuck_parts import many, value_of
from pages.switches import Switch
from pages.tables import MAX_ROWS, Column, work_table
from sync_engine.control.roles import Role
from sync_engine.insight.reports import audit, cycle_time, service_levels, stuck
from sync_engine.insight.reports import overview as ask
from sync_engine.insight.reports.reading import in_parts

TITLE = "Overview"
QUESTION = "Does the money flow, and where does it stand still?"
URL_PATH = "overview"
ROLES = frozenset(Role)
SECTION = "Today"
ICON = ":material/space_dashboard:"
LACKS = ""

SHOWN = ("gap", "stuck", "risk", "ledger")


def render(ctx: Context) -> None:
    """The page."""
    if ctx.is_imported:
        overview_imported.render(ctx)
        return
    said = frame.begin(ctx, QUESTION)
    chosen = filters.row(ctx)
    view = _view(ctx)
    facts = _gather(ctx, chosen, view)
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
    frame.figures(figures.shown(ctx, facts, said, chosen, view))
    _rows(ctx, facts)
    left, right = st.columns([3, 2], gap="large")
    with left, frame.part("What holds the money up"):
        overview_parts.holds_up(ctx, facts)
    with right, frame.part("Alerts"):
        overview_alerts.draw(ctx, chosen.units)
    overview_parts.two_facts(ctx, facts)
    with frame.part("What changed"):
        overview_parts.changed(ctx, chosen)
    frame.refresh_when_moved(ctx)
    frame.explain(ctx, figures.DEFINITIONS)


def _view(ctx: Context) -> Role:
    """Whose six figures are shown: those of the person's own first role, or of the one the address names."""
    own = next((role for role in Role if role in ctx.person.roles), Role.FINANCE_LEADER)
    order = [own, *(role for role in Role if role is not own)]
    view = Switch("view", "Figures for", {role.value: figures.NAMES[role] for role in order})
    imported.draw(ctx, view)
    switches.complain({"view": view.options})
    return Role(switches.read(view))


def _gather(ctx: Context, chosen: filters.Filters, view: Role) -> Facts:
    facts, reports, units, period, now = Facts(), ctx.reports, chosen.units, chosen.period, ctx.moment.as_of
    with frame.part("Finality gap"):
        facts.gap = ask.finality_gap(reports, units, since=period.since, as_of=now)
    with frame.part("Stuck documents"):
        facts.documents = stuck.counts(reports, stuck.Asked(now, units))
    if figures.shows(view, "speed"):
        with frame.part("Requisition to order"):
            facts.speed = cycle_time.figures(
                reports, units, before=period.before.since, since=period.since, until=period.until, clock="business", zone=ctx.zone.key,
            )  # fmt: skip
    with frame.part("Exception rate"):
        facts.exceptions, facts.exceptions_before = ask.exception_share(
            reports, units, before=period.before.since, since=period.since, until=period.until
        )
    if figures.shows(view, "objectives"):
        with frame.part("Objectives"):
            facts.objectives = service_levels.service_levels(reports, units, as_of=now)
    with frame.part("Invoices due soon, not ready"):
        facts.risk = ask.invoices_at_risk(reports, units, as_of=now)
    with frame.part("What the business agreed and the ledger accepted"):
        facts.ledger = ask.ledger(reports, units, as_of=now)
    if figures.shows(view, "unresolved"):
        with frame.part("Unresolved exceptions"):
            facts.unresolved = ask.unresolved(reports, units, as_of=now)
    if figures.shows(view, "controls"):
        with frame.part("Controls"):
            facts.controls = audit.controls(reports, units, since=period.since, until=period.until)
    return facts


def _answer(facts: Facts) -> str:
    standing = facts.stuck
    parts = []
    if standing is not None and standing.empty:
        parts.append(f"None of {count(many(facts.documents), 'open document')} is stuck.")
    elif standing is not None:
        by_reason = (
            standing.assign(value=standing["value"].astype(float))
            .groupby("reason")["value"]
            .sum()
            .sort_values(ascending=False)
        )
        most = f", {money_short(by_reason.iloc[0])} of it: {plain(by_reason.index[0])}" if by_reason.iloc[0] > 0 else ""
        parts.append(
            f"{count(many(standing), 'document')} worth {money_short(value_of(standing))} {'is' if many(standing) == 1 else 'are'} stuck{most}."
        )
    if facts.gap is not None and facts.gap.documents:
        parts.append(f"{money_short(facts.gap.value)} is approved and not yet in the ERP.")
    elif facts.gap is not None:
        parts.append("Everything approved is in the ERP.")
    if facts.risk is not None and len(facts.risk):
        parts.append(
            f"{count(len(facts.risk), 'invoice')} worth {money_short(overview_parts.value_of(facts.risk))} {'is' if len(facts.risk) == 1 else 'are'} due soon or past due, and not ready."
        )
    return " ".join(parts)


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
LEDGER_COLUMNS = (
    Column("number", "Document", "id"),
    Column("business_unit", "Unit"),
    Column("state", "Stands at", "words", on_card=True),
    Column("group_amount", "Value (EUR)", "group_money", on_card=True),
    Column("state_since", "Since", "time"),
    Column("age_s", "In this state", "age", on_card=True),
    Column("supplier_name", "Supplier"),
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
    rows: pd.DataFrame | None
    rows, columns, heading = None, STUCK_COLUMNS, ""
    there: int | None = None
    everything: Callable[[], Iterator[pd.DataFrame]] | None = None
    if shown == "stuck":
        heading = "Stuck documents, most money first"
        with frame.part("Stuck documents"):
            asked = stuck.Asked(ctx.moment.as_of, filters.read(ctx).units)
            rows = stuck.rows(ctx.reports, asked, level="stuck", most=MAX_ROWS)
            there, everything = many(facts.stuck), partial(_all_stuck, ctx, asked)
    elif shown == "risk":
        rows, columns, heading = facts.risk, RISK_COLUMNS, "Invoices due soon and not ready, most money first"
    elif shown == "ledger":
        rows, columns, heading = _ledger(ctx)
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
        key=f"overview.rows.{shown}",
        row_id="document_id",
        noun="document",
        title=_card_title,
        card_action=lambda row: ctx.link("trace", "Trace", document=str(row["document_id"])),
        there=there,
        everything=everything,
    )


def _all_stuck(ctx: Context, asked: stuck.Asked) -> Iterator[pd.DataFrame]:
    all_stuck = partial(stuck.rows, ctx.reports, asked, level="stuck", remember=False)
    return in_parts(all_stuck, stuck.place_of, most=stuck.EXPORT_ROWS)


def _ledger(ctx: Context) -> tuple[pd.DataFrame | None, tuple[Column, ...], str]:
    """The documents behind one line of the two facts, which the address names."""
    kind, agreed, ledger = (st.query_params.get(name, "") for name in ("kind", "agreed", "ledger"))
    with frame.part("What the business agreed and the ledger accepted"):
        rows = ask.ledger_rows(
            ctx.reports, filters.read(ctx).units, as_of=ctx.moment.as_of, document_type=kind, approval_status=agreed, posting_status=ledger,
        )  # fmt: skip
        heading = f"{plain(words(kind)).capitalize()}s: the business says {plain(words(agreed))}, the ledger {plain(words(ledger))}"
        return rows, LEDGER_COLUMNS, heading
    return None, LEDGER_COLUMNS, ""


def _card_title(row: dict[str, object]) -> str:
    return f"**{plain(row['number'])}** · {plain(row['business_unit'])}"
