"""What people ask for is done once, to what they saw, and every other outcome is told in a sentence (F17, F18, I9, I10, R101, D07)."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from sync_engine.control import access, commands, execute
from sync_engine.control.execute import execute_commands
from sync_engine.control.roles import ACCEPTABLE, Action, Role
from sync_engine.database.connections import Database, borrowed
from sync_engine.engine import atomic, store
from sync_engine.engine.recording import Recording
from tests.toy import NOON

OPS, SUPPORT, ANALYST = Role.FINANCE_OPERATIONS, Role.INTEGRATION_SUPPORT, Role.PROCUREMENT_ANALYST


# -- once (F17, I9) --------------------------------------------------------------------------------------------------------


def test_a_double_click_a_refresh_and_a_second_tab_ask_once(desk):
    session, case = desk.person(OPS), desk.case()
    seen, command_id = desk.named(case), uuid4()
    for _ in range(3):
        desk.ask(session, Action.REPROCESS, command_id=command_id, cases=seen)
    assert desk.carry_out() == 1
    desk.ask(session, Action.REPROCESS, command_id=command_id, cases=seen)
    assert desk.carry_out() == 0
    assert desk.one("SELECT count(*) FROM redrive") == 1
    assert desk.answer(session, command_id).status == "done"


def test_two_overlapping_clicks_ask_once(desk):
    """RELIABILITY 0.5: a form's body runs twice, overlapping."""
    session, case = desk.person(OPS), desk.case()
    seen, command_id = desk.named(case), uuid4()
    together = threading.Barrier(8)

    def click(_):
        together.wait()
        desk.ask(session, Action.REPROCESS, command_id=command_id, cases=seen)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(click, range(8)))
    assert desk.carry_out() == 1
    assert desk.one("SELECT count(*) FROM redrive_item") == 1


def test_a_command_that_was_asked_is_waited_for_and_told(desk):
    session, case = desk.person(OPS), desk.case()
    asked = desk.ask(session, Action.COMMENT, cases=desk.named(case), comment="seen")
    waiting = commands.wait_for(desk.app, session.token, asked, seconds=0)
    assert (waiting.status, "whether or not this page stays open" in waiting.sentence) == ("asked", True)
    desk.carry_out()
    assert commands.wait_for(desk.app, session.token, asked, seconds=5).status == "done"
    assert commands.wait_for(desk.app, session.token, uuid4(), seconds=5) is None


# -- one winner (F18) ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attempt", range(3))
def test_ten_people_at_once_have_one_winner_and_the_others_are_told_who_and_when(desk, database, monkeypatch, attempt):
    """Ten people ask at the same moment, two engines carry it out, one command at a time each."""
    monkeypatch.setattr(execute, "BATCH", 1)
    case = desk.case()
    seen = desk.named(case)
    sessions = [desk.person(SUPPORT) for _ in range(10)]
    together = threading.Barrier(10)

    def click(session):
        together.wait()
        return desk.ask(session, Action.REPROCESS, cases=seen)

    with ThreadPoolExecutor(10) as pool:
        asked = list(pool.map(click, sessions))
    engine = database.engine("finsync_engine", pool_size=2)

    def carry_out(name):
        with borrowed(engine) as connection:
            while execute_commands(connection, desk.setup, engine_id=name, now=NOON):
                pass

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(carry_out, ["engine-1", "engine-2"]))
    engine.dispose()
    answers = [desk.answer(session, command) for session, command in zip(sessions, asked, strict=True)]
    assert {answer.status for answer in answers} == {"done"}
    [winner] = [session for session, answer in zip(sessions, answers, strict=True) if answer.result["queued"] == 1]
    others = [answer for answer in answers if answer.result["queued"] == 0]
    assert len(others) == 9
    why = f"it is being reprocessed already, by {winner.person.user_id} at 2026-09-15 12:00 UTC"
    assert {answer.result["skipped"][str(case)] for answer in others} == {why}
    assert {answer.sentence for answer in others} == {f"Nothing is reprocessed: {why}."}
    assert desk.one("SELECT count(*) FROM redrive_item WHERE status = 'queued'") == 1


