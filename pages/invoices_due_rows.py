"""The lists of the page on invoices that are due: the queue in the order in which work on it is worth most (D12), how a place in it comes
about, and the rows behind the figures that are about something else."""

from collections.abc import Iterable, Mapping
from datetime import date
from functools import partial
from typing import Any
from uuid import UUID

import pandas as pd
import streamlit as st

from pages import frame
from pages.context import Context
from pages.filters import Filters
from pages.format import count, day, due_words, money, money_short, percent, plain, sentence, visible, when
from pages.invoices_due_parts import BANDS, NARROWED, RISKS, URL_PATH, kept_filters, worth
from pages.stuck_rows import bar
from pages.tables import Column, work_table
from sync_engine.insight.open_invoices import BUCKETS, BY_HAND, BY_ITSELF, NOT
from sync_engine.insight.reports.invoices_due import FORETOLD_DAYS, Found
from sync_engine.insight.reports.stuck import WAYS
from sync_engine.insight.statistics import SOME
from sync_engine.model.exceptions import kind_of

SHOWN = {
    "open": "Open",
    "due-30": "Due in the next 30 days",
    "at-risk": "At risk of being paid late",
    "blocked": "Blocked",
    "under-way": "Under way",
    "ready": "Ready to be paid",
    "discount": "With a discount still to be had",
    "terms": "Where the terms differ",
    "waiting": "Ready, and waiting for the payment run",
    "next-run": "In the next payment run",
    "later-run": "Ready, and in a later payment run",
    "late": "Not paid by the due date",
    "in-time": "Paid by the due date",
    "foretold": "What was foretold",
    "not-invoiced": "Received and not invoiced",
}
"""What the address can ask for in `show`; the last four are other lists than the queue."""

OTHER_LISTS = ("late", "in-time", "foretold", "not-invoiced")
TABLE = "invoices_due.rows"

COLUMNS = (
    Column("number", "Invoice", "id", width=120),
    Column("supplier_name", "Supplier", on_card=True, width=170),
    Column("group_amount", "Value (EUR)", "group_money", on_card=True),
    Column("due_said", "Due", on_card=True, width=150),
    Column("run_on", "Last run", "date", help="The last payment run held on or before the due date: the effective deadline."),
    Column("p_on_time", "On time", "share", on_card=True, help="Ready by the cut-off of the last run, given stage and age, times the share of ready ones that were paid in time. Between 1 % and 99 %."),
    Column("peers_said", "From peers", help="How many visits of the same stage that rests on, and whose."),
    Column("stands", "Stands because", width=170),
    Column("next_step", "Next step", width=300),
    Column("per_minute", "EUR per minute", "rate", help="What a minute of work on it is worth: the order of this list."),
    Column("late_cost", "Cost of being late (EUR)", "group_money", help="Expected."),
    Column("discount_at_risk", "Discount at risk (EUR)", "group_money"),
    Column("minutes", "Minutes", "rate", help="A person's work, by what stands in its way (config/payments.toml)."),
    Column("working_days_to_due", "Working days left", "count"),
    Column("who", "Who moves it", width=150),
    Column("releases", "Goes on"),
    Column("terms_differ", "Terms", width=220, help="Where the invoice's payment term is not the order's or the supplier record's."),
    Column("due_on", "Due on", "date"),
    Column("discount_on", "Discount until", "date"),
    Column("annual_yield", "Yield a year", "share", help="What paying for the discount earns a year: d / (1 - d) x 365 / (net days - discount days)."),
    Column("amount", "Amount", "money"),
    Column("business_unit", "Unit", width=110),
    Column("how", "", "link", display="Its parts"),
    Column("exception", "", "link", display="Exception"),
    Column("trace", "", "link", display="Trace"),
)  # fmt: skip


def narrowed(rows: pd.DataFrame, asked: Mapping[str, str]) -> tuple[pd.DataFrame, str]:
    """The rows the address asks for, and what they are called; a value that does not exist asks for nothing."""
    shown, said = rows, []
    name = asked.get("show")
    if name in SHOWN and name not in OTHER_LISTS:
        shown = shown[_keeps(shown, name)]
        said.append(SHOWN[name])
    for parameter, column, known in (("due", "bucket", BUCKETS), ("risk", "risk", RISKS), ("band", "band", BANDS), ("why", "reason", WAYS), ("goes", "releases", (BY_ITSELF, BY_HAND, NOT))):  # fmt: skip
        value = asked.get(parameter)
        if value in known:
            shown = shown[shown[column] == value]
            said.append(f"goes on {value}" if parameter == "goes" and value != NOT else "does not go on" if parameter == "goes" else str(value))  # fmt: skip
    on = _date(asked.get("day"))
    if on is not None:
        shown = shown[shown["due_on"] == on]
        said.append(f"due on {day(on)}")
    return shown, sentence(", ".join(said)) if said else ""


