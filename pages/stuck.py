"""What is not moving, what that is worth, against whom it is slow, and who moves it next. What an exception stops is reprocessed
on the page of the exceptions, with the case chosen here.
"""

from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from pages import filters, frame, imported, stuck_imported, stuck_rows, switches
from pages import stuck_parts as parts
from pages.context import Context
from pages.filters import Choice, Filters
from pages.format import (
    DOCUMENT_TYPES,
    WORKING_DAY_S,
    count,
    day,
    duration,
    money_short,
    percent,
    plain,
    sentence,
    visible,
)
from pages.frame import Definition, Explainer, Figure, LeftOut, Said
from pages.stuck_parts import NARROWED, by_reason, kept_filters, many, value_of
from sync_engine.control.roles import Role
from sync_engine.insight.reports import stuck as ask
from sync_engine.insight.reports.reading import rounded
from sync_engine.insight.reports.stuck import BECAUSE, LEVELS, WAYS
from sync_engine.insight.standing import PEERS_DAYS, SILENT_DAYS, STUCK_TYPES
from sync_engine.model.exceptions import KINDS

TITLE = "Stuck orders"
QUESTION = "What is not moving, what is it worth, and who moves it next?"
URL_PATH = parts.URL_PATH
ROLES = frozenset(Role)
SECTION = "Flow"
ICON = ":material/hourglass_top:"
LACKS = ""

CHOICES = (
    Choice("type", "Type", STUCK_TYPES, lambda name: sentence(DOCUMENT_TYPES[name])),
    Choice("reason", "Stands because", sorted(WAYS), sentence),
    Choice(
        "team",
        "Who moves it",
        sorted({way.team for way in WAYS.values()} | {kind.owner_team for kind in KINDS.values()}),
        sentence,
    ),
)
BAND_NAMES = {
    "0-1k": "Under EUR 1,000",
    "1k-10k": "EUR 1,000 to 10,000",
    "10k-100k": "EUR 10,000 to 100,000",
    "100k": "EUR 100,000 and more",
}
IN_ROWS = ("reason", "team", "amount", "source")
"""The filters that a day's stops cannot be divided by."""

TREND_DAYS = 30
SUM = "sum of the values in group currency"

DEFINITIONS = (
    Definition("Stuck", "an exception stops it; or it waits by agreement and the date has passed (goods: need-by, invoice: 20 working days, payment: due date); or it has stood longer than 95 % of its peers; or past its step's objective", "open requisitions, orders, change orders and invoices", "open now", "each unit's working calendar", "test documents; what waits by agreement until its date; requisitions whose orders are drafted, which count through their orders"),
    Definition("Watch", "longer in its stage than 85 % of its peers, and neither stuck nor silent", "the same", "open now", "the same"),
    Definition("Silent", f"nothing at all heard of it for {SILENT_DAYS} working days although the system it stands in answers in time; where that system has not been heard of it is not known", "the same, without what waits by agreement", "open now", "the same"),
    Definition("Peers", f"stays of the same type in the same stage that ended in the last {PEERS_DAYS} days and the rest of the month these begin in: of the same unit where there are 30 of them, else of all units you may see; with fewer there is no pace. From histograms whose durations are to 1 %", "finished stays", f"last {PEERS_DAYS} days and the rest of their first month (UTC)", "the same", "stays that are not over, stays whose clocks contradict each other"),
    Definition("On time", "of the peers that had stood as long, the share that left the stage by its deadline: needed by (goods), due (payment), else the step's objective; 0 % when that has passed", "open documents with a deadline and 30 peers of which one stood longer", "open now", "the same"),
    Definition("Waiting by agreement", "for goods until they are needed, for the invoice 20 working days, for payment until it is due: not stuck before that", "open documents", "open now", "the same"),
    Definition("Stands because", "the first reason that holds, so that every document has one: " + ", ".join(WAYS), "open documents", "open now", "none"),
    Definition("Taken on by nobody", "stopped by an exception that nobody has taken on", "documents stopped by an exception", "open now"),
    Definition("Value-days", "value times the working days since it should have moved, added up", "stuck documents", "open now", "each unit's working calendar; a working day has 8 hours"),
    Definition("As of", "a document counts as it was recorded up to a few seconds ago; ages, dates and limits are those of the moment the page speaks of", "open documents", "open now", "each unit's working calendar"),
    Definition("Stopped by an exception", "documents with an open exception that blocks them; the line shows the end of each day", "the same", f"open now; the line: last {TREND_DAYS} days", "none"),
)  # fmt: skip


