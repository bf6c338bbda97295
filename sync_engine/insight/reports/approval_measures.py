"""What the tasks of the approvals page come to (PRODUCT.md 4.10): pure, from the rows that `approvals.tasks` found."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from zoneinfo import ZoneInfo

import pandas as pd

from sync_engine.insight.reports.approvals import Tasks, kept
from sync_engine.insight.statistics import FEW
from sync_engine.insight.waiting import Cause, saved_s

QUICK_S = 60
"""A decision that can have taken no longer: so soon after its request came, or after the approver's decision before it."""

REFLEX_MANY, REFLEX_WITHIN_S = 5, 300
"""More decisions than this by one person within so many seconds were hardly read one by one."""

STAMP_RATE, STAMP_QUICK = 0.99, 0.5
"""A rubber stamp: nearly everything is approved, and at least this share of it within a minute."""

CAUSES = ("cause", "tasks", "s", "share", "saved_s")
ROLE_COLUMNS = (
    "role",
    "open",
    "value",
    "oldest_s",
    "p50_s",
    "p95_s",
    "arrived",
    "decided",
    "clears_in_s",
    "grows_a_day",
)
RATES = (
    "role",
    "person",
    "approver",
    "document_type",
    "decided",
    "approved",
    "rate",
    "p50_s",
    "quick",
    "reflex",
    "is_stamp",
)


def narrowed(found: Tasks, *, roles: Sequence[str] | None, types: Sequence[str] | None) -> Tasks:
    """Of these roles and types of document alone (None: all). Why something waited stays what it is: approvers also do the others."""
    chosen = partial(of, roles=roles, types=types)
    return replace(
        found, decided=chosen(found.decided), before=chosen(found.before), open=chosen(found.open), arrived=chosen(found.arrived), backwards=chosen(found.backwards)
    )  # fmt: skip


def of(rows: pd.DataFrame, *, roles: Sequence[str] | None, types: Sequence[str] | None) -> pd.DataFrame:
    """The rows of these roles and types (None: all)."""
    return rows[
        (rows["role"].isin(roles) if roles else pd.Series(True, index=rows.index))
        & (rows["document_type"].isin(types) if types else pd.Series(True, index=rows.index))
    ]


def causes(found: Tasks) -> pd.DataFrame:
    """CAUSES, longest first: how many decisions had it, its seconds, its share of all waiting, and by how many seconds documents
    would have been decided sooner without it (side by side counts once)."""
    decided = found.decided
    by_document: dict[object, list[object]] = {}
    for task_id, document_id in zip(decided["task_id"], decided["document_id"], strict=True):
        by_document.setdefault(document_id or task_id, []).append(task_id)
    saved = dict.fromkeys(Cause, 0.0)
    for task_ids in by_document.values():
        for cause, s in saved_s(found.waits[task_id] for task_id in task_ids).items():
            saved[cause] += s
    whole = float(decided["wait_s"].sum())
    rows = [
        (cause.value, int((decided[cause.value] > 0).sum()), s, s / whole if whole else None, saved[cause])
        for cause in Cause
        for s in [float(decided[cause.value].sum())]
    ]
    return pd.DataFrame(rows, columns=list(CAUSES)).sort_values("s", ascending=False, kind="stable", ignore_index=True)


def by_role(found: Tasks) -> pd.DataFrame:
    """Per role its causes in seconds, with how many decisions: where the days of delay are."""
    names = [cause.value for cause in Cause]
    grouped = found.decided.groupby("role", sort=False)
    sums = grouped[[*names, "wait_s"]].sum()
    return sums.assign(n=grouped.size()).sort_values("wait_s", ascending=False).reset_index()


def pace_days(found: Tasks, since: datetime, until: datetime) -> float:
    """Over how many days of the period a pace is taken: from its beginning, or from the first request there ever was."""
    first = found.everything["requested_at"].min() if len(found.everything) else since
    return max((until - max(since, first)).total_seconds() / 86400, 1.0)


