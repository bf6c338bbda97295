"""Approvals by person (PRODUCT.md 4.10): whose queue is how long and how old, and who decides in whose place; by role for those who may
not know names."""

import pytest

from pages import approvals_parts, frame
from sync_engine.insight import fold
from sync_engine.insight.reports import approval_measures as measures
from sync_engine.insight.reports import approvals as ask
from tests.conftest import _server
from tests.pages.asking import asking
from tests.pages.books import NOW
from tests.pages.conftest import ANALYST, AUDITOR, LEADER, OPERATIONS, SUPPORT, words_of
from tests.pages.test_approvals import PAGE, PEOPLE, PERIOD, Approvals


@pytest.fixture(scope="module")
def _waiting(_servers):
    with pytest.MonkeyPatch.context() as monkeypatch:
        books = Approvals(_server(_servers, "embedded", None), monkeypatch)
        books.fill()
        fold.fold_all(books.connection, now=NOW)
        yield books
        books.close()


@pytest.fixture
def books(_waiting, monkeypatch):
    _waiting.monkeypatch = monkeypatch
    _waiting.use()
    return _waiting


def test_a_queue_of_a_person_is_what_stands_with_them(books):
    """What a group was asked and nobody has taken on is in no person's queue; it stands in the group's."""
    with asking(books) as reports:
        found = ask.tasks(reports, PERIOD)
    queues = measures.queues(found, days=30, by="approver").set_index("approver")
    lena = queues.loc["Lena Lead"]
    assert lena["open"] == 1
    assert lena["decided"] == int((found.decided["approver"] == "Lena Lead").sum())
    assert lena["value"] == 700
    assert queues["open"].sum() == 1
    by_role = measures.queues(found, days=30)
    assert by_role["open"].sum() == 2, "the group's is in the queues of roles"


def test_a_delegation_names_who_was_asked_and_who_decided_or_the_role_alone(books):
    with asking(books) as reports:
        found = ask.tasks(reports, PERIOD)
    [named] = measures.delegations(found.decided, named=True).to_dict("records")
    assert (named["role"], named["asked_person"], named["approver"], named["n"]) == ("Procurement, step 2", "Lena Lead", "Volker Vertretung", 1)  # fmt: skip
    assert named["of"] == int((found.decided["role"] == "Procurement, step 2").sum())
    [by_role] = measures.delegations(found.decided, named=False).to_dict("records")
    assert (by_role["asked_person"], by_role["approver"], by_role["n"]) == (None, None, 1)


@pytest.mark.parametrize(("person", "is_told"), [(LEADER, True), (AUDITOR, True), (OPERATIONS, False), (SUPPORT, False), (ANALYST, False)])  # fmt: skip
def test_persons_stand_on_the_page_of_those_who_may_know_them_alone(books, person, is_told):
    app = books.look(PAGE, person=person)
    assert not app.exception
    said = words_of(app)
    assert "1 decision of" in said
    assert "by somebody else than was asked" in said
    assert ("most often Volker Vertretung for Lena Lead" in said) is is_told
    assert ("1 approver holds open requests; Lena Lead has the oldest" in said) is is_told
    assert is_told or not any(name in said for name in PEOPLE)


def test_a_mark_of_a_delegation_opens_its_decisions(books, monkeypatch):
    drawn = {}
    chart = frame.chart

    def noted(figure, finding, table, *, key, **more):
        drawn[key] = more.get("opens")
        chart(figure, finding, table, key=key, **more)

    with monkeypatch.context() as patch:
        patch.setattr(frame, "chart", noted)
        books.look(PAGE, person=LEADER)
    [[asked]] = drawn["approvals.delegations"].asks
    assert asked == {"show": "delegated", "of": "Procurement, step 2", "who": approvals_parts.who("Volker Vertretung")}
    assert "1 request" in words_of(books.look(PAGE, person=LEADER, **asked))


def test_a_queue_opens_its_requests(books):
    lena = approvals_parts.who("Lena Lead")
    app = books.look(PAGE, person=LEADER, show="open", who=lena)
    assert "Open, oldest first, Lena Lead: 1 request" in words_of(app)


def test_nobody_in_somebodys_place_says_so(books):
    app = books.look(PAGE, person=LEADER, role="Finance DE-SOUTH")
    assert not app.exception
    assert "Nobody decided in somebody else's place" in words_of(app)


def test_on_a_phone_it_draws(books, monkeypatch):
    monkeypatch.setattr("pages.screen.is_narrow", lambda: True)
    assert not books.look(PAGE, person=LEADER).exception
