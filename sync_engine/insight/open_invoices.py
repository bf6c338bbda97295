"""Open invoices with what is foretold of each: whether it will be paid in time, what it costs if not, and what a minute of work on it
is worth (PRODUCT.md 4.11, D12). The rules of `due.py` over what is open, in the configuration that is in force.

Plain rows, for the page and for the engine's alert alike: an engine that had to load what the pages draw with would start seconds
later and hold twice the memory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sync_engine.insight import due, foretold
from sync_engine.insight.asking import Asks, Row
from sync_engine.insight.due import Chance, Paid, Peers
from sync_engine.insight.foretold import Past
from sync_engine.insight.statistics import FEW
from sync_engine.model.documents import DocumentType
from sync_engine.model.lifecycles import LIFECYCLES
from sync_engine.model.payments import Payments, Run, Term, discount_day

MOST_OPEN = 5_000
"""So many open invoices are looked at, those due first."""

MOST_PAST, PAST_DAYS = 4_000, 400
"""Peers: the newest invoices of the last days, at most so many; enough for every stage, and the same however much history there is."""

AT_RISK = 0.8
"""Below this P(on time) an invoice is at risk."""

CALENDAR_BEHIND, CALENDAR_AHEAD = timedelta(days=PAST_DAYS + 60), timedelta(days=400)

READY, PAID = "payment_ready", frozenset({"cleared", "paid"})
BLOCKED_STATES = frozenset({"awaiting_receipt", "in_review", "payment_blocked", "posting_refused", "refused_in_review"})

BY_ITSELF, BY_HAND, NOT = "when its condition holds", "by hand", "not"
RELEASES = {
    "receipt missing": BY_ITSELF, "order not known yet": BY_ITSELF, "a system is down": BY_ITSELF, "sent, no answer": BY_ITSELF, "payment block": BY_HAND,
    "match blocked": BY_HAND, "possible duplicate": BY_HAND, "master data": BY_HAND, "posting refused": BY_HAND, "other exception": BY_HAND, "in progress": BY_HAND,
}  # fmt: skip
"""How what stands in an invoice's way goes away: holds that lift themselves, those a person lifts, and those nobody does."""

GROUPS = ("blocked", "under way", "ready")
BUCKETS = (
    "over 30 days late",
    "8 to 30 days late",
    "1 to 7 days late",
    "due in 7 days",
    "due in 8 to 30 days",
    "due later",
    "no due date",
)

INVOICE = LIFECYCLES[DocumentType.INVOICE]
_ONLY_TARGET = {event: targets for event in INVOICE.events if len(targets := {m.target for m in INVOICE.moves.values() if m.event == event}) == 1}  # fmt: skip


@dataclass(frozen=True)
class Rules:
    """The payment rules in force, and the days on which somebody works."""

    payments: Payments
    words: Mapping[str, str]
    """Procurement's words for payment terms, to the ERP's."""
    zones: Mapping[str, ZoneInfo]
    working: Mapping[str, frozenset[date]]
    duplicate_days: int
    duplicate_name_score: int

    def term(self, code: object) -> Term | None:
        """The term by the ERP's name or procurement's; None: no table explains it."""
        return self.payments.terms.get(self.words.get(str(code), str(code))) if code else None

    def run(self, company_code: str) -> Run | None:
        """The payment run of a company code."""
        return self.payments.runs.get(company_code)

    def deadline(self, company_code: str, due_on: date | None) -> tuple[date, datetime] | None:
        """The last run before a due day and its cut-off: the effective deadline. None: no due date, or no run."""
        run = self.run(company_code)
        if run is None or due_on is None:
            return None
        day = due.last_run(due_on, run, self.working.get(run.calendar, frozenset()))
        return None if day is None else (day, due.cut_off(day, run, self.zones.get(run.calendar, ZoneInfo("UTC"))))

    def next_run(self, company_code: str, after: datetime) -> date | None:
        """The first run that still takes something."""
        run = self.run(company_code)
        if run is None:
            return None
        return due.next_run(after, run, self.working.get(run.calendar, frozenset()), self.zones.get(run.calendar, ZoneInfo("UTC")))  # fmt: skip