def to_work_on(rows: pd.DataFrame) -> pd.DataFrame:
    """What somebody can do something about: all but what is ready and only waits for its run in good time."""
    return rows[~_keeps(rows, "waiting")]


def _keeps(rows: pd.DataFrame, name: str) -> pd.Series:
    """A mask, also of no rows."""
    match name:
        case "due-30":
            kept: Iterable[bool] = (days is not None and 0 <= days <= 30 for days in rows["days_to_due"])
        case "at-risk":
            kept = (bool(one) for one in rows["is_at_risk"])
        case "discount":
            kept = (one is not None for one in rows["discount"])
        case "open":
            kept = (True for _ in range(len(rows)))
        case "next-run":
            kept = (bool(one) for one in rows["is_in_run"])
        case "later-run":
            kept = (group == "ready" and not runs for group, runs in zip(rows["group"], rows["is_in_run"], strict=True))
        case "waiting":
            kept = (group == "ready" and not risky for group, risky in zip(rows["group"], rows["is_at_risk"], strict=True))  # fmt: skip
        case "terms":
            kept = (bool(one) for one in rows["terms_differ"])
        case _:
            kept = (group == name.replace("-", " ") for group in rows["group"])
    return pd.Series(list(kept), index=rows.index, dtype=bool)


def _date(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text or "")
    except ValueError:
        return None


def queue(ctx: Context, chosen: Filters, rows: pd.DataFrame, found: Found) -> None:
    """The queue, or the part of it that the address asks for."""
    shown, heading = narrowed(rows, st.query_params)
    if not heading and not chosen.of("reason"):  # whoever asks for a reason wants all of it
        shown = to_work_on(rows)
    _head(
        ctx,
        chosen,
        f"{heading}, worth most per minute first" if heading else "What to work on first: most money per minute",
    )
    if found.there > len(found.rows):
        st.caption(f"{found.there:,} are open; this page works with the {len(found.rows):,} that are due first.")
    _parts(ctx, chosen, rows)
    if len(shown) < len(rows) and not heading:
        ctx.link(URL_PATH, f"{count(len(rows) - len(shown), 'more invoice')} only {'waits' if len(rows) - len(shown) == 1 else 'wait'} for the payment run", **kept_filters(chosen), show="waiting")  # fmt: skip
    if shown.empty:
        frame.nothing_happened(f"None of {count(len(rows), 'open invoice')} is here.")
        return
    shown = _told(ctx, chosen, shown)
    buttons = st.container(horizontal=True, vertical_alignment="center", gap="small")
    picked = work_table(
        ctx, shown, COLUMNS, key=TABLE, row_id="document_id", noun="invoice", title=_title, selectable=True, card_action=partial(_card, ctx, chosen), window="open now",
    )  # fmt: skip
    chosen_rows = shown[shown["document_id"].astype(str).isin(picked)]
    with buttons:
        bar(ctx, chosen_rows, f"expected to cost {money_short(sum(cost for cost in chosen_rows['late_cost'] if cost is not None))} by being late", noun="invoice")  # fmt: skip


def _head(ctx: Context, chosen: Filters, heading: str) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.subheader(heading, anchor=False, width="content")
        if any(name in st.query_params for name in NARROWED):
            ctx.link(URL_PATH, "Close the list", icon=":material/close:", **kept_filters(chosen))


def _told(ctx: Context, chosen: Filters, rows: pd.DataFrame) -> pd.DataFrame:
    kept = kept_filters(chosen)
    return rows.assign(
        due_said=[f"{day(on)}, {due_words(days)}" if on is not None else "no due date" for on, days in zip(rows["due_on"], rows["days_to_due"], strict=True)],
        stands=[f"{reason}" if group == "blocked" else group if group == "under way" else "ready, waits for its run" for reason, group in zip(rows["reason"], rows["group"], strict=True)],
        who=[owner or team or WAYS.get(reason, WAYS["in progress"]).team for owner, team, reason in zip(rows["owner"], rows["owner_team"], rows["reason"], strict=True)],
        next_step=[kind_of(code).next_step if code else WAYS.get(reason, WAYS["in progress"]).next_step for code, reason in zip(rows["case_code"], rows["reason"], strict=True)],
        how=[ctx.href(URL_PATH, **kept, invoice=str(document_id)) for document_id in rows["document_id"]],
        exception=[None if pd.isna(case_id) else ctx.href("exceptions", case=str(case_id)) for case_id in rows["case_id"]],
        trace=[ctx.href("trace", document=str(document_id)) for document_id in rows["document_id"]],
    )  # fmt: skip