def render(ctx: Context) -> None:
    """The page."""
    if ctx.is_imported:
        stuck_imported.render(ctx)
        return
    said = frame.begin(ctx, QUESTION)
    choices = (*CHOICES, *_more_choices(ctx))
    chosen = filters.row(ctx, choices, with_period=False)
    imported.draw(ctx)
    switches.complain({"level": (*LEVELS, "all"), "because": BECAUSE, "taken": ("no",)})
    asked = ask.Asked(
        ctx.moment.as_of,
        chosen.units,
        chosen.of("type") or STUCK_TYPES,
        reasons=chosen.of("reason"),
        teams=chosen.of("team"),
        bands=chosen.of("amount"),
        sources=chosen.of("source"),
    )
    found = ask.counts(ctx.reports, asked)
    if found.empty:
        said.answer("Nothing is open here.")
        _empty(ctx, said, chosen, choices)
        return
    stuck = found[found["level"] == "stuck"]
    said.answer(_answer(found, stuck))
    days = _days(ctx, chosen)
    frame.figures(_figures(ctx, chosen, found, days, said))
    asked_for_rows = any(name in st.query_params for name in NARROWED)
    if asked_for_rows:
        stuck_rows.draw(ctx, chosen, asked, found)
    if stuck.empty:
        frame.nothing_happened(
            f"0 of {count(many(found), 'open document')} is stopped by an exception, past the 95th percentile of its peers, past an agreed date or past an objective."
        )
    else:
        parts.reasons(ctx, chosen, found)
    parts.ages(ctx, asked, found)
    if days is not None:
        parts.pile(ctx, days)
    if not asked_for_rows:
        stuck_rows.draw(ctx, chosen, asked, found)
    frame.refresh_when_moved(ctx)
    frame.explain(ctx, DEFINITIONS)


def _more_choices(ctx: Context) -> tuple[Choice, Choice]:
    titles = {feed.system: feed.title for feed in ctx.feeds}
    return (
        Choice("amount", "Value", list(BAND_NAMES), BAND_NAMES.__getitem__),
        Choice("source", "Comes from", list(titles), lambda name: visible(titles[name])),
    )


def _answer(found: pd.DataFrame, stuck: pd.DataFrame) -> str:
    watch = found[found["level"] == "watch"]
    slower = (
        f" {many(watch):,} more, worth {money_short(value_of(watch))}, {'is' if many(watch) == 1 else 'are'} slower than most."
        if len(watch)
        else ""
    )
    if stuck.empty:
        return f"None of {count(many(found), 'open document')} is stuck.{slower}"
    groups = by_reason(stuck)
    first = groups.iloc[0]
    most = (
        f"; {money_short(first['value'])} of it: {plain(first['reason'])}, which {plain(first['team'])} can move"
        if first["value"] > 0
        else ""
    )
    return f"{count(many(stuck), 'document')} worth {money_short(value_of(stuck))} {'is' if many(stuck) == 1 else 'are'} stuck{most}.{slower}"


# -- the figures -----------------------------------------------------------------------------------------------------------


def _figures(ctx: Context, chosen: Filters, found: pd.DataFrame, days: pd.DataFrame | None, said: Said) -> list[Figure]:
    stuck, watch = found[found["level"] == "stuck"], found[found["level"] == "watch"]
    stopped = stuck[stuck["because"] == "exception"]
    silent = "; ".join(f"{source.title} has been silent for {duration(source.age_s)}" for source in said.stale)
    kept = kept_filters(chosen)
    why = Explainer(ctx, DEFINITIONS, said.sources)
    waiting = found[found["level"] == "waiting"]

    def show(part: pd.DataFrame, **narrowed: str) -> Any:
        return (
            partial(ctx.link, URL_PATH, switches.show(ctx, many(part), "document"), **kept, **narrowed)
            if many(part)
            else None
        )

    shown = [
        Figure(
            "Stuck",
            money_short(value_of(stuck)),
            n=f"{many(stuck):,} of {count(many(found), 'open document')}, {percent(many(stuck) / many(found))}",
            target="target: none",
            link=show(stuck, level="stuck"),
            stale=silent,
            explained=why(
                "stuck",
                "Stuck",
                SUM,
                many(stuck),
                "document",
                link=show(stuck, level="stuck"),
                left_out=(
                    LeftOut(
                        "waits by agreement, and its date has not come", many(waiting), show(waiting, level="waiting")
                    ),
                ),
            ),
        ),
        Figure(
            "To watch",
            money_short(value_of(watch)),
            n=f"{many(watch):,} slower than 85 % of their peers",
            link=show(watch, level="watch"),
            stale=silent,
            explained=why("watch", "Watch", SUM, many(watch), "document", link=show(watch, level="watch")),
        ),
        _stopped(why, stopped, days, show(stopped, level="stuck", because="exception"), silent),
    ]
    nobody = stopped[~stopped["is_taken"]]
    shown += [
        Figure(
            "Taken on by nobody",
            f"{many(nobody):,}",
            n=f"{money_short(value_of(nobody))} behind an exception without an owner",
            target="target: 0",
            link=show(nobody, level="stuck", because="exception", taken="no"),
            stale=silent,
            explained=why(
                "nobody",
                "Taken on by nobody",
                "count of documents",
                many(nobody),
                "document",
                link=show(nobody, level="stuck", because="exception", taken="no"),
            ),
        ),
        Figure(
            "Value-days",
            money_short(_value_days(stuck)),
            n="value times the working days past the limit",
            link=show(stuck, level="stuck"),
            stale=silent,
            explained=why(
                "value-days",
                "Value-days",
                "sum over documents of (value in group currency x working days since it should have moved)",
                many(stuck),
                "document",
                link=show(stuck, level="stuck"),
            ),
        ),
    ]
    shown.append(_silent(why, found, show, silent))
    return shown


