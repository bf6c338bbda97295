"""Deadlines that do not count: said by whoever may, with a reason, and never lost again (PRODUCT 4.4)."""

import pytest

from sync_engine.control.roles import Action, Role
from tests.toy import NOON

OPS = Role.FINANCE_OPERATIONS
CLOSE = {
    "kind": "once",
    "objective": "",
    "unit": "DE-SOUTH",
    "starts_at": "2026-09-30T16:00:00+02:00",
    "ends_at": "2026-10-02T08:00:00+02:00",
}
NIGHTLY = {
    "kind": "weekly",
    "objective": "",
    "unit": "DE-SOUTH",
    "weekday": 7,
    "from_time": "01:00",
    "to_time": "03:00",
    "time_zone": "Europe/Berlin",
}


@pytest.fixture(autouse=True)
def _unit(desk):
    desk.connection.execute(
        "INSERT INTO business_unit VALUES ('DE-SOUTH', 'South', 'DE', 'EUR', '1010', 'x', 'UTC') ON CONFLICT DO NOTHING"
    )


def kept(desk):
    return desk.connection.execute(
        "SELECT reason, author, written_at, withdrawn_by FROM objective_exclusion ORDER BY written_at, exclusion_id"
    ).fetchall()


@pytest.mark.parametrize("wanted", [CLOSE, NIGHTLY], ids=["once", "weekly"])
def test_what_is_left_out_stands_with_its_reason_and_author(desk, wanted):
    session = desk.person(OPS)
    assert desk.do(session, Action.LEAVE_OUT, reason="period close", **wanted).status == "done"
    assert kept(desk) == [("period close", session.person.user_id, NOON, None)]


def test_what_counts_again_stays_written_down_and_is_done_once(desk):
    first, second = desk.person(OPS), desk.person(Role.INTEGRATION_SUPPORT)
    made = desk.do(first, Action.LEAVE_OUT, reason="maintenance", **CLOSE).result["exclusion_id"]
    assert desk.do(second, Action.COUNT_AGAIN, reason="called off", exclusion_id=made).status == "done"
    assert desk.do(first, Action.COUNT_AGAIN, reason="called off", exclusion_id=made).status == "conflict"
    assert kept(desk) == [("maintenance", first.person.user_id, NOON, second.person.user_id)]


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"ends_at": CLOSE["starts_at"]}, "failed"),
        ({"ends_at": "2027-10-02T08:00:00+02:00"}, "failed"),
        ({"starts_at": "2026-09-30T16:00:00"}, "failed"),
        ({"objective": "uptime"}, "failed"),
        ({"kind": "for ever"}, "failed"),
        ({"unit": "US-EAST"}, "denied"),
        ({"unit": ""}, "denied"),
    ],
    ids=str,
)
def test_what_makes_no_sense_or_is_somebody_else_s_leaves_nothing_out(desk, changed, status):
    assert desk.do(desk.person(OPS), Action.LEAVE_OUT, reason="x", **CLOSE | changed).status == status
    assert kept(desk) == []


def test_a_weekly_stretch_past_midnight_and_an_unknown_zone_are_refused(desk):
    session = desk.person(OPS)
    for changed in ({"to_time": "00:30"}, {"time_zone": "Mars/Olympus"}, {"weekday": 8}):
        assert desk.do(session, Action.LEAVE_OUT, reason="x", **NIGHTLY | changed).status == "failed"
    assert kept(desk) == []


def test_whoever_sees_every_unit_may_leave_out_for_every_unit(desk):
    session = desk.person(OPS, units=("*",))
    assert desk.do(session, Action.LEAVE_OUT, reason="year end", **CLOSE | {"unit": ""}).status == "done"
