"""A document that refers to another is linked with it whichever of the two becomes known first, also when both do at once."""

import pytest

from sync_engine.database.connections import borrowed
from sync_engine.engine.clock import VirtualClock
from tests.house import TUESDAY, House


@pytest.fixture
def house(connection, database):
    return House(VirtualClock(TUESDAY), connection, database)


def test_an_invoice_that_arrives_while_its_order_is_being_recorded_is_linked_with_it(house, database):
    """P7: it is looked for before the order is there, and it waits after the order has looked who waits."""
    requisition = house.submit()
    house.run(minutes=10)
    house.approve_in_coupa(requisition)
    house.engine.collect(house.connection)
    house.clock.advance(61)
    house.engine.collect(house.connection)
    lane = house.engine.lanes["s4hana"]
    items = []
    for _ in range(50):
        house.engine.apply(house.connection)
        house.engine.decide(house.connection)
        house.engine.call(house.connection, house.engine.lanes["coupa"], 10)
        items = lane.claim(house.connection, 10)
        results = [lane.ask(item) for item in items]
        if any(item.step.name == "create_purchase_order" for item in items):
            break
        lane.record(house.connection, results)
    [order] = house.live_orders()
    house.invoice(order)
    pool = database.engine("finsync_engine", pool_size=1)

    def order_is_recorded_now(where: str) -> None:
        if where == "before_record" and results:
            with borrowed(pool) as other:
                lane.record(other, results)
            results.clear()

    intake = house.new_engine(order_is_recorded_now)
    house.clock.advance(61)  # its feed is read once a minute
    intake.collect(house.connection)
    intake.apply(house.connection)
    pool.dispose()
    assert results == []
    links = house.connection.execute("SELECT relation FROM document_link WHERE relation = 'bills'").fetchall()
    assert links == [("bills",)]
    assert house.connection.execute("SELECT count(*) FROM document_link_wanted").fetchone() == (0,)


def test_an_invoice_of_an_order_nobody_has_heard_of_goes_on_waiting_for_it(house):
    house.run(minutes=10)
    house.invoice("4599999999")
    house.run(minutes=5)
    wanted = house.connection.execute("SELECT external_id FROM document_link_wanted").fetchall()
    assert wanted == [("4599999999",)]
