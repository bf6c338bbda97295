"""Bugs in what is decided here: rules that span systems."""

from sandbox.simulation.mutants import profiles
from sandbox.simulation.mutants.mutant import Mutant
from sandbox.simulation.mutants.patches import code

POLICIES = "sync_engine.model.policies"
REQUISITIONS = "sync_engine.engine.decisions.requisitions"
SETTLE = "sync_engine.engine.settling"

DECIDING = (
    Mutant(
        "no_contract_needed",
        "decisions",
        "A supplier without a contract needs the exception approval",
        ("approval", "liveness"),
        profiles.TWO_SIDES,
        (code(f"{POLICIES}:approval_route", ("policies.contract_required and suppliers_without_contract", "False")),),
    ),
    Mutant(
        "one_group_is_enough",
        "decisions",
        "All groups that were asked have to agree",
        ("approval", "confluence", "liveness"),
        profiles.HALF_AGREED,
        (code(f"{POLICIES}:joint_decision", ("if all(decision in", "if any(decision in")),),
    ),
    Mutant(
        "refusal_is_ignored",
        "decisions",
        "Either group's refusal ends it",
        ("approval", "confluence", "liveness"),
        profiles.TWO_SIDES,
        (code(f"{POLICIES}:joint_decision", ("return Decision.REJECTED", "return Decision.APPROVED")),),
    ),
    Mutant(
        "a_change_needs_no_approval",
        "decisions",
        "A change that raises an order by more than the limit needs a new approval",
        ("liveness", "confluence", "approval"),
        profiles.TWO_SIDES,
        (code("sync_engine.engine.decisions.changes:_validated", ("not change.cancels and rise > allowed", "False")),),
    ),
    Mutant(
        "approval_of_another_version",
        "decisions",
        "A requisition that changes begins anew: what was agreed to was another version",
        ("approval", "poison", "confluence", "liveness", "totals"),
        profiles.EDITED,
        (
            code(
                "sync_engine.engine.applying:Batch._new_payload", ("elif restarts and flow is not None:", "elif False:")
            ),
        ),
    ),
    Mutant(
        "any_price_matches",
        "decisions",
        "An invoice whose price is off beyond the tolerance is reviewed",
        ("liveness", "confluence"),
        profiles.BILLS,
        (
            code(
                "sync_engine.model.matching:_variances",
                ("if tolerance.price.exceeded(billed.unit_price, ordered.unit_price):", "if False:"),
            ),
        ),
    ),
    Mutant(
        "billed_twice_paid_twice",
        "decisions",
        "The same bill twice is found before it is posted",
        ("confluence", "liveness"),
        profiles.BILLS,
        (code(f"{POLICIES}:duplicate_invoices", ("if pattern:", "if False:")),),
    ),
    Mutant(
        "paid_before_it_came",
        "decisions",
        "An invoice waits for the goods",
        ("three_way_match",),
        profiles.EARLY,
        (code("sync_engine.model.matching:match_line", ("if ordered.receipt_required:", "if False:")),),
    ),
    Mutant(
        "cancelled_here_only",
        "decisions",
        "An order that is taken back is cancelled in the ERP",
        ("totals", "confluence"),
        profiles.ORDERS_END,
        (
            code(
                "collectors.sap_s4hana_changes:cancel_purchase_order",
                ("edits = [] if gone else", "edits = [] if gone or not gone else"),
            ),
        ),
    ),
    Mutant(
        "reversal_counted_as_receipt",
        "decisions",
        "A reversal takes back what was received",
        ("confluence", "liveness", "totals"),
        profiles.ORDERS_END,
        (code("sync_engine.engine.decisions.orders:apply_receipt", ("line.quantity,", "abs(line.quantity),")),),
    ),
    Mutant(
        "asked_in_vain",
        "decisions",
        "What people were asked about an earlier version is withdrawn",
        ("wanted_answers",),
        profiles.ASKED_ANEW,
        (code("sync_engine.engine.recording:Recording.move", ("if activity in ENDS_APPROVALS and", "if False and")),),
    ),
)
