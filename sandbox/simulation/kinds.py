"""The kinds of journeys, as tables: the acts of people in their order, and what has to come of them in a calm world.

An act is the name of a method of `stories.People`, with its arguments. `documents` is how many documents the journey brings
into being at least.
"""

from dataclasses import dataclass, field
from typing import Any

Act = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of journey."""

    acts: tuple[Act, ...]
    documents: int
    line: dict[str, Any] = field(default_factory=dict)
    """How its requisition line differs from an ordinary one."""
    by_hand: bool = False
    """Somebody changes the ledger behind our back: the books have to differ afterwards, and the comparison has to say so."""
    is_drawn: bool = True
    """Seeds draw it; the others are for planted bugs or drawn apart, so that old seeds stay what they were."""
    ends_by_chance: bool = False
    """How far it has come when somebody ends it is chance, and so is where its documents stand in the end."""


def _acts(*acts: str | Act) -> tuple[Act, ...]:
    return tuple((act, {}) if isinstance(act, str) else act for act in acts)


_ORDERED = ("submit", "approve")
_NO_CONTRACT = {"contract": ""}

# fmt: off
KINDS: dict[str, Kind] = {
    "plain":               Kind(_acts(*_ORDERED, "receive", "bill"), 5),
    "paid":                Kind(_acts(*_ORDERED, "receive", "bill", "pay"), 5),
    "two_suppliers":       Kind(_acts(("submit", {"suppliers": 2}), "approve", "receive"), 4),
    "without_contract":    Kind(_acts(*_ORDERED, "agree", "receive", "bill"), 7, _NO_CONTRACT),
    "refused":             Kind(_acts(*_ORDERED, "refuse"), 3, _NO_CONTRACT),
    "rejected":            Kind(_acts("submit", "reject"), 1),
    "withdrawn":           Kind(_acts("submit", "withdraw"), 1),
    "edited":              Kind(_acts("submit", "edit", "approve", "receive"), 3),
    "unknown_cost_centre": Kind(_acts(("submit", {"cost_centre": "4799"}), "correct", "approve", "receive"), 3),
    "unknown_department":  Kind(_acts(("submit", {"department": "Moon Plant"})), 1),
    "changed_a_little":    Kind(_acts(*_ORDERED, ("revise", {"percent": 5}), "receive"), 4),
    "changed_a_lot":       Kind(_acts(*_ORDERED, ("revise", {"percent": 50}), "agree", "receive"), 6),
    "change_refused":      Kind(_acts(*_ORDERED, ("revise", {"percent": 50}), "refuse", "receive"), 6),
    "cancelled":           Kind(_acts(*_ORDERED, "cancel"), 3),
    "in_two_deliveries":   Kind(_acts(*_ORDERED, ("receive", {"share": 2}), ("bill", {"share": 2}), ("receive", {"share": 2}), ("bill", {"share": 2, "again": "B"})), 8),
    "returned_goods":      Kind(_acts(*_ORDERED, "receive", "send_back", "receive", "bill"), 7),
    "billed_early":        Kind(_acts(*_ORDERED, "bill", "receive"), 5),
    "billed_dearly":       Kind(_acts(*_ORDERED, "receive", ("bill", {"dearer_percent": 30}), "agree_to_bill", "release"), 6),
    "bill_refused":        Kind(_acts(*_ORDERED, "receive", ("bill", {"dearer_percent": 50}), "refuse_bill"), 5),
    "billed_twice":        Kind(_acts(*_ORDERED, "receive", "bill", "bill"), 6),
    "billed_without_order": Kind(_acts(("bill", {"order": False})), 1),
    "blocked_cost_centre": Kind(_acts("block", "submit", "approve", "unblock", "ask_to_reprocess", "receive"), 3),
    "given_up":            Kind(_acts("block", "submit", "approve", "give_up", "unblock"), 1),
    "half_returned":       Kind(_acts(*_ORDERED, ("receive", {"share": 2}), "send_back", "receive"), 5),
    "returned_in_part":    Kind(_acts(*_ORDERED, ("receive", {"share": 2}), ("receive", {"share": 2}), "send_back"), 5),
    "cancelled_too_late":  Kind(_acts(*_ORDERED, ("receive", {"share": 2}), "cancel"), 4),
    "supplier_news":       Kind(_acts("rename_supplier", *_ORDERED, "receive"), 3),
    "changed_by_hand":     Kind(_acts(*_ORDERED, "change_by_hand"), 2, by_hand=True),
    "half_agreed":         Kind(_acts(*_ORDERED, "agree_by_half"), 3, _NO_CONTRACT, is_drawn=False),
    "taken_back":          Kind(_acts(*_ORDERED, "take_back"), 2, is_drawn=False),
    "taken_back_early":    Kind(_acts(*_ORDERED, "take_back_early"), 2, is_drawn=False, ends_by_chance=True),
    "taken_back_too_late": Kind(_acts(*_ORDERED, ("receive", {"share": 2}), "take_back_in_vain"), 3, is_drawn=False),
    "blocked_after_check": Kind(_acts("submit", "block", "approve", "unblock", "ask_to_reprocess", "receive"), 3, is_drawn=False),
    "order_given_up":      Kind(_acts("submit", "block", "approve", "give_up", "unblock"), 2, is_drawn=False, ends_by_chance=True),
    "bill_given_up":       Kind(_acts(("bill", {"order": False}), "give_up_bill"), 1, is_drawn=False),
    "posting_refused":     Kind(_acts(("submit", {"supplier": 1}), "approve", "receive", "block_posting", ("bill", {"supplier": 1}), "unblock_posting", "ask_until_booked"), 5, is_drawn=False),
    "changed_while_blocked": Kind(_acts(*_ORDERED, ("block", {"once_ordered": True}), ("revise", {"percent": 5}), "unblock", ("ask_until_changed", {"percent": 5}), "receive"), 4, is_drawn=False),
    "billed_early_dearly": Kind(_acts(*_ORDERED, ("bill", {"dearer_percent": 30}), "receive", "agree_to_bill", "release"), 6, is_drawn=False),
    "in_three_parts":      Kind(_acts(*_ORDERED, ("receive", {"share": 4}), ("receive", {"share": 4}), ("receive", {"share": 4})), 5, is_drawn=False),
    "changed_half_received": Kind(_acts(*_ORDERED, ("receive", {"share": 2}), ("revise", {"percent": 5})), 4, is_drawn=False),
    "cancelled_after_return": Kind(_acts(*_ORDERED, "receive", "send_back", "cancel"), 5, is_drawn=False),
    "edited_when_asked":   Kind(_acts("submit", ("edit", {"once_asked": True}), "approve", "agree_to_the_last", "receive"), 8, _NO_CONTRACT, is_drawn=False),
    "edited_there_and_back": Kind(_acts("submit", ("edit", {"once_asked": True}), "correct", "approve", "agree_to_the_last"), 7, _NO_CONTRACT, is_drawn=False),
    "withdrawn_when_asked": Kind(_acts("submit", ("withdraw", {"once_asked": True})), 3, _NO_CONTRACT, is_drawn=False),
    "deleted_by_hand":     Kind(_acts(*_ORDERED, "delete_by_hand"), 2, by_hand=True),
}

RARE = ("taken_back", "taken_back", "taken_back_early", "taken_back_too_late", "blocked_after_check", "order_given_up", "bill_given_up", "posting_refused", "changed_while_blocked",
        "billed_early_dearly", "in_three_parts", "changed_half_received", "cancelled_after_return", "edited_when_asked", "edited_there_and_back", "withdrawn_when_asked")
"""What one schedule in four has beside its other journeys."""
# fmt: on
