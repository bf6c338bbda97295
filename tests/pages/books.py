"""A cell filled row by row with journeys whose times are known, so that every figure of a page can be worked out by hand.

It is Tuesday, 15 September 2026, 07:00 UTC. In Germany people work from 06:00 to 10:00 and from 10:30 to 15:00 UTC then.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from tests.house import TUESDAY
from tests.pages.conftest import World

NOW = TUESDAY
SOON = timedelta(minutes=1)
MONDAY = datetime(2026, 9, 7, 6, 0, tzinfo=UTC)
"""The Monday of the week before, when work begins."""

Move = tuple[str, str | None, str, datetime, datetime]
"""activity, state before, state after, when it happened, when we recorded it."""


class Books(World):
    """Journeys written as the engine would have recorded them."""

    def heard_from_everybody(self) -> None:
        """Every source has been read up to now."""
        self.connection.execute(
            "UPDATE feed_state SET last_success_at = %(now)s, complete_until = %(now)s, silent_after_s = 3600",
            {"now": NOW},
        )

    def document(
        self, kind: str, number: str, unit: str, moves: Iterable[Move], *, family: UUID | None = None, amount: float | None = 100, since: datetime | None = None,
        closed: bool = False, is_test: bool = False, need_by_on: date | None = None, due_on: date | None = None, submitted: datetime | None = None,
    ) -> UUID:  # fmt: skip
        """A document with its history; open unless said otherwise."""
        document_id, moves = uuid4(), list(moves)
        family = family or document_id
        entered = None
        for seq, (activity, before, after, event_at, recorded_at) in enumerate(moves, start=1):
            recording = uuid4()
            self.connection.execute(
                "INSERT INTO recording (recording_id, engine_id, recorded_at, event_count, merkle_root) VALUES (%s, 'engine-1', %s, 1, '')",
                [recording, recorded_at],
            )
            self.connection.execute(
                "INSERT INTO event (recording_id, ordinal, recorded_at, document_id, seq, document_type, correlation_id, business_unit, source, activity, event_at, observed_at, system,"
                " actor, state_from, state_to, state_from_since, approval_status, posting_status, document_version)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 'finsync', %s, %s, %s, 'finsync', 'engine', %s, %s, %s, 'pending', 'not_submitted', %s)",
                [
                    recording,
                    1,
                    recorded_at,
                    document_id,
                    seq,
                    kind,
                    family,
                    unit,
                    activity,
                    event_at,
                    recorded_at,
                    before,
                    after,
                    entered,
                    seq,
                ],
            )
            if after != before:
                entered = recorded_at
        last = moves[-1]
        money = None if amount is None else Decimal(str(amount))
        self.connection.execute(
            "INSERT INTO document (document_id, document_type, correlation_id, number, title, business_unit, source_system, state, approval_status, posting_status, state_since, currency, amount,"
            " group_amount, requester, submitted_at, need_by_on, due_on, created_at, updated_at, closed_at, is_test, last_event_seq, last_event_at)"
            " VALUES (%s, %s, %s, %s, 'Bearings', %s, 'coupa', %s, 'pending', 'not_submitted', %s, %s, %s, %s, 'planner', %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [document_id, kind, family, number, unit, last[2], since or entered, None if money is None else "EUR", money, money, submitted or moves[0][3], need_by_on, due_on, moves[0][4], last[4], last[4] if closed else None, is_test, len(moves), last[4]],
        )  # fmt: skip
        return document_id

    def requisition(
        self, number: str, submitted: datetime, *, unit: str = "DE-SOUTH", seen_after: timedelta = SOON, approved: datetime | None = None, ordered: datetime | None = None,
        received: datetime | None = None, invoiced: datetime | None = None, posted: datetime | None = None, rejected: datetime | None = None, sent_back: datetime | None = None,
        **more: Any,
    ) -> UUID:  # fmt: skip
        """A requisition as far as its times say: open where it has come to, ordered, posted, or rejected."""
        seen = submitted + seen_after
        moves: list[Move] = [
            ("requisition_received", None, "received", submitted, seen),
            ("validated", "received", "awaiting_budget", seen + SOON, seen + SOON),
            ("budget_confirmed", "awaiting_budget", "awaiting_approval", seen + 2 * SOON, seen + 2 * SOON),
        ]
        if sent_back is not None:
            moves.append(("changed", "awaiting_approval", "received", sent_back, sent_back))
            moves.append(("validated", "received", "awaiting_budget", sent_back + SOON, sent_back + SOON))
            moves.append(
                ("budget_confirmed", "awaiting_budget", "awaiting_approval", sent_back + 2 * SOON, sent_back + 2 * SOON)
            )
        if approved is not None:
            moves.append(("approval_completed", "awaiting_approval", "approved", approved, approved))
            moves.append(("orders_drafted", "approved", "ordering", approved + SOON, approved + SOON))
        if ordered is not None:
            moves.append(("orders_confirmed", "ordering", "ordered", ordered, ordered))
        if rejected is not None:
            moves.append(("procurement_rejected", moves[-1][2], "rejected", rejected, rejected))
        family = self.document("requisition", number, unit, moves, closed=bool(ordered or rejected), **more)
        if received is not None:
            self.document("purchase_order", f"{number}-1", unit, [("order_drafted", None, "ordered", received, received), ("goods_received_in_full", "ordered", "received", received, received)], family=family, closed=True)  # fmt: skip
        if invoiced is not None and posted is not None:
            self.document("invoice", f"R-{number}", unit, [("invoice_received", None, "received", invoiced, invoiced), ("invoice_posted", "received", "posted", posted, posted)], family=family, closed=True)  # fmt: skip
        return family

    def exception(
        self, document_id: UUID, code: str = "cost_centre_blocked", *, raised: datetime, closed: datetime | None = None, how: str = "fixed", category: str = "master_data",
        about: str = "4711", blocks: bool = True, owner: str | None = None, occurrences: int = 1,
    ) -> UUID:  # fmt: skip
        """An exception of a document, open unless it says when it was closed."""
        case_id = uuid4()
        self.connection.execute(
            "INSERT INTO exception_case (case_id, document_id, system, category, code, origin, retryable, fingerprint, message, number, document_type, business_unit, currency, amount, group_amount,"
            " status, blocks, owner_team, owner, raised_at, last_seen_at, occurrences, closed_at, closed_by, close_reason)"
            " SELECT %s, document_id, 's4hana', %s, %s, 'target', 'after_fix', %s, 'It is blocked', number, document_type, business_unit, currency, amount, group_amount,"
            " %s, %s, 'finance operations', %s, %s, %s, %s, %s, %s, %s FROM document WHERE document_id = %s",
            [case_id, category, code, f"{code}|s4hana|{about}", "closed" if closed else "open", blocks, owner, raised, raised, occurrences, closed, "engine" if closed else None, how if closed else None, document_id],
        )  # fmt: skip
        return case_id

    def attempt(self, outcome: str, *, unit: str = "DE-SOUTH", at: datetime = NOW - timedelta(days=1)) -> None:
        """A call to the ERP."""
        self.connection.execute(
            "INSERT INTO attempt (attempt_id, recorded_at, system, operation, effect, business_unit, engine_id, try_number, started_at, duration_ms, outcome, http_calls, request_bytes, response_bytes, trace_id)"
            " VALUES (%s, %s, 's4hana', 'create_purchase_order', 'create', %s, 'engine-1', 1, %s, 20, %s, 1, 0, 0, 't')",
            [uuid4(), at, unit, at, outcome],
        )

    def fill(self) -> None:
        """Three weeks of two units: what is ordered, posted, ended, under way, stopped, and contradicts itself."""
        self.heard_from_everybody()
        self.south: list[UUID] = []
        for hours in range(1, 13):
            # Submitted at six, approved so many hours later, ordered half an hour after that.
            submitted = MONDAY - timedelta(days=7 * (hours % 2))
            approved = submitted + timedelta(hours=hours)
            self.south.append(
                self.requisition(
                    f"10{hours:02}",
                    submitted,
                    approved=approved,
                    ordered=approved + timedelta(minutes=30),
                    amount=hours * 100,
                )
            )
        # Friday afternoon to Monday morning: two working hours out of sixty-five, and once sent back.
        self.weekend = self.requisition(
            "1100",
            datetime(2026, 9, 4, 14, 0, tzinfo=UTC),
            approved=datetime(2026, 9, 7, 6, 30, tzinfo=UTC),
            ordered=datetime(2026, 9, 7, 7, 0, tzinfo=UTC),
            seen_after=timedelta(minutes=20),
            sent_back=datetime(2026, 9, 7, 6, 10, tzinfo=UTC),
        )
        self.bought = self.requisition(
            "1200", MONDAY - timedelta(days=14), approved=MONDAY - timedelta(days=13), ordered=MONDAY - timedelta(days=13, hours=-1), received=MONDAY - timedelta(days=6),
            invoiced=MONDAY - timedelta(days=4), posted=MONDAY - timedelta(days=3, hours=-2),
        )  # fmt: skip
        self.rejected = self.requisition("1300", MONDAY, rejected=MONDAY + timedelta(hours=3))
        self.under_way = self.requisition("1400", MONDAY + timedelta(days=1), amount=5000)
        self.backwards = self.requisition(
            "1500",
            MONDAY + timedelta(hours=2),
            approved=MONDAY,
            ordered=MONDAY + timedelta(hours=1),
            seen_after=-timedelta(hours=3),
        )
        self.test = self.requisition(
            "1600", MONDAY, approved=MONDAY + timedelta(hours=1), ordered=MONDAY + timedelta(hours=2), is_test=True
        )
        self.north = [
            self.requisition(
                f"20{n:02}",
                MONDAY,
                unit="DE-NORTH",
                approved=MONDAY + timedelta(hours=1),
                ordered=MONDAY + timedelta(hours=2),
                amount=7,
            )
            for n in range(3)
        ]
        self.secret = self.requisition("2099", MONDAY, unit="DE-NORTH", amount=999)
        self.exception(self.secret, raised=MONDAY + timedelta(hours=1), about="4101")
        # One document with forty tries is one exception; one came back; one cured itself; one stops nothing.
        self.exception(self.under_way, raised=MONDAY + timedelta(days=1, hours=1), occurrences=40)
        self.exception(self.south[0], raised=MONDAY, closed=MONDAY + timedelta(hours=1))
        self.exception(self.south[0], raised=MONDAY + timedelta(hours=2), closed=MONDAY + timedelta(hours=4))
        self.exception(
            self.south[1],
            "system_unavailable",
            category="external_outage",
            raised=MONDAY,
            closed=MONDAY + timedelta(minutes=30),
            how="self_cured",
        )
        self.exception(
            self.south[2], "price_variance", category="policy", raised=MONDAY, closed=MONDAY + timedelta(hours=8)
        )
        self.exception(self.south[2], raised=MONDAY, closed=MONDAY + timedelta(hours=8))
        for outcome in ("done", "done", "done", "failed"):
            self.attempt(outcome)
        self.attempt("failed", unit="DE-NORTH")
