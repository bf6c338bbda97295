"""The decisions the engine takes itself, by the name a flow's row gives them (`Step.does`).

A decision gets a whole batch of items at one step and answers one outcome each, in order; None leaves an item for the
next round. It reads what it needs for all of them at once and then calls the pure rules of `model`.
"""

from sync_engine.engine.decisions import (
    cancelling,
    changes,
    drafting,
    exceptions,
    invoices,
    orders,
    requisitions,
    suppliers,
    withdrawing,
)
from sync_engine.engine.decisions.desk import Decision

DECISIONS: dict[str, Decision] = {
    **requisitions.DECISIONS,
    **drafting.DECISIONS,
    **orders.DECISIONS,
    **changes.DECISIONS,
    **cancelling.DECISIONS,
    **invoices.DECISIONS,
    **suppliers.DECISIONS,
    **withdrawing.DECISIONS,
    **exceptions.DECISIONS,
}