@dataclass(frozen=True)
class Judged:
    """Open invoices with everything that is worked out of them (COLUMNS), those first on which work is worth most, and what that rests on.
    `there` are open in all, of which `rows` holds those due first."""

    rows: Sequence[Row]
    there: int
    past: Sequence[Past]
    paid: Paid
    taken: Paid
    """The same as `paid`, of the discounts: ready by the cut-off of the last run before a discount ended, and paid by its end."""


COLUMNS = (
    "document_id", "number", "business_unit", "company_code", "supplier", "supplier_name", "state", "posting_status", "currency", "amount", "group_amount", "state_since", "due_on", "reason",
    "waiting_for", "case_id", "case_code", "case_message", "owner_team", "owner", "country", "term", "baseline_on", "invoiced_on",
    "group", "releases", "run_on", "cut_off_at", "days_to_due", "working_days_to_due", "bucket", "p_on_time", "peers", "peers_said", "is_at_risk", "rate", "fixed_fee", "days_late",
    "late_cost", "discount_on", "discount", "discount_at_risk", "annual_yield", "critical", "minutes", "per_minute", "next_run_on", "is_in_run", "terms_differ",
)  # fmt: skip


def rules(reports: Asks, *, as_of: datetime) -> Rules | None:
    """The rules in force; None: no engine of this release has put any in force yet."""
    today = as_of.date()
    [row] = reports.remembered("report_invoices_due.rules", first_on=today - CALENDAR_BEHIND, last_on=today + CALENDAR_AHEAD)  # fmt: skip
    if row["content"] is None:
        return None
    calendars = row["calendars"] or {}
    return Rules(
        Payments.model_validate(row["content"]),
        {word: str(term) for word, term in (row["words"] or {}).items()},
        {name: ZoneInfo(one["zone"]) for name, one in calendars.items()},
        {name: frozenset(map(date.fromisoformat, one["days"])) for name, one in calendars.items()},
        int(row["duplicate_days"] or 0),
        int(row["duplicate_name_score"] or 100),
    )


def judge(reports: Asks, units: Sequence[str] | None, known: Rules, *, as_of: datetime, suppliers: Sequence[str] | None = None) -> Judged:  # fmt: skip
    """Open invoices, each figure with its parts. `suppliers`: of these alone, by the ERP's numbers; their peers stay everybody's."""
    rows = reports.remembered("report_invoices_due.open", units=_list(units), suppliers=_list(suppliers), most=MOST_OPEN)  # fmt: skip
    # The cache keys by value: a moment that moves with every question would never be found again.
    since = as_of.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=PAST_DAYS)
    history = reports.remembered("report_invoices_due.history", since=since, most=MOST_PAST)
    past = [_past(row, known) for row in history]
    at_s = as_of.timestamp()
    peers, paid = Peers(foretold.stays_known(past, at_s)), foretold.paid_known(past, at_s)
    taken = foretold.paid_known(
        [early for row, one in zip(history, past, strict=True) if (early := _early(row, one, known))], at_s
    )
    shown = [_judged(row, known, peers, paid, taken, as_of) for row in rows if row["state"] not in PAID]
    gone = len(rows) - len(shown)
    shown.sort(key=lambda one: -one["per_minute"])
    return Judged(shown, (rows[0]["there"] if rows else 0) - gone, past, paid, taken)


