"""The columns of the ServiceNow tables that approvals and remediation tasks live in.

Column names are the vendor's as far as its own samples show them; those of the approval tables are commonly known and
not in any public contract. Every stored value is text, as on the wire: "true", "2026-01-31 08:00:00", "" for nothing.
"""

from dataclasses import dataclass
from types import MappingProxyType

JOURNALS = MappingProxyType({"comments": "Additional comments", "work_notes": "Work notes"})
"""Columns that hold nothing themselves: what is written to them becomes rows of sys_journal_field."""

_SYSTEM = dict.fromkeys(
    ("sys_id", "sys_created_on", "sys_created_by", "sys_updated_on", "sys_updated_by", "sys_mod_count"), ""
)

_TASK = {
    "active": "true",
    "approval": "not requested",
    "approval_history": "",
    "approval_set": "",
    "assigned_to": "",
    "assignment_group": "",
    "close_notes": "",
    "closed_at": "",
    "closed_by": "",
    "comments": "",
    "correlation_display": "",
    "correlation_id": "",
    "description": "",
    "due_date": "",
    "escalation": "0",
    "impact": "3",
    "made_sla": "true",
    "number": "",
    "opened_at": "",
    "opened_by": "",
    "parent": "",
    "priority": "4",
    "short_description": "",
    "state": "1",
    "sys_class_name": "",
    "upon_approval": "proceed",
    "upon_reject": "cancel",
    "urgency": "3",
    "work_notes": "",
    **_SYSTEM,
}
_TASK_REFERENCES = {
    "assigned_to": "sys_user",
    "assignment_group": "sys_user_group",
    "closed_by": "sys_user",
    "opened_by": "sys_user",
    "parent": "task",
}


@dataclass(frozen=True, slots=True)
class Columns:
    """One table: its columns with what they hold when nothing is given, and where its references lead.

    `number` is the prefix and the first number of a task table's range; `indexed` are the columns it can be entered by.
    """

    defaults: dict[str, str]
    references: dict[str, str]
    indexed: tuple[str, ...]
    number: tuple[str, int] | None = None


TABLES = MappingProxyType(
    {
        "sys_user": Columns(
            {"user_name": "", "name": "", "email": "", "active": "true", **_SYSTEM}, {}, ("user_name", "email")
        ),
        "sys_user_group": Columns({"name": "", "description": "", "active": "true", **_SYSTEM}, {}, ("name",)),
        "sys_user_grmember": Columns(
            {"user": "", "group": "", **_SYSTEM}, {"user": "sys_user", "group": "sys_user_group"}, ("group",)
        ),
        "sc_request": Columns(
            {**_TASK, "price": "0", "request_state": "requested", "requested_for": ""},
            {**_TASK_REFERENCES, "requested_for": "sys_user"},
            ("correlation_id", "number"),
            ("REQ", 10001),
        ),
        "sysapproval_group": Columns(_TASK, _TASK_REFERENCES, ("correlation_id", "parent"), ("GAPRV", 10001)),
        "sysapproval_approver": Columns(
            {
                "approval_source": "",
                "approver": "",
                "comments": "",
                "document_id": "",
                "due_date": "",
                "expected_start": "",
                "group": "",
                "source_table": "",
                "state": "not requested",
                "sysapproval": "",
                "wf_activity": "",
                **_SYSTEM,
            },
            {"approver": "sys_user", "group": "sysapproval_group", "sysapproval": "task"},
            ("sysapproval", "group", "_open_for"),
        ),
        "incident": Columns(
            {
                **_TASK,
                "caller_id": "",
                "category": "inquiry",
                "close_code": "",
                "incident_state": "1",
                "resolved_at": "",
                "resolved_by": "",
                "severity": "3",
            },
            {**_TASK_REFERENCES, "caller_id": "sys_user", "resolved_by": "sys_user"},
            ("correlation_id", "number"),
            ("INC", 10001),
        ),
        "sys_journal_field": Columns(
            {"element": "", "element_id": "", "name": "", "value": "", **_SYSTEM}, {}, ("element_id",)
        ),
    }
)

TASK_TABLES = ("sc_request", "sysapproval_group", "incident")
"""What a reference to the generic table `task` may lead to."""
