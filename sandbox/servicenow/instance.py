"""What a ServiceNow instance remembers, how a decision travels upwards, and what people do on its screen.

`api.py` puts the Table API before it. Kept of the vendor's manners: nothing makes `correlation_id` unique, what
is written to a journal column becomes a row of sys_journal_field, an update that changes nothing leaves no trace, and
whatever follows from a person's decision is done in that person's name.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from hashlib import blake2b
from random import Random

from sandbox.drift import Drift
from sandbox.ledger import Ledger, Row
from sandbox.servicenow.tables import JOURNALS, TABLES, TASK_TABLES
from sandbox.wire import Standin

DECIDED = ("approved", "rejected")
_NOBODY_ASKED = {"not requested"}
_NO_VOTE = {"cancelled", "not_required", "skipped"}
_PRIORITY = {"11": "1", "12": "2", "21": "2", "22": "3", "13": "3", "31": "3", "23": "4", "32": "4", "33": "5"}
"""Impact and urgency, each from 1 (high) to 3, to the priority an incident gets."""


def stamp(moment: datetime) -> str:
    """`moment` as ServiceNow stores it: UTC, whole seconds, no zone.

    >>> from datetime import UTC
    >>> stamp(datetime(2026, 1, 31, 8, 5, 9, tzinfo=UTC))
    '2026-01-31 08:05:09'
    """
    return moment.strftime("%Y-%m-%d %H:%M:%S")


class Instance(Standin):
    """One instance without its API.

    Args:
        ledger: What it remembers.
        clock: Tells the time; aware UTC.
        rng: Draws faults and the salt of record ids.
    """

    def __init__(self, ledger: Ledger, clock: Callable[[], datetime], rng: Random) -> None:
        super().__init__(ledger, clock, rng)
        self._salt = rng.getrandbits(64)
        self.tables = {name: ledger.table(f"servicenow.{name}", columns.indexed) for name, columns in TABLES.items()}
        """The tables by name, for comparing what the engine believes with what really happened."""
        self.drift = Drift(self, "state")

    # How rows come about

    def new_id(self, kind: str) -> str:
        """A record id nobody has: the running number keeps ids apart over restarts, the salt makes them the seed's."""
        number = self.ledger.number(f"servicenow.{kind}")
        return blake2b(f"{self._salt}/{kind}/{number}".encode(), digest_size=16).hexdigest()

    def insert(self, table: str, values: dict[str, str], by: str) -> Row:
        """A new row, and what follows from it."""
        columns, now = TABLES[table], stamp(self.clock())
        self.drift.notice()
        row: Row = {**columns.defaults, **{column: value for column, value in values.items() if column not in JOURNALS}}
        row |= {"sys_id": self.new_id(table), "sys_mod_count": "0"}
        row |= {"sys_created_on": now, "sys_created_by": by, "sys_updated_on": now, "sys_updated_by": by}
        if columns.number is not None:
            prefix, start = columns.number
            number = self.ledger.number(f"servicenow.{prefix}", start)
            row |= {"number": f"{prefix}{number:07d}", "sys_class_name": table, "opened_at": now}
        self._note(table, row, values, by)
        self._store(table, row)
        if table == "sysapproval_group":
            if row["approval"] == "requested":
                self._ask_members(row, by)
            self._roll_up(row["parent"], by)
        elif table == "sysapproval_approver":
            self._roll_up(row["sysapproval"], by)
        return row

    def update(self, table: str, row: Row, values: dict[str, str], by: str) -> None:
        """Change columns of a row, and do what follows from it."""
        changed = {column: value for column, value in values.items() if column not in JOURNALS and row[column] != value}
        self.drift.notice()
        noted = self._note(table, row, values, by)
        if not changed and not noted:
            return
        now = stamp(self.clock())
        row |= changed
        row |= {"sys_updated_on": now, "sys_updated_by": by, "sys_mod_count": str(int(row["sys_mod_count"]) + 1)}
        if table == "incident" and "state" in changed:
            self._incident_moved(row, by, now)
        if row.get("request_state", "").startswith("closed_") and row["active"] == "true":
            row |= {"active": "false", "closed_at": now}
        self._store(table, row)
        if table == "sysapproval_approver" and "state" in changed:
            self._answered(row, by)
        elif table == "sysapproval_group" and "approval" in changed:
            self._settled(row, by)

    def journal(self, table: str, row: Row) -> str:
        """What was written to a row's journal columns, as one text, the latest first."""
        entries = self.tables["sys_journal_field"].find("element_id", row["sys_id"])
        return "\n\n".join(
            f"{entry['sys_created_on']} - {entry['sys_created_by']} ({JOURNALS[entry['element']]})\n{entry['value']}"
            for entry in reversed(entries)
            if entry["name"] == table
        )

    def _store(self, table: str, row: Row) -> None:
        if table == "sysapproval_approver":
            # Beside the vendor's columns: whose list of open approvals the row stands in.
            row["_open_for"] = row["approver"] if row["state"] == "requested" else ""
        if table == "incident":
            row["priority"] = _PRIORITY.get(row["impact"] + row["urgency"], "4")
        self.tables[table].put(row["sys_id"], row, self.clock())

    def _note(self, table: str, row: Row, values: dict[str, str], by: str) -> bool:
        written = [column for column in JOURNALS if values.get(column) and column in TABLES[table].defaults]
        for column in written:
            entry = {"element": column, "element_id": row["sys_id"], "name": table, "value": values[column]}
            self.insert("sys_journal_field", entry, by)
        return bool(written)

    def _incident_moved(self, row: Row, by: str, now: str) -> None:
        row["incident_state"] = row["state"]
        if row["state"] == "6":
            users = self.tables["sys_user"].find("user_name", by)
            row |= {"resolved_at": now, "resolved_by": users[0]["sys_id"] if users else ""}
        if row["state"] in {"7", "8"}:
            row |= {"active": "false", "closed_at": now}

    # How a decision travels upwards

    def _task(self, sys_id: str) -> tuple[str, Row] | None:
        for table in TASK_TABLES:
            row = self.tables[table].get(sys_id)
            if row is not None:
                return table, row
        return None

    def _ask_members(self, group: Row, by: str) -> None:
        task = self._task(group["parent"])
        about = {
            "sysapproval": group["parent"],
            "document_id": group["parent"],
            "source_table": task[0] if task else "",
        }
        for member in self.tables["sys_user_grmember"].find("group", group["assignment_group"]):
            user = self.tables["sys_user"].get(member["user"])
            if user is not None and user["active"] == "true":
                row = {"approver": user["sys_id"], "group": group["sys_id"], "state": "requested", **about}
                self.insert("sysapproval_approver", row, by)

    def _answered(self, row: Row, by: str) -> None:
        """The first member's decision is the group's."""
        group = self.tables["sysapproval_group"].get(row["group"])
        if group is None:
            self._roll_up(row["sysapproval"], by)
        elif row["state"] in DECIDED and group["approval"] == "requested":
            self.update("sysapproval_group", group, {"approval": row["state"]}, by)

    def _settled(self, group: Row, by: str) -> None:
        if group["approval"] in DECIDED:
            self._no_longer_needed(self.tables["sysapproval_approver"].find("group", group["sys_id"]), by)
        self._roll_up(group["parent"], by)

    def _no_longer_needed(self, rows: list[Row], by: str) -> None:
        for row in rows:
            if row["state"] == "requested":
                self.update("sysapproval_approver", row, {"state": "not_required"}, by)

    def _roll_up(self, parent_id: str, by: str) -> None:
        """Any rejected: rejected; all approved: approved; none asked: not requested; else requested."""
        task = self._task(parent_id)
        if task is None or task[1]["approval"] == "cancelled":
            return
        table, parent = task
        groups = self.tables["sysapproval_group"].find("parent", parent_id)
        approvers = self.tables["sysapproval_approver"].find("sysapproval", parent_id)
        votes = {group["approval"] for group in groups} | {row["state"] for row in approvers if not row["group"]}
        votes -= _NO_VOTE
        if "rejected" in votes:
            outcome = "rejected"
        elif votes <= _NOBODY_ASKED:
            outcome = "not requested"
        else:
            outcome = "approved" if votes == {"approved"} else "requested"
        self.update(table, parent, {"approval": outcome}, by)
        if outcome == "rejected":
            for group in groups:
                if group["approval"] == "requested":
                    self.update("sysapproval_group", group, {"approval": "not_required"}, by)
            self._no_longer_needed(approvers, by)

    # What people do on the screen

    def add_user(self, *, user_name: str, name: str, email: str) -> str:
        """Add a person, or find the one with this user name; answers the sys_id."""
        with self.lock:
            found = self.tables["sys_user"].find("user_name", user_name)
            if not found:
                found = [self.insert("sys_user", {"user_name": user_name, "name": name, "email": email}, "admin")]
            return str(found[0]["sys_id"])

    def add_group(self, *, name: str, members: Iterable[str]) -> str:
        """Add a group with these user names as members, or find the one with this name; answers the sys_id.

        Raises:
            ValueError: a member nobody has added.
        """
        with self.lock:
            found = self.tables["sys_user_group"].find("name", name)
            if not found:
                users = [self._user(member) for member in members]
                found = [self.insert("sys_user_group", {"name": name}, "admin")]
                for user in users:
                    self.insert("sys_user_grmember", {"user": user["sys_id"], "group": found[0]["sys_id"]}, "admin")
            return str(found[0]["sys_id"])

    def open_approvals(self, *, user_name: str) -> list[Row]:
        """The approver rows that wait for this person."""
        with self.lock:
            waiting = self.tables["sysapproval_approver"].find("_open_for", self._user(user_name)["sys_id"])
            return [dict(row) for row in waiting]

    def decide(self, *, approver_row: str, state: str, by: str = "", comment: str = "") -> None:
        """Decide an open approver row, as the approver or as somebody else (a delegate, an administrator).

        Raises:
            ValueError: no such row, or nobody waits for it any more.
        """
        with self.lock:
            row = self.tables["sysapproval_approver"].get(approver_row)
            if row is None or row["state"] != "requested":
                raise ValueError(f"{approver_row} is {row['state'] if row else 'not there'}, it cannot be {state}")
            approver = self.tables["sys_user"].rows[row["approver"]]["user_name"]
            self.update("sysapproval_approver", row, {"state": state, "comments": comment}, by or approver)

    def resolve_incident(self, *, sys_id: str, by: str, note: str) -> None:
        """Resolve an incident with a close note; KeyError when there is none."""
        with self.lock:
            closing = {"state": "6", "close_code": "Solution provided", "close_notes": note}
            self.update("incident", self.tables["incident"].rows[sys_id], closing, by)

    def add_work_note(self, *, table: str, sys_id: str, by: str, note: str) -> None:
        """Append a work note to a task; KeyError when there is none."""
        with self.lock:
            self.update(table, self.tables[table].rows[sys_id], {"work_notes": note}, by)

    def _user(self, user_name: str) -> Row:
        found = self.tables["sys_user"].find("user_name", user_name)
        if not found:
            raise ValueError(f"there is no user called {user_name!r}")
        return found[0]
