"""What Coupa keeps, and what follows inside it when something is done: chains of approvals, orders, revisions.

Approvals stand in a table of their own and a requisition shows them inside itself, without being changed by them: a
step that is decided moves its own updated-at and leaves the requisition's where it was. Only a change of the
requisition's status moves that. A collector that watches requisitions alone never sees a step.

An approval is created when its turn comes, and only one is pending at a time. The last one is the integration user's.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from random import Random

from sandbox.coupa.budget import BudgetBook
from sandbox.coupa.records import Row, Wanted, line_total, money, order_line, person, requisition_line, stamp
from sandbox.ledger import Ledger, Table
from sandbox.wire import Standin

SECOND_LEVEL_FROM = Decimal(5000)
"""From this total on, in the requisition's own currency, the manager's manager has to agree too."""

REQUISITION = "RequisitionHeader"
ORDER = "OrderHeader"


class CoupaBooks(Standin):
    """The instance's records.

    Args:
        ledger: What it remembers.
        clock: Tells the time; aware UTC.
        rng: Draws faults and tokens.
        integration_login: The user behind the API client, who approves last in every chain.
        flat_custom_fields: Show custom fields at the top level of their record, as older instances do, instead of
            inside "custom-fields".
    """

    def __init__(
        self,
        ledger: Ledger,
        clock: Callable[[], datetime],
        rng: Random,
        *,
        integration_login: str = "finsync",
        flat_custom_fields: bool = False,
    ) -> None:
        super().__init__(ledger, clock, rng)
        self.integration_login = integration_login
        self.flat_custom_fields = flat_custom_fields
        self._master = ledger.table("master")
        self._users = ledger.table("user", ("login", "email"))
        self._suppliers = ledger.table("supplier", ("number",))
        self._requisitions = ledger.table("requisition", ("external-po-reference", "status"))
        self._approvals = ledger.table("approval", ("approvable-id", "_waits_for"))
        self._orders = ledger.table("purchase_order", ("po-number", "_requisition"))
        self._comments = ledger.table("comment", ("_on",))
        self._budget_lines = ledger.table("budget_line", ("segment-2",))
        self._budget = BudgetBook(self._budget_lines, clock, self._master_id)
        if not self._users.find("login", integration_login):
            self.add_user(
                login=integration_login, full_name="Integration User", email=f"{integration_login}@sandbox.example"
            )

    def add_user(self, *, login: str, full_name: str, email: str, manager: str = "") -> int:
        """Enter a user; the manager must be one already. Returns the user's id."""
        with self.lock:
            now = self.clock()
            first, _, last = full_name.rpartition(" ")
            user_id = self.ledger.number("user", 11)
            row = {
                "id": user_id,
                "created-at": stamp(now),
                "updated-at": stamp(now),
                "login": login,
                "email": email,
                "employee-number": f"E{user_id:05}",
                "firstname": first or full_name,
                "lastname": last if first else "",
                "fullname": full_name,
                "active": True,
                "manager": person(self._user(manager)) if manager else None,
            }
            self._users.put(str(user_id), row, now)
            return user_id

    def _start_chain(self, requisition: Row) -> None:
        levels = 2 if Decimal(requisition["total"]) >= SECOND_LEVEL_FROM else 1
        chain: list[str] = []
        user = self._user(requisition["requested-by"]["login"])
        while user["manager"] and len(chain) < levels:
            user = self._user(user["manager"]["login"])
            chain.append(user["login"])
        requisition |= {"_round": requisition["_round"] + 1, "_chain": [*chain, self.integration_login]}
        self._next_approval(requisition)

    def _next_approval(self, requisition: Row) -> None:
        login, *later = requisition["_chain"]
        self._restored(self._requisitions, {**requisition, "_chain": later})
        approver, requester = self._user(login), requisition["requested-by"]
        so_far = [row for row in self._approvals_of(requisition["id"]) if row["_round"] == requisition["_round"]]
        row = {
            "id": self.ledger.number("approval", 70001),
            "created-at": stamp(self.clock()),
            "position": len(so_far) + 1,
            "approval-chain-id": self._master_id("approval chain", "requisitions"),
            "status": "pending_approval",
            "approval-date": None,
            "note": None,
            "type": "ApprovalChainApproval",
            "approvable-type": REQUISITION,
            "approvable-id": requisition["id"],
            "delegate-id": None,
            "approver-id": approver["id"],
            "approver-type": "User",
            "approver": person(approver),
            "created-by": requester,
            "updated-by": requester,
            "_round": requisition["_round"],
            "_waits_for": login,
        }
        self._changed(self._approvals, row)

    def _decided(self, approval_id: int, status: str, by: str, comment: str) -> Row:
        row = self._open_approval(approval_id)
        user, at = person(self._user(by)), stamp(self.clock())
        decision = {"status": status, "approval-date": at, "note": comment or None, "approved-by": user}
        return self._changed(self._approvals, {**row, **decision, "updated-by": user, "_waits_for": None})

    def _open_approval(self, approval_id: int) -> Row:
        row = self._known(self._approvals, approval_id, "approval")
        if row["_waits_for"] is None:
            raise ValueError(f"approval {approval_id} is {row['status']}; only a pending approval can be decided")
        return row

    def _end_pending(self, requisition: Row, status: str, by: str) -> None:
        pending = self._pending(requisition["id"])
        if pending is not None:
            by_user = person(self._user(by))
            self._changed(self._approvals, {**pending, "status": status, "updated-by": by_user, "_waits_for": None})

    def _pending(self, requisition_id: int) -> Row | None:
        return next((row for row in self._approvals_of(requisition_id) if row["_waits_for"] is not None), None)

    def _approvals_of(self, requisition_id: int) -> list[Row]:
        return sorted(
            self._approvals.find("approvable-id", requisition_id), key=lambda row: (row["position"], row["id"])
        )

    def _set_status(self, requisition: Row, status: str, by: str) -> None:
        self._changed(self._requisitions, {**requisition, "status": status, "updated-by": person(self._user(by))})

    def _unbook_pending(self, requisition: Row) -> None:
        self._budget.book(requisition["requisition-lines"], "pending", -1, day_of(requisition["submitted-at"]))

    def _ordered(self, requisition: Row, references: Mapping[int, str], by: str) -> Row:
        """Order the lines of an approved requisition under the references they were given; returns it as it then is.

        Lines that are already ordered stay as they are.
        """
        now, lines = self.clock(), [dict(line) for line in requisition["requisition-lines"]]
        for po_number in dict.fromkeys(references.values()):
            asked = [
                line for line in lines if references.get(line["id"]) == po_number and line["order-line-id"] is None
            ]
            if asked:
                order = self._new_order(requisition, asked, po_number, by)
                for line, ordered in zip(asked, order["order-lines"], strict=True):
                    line |= {"order-line-id": ordered["id"], "updated-at": stamp(now), "status": "ordered"}
                self._budget.book(asked, "pending", -1, day_of(requisition["submitted-at"]))
                self._budget.book(asked, "ordered", 1, day_of(order["created-at"]))
        complete = all(line["order-line-id"] is not None for line in lines)
        return {**requisition, "requisition-lines": lines, "status": "ordered" if complete else requisition["status"]}

    def _new_order(self, requisition: Row, asked: list[Row], po_number: str, by: str) -> Row:
        now, order_id = self.clock(), self.ledger.number("purchase_order", 4001)
        department, user = requisition["department"], person(self._user(by))
        return self._changed(
            self._orders,
            {
                "id": order_id,
                "created-at": stamp(now),
                "po-number": po_number,
                "status": "issued",
                "version": 1,
                "internal-revision": 1,
                "change-type": None,
                "transmission-status": "deferred",
                "exported": False,
                "last-exported-at": None,
                "currency": requisition["currency"],
                "supplier": asked[0]["supplier"],
                "payment-term": None,
                "ship-to-user": requisition["requested-by"],
                "requisition-header": {
                    "id": requisition["id"],
                    "requested-by": requisition["requested-by"],
                    "department": department,
                },
                "order-lines": [
                    order_line(
                        self.ledger.number("order_line", 9001),
                        order_id,
                        position,
                        line,
                        po_number=po_number,
                        department=department,
                        at=stamp(now),
                    )
                    for position, line in enumerate(asked, 1)
                ],
                "created-by": user,
                "updated-by": user,
                "custom-fields": {},
                "_requisition": requisition["id"],
            },
        )

    def _resent(self, order: Row, by: str) -> None:
        """A person changed the order, so it is to be exported again; the API's own edits never ask for that."""
        revision = order["internal-revision"] + 1
        self._changed(
            self._orders,
            {**order, "exported": False, "internal-revision": revision, "updated-by": person(self._user(by))},
        )

    def _commented(self, on: str, on_id: int, by: str, text: str) -> Row:
        user = person(self._user(by))
        row = {
            "id": self.ledger.number("comment", 901),
            "created-at": stamp(self.clock()),
            "comments": text,
            "commentable-type": on,
            "commentable-id": on_id,
            "created-by": user,
            "updated-by": user,
            "_on": f"{on}/{on_id}",
        }
        return self._changed(self._comments, row)

    def _changed(self, table: Table, row: Row) -> Row:
        """Store a row as changed now: its updated-at moves."""
        row["updated-at"] = stamp(self.clock())
        return table.put(str(row["id"]), row, self.clock())

    def _restored(self, table: Table, row: Row) -> None:
        """Store a row of which nothing visible has changed: its updated-at stays, and its place in the changes."""
        table.put(str(row["id"]), row, datetime.fromisoformat(row["updated-at"]))

    def _known(self, table: Table, row_id: int, what: str) -> Row:
        row = table.get(str(row_id))
        if row is None:
            raise ValueError(f"there is no {what} {row_id}")
        return row

    def _in_status(self, requisition_id: int, statuses: frozenset[str], wish: str) -> Row:
        row = self._known(self._requisitions, requisition_id, "requisition")
        if row["status"] not in statuses:
            raise ValueError(f"requisition {requisition_id} is {row['status']} and cannot be {wish}")
        return row

    def _user(self, login: str) -> Row:
        found = self._users.find("login", login)
        if not found:
            raise ValueError(f"there is no user {login}")
        return found[0]

    def _entered(self, lines: Sequence[Wanted], currency: str) -> list[Row]:
        at = stamp(self.clock())
        return [
            requisition_line(
                self.ledger.number("requisition_line", 50001),
                position,
                wanted,
                currency=currency,
                supplier=self._supplier_slice(wanted["supplier_id"]) if "supplier_id" in wanted else None,
                at=at,
                lookup=self._master_id,
            )
            for position, wanted in enumerate(lines, 1)
        ]

    def _supplier_slice(self, supplier_id: int) -> Row:
        row = self._known(self._suppliers, supplier_id, "supplier")
        return {name: row[name] for name in ("id", "name", "display-name", "number")}

    def _master_id(self, kind: str, name: str) -> int:
        """The id of a piece of master data, given at first mention."""
        row = self._master.get(f"{kind}/{name}")
        if row is None:
            row = self._master.put(f"{kind}/{name}", {"id": self.ledger.number(kind, 101)}, self.clock())
        return int(row["id"])

    def _named(self, kind: str, name: str, field: str) -> Row | None:
        return {"id": self._master_id(kind, name), field: name} if name else None

    def _on_wire(self, row: Row) -> Row:
        """A row without what the instance keeps to itself."""
        shown = {name: value for name, value in row.items() if not name.startswith("_")}
        if self.flat_custom_fields and "custom-fields" in shown:
            shown |= shown.pop("custom-fields")
        for lines in ("requisition-lines", "order-lines"):
            if self.flat_custom_fields and lines in shown:
                shown[lines] = [
                    {name: value for name, value in (line | line["custom-fields"]).items() if name != "custom-fields"}
                    for line in shown[lines]
                ]
        return shown

    def _requisition_on_wire(self, row: Row) -> Row:
        """A requisition with the approvals of its present round inside."""
        approvals = [self._on_wire(a) for a in self._approvals_of(row["id"]) if a["_round"] == row["_round"]]
        current = next((a for a in approvals if a["status"] in {"pending_approval", "on_hold"}), None)
        return {**self._on_wire(row), "approvals": approvals, "current-approval": current}


def totals(lines: list[Row], currency: str) -> Row:
    """What a requisition says about its lines together."""
    total = sum((line_total(line["quantity"], line["unit-price"], currency) for line in lines), Decimal(0))
    return {"total": money(total, currency), "line-count": len(lines), "requisition-lines": lines}


def day_of(stamped: str) -> date:
    """The day a moment on the wire falls on, at the instance."""
    return datetime.fromisoformat(stamped).date()