def test_a_case_the_engine_works_on_right_now_is_left_alone(desk):
    session, case = desk.person(OPS), desk.case()
    desk.connection.execute("UPDATE work_item SET status = 'in_call', lease_until = %s", [NOON])
    found = desk.do(session, Action.REPROCESS, cases=desk.named(case))
    assert found.result["skipped"] == {str(case): "it is being worked on right now"}
    assert desk.row(case)["work"] == "in_call"


# -- what was seen, and nothing else (finding 6) ---------------------------------------------------------------------------


def test_only_the_named_cases_are_touched_however_the_rows_have_shifted(desk):
    session = desk.person(OPS)
    first, second, third = desk.case(), desk.case(), desk.case()
    desk.do(session, Action.REPROCESS, cases=desk.named(second))
    assert [desk.row(case)["work"] for case in (first, second, third)] == ["parked", "due", "parked"]
    assert [desk.row(case)["status"] for case in (first, second, third)] == ["open", "queued", "open"]
    assert desk.row(second)["ask_first"], "D01: it looks before it sends"


@pytest.mark.parametrize(
    ("meanwhile", "why"),
    [
        (
            "UPDATE exception_case SET version = version + 1, message = 'another trouble'",
            "it has changed since you looked at it",
        ),
        (
            "UPDATE exception_case SET status = 'closed', closed_at = now(), close_reason = 'fixed', version = version + 1",
            "it has been closed meanwhile",
        ),
        ("UPDATE exception_case SET work_item_id = NULL", "there is nothing to repeat"),
        (
            "UPDATE exception_case SET code = 'duplicate_order', retryable = 'never'",
            "repeating does not help: Compare both; cancel this one or accept it as a new order with a reason",
        ),
    ],
)
def test_what_changed_since_it_was_seen_is_skipped_with_the_reason_and_the_rest_goes(desk, meanwhile, why):
    session, changed, same = desk.person(OPS), desk.case(), desk.case()
    seen = desk.named(changed, same)
    desk.connection.execute(meanwhile + " WHERE case_id = %s", [changed])
    found = desk.do(session, Action.REPROCESS, cases=seen)
    assert (found.status, found.sentence) == ("done", "1 of 2 are being reprocessed.")
    assert found.result["skipped"] == {str(changed): why}
    assert (desk.row(changed)["work"] == "due", desk.row(same)["work"]) == (False, "due")
    items = dict(desk.connection.execute("SELECT case_id, status || ': ' || result FROM redrive_item").fetchall())
    assert items == {changed: f"skipped: {why}", same: "queued: "}


def test_a_bulk_of_which_nothing_is_left_is_finished_at_once(desk):
    session, case = desk.person(OPS), desk.case()
    found = desk.do(session, Action.REPROCESS, cases=desk.named(case, version=99))
    assert found.sentence == "Nothing is reprocessed: it has changed since you looked at it."
    assert desk.one("SELECT finished_at FROM redrive") == NOON


def test_a_reprocessing_says_who_why_how_many_and_worth_what(desk):
    session = desk.person(OPS)
    cases = [desk.case(), desk.case()]
    desk.connection.execute("UPDATE exception_case SET group_amount = 100.50")
    desk.do(
        session,
        Action.REPROCESS,
        reason="period is open again",
        reason_code="cause_repaired",
        scope="all of period 09",
        cases=desk.named(*cases),
    )
    row = desk.connection.execute(
        "SELECT asked_by, reason, reason_code, scope, item_count, group_amount::text FROM redrive"
    ).fetchone()
    assert row == (
        session.person.user_id,
        "period is open again",
        "cause_repaired",
        "all of period 09",
        2,
        "201.000000",
    )
    history = desk.connection.execute("SELECT actor, action, comment FROM case_event").fetchall()
    assert history == [(session.person.user_id, "reprocess", "period is open again")] * 2
    assert (
        desk.one(
            "SELECT count(*) FROM event WHERE activity = 'reprocessing_asked' AND actor = %s", session.person.user_id
        )
        == 2
    )