def _judged(row: Row, known: Rules, peers: Peers, paid: Paid, taken: Paid, as_of: datetime) -> dict[str, Any]:
    run = known.run(row["company_code"])
    calendar = run.calendar if run else ""
    zone, working = known.zones.get(calendar, ZoneInfo("UTC")), known.working.get(calendar, frozenset())
    today, amount = as_of.astimezone(zone).date(), float(row["group_amount"] or 0)
    due_on, deadline = row["due_on"], known.deadline(row["company_code"], row["due_on"])
    days = None if due_on is None else (due_on - today).days
    chance = _chance(row, deadline[1] if deadline else None, days, peers, paid, as_of)
    upcoming = known.next_run(row["company_code"], as_of)
    rate, days_late = known.payments.late_rate(row["country"] or ""), _days_late(days, paid, upcoming, today, due_on)
    p_late = None if chance is None else 1 - chance.p
    fee = float(rate.fixed_fee)
    late = None if p_late is None or days_late is None else due.late_cost(p_late, amount, float(rate.share), days_late, fee)  # fmt: skip
    term = known.term(row["term"])
    lost = _discount(row, known, term, peers, taken, as_of)
    critical = float(known.payments.critical.get(row["supplier"], Decimal(0))) * (p_late or 0)
    minutes = known.payments.work_minutes(row["reason"])
    is_blocked = bool(row["case_blocks"]) or row["state"] in BLOCKED_STATES
    is_ready = row["state"] == READY and not is_blocked
    return {
        **{name: row[name] for name in COLUMNS[:24]},
        "group": "blocked" if is_blocked else "ready" if is_ready else "under way",
        "releases": (NOT if row["state"] == "refused_in_review" else RELEASES.get(row["reason"], BY_HAND)) if is_blocked else None,
        "run_on": deadline[0] if deadline else None,
        "cut_off_at": deadline[1] if deadline else None,
        "days_to_due": days,
        "working_days_to_due": None if due_on is None else due.working_days_until(due_on, today, working),
        "bucket": bucket(days),
        "p_on_time": None if chance is None else chance.p,
        "peers": None if chance is None else chance.n,
        "peers_said": "no peers" if chance is None else f"{chance.n:,}: {chance.peers}" if chance.n else chance.peers,
        "is_at_risk": chance is not None and chance.p < AT_RISK,
        "rate": float(rate.share),
        "fixed_fee": fee,
        "days_late": days_late,
        "late_cost": late,
        **lost,
        "critical": critical,
        "minutes": minutes,
        "per_minute": due.worth_per_minute(late or 0, lost["discount_at_risk"] or 0, critical, minutes),
        "next_run_on": upcoming,
        "is_in_run": is_ready and upcoming is not None and due_on is not None and due_on <= upcoming,
        "terms_differ": _terms(row, known, term),
    }  # fmt: skip


def _chance(row: Row, cut_off_at: datetime | None, days: int | None, peers: Peers, paid: Paid, as_of: datetime) -> Chance | None:  # fmt: skip
    """P(on time); past its due day it is not."""
    if days is not None and days < 0:
        return Chance(due.LEAST, 0, "past its due date", is_past=True)
    if cut_off_at is None:
        return None
    return due.on_time(
        peers, paid, stage=row["state"], unit=row["business_unit"], band=due.band_of(row["group_amount"]),
        age_h=(as_of - row["state_since"]).total_seconds() / due.HOUR_S, more_h=(cut_off_at - as_of).total_seconds() / due.HOUR_S,
        is_ready=row["state"] == READY and not row["case_blocks"],
    )  # fmt: skip


def _days_late(days: int | None, paid: Paid, upcoming: date | None, today: date, due_on: date | None) -> float | None:
    """E(days late | late): of what is late already, until the next run; else what late ones took (10 or more), or to the run after."""
    if days is None or due_on is None:
        return None
    if days < 0:
        return float((max(upcoming or today, today) - due_on).days)
    return paid.days_late if paid.late >= FEW else 7.0


