"""The six figures of the page on cycle time, each with its definition and everything it can be asked about (D15)."""

from collections.abc import Callable
from datetime import date, timedelta
from functools import partial
from typing import Any

from pages import switches
from pages.context import Context
from pages.cycle_time_parts import STOP, URL_PATH, Facts
from pages.explaining import Definition, Explained, LeftOut, Reported
from pages.format import count, day, duration, percent
from pages.frame import Figure, Said
from sync_engine.insight.reports import explain
from sync_engine.insight.reports.cycle_time import Percentiles
from sync_engine.insight.reports.explain import Counted
from sync_engine.insight.statistics import FEW, SOME

LEAST_S = 60
"""A median that differs by less has not changed."""

_TO_ORDER = Definition("Requisition to order", "first submit (resubmitting does not set it back) until the ERP's order number is back in procurement; change orders are not part of it. Median: half took no longer", "requisitions ordered in the period", "completed in the period", "the unit's working calendar, or the wall clock, as chosen above; a working day has 8 hours", "test documents, and clocks that contradict each other (order before submit), which are listed apart")  # fmt: skip
_TO_POSTING = Definition("Requisition to posting", "first submit until the last of its invoices so far is in the ledger", "requisitions with an invoice posted in the period", "completed in the period", "as chosen", "the same")  # fmt: skip
_APPROVED = Definition("Approval to order", "last approval until the order number is back in procurement: the part that systems take", "requisitions ordered in the period that were approved", "completed in the period", "as chosen", "the same")  # fmt: skip
_OPEN_ONES = Definition("Open ones counted", "median over everything submitted, those still under way counted with the age they have (Kaplan-Meier); what is already finished alone looks faster than it is", "requisitions submitted in the period", "entered in the period", "as chosen", "requisitions that ended without an order, and clocks that contradict each other")  # fmt: skip
_ORDERED = Definition("Ordered", "requisitions whose order number came back to procurement", "requisitions of the log chosen", "completed in the period")  # fmt: skip
_SETTLED = Definition("Settled", "ordered, or ended without an order, of all submitted", "requisitions submitted in the period", "entered in the period", "none: a share of documents", "test documents")  # fmt: skip
DEFINITIONS = (
    _TO_ORDER, _TO_POSTING, _APPROVED, _OPEN_ONES, _ORDERED, _SETTLED,
    Definition("Where the time goes", "the parts of every requisition add up to its whole; each share is of all their time together. Medians of parts do not add up to the median of the whole", "the requisitions of the figure chosen", "completed in the period", "as chosen", "requisitions some of whose orders are still missing"),
    Definition("Call running, between systems, waiting", "a call: one of ours for any document of the journey was running; between systems: something had happened at its source and was not visible here yet; waiting: the rest of the stage. Flow efficiency is the first of the three, of all of it", "the same requisitions", "completed in the period", "as chosen"),
    Definition("Under way, and whether that is steady", "Little's law: what is under way on average is what leaves a day times the days it took; further apart than a quarter, figures are on the move", "requisitions submitted and neither ordered nor ended", "each day's end of the period up to now", "wall"),
    Definition("Small numbers", f"fewer than {FEW}: no percentile; fewer than {SOME}: marked as a small sample", "units and weeks", "the period", "none"),
)  # fmt: skip

MEASURES = (
    ("ordered", "Requisition to order, median", "From the first submit to the order number back in procurement.", _TO_ORDER, "median of (order number back in procurement - first submit)"),
    ("posted", "Requisition to posting, median", "From the first submit to the last invoice so far in the ledger.", _TO_POSTING, "median of (last invoice in the ledger - first submit)"),
    ("approved_to_ordered", "Approval to order, median", "The part that systems take, after the last approval.", _APPROVED, "median of (order number back in procurement - last approval)"),
)  # fmt: skip

Spoken = Callable[[dict[str, Counted]], str]


def shown(ctx: Context, facts: Facts, said: Said) -> list[Figure]:
    """The figures, in their order."""
    silent = "; ".join(f"{source.title} has been silent for {duration(source.age_s)}" for source in said.stale)
    return [
        *(_percentile(ctx, facts, said, measure, silent) for measure in MEASURES),
        _open_ones(ctx, facts, said, silent),
        _ordered(ctx, facts, said, silent),
        _settled(ctx, facts, said, silent),
    ]


