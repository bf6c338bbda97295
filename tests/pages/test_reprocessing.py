"""Reprocessing as people see it: its price before, its waves while it goes on, what can be told to it (Q03, Q07-Q10, D13), and an
order that is taken back from its trace (R088)."""

import re

from sync_engine.control.roles import Action
from tests.pages.conftest import ANALYST, AUDITOR, LEADER, OPERATIONS, words_of
from tests.pages.test_exceptions import go, plan


def halted(world):
    """A reprocessing of three that has stopped by itself after one of each of two causes: both are still there. Answers the session
    and its id."""
    app = plan(world, scope="filter")
    app.number_input(key="exceptions.plan.canary_size").set_value(1).run()
    go(world, app)
    redrive = app.query_params["redrive"]
    world.house.run(minutes=5)
    return plan(world, redrive=redrive), redrive


def test_before_it_starts_the_calls_the_limit_and_the_pace_are_said(own_world):
    said = words_of(plan(own_world, scope="filter")).replace("\\", "").replace("\u2060", "")
    assert re.search(r"SAP S/4HANA: about \d+ calls for 3 documents", said)
    assert "at its limit of 15 a second" in said
    assert "calls are left to us (declared and observed)" in said
    of_two = " ".join(one.label for one in plan(own_world, scope="filter").expander)
    assert "3 of each of 2 causes first; a cause of which more than 20 % are refused is held back, and the others go on" in of_two  # fmt: skip
    south = str(own_world.one("SELECT fingerprint FROM exception_case WHERE number LIKE %s", f"{own_world.south[0]}%"))
    of_one = " ".join(one.label for one in plan(own_world, scope="cause", cause=south).expander)
    assert "2 first; it stops by itself when more than 20 % are refused" in of_one


def test_a_system_that_is_down_is_said_before_anything_is_sent(own_world):
    own_world.connection.execute("UPDATE system_state SET breaker = 'open' WHERE system = 's4hana'")
    assert "It is not answering now: what is sent waits." in words_of(plan(own_world, scope="filter"))


def test_one_that_stopped_by_itself_says_why_and_goes_on_when_told(own_world):
    app, redrive = halted(own_world)
    said = words_of(app)
    assert "stopped by itself" in said
    assert "More than 20 % were refused of what is left. The cost centre is blocked (4711): 1 of 1, 1 not sent" in said.replace("\\", "")  # fmt: skip
    assert "not sent yet" in said
    own_world.house.s4hana.unblock_cost_centre(code="4711")
    own_world.house.s4hana.unblock_cost_centre(code="4101")
    with own_world.engine_at_work():
        app.button(key=f"exceptions.redrive.{redrive}.halted.resume").click().run()
    assert not app.exception
    own_world.house.run(minutes=30)
    assert own_world.one("SELECT state FROM redrive") == "finished"
    assert "1 verified" in words_of(plan(own_world, redrive=redrive))


def test_what_is_held_back_while_the_others_go_on_is_said(own_world):
    _, redrive = halted(own_world)
    assert "Held back" not in words_of(plan(own_world, redrive=redrive))
    own_world.connection.execute("UPDATE redrive SET state = 'running'")
    said = words_of(plan(own_world, redrive=redrive)).replace("\\", "")
    assert "Held back while the others go on: The cost centre is blocked (4711). 1 of 1 were refused, 1 document of it not sent." in said  # fmt: skip
    assert "(4101)" not in said, "of that one nothing is left to hold back"
    own_world.connection.execute("UPDATE redrive SET judged_from = 2")
    assert "Held back" not in words_of(plan(own_world, redrive=redrive)), "somebody has let it go on"


def test_the_rest_is_cancelled_once_however_often_it_is_clicked(own_world):
    app, redrive = halted(own_world)
    other = plan(own_world, redrive=redrive)
    with own_world.engine_at_work():
        app.button(key=f"exceptions.redrive.{redrive}.halted.cancel").click().run()
        other.button(key=f"exceptions.redrive.{redrive}.halted.cancel").click().run()
    assert "It cannot cancel any more" in words_of(other)
    assert own_world.one("SELECT count(*) FROM redrive_item WHERE status = 'skipped'") == 1