def _discount(row: Row, known: Rules, term: Term | None, peers: Peers, paid: Paid, as_of: datetime) -> dict[str, Any]:
    """The discount that can still be had, and how much of it is at risk, by how many discounts of ready invoices were taken (`paid`)."""
    nothing = {"discount_on": None, "discount": None, "discount_at_risk": None, "annual_yield": None}
    last = discount_day(row["baseline_on"], term) if term and row["baseline_on"] else None
    deadline = known.deadline(row["company_code"], last)
    if term is None or last is None or deadline is None or deadline[1] <= as_of:
        return nothing
    chance = _chance(row, deadline[1], (last - as_of.date()).days, peers, paid, as_of)
    amount, share = float(row["group_amount"] or 0), float(term.discount)
    return {
        "discount_on": last,
        "discount": amount * share,
        "discount_at_risk": None if chance is None else due.discount_at_risk(chance.p, amount, share),
        "annual_yield": due.annualised_yield(term),
    }


def _terms(row: Row, known: Rules, term: Term | None) -> str:
    """Where the invoice's term is not the order's or the supplier's: whose is how long, and which is worse for us."""
    own = term.net_days if term else None
    others = {
        "order": [known.term(code) for code in row["order_terms"] or ()],
        "supplier record": [known.term(row["supplier_term"])],
    }
    said = [
        f"{name} {one.net_days} days{', the invoice asks sooner' if own < one.net_days else ''}"
        for name, terms in others.items()
        for one in terms
        if own is not None and one is not None and one.net_days != own
    ]  # fmt: skip
    return f"invoice {own} days, {'; '.join(said)}" if said else ""


def bucket(days: int | None) -> str:
    """The rung of the ladder an invoice stands on, by the days to its due date.

    >>> bucket(-31), bucket(-1), bucket(0), bucket(8), bucket(None)
    ('over 30 days late', '1 to 7 days late', 'due in 7 days', 'due in 8 to 30 days', 'no due date')
    """
    if days is None:
        return BUCKETS[6]
    bounds = (-30, -7, 0, 8, 31)
    return BUCKETS[sum(days >= bound for bound in bounds)]


# -- the past -------------------------------------------------------------------------------------------------------------------


def _past(row: Row, known: Rules) -> Past:
    """An invoice as `due.Past`: its stages from its events, in order."""
    visits: list[tuple[str, float]] = []
    state, ready_s, paid_on = "", None, None
    for activity, at in zip(row["activities"], row["times"], strict=True):
        entered = _entered(state, activity)
        if activity == "payment_cleared":
            paid_on = datetime.fromtimestamp(at, UTC).date()
        if entered is None or entered == state:
            continue
        state = entered
        if state == READY and ready_s is None:
            ready_s = float(at)
        elif ready_s is None:
            visits.append((state, float(at)))
    deadline = known.deadline(row["company_code"], row["due_on"])
    given_up = row["ended_s"] if row["state"] == "rejected" else None
    return Past(
        str(row["document_id"]), row["business_unit"], due.band_of(row["group_amount"]), row["due_on"], deadline[1].timestamp() if deadline else None,
        tuple(visits), ready_s, None if given_up is None else float(given_up), paid_on,
    )  # fmt: skip


def _early(row: Row, one: Past, known: Rules) -> Past | None:
    """An invoice as if it were due on the last day of its discount; None where it has none."""
    term = known.term(row["term"])
    last = discount_day(row["baseline_on"], term) if term and row["baseline_on"] else None
    deadline = known.deadline(row["company_code"], last)
    return None if deadline is None else replace(one, due_on=last, cut_off_s=deadline[1].timestamp())


def _entered(state: str, activity: str) -> str | None:
    """The state an event leads to; None: it is not one of an invoice's own moves."""
    if not state:
        return INVOICE.initial.state
    move = INVOICE.moves.get((state, activity))
    return move.target if move else next(iter(_ONLY_TARGET.get(activity, ())), None)


def _list(chosen: Sequence[str] | None) -> list[str] | None:
    return list(chosen) if chosen else None
