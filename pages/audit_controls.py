"""Two lists of the audit page, each with its evidence: what the controls found, and what people let pass against them."""

from typing import Any

import pandas as pd
import streamlit as st

from pages import evidence, frame
from pages.audit_lists import PATH, asked_with, card_title, hrefs, opener, population
from pages.context import Context
from pages.evidence import Evidence
from pages.filters import Filters
from pages.format import count, plain, visible, words
from pages.tables import Column, work_table
from sync_engine.insight.reports import audit as ask
from sync_engine.model.exceptions import kind_of

ROUTES = "Approval threshold"
"""The control that asks more people instead of stopping a document."""

CONTROLS = (
    Column("control", "Control"),
    Column("evaluated", "Looked at (n)", "count", on_card=True),
    Column("passed", "Passed", "count"),
    Column("objected", "Objected", "count", on_card=True),
    Column("share", "Share", "share"),
    Column("overridden", "Let pass", "count", on_card=True),
    Column("show", "", "link", display="Show objections"),
    Column("show_overridden", "", "link", display="Show what was let pass"),
)
CONTROL_ROWS = (
    Column("number", "Document", "id"),
    Column("open", "", "link", display="Open", width=60),
    Column("document_type", "Type", "words"),
    Column("control", "Control"),
    Column("happened_at", "When", "time", on_card=True),
    Column("who", "Who", width=200, on_card=True),
    Column("cause", "Objection", width=230),
    Column("said", "What was said", width=280, on_card=True),
    Column("ended", "How it ended"),
    Column("group_amount", "Value (EUR)", "group_money"),
    Column("business_unit", "Unit"),
    Column("supplier_name", "Supplier"),
)


def controls(ctx: Context, chosen: Filters) -> None:
    control = st.query_params.get("control")
    rows = ask.controls(ctx.reports, chosen.units, since=chosen.period.since, until=chosen.period.until)
    if control in set(rows["control"]):
        ctx.link(PATH, "Back to all controls", icon=":material/arrow_back:", show="controls")
        _control_rows(ctx, chosen, control, "objected")
        return
    if rows.empty:
        frame.nothing_happened(f"No control looked at anything {chosen.period.within}.")
        return
    shown = rows.assign(
        show=[
            ctx.href(PATH, show="controls", control=row.control) if row.objected else None for row in rows.itertuples()
        ],
        show_overridden=[
            ctx.href(PATH, show="overridden", control=row.control) if row.overridden else None
            for row in rows.itertuples()
        ],
    )
    work_table(
        ctx, shown, CONTROLS, key="audit.controls", row_id="control", noun="control", title=lambda row: f"**{plain(row['control'])}**",
        card_action=lambda row: ctx.link(PATH, f"Show {count(row['objected'], 'objection')}", show="controls", control=str(row["control"])) if row["objected"] else None,
    )  # fmt: skip
    taken = Evidence(
        "report.controls",
        asked_with(ctx, chosen),
        population("Controls with the documents they looked at", chosen),
        shown,
        evidence.columns_of(CONTROLS),
        sum_of="",
    )
    evidence.offer(ctx, taken, key="audit.controls.evidence", noun="control")


def overridden(ctx: Context, chosen: Filters) -> None:
    _control_rows(ctx, chosen, st.query_params.get("control"), "overridden")


def _control_rows(ctx: Context, chosen: Filters, control: str | None, verdict: str) -> None:
    rows = ask.control_rows(
        ctx.reports, control, verdict, chosen.units, since=chosen.period.since, until=chosen.period.until
    )
    if rows.empty:
        frame.nothing_happened(
            f"{'Nobody let anything pass against' if verdict == 'overridden' else 'Nothing was objected to by'} {plain(control or 'a control')} {chosen.period.within}."
        )
        return
    noun = "decision" if verdict == "overridden" else "document"
    st.subheader(
        f"{count(len(rows), noun)}: {'let pass against' if verdict == 'overridden' else 'objected to by'} {plain(control or 'a control')}",
        anchor=False,
    )
    shown = rows.assign(
        who=[visible(actor) for actor in rows["actor"]],
        cause=[kind_of(code).title if code else "" for code in rows["code"]],
        ended=[_ended(row) for row in rows.to_dict("records")],
        open=hrefs(ctx, rows),
    )
    columns = (
        CONTROL_ROWS if verdict == "overridden" else tuple(column for column in CONTROL_ROWS if column.name != "who")
    )
    work_table(
        ctx,
        shown,
        columns,
        key=f"audit.{verdict}",
        row_id="row_id",
        noun=noun,
        title=card_title,
        card_action=opener(ctx),
        height=460,
    )
    what = f"{'What people let pass against' if verdict == 'overridden' else 'Documents objected to by'} {control or 'any control'}"
    taken = Evidence(
        "report.control_rows",
        asked_with(ctx, chosen, control=control, verdict=verdict),
        population(what, chosen),
        shown,
        evidence.columns_of(columns),
    )
    evidence.offer(ctx, taken, key=f"audit.{verdict}.evidence", noun=noun)


def _ended(row: dict[str, Any]) -> str:
    if row["case_id"] is None or pd.isna(row["case_id"]):
        return ""
    if row["closed_at"] is None or pd.isna(row["closed_at"]):
        return "still open"
    return f"{words(row['close_reason'])} by {visible(row['closed_by'])}"