def queues(found: Tasks, *, days: float, by: str = "role") -> pd.DataFrame:
    """ROLE_COLUMNS per role (or, `by` "approver", per approver where they are named) with anything open, arrived or decided. p50_s and p95_s are ages of what is open, in working time; None
    below FEW. clears_in_s: open tasks at the pace of the period's decisions, None without any. grows_a_day: more came than went."""
    rows = []
    for role in dict.fromkeys([*found.open[by], *found.arrived[by], *found.decided[by]]):
        if not isinstance(role, str):
            continue  # a group's request that nobody has taken on yet is no one person's
        waits = found.open[found.open[by] == role]
        arrived, decided = (int((part[by] == role).sum()) for part in (found.arrived, found.decided))
        ages = waits["age_business_s"]
        enough = len(waits) >= FEW
        rows.append(
            (
                role, len(waits), float(pd.to_numeric(waits["group_amount"]).sum()), float(waits["age_s"].max()) if len(waits) else None,
                float(ages.quantile(0.5)) if enough else None, float(ages.quantile(0.95)) if enough else None, arrived, decided,
                len(waits) / decided * days * 86400 if decided else None, max(arrived - decided, 0) / days,
            )
        )  # fmt: skip
    table = pd.DataFrame(rows, columns=[by, *ROLE_COLUMNS[1:]])
    return table.sort_values(["open", "decided"], ascending=False, kind="stable", ignore_index=True)


def delegations(decided: pd.DataFrame, *, named: bool) -> pd.DataFrame:
    """Decisions that somebody else took than was asked: by role and, where approvers are named, by who was asked (`asked_person`) and who
    decided (`approver`). n of them, `of` all decisions of the role, their value and their median working time (None below FEW), most first."""
    by = ["role", "asked_person", "approver"] if named else ["role"]
    of_role = decided["role"].value_counts().to_dict()
    rows = []
    for key, part in decided[decided["is_delegated"].astype(bool)].groupby(by, sort=False, dropna=False):
        names = dict(zip(by, key, strict=True))
        middle = float(part["business_s"].median()) if len(part) >= FEW else None
        rows.append({"asked_person": None, "approver": None, **names, "n": len(part), "of": int(of_role[names["role"]]), "value": _worth(part), "p50_s": middle})  # fmt: skip
    table = pd.DataFrame(rows, columns=["role", "asked_person", "approver", "n", "of", "value", "p50_s"])
    return table.sort_values(["n", "value"], ascending=False, kind="stable", ignore_index=True)


def flagged(decided: pd.DataFrame, everything: pd.DataFrame) -> pd.DataFrame:
    """The decisions with `is_quick` (it can have taken less than QUICK_S) and `is_reflex` (one of more than REFLEX_MANY of the same
    person within REFLEX_WITHIN_S). `everything`: their other decisions too, from before the period."""
    past = everything[everything["outcome"].isin(["approved", "rejected"])]
    quick: set[object] = set()
    reflex: set[object] = set()
    for _, theirs in past.groupby("person", sort=False):
        rows = theirs.sort_values("decided_at", kind="stable")
        at = [moment.timestamp() for moment in rows["decided_at"]]
        came = [moment.timestamp() for moment in rows["requested_at"]]
        ids = list(rows["task_id"])
        first = 0
        for place, moment in enumerate(at):
            earlier = at[place - 1] if place else float("-inf")
            if 0 <= moment - max(came[place], earlier) < QUICK_S:
                quick.add(ids[place])
            while at[first] < moment - REFLEX_WITHIN_S:
                first += 1
            if place - first + 1 > REFLEX_MANY:
                reflex.update(ids[first : place + 1])
    return decided.assign(
        is_quick=[one in quick for one in decided["task_id"]], is_reflex=[one in reflex for one in decided["task_id"]]
    )


def rates(decided: pd.DataFrame, *, by: Sequence[str]) -> pd.DataFrame:
    """RATES by role, by type, or by person, most decisions first. `decided` has been through `flagged`; `by`: "role", "document_type"
    and, where approvers are named, "approver" and "person"."""
    rows = []
    for key, part in decided.groupby(list(by), sort=False, dropna=False):
        n, approved = len(part), int((part["outcome"] == "approved").sum())
        quick = int(part["is_quick"].sum())
        named = dict(zip(by, key, strict=True))
        rows.append(
            {
                "role": named.get("role"), "person": named.get("person"), "approver": named.get("approver"), "document_type": named.get("document_type"), "decided": n, "approved": approved, "rate": approved / n,
                "p50_s": float(part["business_s"].quantile(0.5)) if n >= FEW else None, "quick": quick, "reflex": int(part["is_reflex"].sum()),
                "is_stamp": n >= FEW and approved / n >= STAMP_RATE and quick / n >= STAMP_QUICK,
            }
        )  # fmt: skip
    return pd.DataFrame(rows, columns=list(RATES)).sort_values("decided", ascending=False, kind="stable", ignore_index=True)  # fmt: skip


