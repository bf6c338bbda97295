"""The queue: what needs a person, reprocessing that happens once, and two people who want the same."""

from uuid import UUID, uuid4

import pytest

from tests.pages.conftest import OPERATIONS, SUPPORT, words_of


def commands(world, action="reprocess"):
    return world.one("SELECT count(*) FROM command WHERE action = %s", action)


def plan(world, person=OPERATIONS, **query):
    app = world.look("exceptions", person=person, **query)
    assert not app.exception
    return app


def go(world, app, reason="the cost centre is open again"):
    app.text_input(key="exceptions.plan.reason").set_value(reason)
    with world.engine_at_work():
        app.button(key="exceptions.plan.go").click().run()
    assert not app.exception
    return app


def test_documents_that_wait_for_the_same_reason_are_one_group(world):
    """D05: by the cost centre that has to be unblocked: the third waits for another."""
    said = words_of(world.look("exceptions")).replace("\\", "")
    assert "**2 documents worth EUR 800**: The cost centre is blocked (4711)" in said
    assert "**3 documents worth" not in said


def test_what_three_and_more_wait_for_is_said_first(own_world):
    own_world.connection.execute(
        "UPDATE exception_case SET fingerprint = 'cost_centre_blocked|s4hana|cost_centre=4711'"
    )
    said = words_of(own_world.look("exceptions"))
    assert "3 documents wait for the same reason: the cost centre is blocked" in said
    assert "**3 documents worth EUR 1,000**: The cost centre is blocked" in said


def test_the_sum_of_the_groups_is_the_queue(world):
    from sync_engine.insight.reports import exceptions as ask

    app = world.look("exceptions")
    [queue] = [frame.value for frame in app.dataframe if "cause" in frame.value.columns]
    assert len(queue) == 3
    assert ask.QUEUE_COLUMNS


def test_a_filter_leaves_exactly_its_rows_and_says_when_none_match(world):
    said = words_of(world.look("exceptions", unit="DE-NORTH"))
    assert "1 exception holds up 1 document" in said
    said = words_of(world.look("exceptions", category="external_outage"))
    assert "No open exceptions match. Drop category" in said


def test_the_detail_says_cause_value_owner_and_next_step_in_words(world):
    said = words_of(world.look("exceptions", case=str(world.case_of(world.south[0])))).replace("\\", "")
    assert "Unblock the cost centre in the ERP or choose another, then reprocess." in said
    assert "200.00 EUR" in said
    assert "finance operations, taken on by nobody" in said
    assert "SAP refuses order" in said


def test_a_guessed_case_shows_nothing(world):
    assert "no such exception among those you may see" in words_of(world.look("exceptions", case=str(uuid4())))


def test_before_reprocessing_count_value_units_and_oldest_are_shown_and_a_reason_is_wanted(own_world):
    app = plan(own_world, scope="filter")
    said = words_of(app)
    assert "Reprocess 3 documents worth EUR 1,000?" in said
    assert "**Units:** DE\\-NORTH, DE\\-SOUTH. **Oldest:**" in said
    app.button(key="exceptions.plan.go").click().run()
    assert "Say why" in words_of(app)
    assert commands(own_world) == 0


def test_the_id_of_a_plan_is_in_the_address_before_its_button_and_a_refresh_keeps_it(world):
    app = plan(world, scope="filter")
    command = app.query_params["command"]
    assert UUID(command)
    app.run()
    assert app.query_params["command"] == command
    again = plan(world, scope="filter", command=command)
    assert again.query_params["command"] == command


def test_a_double_click_a_refresh_and_a_second_tab_ask_once(own_world):
    first = plan(own_world, scope="filter")
    command = first.query_params["command"]
    second = plan(own_world, scope="filter", command=command)
    go(own_world, first)
    assert commands(own_world) == 1
    go(own_world, second)
    assert commands(own_world) == 1
    assert own_world.one("SELECT count(*) FROM redrive") == 1
    after = plan(own_world, scope="filter", command=command)
    assert "This has been asked for already" in words_of(after)
    assert "redrive" in first.query_params
    assert "scope" not in first.query_params


