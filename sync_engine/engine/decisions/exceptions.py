"""Work about an exception: its task and its notes stay open until the exception is closed."""

from sync_engine.engine.decisions.desk import Desk, one_by_one
from sync_engine.engine.outcomes import Item, Kind, Outcome
from sync_engine.model.flows import DAY


def _closure(item: Item, _desk: Desk) -> Outcome:
    if item.subject.get("closed_at"):
        return Outcome(Kind.DONE)
    return Outcome(Kind.WAIT, wait_s=30 * DAY, waiting_for=item.subject.get("owner_team", "its owner"))


DECISIONS = {"await_closure": one_by_one(_closure)}
