"""Who may ask for what: the table in `roles` is the policy, held on the page, by the database and by the engine (R105, R139, P6)."""

from datetime import timedelta
from itertools import count
from uuid import uuid4

import pytest

from config import FOLDER
from sync_engine.control import access
from sync_engine.control.access import Person
from sync_engine.control.commands import NotAllowed
from sync_engine.control.roles import LANDING, RULES, Action, Role, may, sees
from sync_engine.engine.alert_rules import load_alerts
from tests.toy import NOON

OWN, OTHER = "DE-SOUTH", "US-EAST"
_numbers = count(1)
ABOUT_NOTHING = {Action.VIEW_PAYLOAD, Action.EXPORT}
"""What names no exception: the command itself is the audit entry."""


def about(desk, action, unit):
    """The arguments with which a page asks for an action about something of a unit."""
    if action in {Action.ACKNOWLEDGE_ALERT, Action.SNOOZE_ALERT, Action.RESOLVE_ALERT}:
        return {"alert_id": str(desk.alert(unit=unit)), "hours": 4}
    if action is Action.SAVE_ALERT_RULE:
        rule = load_alerts(FOLDER).rules["blocked-order"].model_copy(update={"units": (unit,)})
        return {"name": f"own-{next(_numbers)}", "version": 0, "rule": rule.model_dump(mode="json")}
    if action in ABOUT_NOTHING:
        return {"what": "a list"}
    if action is Action.LEAVE_OUT:
        stretch = {"starts_at": NOON.isoformat(), "ends_at": (NOON + timedelta(hours=2)).isoformat()}
        return {"kind": "once", "objective": "", "unit": unit, **stretch}
    if action is Action.COUNT_AGAIN:
        return {"exclusion_id": str(desk.exclusion(unit=unit))}
    if action in {Action.STEER, Action.CONFIRM}:
        state = "awaiting_confirmation" if action is Action.CONFIRM else "running"
        return {"redrive_id": str(desk.redrive(desk.case(unit=unit), state=state)), "to": "pause"}
    if action is Action.CANCEL_ORDER:
        return {"document_id": str(desk.order(unit=unit)), "version": 1}
    if action is Action.JUDGE_DUPLICATE:
        pair = {"document_id": str(desk.invoice(unit=unit)), "other_id": str(desk.invoice(unit=unit))}
        return {**pair, "pattern": "exact", "verdict": "distinct"}
    case = desk.case(
        unit=unit,
        code="duplicate_order" if action is Action.ACCEPT else "cost_centre_blocked",
        blocks=action is not Action.CLOSE,
    )
    return {"cases": desk.named(case), "comment": "seen", "owner": "somebody.else"}


def as_engine_sees_it(desk, session, action, arguments, reason="because"):
    """Put a command into the database past the page's own check, with the role's rights, and carry it out."""
    from psycopg.types.json import Jsonb

    command_id = uuid4()
    with access.acting(desk.app, session.token) as connection:
        connection.execute(
            "INSERT INTO command (command_id, actor, roles, action, arguments, reason, asked_at) VALUES (%s, %s, %s, %s, %s, %s, %s)",
            [
                command_id,
                session.person.user_id,
                sorted(role.value for role in session.person.roles),
                action,
                Jsonb(arguments),
                reason,
                NOON,
            ],
        )
    desk.carry_out()
    return desk.answer(session, command_id)


def test_every_role_every_action_in_its_own_and_in_another_unit(desk):
    """Every combination, each through the page's check and, past it, through the engine's."""
    wrong = []
    for unit in (OWN, OTHER):
        desk.unit(unit)
    desk.person(Role.FINANCE_OPERATIONS, units=("*",), user_id="somebody.else")  # whom exceptions are given to
    for role in Role:
        session = desk.person(role, units=(OWN,))
        for action, rule in RULES.items():
            for unit in (OWN, OTHER):
                arguments = about(desk, action, unit)
                expected = "done" if role in rule.roles and (unit == OWN or action in ABOUT_NOTHING) else "denied"
                found = as_engine_sees_it(desk, session, action, arguments)
                if found.status != expected:
                    wrong.append((role, action, unit, found.status, found.sentence))
                try:
                    desk.ask(session, action, **arguments)
                    said = True
                except NotAllowed:
                    said = False
                if said is not (role in rule.roles):
                    wrong.append((role, action, unit, "the page", said))
    assert wrong == []


