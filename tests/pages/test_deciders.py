"""Who decided is named to finance leaders and auditors; everybody else sees the role that was asked, on every page (PRODUCT.md 4.10)."""

import pytest

from sql import VIEWS
from sync_engine.control.roles import NAMES_APPROVERS, Role
from sync_engine.insight.reports import Cache
from sync_engine.insight.reports.reading import tells_deciders
from tests.pages.asking import asking
from tests.pages.conftest import ANALYST, AUDITOR, LEADER, OPERATIONS, SUPPORT, words_of

TOLD = [(LEADER, True), (AUDITOR, True), (OPERATIONS, False), (SUPPORT, False), (ANALYST, False)]


@pytest.fixture
def deciders(world):
    """Everybody who has decided anything in that world, by login and by name."""
    rows = world.connection.execute(
        "SELECT DISTINCT p.canonical->'decided_by'->>'user', p.canonical->'decided_by'->>'name' FROM document d JOIN document_payload p USING (document_id)"
        " WHERE d.document_type = 'approval' AND p.canonical->'decided_by'->>'user' <> ''"
    ).fetchall()
    programs = {"integration.finsync", "finsync"}
    found = {word for row in rows for word in row if word and word not in programs}
    assert found, "nobody decided anything: the test would prove nothing"
    return found


def named(said, deciders):
    return {one for one in deciders if one in said.replace("\\", "")}


@pytest.mark.parametrize(("person", "is_told"), TOLD)
def test_a_trace_names_who_decided_to_those_who_may_know_alone(world, deciders, person, is_told):
    requisition = world.document(world.bought)
    for view in ("timeline", "decisions", "exceptions"):
        app = world.look("trace", person=person, document=str(requisition), view=view)
        assert not app.exception
        if not is_told:
            assert not named(words_of(app), deciders), view
    with asking(world, person) as reports:
        events = reports.rows("report.events_of", document_id=[requisition])
    decided = [row for row in events if row["activity"] == "approval_completed"]
    assert decided
    for row in decided:
        assert is_told or row["actor"] == "an approver (coupa)", "the tool, where no group was asked"
        assert bool(named(f"{row['actor']} {row['attributes']}", deciders)) is is_told
        assert row["actor"], "a role stands where the name may not"


@pytest.mark.parametrize(("person", "is_told"), [one for one in TOLD if one[0] != ANALYST])
def test_the_audit_page_says_who_or_which_role(world, deciders, person, is_told):
    for query in ({}, {"document": str(world.document(world.bought))}):
        app = world.look("audit", person=person, **query)
        assert not app.exception
        assert bool(named(words_of(app), deciders)) is is_told, query


@pytest.mark.parametrize(("person", "is_told"), TOLD)
def test_looking_for_a_name_finds_nothing_for_whoever_may_not_know_it(world, deciders, person, is_told):
    """A search that answers by a name would tell what the list does not."""
    since, until = (world.one(f"SELECT {end}(recorded_at) FROM event") for end in ("min", "max"))
    found = 0
    with asking(world, person) as reports:
        for name in deciders:
            found += len(reports.rows("report.decisions", units=None, since=since, until=until, text=name.lower(), limit=50))  # fmt: skip
    assert bool(found) is is_told


@pytest.mark.parametrize(("person", "is_told"), TOLD)
def test_everybody_asked_about_a_document_is_named_or_stands_as_a_role(world, deciders, person, is_told):
    with asking(world, person) as reports:
        rows = reports.rows("report.approvals_of", document_id=world.document(world.bought))
    assert rows
    assert bool(named(str([(row["approver"], row["decided_by"], row["login"]) for row in rows]), deciders)) is is_told
    assert all(row["decided_by"] for row in rows if row["decision"] in {"approved", "rejected"})


def test_only_the_views_that_are_known_to_tell_do(world):
    """What is remembered for one is shown to others only where both are told alike: a view that names people has to be known to the cache."""
    telling = {file.stem for file in VIEWS.glob("*.sql") if any(word in file.read_text() for word in ("decider(", "names_deciders(", "said_of_decision("))}  # fmt: skip
    assert telling == {"70_control_check"}
    assert [tells_deciders(name) for name in ("events_of", "decisions", "approvals_of", "control_rows", "report_approvals.tasks", "units", "exception_rate")] == [True] * 5 + [False] * 2  # fmt: skip


@pytest.mark.parametrize(("first", "second"), [(LEADER, OPERATIONS), (OPERATIONS, LEADER)])
def test_what_was_answered_to_one_is_not_shown_to_another_who_may_know_more_or_less(world, deciders, first, second):
    """Both see every business unit, and both ask the same of one cache."""
    since, until = (world.one(f"SELECT {end}(recorded_at) FROM event") for end in ("min", "max"))
    cache, told = Cache(), {}
    for person in (first, second):
        with asking(world, person, cache) as reports:
            rows = reports.remembered("decisions", units=None, since=since, until=until, text="", limit=50)
            told[person] = bool(named(str(rows), deciders))
    assert told == {LEADER: True, OPERATIONS: False}


def test_the_rule_is_one(world):
    """The roles of the program and those of the database are the same; no other statement has its own list."""
    for person, is_told in TOLD:
        with asking(world, person) as reports:
            assert reports.rows("watermark") is not None
            assert bool(NAMES_APPROVERS & reports.person.roles) is is_told
    assert {role.value for role in NAMES_APPROVERS} == {Role.FINANCE_LEADER.value, Role.AUDITOR.value}