def propagation(found: Tasks) -> dict[str, pd.Series]:
    """Seconds from a decision until it was known here (every decision), in procurement or AP automation, and in the ERP (the last
    decision about each document: before it, they wait for the others)."""
    last = found.decided.sort_values("decided_at", kind="stable").drop_duplicates("document_id", keep="last")
    return {
        "here": found.decided["heard_s"],
        "returned": _since(last, "returned_at"),
        "erp": _since(last[last["outcome"] == "approved"], "erp_at"),
    }


def _since(rows: pd.DataFrame, column: str) -> pd.Series:
    there = rows[rows[column].notna()]
    return pd.Series([(after - at).total_seconds() for after, at in zip(there[column], there["decided_at"], strict=True)], dtype=float)  # fmt: skip


def hops(decided: pd.DataFrame) -> pd.Series:
    """How many decisions each document of the period needed."""
    return decided.groupby("document_id", sort=False).size()


def by_hour(found: Tasks) -> pd.DataFrame:
    """Weekday (0 is Monday), hour, arrived, decided: by the clock on the wall of each business unit, all 168 hours."""
    counted = {}
    for name, rows, at in (("arrived", found.arrived, "requested_at"), ("decided", found.decided, "decided_at")):
        counted[name] = pd.Series(
            [(local.weekday(), local.hour) for moment, zone in zip(rows[at], rows["time_zone"], strict=True) for local in [_local(moment, zone)]], dtype=object
        ).value_counts()  # fmt: skip
    hours = [(weekday, hour) for weekday in range(7) for hour in range(24)]
    return pd.DataFrame(
        [(weekday, hour, *(int(counted[name].get((weekday, hour), 0)) for name in ("arrived", "decided"))) for weekday, hour in hours],
        columns=["weekday", "hour", "arrived", "decided"],
    )  # fmt: skip


def _local(moment: datetime, zone: str | None) -> datetime:
    return moment.astimezone(ZoneInfo(zone or "UTC"))


@dataclass(frozen=True)
class Raised:
    """What would not have been asked of the exception groups with limits `factor` times as high.

    Args:
        vanish: The decisions that nobody would have been asked for.
        wait_s: Their working time from request to decision, together.
        documents: How many requisitions they belong to.
        value: What those are worth, in group currency.
        alone: The value that nobody else decided about: the added risk.
        refused: How many of the decisions were refusals.
        kept: Decisions on requisitions between the limits that would still be asked for, because there was another reason.
    """

    vanish: pd.DataFrame
    wait_s: float
    documents: int
    value: float
    alone: float
    refused: int
    kept: int


def raised(decided: pd.DataFrame, factor: float) -> Raised:
    """If the exception approval began at `factor` times each unit's limit."""
    amounts, limits = (
        pd.to_numeric(decided["amount"]).astype(float),
        pd.to_numeric(decided["limit_amount"]).astype(float),
    )
    between = (decided["document_type"] == "requisition") & (amounts >= limits) & (amounts < limits * factor)
    exceptional = between & ~decided["role"].str.startswith("Procurement, step ")
    other = decided["other_reason"].astype(bool)
    vanish = decided[exceptional & ~other]
    documents = vanish.drop_duplicates("document_id")
    seen_by_others = set(decided.loc[~decided.index.isin(vanish.index), "document_id"])
    alone = kept(documents, (one not in seen_by_others for one in documents["document_id"]))
    return Raised(
        vanish, float(vanish["business_s"].sum()), len(documents), _worth(documents), _worth(alone), int((vanish["outcome"] == "rejected").sum()), int((exceptional & other).sum())
    )  # fmt: skip


def _worth(rows: pd.DataFrame) -> float:
    return float(pd.to_numeric(rows["group_amount"]).sum())
