"""People decide: managers in procurement, regional finance and procurement groups in the approval tool."""

from sandbox import company_odds as odds
from sandbox.company_agenda import action
from sandbox.company_office import Office, Watch
from sandbox.company_people import (
    EXCEPTION_REJECTIONS,
    REJECTIONS,
    REVIEW_REJECTIONS,
    SELF_APPROVERS,
    decides_at,
    said,
    unit_of,
)
from sandbox.ledger import Row

SELVES = {user: login for login, (user, _, _) in SELF_APPROVERS.items()}
"""User name in the approval tool to the same person's login in procurement."""


class Approving:
    """Everybody who decides."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._tables = office.servicenow.tables
        self._asked = Watch("approver", self._tables["sysapproval_approver"], office.ledger, _asked)

    # In procurement

    def ask_approver(self, requisition_id: int) -> None:
        """Let the person a requisition waits for decide in their own time; the integration decides by itself."""
        office = self._office
        pending = office.coupa.pending_approval(requisition_id)
        if pending is None or pending[1] == office.coupa.integration_login:
            return
        approval_id, login = pending
        unit = unit_of(login, office.units)
        at = decides_at(login, unit, office.luck("approval", approval_id), office.now, office.start)
        arguments = {"approval_id": approval_id, "login": login, "requisition_id": requisition_id}
        office.agenda.add(at, self.decide_requisition, **arguments)

    @action
    def decide_requisition(self, *, approval_id: int, login: str, requisition_id: int) -> None:
        """Approve or reject one step, unless it is gone by now."""
        coupa, luck = self._office.coupa, self._office.luck("decision", approval_id)
        approves = luck.random() >= odds.COUPA_REJECTS_SHARE
        comment = said(luck, approves, REJECTIONS)
        with coupa.lock:
            if approval_id not in coupa.open_approvals(login):
                return
            if approves:
                coupa.approve(approval_id=approval_id, by=login, comment=comment)
                self.ask_approver(requisition_id)
            else:
                coupa.reject(approval_id=approval_id, by=login, comment=comment)

    # In the approval tool

    def notice(self) -> None:
        """See which requests have come, and plan who takes them when."""
        for _, row in self._asked.news():
            self._take(row)

    def _take(self, row: Row) -> None:
        """Whoever of the group is at it takes the request; a colleague helps when it lies too long."""
        office, key = self._office, row["sys_id"]
        user = self._user(row["approver"])
        unit = unit_of(user, office.units)
        if user in SELVES:
            if self._asked_for_by(row) == SELVES[user]:
                at = unit.calendar.after(office.now, office.luck("self", key).uniform(0.3, 0.8))
                office.agenda.add(at, self.decide_request, approver_row=key, keen=True)
            return
        colleagues = [
            self._user(other["approver"]) for other in self._tables["sysapproval_approver"].find("group", row["group"])
        ]
        able = sorted(name for name in colleagues if name not in SELVES)
        luck = office.luck("request", row["group"], user)
        if user == office.luck("taker", row["group"]).choice(able):
            at = decides_at(user, unit, luck, office.now, office.start)
        elif luck.random() < odds.COLLEAGUE_HELPS_SHARE / max(1, len(able) - 1):
            overdue = unit.calendar.after(office.now, odds.COLLEAGUE_HELPS_AFTER_H)
            at = decides_at(user, unit, luck, overdue, office.start)
        else:
            return
        office.agenda.add(at, self.decide_request, approver_row=key, keen=False)

    @action
    def decide_request(self, *, approver_row: str, keen: bool) -> None:
        """Approve or reject a request, unless somebody else has decided it. Who is keen on it approves."""
        office = self._office
        with office.servicenow.lock:
            row = self._tables["sysapproval_approver"].get(approver_row)
            if row is None or row["state"] != "requested":
                return
            groups = self._tables["sysapproval_group"].find("parent", row["sysapproval"])
            # A request is refused as often whether one group decides it or two.
            share = 1 - (1 - odds.SERVICENOW_REJECTS_SHARE) ** (1 / max(1, len(groups)))
            luck = office.luck("verdict", row["group"])
            approves = keen or luck.random() >= share
            parent = self._tables["sc_request"].get(row["sysapproval"])
            is_review = parent is not None and parent["short_description"].startswith("Review")
            comment = said(luck, approves, REVIEW_REJECTIONS if is_review else EXCEPTION_REJECTIONS)
            office.servicenow.decide(
                approver_row=approver_row, state="approved" if approves else "rejected", comment=comment
            )

    def _user(self, sys_id: str) -> str:
        return str(self._tables["sys_user"].rows[sys_id]["user_name"])

    def _asked_for_by(self, row: Row) -> str:
        """Who asked in procurement for what a request is about; "" when it is about something else."""
        parent = self._tables["sc_request"].get(row["sysapproval"])
        number = parent["correlation_display"] if parent is not None else ""
        if not number.isdecimal():
            return ""
        try:
            return str(self._office.coupa.requisition(int(number))["requested-by"]["login"])
        except ValueError:
            return ""  # the number is another system's


def _asked(row: Row) -> str:
    return str(row["sys_id"]) if row["state"] == "requested" else ""