@pytest.mark.parametrize("action", [Action.ACCEPT, Action.ABANDON, Action.CLOSE])
def test_what_cannot_be_undone_is_not_done_to_a_case_that_has_changed(desk, action):
    session, case = desk.person(OPS), desk.case(code="duplicate_order", blocks=action is not Action.CLOSE)
    seen = desk.named(case)
    desk.connection.execute("UPDATE exception_case SET version = version + 1")
    before = desk.row(case)
    found = desk.do(session, action, cases=seen)
    assert (found.status, found.sentence) == ("conflict", "The exception has changed since you looked at it.")
    assert desk.row(case) == before


@pytest.mark.parametrize(
    "action", [Action.CLAIM, Action.ASSIGN, Action.COMMENT, Action.ACCEPT, Action.ABANDON, Action.CLOSE]
)
def test_nothing_is_done_to_a_case_that_has_been_closed(desk, action):
    session, case = desk.person(OPS), desk.case(code="duplicate_order", blocks=False)
    desk.connection.execute(
        "UPDATE exception_case SET status = 'closed', closed_at = %s, close_reason = 'fixed'", [NOON]
    )
    found = desk.do(session, action, cases=desk.named(case), comment="late", owner="x")
    assert found.status == "conflict"
    assert "has been closed meanwhile" in found.sentence


# -- taking on, giving, commenting -----------------------------------------------------------------------------------------


def test_a_case_has_one_owner_and_the_second_is_told_who(desk):
    first, second, case = desk.person(OPS), desk.person(SUPPORT), desk.case()
    assert desk.do(first, Action.CLAIM, cases=desk.named(case)).status == "done"
    found = desk.do(second, Action.CLAIM, cases=desk.named(case))
    assert (found.status, found.sentence) == ("conflict", f"{first.person.user_id} has taken it on already.")
    assert desk.do(first, Action.CLAIM, cases=desk.named(case)).status == "done", "again by oneself is no conflict"
    assert (desk.row(case)["owner"], desk.row(case)["status"]) == (first.person.user_id, "claimed")


def test_a_case_is_handed_over_by_giving_it_to_somebody(desk):
    first, second, case = desk.person(OPS), desk.person(SUPPORT), desk.case()
    desk.person(ANALYST, user_id="third@example.test")
    desk.do(first, Action.CLAIM, cases=desk.named(case))
    found = desk.do(second, Action.ASSIGN, cases=desk.named(case), owner="third@example.test")
    assert (found.status, desk.row(case)["owner"]) == ("done", "third@example.test")
    history = desk.connection.execute(
        "SELECT actor, action, details->>'owner' FROM case_event ORDER BY case_event_id"
    ).fetchall()
    assert history == [
        (first.person.user_id, "claim", first.person.user_id),
        (second.person.user_id, "assign", "third@example.test"),
    ]


@pytest.mark.parametrize(
    ("who", "why"),
    [
        ({}, "Nobody called stranger@example.test"),
        ({"roles": (Role.AUDITOR,)}, "may not take an exception on"),
        ({"roles": (OPS,), "units": ("US-EAST",)}, "does not see DE-SOUTH"),
    ],
    ids=["unknown", "may not act", "does not see it"],
)
def test_a_case_is_given_only_to_somebody_who_can_work_on_it(desk, who, why):
    session, case = desk.person(OPS), desk.case()
    if who:
        desk.person(*who["roles"], units=who.get("units", ("DE-SOUTH",)), user_id="stranger@example.test")
    found = desk.do(session, Action.ASSIGN, cases=desk.named(case), owner="stranger@example.test")
    assert (found.status, desk.row(case)["owner"]) == ("conflict", None)
    assert why in found.sentence


def test_a_claim_names_its_claimer_whatever_the_arguments_say(desk):
    session, case = desk.person(OPS), desk.case()
    desk.do(session, Action.CLAIM, cases=desk.named(case), owner="somebody.else")
    assert desk.row(case)["owner"] == session.person.user_id