def _explained(ctx: Context, facts: Facts, said: Said, key: str, definition: Definition, formula: str, included: int, **more: Any) -> Explained:  # fmt: skip
    return Explained(
        ctx, key, definition, formula, included, "requisition", period=facts.chosen.period, sources=said.sources, **more
    )


def _contradicting(ctx: Context, facts: Facts, found: Percentiles) -> tuple[LeftOut, ...]:
    link = partial(ctx.link, URL_PATH, "Show them", show="contradicting", **facts.links())
    return (LeftOut("clocks that contradict each other", found.documents - found.n, link),)


def _reported(
    ctx: Context, facts: Facts, measures: tuple[str, ...], spoken: Spoken, what: str
) -> Callable[[date], Reported]:
    """How a figure is had as it was reported on an evening; `spoken` writes it from its measures."""

    def reported(evening: date) -> Reported:
        period = facts.chosen.period
        found = explain.as_reported(
            ctx.reports, measures, facts.chosen.units, since=period.since, until=period.until, evening=evening,
        )  # fmt: skip
        return Reported(
            spoken({name: found.then.get(name, explain.NOTHING) for name in measures}),
            spoken({name: found.now.get(name, explain.NOTHING) for name in measures}),
            f"{day(found.since_on)} to {day(found.until_on - timedelta(days=1))} (UTC days)",
            [(learned_on, n, what) for learned_on, measure, n in found.restated if measure == measures[0]],
        )

    return reported


def _percentile(ctx: Context, facts: Facts, said: Said, asked: tuple[Any, str, str, Definition, str], silent: str) -> Figure:  # fmt: skip
    measure, label, what, definition, formula = asked
    now, before = facts.figures.of(measure), facts.figures.of(measure, before=True)
    change = ""
    if now.n >= FEW and before.n >= FEW and now.p50_s is not None and before.p50_s is not None:
        gap = now.p50_s - before.p50_s
        change = f"{'+' if gap > 0 else '-'}{facts.spoken(abs(gap))}" if abs(gap) >= LEAST_S else ""
    links = facts.links() | ({"stop": measure} if measure in STOP.options else {})
    link = (
        partial(ctx.link, URL_PATH, switches.show(ctx, now.documents, "requisition"), show=measure, **links)
        if now.documents
        else None
    )
    rolled = f"{measure}_{facts.clock}"

    def spoken(found: dict[str, Counted]) -> str:
        one = found[rolled]
        return f"{facts.spoken(one.p50_s) if one.documents >= FEW else 'too few' if one.documents else 'no data'}, n {one.documents:,}"

    return Figure(
        label,
        switches.brief(ctx, _value(facts, now)),
        n=_clock(ctx, facts)
        + _sample(now)
        + (f"; 85 % within {facts.spoken(now.p85_s)}, 95 % within {facts.spoken(now.p95_s)}" if now.n >= FEW else ""),
        change=change,
        better=change.startswith("-") if change else None,
        target="" if change else f"n {before.n:,} before: no comparison" if now.n >= FEW and before.n < FEW else "",
        trend=[float(week["p50_s"]) for week in facts.figures.by_week(measure).to_dict("records") if week["n"] >= FEW],
        link=link,
        stale=silent,
        help=f"{what} Completed in the {facts.chosen.period.name}.",
        explained=_explained(
            ctx, facts, said, measure, definition, formula, now.n, link=link, is_sampled=True, left_out=_contradicting(ctx, facts, now),
            reported=_reported(ctx, facts, (rolled,), spoken, "that had reached it"),
        ),
    )  # fmt: skip


def _clock(ctx: Context, facts: Facts) -> str:
    return "working time, " if ctx.narrow and facts.clock == "business" else ""


def _value(facts: Facts, found: Percentiles) -> str:
    if not found.n:
        return "no data"
    return facts.spoken(found.p50_s) if found.n >= FEW else "too few"


def _sample(found: Percentiles) -> str:
    apart = f", {found.documents - found.n:,} with contradicting clocks" if found.documents > found.n else ""
    return f"n {found.n:,}{', small sample' if FEW <= found.n < SOME else ''}{apart}"


