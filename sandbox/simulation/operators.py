"""People who use our application: they see the exceptions of their units and ask for them to be reprocessed."""

from dataclasses import replace
from random import Random
from typing import Any
from uuid import UUID

from sandbox.simulation.arena import LEAVER, PEOPLE, Arena
from sandbox.simulation.clocks import WorldClock
from sync_engine.control import commands
from sync_engine.control.access import acting, put_people
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
        self._may_again = next(person for person in PEOPLE if person.user_id == LEAVER)
        self.trespasses: list[UUID] = []
        """Commands about exceptions their asker may not even know of."""
        self.have_asked = False
        """Whether anybody has asked for something since this was last set to False."""

    def reprocess_of(self, requisition: int | None) -> int:
        """Ask for the open exceptions of a requisition and its orders to be reprocessed; answers how many there are."""
        return self._reprocess("operations.1", f"{requisition}")

    def sees_open(self, number: str) -> bool:
        """Whether anything stands in the way of documents whose number begins so."""
        return bool(self._open_cases("operations.1", number))

    def give_up(self, number: str) -> bool:
        """Ask for what stands still of documents whose number begins so to be given up; answers whether there was anything."""
        cases = self._open_cases("operations.1", number)
        if cases:
            self._ask("operations.1", cases[:1], action=Action.ABANDON)
        return bool(cases)

    def take_back(self, requisition: int | None) -> int:
        """Ask for the open orders of a requisition to be cancelled; answers how many there are."""
        with acting(self._arena.app, self._arena.sessions["operations.1"].token) as connection:
            orders = connection.execute(sql("simulate.open_orders"), {"number": f"{requisition}"}).fetchall()
        for document_id, version in orders:
            self._command("operations.1", Action.CANCEL_ORDER, {"document_id": str(document_id), "version": version})
        return len(orders)

    def tidy_up(self) -> int:
        """Ask for every open exception to be reprocessed; answers how many there are."""
        return self._reprocess("operations.1", "")

    def crowd(self) -> int:
        """Three people see the same exceptions and all ask for them, one of them with two clicks; somebody of another unit has
        got hold of their ids. Answers how many exceptions there are."""
        cases = self._open_cases("operations.1", "")
        if not cases:
            return 0
        for who in ("operations.2", "operations.1", "operations.3"):
            command_id = self._ask(who, cases)
            if who == "operations.2":
                self._ask(who, cases, command_id)
        self._leave(cases)
        foreign = {
            who: [case for case in cases if case not in self._open_cases(who, "")]
            for who in ("analyst.de-south", "analyst.de-north")
        }
        self.trespasses += [self._ask(who, theirs) for who, theirs in foreign.items() if theirs]
        return len(cases)

    def _leave(self, cases: list[tuple[UUID, int]]) -> None:
        """Somebody asks too, and has lost their rights before anybody gets to it."""
        now = self._clock.database_now()
        put_people(self._arena.owner, [self._may_again], now=now)
        self._ask(LEAVER, cases)
        put_people(self._arena.owner, [replace(self._may_again, roles=frozenset())], now=now)

    def _reprocess(self, who: str, number: str) -> int:
        self._settle_what_stands()
        cases = self._open_cases(who, number)
        if cases:
            self._ask(who, cases)
        return len(cases)

    def _settle_what_stands(self) -> None:
        """A reprocessing that has halted is given up, so that its exceptions can be asked for again; one that waits for a second
        person gets one."""
        with acting(self._arena.app, self._arena.sessions["operations.1"].token) as connection:
            standing = connection.execute(sql("simulate.standing_redrives")).fetchall()
        for redrive_id, state in standing:
            if state == "awaiting_confirmation":
                self._command("operations.3", Action.CONFIRM, {"redrive_id": str(redrive_id)})
            else:
                self._command("operations.1", Action.STEER, {"redrive_id": str(redrive_id), "to": "cancel"})

    def _open_cases(self, who: str, number: str) -> list[tuple[UUID, int]]:
        with acting(self._arena.app, self._arena.sessions[who].token) as connection:
            return connection.execute(sql("simulate.open_cases"), {"number": number}).fetchall()

    def _ask(
        self,
        who: str,
        cases: list[tuple[UUID, int]],
        command_id: UUID | None = None,
        action: Action = Action.REPROCESS,
    ) -> UUID:
        named = [{"case_id": str(case_id), "version": version} for case_id, version in cases]
        return self._command(who, action, {"cases": named}, command_id)

    def _command(self, who: str, action: Action, arguments: dict[str, Any], command_id: UUID | None = None) -> UUID:
        session = self._arena.sessions[who]
        self.have_asked = True
        command_id = command_id or UUID(int=self._rng.getrandbits(128), version=4)
        commands.ask(
            self._arena.app,
            session.token,
            session.person,
            command_id=command_id,
            action=action,
            arguments=arguments,
            now=self._clock.database_now(),
            reason="the cause is repaired",
        )
        return command_id