def test_every_refusal_stays_on_record_with_who_what_and_why(desk):
    session = desk.person(Role.AUDITOR)
    arguments = about(desk, Action.REPROCESS, OWN)
    as_engine_sees_it(desk, session, Action.REPROCESS, arguments)
    row = desk.connection.execute(
        "SELECT actor, action, status, reason, result->>'sentence', settled_at FROM command"
    ).fetchone()
    assert row == (
        session.person.user_id,
        "reprocess",
        "denied",
        "because",
        f"{session.person.user_id} may not reprocess documents.",
        NOON,
    )


@pytest.mark.parametrize("role", Role)
def test_nobody_may_do_what_no_role_of_theirs_allows(role):
    for action, rule in RULES.items():
        assert may({role}, action) is (role in rule.roles)
        assert may(set(), action) is False


def test_two_roles_may_do_what_either_may():
    assert may({Role.AUDITOR, Role.PROCUREMENT_ANALYST}, Action.ABANDON)
    assert may({Role.AUDITOR, Role.PROCUREMENT_ANALYST}, Action.VIEW_PAYLOAD)


def test_an_auditor_changes_nothing():
    assert {action for action in Action if may({Role.AUDITOR}, action)} == {Action.VIEW_PAYLOAD, Action.EXPORT}


def test_every_action_has_a_rule_and_every_role_a_page():
    assert set(RULES) == set(Action)
    assert set(LANDING) == set(Role)
    assert all(rule.roles and rule.says for rule in RULES.values())


@pytest.mark.parametrize("action", [action for action, rule in RULES.items() if rule.needs_reason])
@pytest.mark.parametrize("reason", ["", "   ", "\n"])
def test_what_needs_a_reason_is_not_done_without_one(desk, action, reason):
    """Neither by the page, nor past it."""
    session = desk.person(next(iter(RULES[action].roles)))
    arguments = about(desk, action, OWN)
    with pytest.raises(NotAllowed, match="say why"):
        desk.ask(session, action, reason=reason, **arguments)
    found = as_engine_sees_it(desk, session, action, arguments, reason=reason)
    assert (found.status, "say why" in found.sentence) == ("denied", True)


@pytest.mark.parametrize(
    ("units", "unit", "visible"),
    [
        ((), "", False),
        ((), "DE-SOUTH", False),
        (("DE-SOUTH",), "DE-SOUTH", True),
        (("DE-SOUTH",), "DE-NORTH", False),
        (("DE-SOUTH",), "", False),
        (("*",), "", True),
        (("*",), "DE-NORTH", True),
        (("DE",), "DE-SOUTH", False),
    ],
)
def test_what_has_no_unit_is_seen_by_those_who_see_every_unit(units, unit, visible):
    assert sees(units, unit) is visible


# -- rights that change between the click and the doing --------------------------------------------------------------------


def change(desk, session, roles, units=(OWN,)):
    access.put_people(desk.connection, [Person(session.person.user_id, "Somebody", frozenset(roles), units)], now=NOON)


def test_a_right_revoked_between_asking_and_doing_is_denied(desk):
    session = desk.person(Role.FINANCE_OPERATIONS)
    case = desk.case()
    asked = desk.ask(session, Action.REPROCESS, cases=desk.named(case))
    change(desk, session, [Role.AUDITOR])
    desk.carry_out()
    assert desk.answer(session, asked).status == "denied"
    assert desk.row(case)["work"] == "parked"


