"""What a reprocessing will cost before it starts (D13): calls per system, from the steps each document has before it and the calls
those steps have taken lately; and how long that takes at the system's present limit."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sync_engine.insight.asking import Row
from sync_engine.insight.reports.health import SystemHealth
from sync_engine.insight.reports.reading import Reports
from sync_engine.model.flows import FLOWS, HOUR, Flow, Role, Step

NEWEST_ATTEMPTS = 5000
"""So many are looked at: enough for every step, and the same however much history there is."""

MESSAGE_CALLS = 1.0
"""A message is asked for again with one call."""


@dataclass(frozen=True, slots=True)
class Work:
    """One case to be repeated: where its document stands, or the system whose message could not be read."""

    flow: str | None
    step: str | None
    system: str
    many: int = 1


@dataclass(frozen=True, slots=True)
class Price:
    """What one system is asked. `calls` are HTTP calls; `unseen` names steps that nobody has seen lately, counted as one call."""

    system: str
    documents: int
    calls: float
    unseen: tuple[str, ...]

    def seconds(self, requests_per_s: float) -> float:
        """How long the calls take at a limit."""
        return self.calls / requests_per_s if requests_per_s > 0 else 0.0


def steps_before(flow: Flow, name: str) -> list[Step]:
    """The step and what follows it until somebody has to be waited for: what a repeat sets going.

    >>> [step.name for step in steps_before(FLOWS["order_to_fulfilment"], "return_order_number")]
    ['return_order_number', 'mark_exported']
    """
    steps: list[Step] = []
    step: Step | None = flow.step(name)
    while step is not None and (not steps or not step.waits_for):
        steps.append(step)
        step = flow.after(step.name)
    return steps


@dataclass(frozen=True)
class Asked:
    """What steps ask of systems: by (flow, step) the system and its calls, what waits at each now, and calls in the last hour."""

    seen: dict[tuple[str, str], tuple[str, float]]
    waiting: tuple[Work, ...]
    last_hour: dict[str, int]


def asked(reports: Reports, units: Sequence[str] | None, *, as_of: datetime) -> Asked:
    """What steps have asked lately, and what waits to be asked."""
    rows = reports.rows("calls_of_steps", newest=NEWEST_ATTEMPTS, units=list(units) if units else None, as_of=as_of)
    by_kind: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_kind[row["kind"]].append(row)
    return Asked(
        {(row["flow"], row["step"]): (row["system"], float(row["calls"])) for row in by_kind["seen"]},
        tuple(Work(row["flow"], row["step"], row["system"], int(row["many"])) for row in by_kind["waiting"]),
        {row["system"]: int(row["many"]) for row in by_kind["last hour"]},
    )


def prices(found: Asked, works: Iterable[Work], systems: Iterable[SystemHealth]) -> list[Price]:
    """What repeating these costs, per system, most calls first. Steps whose condition may not hold are counted: a price is an upper
    bound."""
    seen = found.seen
    by_role = {one.role: one.system for one in systems}
    calls: dict[str, float] = defaultdict(float)
    documents: dict[str, int] = defaultdict(int)
    unseen: dict[str, dict[str, None]] = defaultdict(dict)
    for work in works:
        called: set[str] = set()
        for system, many, name in _calls(work, seen, by_role):
            calls[system] += many * work.many
            called.add(system)
            if name:
                unseen[system][name] = None
        for system in called:
            documents[system] += work.many
    priced = [Price(system, documents[system], calls[system], tuple(unseen[system])) for system in calls]
    return sorted(priced, key=lambda price: -price.calls)


def _calls(
    work: Work, seen: dict[tuple[str, str], tuple[str, float]], by_role: dict[str, str]
) -> Iterable[tuple[str, float, str]]:
    """(system, calls, the step if nobody has seen it lately) of everything one case sets going."""
    if work.flow is None or work.step is None:
        yield work.system, MESSAGE_CALLS, ""
        return
    for step in steps_before(FLOWS[work.flow], work.step):
        if step.asks is Role.FINSYNC:
            continue
        known = seen.get((work.flow, step.name))
        system = known[0] if known else by_role.get(step.asks.value)
        if system is not None:
            yield system, known[1] if known else 1.0, "" if known else step.name


@dataclass(frozen=True, slots=True)
class Headroom:
    """What a system still takes, in calls. `source` says where it is known from: "header" (the system told us in its last answer) or
    "declared and observed" (the rate its connector declares for an hour, less the calls seen in the last one)."""

    limit_per_s: float
    used: int
    remaining: int
    limit: int
    source: str
    resets_at: datetime | None


def headroom(one: SystemHealth, used_last_hour: int) -> Headroom:
    """The quota a system has told us of; without one, an hour of the rate its connector declares."""
    rate = float(one.requests_per_s)
    if one.quota_limit is None or one.quota_remaining is None:
        limit = int(rate * HOUR)
        return Headroom(rate, used_last_hour, max(0, limit - used_last_hour), limit, "declared and observed", None)
    used = one.quota_limit - one.quota_remaining
    return Headroom(rate, used, one.quota_remaining, one.quota_limit, "header", one.quota_reset_at)


@dataclass(frozen=True, slots=True)
class Forecast:
    """When what waits for a system now will have been asked: `calls` it takes, `seconds` at the system's limit. It leaves out what
    comes in meanwhile, and counts from the moment the system answers."""

    calls: float
    seconds: float


def forecasts(found: Asked, systems: Iterable[SystemHealth]) -> dict[str, Forecast]:
    """For each system with a backlog, how long that takes to drain at the present limit."""
    known = {one.system: one for one in systems}
    return {
        price.system: Forecast(price.calls, price.seconds(float(known[price.system].requests_per_s)))
        for price in prices(found, found.waiting, known.values())
        if price.system in known
    }
