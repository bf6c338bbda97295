"""Exactly the rows behind a figure of integration health: what waits, what failed, what could not be read, what has no answer."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from pages import frame, health_tables
from pages.context import Context
from pages.filters import Filters
from pages.format import count, plain, system, words
from pages.health_tables import PATH, heading_of
from pages.tables import Column, work_table
from sync_engine.insight.reports import health as ask
from sync_engine.model.exceptions import kind_of

if TYPE_CHECKING:
    from pages.health import Facts

WAITING = (
    Column("number", "Document", "id"),
    Column("document_type", "Type", "words"),
    Column("where", "Waits for", on_card=True),
    Column("group_amount", "Value (EUR)", "group_money", on_card=True),
    Column("age_s", "Since", "age", on_card=True),
    Column("days_left", "Days left", "days"),
    Column("business_unit", "Unit"),
    Column("steps", "Next step", "words"),
    Column("tries", "Tries", "count"),
    Column("supplier_name", "Supplier"),
    Column("trace", "", "link", display="Trace"),
)
FAILED = (
    Column("recorded_at", "When", "time", on_card=True),
    Column("where", "System"),
    Column("operation", "Operation", "words"),
    Column("outcome", "Outcome", "words"),
    Column("http_status", "HTTP", "count"),
    Column("message", "What was said", width=300, on_card=True),
    Column("number", "Document", "id"),
    Column("business_unit", "Unit"),
    Column("group_amount", "Value (EUR)", "group_money", on_card=True),
    Column("needed_on", "Needed by", "date"),
    Column("try_number", "Try", "count"),
    Column("duration_s", "Took", "latency"),
    Column("trace", "", "link", display="Trace"),
)
PARKED = (
    Column("number", "Document", "id"),
    Column("where", "From"),
    Column("cause", "Cause", on_card=True, width=230),
    Column("message", "What is wrong with it", width=320),
    Column("age_s", "Open for", "age", on_card=True),
    Column("occurrences", "Tried", "count"),
    Column("group_amount", "Value (EUR)", "group_money", on_card=True),
    Column("business_unit", "Unit"),
    Column("owner_team", "Owner"),
    Column("open", "", "link", display="Repair and reprocess"),
)
UNSETTLED = (
    Column("number", "Document", "id"),
    Column("where", "Sent to", on_card=True),
    Column("operation", "Operation", "words"),
    Column("outcome", "Known", "words"),
    Column("age_s", "Since", "age", on_card=True),
    Column("sends", "Sent", "count", help="How often; never again before a look-up."),
    Column("group_amount", "Value (EUR)", "group_money", on_card=True),
    Column("business_unit", "Unit"),
    Column("idempotency_key", "Our key", "id"),
    Column("trace", "", "link", display="Trace"),
)


def rows(ctx: Context, facts: "Facts", chosen: Filters, shown: str | None) -> None:
    """Exactly the rows of the figure that was followed."""
    if shown is None:
        return
    drawn: dict[str, Callable[[], None]] = {
        "systems": lambda: health_tables.systems(ctx, tuple(one for one in facts.systems if one.state(ctx.moment.as_of) != "answering"), key="health.rows.systems", heading="Systems that do not simply answer"),
        "waiting": lambda: _waiting(ctx, facts.waiting),
        "failed": lambda: _failed(ctx, chosen),
        "feeds": lambda: health_tables.feeds(ctx, None if facts.feeds is None else facts.feeds[facts.feeds["is_silent"].astype(bool)], key="health.rows.feeds", heading="Silent feeds"),
        "parked": lambda: _parked(ctx, facts.parked),
        "unsettled": lambda: _unsettled(ctx, facts.unsettled),
    }  # fmt: skip
    with frame.part("Rows"):
        drawn[shown]()
        ctx.link(PATH, "Close the list", icon=":material/close:", show=None, system=st.query_params.get_all("system"))


def _card_title(row: dict[str, Any]) -> str:
    number = row["number"] if isinstance(row["number"], str) else "no document"
    return f"**{plain(number)}** · {plain(row['business_unit']) if isinstance(row['business_unit'], str) else ''}"


def _traced(ctx: Context, found: pd.DataFrame, **more: Any) -> pd.DataFrame:
    links = [
        ctx.href("trace", document=str(document_id)) if document_id is not None and not pd.isna(document_id) else None
        for document_id in found["document_id"]
    ]
    return found.assign(trace=links, **more)


def _trace(ctx: Context) -> Callable[[dict[str, Any]], None]:
    def draw(row: dict[str, Any]) -> None:
        if row["document_id"] is not None and not pd.isna(row["document_id"]):
            ctx.link("trace", "Trace", document=str(row["document_id"]))

    return draw


def waiting_by_document(found: pd.DataFrame) -> pd.DataFrame:
    """One row per document: the systems it waits for named together, the longest wait."""
    if found.empty:
        return found.assign(where=[])
    ordered = found.sort_values("age_s", ascending=False)
    where = ordered.groupby("document_id")["system"].agg(
        lambda names: ", ".join(sorted(system(name) for name in set(names)))
    )
    single = ordered.drop_duplicates("document_id").set_index("document_id")
    return (
        single.assign(where=where)
        .reset_index()
        .sort_values("group_amount", ascending=False, key=lambda column: column.astype(float), na_position="last")
    )


def _waiting(ctx: Context, found: pd.DataFrame | None) -> None:
    if found is None:
        return
    single = waiting_by_document(found)
    heading_of(f"{count(len(single), 'document')} wait for a system, most money first")
    work_table(
        ctx,
        _traced(ctx, single),
        WAITING,
        key="health.waiting",
        row_id="document_id",
        noun="document",
        title=_card_title,
        card_action=_trace(ctx),
    )


def _failed(ctx: Context, chosen: Filters) -> None:
    operation = (st.query_params.get("operation") or "")[:100] or None
    found = ask.failed_calls(
        ctx.reports, chosen.of("system"), operation, chosen.units, since=chosen.period.since, until=chosen.period.until
    )
    cut = ", the newest" if len(found) == ask.MOST_CALLS else ""
    heading_of(
        f"{count(len(found), 'failed call')}{f' of {plain(words(operation))}' if operation else ''}{cut}, newest first"
    )
    work_table(
        ctx,
        _traced(ctx, found, where=[system(name) for name in found["system"]]),
        FAILED,
        key="health.failed",
        row_id="attempt_id",
        noun="call",
        title=_call_title,
        card_action=_trace(ctx),
    )


def _call_title(row: dict[str, Any]) -> str:
    return f"**{plain(row['where'])}**: {plain(words(row['operation']))}"


def _parked(ctx: Context, found: pd.DataFrame | None) -> None:
    if found is None:
        return
    heading_of(f"{count(len(found), 'message')} nobody could read, oldest first")
    shown = found.assign(
        where=[system(name) for name in found["system"]],
        cause=[kind_of(code).title for code in found["code"]],
        open=[ctx.href("exceptions", case=str(case_id)) for case_id in found["case_id"]],
    )
    for code, same in sorted(found.groupby("code"), key=lambda one: -len(one[1])):
        ctx.link(
            "exceptions",
            f"Repair and reprocess {count(len(same), 'message')}: {kind_of(code).title[0].lower()}{kind_of(code).title[1:]}",
            icon=":material/replay:",
            code=str(code),
        )
    work_table(
        ctx, shown, PARKED, key="health.parked", row_id="case_id", noun="message", title=_card_title,
        card_action=lambda row: ctx.link("exceptions", "Repair and reprocess", case=str(row["case_id"])),
    )  # fmt: skip


def _unsettled(ctx: Context, found: pd.DataFrame | None) -> None:
    if found is None:
        return
    heading_of(f"{count(len(found), 'call')} sent, and no answer known")
    shown = _traced(ctx, found, where=[system(name) for name in found["system"]])
    work_table(
        ctx,
        shown,
        UNSETTLED,
        key="health.unsettled",
        row_id="idempotency_key",
        noun="call",
        title=_card_title,
        card_action=_trace(ctx),
    )