def test_a_unit_revoked_between_asking_and_doing_is_denied(desk):
    session = desk.person(Role.FINANCE_OPERATIONS)
    case = desk.case()
    asked = desk.ask(session, Action.REPROCESS, cases=desk.named(case))
    change(desk, session, [Role.FINANCE_OPERATIONS], units=(OTHER,))
    desk.carry_out()
    assert desk.answer(session, asked).status == "denied"
    assert desk.row(case)["work"] == "parked"


def test_a_person_disabled_between_asking_and_doing_is_denied(desk, database):
    session = desk.person(Role.FINANCE_OPERATIONS)
    case = desk.case()
    asked = desk.ask(session, Action.REPROCESS, cases=desk.named(case))
    with database.connect_owner() as owner:
        owner.execute(f'UPDATE "{database.cell}".app_user SET is_active = false')
    desk.carry_out()
    assert desk.one("SELECT status FROM command WHERE command_id = %s", asked) == "denied"
    assert desk.row(case)["work"] == "parked"


def test_rights_that_changed_since_the_page_was_drawn_are_said_in_a_sentence(desk):
    session = desk.person(Role.FINANCE_OPERATIONS)
    change(desk, session, [Role.FINANCE_OPERATIONS, Role.INTEGRATION_SUPPORT])
    with pytest.raises(NotAllowed, match="sign in again"):
        desk.ask(session, Action.COMMENT, cases=desk.named(desk.case()))
    assert desk.one("SELECT count(*) FROM command") == 0


def test_a_session_that_has_ended_asks_for_nothing(desk):
    session = desk.person(Role.FINANCE_OPERATIONS)
    access.end_session(desk.app, session.token)
    with pytest.raises(NotAllowed, match="sign in again"):
        desk.ask(session, Action.COMMENT, cases=desk.named(desk.case()))


# -- nothing of what others see is given away ------------------------------------------------------------------------------


@pytest.mark.parametrize("action", [Action.REPROCESS, Action.CLAIM, Action.ABANDON, Action.CLOSE, Action.COMMENT])
def test_a_case_of_another_unit_and_one_that_does_not_exist_are_told_alike(desk, action):
    session = desk.person(*RULES[action].roles)
    hidden = desk.named(desk.case(unit=OTHER))
    missing = [{"case_id": str(uuid4()), "version": 1}]
    answers = [desk.do(session, action, cases=cases, comment="x") for cases in (hidden, missing)]
    assert {answer.status for answer in answers} == {"denied"}
    assert answers[0].sentence == answers[1].sentence


def test_a_bulk_with_partly_invisible_cases_is_denied_without_saying_which(desk):
    session = desk.person(Role.FINANCE_OPERATIONS)
    mine, theirs = [desk.case() for _ in range(2)], desk.case(unit=OTHER)
    found = desk.do(session, Action.REPROCESS, cases=desk.named(*mine, theirs))
    assert found.status == "denied"
    assert found.sentence == "1 of the 3 exceptions are not among those you may see."
    assert str(theirs) not in str(found.result)
    assert [desk.row(case)["work"] for case in (*mine, theirs)] == ["parked"] * 3, "all or nothing"
    assert desk.one("SELECT count(*) FROM redrive") == 0


def test_an_alert_of_another_unit_and_one_that_does_not_exist_are_told_alike(desk):
    session = desk.person(Role.FINANCE_LEADER)
    answers = [
        desk.do(session, Action.ACKNOWLEDGE_ALERT, alert_id=str(alert)) for alert in (desk.alert(unit=OTHER), uuid4())
    ]
    assert [(answer.status, answer.sentence) for answer in answers] == [
        ("denied", "The alert is not among those you may see.")
    ] * 2


def test_somebody_elses_command_is_nobodys_business(desk):
    from sync_engine.control import commands

    mine, theirs = desk.person(Role.FINANCE_OPERATIONS), desk.person(Role.FINANCE_OPERATIONS, units=(OTHER,))
    asked = desk.ask(theirs, Action.COMMENT, cases=desk.named(desk.case(unit=OTHER)), comment="ours")
    desk.carry_out()
    assert commands.answer(desk.app, mine.token, asked) is None
    assert desk.answer(theirs, asked).status == "done"
