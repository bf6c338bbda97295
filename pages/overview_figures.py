"""The six figures of the overview, for each role the ones that it acts upon (PRODUCT.md 4.13), each with everything it can be asked."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial

from pages import filters
from pages.context import Context
from pages.explaining import Definition, Explained, Reported
from pages.format import count, day, duration, money_short, percent, plain, working_time
from pages.frame import Figure, Said
from pages.overview_parts import Facts, value_of
from pages.stuck_parts import many
from pages.stuck_parts import value_of as stuck_value
from sync_engine.control.roles import Role
from sync_engine.insight.reports import explain
from sync_engine.insight.reports import overview as ask
from sync_engine.insight.reports.service_levels import MEASURABLE
from sync_engine.insight.statistics import FEW

URL_PATH = "overview"
ARROW = ":material/arrow_forward:"
SHORT = {"working days": "d", "working hours": "h", "working minutes": "min"}
NAMES = {
    Role.FINANCE_LEADER: "Finance", Role.FINANCE_OPERATIONS: "Operations", Role.PROCUREMENT_ANALYST: "Procurement", Role.INTEGRATION_SUPPORT: "Integration",
    Role.AUDITOR: "Control",
}  # fmt: skip

_GAP = Definition("Finality gap", "value of what the business has approved and the ledger has not accepted", "requisitions approved, every order of which is not yet in the ERP", "open now; the line shows each day's end", "wall")  # fmt: skip
_STUCK = Definition("Stuck", "value of documents that stand longer in their stage than 95 % of their peers, past the step's objective, or behind a blocking exception", "open requisitions, orders, change orders and invoices; a requisition whose orders are drafted counts through its orders; peers: same type and stage, last 90 days, at least 30 of them", "open now", "each unit's working calendar")  # fmt: skip
_SPEED = Definition("Requisition to order", "median from first submit to the ERP's order number back in procurement; half took no longer", "requisitions ordered in the period", "completed in the period", "each unit's working calendar; a working day has 8 hours")  # fmt: skip
_EXCEPTIONS = Definition("Exception rate", "documents that ever met an exception, of those that entered; one document counts once", "requisitions, orders, change orders and invoices submitted in the period", "entered in the period")  # fmt: skip
_OBJECTIVES = Definition("Objectives met", f"objectives whose share of documents done by their deadline reaches the target; open past its deadline counts as missed; with fewer than {MEASURABLE} due there is no verdict", "documents whose deadline fell in the window", "each objective's own rolling window", "wall or working hours, as the objective says")  # fmt: skip
_RISK = Definition("Due soon, not ready", f"value of invoices due within {ask.RISK_DAYS} days, or past due, and not ready for payment", "open invoices", "due by then", "calendar days")  # fmt: skip
_UNRESOLVED = Definition("Unresolved causes", "different causes behind the exceptions that are open; one cause can hold many documents", "open exceptions", "open now", "wall")  # fmt: skip
_SILENT = Definition("Silent sources", "systems one of whose feeds has been silent for longer than it may: what rests on them may be old", "systems that are connected", "now", "wall")  # fmt: skip
_CONTROLS = Definition("Controls", "documents that a control looked at; of these the ones it objected to; and what a person let pass all the same, with a reason", "documents that a control looked at in the period", "evaluated in the period")  # fmt: skip
DEFINITIONS = (
    _GAP, _STUCK, _SPEED, _EXCEPTIONS, _OBJECTIVES, _RISK, _UNRESOLVED, _SILENT, _CONTROLS,
    Definition("Two facts", "what the business has agreed and what the ledger has accepted are two facts; a document stands in the line of its two, and money in requisitions and in invoices is not added up", "requisitions and invoices that are open", "open now", "wall"),
)  # fmt: skip


def _explained(ctx: Context, said: Said, key: str, definition: Definition, formula: str, n: int, noun: str, *, show: str) -> Explained:  # fmt: skip
    """Of a figure whose rows the overview itself opens."""
    return Explained(
        ctx, key, definition, formula, n, noun, sources=said.sources, link=partial(ctx.link, URL_PATH, "Show them", show=show) if n else None,
    )  # fmt: skip


def _speed_reported(ctx: Context, chosen: filters.Filters) -> Callable[[date], Reported]:
    def reported(evening: date) -> Reported:
        found = explain.as_reported(
            ctx.reports, ("ordered_business",), chosen.units, since=chosen.period.since, until=chosen.period.until, evening=evening
        )  # fmt: skip

        def spoken(one: dict[str, explain.Counted]) -> str:
            counted = one.get("ordered_business", explain.NOTHING)
            median = working_time(counted.p50_s) if counted.documents >= FEW else "too few" if counted.documents else "no data"  # fmt: skip
            return f"{median}, n {counted.documents:,}"

        return Reported(
            spoken(found.then),
            spoken(found.now),
            f"{day(found.since_on)} to {day(found.until_on - timedelta(days=1))} (UTC days)",
            [(learned_on, n, "ordered") for learned_on, _, n in found.restated],
        )

    return reported


@dataclass(frozen=True)
class Seen:
    """What a figure is made from: who looks, what was answered, how fresh it is, and what was chosen."""

    ctx: Context
    facts: Facts
    said: Said
    chosen: filters.Filters


Builder = Callable[[Seen], Figure | None]


def shown(ctx: Context, facts: Facts, said: Said, chosen: filters.Filters, view: Role) -> list[Figure]:
    """The figures of a role, those without an answer left out."""
    built = (build(Seen(ctx, facts, said, chosen)) for build in _OF_ROLE[view])
    return [figure for figure in built if figure is not None]


def _silent(said: Said, *systems: str) -> str:
    return "; ".join(
        f"{source.title} has been silent for {duration(source.age_s)}"
        for source in said.stale
        if source.system in systems
    )


def _gap(seen: Seen) -> Figure | None:
    gap = seen.facts.gap
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
        link=partial(seen.ctx.link, URL_PATH, icon=ARROW, label=f"{count(gap.documents, 'requisition')}", show="gap")
        if gap.documents
        else None,
        stale=_silent(seen.said, "coupa", "s4hana"),
        help="Finality gap: what the business has agreed and the ledger has not accepted.",
        target="target: none; finance operations",
        explained=_explained(
            seen.ctx,
            seen.said,
            "gap",
            _GAP,
            "sum of the values in group currency",
            gap.documents,
            "requisition",
            show="gap",
        ),
    )


def _signed(change: float) -> str:
    return f"{'+' if change > 0 else '-'}{money_short(abs(change)).removeprefix('EUR ')}"


def _stuck(seen: Seen) -> Figure | None:
    stuck = seen.facts.stuck
    if stuck is None:
        return None
    oldest = (seen.ctx.moment.as_of - stuck["oldest_since"].min()).total_seconds() if len(stuck) else None
    return Figure(
        "Stuck",
        money_short(stuck_value(stuck)),
        n=f"oldest {duration(oldest)}" if oldest is not None else "",
        target="target: none; finance operations",
        link=partial(seen.ctx.link, URL_PATH, icon=ARROW, label=f"{count(many(stuck), 'document')}", show="stuck")
        if len(stuck)
        else None,
        stale=_silent(seen.said, "coupa", "s4hana", "servicenow", "basware"),
        help="Longer in their stage than 95 % of their peers, past the step's objective, or behind a blocking exception.",
        explained=_explained(
            seen.ctx,
            seen.said,
            "stuck",
            _STUCK,
            "sum of the values in group currency",
            many(stuck),
            "document",
            show="stuck",
        ),
    )


def _speed(seen: Seen) -> Figure | None:
    if seen.facts.speed is None:
        return None
    now, before = seen.facts.speed.of("ordered"), seen.facts.speed.of("ordered", before=True)
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
        trend=[
            float(week["p50_s"]) for week in seen.facts.speed.by_week("ordered").to_dict("records") if week["n"] >= FEW
        ],
        target="procurement",
        link=partial(seen.ctx.link, "cycle-time", f"{count(now.documents, 'requisition')}", icon=ARROW, show="ordered")
        if now.documents
        else None,
        help=f"First submit to order number back in procurement, {seen.chosen.period.name}.",
        explained=Explained(
            seen.ctx,
            "speed",
            _SPEED,
            "median of (order number back in procurement - first submit)",
            now.n,
            "requisition",
            period=seen.chosen.period,
            sources=seen.said.sources,
            is_sampled=True,
            link=partial(seen.ctx.link, "cycle-time", "Show them", show="ordered"),
            reported=_speed_reported(seen.ctx, seen.chosen),
        ),
    )


def _exceptions(seen: Seen) -> Figure | None:
    now, before = seen.facts.exceptions, seen.facts.exceptions_before
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
        link=partial(seen.ctx.link, "exceptions", "Open the queue", icon=ARROW),
        target="finance operations",
        help=f"Documents that entered in the {seen.chosen.period.name} and ever met an exception.",
        explained=Explained(
            seen.ctx,
            "exceptions",
            _EXCEPTIONS,
            "documents with an exception / documents that entered",
            now.whole,
            "document",
            period=seen.chosen.period,
            sources=seen.said.sources,
            link=partial(seen.ctx.link, "exception-rate", "Open the exception rate"),
        ),
    )


def _objectives(seen: Seen) -> Figure | None:
    if seen.facts.objectives is None:
        return None
    measured = [one for one in seen.facts.objectives if one.has_verdict]
    met = [one for one in measured if one.state != "broken"]
    worst = min(measured, key=lambda one: one.budget_left if one.budget_left is not None else 1.0, default=None)
    closest = (
        f"{plain(worst.title)}: {percent(worst.attained)} of {percent(worst.target)}, n {worst.due:,}" if worst else ""
    )
    return Figure(
        "Objectives met",
        f"{len(met)} of {len(measured)}"
        if measured
        else "no verdict"
        if any(one.due for one in seen.facts.objectives)
        else "no data",
        n=closest,
        target=f"{len(seen.facts.objectives) - len(measured)} without a verdict: too little was due"
        if measured and len(measured) < len(seen.facts.objectives)
        else "",
        link=partial(seen.ctx.link, "service-levels", "Open objectives"),
        explained=Explained(
            seen.ctx,
            "objectives",
            _OBJECTIVES,
            "objectives with attained >= target / objectives of which enough was due",
            sum(one.due for one in measured),
            "deadline",
            sources=seen.said.sources,
            link=partial(seen.ctx.link, "service-levels", "Open the service levels"),
        ),
        help="Share of documents done by their deadline, against the objective's target; the one with the least budget left is named.",
    )


def _risk(seen: Seen) -> Figure | None:
    risk = seen.facts.risk
    if risk is None:
        return None
    return Figure(
        "Due soon, not ready",
        money_short(value_of(risk)),
        n=f"invoices due within {ask.RISK_DAYS} days or past due",
        target="target: none; finance operations",
        link=partial(seen.ctx.link, URL_PATH, icon=ARROW, label=f"{count(len(risk), 'invoice')}", show="risk")
        if len(risk)
        else None,
        stale=_silent(seen.said, "basware", "s4hana"),
        explained=_explained(
            seen.ctx, seen.said, "risk", _RISK, "sum of the values in group currency", len(risk), "invoice", show="risk"
        ),
    )


def _unresolved(seen: Seen) -> Figure | None:
    found = seen.facts.unresolved
    if found is None:
        return None
    return Figure(
        "Unresolved causes",
        f"{found.causes:,}",
        n=f"oldest {duration(found.oldest_s)}, {money_short(found.value)} behind them" if found.exceptions else "",
        target="target: none; integration support",
        link=partial(seen.ctx.link, "exceptions", count(found.exceptions, "exception"), icon=ARROW)
        if found.exceptions
        else None,
        explained=Explained(
            seen.ctx, "unresolved", _UNRESOLVED, "count of different fingerprints", found.exceptions, "exception", sources=seen.said.sources,
            link=partial(seen.ctx.link, "exceptions", "Open the queue"),
        ),
    )  # fmt: skip


def _sources(seen: Seen) -> Figure | None:
    silent = seen.said.stale
    return Figure(
        "Silent sources",
        f"{len(silent)} of {len(seen.said.sources)}",
        n=", ".join(plain(source.title) for source in silent),
        target="target: none; integration support",
        link=partial(seen.ctx.link, "health", "Open Integration health", icon=ARROW),
        explained=Explained(
            seen.ctx, "silent", _SILENT, "count of systems", len(seen.said.sources), "system", sources=seen.said.sources,
            link=partial(seen.ctx.link, "health", "Open Integration health"),
        ),
    )  # fmt: skip


def _controls(column: str, label: str) -> Builder:
    def build(seen: Seen) -> Figure | None:
        if seen.facts.controls is None:
            return None
        rows = seen.facts.controls[seen.facts.controls[column] > 0] if len(seen.facts.controls) else seen.facts.controls
        n = int(rows[column].sum()) if len(rows) else 0
        named = ", ".join(f"{row[column]:,} {str(row['control']).lower()}" for row in rows.sort_values(column, ascending=False).head(2).to_dict("records"))  # fmt: skip
        link = partial(seen.ctx.link, "audit", "Open the controls", icon=ARROW)
        return Figure(
            label,
            f"{n:,}",
            n=named,
            target="controller",
            link=link,
            explained=Explained(
                seen.ctx, f"controls-{column}", _CONTROLS, f"sum over the controls of documents {column}; a document two controls looked at counts twice", n, "document", period=seen.chosen.period,
                sources=seen.said.sources, link=link,
            ),
        )  # fmt: skip

    return build


_OF_ROLE: dict[Role, tuple[Builder, ...]] = {
    Role.FINANCE_LEADER: (_gap, _stuck, _speed, _exceptions, _objectives, _risk),
    Role.FINANCE_OPERATIONS: (_gap, _risk, _stuck, _unresolved, _exceptions, _objectives),
    Role.PROCUREMENT_ANALYST: (_speed, _gap, _stuck, _exceptions, _objectives),
    Role.INTEGRATION_SUPPORT: (_unresolved, _sources, _objectives, _exceptions, _stuck),
    Role.AUDITOR: (_controls("evaluated", "Looked at by controls"), _controls("objected", "Objected to"), _controls("overridden", "Let pass by a person"), _gap),
}  # fmt: skip

_NEEDS: dict[Role, frozenset[str]] = {
    Role.FINANCE_LEADER: frozenset({"speed", "objectives"}),
    Role.FINANCE_OPERATIONS: frozenset({"unresolved", "objectives"}),
    Role.PROCUREMENT_ANALYST: frozenset({"speed", "objectives"}),
    Role.INTEGRATION_SUPPORT: frozenset({"unresolved", "objectives"}),
    Role.AUDITOR: frozenset({"controls"}),
}
"""The answers that only these figures of a role need: nobody is made to wait for the others'."""


def shows(view: Role, fact: str) -> bool:
    """Whether the figures of a role need an answer: "speed", "objectives", "unresolved" or "controls"."""
    return fact in _NEEDS[view]
