"""The people of the demo who use our product: finance operations and support, working through the exception queue.

They ask for what the pages ask for, as commands of a session of their own, in office hours; they know nothing that the
queue does not show. Without them ninety days of demo would be ninety days of unattended exceptions.
"""

import heapq
import json
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import psycopg

from sync_engine.control.access import Person, put_people
from sync_engine.control.roles import ACCEPTABLE, Action, Role
from sync_engine.engine import store

ROUND_S = 2 * 3600
"""They look through the queue every two hours of the day."""

PATIENCE_TRIES = 6
"""A case that was tried so often in vain is left for the morning meeting."""

STAFF = Person(
    "operations.desk@demo.test",
    "Operations desk",
    frozenset({Role.FINANCE_OPERATIONS, Role.INTEGRATION_SUPPORT}),
    ("*",),
)


class Staff:
    """Works through open exceptions on the fast clock.

    Args:
        connection: As the engine's role: commands are put where the application would put them.
        seed: Decides who gets to what when.
        now: The first moment.
    """

    def __init__(self, connection: psycopg.Connection, seed: int, now: datetime) -> None:
        self._connection = connection
        # The moment is part of it: who goes on after a stop draws other ids than before.
        self._rng = Random(f"staff {seed} {now}")
        self.next_at = now + timedelta(seconds=ROUND_S)
        self._tries: dict[UUID, int] = {}
        self._heap: list[tuple[datetime, int, dict[str, Any]]] = []
        self._ordinal = 0
        put_people(connection, [STAFF], now=now)

    def next_action_at(self) -> datetime:
        """When somebody looks at the queue next."""
        return min(self.next_at, self._heap[0][0]) if self._heap else self.next_at

    def act(self, now: datetime) -> bool:
        """Look at the queue, and do what had been planned. Answers whether anything was asked."""
        if now >= self.next_at:
            self._look(now)
            while self.next_at <= now:
                self.next_at += timedelta(seconds=ROUND_S)
        asked = False
        while self._heap and self._heap[0][0] <= now:
            _, _, case = heapq.heappop(self._heap)
            self._ask(case, now)
            asked = True
        return asked

    def _look(self, now: datetime) -> None:
        if now.weekday() >= 5 or not 6 <= now.hour < 22:
            return
        for case in store.rows(self._connection, "demo.cases_to_work_on", now=now):
            tried = self._tries.get(case["case_id"], 0)
            if tried < PATIENCE_TRIES and self._rng.random() < 0.35:
                self._ordinal += 1
                heapq.heappush(self._heap, (now + timedelta(minutes=self._rng.uniform(1, 100)), self._ordinal, case))
                self._tries[case["case_id"]] = tried + 1

    def _ask(self, case: dict[str, Any], now: datetime) -> None:
        named = [{"case_id": str(case["case_id"]), "version": case["version"]}]
        if case["retryable"] != "never":
            self._command(
                Action.REPROCESS,
                named,
                "the cause should be repaired by now",
                now,
                {"reason_code": "cause_repaired", "scope": "one exception"},
            )
        elif case["code"] in ACCEPTABLE and (case["code"] != "duplicate_invoice") and self._rng.random() < 0.5:
            self._command(Action.ACCEPT, named, "checked with the requester: it is meant so", now, {})
        else:
            self._command(Action.ABANDON, named, "checked with the requester: it is not needed", now, {})

    def _command(
        self, action: Action, cases: list[dict[str, Any]], reason: str, now: datetime, more: dict[str, Any]
    ) -> None:
        store.run(
            self._connection,
            "demo.ask",
            command_id=UUID(int=self._rng.getrandbits(128), version=4),
            actor=STAFF.user_id,
            roles=[role.value for role in sorted(STAFF.roles)],
            action=action.value,
            arguments=json.dumps({"cases": cases, **more}),
            reason=reason,
            now=now,
        )
