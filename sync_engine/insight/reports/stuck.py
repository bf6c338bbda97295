"""What the page on stuck orders asks: what is not moving, since when, against whom it is slow, and who moves it next."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pandas as pd

from sync_engine.insight.once import once
from sync_engine.insight.reports.reading import Reports
from sync_engine.insight.standing import SILENT_DAYS, STUCK_TYPES, WORKING_DAY_S, peers_since
from sync_engine.model.exceptions import kind_of

LEVELS = ("stuck", "silent", "unknown", "watch", "waiting", "moving")
"""Silent: nothing heard of it although its system answers; unknown: nothing heard, and the system does not answer either. Waiting: by
agreement, until a date that has not come."""

BECAUSE = {
    "exception": "an exception stops it",
    "date": "the agreed date has passed",
    "pace": "slower than its peers",
    "deadline": "past the step's objective",
    "silence": "nothing has been heard of it",
}
"""Why a document counts as stuck; for pace also as one to watch, for silence as silent or unknown."""


@dataclass(frozen=True, slots=True)
class Way:
    """Who moves a document that stands for a reason, and how, where no exception says it."""

    team: str
    next_step: str


WAYS = {
    "master data": Way("procurement", "Repair the master data, then reprocess."),
    "budget refused": Way("finance operations", "Raise the budget, reduce the amount, or reject the requisition."),
    "approval mismatch": Way("procurement", "Settle the decision in the system that owns it, then reprocess."),
    "possible duplicate": Way("procurement", "Compare both; cancel this one or accept it with a reason."),
    "match blocked": Way("reviewers", "Decide on the variance in the approval tool."),
    "posting refused": Way("finance operations", "Read the ERP's message, repair its cause, then reprocess."),
    "order refused by the ERP": Way("finance operations", "Read the ERP's message, repair its cause, then reprocess."),
    "sent, no answer": Way(
        "integration support", "The engine looks in the target before it sends again; see the attempts on the trace."
    ),
    "a system is down": Way(
        "integration support", "It goes on by itself when the system is back; see Integration health."
    ),
    "order not known yet": Way(
        "integration support", "It is taken up as soon as the order arrives; check the number if it stays."
    ),
    "receipt missing": Way("receivers", "Ask the receiver to post the goods receipt; the match repeats by itself."),
    "other exception": Way("finance operations", "Open the exception: it says what to do."),
    "awaiting approval": Way("approvers", "Remind the approver, or have somebody decide for them."),
    "awaiting budget": Way(
        "integration support", "The budget is read from both systems; see the attempts on the trace."
    ),
    "approved, order not requested": Way(
        "integration support", "The engine drafts the order next; see the attempts on the trace."
    ),
    "order requested": Way(
        "finance operations", "One of its orders is not in the ERP yet: open that order on the trace."
    ),
    "order number not back in procurement": Way(
        "integration support", "The engine returns the number next; see the attempts on the trace."
    ),
    "waiting for goods": Way("suppliers", "Ask the supplier for a delivery date."),
    "waiting for the invoice": Way("suppliers", "Ask the supplier for the invoice, or accrue it at period end."),
    "payment block": Way(
        "finance operations", "Clear the blocking reason in the ERP; readiness is checked again by itself."
    ),
    "waiting for payment": Way("finance operations", "Check that it is in the next payment run."),
    "in progress": Way("integration support", "The engine is working on it; see the attempts on the trace."),
}
"""Every reason of sql/views/30_open_document.sql; a test holds the two together."""

COLUMNS = (
    "document_id", "document_type", "number", "title", "business_unit", "supplier_name", "requester", "state", "approval_status", "posting_status",
    "currency", "amount", "group_amount", "state_since", "need_by_on", "due_on", "step", "system", "waiting_for", "objective_at", "tries", "case_id", "case_code",
    "case_category", "case_message", "case_version", "owner_team", "owner", "reason", "age_business_s", "age_wall_s", "peers", "peer_p50_s", "peer_p85_s", "peer_p95_s", "level",
    "peer_unit", "pace", "because", "over_limit_s", "stage_p50_s", "stage_p70_s", "stage_p85_s", "stage_p95_s", "known_as", "last_event_at", "silent_business_s", "limit_at",
    "p_on_time", "source_system", "before",
)  # fmt: skip
NUMBERS = (
    "age_business_s", "age_wall_s", "peer_p50_s", "peer_p85_s", "peer_p95_s", "pace", "over_limit_s", "stage_p50_s", "stage_p70_s", "stage_p85_s", "stage_p95_s",
    "silent_business_s", "p_on_time",
)  # fmt: skip
COUNT_COLUMNS = (
    "document_type", "state", "business_unit", "reason", "owner_team", "case_code", "level", "because", "is_taken", "is_old", "documents", "value", "value_days_s",
    "over", "oldest_since", "oldest_s",
)  # fmt: skip
BANDS = {"0-1k": (0, 1_000), "1k-10k": (1_000, 10_000), "10k-100k": (10_000, 100_000), "100k": (100_000, None)}
"""Amounts in group currency by size: from, and up to but without; the same as exceptions are compared by, and in the statements."""

DAY_COLUMNS = ("day", "stopped", "begun", "ended", "self_cured")


@dataclass(frozen=True, slots=True)
class Asked:
    """Which open documents, as of when; None: whatever it is. Types and units as in the address, the rest as in the columns."""

    as_of: datetime
    units: Sequence[str] | None = None
    types: Sequence[str] = STUCK_TYPES
    reasons: Sequence[str] | None = None
    teams: Sequence[str] | None = None
    bands: Sequence[str] | None = None
    sources: Sequence[str] | None = None

    def everything(self) -> dict[str, Any]:
        """What the statements are asked with that judge all."""
        return {
            "units": list(self.units) if self.units else None,
            "document_types": list(self.types),
            "as_of": self.as_of,
            "peers_since": peers_since(self.as_of),
            "silent_s": SILENT_DAYS * WORKING_DAY_S,
        }

    def chosen(self) -> dict[str, Any]:
        """What the statements are asked with to leave out what is not chosen."""
        teams = _listed(self.teams)
        return {
            "reasons": _listed(self.reasons),
            "teams": teams,
            "team_reasons": None if teams is None else [reason for reason, way in WAYS.items() if way.team in teams],
            "bands": None if self.bands is None else [list(BANDS).index(name) for name in self.bands],
            "sources": _listed(self.sources),
        }

    def rows(self, place: "Place", **more: Any) -> dict[str, Any]:
        """What the statement on rows is asked with beside `everything` and the limits."""
        nothing = {
            "levels": None,
            "because": None,
            "untaken": False,
            "stages": None,
            "document_id": None,
            "after_value": None if place is None else place[0],
            "after_id": None if place is None else place[1],
            "by_age": False,
            "most": None,
        }
        return self.chosen() | nothing | more


EXPORT_ROWS = 2_500
"""So many rows are asked for at once when all of them are exported: an answer that stays far below the limit of a question, also
on a busy machine."""

Place = tuple[Decimal, UUID] | None
"""Where a list goes on: after the row with this value in group currency (-1 where it has none) and this id; None: its beginning."""


def counts(reports: Reports, asked: Asked) -> pd.DataFrame:
    """Everything open, counted by what figures and charts divide it by: `documents`, their `value` in group currency, `value_days_s`
    (value times working seconds past the limit), `over` 95 % of the peers, `oldest_s` in the stage in working seconds; with the `team`
    and the `next_step` that moves them. A requisition whose orders have been drafted counts through its orders: the same money stands
    still once, not twice.
    """
    about = asked.everything()
    found = reports.frame(
        "report_stuck.counts",
        COUNT_COLUMNS,
        limits=_limits(reports, about),
        **_without(about, "peers_since"),
        **asked.chosen(),
    )
    return _counted(found)


@once
def _counted(found: pd.DataFrame) -> pd.DataFrame:
    found = found.assign(
        documents=found["documents"].astype(int),
        over=found["over"].astype(int),
        is_old=found["is_old"].astype(bool),
        is_taken=found["is_taken"].astype(bool),
        value=pd.Series([value or Decimal(0) for value in found["value"]], index=found.index, dtype=object),
        value_days_s=pd.to_numeric(found["value_days_s"]).astype(float).fillna(0.0),
        oldest_s=pd.to_numeric(found["oldest_s"]).astype(float),
    )
    return _moved_by(found)


def rows(
    reports: Reports,
    asked: Asked,
    *,
    level: str | None = None,
    because: str | None = None,
    untaken: bool = False,
    after: Place = None,
    most: int | None = None,
    remember: bool = True,
) -> pd.DataFrame:
    """The open documents of a level (None: of all), most money first, from the place `after` on: the first `most`, or all; `team`,
    `waits_on` and `next_step` say who moves each and how, `before` how many come before the place. Ages and over_limit_s in seconds.
    Not to `remember` is for what is asked for once and is large.
    """
    return _rows(
        reports,
        asked,
        after,
        levels=None if level is None else [level],
        because=because,
        untaken=untaken,
        most=most,
        remember=remember,
    )


def place_of(row: "pd.Series[Any]") -> tuple[Decimal, UUID]:
    """Where a row of `rows` stands."""
    return (Decimal(-1) if pd.isna(row["group_amount"]) else row["group_amount"], row["document_id"])


def aged(reports: Reports, asked: Asked, *, stages: Sequence[str], most: int) -> pd.DataFrame:
    """Of the stages ("type:state") the `most` documents that do not wait by agreement, by level and then the oldest first; as `rows`."""
    return _rows(reports, asked, None, stages=list(stages), by_age=True, most=most)


def one(reports: Reports, asked: Asked, document_id: UUID) -> pd.DataFrame:
    """The open document of this id, whatever its level, as `rows`; no row where it is not open, or not among what was asked for."""
    return _rows(reports, asked, None, document_id=document_id)


def open_documents(
    reports: Reports, units: Sequence[str] | None, *, as_of: datetime, types: Sequence[str] = STUCK_TYPES
) -> pd.DataFrame:
    """Everything open, most money first, as `rows`: for whoever needs each of them."""
    return rows(reports, Asked(as_of, units, types))


def _rows(reports: Reports, asked: Asked, place: Place, *, remember: bool = True, **more: Any) -> pd.DataFrame:
    about = asked.everything()
    values = {"limits": _limits(reports, about), **about, **asked.rows(place, **more)}
    question = "report_stuck.rows"
    return _judged(reports.frame(question, COLUMNS, remember=remember, **values))


@once
def _judged(frame: pd.DataFrame) -> pd.DataFrame:
    frame = _moved_by(frame.assign(**{name: pd.to_numeric(frame[name]).astype(float) for name in NUMBERS}))
    return frame.assign(
        band=[band_of(amount) for amount in frame["group_amount"]],
        waits_on=[_waits_on(row) for row in frame.to_dict("records")],
    )


def _moved_by(frame: pd.DataFrame) -> pd.DataFrame:
    """With who moves it and how."""
    return frame.assign(
        team=[
            case_team or _way(reason).team
            for case_team, reason in zip(frame["owner_team"], frame["reason"], strict=True)
        ],
        next_step=[
            kind_of(code).next_step if code else _way(reason).next_step
            for code, reason in zip(frame["case_code"], frame["reason"], strict=True)
        ],
    )


def _limits(reports: Reports, about: dict[str, Any]) -> str:
    limits: str = reports.remembered("report_stuck.limits", **_without(about, "silent_s"))[0]["limits"]
    return limits


def _without(about: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in about.items() if key != name}


def _listed(values: Sequence[str] | None) -> list[str] | None:
    return None if values is None else list(values)


def band_of(amount: Decimal | float | None) -> str:
    """The band of an amount in group currency; empty where there is none.

    >>> band_of(1000), band_of(250000), band_of(None)
    ('1k-10k', '100k', '')
    """
    if amount is None:
        return ""
    return next((name for name, (_, below) in BANDS.items() if below is None or amount < below), "")


def stopped_by_day(
    reports: Reports,
    units: Sequence[str] | None,
    *,
    since: datetime,
    until: datetime,
    types: Sequence[str] = STUCK_TYPES,
) -> pd.DataFrame:
    """Per day: documents an exception stopped at its end, and stops that began and ended in it, self_cured of these by themselves."""
    return reports.frame(
        "report_stuck.stopped_by_day",
        DAY_COLUMNS,
        units=list(units) if units else None,
        document_types=list(types),
        since=since,
        until=until,
    )


def _way(reason: str) -> Way:
    return WAYS.get(reason, WAYS["in progress"])


def _waits_on(row: Mapping[Hashable, object]) -> str:
    """Who or what it waits for, by name where somebody has it: the person who took the exception on, the approver, the goods."""
    if row["owner"]:
        return str(row["owner"])
    if row["case_code"]:
        return ""
    return str(row["waiting_for"] or "")
