"""The demo's own people go on after a stop, like everybody else in it."""

from datetime import timedelta

from sync_engine.cli.staff import Staff

DAY = timedelta(days=1)


def asked_for(house, *, days):
    """What the desk asks for in these days, after it has come to work anew."""
    before = {row[0] for row in house.connection.execute("SELECT command_id FROM command")}
    staff, until = Staff(house.connection, 7, house.clock.now()), house.clock.now() + days * DAY
    while staff.next_action_at() < until:
        staff.act(staff.next_action_at())
    house.clock.advance_to(until)
    return {row[0] for row in house.connection.execute("SELECT command_id FROM command")} - before


def test_a_desk_that_comes_back_asks_for_other_things_than_before_the_stop(house):
    requisitions = [house.submit(house.line(description=f"Part {n}"), title=f"Part {n}") for n in range(3)]
    house.run(minutes=10)
    house.s4hana.block_cost_centre(code="4711")
    for requisition in requisitions:
        house.approve_in_coupa(requisition)
    house.run(minutes=30)
    assert [case[0] for case in house.cases()] == ["cost_centre_blocked"] * 3
    assert asked_for(house, days=2)
    assert asked_for(house, days=2)