def test_a_comment_is_kept_as_it_was_written(desk):
    session, case = desk.person(ANALYST), desk.case()
    text = "<b>=1+1</b> ![x](http://evil) 漢字"
    assert desk.do(session, Action.COMMENT, cases=desk.named(case), comment=f"  {text} ").status == "done"
    assert desk.one("SELECT comment FROM case_event") == text
    assert desk.row(case)["version"] == 1, "a comment changes nothing about the case"


@pytest.mark.parametrize("comment", ["", "  ", None])
def test_an_empty_comment_is_no_comment(desk, comment):
    session, case = desk.person(ANALYST), desk.case()
    found = desk.do(
        session, Action.COMMENT, cases=desk.named(case), **({} if comment is None else {"comment": comment})
    )
    assert (found.status, found.sentence) == ("conflict", "The comment is empty.")


# -- accepting: a second person (I10, D07) ---------------------------------------------------------------------------------


@pytest.mark.parametrize("code", sorted(ACCEPTABLE))
def test_what_a_rule_objects_to_may_be_accepted_and_goes_on(desk, code):
    session, case = desk.person(OPS), desk.case(code=code, retryable="never")
    found = desk.do(session, Action.ACCEPT, reason="second shift", cases=desk.named(case))
    assert found.status == "done"
    assert (desk.row(case)["work"], desk.row(case)["status"]) == ("due", "queued")
    assert desk.one("SELECT facts->'accepted' FROM work_item") == [code]


@pytest.mark.parametrize(
    "code", ["segregation_of_duties", "cost_centre_blocked", "effect_conflict", "quantity_variance"]
)
def test_what_nobody_may_accept_stays(desk, code):
    session, case = desk.person(OPS), desk.case(code=code)
    found = desk.do(session, Action.ACCEPT, cases=desk.named(case))
    assert found.status == "denied"
    assert found.sentence.startswith("Nobody may accept this: ")
    assert desk.row(case)["work"] == "parked"


@pytest.mark.parametrize(
    ("requester", "actor", "may"),
    [
        pytest.param({"user": "jo"}, "jo", False, id="the same login"),
        pytest.param({"user": "JO"}, "jo@example.test", False, id="the login before the at sign"),
        pytest.param({"user": "jo@example.test"}, "Jo@Example.test", False, id="the same address"),
        pytest.param(
            {"user": "u4711", "email": "Jo@example.test"},
            "jo@example.test",
            False,
            id="another login with the same address",
        ),
        pytest.param(
            {"user": "plant.manager.de-south", "email": ""},
            "pm.desouth",
            False,
            id="one person by the identities table",
        ),
        pytest.param(
            {"user": "planner.1", "email": "planner@example.test"}, "controller@example.test", True, id="somebody else"
        ),
        pytest.param(
            {"user": "planner.1", "email": ""}, "planner@example.test", True, id="somebody with a similar name"
        ),
    ],
)
def test_whoever_asked_for_it_cannot_accept_it_under_whatever_login(desk, requester, actor, may):
    desk.setup.mappings.tables["identities"].entries["finsync:pm.desouth"] = "E-1042"
    session, case = desk.person(OPS, user_id=actor), desk.case(code="duplicate_order", requester=requester)
    found = desk.do(session, Action.ACCEPT, cases=desk.named(case))
    assert found.status == ("done" if may else "denied")
    if not may:
        assert found.sentence == "Whoever asked for it cannot accept it."
        assert desk.row(case)["work"] == "parked"


# -- giving up, closing ----------------------------------------------------------------------------------------------------


def test_a_document_that_is_given_up_is_over_with_its_budget_and_its_work(desk):
    session, case = desk.person(ANALYST), desk.case()
    desk.connection.execute(
        "INSERT INTO budget_reservation (document_id, cost_centre, period, amount, reserved_at) SELECT document_id, '4711', '2026-09', 5, now() FROM document"
    )
    found = desk.do(session, Action.ABANDON, reason="not needed", cases=desk.named(case))
    assert found.status == "done"
    row = desk.row(case)
    assert (row["state"], row["status"], row["close_reason"], row["closed_by"], row["work"]) == (
        "cancelled",
        "closed",
        "cancelled",
        session.person.user_id,
        "cancelled",
    )
    assert desk.one("SELECT count(*) FROM budget_reservation WHERE released_at IS NULL") == 0
    assert desk.connection.execute(
        "SELECT actor, attributes->>'reason' FROM event WHERE activity = 'abandoned'"
    ).fetchall() == [(session.person.user_id, "not needed")]