def _title(row: dict[str, Any]) -> str:
    return f"**{plain(row['number'])}** · {plain(row['business_unit'])} · {plain(row['stands'])}"


def _card(ctx: Context, chosen: Filters, row: dict[str, Any]) -> None:
    ctx.link(URL_PATH, "Its parts", **kept_filters(chosen), invoice=str(row["document_id"]))
    if isinstance(row["exception"], str):
        ctx.link("exceptions", "Exception", case=str(row["case_id"]))
    ctx.link("trace", "Trace", document=str(row["document_id"]))


# -- how a place comes about ----------------------------------------------------------------------------------------------------


def _parts(ctx: Context, chosen: Filters, rows: pd.DataFrame) -> None:
    """The parts of one invoice's place in the queue, with the figures in them (D12)."""
    asked = st.query_params.get("invoice")
    if asked is None:
        return
    found = rows[rows["document_id"].astype(str) == asked]
    if found.empty:
        st.warning("This invoice is not open any more, or not among those you may see.", icon=":material/link_off:")
        return
    row = found.iloc[0].to_dict()
    place = int(found.index[0]) + 1
    with st.container(border=True):
        st.markdown(f"**{plain(row['number'])}** of {plain(row['supplier_name'])}: {money(row['group_amount'])}, place {place:,} of {count(len(rows), 'open invoice')}", anchors=False)  # fmt: skip
        for line in parts_of(ctx, row):
            st.markdown(line, anchors=False)
        with st.container(horizontal=True):
            ctx.link("trace", "Trace", icon=":material/timeline:", document=asked)
            if not pd.isna(row["case_id"]):
                ctx.link("exceptions", "Exception", icon=":material/arrow_forward:", case=str(row["case_id"]))
            ctx.link(URL_PATH, "Close", icon=":material/close:", **kept_filters(chosen))


def parts_of(ctx: Context, row: dict[str, Any]) -> list[str]:
    """How one invoice's figures come about, a line each, as Markdown."""
    few = row["peers"] is not None and 0 < row["peers"] < SOME
    lines = []
    if row["run_on"] is not None:
        lines.append(f"**Deadline:** due {day(row['due_on'])} ({due_words(row['days_to_due'])}, {count(abs(row['working_days_to_due']), 'working day')}); the last run before is held on {day(row['run_on'])} and takes what is ready by {when(row['cut_off_at'], ctx.zone)}.")  # fmt: skip
    lines.append(f"**On time:** {percent(row['p_on_time'])}. Peers: {plain(row['peers_said'])}{' (a small sample)' if few else ''}.")  # fmt: skip
    if row["late_cost"] is None:
        lines.append("**Cost of being late:** not known: it takes a due date, a run and peers.")
    else:
        lines.append(f"**Cost of being late:** {percent(1 - row['p_on_time'])} x ({money(row['group_amount'])} x {percent(row['rate'], digits=2)} a year x {row['days_late']:.1f} days / 365 + {money(row['fixed_fee'])}) = {money(row['late_cost'])}.")  # fmt: skip
    if row["discount"] is not None:
        lines.append(f"**Discount:** {money(row['discount'])} until {day(row['discount_on'])}, {percent(row['annual_yield'])} a year; at risk {money(row['discount_at_risk'])}.")  # fmt: skip
    lines.append(f"**Supplier criticality:** {money(row['critical'])}.")
    total = (row["late_cost"] or 0) + (row["discount_at_risk"] or 0) + row["critical"]
    lines.append(f"**Worth per minute:** {money(total)} / {row['minutes']:g} minutes = {money(row['per_minute'])}.")
    if row["terms_differ"]:
        lines.append(f"**Terms differ:** {plain(row['terms_differ'])}.")
    return lines


# -- other lists ------------------------------------------------------------------------------------------------------------------

