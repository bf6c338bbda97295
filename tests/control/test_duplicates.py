"""A verdict on two bills that look alike: kept with its reason, for those who may, and used from then on (R082, PRODUCT 4.11)."""

from uuid import uuid4

import pytest

from sync_engine.control.roles import Action, Role

OPS = Role.FINANCE_OPERATIONS


def pair(desk, unit="DE-SOUTH", **changed):
    said = {"document_id": str(desk.invoice(unit=unit)), "other_id": str(desk.invoice(unit=unit))}
    return {**said, "pattern": "reference", "verdict": "distinct"} | changed


def kept(desk):
    return desk.connection.execute(
        "SELECT document_id::text, verdict, reason, author, business_unit FROM duplicate_verdict ORDER BY decided_at, verdict_id"
    ).fetchall()


@pytest.mark.parametrize("verdict", ["distinct", "duplicate"])
def test_a_verdict_stands_with_its_reason_and_author(desk, verdict):
    session, said = desk.person(OPS), pair(desk, verdict=verdict)
    assert desk.do(session, Action.JUDGE_DUPLICATE, reason="seen both", **said).status == "done"
    assert kept(desk) == [(said["document_id"], verdict, "seen both", session.person.user_id, "DE-SOUTH")]


def test_a_second_verdict_is_kept_beside_the_first(desk):
    session, said = desk.person(OPS), pair(desk)
    for verdict in ("distinct", "duplicate"):
        assert desk.do(session, Action.JUDGE_DUPLICATE, reason="seen", **said | {"verdict": verdict}).status == "done"
    assert sorted(row[1] for row in kept(desk)) == ["distinct", "duplicate"]


def test_the_open_exception_of_the_invoice_tells_of_it(desk):
    said = pair(desk)
    desk.connection.execute("UPDATE exception_case SET code = 'duplicate_invoice' WHERE document_id = %s", [said["document_id"]])  # fmt: skip
    assert desk.do(desk.person(OPS), Action.JUDGE_DUPLICATE, reason="two deliveries", **said).status == "done"
    events = desk.connection.execute("SELECT action, comment FROM case_event WHERE action = 'verdict'").fetchall()
    assert events == [("verdict", "two deliveries")]


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"verdict": "maybe"}, "failed"),
        ({"pattern": "smell"}, "failed"),
        ({"document_id": "no id"}, "failed"),
        ({"other_id": str(uuid4())}, "denied"),
    ],
)
def test_what_is_no_verdict_on_two_invoices_is_refused(desk, changed, status):
    assert desk.do(desk.person(OPS), Action.JUDGE_DUPLICATE, reason="r", **pair(desk, **changed)).status == status
    assert kept(desk) == []


def test_nobody_judges_what_they_do_not_see(desk):
    session = desk.person(OPS, units=("US-EAST",))
    assert desk.do(session, Action.JUDGE_DUPLICATE, reason="r", **pair(desk)).status == "denied"
    mixed = pair(desk) | {"document_id": str(desk.invoice(unit="US-EAST"))}
    assert desk.do(session, Action.JUDGE_DUPLICATE, reason="r", **mixed).status == "denied", (
        "the other one is not theirs"
    )
    assert kept(desk) == []


def test_what_is_paid_is_not_judged_any_more(desk):
    said = pair(desk) | {"document_id": str(desk.invoice(state="paid"))}
    assert desk.do(desk.person(OPS), Action.JUDGE_DUPLICATE, reason="r", **said).status == "conflict"