def test_all_of_them_are_in_one_place_with_how_they_stand(own_world):
    halted(own_world)
    app = own_world.look("exceptions")
    assert any("Reprocessings (1 not finished)" in one.label for one in app.expander)
    assert "1 not sent" in words_of(app)


def test_a_second_person_confirms_and_the_asker_cannot(own_world):
    from dataclasses import replace
    from decimal import Decimal

    engine = own_world.house.engine
    engine.setup = replace(
        engine.setup, policies=engine.setup.policies.model_copy(update={"second_person_above": Decimal(10)})
    )
    app = go(own_world, plan(own_world, scope="filter"))
    redrive = app.query_params["redrive"]
    mine, theirs = plan(own_world, redrive=redrive), plan(own_world, person=LEADER, redrive=redrive)
    key = f"exceptions.redrive.{redrive}.awaiting_confirmation"
    for one in (mine, theirs):
        one.text_input(key=f"{key}.why").set_value("compared with the cost centre report")
        with own_world.engine_at_work():
            one.button(key=f"{key}.confirm").click().run()
    assert "Whoever asked for it cannot confirm it" in words_of(mine)
    assert own_world.one("SELECT confirmed_by FROM redrive") == LEADER
    assert "waits for a second person" not in words_of(plan(own_world, redrive=redrive))


# -- taking an order back ------------------------------------------------------------------------------------------------------


def test_an_order_is_taken_back_with_a_reason_and_its_number_typed(own_world):
    own_world.house.s4hana.unblock_cost_centre(code="4711")
    house = own_world.house
    _, number = house.order_one(house.line(description="Gasket"))
    own_world.house.run(minutes=30)
    document = own_world.one(
        "SELECT document_id FROM document_identifier WHERE kind = 'purchase_order' AND external_id = %s", number
    )
    version = own_world.one("SELECT version FROM document WHERE document_id = %s", document)
    named = own_world.one("SELECT number FROM document WHERE document_id = %s", document)
    app = own_world.look("trace", document=str(document))
    key = f"trace.cancel.{document}.{version}"
    app.button(key=f"{key}.go").click().run()
    assert "Say why" in words_of(app)
    app.text_input(key=f"{key}.reason").set_value("ordered twice by mistake")
    app.button(key=f"{key}.go").click().run()
    assert f"Type {named} to confirm" in words_of(app).replace("\\", "")
    assert own_world.one("SELECT count(*) FROM command WHERE action = 'cancel_order'") == 0
    app.text_input(key=f"{key}.typed").set_value(named)
    with own_world.engine_at_work():
        app.button(key=f"{key}.go").click().run()
    assert not app.exception
    own_world.house.run(hours=1)
    assert number not in own_world.house.live_orders()
    assert own_world.one("SELECT state FROM document WHERE document_id = %s", document) == "cancelled"


def test_who_may_not_cancel_is_not_offered_it(own_world):
    document = own_world.document(own_world.south[0], "purchase_order")
    offered = {
        person: any(
            "Cancel order" in button.label for button in own_world.look("trace", person, document=str(document)).button
        )
        for person in (OPERATIONS, ANALYST, AUDITOR)
    }
    assert offered == {OPERATIONS: True, ANALYST: True, AUDITOR: False}
    assert Action.CANCEL_ORDER


# -- integration health ------------------------------------------------------------------------------------------------------------


def test_health_says_how_long_a_backlog_takes_and_where_the_limit_is_known_from(own_world):
    own_world.connection.execute(
        "UPDATE work_item SET status = 'due', due_at = step_since WHERE status = 'parked' AND system = 's4hana'"
    )
    own_world.connection.execute(
        "UPDATE system_state SET quota_limit = 1000, quota_remaining = 400 WHERE system = 's4hana'"
    )
    [systems] = [frame.value for frame in own_world.look("health").dataframe if "drain_calls" in frame.value.columns]
    row = systems[systems["title"] == "SAP S/4HANA"].iloc[0]
    assert row["drain_calls"] >= 3
    assert (row["used"], row["headroom"], row["source"]) == ("600 of 1,000", 400, "header")
    others = systems[systems["title"] == "Coupa"].iloc[0]
    assert others["source"] == "declared and observed"