def test_what_is_ordered_already_cannot_be_given_up(desk):
    session, case = desk.person(OPS), desk.case()
    desk.connection.execute("UPDATE document SET state = 'ordered', approval_status = 'approved'")
    found = desk.do(session, Action.ABANDON, cases=desk.named(case))
    assert found.status == "conflict"
    assert "cannot be given up any more: it is ordered." in found.sentence
    assert desk.row(case)["closed_at"] is None


def test_a_case_that_stops_nothing_may_be_closed_with_a_reason(desk):
    session, case = desk.person(SUPPORT), desk.case(blocks=False)
    assert desk.do(session, Action.CLOSE, cases=desk.named(case), close_reason="false_alarm").status == "done"
    row = desk.row(case)
    assert (row["status"], row["close_reason"], row["closed_by"], row["state"]) == (
        "closed",
        "false_alarm",
        session.person.user_id,
        "received",
    )


def test_a_case_that_stops_its_document_cannot_be_closed(desk):
    session, case = desk.person(SUPPORT), desk.case()
    found = desk.do(session, Action.CLOSE, cases=desk.named(case))
    assert found.status == "conflict"
    assert "reprocess it, accept it or give it up" in found.sentence


# -- alerts ----------------------------------------------------------------------------------------------------------------


def test_an_alert_is_acknowledged_once_and_the_second_is_told_by_whom(desk):
    first, second, alert = desk.person(Role.FINANCE_LEADER), desk.person(OPS), desk.alert()
    assert desk.do(first, Action.ACKNOWLEDGE_ALERT, alert_id=str(alert)).status == "done"
    found = desk.do(second, Action.ACKNOWLEDGE_ALERT, alert_id=str(alert))
    assert (found.status, found.sentence) == ("conflict", f"{first.person.user_id} has settled it already.")
    assert desk.connection.execute("SELECT state, acknowledged_by FROM alert").fetchone() == (
        "acknowledged",
        first.person.user_id,
    )


def test_an_alert_that_has_resolved_by_itself_is_not_acknowledged(desk):
    session, alert = desk.person(OPS), desk.alert()
    desk.connection.execute("UPDATE alert SET state = 'resolved', resolved_at = now()")
    assert (
        desk.do(session, Action.ACKNOWLEDGE_ALERT, alert_id=str(alert)).sentence == "The engine has settled it already."
    )


# -- one bad command never stops the others (I15) --------------------------------------------------------------------------

BAD = {
    "an action nobody knows": ("explode", {}),
    "no cases": (Action.CLAIM, {}),
    "an empty selection": (Action.CLAIM, {"cases": []}),
    "an empty bulk": (Action.REPROCESS, {"cases": []}),
    "a list instead of arguments": (Action.CLAIM, []),
    "a word instead of arguments": (Action.CLAIM, "all"),
    "a word instead of cases": (Action.CLAIM, {"cases": "all"}),
    "a case without an id": (Action.CLAIM, {"cases": [{"version": 1}]}),
    "an id that is none": (Action.CLAIM, {"cases": [{"case_id": "1; DROP TABLE x", "version": 1}]}),
    "a number instead of an id": (Action.CLAIM, {"cases": [{"case_id": 5, "version": 1}]}),
    "no version": (Action.CLAIM, {"cases": [{"case_id": str(uuid4())}]}),
    "nothing as a version": (Action.CLAIM, {"cases": [{"case_id": str(uuid4()), "version": None}]}),
    "a version beyond counting": (Action.REPROCESS, {"cases": [{"case_id": "<case>", "version": 2**40}]}),
    "two cases where one is meant": (
        Action.ABANDON,
        {"cases": [{"case_id": "<case>", "version": 1}, {"case_id": "<other>", "version": 1}]},
    ),
    "a close reason nobody knows": (
        Action.CLOSE,
        {"cases": [{"case_id": "<open>", "version": 1}], "close_reason": "tired"},
    ),
    "an alert that is none": (Action.ACKNOWLEDGE_ALERT, {"alert_id": "x"}),
    "no alert": (Action.ACKNOWLEDGE_ALERT, {}),
}


