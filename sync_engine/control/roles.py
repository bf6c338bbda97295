"""Five roles, what each may ask for, and the page each lands on (R139).

The table is the policy: pages hide what it does not allow, the database refuses a command in somebody else's name, and the
engine reads it again before it carries anything out.
"""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What somebody is to the product."""

    FINANCE_LEADER = "finance_leader"
    FINANCE_OPERATIONS = "finance_operations"
    PROCUREMENT_ANALYST = "procurement_analyst"
    INTEGRATION_SUPPORT = "integration_support"
    AUDITOR = "auditor"


class Action(StrEnum):
    """What can be asked of the engine."""

    CLAIM = "claim"
    ASSIGN = "assign"
    COMMENT = "comment"
    REPROCESS = "reprocess"
    STEER = "steer"
    CONFIRM = "confirm"
    CANCEL_ORDER = "cancel_order"
    ACCEPT = "accept"
    ABANDON = "abandon"
    CLOSE = "close"
    ACKNOWLEDGE_ALERT = "acknowledge_alert"
    SNOOZE_ALERT = "snooze_alert"
    RESOLVE_ALERT = "resolve_alert"
    SAVE_ALERT_RULE = "save_alert_rule"
    LEAVE_OUT = "leave_out"
    COUNT_AGAIN = "count_again"
    JUDGE_DUPLICATE = "judge_duplicate"
    VIEW_PAYLOAD = "view_payload"
    EXPORT = "export"


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may ask for an action, and whether they have to say why."""

    roles: frozenset[Role]
    needs_reason: bool
    says: str


_LEADER, _OPS, _ANALYST, _SUPPORT, _AUDITOR = Role
_EVERYBODY = frozenset(Role)

# fmt: off
RULES: dict[Action, Rule] = {
    Action.CLAIM:             Rule(frozenset({_OPS, _ANALYST, _SUPPORT}), False, "take an exception on"),
    Action.ASSIGN:            Rule(frozenset({_OPS, _ANALYST, _SUPPORT}), False, "give an exception to somebody"),
    Action.COMMENT:           Rule(frozenset({_OPS, _ANALYST, _SUPPORT}), False, "comment on an exception"),
    Action.REPROCESS:         Rule(frozenset({_OPS, _ANALYST, _SUPPORT}), True,  "reprocess documents"),
    Action.STEER:             Rule(frozenset({_OPS, _ANALYST, _SUPPORT}), False, "pause, resume or cancel a reprocessing"),
    Action.CONFIRM:           Rule(frozenset({_LEADER, _OPS}),            True,  "confirm what somebody else has asked for"),
    Action.CANCEL_ORDER:      Rule(frozenset({_OPS, _ANALYST}),           True,  "cancel an order in the ERP"),
    Action.ACCEPT:            Rule(frozenset({_OPS}),                     True,  "accept what a rule objects to"),
    Action.ABANDON:           Rule(frozenset({_OPS, _ANALYST}),           True,  "give a document up"),
    Action.CLOSE:             Rule(frozenset({_OPS, _SUPPORT}),           True,  "close an exception that stops nothing"),
    Action.ACKNOWLEDGE_ALERT: Rule(frozenset({_LEADER, _OPS, _ANALYST, _SUPPORT}), False, "acknowledge an alert"),
    Action.SNOOZE_ALERT:      Rule(frozenset({_OPS, _ANALYST, _SUPPORT}), False, "put an alert aside"),
    Action.RESOLVE_ALERT:     Rule(frozenset({_OPS, _SUPPORT}),           True,  "say that an alert is over"),
    Action.SAVE_ALERT_RULE:   Rule(frozenset({_OPS, _SUPPORT}),           True,  "change an alert rule"),
    Action.LEAVE_OUT:         Rule(frozenset({_OPS, _SUPPORT}),           True,  "leave deadlines out of an objective"),
    Action.COUNT_AGAIN:       Rule(frozenset({_OPS, _SUPPORT}),           True,  "count deadlines that were left out"),
    Action.JUDGE_DUPLICATE:   Rule(frozenset({_OPS}),                     True,  "say whether two invoices are one"),
    Action.VIEW_PAYLOAD:      Rule(frozenset({_OPS, _SUPPORT, _AUDITOR}), False, "open a payload"),
    Action.EXPORT:            Rule(_EVERYBODY,                            False, "export a list"),
}
# fmt: on

LANDING: dict[Role, str] = {
    Role.FINANCE_LEADER: "overview",
    Role.FINANCE_OPERATIONS: "exceptions",
    Role.PROCUREMENT_ANALYST: "stuck",
    Role.INTEGRATION_SUPPORT: "health",
    Role.AUDITOR: "audit",
}

NAMES_APPROVERS = frozenset({Role.FINANCE_LEADER, Role.AUDITOR})
"""Who is told, where decisions are measured, whose they were: those who manage approvers and those who audit them. Everybody else
sees the role that was asked."""

ACCEPTABLE = frozenset(
    {
        "duplicate_order",
        "duplicate_invoice",
        "supplier_duplicate",
        "supplier_tax_invalid",
        "budget_exceeded",
        "budget_conflict",
    }
)
"""What a person may accept against a rule. Segregation of duties is not among them, on purpose."""


def may(roles: frozenset[Role] | set[Role], action: Action) -> bool:
    """Whether somebody with these roles may ask for an action."""
    return bool(RULES[action].roles & set(roles))


def sees(units: tuple[str, ...], business_unit: str) -> bool:
    """Whether somebody with sight of `units` sees a business unit; "*" is every one."""
    return "*" in units or business_unit in units