def _open_ones(ctx: Context, facts: Facts, said: Said, silent: str) -> Figure:
    found = facts.honest
    if not found.n:
        value = "no data"
    elif found.n < FEW:
        value = "too few"
    else:
        value = facts.spoken(found.p50_s) if found.p50_s is not None else "not reached"
    link = (
        partial(ctx.link, URL_PATH, switches.show(ctx, found.n, "requisition"), show="submitted", **facts.links())
        if found.n
        else None
    )
    ended = LeftOut(
        "ended without an order",
        facts.cohort.ended_otherwise,
        partial(ctx.link, URL_PATH, "Show them", show="ended", **facts.links()),
    )
    return Figure(
        "To order, open ones counted",
        switches.brief(ctx, value),
        n=_clock(ctx, facts) + f"n {found.n:,}, {found.under_way:,} of them under way",
        target=f"85 % within {facts.spoken(found.p85_s)}"
        if found.n >= FEW and found.p85_s is not None
        else "85 %: not reached"
        if found.n >= FEW
        else "",
        link=link,
        stale=silent,
        help=f"Median over everything submitted in the {facts.chosen.period.name}; what is under way counts with the age it has. The median of what is finished alone looks faster than it is.",
        explained=_explained(
            ctx, facts, said, "open-ones", _OPEN_ONES, "first time t with S(t) <= 1/2, S(t) = product over t_i <= t of (1 - ordered at t_i / still counted at t_i) (E. L. Kaplan, P. Meier, 1958)",
            found.n, link=link, is_sampled=True, left_out=(ended,),
        ),
    )  # fmt: skip


def _ordered(ctx: Context, facts: Facts, said: Said, silent: str) -> Figure:
    now, before = facts.figures.of("ordered"), facts.figures.of("ordered", before=True)
    gap = now.documents - before.documents
    link = (
        partial(
            ctx.link,
            URL_PATH,
            switches.show(ctx, now.documents, "requisition"),
            show="ordered",
            **facts.links() | {"stop": "ordered"},
        )
        if now.documents
        else None
    )
    reported = _reported(
        ctx, facts, ("ordered_wall",), lambda found: count(found["ordered_wall"].documents, "requisition"), "ordered"
    )
    return Figure(
        "Ordered",
        f"{now.documents:,}",
        n=f"{before.documents:,} in {facts.chosen.period.before.name}",
        change=f"{gap:+,}" if gap and before.documents else "",
        trend=[float(value) for value in facts.figures.by_week("ordered")["documents"]],
        link=link,
        stale=silent,
        explained=_explained(
            ctx, facts, said, "ordered-count", _ORDERED, "count of requisitions", now.documents, link=link, reported=reported
        ),
    )  # fmt: skip


def _settled(ctx: Context, facts: Facts, said: Said, silent: str) -> Figure:
    cohort = facts.cohort
    link = (
        partial(
            ctx.link,
            URL_PATH,
            f"{switches.show(ctx, cohort.under_way, 'requisition')} under way",
            show="under_way",
            **facts.links(),
        )
        if cohort.under_way
        else None
    )

    def spoken(found: dict[str, Counted]) -> str:
        submitted = found["submitted"].documents
        settled = found["submitted_ordered_wall"].documents + found["submitted_ended"].documents
        return f"{percent(settled / submitted if submitted else None)}, {settled:,} of {submitted:,}"

    measures = ("submitted", "submitted_ordered_wall", "submitted_ended")
    return Figure(
        "Settled of what was submitted",
        percent(cohort.settled),
        n=f"{cohort.submitted - cohort.under_way:,} of {cohort.submitted:,}; {cohort.ended_otherwise:,} without an order",
        target="target: 95 %",
        link=link,
        stale=silent,
        help="Below it, the figures on the left still change: what takes long is not in them yet.",
        explained=_explained(
            ctx, facts, said, "settled", _SETTLED, "(ordered + ended without an order) / submitted", cohort.submitted, link=link,
            reported=_reported(ctx, facts, measures, spoken, "submitted"),
        ),
    )  # fmt: skip