@pytest.mark.parametrize(("action", "arguments"), BAD.values(), ids=BAD.keys())
def test_a_command_that_makes_no_sense_is_answered_changes_nothing_and_stops_nobody(desk, action, arguments):
    session = desk.person(OPS)
    cases = {"<case>": desk.case(), "<other>": desk.case(), "<open>": desk.case(blocks=False)}
    before = {case: desk.row(case) for case in cases.values()}
    text = str(arguments)
    for word, case in cases.items():
        text = text.replace(word, str(case))
    bad = uuid4()
    with access.acting(desk.app, session.token) as connection:
        connection.execute(
            "INSERT INTO command (command_id, actor, roles, action, arguments, reason, asked_at) VALUES (%s, %s, %s, %s, %s, 'because', %s)",
            [
                bad,
                session.person.user_id,
                [OPS.value],
                action,
                Jsonb(eval(text) if not isinstance(arguments, str) else arguments),
                NOON,
            ],
        )
    good = desk.ask(session, Action.COMMENT, cases=desk.named(desk.case()), comment="after it")
    while desk.carry_out():
        pass
    answer = desk.answer(session, bad)
    assert answer.status in {"denied", "conflict", "failed"} or answer.result["queued"] == 0
    assert answer.sentence.endswith(".")
    assert {case: desk.row(case) for case in cases.values()} == before
    assert desk.answer(session, good).status == "done"


def test_a_database_that_goes_away_leaves_the_command_to_be_done_later(desk, database):
    session, case = desk.person(OPS), desk.case()
    asked = desk.ask(session, Action.COMMENT, cases=desk.named(case), comment="still there")
    with database.connected("finsync_engine") as connection, database.connect_owner() as owner:
        owner.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
        with pytest.raises(psycopg.OperationalError):
            execute_commands(connection, desk.setup, engine_id="engine-2", now=NOON)
    assert desk.answer(session, asked).status == "asked"
    desk.carry_out()
    assert desk.answer(session, asked).status == "done"


# -- one order of locks ----------------------------------------------------------------------------------------------------


def wait_until_blocked(database: Database, *pids: int) -> None:
    """Return when each of these connections waits for somebody's lock."""
    give_up_at = time.monotonic() + 10
    with database.connect_owner() as owner:
        while owner.execute(
            "SELECT count(*) FROM unnest(%s::int[]) AS u(pid) WHERE pg_blocking_pids(pid) <> '{}'", [list(pids)]
        ).fetchone() != (len(pids),):
            assert time.monotonic() < give_up_at, "nobody waits for anybody"
            time.sleep(0.02)


def test_a_command_and_a_recording_about_one_exception_wait_for_each_other_in_turn(desk, database):
    """Both want the document and the case. Were the command to take the case first, neither could go on: PostgreSQL would
    cut one of them off after a second, and its batch would have to be done again."""
    case = desk.case()
    session = desk.person(OPS)
    asked = desk.ask(session, Action.REPROCESS, cases=desk.named(case))
    document_id = desk.one("SELECT document_id FROM exception_case")
    with database.connected("finsync_engine") as other, ThreadPoolExecutor(1) as person:
        with atomic.transaction(other):
            [head] = store.lock_heads(other, [document_id]).values()
            command = person.submit(desk.carry_out)
            wait_until_blocked(database, desk.connection.info.backend_pid)
            recording = Recording("engine-2", NOON, desk.setup.new_id)
            recording.close_case(case, reason="self_cured", by="engine-2", head=head)
            store.write(other, recording)
        assert command.result(timeout=20) == 1
    answered = desk.answer(session, asked)
    assert (answered.status, answered.sentence) == (
        "done",
        "Nothing is reprocessed: it has been closed meanwhile.",
    )
    assert desk.row(case)["close_reason"] == "self_cured"