LATE = (
    Column("number", "Invoice", "id", width=120), Column("supplier_name", "Supplier", on_card=True, width=170), Column("group_amount", "Value (EUR)", "group_money", on_card=True), Column("due_on", "Due on", "date", on_card=True),
    Column("paid_on", "Paid on", "date", on_card=True), Column("days_late", "Days late", "count", help="Until it was paid; of what is not paid yet, until the end of the period."), Column("amount", "Amount", "money"), Column("business_unit", "Unit"), Column("trace", "", "link", display="Trace"),
)  # fmt: skip
FORETOLD = (
    Column("number", "Invoice", "id", width=120), Column("supplier_name", "Supplier", on_card=True, width=170), Column("foretold", "Foretold", "share", on_card=True, help="P(on time) as it would have been said on the first day on which it was open and had 30 peers."),
    Column("became", "Became", on_card=True), Column("due_on", "Due on", "date", on_card=True), Column("paid_on", "Paid on", "date"), Column("group_amount", "Value (EUR)", "group_money"), Column("amount", "Amount", "money"), Column("business_unit", "Unit"), Column("trace", "", "link", display="Trace"),
)  # fmt: skip
NOT_INVOICED = (
    Column("number", "Order", "id", width=120), Column("supplier_name", "Supplier", on_card=True, width=170), Column("group_amount", "To accrue (EUR)", "group_money", on_card=True, help="Received and not billed, at the order's prices, net."),
    Column("received_on", "Received on", "date", on_card=True), Column("days", "Days since", "count"), Column("billed", "Invoice", on_card=True), Column("amount", "Amount", "money"), Column("business_unit", "Unit"), Column("trace", "", "link", display="Trace"),
)  # fmt: skip


def late(ctx: Context, chosen: Filters, rows: pd.DataFrame) -> None:
    """What was due in the period and not paid by then."""
    _head(ctx, chosen, f"Due {chosen.period.within} and not paid by the due date, largest first")
    _other(ctx, rows, LATE, key="invoices_due.late", noun="invoice", empty=f"Everything that was due {chosen.period.within} was paid by its due date.")  # fmt: skip


def in_time(ctx: Context, chosen: Filters, rows: pd.DataFrame) -> None:
    """What was due in the period and paid by then."""
    _head(ctx, chosen, f"Due {chosen.period.within} and paid by the due date, largest first")
    columns = tuple(column for column in LATE if column.name != "days_late")
    _other(ctx, rows, columns, key="invoices_due.in_time", noun="invoice", empty=f"Nothing that was due {chosen.period.within} has been paid by its due date.")  # fmt: skip


def foretold(ctx: Context, chosen: Filters, rows: pd.DataFrame, bounds: tuple[float, float]) -> None:
    """The invoices of one mark of "as foretold"."""
    low, high = (percent(bound, digits=0) for bound in bounds)
    _head(ctx, chosen, f"Foretold between {low} and {high}, surest first")
    told = rows.assign(became=["paid in time" if one else "not paid in time" for one in rows["in_time"]], there=len(rows))  # fmt: skip
    _other(
        ctx,
        told,
        FORETOLD,
        key="invoices_due.foretold",
        noun="invoice",
        empty="Of no invoice that was foretold.",
        window=f"foretold in the last {FORETOLD_DAYS} days",
    )


def not_invoiced(ctx: Context, chosen: Filters, rows: pd.DataFrame) -> None:
    """What has been received and not billed: what to accrue at the end of a period."""
    _head(ctx, chosen, "Received and not invoiced, largest first: the accrual proposal")
    told = rows.assign(billed=["partly" if has else "none has come" for has in rows["has_invoice"]])
    _other(ctx, told, NOT_INVOICED, key="invoices_due.not_invoiced", noun="order", empty="Everything that has been received has been invoiced.", window="open now")  # fmt: skip


def _other(
    ctx: Context,
    rows: pd.DataFrame,
    columns: tuple[Column, ...],
    *,
    key: str,
    noun: str,
    empty: str,
    window: str | None = None,
) -> None:
    if rows.empty:
        frame.nothing_happened(empty)
        return
    shown = rows.assign(trace=[ctx.href("trace", document=str(UUID(str(one)))) for one in rows["document_id"]])
    st.caption(f"{money_short(worth(rows))} in {count(len(rows), noun)}")
    work_table(
        ctx, shown, columns, key=key, row_id="document_id", noun=noun, title=lambda row: f"**{plain(row['number'])}** · {plain(visible(row['business_unit']))}",
        card_action=lambda row: ctx.link("trace", "Trace", document=str(row["document_id"])), there=int(rows.iloc[0]["there"]), window=window,
    )  # fmt: skip
