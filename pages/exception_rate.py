"""How many of the documents that entered met an exception: which units more than chance explains, why, and how it ended. Failed
calls are another matter and stand apart.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from pages import exception_rate_backlog as backlog
from pages import exception_rate_compare as compare
from pages import exception_rate_imported, filters, frame, imported, switches
from pages import exception_rate_parts as parts
from pages import exception_rate_times as times
from pages import exception_rate_yield as first_pass
from pages.context import Addresses, Context
from pages.exception_rate_parts import NARROWED, Facts
from pages.filters import Choice, Filters
from pages.format import (
    CATEGORIES,
    DOCUMENT_TYPES,
    count,
    duration,
    money_short,
    percent,
    plain,
    sentence,
    visible,
    words,
    working_time,
)
from pages.frame import Definition, Explainer, Figure, LeftOut, Said
from pages.tables import Column, work_table
from sync_engine.control.roles import Role
from sync_engine.insight.once import once
from sync_engine.insight.reports import exception_rate as ask
from sync_engine.insight.reports.exception_rate import Closing, Population, Rate
from sync_engine.insight.reports.first_pass import AS_INTENDED
from sync_engine.insight.standing import STUCK_TYPES
from sync_engine.insight.statistics import FEW, wilson
from sync_engine.model.exceptions import KINDS, kind_of

TITLE = "Exception rate"
QUESTION = "Which documents meet an exception, where more than elsewhere, and why?"
URL_PATH = parts.URL_PATH
ROLES = frozenset(Role)
SECTION = "Flow"
ICON = ":material/troubleshoot:"
LACKS = ""

CHOICES = (
    Choice("type", "Type", STUCK_TYPES, lambda name: sentence(DOCUMENT_TYPES[name])),
    Choice("category", "Category", list(CATEGORIES), CATEGORIES.__getitem__),
)
SHOWN = {
    "with": "Documents with an exception, most money first",
    "open": "Documents with an exception that is still open, most money first",
    "self_cured": "Documents with an exception that cured itself, most money first",
    "came_back": "Documents that met the same cause again, most money first",
}

COLUMNS = (
    Column("number", "Document", "id", width=100),
    Column("known_as", "Known as", "id", width=130, help="What the ERP and the approval tool call it."),
    Column("document_type", "Type", "words"),
    Column("business_unit", "Unit"),
    Column("causes", "Met", on_card=True, width=260),
    Column("group_amount", "Value (EUR)", "group_money", on_card=True),
    Column("exceptions", "Exceptions", "count"),
    Column("open", "Open", "count"),
    Column("ended", "How it stands", on_card=True, width=170),
    Column("submitted_at", "Entered", "time"),
    Column("raised_at", "First exception", "time"),
    Column("supplier_name", "Supplier"),
    Column("requester", "Requester"),
    Column("state", "Stands at", "words"),
    Column("exception", "", "link", display="Exception"),
    Column("trace", "", "link", display="Trace"),
)

DEFINITIONS = (
    Definition("Exception rate", "documents that ever met an exception, of those that entered; one document counts once, however many exceptions and retries it had", "requisitions, orders, change orders and invoices submitted in the period; exceptions of the categories chosen", "entered in the period; exceptions at any time since", left_out="test documents; messages nobody could read, which are no documents yet"),
    Definition("Rate by value", "the same by value in group currency", "the same", "the same"),
    Definition("Still open", "documents of these with an exception that is open now", "documents with an exception", "entered in the period"),
    Definition("Cured by themselves", "exceptions closed by a repeat of the engine or better news from the source, without a person, of all closed", "exceptions of these documents", "entered in the period", left_out="exceptions still open"),
    Definition("Time to close", "raised until closed, half took no longer; open ones count with the age they have (Kaplan-Meier)", "exceptions of these documents", "entered in the period", "each unit's working calendar; a working day has 8 hours"),
    Definition("Came back", "exceptions that met the same document with the same cause again within 30 days of being closed, of all closed", "exceptions of these documents", "entered in the period"),
    Definition("More than chance explains", "outside the 95 % lines: a unit of that size, like all others, would lie there once in twenty times. The table shows Wilson's 95 % interval and ranks by its lower end, so that 2 of 3 does not lead", "business units", "entered in the period"),
    Definition("At the same mix", "the rates of this period, each unit weighted as in the period before, so that a shift between units does not pass for a change in them", "units that have documents in both periods", "entered in the period"),
    Definition("Times the others' rate", "the rate of the documents with this value over that of all others, with its 95 % interval (logarithmic); would vanish: exceptions above the others' rate. Cannot be told from: more than 80 % of the smaller one's documents are the other's too", "values with 10 documents and more", "entered in the period"),
    Definition("Raised and closed", "exceptions by the day on which they were raised and closed; the line is what stood open at the end of the day. Open backlog: open documents with an open exception, of all open documents", "exceptions of the types and categories chosen, whenever their document entered", "raised or closed in the period; the backlog now"),
    first_pass.DEFINITION,
    Definition("Met for the first time", "causes whose first exception lies in the last seven days of the period: same kind, same system, same master data behind it", "exceptions of the types and categories chosen, as far as you see", f"last {backlog.NEW_DAYS} days of the period"),
    Definition("Failed calls", "attempts that were not sent, failed or got no answer, of all attempts: about calls, never mixed with the above; one document can have forty", "attempts of the chosen units, and those about no document", "made in the period", "none"),
)  # fmt: skip


def render(ctx: Context) -> None:
    """The page."""
    if ctx.is_imported:
        exception_rate_imported.render(ctx)
        return
    said = frame.begin(ctx, QUESTION)
    chosen = filters.row(ctx, CHOICES)
    imported.draw(ctx)
    switches.complain({"show": SHOWN, "code": KINDS, "yield": first_pass.SHOWN, "kind": AS_INTENDED})
    facts = _gather(ctx, chosen)
    now = facts.rates.of()
    if not now.entered:
        said.answer("Nothing entered here.")
        _empty(ctx, said, chosen)
        parts.failed_calls(ctx, chosen)
        return
    said.answer(_answer(facts, now))
    frame.figures(_figures(ctx, facts, said))
    asked_for_rows = any(name in st.query_params for name in NARROWED)
    if asked_for_rows:
        with frame.part("The list"):
            (first_pass.rows if "yield" in st.query_params else _rows)(ctx, facts)
    with frame.part("First-pass yield"):
        first_pass.draw(ctx, facts, said)
    if now.with_exception:
        parts.where(ctx, facts, now)
        compare.mix(facts)
        parts.why(ctx, facts, now)
        with frame.part("What exceptions go with"):
            compare.goes_with(ctx, facts)
        parts.better_or_worse(ctx, facts, now)
        times.categories(ctx, facts)
        with frame.part("Raised and closed"):
            backlog.pile(ctx, facts)
        with frame.part("New causes"):
            backlog.new_causes(ctx, facts)
        backlog.heat(ctx, facts)
        times.hours(ctx, facts)
    else:
        frame.nothing_happened(
            f"None of {count(now.entered, 'document')} that entered in the {chosen.period.name} met an exception."
        )
    with frame.part("Failed calls"):
        parts.failed_calls(ctx, chosen)
    if not asked_for_rows:
        _rows(ctx, facts)
    frame.refresh_when_moved(ctx)
    frame.explain(ctx, DEFINITIONS)


def _gather(ctx: Context, chosen: Filters) -> Facts:
    period, reports, zone = chosen.period, ctx.reports, ctx.zone.key
    wanted = Population(
        period.since, period.until, chosen.units, chosen.of("type") or STUCK_TYPES, chosen.of("category")
    )
    return Facts(
        chosen, wanted, ask.rates(reports, wanted, before=period.before.since, zone=zone), ask.causes(reports, wanted),
        ask.time_to_close(reports, wanted, as_of=ctx.moment.as_of), ask.rows(reports, wanted, zone=zone),
    )  # fmt: skip


def _answer(facts: Facts, now: Rate) -> str:
    if not now.with_exception:
        return f"None of {count(now.entered, 'document')} met an exception."
    sentence = f"{now.with_exception:,} of {count(now.entered, 'document')} ({percent(now.share)}) met an exception, {percent(now.value_share)} of their value."
    units = parts.by_unit(facts, now)
    apart = units[units["apart"] & (units["share"] > (now.share or 0))]
    if len(apart):
        sentence += f" {plain(', '.join(apart['business_unit']))} {'has' if len(apart) == 1 else 'have'} more than chance explains."
    elif len(units) > 1:
        sentence += " No unit has more than chance explains."
    by_code = parts.by_cause(facts)
    first = by_code.iloc[0]
    return (
        sentence
        + f" Most frequent: {plain(first['title'])[0].lower()}{plain(first['title'])[1:]} ({count(int(first['documents']), 'document')})."
    )


# -- the figures ------------------------------------------------------------------------------------------------------------


def _figures(ctx: Context, facts: Facts, said: Said) -> list[Figure]:
    silent = "; ".join(f"{source.title} has been silent for {duration(source.age_s)}" for source in said.stale)
    now, before, rows, causes = facts.rates.of(), facts.rates.of(before=True), facts.rows, facts.causes
    weeks = facts.rates.by("week")

    def show(part: int, which: str) -> Any:
        return (
            partial(ctx.link, URL_PATH, switches.show(ctx, part, "document"), show=which, **facts.links())
            if part
            else None
        )

    open_rows = rows[rows["open"] > 0]
    cured_rows = rows[rows["self_cured"] > 0]
    closed, cured, back = int(causes["closed"].sum()), int(causes["self_cured"].sum()), int(causes["came_back"].sum())
    back_documents = causes[causes["came_back"] > 0]["document_id"].nunique()
    interval = wilson(now.with_exception, now.entered)
    why = Explainer(ctx, DEFINITIONS, said.sources, facts.chosen.period)
    with_one = show(len(rows), "with")
    return [
        Figure("Exception rate", percent(now.share), n=f"{now.with_exception:,} of {count(now.entered, 'document')}" + (f"; 95 % interval {percent(interval[0])} to {percent(interval[1])}" if interval else ""), link=with_one, stale=silent, trend=[float(value) for value in weeks["share"].dropna()], explained=why("rate", "Exception rate", "documents with an exception / documents that entered", now.entered, "document", link=with_one), **_change(now.share, before.share, before.entered)),
        Figure("Rate by value", percent(now.value_share), n=f"{money_short(now.value_with_exception)} of {money_short(now.value)}", link=with_one, stale=silent, explained=why("value", "Rate by value", "value of documents with an exception / value of documents that entered", now.entered, "document", link=with_one), **_change(now.value_share, before.value_share, before.entered)),
        Figure("Still open", f"{len(open_rows):,}", n=f"{money_short(open_rows['group_amount'].dropna().astype(float).sum())}; {percent(len(open_rows) / len(rows) if len(rows) else None, digits=0)} of those with an exception", target="target: 0", link=show(len(open_rows), "open"), stale=silent, explained=why("open", "Still open", "count of documents", len(open_rows), "document", link=show(len(open_rows), "open"))),
        Figure("Cured by themselves", percent(cured / closed if closed else None), n=f"{cured:,} of {count(closed, 'exception')} closed", link=show(len(cured_rows), "self_cured"), stale=silent, explained=why("cured", "Cured by themselves", "exceptions closed without a person / exceptions closed", closed, "exception", link=show(len(cured_rows), "self_cured"), left_out=(LeftOut("still open", int(causes["open"].sum()), show(len(open_rows), "open")),))),
        Figure("Time to close, median", switches.brief(ctx, _closing(facts.closing)), n=f"{'working time, ' if ctx.narrow else ''}n {facts.closing.n:,}, {facts.closing.open:,} of them open", link=with_one, stale=silent, explained=why("closing", "Time to close", "smallest time by which half are closed, by Kaplan-Meier", facts.closing.n, "exception", is_sampled=True, link=with_one), help="Open ones count with the age they have."),
        Figure("Came back", percent(back / closed if closed else None), n=f"{back:,} of {closed:,} closed", target="target: 0", link=show(back_documents, "came_back"), stale=silent, explained=why("back", "Came back", "exceptions that came back within 30 days / exceptions closed", closed, "exception", link=show(back_documents, "came_back")), help="The same cause on the same document again within 30 days."),
    ]  # fmt: skip


def _closing(found: Closing) -> str:
    if not found.n:
        return "no data"
    if found.n < FEW:
        return "too few"
    return working_time(found.p50_business_s) if found.p50_business_s is not None else "not reached"


def _change(now: float | None, before: float | None, n_before: int) -> dict[str, Any]:
    if now is None or before is None or n_before < FEW:
        return {}
    points = (now - before) * 100
    return {"change": f"{points:+.1f} points", "better": points < 0} if abs(points) >= 0.05 else {}


# -- the rows ------------------------------------------------------------------------------------------------------------------------


def _rows(ctx: Context, facts: Facts) -> None:
    which, code, week = (
        switches.one_of("show", SHOWN) or "with",
        switches.one_of("code", KINDS),
        st.query_params.get("week"),
    )
    rows, heading = _listed(facts, which, code, week, ctx.addresses), SHOWN[which]
    if code is not None:
        heading += f": {visible(kind_of(code).title).lower()}"
    if week is not None:
        heading += f", week from {visible(week)[:10]}"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(plain(heading), anchor=False, width="content")
        if any(name in st.query_params for name in NARROWED):
            ctx.link(URL_PATH, "Close the list", icon=":material/close:", **facts.links())
    if rows.empty:
        frame.nothing_happened("There is no such document.")
        return
    work_table(
        ctx,
        rows,
        COLUMNS,
        key="rate.rows",
        of=DEFINITIONS[0],
        row_id="document_id",
        noun="document",
        title=_title,
        card_action=partial(_card, ctx),
    )


@once
def _listed(facts: Facts, which: str, code: str | None, week: str | None, at: Addresses) -> pd.DataFrame:
    """The documents that are asked for, with what is said of each and where it is."""
    rows = facts.rows
    if which in {"open", "self_cured"}:
        rows = rows[rows[which] > 0]
    elif which == "came_back":
        rows = rows[rows["document_id"].isin(facts.causes[facts.causes["came_back"] > 0]["document_id"])]
    if code is not None:
        rows = rows[[code in codes for codes in rows["codes"]]]
    if week is not None:
        rows = rows[[monday is not None and monday.isoformat() == week for monday in rows["week"]]]
    return rows.assign(
        causes=["; ".join(kind_of(name).title for name in codes) for codes in rows["codes"]],
        ended=[_ended(row) for row in rows.to_dict("records")],
        exception=[
            None if pd.isna(case_id) else at.href("exceptions", case=str(case_id)) for case_id in rows["case_id"]
        ],
        trace=[at.href("trace", document=str(document_id)) for document_id in rows["document_id"]],
    )


def _ended(row: Mapping[Any, Any]) -> str:
    if row["open"]:
        return f"{row['open']:,} of {row['exceptions']:,} open"
    return "cured by itself" if row["self_cured"] == row["exceptions"] else "closed"


def _title(row: dict[str, Any]) -> str:
    known = f" ({plain(row['known_as'])})" if isinstance(row["known_as"], str) else ""
    return f"**{plain(row['number'])}**{known} · {plain(row['business_unit'])} · {words(row['document_type'])}"


def _card(ctx: Context, row: dict[str, Any]) -> None:
    if isinstance(row["exception"], str):
        ctx.link("exceptions", "Exception", case=str(row["case_id"]))
    ctx.link("trace", "Trace", document=str(row["document_id"]))


def _empty(ctx: Context, said: Said, chosen: Filters) -> None:
    if not ctx.units and not ctx.person.sees_all:
        frame.no_permission(
            "No business unit has been given to you, so nothing can be shown. Ask for an application role such as “unit:DE-SOUTH”."
        )
        return
    if not _is_filtered(chosen) and (said.stale or all(source.age_s is None for source in said.sources)):
        frame.no_data(ctx, said)
        return
    dropped = (
        ["the period"]
        + [choice.title.lower() for choice in CHOICES if chosen.of(choice.name)]
        + (["business units"] if chosen.units else [])
    )
    frame.nothing_matches(
        f"documents that entered in the {chosen.period.name}",
        dropped,
        names=(*(choice.name for choice in CHOICES), *NARROWED),
    )


def _is_filtered(chosen: Filters) -> bool:
    return chosen.units is not None or "period" in st.query_params or any(chosen.chosen.values())
