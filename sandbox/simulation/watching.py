"""Looks on while engines take work and ask, for what no ledger could tell afterwards. It goes by what it sees on the wire and by the
clock, not by what the engine believes."""

import math
from collections.abc import Sequence
from datetime import timedelta

from sandbox.simulation.bounds import CLOCKS_DIFFER_S, IN_VAIN_S
from sandbox.simulation.clocks import WorldClock
from sandbox.simulation.findings import Finding
from sandbox.simulation.notes import Notes
from sandbox.simulation.wire import Wire
from sync_engine.engine.engine import Engine
from sync_engine.engine.lanes import LEASE_S
from sync_engine.engine.outcomes import Item, Kind
from sync_engine.engine.results import Result, idempotency_key
from sync_engine.model.ports import System

BUSY = frozenset({429, 503})
A_CALL = 1.0
"""What a claim takes out of a rate limit at least."""


class Watch:
    """Whoever looks on.

    Args:
        notes: Where it is taken down.
        clock: The true time, and the database's.
        wire: What the systems have said.
    """

    def __init__(self, notes: Notes, clock: WorldClock, wire: Wire) -> None:
        self._notes = notes
        self._clock = clock
        self._wire = wire
        self._in_vain_since_s: float | None = None

    def looked(self, *, in_vain: bool) -> None:
        """Engines have looked for what is due; in vain: there is something, and none of them took it."""
        elapsed_s = self._clock.elapsed_s
        if not in_vain:
            self._in_vain_since_s = None
        elif self._in_vain_since_s is None:
            self._in_vain_since_s = elapsed_s
        elif elapsed_s - self._in_vain_since_s > IN_VAIN_S:
            self._found("liveness", "", f"something has been due for {IN_VAIN_S:.0f} s, and no engine takes it")
            self._in_vain_since_s = math.inf  # once is enough

    def claimed(self, engine: Engine, items: Sequence[Item]) -> None:
        """An engine has been given items of one lane, which stands even if it dies before it can do anything about them."""
        lane = items[0].system
        now, until = self._clock.database_now(), self._notes.left_alone_until.get(lane)
        if until is not None and now < until:
            says = f"{lane} had asked to be left alone until {until:%H:%M:%S}, and {len(items)} calls were claimed"
            self._found("restraint", lane, says)
        for item in items:
            self._notes.newest[item.work_item_id] = max(
                item.fencing_token, self._notes.newest.get(item.work_item_id, 0)
            )
            claim = (item.work_item_id, item.fencing_token)
            if claim in self._notes.claims:
                says = f"token {item.fencing_token} was given to {self._notes.claims[claim]} and to {engine.engine_id}"
                self._found("fencing", item.head.number, says)
            self._notes.claims[claim] = engine.engine_id
            self._taken_early(engine, item)
            self._one_key_one_payload(item)
            self._within_limit(engine.setup.systems[lane], item)

    def begins(self, item: Item) -> None:
        """An engine begins to ask about an item."""
        self._notes.steps[f"{item.flow.name}.{item.step.name}"] += 1
        self._wire.about = (item.work_item_id, item.fencing_token)
        late_s = (self._clock.database_now() - item.claimed_at).total_seconds()
        if late_s > LEASE_S / 2 + CLOCKS_DIFFER_S:
            self._found("fencing", item.head.number, f"asked about {late_s:.0f} s after it was claimed")

    def asked_to_wait(self, lane: str, results: list[Result]) -> None:
        """What came of these is on record: from now on everybody knows that the system wants to be left alone, and until when."""
        for result in results:
            calls, claim = result.attempt.calls, (result.item.work_item_id, result.item.fencing_token)
            wait_s = self._wire.told_to_wait.pop(claim, None)
            is_why = result.outcome.kind is Kind.NOT_SENT and calls and calls[-1].status in BUSY
            if wait_s is not None and is_why:
                until = self._clock.database_now() + timedelta(seconds=wait_s - CLOCKS_DIFFER_S)
                self._notes.left_alone_until[lane] = max(until, self._notes.left_alone_until.get(lane, until))

    def _taken_early(self, engine: Engine, item: Item) -> None:
        """A claim that somebody still holds is nobody else's before its lease is over."""
        before = self._notes.claimed_at.get(item.work_item_id)
        if item.abandoned and before is not None:
            held_s = (item.claimed_at - before).total_seconds()
            if held_s < LEASE_S - CLOCKS_DIFFER_S:
                self._found(
                    "fencing", item.head.number, f"{engine.engine_id} took it {held_s:.0f} s after another claim"
                )
        self._notes.claimed_at[item.work_item_id] = item.claimed_at

    def _one_key_one_payload(self, item: Item) -> None:
        first = self._notes.keys.setdefault(idempotency_key(item), item.payload_hash)
        if first != item.payload_hash:
            self._found("once", item.head.number, f"one idempotency key for two versions at {item.step.name}")

    def _within_limit(self, system: System, item: Item) -> None:
        """The shared limit as a bucket of our own. A probe through an open breaker goes whatever is left."""
        now = self._clock.database_now()
        left, at = self._notes.buckets.get(system.name, (float(system.burst), now))
        filled = min(float(system.burst), left + system.requests_per_s * max(0.0, (now - at).total_seconds()))
        if filled < A_CALL - 0.5 - system.requests_per_s * CLOCKS_DIFFER_S and not item.is_probe:
            self._found("restraint", item.head.number, f"{system.name} was asked beyond its rate limit")
        self._notes.buckets[system.name] = (max(0.0, filled - A_CALL), now)

    def _found(self, invariant: str, document: str, says: str) -> None:
        self._notes.findings.append(Finding(invariant, document, says))
