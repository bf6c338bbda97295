"""Which invoices will be paid late, what that costs, and which are worth a person's time first; what stands in their way, what discount is to
be had, what has been received and not billed, and which bills look like bills that are here already (PRODUCT.md 4.11, D12)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from pages import filters, frame, invoices_alike, invoices_due_rows, switches
from pages import invoices_due_parts as parts
from pages.context import Context
from pages.explaining import Definition, Explained, LeftOut, Reported
from pages.filters import Choice, Filters
from pages.format import count, day, duration, money_short, percent, plain, sentence, visible
from pages.frame import Figure, Said
from pages.invoices_due_parts import kept_filters, worth
from sync_engine.control.roles import Role
from sync_engine.insight import open_invoices
from sync_engine.insight.foretold import place_of
from sync_engine.insight.open_invoices import AT_RISK, BUCKETS, BY_HAND, BY_ITSELF, MOST_PAST, NOT, PAST_DAYS
from sync_engine.insight.reports import Unanswered
from sync_engine.insight.reports import invoices_due as ask
from sync_engine.insight.reports import invoices_known as known
from sync_engine.insight.reports.invoices_due import FORETOLD_DAYS, Found
from sync_engine.insight.reports.stuck import WAYS
from sync_engine.insight.statistics import wilson

TITLE = "Invoices due"
QUESTION = "Which invoices will be paid late, and which are worth a minute first?"
URL_PATH = parts.URL_PATH
ROLES = frozenset(Role)
SECTION = "Flow"
ICON = ":material/event_upcoming:"
LACKS = "due dates, discounts and payment runs"

REASON = Choice("reason", "Stands because", sorted(WAYS), sentence)

_DUE = Definition("Due in 30 days", "value of open invoices whose due date is today or in the next 30 days; the due date is the invoice's own, as accounting pays by it", "open invoices", "open now, deadline in the next 30 days", "calendar days of the payment run's zone", "test documents, paid and given-up invoices, invoices without a due date")  # fmt: skip
_RISK = Definition("At risk", f"open invoices whose P(on time) is below {percent(AT_RISK, digits=0)}. P(on time): ready by the cut-off of the last payment run held on or before the due date, given stage and age (Kaplan-Meier over visits of its peers, what is not over counted with its age; drawn towards even odds where few peers ever stood as long), times the share of ready ones that were paid in time; between 1 % and 99 %. Past its due date or last cut-off and not ready: 1 %", "open invoices with a due date, a payment run and peers", "open now", "wall clock; runs by their calendar", "invoices of which no chance can be said")  # fmt: skip
_ON_TIME = Definition("Paid on time", "invoices paid by their due date, of all that were due; what is unpaid past its due date counts as late at once", "invoices whose due date lies in the period", "deadline in the period, up to yesterday", "calendar days", "invoices that were given up, test documents")  # fmt: skip
_BLOCKED = Definition("Blocked", "an exception stops it, or it waits for a receipt, a review, a corrected posting or the lifting of a payment block; how it goes on: when its condition holds, by hand, or not", "open invoices", "open now")  # fmt: skip
_DISCOUNT = Definition("Discount at risk", "(1 - P(paid by the end of the discount)) x discount, P being the chance to be ready by the cut-off of the last run before that end, times the share of discounts of ready invoices that were taken; its yield a year is d / (1 - d) x 365 / (net days - discount days)", "open invoices whose term has a discount that can still be had", "open now", "wall clock; runs by their calendar", "discounts whose last run has passed")  # fmt: skip
_NOT_INVOICED = Definition("Received, not invoiced", "quantity received less quantity billed, at the order's prices, net: what to accrue at the end of a period", "open orders with more received than billed", "open now", "calendar days", "orders without receipt; test documents")  # fmt: skip
DEFINITIONS = (
    _DUE, _RISK, _ON_TIME, _BLOCKED, _DISCOUNT, _NOT_INVOICED,
    Definition("Peers", f"visits to the same stage by the newest {MOST_PAST:,} invoices of the last {PAST_DAYS} days: of the same unit and amount band where there are 30, else of the unit, else of every unit you may see; wider ones too where fewer than 10 of the narrower stood as long; their number stands beside each", "invoices that got ready and those that have not yet", f"begun in the last {PAST_DAYS} days", "wall clock", "visits whose clocks contradict each other"),
    Definition("Cost of being late", "P(late) x (amount x rate a year x days late / 365 + fixed fee). The rate is the supplier's country's, or the unit's where you do not see the supplier's record; days late: what is late already, until the next run; else the average of late ones (10 or more), else a week", "open invoices", "open now", "calendar days"),
    Definition("Worth per minute", "(cost of being late + discount at risk + P(late) x supplier criticality) / minutes of work by what stands in its way: the order of the list", "open invoices", "open now"),
    Definition("As foretold", f"once per invoice, on the first of every third day of the last {FORETOLD_DAYS} days on which it was open and had 30 peers, with what was known then, against whether it was paid by its due date. Brier's score is the mean squared difference", "the newest invoices that have come due", f"foretold in the last {FORETOLD_DAYS} days"),
    Definition("Possible duplicate", "agrees with an earlier invoice of the same currency in reference, date, value and supplier, or in three of them and nearly in the fourth. Confidence: the share of verdicts on the pattern that said duplicate, begun with four of ours", "open invoices that are not paid", "open now; the earlier one by the policy's days", "none: a comparison", "pairs that somebody has called distinct"),
)  # fmt: skip


@dataclass(frozen=True)
class _Facts:
    """What one drawing of the page works with."""

    chosen: Filters
    found: Found
    rows: pd.DataFrame
    days: pd.DataFrame
    before: pd.DataFrame
    since_on: date
    until_on: date
    not_invoiced: pd.DataFrame


def render(ctx: Context) -> None:
    """The page."""
    said = frame.begin(ctx, QUESTION)
    chosen = filters.row(ctx, _choices(ctx))
    switches.complain({"show": invoices_due_rows.SHOWN, "due": BUCKETS, "risk": parts.RISKS, "band": parts.BANDS, "why": WAYS, "goes": (BY_ITSELF, BY_HAND, NOT)})  # fmt: skip
    rules = open_invoices.rules(ctx.reports, as_of=ctx.moment.as_of)
    if rules is None:
        said.answer("No payment rules are in force.")
        st.info("They come from config/payments.toml; an engine puts them in force when it starts.", icon=":material/event_upcoming:")  # fmt: skip
        return
    facts = _gather(ctx, chosen, rules)
    if facts.rows.empty and facts.days.empty and facts.not_invoiced.empty:
        said.answer("No invoice is open here.")
        _empty(ctx, said, chosen)
        return
    said.answer(_answer(facts))
    frame.figures(_figures(ctx, facts, said))
    asked_for_rows = any(name in st.query_params for name in parts.NARROWED)
    if asked_for_rows:
        _list(ctx, facts, st.query_params.get("show"))
    if len(facts.rows):
        parts.calendar(ctx, chosen, facts.rows)
        paid = int(facts.days["in_time"].sum()), float(facts.days["in_time_value"].sum())
        parts.from_open_to_paid(ctx, chosen, facts.rows, paid, chosen.period.within)
        parts.risk_matrix(ctx, chosen, facts.rows)
        if not asked_for_rows:
            _list(ctx, facts, None)
    else:
        frame.nothing_happened("No invoice is open; what was due and what is not invoiced stands above.")
    with frame.part("Possible duplicates"):
        invoices_alike.draw(ctx, chosen, rules)
    with frame.part("As foretold"):
        parts.was_it_so(ctx, _calibration(ctx, facts))
    frame.refresh_when_moved(ctx)
    frame.explain(ctx, DEFINITIONS)


def _choices(ctx: Context) -> tuple[Choice, ...]:
    """Reasons, and the suppliers there is something of; by the ERP's number in the address, by name on the page."""
    first = filters.read(ctx)
    since_on, until_on = _days(ctx, first)
    names = ask.suppliers(ctx.reports, first.units, since_on=since_on, until_on=until_on)
    return (Choice("supplier", "Supplier", list(names), lambda number: visible(names[number])), REASON)


