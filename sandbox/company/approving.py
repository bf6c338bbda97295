"""People decide: managers in procurement, regional finance and procurement groups in the approval tool."""

from sandbox.company import odds
from sandbox.company.agenda import action
from sandbox.company.hurry import Hurried
from sandbox.company.office import Office, Watch
from sandbox.company.people import (
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
    """Everybody who decides.

    Args:
        office: The surroundings.
        hurried: What is decided at once, at any hour.
    """

    def __init__(self, office: Office, hurried: Hurried) -> None:
        self._office = office
        self._hurried = hurried
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
        luck = office.luck("approval", approval_id)
        if self._hurried.is_requisition(requisition_id):
            at = office.now + self._hurried.pause(luck)
        else:
            at = decides_at(login, unit_of(login, office.units), luck, office.now, office.start)
        arguments = {"approval_id": approval_id, "login": login, "requisition_id": requisition_id}
        office.agenda.add(at, self.decide_requisition, **arguments)

    @action
    def decide_requisition(self, *, approval_id: int, login: str, requisition_id: int) -> None:
        """Approve or reject one step, unless it is gone by now. What is in a hurry is approved."""
        coupa, luck = self._office.coupa, self._office.luck("decision", approval_id)
        approves = luck.random() >= odds.COUPA_REJECTS_SHARE or self._hurried.is_requisition(requisition_id)
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
        with self._office.servicenow.lock:
            for _, row in self._asked.news():
                self._take(row)

    def _take(self, row: Row) -> None:
        """Whoever of the group is at it takes the request; a colleague helps when it lies too long.

        What is in a hurry is taken at once; when it is to be refused, by the first group that was asked.
        """
        office, key = self._office, row["sys_id"]
        user = self._user(row["approver"])
        unit = unit_of(user, office.units)
        verdict = self._hurried.verdict_on(self._number(row))
        if user in SELVES and verdict is None:
            if self._asked_for_by(row) == SELVES[user]:
                at = unit.calendar.after(office.now, office.luck("self", key).uniform(0.3, 0.8))
                office.agenda.add(at, self.decide_request, approver_row=key, keen=True)
            return
        colleagues = [
            self._user(other["approver"]) for other in self._tables["sysapproval_approver"].find("group", row["group"])
        ]
        able = sorted(name for name in colleagues if name not in SELVES)
        luck = office.luck("request", row["group"], user)
        takes = user == office.luck("taker", row["group"]).choice(able)
        if verdict is not None:
            if not takes or not (verdict or self._is_first(row)):
                return
            at = office.now + self._hurried.pause(luck)
        elif takes:
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
            verdict = self._hurried.verdict_on(self._number(row))
            approves = (keen or luck.random() >= share) if verdict is None else verdict
            parent = self._tables["sc_request"].get(row["sysapproval"])
            is_review = parent is not None and parent["short_description"].startswith("Review")
            comment = said(luck, approves, REVIEW_REJECTIONS if is_review else EXCEPTION_REJECTIONS)
            office.servicenow.decide(
                approver_row=approver_row, state="approved" if approves else "rejected", comment=comment
            )

    def _user(self, sys_id: str) -> str:
        return str(self._tables["sys_user"].rows[sys_id]["user_name"])

    def _number(self, row: Row) -> str:
        """The number of what a request is about, as it stands there; "" when none does."""
        parent = self._tables["sc_request"].get(row["sysapproval"])
        return str(parent["correlation_display"]) if parent is not None else ""

    def _is_first(self, row: Row) -> bool:
        """Whether an approver belongs to the first group that was asked about something."""
        groups = self._tables["sysapproval_group"].find("parent", row["sysapproval"])
        return bool(row["group"] == min(groups, key=lambda group: group["number"])["sys_id"])

    def _asked_for_by(self, row: Row) -> str:
        """Who asked in procurement for what a request is about; "" when it is about something else."""
        number = self._number(row)
        if not number.isdecimal():
            return ""
        try:
            return str(self._office.coupa.requisition(int(number))["requested-by"]["login"])
        except ValueError:
            return ""  # the number is another system's


def _asked(row: Row) -> str:
    return str(row["sys_id"]) if row["state"] == "requested" else ""
