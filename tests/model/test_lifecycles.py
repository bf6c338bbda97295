"""Lifecycles: every state can be reached, what is over stays over, and no status moves backwards (I4, R050, R099)."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_engine.engine.decisions import DECISIONS
from sync_engine.model.documents import ApprovalStatus, DocumentType, PostingStatus
from sync_engine.model.flows import FLOWS
from sync_engine.model.lifecycles import (
    APPROVAL_MOVES,
    LIFECYCLES,
    POSTING_MOVES,
    IllegalMove,
    Lifecycle,
    Move,
    Status,
)

ALL = pytest.mark.parametrize("lifecycle", LIFECYCLES.values(), ids=lambda lifecycle: lifecycle.document_type.value)

REOPENED = {
    (DocumentType.REQUISITION, "rejected", "changed"): "a requester may resubmit what was rejected",
    (
        DocumentType.REQUISITION,
        "ordered",
        "approval_contradicted",
    ): "a contradiction people have to see; the state stays",
    (
        DocumentType.PURCHASE_ORDER,
        "closed",
        "order_changed",
    ): "the ERP took a change whose approval outlasted delivery and invoice",
    (
        DocumentType.REQUISITION,
        "ordered",
        "orders_cancelled",
    ): "everything that was ordered for it has been taken back (R088)",
    (DocumentType.SUPPLIER, "ready", "changed"): "a supplier's data may change at any time",
}
"""The only ways out of a final state, each with its reason."""


def reachable(lifecycle: Lifecycle) -> set[Status]:
    """Every status that some sequence of events leads to."""
    seen, open_ends = {lifecycle.initial}, [lifecycle.initial]
    while open_ends:
        status = open_ends.pop()
        for event in lifecycle.events:
            if lifecycle.allows(status, event):
                after = lifecycle.after(status, event)
                if after not in seen:
                    seen.add(after)
                    open_ends.append(after)
    return seen


def test_every_document_type_has_a_lifecycle():
    assert set(LIFECYCLES) == set(DocumentType)


@ALL
def test_every_state_can_be_reached(lifecycle):
    assert {status.state for status in reachable(lifecycle)} == set(lifecycle.states)


@ALL
def test_every_row_of_the_table_can_happen(lifecycle):
    happens = {
        (status.state, event)
        for status in reachable(lifecycle)
        for event in lifecycle.events
        if lifecycle.allows(status, event)
    }
    assert happens == set(lifecycle.moves)


@ALL
def test_from_everywhere_there_is_a_way_to_an_end(lifecycle):
    for status in reachable(lifecycle):
        ways, seen = [status], {status}
        while ways and not any(lifecycle.is_final(way.state) for way in ways):
            ways = [
                lifecycle.after(way, event)
                for way in ways
                for event in lifecycle.events
                if lifecycle.allows(way, event)
            ]
            ways = [way for way in ways if way not in seen]
            seen.update(ways)
        assert ways, f"{status} is a dead end"


@ALL
def test_what_is_over_stays_over(lifecycle):
    for state, event in lifecycle.moves:
        if lifecycle.is_final(state):
            assert (lifecycle.document_type, state, event) in REOPENED or lifecycle.is_final(
                lifecycle.moves[state, event].target
            )


@ALL
def test_final_states_and_the_initial_state_are_states_of_the_table(lifecycle):
    assert lifecycle.final <= set(lifecycle.states)
    assert lifecycle.final, "something has to be the end"
    assert lifecycle.initial.state in lifecycle.states
    assert not lifecycle.is_final(lifecycle.initial.state)


@pytest.mark.parametrize(("moves", "statuses"), [(APPROVAL_MOVES, ApprovalStatus), (POSTING_MOVES, PostingStatus)])
def test_every_status_word_has_its_row_of_moves(moves, statuses):
    assert set(moves) == set(statuses)
    assert all(one not in targets for one, targets in moves.items()), "staying is no move"


@pytest.mark.parametrize(
    ("moves", "status"), [(APPROVAL_MOVES, ApprovalStatus.WITHDRAWN), (POSTING_MOVES, PostingStatus.REVERSED)]
)
def test_withdrawn_and_reversed_are_for_good(moves, status):
    assert moves[status] == frozenset()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (PostingStatus.ACCEPTED, PostingStatus.NOT_SUBMITTED),
        (PostingStatus.ACCEPTED, PostingStatus.UNKNOWN),
        (PostingStatus.POSTED, PostingStatus.NOT_SUBMITTED),
        (PostingStatus.POSTED, PostingStatus.REFUSED),
        (PostingStatus.CLEARED, PostingStatus.NOT_SUBMITTED),
    ],
)
def test_the_ledger_never_forgets_what_it_accepted(before, after):
    assert after not in POSTING_MOVES[before]


@pytest.mark.parametrize(
    "word",
    [
        status
        for status in (*ApprovalStatus, *PostingStatus)
        if status not in {"not_required", "not_submitted", "pending"}
    ],
)
def test_every_status_word_is_in_use(word):
    used = {move.approval_status for one in LIFECYCLES.values() for move in one.moves.values()}
    used |= {move.posting_status for one in LIFECYCLES.values() for move in one.moves.values()}
    used |= {one.initial.approval_status for one in LIFECYCLES.values()} | {
        one.initial.posting_status for one in LIFECYCLES.values()
    }
    assert word in used


@ALL
@given(data=st.data())
def test_whatever_happens_in_whatever_order_every_status_moves_as_its_table_says(lifecycle, data):
    """I4: a random history; each event is either refused, and nothing moves, or taken, and only as the tables allow."""
    status = lifecycle.initial
    for event in data.draw(st.lists(st.sampled_from(sorted(lifecycle.events)), max_size=25)):
        if not lifecycle.allows(status, event):
            with pytest.raises(IllegalMove):
                lifecycle.after(status, event)
            continue
        after = lifecycle.after(status, event)
        assert after.approval_status in {status.approval_status, *APPROVAL_MOVES[status.approval_status]}
        assert after.posting_status in {status.posting_status, *POSTING_MOVES[status.posting_status]}
        status = after


@ALL
def test_an_event_nobody_knows_is_a_bug_and_says_where(lifecycle):
    with pytest.raises(
        IllegalMove, match=rf"{lifecycle.document_type}: 'blessed' is not allowed in {lifecycle.initial.state}"
    ):
        lifecycle.after(lifecycle.initial, "blessed")


def test_a_late_submitted_does_not_move_an_approved_requisition_back():
    approved = Status("approved", ApprovalStatus.APPROVED, PostingStatus.NOT_SUBMITTED)
    for event in ("validated", "budget_read", "budget_confirmed", "approval_requested", "changed"):
        assert not LIFECYCLES[DocumentType.REQUISITION].allows(approved, event), event


def test_a_withdrawn_approval_cannot_come_back_by_another_row_of_the_table():
    with pytest.raises(IllegalMove, match="cannot make withdrawn approved"):
        Lifecycle(
            DocumentType.APPROVAL,
            Status("requested", ApprovalStatus.WITHDRAWN, PostingStatus.NOT_SUBMITTED),
            {"approved"},
            [Move("requested", "approval_granted", "approved", ApprovalStatus.APPROVED)],
        ).after(Status("requested", ApprovalStatus.WITHDRAWN, PostingStatus.NOT_SUBMITTED), "approval_granted")


def test_a_posting_cannot_be_unsaid_by_another_row_of_the_table():
    odd = Lifecycle(
        DocumentType.POSTING,
        Status("received", ApprovalStatus.NOT_REQUIRED, PostingStatus.POSTED),
        {"gone"},
        [Move("received", "forgotten", "gone", None, PostingStatus.NOT_SUBMITTED)],
    )
    with pytest.raises(IllegalMove, match="cannot make posted not_submitted"):
        odd.after(odd.initial, "forgotten")


def test_one_event_in_one_state_has_one_meaning():
    with pytest.raises(ValueError, match="two rows for one state and event"):
        Lifecycle(
            DocumentType.APPROVAL,
            Status("requested", ApprovalStatus.PENDING, PostingStatus.NOT_SUBMITTED),
            {"approved"},
            [Move("requested", "decided", "approved"), Move("requested", "decided", "rejected")],
        )


def test_neither_status_implies_the_other():
    """R099: approved without being accepted, and accepted without an approval, both exist."""
    combinations = {
        (status.approval_status, status.posting_status) for one in LIFECYCLES.values() for status in reachable(one)
    }
    assert (ApprovalStatus.APPROVED, PostingStatus.NOT_SUBMITTED) in combinations
    assert (ApprovalStatus.APPROVED, PostingStatus.REFUSED) in combinations
    assert (ApprovalStatus.NOT_REQUIRED, PostingStatus.POSTED) in combinations
    assert (ApprovalStatus.CONFLICT, PostingStatus.ACCEPTED) in combinations


def test_every_event_a_flow_emits_is_in_its_documents_table():
    for flow in FLOWS.values():
        if flow.document_type is None:
            continue
        emitted = set(itertools.chain.from_iterable((step.done, step.refused) for step in flow.steps)) - {None}
        assert emitted <= LIFECYCLES[flow.document_type].events, flow.name


def test_the_steps_of_a_flow_can_be_walked_from_the_initial_status_to_the_end():
    """Each flow's straight way, every step done: no step emits an event its document is not ready for."""
    extra = {
        "requisition_to_order": {"await_approval": "procurement_approved"},
        "order_to_fulfilment": {"await_fulfilment": "goods_received_in_full"},
    }
    for flow in FLOWS.values():
        if flow.document_type is None:
            continue
        lifecycle = LIFECYCLES[flow.document_type]
        status, step = lifecycle.initial, flow.first
        while step is not None:
            before = extra.get(flow.name, {}).get(step.name)
            if before:
                status = lifecycle.after(status, before)
            if step.done and step.applies is None:
                status = lifecycle.after(status, step.done)
            step = flow.after(step.name)
        assert lifecycle.is_final(status.state), f"{flow.name} ends in {status.state}"
    assert DECISIONS, "the decisions are there to emit them"