def _days(ctx: Context, chosen: Filters) -> tuple[date, date]:
    """The period in days of the reader's zone, the end exclusive."""
    since_on, until_on = (moment.astimezone(ctx.zone).date() for moment in (chosen.period.since, chosen.period.until))
    return since_on, until_on


def _calibration(ctx: Context, facts: _Facts) -> ask.Calibration:
    found: ask.Calibration = ctx.reports.derived(
        "calibration of invoices due",
        lambda: ask.calibration(facts.found, as_of=ctx.moment.as_of),
        weight=1,
        true_for=ctx.moment.as_of.date(),
    )
    return found


def _gather(ctx: Context, chosen: Filters, rules: open_invoices.Rules) -> _Facts:
    suppliers, reasons = chosen.of("supplier"), chosen.of("reason")
    found = ask.open_ones(ctx.reports, chosen.units, rules, as_of=ctx.moment.as_of, suppliers=suppliers)
    rows = parts.told(found.rows if reasons is None else found.rows[found.rows["reason"].isin(reasons)].reset_index(drop=True))  # fmt: skip
    since_on, until_on = _days(ctx, chosen)
    earlier = since_on - (until_on - since_on)
    days = ask.due_by_day(ctx.reports, chosen.units, since_on=earlier, until_on=until_on, suppliers=suppliers)
    # Of booleans even where no day is there: a frame asked for an empty list would answer without its columns.
    is_now = days["day"].map(lambda one: one >= since_on).astype(bool)
    return _Facts(
        chosen, found, rows, days[is_now], days[~is_now], since_on, until_on, ask.not_invoiced(ctx.reports, chosen.units, as_of=ctx.moment.as_of, suppliers=suppliers),
    )  # fmt: skip


