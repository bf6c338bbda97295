"""The kinds of schedules in which planted bugs are looked for."""

from sandbox.simulation.mutants.mutant import Profile

CALM = Profile(("plain", "without_contract"), {}, engines=1)
LOST = Profile(("plain", "without_contract", "paid"), {"reply_lost": 0.4, "delayed": 0.3, "forgetful": 1.0})
LATE_EFFECTS = Profile(("plain", "two_suppliers"), {"delayed": 0.6, "forgetful": 1.0})
KILLED = Profile(("two_suppliers", "two_suppliers", "cancelled"), {"crash": 0.8, "forgetful": 1.0})
KILLED_READING = Profile(("plain", "rejected", "withdrawn"), {"crash": 4.0}, engines=1)
SLOW = Profile(("plain", "two_suppliers", "edited"), {"slow": 0.3, "reply_lost": 0.3, "forgetful": 1.0}, engines=3)
HELD_TOO_LONG = Profile(
    ("unknown_department", "unknown_cost_centre", "blocked_cost_centre") * 2,
    {"slow": 0.9, "reply_lost": 0.3},
    engines=3,
)
RETOLD = Profile(("edited", "withdrawn", "changed_a_lot"), {"duplicate": 0.3, "late": 0.3})
NASTY = Profile(("plain", "billed_early"), {"poison": 0.6, "schema": 0.3})
EDITED = Profile(("edited", "edited", "edited"), {"slow": 0.3}, engines=3)
TWO_SIDES = Profile(("without_contract", "refused", "changed_a_lot", "change_refused"), {})
BILLS = Profile(("billed_dearly", "bill_refused", "billed_twice", "plain"), {})
ORDERS_END = Profile(("cancelled", "cancelled_too_late", "returned_in_part"), {"slow": 0.1})
ASKED_ANEW = Profile(("edited_when_asked", "withdrawn_when_asked", "edited_there_and_back"), {"slow": 0.3})
EARLY = Profile(("billed_early", "plain"), {})
HALF_AGREED = Profile(("half_agreed", "without_contract"), {})
OTHER_CLOCKS = Profile(("plain", "rejected", "without_contract"), {"clock": 1.0}, engines=1)
UNKNOWN_NUMBERS = Profile(("without_contract", "without_contract", "without_contract"), {"crash": 1.0}, pace_s=(60,))
CROWDED = Profile(("unknown_department", "unknown_cost_centre", "blocked_cost_centre"), {"crowd": 1.5})
STORMY = Profile(("plain", "paid", "without_contract"), {"storm": 2.0})
DOWN = Profile(("plain", "without_contract"), {"outage": 6.0})
REFUSED = Profile(
    ("unknown_cost_centre", "unknown_department", "blocked_cost_centre", "billed_dearly"), {"poison": 0.1}
)
TAKEN_BACK = Profile(("withdrawn", "rejected", "withdrawn"), {"slow": 0.6, "crowd": 1.0}, engines=3)
