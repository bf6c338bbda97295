"""People who use our application: they see the exceptions of their units and ask for them to be reprocessed."""

import json
from random import Random
from typing import Any
from uuid import UUID

from sandbox.simulation.arena import Arena
from sandbox.simulation.clocks import WorldClock
from sandbox.simulation.stories import Journey
from sync_engine.control import commands
from sync_engine.control.access import acting
from sync_engine.control.roles import Action
from sync_engine.database.statements import sql


class Operators:
    """Everybody at the exceptions page.

    Args:
        arena: Their sessions.
        rng: Makes the ids of their commands.
        clock: Tells when they ask.
    """

    def __init__(self, arena: Arena, rng: Random, clock: WorldClock) -> None:
        self._arena = arena
        self._rng = rng
        self._clock = clock
        self.asked: list[UUID] = []

    def reprocess_journey(self, journey: Journey) -> int:
        """Ask for the open exceptions of a journey to be reprocessed; answers how many there are."""
        return self._reprocess("operations.1", f"{journey.requisition}")

    def tidy_up(self) -> int:
        """Ask for every open exception to be reprocessed; answers how many there are."""
        return self._reprocess("operations.1", "")

    def _reprocess(self, who: str, number: str) -> int:
        session = self._arena.sessions[who]
        with acting(self._arena.app, session.token) as connection:
            cases = connection.execute(sql("simulate.open_cases"), {"number": number}).fetchall()
        if not cases:
            return 0
        self._ask(who, Action.REPROCESS, [{"case_id": str(case_id), "version": version} for case_id, version in cases])
        return len(cases)

    def _ask(self, who: str, action: Action, cases: list[dict[str, Any]]) -> None:
        session = self._arena.sessions[who]
        command_id = UUID(int=self._rng.getrandbits(128), version=4)
        self.asked.append(command_id)
        commands.ask(
            self._arena.app,
            session.token,
            session.person,
            command_id=command_id,
            action=action,
            arguments=json.loads(json.dumps({"cases": cases})),
            now=self._clock.database_now(),
            reason="the cause is repaired",
        )
