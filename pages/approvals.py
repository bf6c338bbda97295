"""Who is asked to decide, how long that takes, why it waits and for whom, and what the limits do (PRODUCT.md 4.10, D08)."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from pages import approvals_charts, approvals_parts, approvals_people, approvals_reported, filters, frame, switches
from pages.approvals_parts import Facts
from pages.context import Context
from pages.explaining import Explained, LeftOut
from pages.filters import Choice, Filters
from pages.format import DOCUMENT_TYPES, count, duration, money_short, percent, plain, sentence, visible, working_time
from pages.frame import Definition, Figure, Said
from sync_engine.control.roles import Role
from sync_engine.insight.reports import approval_measures as measures
from sync_engine.insight.reports import approvals as ask
from sync_engine.insight.reports.approvals import Asked, Tasks
from sync_engine.insight.statistics import FEW, SOME

TITLE = "Approvals"
QUESTION = "What waits for a decision, why does it wait, and who can shorten it?"
URL_PATH = approvals_parts.URL_PATH
ROLES = frozenset(Role)
SECTION = "Flow"
ICON = ":material/approval:"
LACKS = "who was asked for a decision, when, and by whose calendar"
SYSTEMS = ("coupa", "servicenow")
"""Where decisions are taken: their silence makes every figure here doubtful."""

TYPES = ("requisition", "change_order", "invoice")

_CYCLE = Definition("Time to decide", "from when the request stood in the approval tool until it was decided; half took no longer", "decisions of people: a step of procurement's chain, or a group of the approval tool, whose first member's word counts", "decided in the period", "working time of the approver's own calendar where there is one, else of the business unit", "programs' own steps, requests that were withdrawn, test documents")  # fmt: skip
_OPEN = Definition("Open requests", "asked for and not decided; a group's request counts once, however many members are asked", "requests of the same kind", "open now", "ages in wall time, P50 and P95 in working time", "the same")  # fmt: skip
_FIRST = Definition("Approved at once", "approved, and the document was never changed and asked for again", "decisions", "decided in the period")  # fmt: skip
_RATE = Definition("Approval rate", "approved, of what was decided", "decisions", "decided in the period")
_RUSH = Definition("In a rush", f"less than {measures.QUICK_S} seconds after the request or the approver's decision before it, or one of more than {measures.REFLEX_MANY} by one person within {measures.REFLEX_WITHIN_S // 60} minutes", "decisions", "decided in the period", "wall clock", "time from opening to deciding: the tools do not say when a request was opened")  # fmt: skip
_HEARD = Definition("Known here after", "from the decision, by the tool, until it was recorded here; half took no longer", "decisions", "decided in the period", "wall clock", "decisions whose clocks contradict each other")  # fmt: skip
DEFINITIONS = (
    _CYCLE, _OPEN, _FIRST, _RATE, _RUSH, _HEARD,
    Definition("Change", f"against the stretch of the same length before the period, where both have {FEW} decisions", "decisions", "decided in either"),
    Definition("Why it waits", "each second from ready until known here has one cause, the first that holds: between the systems; the approver at an earlier, at a later request; outside of their hours; kept for a sitting of at least three; unexplained, which is other work and, as no tool says when a request was opened, reading. What an approver was at is estimated from their decisions: those at most 30 minutes apart are one sitting, the first of it taken to last as long as their others do", "decisions", "decided in the period", "wall clock, to the second; hours by the approver's calendar"),
    Definition("Sooner without it", "seconds in which nothing else held the document: what is waited for side by side counts once, so the sum may be less than the wait", "documents with a decision in the period", "decided in the period", "wall clock"),
    Definition("Wait and touch", "cannot be told apart: neither tool says when a request was opened, so both are in the time from request to decision", "no decision", "none"),
    Definition("Clears in", "open requests at the pace of the period's decisions, if nothing more came", "open requests", "open now, pace of the period", "wall clock"),
    Definition("Rubber stamp", f"{percent(measures.STAMP_RATE, digits=0)} or more approved, at least {percent(measures.STAMP_QUICK, digits=0)} of it in less than a minute, {FEW} decisions or more", "decisions", "decided in the period"),
    Definition("Near the limit", f"less than {percent(ask.NEAR_SHARE, digits=0)} below the amount at which the unit's second approval begins; or split: the same requester and supplier reach it within {ask.SPLIT_DAYS} days, none alone", "requisitions in the currency of their unit's limit", "submitted in the period", "none: amounts in document currency, days by the source", "cancelled requisitions, test documents"),
    Definition("Mismatch", "an exception says that the approval tool and procurement disagree on a decision", "exceptions", "raised in the period"),
    Definition("If the limit were higher", "requests to the exception groups that would not have been made, with the same requisitions and no other reason to ask; decided by nobody else: nobody of procurement's chain decided either", "decisions on requisitions between the two limits", "decided in the period"),
)  # fmt: skip


def render(ctx: Context) -> None:
    """The page."""
    said = frame.begin(ctx, QUESTION)
    first = filters.read(ctx)
    asked = Asked(first.period.since, first.period.until, first.units, ctx.moment.as_of, ask.names_approvers(ctx.person.roles))  # fmt: skip
    found = ask.tasks(ctx.reports, asked)
    roles = sorted({*found.decided["role"], *found.open["role"], *found.arrived["role"]})
    choices = (
        Choice("type", "Document", TYPES, lambda name: sentence(DOCUMENT_TYPES[name])),
        Choice("role", "Asked", roles, visible),
    )
    chosen = filters.row(ctx, choices)
    facts = _facts(asked, measures.narrowed(found, roles=chosen.of("role"), types=chosen.of("type")), chosen)
    if facts.found.decided.empty and facts.found.open.empty:
        said.answer("Nothing waits for a decision, and nobody decided anything.")
        _empty(ctx, said, chosen, found)
        frame.explain(ctx, DEFINITIONS)
        return
    said.answer(_answer(facts))
    if found.there > len(found.everything):
        st.warning(f"Of {count(found.there, 'request')} the newest {len(found.everything):,} are measured. Choose a shorter period or fewer business units.", icon=":material/content_cut:")  # fmt: skip
    frame.figures(_figures(ctx, facts, said))
    approvals_parts.opened(ctx, facts)
    for title, draw in (
        ("Why approvals wait", approvals_charts.why),
        ("Queues", approvals_parts.queues),
        ("Ages", approvals_charts.ages),
        ("Queues of approvers", approvals_people.queues),
        ("Delegations", approvals_people.delegations),
        ("Who decides how", approvals_parts.rates),
        ("The week", approvals_charts.week),
        ("Value and wait", approvals_charts.value_and_wait),
        ("Near the limit", approvals_parts.limits),
        ("Mismatches", approvals_parts.mismatches),
        ("If the limit were higher", approvals_charts.higher),
    ):
        with frame.part(title):
            draw(ctx, facts)
    frame.refresh_when_moved(ctx)
    frame.explain(ctx, DEFINITIONS)


def _facts(asked: Asked, found: Tasks, chosen: Filters) -> Facts:
    decided, before = (measures.flagged(rows, found.everything) for rows in (found.decided, found.before))
    flagged = replace(found, decided=decided, before=before)
    return Facts(asked, flagged, measures.causes(flagged), chosen.period, chosen.of("role"), chosen.of("type"))


def _answer(facts: Facts) -> str:
    decided, waits = facts.found.decided, facts.found.open
    parts = []
    if len(decided):
        middle = f"half of them within {working_time(decided['business_s'].median())}" if len(decided) >= FEW else "too few for a median"  # fmt: skip
        parts.append(f"{count(len(decided), 'decision')} {facts.period.within}, {middle}.")
        gained = facts.causes.sort_values("saved_s", ascending=False, kind="stable").to_dict("records")
        first = next((row for row in gained if row["cause"] not in {"off", "unexplained"} and row["saved_s"]), None)  # fmt: skip
        if first is not None:
            off = facts.causes.set_index("cause")["share"].get("off") or 0
            parts.append(f"{percent(off, digits=0)} of the wait is outside of working hours; of what can be changed, most goes to “{approvals_parts.CAUSES[first['cause']].lower()}”: {duration(first['saved_s'])} of documents' time.")  # fmt: skip
    if len(waits):
        oldest = waits.iloc[0]
        parts.append(f"{count(len(waits), 'request')} worth {money_short(pd.to_numeric(waits['group_amount']).sum())} {'is' if len(waits) == 1 else 'are'} open, the oldest for {duration(oldest['age_s'])} with {plain(oldest['role'])}.")  # fmt: skip
    else:
        parts.append("Nothing is open.")
    return " ".join(parts)


# -- figures --------------------------------------------------------------------------------------------------------------


def _figures(ctx: Context, facts: Facts, said: Said) -> list[Figure]:
    decided, waits = facts.found.decided, facts.found.open
    stale = "; ".join(f"{source.title} has been silent for {duration(source.age_s)}" for source in said.stale if source.system in SYSTEMS)  # fmt: skip
    sources = [source for source in said.sources if source.system in SYSTEMS]
    n = len(decided)
    rush, first, approved = (
        decided[decided["is_quick"] | decided["is_reflex"]],
        decided[_at_once(decided)],
        decided[decided["outcome"] == "approved"],
    )
    backwards = LeftOut("their clocks contradict each other", len(facts.found.backwards), partial(approvals_parts.link, ctx, "Show them", show="backwards"))  # fmt: skip

    def explained(key: str, one: Definition, formula: str, included: int, show: str, *, sampled: bool = True, now: bool = False) -> Explained:  # fmt: skip
        return Explained(ctx, key, one, formula, included, "request" if now else "decision", reported=approvals_reported.reported(facts, key), period=None if now else facts.period, link=shown(included, show), left_out=() if now else (backwards,), sources=sources, is_sampled=sampled)  # fmt: skip

    def shown(many: int, show: str) -> Callable[[], None] | None:
        return partial(approvals_parts.link, ctx, f"Show {many:,}", show=show) if many else None

    def spoken(seconds: float) -> str:
        return switches.brief(ctx, working_time(seconds))

    def share(part: pd.DataFrame) -> str:
        return percent(len(part) / n if n else None)

    heard, earlier = facts.found.decided["heard_s"], facts.found.before
    shares = {
        "first": (_at_once, True),
        "rate": (lambda rows: rows["outcome"] == "approved", None),
        "rush": (lambda rows: rows["is_quick"] | rows["is_reflex"], False),
    }
    changes = {name: _points(decided, earlier, of, rises) for name, (of, rises) in shares.items()} | {
        "cycle": _faster(decided["business_s"], earlier["business_s"], 3600, "h"),
        "heard": _faster(heard, earlier["heard_s"], 60, "min"),
    }
    return [
        Figure("Time to decide", _middle(decided["business_s"], spoken), n=f"median, n {n:,}{_small(n)}", target=_above(decided["business_s"], spoken), **changes["cycle"], stale=stale, link=shown(n, "decided"),
               explained=explained("cycle", _CYCLE, "median of working time (decided - request created)", n, "decided")),
        Figure("Open requests", f"{len(waits):,}", n=money_short(pd.to_numeric(waits["group_amount"]).sum()), target=f"oldest {duration(waits['age_s'].max())}" if len(waits) else "", stale=stale, link=shown(len(waits), "open"),
               explained=explained("open", _OPEN, "count of requests without a decision", len(waits), "open", sampled=False, now=True)),
        Figure("Approved at once", share(first), n=f"{len(first):,} of {n:,}", **changes["first"], stale=stale, link=shown(n - len(first), "not-at-once"), help="The link opens those that were not.",
               explained=explained("first", _FIRST, f"approved without a change / decided = {len(first):,} / {n:,}", n, "decided")),
        Figure("Approval rate", share(approved), n=f"{len(approved):,} of {n:,}", **changes["rate"], stale=stale, link=shown(n - len(approved), "refused"), help="The link opens the refusals.",
               explained=explained("rate", _RATE, f"approved / decided = {len(approved):,} / {n:,}", n, "decided")),
        Figure("In a rush", share(rush), n=f"{len(rush):,} of {n:,}", **changes["rush"], stale=stale, link=shown(len(rush), "rush"),
               explained=explained("rush", _RUSH, f"quick or one of many / decided = {len(rush):,} / {n:,}", n, "decided")),
        Figure("Known here after", _middle(heard, duration), n=f"median, n {n:,}{_small(n)}", target=_above(heard, duration), **changes["heard"], stale=stale, link=shown(n, "decided"),
               explained=explained("heard", _HEARD, "median of (recorded here - decided)", n, "decided")),
    ]  # fmt: skip


def _at_once(rows: pd.DataFrame) -> pd.Series:
    return (rows["outcome"] == "approved") & ~rows["is_returned"].astype(bool)


def _points(now: pd.DataFrame, before: pd.DataFrame, of: Callable[[pd.DataFrame], pd.Series], rises: bool | None) -> dict[str, Any]:  # fmt: skip
    """The change of a share against the stretch before, where both have enough; `rises`: whether more is better, None: neither."""
    if min(len(now), len(before)) < FEW:
        return {}
    points = round((float(of(now).mean()) - float(of(before).mean())) * 100, 1)
    return {"change": f"{points:+.1f} points", "better": None if rises is None else (points > 0) == rises} if points else {}  # fmt: skip


def _faster(now: pd.Series, before: pd.Series, unit_s: int, unit: str) -> dict[str, Any]:
    """The change of a median."""
    if min(len(now), len(before)) < FEW:
        return {}
    gap = round((now.median() - before.median()) / unit_s, 1)
    return {"change": f"{gap:+.1f} {unit}", "better": gap < 0} if gap else {}


def _middle(seconds: pd.Series, words: Callable[[float], str]) -> str:
    return words(seconds.median()) if len(seconds) >= FEW else "too few" if len(seconds) else "no data"


def _above(seconds: pd.Series, words: Callable[[float], str]) -> str:
    return f"85 % within {words(seconds.quantile(0.85))}, 95 % {words(seconds.quantile(0.95))}" if len(seconds) >= FEW else ""  # fmt: skip


def _small(n: int) -> str:
    return ", small sample" if FEW <= n < SOME else ""


# -- nothing --------------------------------------------------------------------------------------------------------------


def _empty(ctx: Context, said: Said, chosen: Filters, found: Tasks) -> None:
    dropped = [name for name, is_set in (("documents", chosen.of("type")), ("asked", chosen.of("role")), ("business units", chosen.units)) if is_set]  # fmt: skip
    if not ctx.units and not ctx.person.sees_all:
        frame.no_permission(
            "No business unit has been given to you, so nothing can be shown. Ask for an application role such as “unit:DE-SOUTH”."
        )
    elif dropped:
        frame.nothing_matches("decisions", dropped, names=("type", "role", *approvals_parts.MARK))
    elif all(source.age_s is None for source in said.sources) or said.stale:
        frame.no_data(ctx, said)
    else:
        frame.nothing_happened(
            f"Nobody was asked to decide anything {chosen.period.within}, and nothing is open. {count(len(found.everything), 'request')} in the two weeks before."
        )
