"""What people do on Coupa's own screens: enter suppliers and budgets, submit, approve, reject, revise, cancel.

Every method takes effect at the clock's time. What nobody could do on the screen raises ValueError.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from sandbox.coupa.books import REQUISITION, CoupaBooks, day_of, totals
from sandbox.coupa.records import Row, Wanted, currency_row, day_stamp, person, repriced, stamp

OPEN_STATUSES = frozenset({"pending_approval", "pending_buyer_action"})


class CoupaScreen(CoupaBooks):
    """The screens of one instance."""

    def register_supplier(
        self,
        *,
        name: str,
        number: str = "",
        tax_id: str = "",
        country: str = "",
        payment_term: str = "",
        status: str = "active",
    ) -> int:
        """Enter a supplier; `number` is what the ERP calls it. Returns Coupa's own id."""
        with self.lock:
            supplier_id = self.ledger.number("supplier", 301)
            row = {
                "id": supplier_id,
                "created-at": stamp(self.clock()),
                "name": name,
                "display-name": name,
                "number": number or None,
                "status": status,
                "on-hold": False,
                "tax-id": tax_id or None,
                "payment-term": self._named("payment term", payment_term, "code"),
                "primary-address": {"country": self._named("country", country, "code")} if country else None,
            }
            self._changed(self._suppliers, row)
            return supplier_id

    def update_supplier(self, *, supplier_id: int, **fields: Any) -> None:
        """Change fields of a supplier, named as on the wire with underscores: `number`, `on_hold`, `status`."""
        with self.lock:
            row = self._known(self._suppliers, supplier_id, "supplier")
            self._changed(self._suppliers, {**row, **{name.replace("_", "-"): value for name, value in fields.items()}})

    def set_budget(
        self, *, company_code: str, cost_centre: str, period: str, amount: str, currency: str, account: str = ""
    ) -> int:
        """Give a cost centre (or one account of it) an amount for "2026", "2026-Q3" or "2026-07"; returns its id."""
        with self.lock:
            return self._budget.set_line(
                company_code=company_code,
                cost_centre=cost_centre,
                account=account,
                period=period,
                amount=amount,
                currency=currency,
            )

    def submit_requisition(
        self,
        *,
        requester: str,
        department: str,
        currency: str,
        title: str,
        lines: Sequence[Wanted],
        justification: str = "",
        need_by: date | None = None,
        catalogue_checked: bool = True,
    ) -> int:
        """Submit a requisition for approval; returns its id."""
        with self.lock:
            user, now = self._user(requester), self.clock()
            requisition_id = self.ledger.number("requisition", 2001)
            rows = self._entered(lines, currency)
            row = {
                "id": requisition_id,
                "created-at": stamp(now),
                "req-title": title[:50],
                "status": "pending_approval",
                "submitted-at": stamp(now),
                "justification": justification,
                "buyer-note": None,
                "need-by-date": day_stamp(need_by),
                "reject-reason-comment": None,
                "external-po-reference": None,
                "exported": False,
                "last-exported-at": None,
                "currency": currency_row(currency, self._master_id),
                "department": self._named("department", department, "name"),
                "requested-by": person(user),
                "created-by": person(user),
                "updated-by": person(user),
                "custom-fields": {"catalogue-checked": catalogue_checked},
                **totals(rows, currency),
                "_round": 0,
                "_chain": [],
            }
            self._changed(self._requisitions, row)
            self._budget.book(rows, "pending", 1, day_of(row["submitted-at"]))
            self._start_chain(row)
            return requisition_id

    def edit_requisition(self, *, requisition_id: int, by: str, lines: Sequence[Wanted]) -> None:
        """Change the lines while the requisition is pending; its approvals begin anew."""
        with self.lock:
            row = self._in_status(requisition_id, OPEN_STATUSES, "changed")
            submitted = day_of(row["submitted-at"])
            rows = self._entered(lines, row["currency"]["code"])
            self._budget.book(row["requisition-lines"], "pending", -1, submitted)
            self._budget.book(rows, "pending", 1, submitted)
            self._end_pending(row, "cancelled", by)
            row = {**row, **totals(rows, row["currency"]["code"]), "updated-by": person(self._user(by))}
            self._changed(self._requisitions, row)
            self._start_chain(row)

    def withdraw(self, *, requisition_id: int, by: str) -> None:
        """Take the requisition back.

        Its open approval ends as "cancelled": the vendor does not publish the word it has for that.
        """
        with self.lock:
            row = self._in_status(requisition_id, OPEN_STATUSES | {"draft"}, "withdrawn")
            was_open = row["status"] in OPEN_STATUSES
            self._end_pending(row, "cancelled", by)
            self._set_status(row, "withdrawn", by)
            if was_open:
                self._unbook_pending(row)

    def abandon(self, *, requisition_id: int, by: str) -> None:
        """Give an approved requisition up before anything of it is ordered."""
        with self.lock:
            row = self._in_status(requisition_id, frozenset({"approved"}), "abandoned")
            self._set_status(row, "abandoned", by)
            self._unbook_pending(row)

    def comment(self, *, requisition_id: int, by: str, text: str) -> int:
        """Write a comment on the requisition; returns its id."""
        with self.lock:
            self._known(self._requisitions, requisition_id, "requisition")
            return int(self._commented(REQUISITION, requisition_id, by, text)["id"])

    def open_approvals(self, login: str) -> list[int]:
        """The approvals that wait for a user, oldest first."""
        with self.lock:
            return [row["id"] for row in self._approvals.find("_waits_for", login)]

    def pending_approval(self, requisition_id: int) -> tuple[int, str] | None:
        """The approval a requisition waits for and its approver's login; None when it waits for nobody."""
        with self.lock:
            row = self._pending(requisition_id)
            return None if row is None else (row["id"], row["approver"]["login"])

    def approve(self, *, approval_id: int, by: str, comment: str = "") -> None:
        """Agree; the next approval begins, or the requisition is approved. A delegate may differ from the approver."""
        with self.lock:
            row = self._decided(approval_id, "approved", by, comment)
            requisition = self._known(self._requisitions, row["approvable-id"], "requisition")
            if requisition["_chain"]:
                self._next_approval(requisition)
            else:
                self._set_status(requisition, "approved", by)

    def reject(self, *, approval_id: int, by: str, comment: str) -> None:
        """Refuse; the requisition goes back to its requester as a draft that carries the reason."""
        with self.lock:
            row = self._decided(approval_id, "rejected", by, comment)
            requisition = self._known(self._requisitions, row["approvable-id"], "requisition")
            self._set_status({**requisition, "reject-reason-comment": comment, "_chain": []}, "draft", by)
            self._unbook_pending(requisition)

    def hold(self, *, approval_id: int, by: str, comment: str = "") -> None:
        """Put an approval on hold: it stays with its approver."""
        with self.lock:
            row = self._open_approval(approval_id)
            self._changed(
                self._approvals,
                {**row, "status": "on_hold", "note": comment or None, "updated-by": person(self._user(by))},
            )

    def revise_order(self, *, order_id: int, by: str, changes: Mapping[int, Mapping[str, str]]) -> None:
        """Send the supplier another version. `changes`: line number to {"quantity": ..., "unit-price": ...}."""
        with self.lock:
            row = self._known(self._orders, order_id, "order")
            if row["status"] != "issued":
                raise ValueError(f"order {row['po-number']} is {row['status']} and cannot be revised")
            unknown = set(changes) - {line["line-num"] for line in row["order-lines"]}
            if unknown:
                raise ValueError(f"order {row['po-number']} has no line {min(unknown)}")
            currency, ordered, at = row["currency"]["code"], day_of(row["created-at"]), stamp(self.clock())
            lines = [
                repriced(line, changes[line["line-num"]], currency=currency, at=at)
                if line["line-num"] in changes
                else line
                for line in row["order-lines"]
            ]
            self._budget.book(row["order-lines"], "ordered", -1, ordered)
            self._budget.book(lines, "ordered", 1, ordered)
            self._resent({**row, "order-lines": lines, "version": row["version"] + 1, "change-type": "revision"}, by)

    def cancel_order(self, *, order_id: int, by: str) -> None:
        """Cancel the order. Its version stays: there is nothing new for the supplier to deliver by."""
        with self.lock:
            row = self._known(self._orders, order_id, "order")
            if row["status"] != "issued":
                raise ValueError(f"order {row['po-number']} is {row['status']} and cannot be cancelled")
            self._budget.book(row["order-lines"], "ordered", -1, day_of(row["created-at"]))
            self._resent({**row, "status": "cancelled"}, by)

    def save_again(self, record_id: str) -> None:
        """Save every record of this id with nothing changed in it: its updated-at moves, and it is told again."""
        with self.lock:
            for table in (self._requisitions, self._orders, self._suppliers, self._approvals):
                row = table.get(record_id)
                if row is not None:
                    self._changed(table, row)

    def requisition(self, requisition_id: int) -> Row:
        """The requisition as the API shows it."""
        with self.lock:
            return self._requisition_on_wire(self._known(self._requisitions, requisition_id, "requisition"))

    def orders(self, *, po_number: str | None = None) -> list[Row]:
        """The orders as the API shows them, all or those with a number, in the order they were last changed."""
        with self.lock:
            rows = self._orders if po_number is None else self._orders.find("po-number", po_number)
            return [self._on_wire(row) for row in rows]

    def comments(self, requisition_id: int) -> list[Row]:
        """The comments on a requisition, oldest first."""
        with self.lock:
            return [self._on_wire(row) for row in self._comments.find("_on", f"{REQUISITION}/{requisition_id}")]

    def budget_lines(self, cost_centre: str) -> list[Row]:
        """The budget lines of a cost centre as the API shows them."""
        with self.lock:
            return [self._on_wire(row) for row in self._budget_lines.find("segment-2", cost_centre)]