def _list(ctx: Context, facts: _Facts, show: str | None) -> None:
    chosen = facts.chosen
    with frame.part("The list"):
        if show in {"late", "in-time"}:
            rows = ask.due_rows(ctx.reports, chosen.units, since_on=facts.since_on, until_on=facts.until_on, in_time=show == "in-time", suppliers=chosen.of("supplier"))  # fmt: skip
            (invoices_due_rows.late if show == "late" else invoices_due_rows.in_time)(ctx, chosen, rows)
        elif show == "not-invoiced":
            invoices_due_rows.not_invoiced(ctx, chosen, facts.not_invoiced)
        elif show == "foretold":
            asked, made = st.query_params.get("bin", ""), _calibration(ctx, facts)
            one = next((one for one in made.bins if f"{one.low:g}" == asked), None)
            told = made.of(place_of(one.low)) if one else []
            invoices_due_rows.foretold(ctx, chosen, ask.told_rows(ctx.reports, told), (one.low, one.high) if one else (0, 1))  # fmt: skip
        else:
            invoices_due_rows.queue(ctx, chosen, facts.rows, facts.found)


def _answer(facts: _Facts) -> str:
    rows = facts.rows
    if rows.empty:
        return "No invoice is open."
    soon, risky = _of(rows, "due-30"), _of(rows, "at-risk")
    said = f"{count(len(soon), 'invoice')} worth {money_short(worth(soon))} {'is' if len(soon) == 1 else 'are'} due in 30 days."
    if risky.empty:
        return f"{said} None of {count(len(rows), 'open invoice')} is at risk of being paid late."
    cost = money_short(_cost(risky))
    first = invoices_due_rows.to_work_on(rows).iloc[0]
    why = plain(first["reason"]) if first["group"] == "blocked" else plain(first["group"])
    return f"{said} {len(risky):,} open, worth {money_short(worth(risky))}, will probably be paid late, at an expected cost of {cost}. A minute is worth most on {plain(first['number'])} of {plain(first['supplier_name'])} ({why})."