def _value_days(stuck: pd.DataFrame) -> float:
    """Value times the working days past the limit, added up."""
    return float(stuck["value_days_s"].sum()) / WORKING_DAY_S


def _silent(why: Explainer, found: pd.DataFrame, show: Any, stale: str) -> Figure:
    quiet, unknown = found[found["level"] == "silent"], found[found["level"] == "unknown"]
    return Figure(
        "Silent",
        f"{many(quiet):,}",
        n=f"{money_short(value_of(quiet))}; nothing heard for {SILENT_DAYS} working days"
        + (f". {many(unknown):,} more not known: their system has not been heard of" if many(unknown) else ""),
        target="target: 0",
        link=show(quiet, level="silent") if many(quiet) else show(unknown, level="unknown"),
        stale=stale,
        explained=why(
            "silent",
            "Silent",
            "count of documents",
            many(quiet),
            "document",
            link=show(quiet, level="silent"),
            left_out=(
                LeftOut(
                    "their system has not been heard of either, so nobody can say",
                    many(unknown),
                    show(unknown, level="unknown"),
                ),
            ),
        ),
    )


def _days(ctx: Context, chosen: Filters) -> pd.DataFrame | None:
    """Stops by day; None under filters that a day's stops cannot be divided by."""
    if any(chosen.of(name) for name in IN_ROWS):
        return None
    now = rounded(ctx.moment.as_of)
    return ask.stopped_by_day(
        ctx.reports,
        chosen.units,
        since=now - pd.Timedelta(days=TREND_DAYS),
        until=now,
        types=chosen.of("type") or STUCK_TYPES,
    )


def _stopped(why: Explainer, stopped: pd.DataFrame, days: pd.DataFrame | None, link: Any, silent: str) -> Figure:
    change, better, trend = "", None, []
    if days is not None:
        trend = [float(value) for value in days["stopped"]]
        if len(trend) > 7:
            gap = int(trend[-1] - trend[-8])
            change, better = (f"{gap:+,} in 7 days", gap < 0) if gap else ("", None)
    return Figure(
        "Stopped by an exception",
        f"{many(stopped):,}",
        n=f"worth {money_short(value_of(stopped))}",
        change=change,
        better=better,
        trend=trend,
        link=link,
        stale=silent,
        explained=why("stopped", "Stopped by an exception", "count of documents", many(stopped), "document", link=link),
        help="Documents an open exception stops. The line: the end of each day.",
    )


# -- nothing ---------------------------------------------------------------------------------------------------------------


def _empty(ctx: Context, said: Said, chosen: Filters, choices: tuple[Choice, ...]) -> None:
    dropped = [choice.title.lower() for choice in choices if chosen.of(choice.name)] + (
        ["business units"] if chosen.units else []
    )
    if not ctx.units and not ctx.person.sees_all:
        frame.no_permission(
            "No business unit has been given to you, so nothing can be shown. Ask for an application role such as “unit:DE-SOUTH”."
        )
    elif dropped:
        frame.nothing_matches("open documents", dropped, names=(*(choice.name for choice in choices), *NARROWED))
    elif all(source.age_s is None for source in said.sources) or said.stale:
        frame.no_data(ctx, said)
    else:
        frame.nothing_happened(
            f"Nothing is open: every requisition, order and invoice is finished, as of {day(ctx.moment.as_of.astimezone(ctx.zone).date())}."
        )