def test_the_result_is_shown_item_by_item_and_found_again_under_its_address(own_world):
    own_world.house.s4hana.unblock_cost_centre(code="4711")
    app = go(own_world, plan(own_world, scope="filter"))
    redrive = app.query_params["redrive"]
    own_world.house.run(minutes=30)
    later = plan(own_world, redrive=redrive)
    said = words_of(later)
    assert "Reprocessing of 3 documents" in said
    assert "verified: done and seen in the system" in said
    assert "refused again" in said, "the northern cost centre is still blocked"
    assert "the cost centre is open again" in said


def test_whoever_comes_second_is_told_who_was_first(own_world):
    first, second = plan(own_world, scope="filter"), plan(own_world, person=SUPPORT, scope="filter")
    go(own_world, first)
    go(own_world, second)
    assert commands(own_world) == 2
    skipped = own_world.connection.execute(
        "SELECT i.result FROM redrive_item i JOIN redrive r USING (redrive_id) WHERE r.asked_by = %s", [SUPPORT]
    ).fetchall()
    assert len(skipped) == 3
    assert all(OPERATIONS in result and "already" in result for (result,) in skipped)
    assert OPERATIONS in words_of(plan(own_world, person=SUPPORT, redrive=second.query_params["redrive"]))


def test_a_case_that_somebody_else_took_is_said_with_their_name(own_world):
    case = own_world.case_of(own_world.south[0])
    mine, theirs = plan(own_world, case=str(case)), plan(own_world, person=SUPPORT, case=str(case))
    key = next(button.key for button in mine.button if button.label == "Take it on")
    with own_world.engine_at_work():
        mine.button(key=key).click().run()
        theirs.button(key=key).click().run()
    assert "has taken on" in words_of(mine)
    assert f"{OPERATIONS} has taken it on already".replace(".", "") in words_of(theirs).replace("\\", "").replace(
        "\u2060", ""
    ).replace(".", "")


def test_comment_assign_and_give_up_stand_in_the_history(own_world):
    case = str(own_world.case_of(own_world.south[0]))
    app = plan(own_world, case=case)
    version = own_world.one("SELECT version FROM exception_case WHERE case_id = %s", case)
    prefix = f"exceptions.case.{case}.{version}"
    with own_world.engine_at_work():
        app.text_area(key=f"{prefix}.comment").set_value("asked controlling").run()
        app.button(key=f"{prefix}.keep").click().run()
        app.selectbox(key=f"{prefix}.assignee").set_value(SUPPORT).run()
        app.button(key=f"{prefix}.assign").click().run()
        assert "asked controlling" in words_of(app)
        assert f"taken on by {SUPPORT}" in words_of(app)
        prefix = f"exceptions.case.{case}.{version + 1}"
        app.button(key=f"{prefix}.abandon").click().run()
        assert "say why" in words_of(app)
        app.text_input(key=f"{prefix}.abandon.reason").set_value("not needed any more").run()
        app.button(key=f"{prefix}.abandon").click().run()
    assert own_world.one("SELECT close_reason FROM exception_case WHERE case_id = %s", case) == "cancelled"


def test_more_than_twenty_at_once_are_confirmed_by_typing_their_number(own_world, monkeypatch):
    from pages import exceptions_redrive

    monkeypatch.setattr(exceptions_redrive, "TYPED_ABOVE", 2)
    app = plan(own_world, scope="filter")
    go(own_world, app)
    assert "Type 3 to confirm" in words_of(app)
    assert commands(own_world) == 0
    app.text_input(key="exceptions.plan.typed").set_value("3")
    go(own_world, app)
    assert commands(own_world) == 1


def test_nothing_open_is_good_news_with_the_number_that_proves_it(own_world):
    own_world.house.s4hana.unblock_cost_centre(code="4711")
    own_world.house.s4hana.unblock_cost_centre(code="4101")
    go(own_world, plan(own_world, scope="filter"))
    own_world.house.run(minutes=40)
    said = words_of(own_world.look("exceptions"))
    assert "No unresolved exceptions for any business unit" in said
    assert "3 closed in the last 24 hours" in said


@pytest.mark.parametrize(
    "query",
    [
        {"scope": "everything"},
        {"case": "x"},
        {"redrive": "x"},
        {"command": "x", "scope": "filter"},
        {"scope": "rows", "pick": "zz"},
        {"cause": "' OR 1=1 --"},
    ],
)
def test_no_address_breaks_the_queue(world, query):
    app = world.look("exceptions", **query)
    assert not app.exception
    assert not app.error