def _of(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    return invoices_due_rows.narrowed(rows, {"show": name})[0]


def _cost(rows: pd.DataFrame) -> float:
    return sum(cost for cost in rows["late_cost"] if cost is not None)


# -- the figures -----------------------------------------------------------------------------------------------------------------


def _figures(ctx: Context, facts: _Facts, said: Said) -> list[Figure]:
    silent = "; ".join(f"{source.title} has been silent for {duration(source.age_s)}" for source in said.stale)
    rows = facts.rows
    soon, risky, blocked, discounts = (_of(rows, name) for name in ("due-30", "at-risk", "blocked", "discount"))
    unknown = sum(p is None for p in rows["p_on_time"])
    undated = sum(one is None for one in rows["due_on"])
    releases = [(sum(one == how for one in blocked["releases"]), how) for how in (BY_ITSELF, BY_HAND, NOT)]
    lost = sum(one for one in discounts["discount_at_risk"] if one is not None)
    best = max((one for one in discounts["annual_yield"] if one is not None), default=None)
    make = partial(_figure, ctx, facts, said, silent)
    return [
        make("due", _DUE, money_short(worth(soon)), f"{count(len(soon), 'invoice')} of {len(rows):,} open", "due-30", len(soon), "sum of the values", left_out=[LeftOut("without a due date", undated)], reported=None if facts.chosen.of("reason") else partial(_due_then, ctx, facts)),
        make("risk", _RISK, money_short(worth(risky)), f"{len(risky):,} of {count(len(rows), 'open invoice')}; expected cost {money_short(_cost(risky))}", "at-risk", len(risky), "1 - S(age + time to the cut-off) / S(age), times paid in time / ready by the cut-off", left_out=[LeftOut("no chance can be said", unknown)]),
        _on_time(ctx, facts, said, silent),
        make("blocked", _BLOCKED, money_short(worth(blocked)), f"{count(len(blocked), 'invoice')}" + ("" if blocked.empty else f", going on: {'; '.join(f'{n:,} {how}' for n, how in releases if n)}"), "blocked", len(blocked), "sum of the values"),
        make("discount", _DISCOUNT, money_short(lost), f"{count(len(discounts), 'invoice')} with {money_short(sum(discounts['discount']))} to be had" + (f", up to {percent(best)} a year; {facts.found.taken.in_time:,} of {facts.found.taken.n:,} were taken so far" if best else ""), "discount", len(discounts), "sum of (1 - P) x discount"),
        _received(ctx, facts, said, silent),
    ]  # fmt: skip


def _figure(ctx: Context, facts: _Facts, said: Said, silent: str, key: str, definition: Definition, value: str, n: str, show: str, rows: int, formula: str, *, noun: str = "invoice", left_out: Sequence[LeftOut] = (), **more: Any) -> Figure:  # fmt: skip
    link = partial(ctx.link, URL_PATH, switches.show(ctx, rows, noun), **kept_filters(facts.chosen), show=show) if rows else None  # fmt: skip
    explained = Explained(ctx, key, definition, formula, rows, noun, link=link, left_out=left_out, sources=said.sources, **{name: more.pop(name) for name in ("period", "is_sampled", "reported") if name in more})  # fmt: skip
    return Figure(definition.name, value, n=n, link=link, stale=silent, explained=explained, **more)


def _on_time(ctx: Context, facts: _Facts, said: Said, silent: str) -> Figure:
    days, before = facts.days, facts.before
    due, good = int(days["due"].sum()), int(days["in_time"].sum())
    by_value = float(days["in_time_value"].sum()) / float(days["due_value"].sum()) if days["due_value"].sum() else None
    earlier = int(before["in_time"].sum()) / int(before["due"].sum()) if before["due"].sum() else None
    points = round((good / due - earlier) * 100, 1) if due and earlier is not None else 0.0
    bounds = wilson(good, due)
    sure = f"; 95 % interval {percent(bounds[0])} to {percent(bounds[1])}" if bounds else ""
    link = partial(ctx.link, URL_PATH, f"Show {due - good:,} late", **kept_filters(facts.chosen), show="late") if due > good else None  # fmt: skip
    explained = Explained(
        ctx, "on-time", _ON_TIME, f"paid by the due date / due = {good:,} / {due:,}{sure}", due, "invoice", period=facts.chosen.period, link=link,
        left_out=[LeftOut("given up", int(days["given_up"].sum()))], sources=said.sources, is_sampled=True, reported=partial(_on_time_then, ctx, facts),
    )  # fmt: skip
    return Figure(
        _ON_TIME.name, percent(good / due if due else None), n=f"{good:,} of {due:,} due {facts.chosen.period.within}; by value {percent(by_value)}" if due else f"nothing was due {facts.chosen.period.within}",
        change=f"{points:+.1f} points" if points else "", better=points > 0 if points else None, link=link, stale=silent, explained=explained,
        help=f"Due from {day(facts.since_on)} to {day(facts.until_on - timedelta(days=1))}; the change is against as many days before.",
    )  # fmt: skip


def _due_then(ctx: Context, facts: _Facts, evening: date) -> Reported:
    n, value = known.due_ahead(ctx.reports, facts.chosen.units, evening=evening, suppliers=facts.chosen.of("supplier"))
    soon = _of(facts.rows, "due-30")
    return Reported(f"{money_short(value)} in {count(n, 'invoice')}", f"{money_short(worth(soon))} in {count(len(soon), 'invoice')}, of the 30 days from today", f"the 30 days from {day(evening)}")  # fmt: skip


def _on_time_then(ctx: Context, facts: _Facts, evening: date) -> Reported:
    if evening < facts.since_on:
        raise Unanswered("invoices due", "That evening lies before the period of this page. Choose a longer period.")
    found = known.paid_on_time(ctx.reports, facts.chosen.units, since_on=facts.since_on, until_on=facts.until_on, evening=evening, suppliers=facts.chosen.of("supplier"))  # fmt: skip
    then, now = (f"{percent(one.in_time / one.due if one.due else None)}, {one.in_time:,} of {one.due:,} due" for one in (found.then, found.now))  # fmt: skip
    restated = [(learned_on, n, "paid in time after all") for learned_on, n in found.restated]
    return Reported(then, now, f"what was due from {day(found.since_on)} to {day(found.until_on)}", restated)


def _received(ctx: Context, facts: _Facts, said: Said, silent: str) -> Figure:
    rows = facts.not_invoiced
    if rows.empty:
        return _figure(ctx, facts, said, silent, "not-invoiced", _NOT_INVOICED, money_short(0), "no order has more received than billed", "not-invoiced", 0, "sum over order lines", noun="order")  # fmt: skip
    first = rows.iloc[0]
    n = f"accrual proposal for {count(first['there'], 'order')}; for {first['all_without']:,} of them no invoice has come ({money_short(first['all_value_without'] or 0)}); oldest {count(max(rows['days']), 'day')}"
    return _figure(ctx, facts, said, silent, "not-invoiced", _NOT_INVOICED, money_short(first["all_value"]), n, "not-invoiced", int(first["there"]), "sum of (received - billed) x ordered amount / ordered quantity, over order lines", noun="order")  # fmt: skip


# -- nothing ------------------------------------------------------------------------------------------------------------------------


def _empty(ctx: Context, said: Said, chosen: Filters) -> None:
    dropped = [name for name, is_set in (("supplier", chosen.of("supplier")), (REASON.title.lower(), chosen.of("reason")), ("business units", chosen.units)) if is_set]  # fmt: skip
    if not ctx.units and not ctx.person.sees_all:
        frame.no_permission("No business unit has been given to you, so nothing can be shown. Ask for an application role such as “unit:DE-SOUTH”.")  # fmt: skip
    elif dropped:
        frame.nothing_matches("invoices", dropped, names=("reason", "supplier", *parts.NARROWED))
    elif all(source.age_s is None for source in said.sources) or said.stale:
        frame.no_data(ctx, said)
    else:
        frame.nothing_happened(f"No invoice is open, none was due {chosen.period.within}, and everything received has been invoiced.")  # fmt: skip
    frame.explain(ctx, DEFINITIONS)
