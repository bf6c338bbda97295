"""The audit page: three answers for any document, every figure its rows, evidence that carries its own proof, and a record that
shows when somebody has been at it."""

import csv
import hashlib
import io
import re
from datetime import timedelta
from decimal import Decimal
from random import Random

import pandas as pd
import pytest

from pages.evidence import Evidence
from sync_engine.control.roles import Action, Role
from sync_engine.eventlog.importing import Request, import_log
from sync_engine.eventlog.known import forget
from sync_engine.eventlog.opening import Options
from sync_engine.eventlog.stages import Mapping
from sync_engine.insight import record
from sync_engine.insight.reports import audit as ask
from sync_engine.model.ids import id_maker
from sync_engine.settings import release
from tests.conftest import _server
from tests.pages.asking import asking
from tests.pages.conftest import AUDITOR, LEADER, OPERATIONS, World, words_of

PAGE = "audit"
GERMANY = "finance.operations.de@demo.test"
SOUTH_ONLY = "controller.south@demo.test"


def judge(world):
    """An order, a twin that somebody let pass, an invoice at another price that was accepted in review, and an order in another unit."""
    house = world.house
    world.first, world.order = house.order_one()
    world.twin = house.submit()
    world.north = house.submit(
        house.line(cost_centre="4101", description="Secret northern part"),
        department="DE-NORTH Plant",
        requester="planner.de-south",
    )
    house.run(minutes=10)
    house.approve_in_coupa(world.north)
    [(case_id, version)] = house.connection.execute(
        "SELECT case_id, version FROM exception_case WHERE closed_at IS NULL"
    ).fetchall()
    named = [{"case_id": str(case_id), "version": version}]
    requester = house.put_person("planner.de-south", Role.FINANCE_OPERATIONS)
    assert house.ask(requester, Action.ACCEPT, reason="it is fine", cases=named).status == "denied"
    somebody = house.put_person("controller.1", Role.FINANCE_OPERATIONS)
    assert house.ask(somebody, Action.ACCEPT, reason="second shift needs its own", cases=named).status == "done"
    house.approve_in_coupa(world.twin)
    house.run(minutes=30)
    house.receive(world.order)
    house.run(hours=1)
    world.invoice = house.invoice(world.order, price="26.00")
    house.run(hours=1)
    house.decide_in_servicenow("fin.1", "approved", "agreed by phone")
    house.run(hours=2)
    house.put_person(SOUTH_ONLY, Role.FINANCE_OPERATIONS, units=("DE-SOUTH",))


@pytest.fixture(scope="module")
def _judged(_servers):
    with pytest.MonkeyPatch.context() as monkeypatch:
        world = World(_server(_servers, "embedded", None), monkeypatch)
        judge(world)
        yield world
        world.close()


@pytest.fixture
def judged(_judged, monkeypatch):
    _judged.monkeypatch = monkeypatch
    _judged.use()
    return _judged


def period(world):
    now = world.house.clock.now()
    return {"since": now - timedelta(days=30), "until": now + timedelta(seconds=1)}


def table_with(app, *columns):
    return next((frame.value for frame in app.dataframe if set(columns) <= set(frame.value.columns)), None)


def figure(app, label):
    return next(metric.value for metric in app.metric if metric.label == label)


def test_every_figure_is_its_number_of_rows(judged):
    with asking(judged, AUDITOR) as reports:
        span = period(judged)
        now = ask.summary(reports, None, **span)
        found = ask.decisions(reports, None, **span)
        assert len(found) == now.decisions == 4
        assert found["activity"].isin(ask.APPROVED).sum() == now.approved
        assert int(found["is_changed_after"].sum()) == now.changed_after
        assert len(ask.control_rows(reports, None, "overridden", None, **span)) == now.overridden == 2
        assert len(ask.commands(reports, None, **span)) == now.requests
        assert (
            len(ask.commands(reports, None, statuses=["denied", "conflict", "failed"], **span))
            == now.requests_not_done
            == 1
        )
        for control in ask.controls(reports, None, **span).to_dict("records"):
            assert len(ask.control_rows(reports, control["control"], "objected", None, **span)) == control["objected"]
            assert (
                len(ask.control_rows(reports, control["control"], "overridden", None, **span)) == control["overridden"]
            )
            assert control["passed"] + control["objected"] == control["evaluated"]


def test_the_card_opens_the_rows_it_counts(judged):
    for label, show, column in (
        ("Decisions", "decisions", "verdict"),
        ("Let pass against a control", "overridden", "ended"),
        ("Requests of people", "requests", "answer"),
    ):
        app = judged.look(PAGE, person=AUDITOR, show=show)
        assert not app.exception
        assert figure(app, label) == f"{len(table_with(app, column)):,}"
    app = judged.look(PAGE, person=AUDITOR, show="requests", only="not_done")
    assert list(table_with(app, "answer")["actor"]) == ["planner.de-south"]


def test_who_approved_and_how_it_was_posted_stand_in_one_row(judged):
    with asking(judged, AUDITOR) as reports:
        found = ask.decisions(reports, None, **period(judged), text=judged.order)
    row = found[found["number"] == str(judged.first)].iloc[0]
    assert row["activity"] == "approval_completed"
    assert "coupa" in row["decided_by"]
    assert row["erp_orders"] == judged.order
    assert row["erp_invoices"]
    assert row["posting_status"] == "accepted"
    review = found[found["activity"] == "review_approved"].iloc[0]
    assert "fin.1" in review["decided_by"]


@pytest.mark.parametrize("text", ["order", "first", "invoice"])
def test_any_number_of_the_journey_finds_its_decisions(judged, text):
    number = str(getattr(judged, text))
    with asking(judged, AUDITOR) as reports:
        found = ask.decisions(
            reports, None, since=judged.house.clock.now(), until=judged.house.clock.now(), text=number.upper()
        )
    assert set(found["activity"]) == {"approval_completed", "review_approved"}


def test_three_answers_stand_side_by_side_for_one_document(judged):
    app = judged.look(PAGE, person=AUDITOR, document=str(judged.document(judged.first)))
    said = words_of(app).replace("\\", "")
    assert not app.exception
    assert "**Who approved it:**" in said
    assert "**When it changed:** never by its source" in said
    assert f"**How it was posted:** accepted as {judged.order}" in said
    assert "order accepted" in said
    assert "invoice blocked" in said
    assert "as it came" in said


def test_what_somebody_let_pass_carries_who_why_and_what_was_objected(judged):
    with asking(judged, AUDITOR) as reports:
        rows = ask.control_rows(reports, None, "overridden", None, **period(judged)).set_index("control")
    assert (
        rows.loc["Duplicate orders", "actor"],
        rows.loc["Duplicate orders", "said"],
        rows.loc["Duplicate orders", "code"],
    ) == ("controller.1", "second shift needs its own", "duplicate_order")
    assert rows.loc["Three-way match", "code"] == "price_variance"
    assert "fin.1" in rows.loc["Three-way match", "actor"]


def test_a_document_counts_once_per_control_however_often_it_was_tried(judged):
    with asking(judged, AUDITOR) as reports:
        rows = ask.controls(reports, None, **period(judged)).set_index("control")
    assert rows.loc["Duplicate orders", "evaluated"] == 3
    assert rows.loc["Duplicate orders", "objected"] == 1
    assert rows.loc["Segregation of duties", "evaluated"] == 3


def test_evidence_says_what_it_is_and_its_hash_is_that_of_its_rows(judged):
    with asking(judged, AUDITOR) as reports:
        rows = ask.decisions(reports, None, **period(judged))
    evidence = Evidence(
        "report.decisions",
        "business units: all",
        "Decisions recorded in the last 30 days",
        rows,
        [("number", "Document"), ("decided_by", "Who"), ("group_amount", "Value (EUR)")],
    )
    written = evidence.file(asked_by=AUDITOR, as_of=judged.house.clock.now())
    assert written.startswith(b"\xef\xbb\xbf")
    head, _, table = written.removeprefix(b"\xef\xbb\xbf").partition(b"\r\n\r\n")
    said = dict(csv.reader(io.StringIO(head.decode())))
    assert said["Query"] == "report.decisions"
    assert said["Release"] == release()
    assert said["Asked by"] == AUDITOR
    assert said["Rows"] == str(len(rows))
    assert Decimal(said["Sum (EUR)"]) == sum(rows["group_amount"])
    assert (
        said["SHA-256 of everything after the empty line (UTF-8, CRLF)"]
        == hashlib.sha256(table).hexdigest()
        == evidence.sha256
    )
    header, *lines = csv.reader(io.StringIO(table.decode()))
    assert header == ["Document", "Who", "Value (EUR)"]
    assert len(lines) == len(rows)
    assert sum(Decimal(value) for _, _, value in lines) == evidence.total


def test_evidence_with_a_formula_in_it_is_text():
    rows = pd.DataFrame({"name": ["=HYPERLINK(1)"], "group_amount": [Decimal("1.5")]})
    evidence = Evidence("report.decisions", "=cmd", "p", rows, [("name", "Name")])
    written = evidence.file(asked_by="a@demo.test", as_of=pd.Timestamp("2026-09-15T12:00Z").to_pydatetime()).decode(
        "utf-8-sig"
    )
    assert "'=HYPERLINK(1)" in written
    assert "'=cmd" in written


def test_an_export_is_offered_and_taking_it_is_itself_a_request(judged):
    app = judged.look(PAGE, person=AUDITOR)
    labels = [button.label for button in app.get("download_button")]
    assert any(
        re.fullmatch(r"Take 4 decisions as evidence \(CSV with population, sum and hash\)", label) for label in labels
    ), labels


def test_somebody_of_one_unit_sees_no_other_units_decisions_requests_or_objections(judged):
    for show in ("decisions", "requests", "controls", "overridden", "configuration", "integrity"):
        judged.look(PAGE, person=LEADER, show=show)
        app = judged.look(PAGE, person=SOUTH_ONLY, show=show)
        assert not app.exception
        said = words_of(app)
        assert "DE-NORTH" not in said
        if (rows := table_with(app, "number")) is not None:
            assert str(judged.north) not in set(rows["number"])
    with asking(judged, SOUTH_ONLY) as reports:
        span = period(judged)
        assert set(ask.decisions(reports, None, **span)["business_unit"]) == {"DE-SOUTH"}
        assert ask.summary(reports, None, **span).decisions == 3
        assert ask.decisions(reports, None, **span, text=str(judged.north)).empty
    hidden = judged.look(PAGE, person=SOUTH_ONLY, document=str(judged.document(judged.north)))
    assert "no such document" in words_of(hidden)
    with asking(judged, GERMANY) as reports:
        assert ask.summary(reports, None, **period(judged)).decisions == 4
        assert ask.summary(reports, ["DE-NORTH"], **period(judged)).decisions == 1


def test_who_does_not_see_everything_gets_no_false_alarm_about_the_record(judged):
    app = judged.look(PAGE, person=SOUTH_ONLY, show="integrity")
    assert "can only be judged by somebody who sees every business unit" in words_of(app)
    assert "Recordings that differ" not in [metric.label for metric in app.metric]
    with asking(judged, SOUTH_ONLY) as reports:
        assert ask.integrity(reports, **period(judged)) is None
        assert ask.verify(reports, **period(judged)) is None


def test_a_whole_record_is_verified_down_to_the_last_event(judged):
    app = judged.look(PAGE, person=AUDITOR, show="integrity")
    assert figure(app, "Recordings that differ") == "no data"
    assert "not counted again yet" in words_of(app)
    assert "None of the program's roles may change or remove" in words_of(app)
    app = counted_anew(app)
    assert "0 recordings differ" in words_of(app)
    assert "0 documents have a gap" in words_of(app)
    assert "have the root they were recorded with" in words_of(app)
    assert "have the root they were recorded with" in words_of(app.run())
    with asking(judged, AUDITOR) as reports:
        done = ask.verify(reports, **period(judged))
        assert (done.recordings, done.events) == judged.connection.execute(
            "SELECT count(*), sum(event_count) FROM recording"
        ).fetchone()


def counted_anew(app):
    return next(button for button in app.button if button.label.startswith("Count and verify")).click().run()


def test_once_a_day_the_whole_record_is_counted_again_and_the_page_says_when(own_world):
    house = own_world.house
    found = record.keep(house.connection, now=house.clock.now(), new_id=house.engine.setup.new_id)
    assert found.is_whole
    assert (found.recordings, found.events_said) == own_world.connection.execute(
        "SELECT count(*), sum(event_count) FROM recording"
    ).fetchone()
    app = own_world.look(PAGE, person=AUDITOR, show="integrity")
    assert "The record is whole, as counted on 15 Sep 2026" in words_of(app)
    assert figure(app, "Recordings that differ") == "0"
    assert "everything since the beginning was counted again" in words_of(app)
    with asking(own_world, "analyst.de-south@demo.test") as reports:
        assert ask.last_check(reports) is None


def test_a_log_that_comes_in_and_is_forgotten_leaves_the_record_whole(own_world, tmp_path):
    """What came in is counted and verified like our own; what was forgotten on purpose is not missed, and is named in a table of its own."""
    house, path = own_world.house, tmp_path / "theirs.csv"
    path.write_text("case,activity,timestamp\n" + "".join(f"{n},begun,2024-03-04T08:00:0{n}+00:00\n" for n in range(9)))
    request = Request(path, "theirs", "", Options(), Mapping(), owner_unit="", case_type="case")

    def whole():
        found, differences = record.check(house.connection, now=house.clock.now())
        with asking(own_world, AUDITOR) as reports:
            span = {"since": found.checked_at - timedelta(days=3000), "until": found.checked_at + timedelta(days=3000)}
            lately = ask.integrity(reports, **span)
            assert lately.events_there == found.events_there
            assert ask.differing_recordings(reports, **span).empty
            assert ask.verify(reports, **span).wrong == ()
        assert (found.is_whole, lately.differing, differences) == (True, 0, [])
        return found.events_there

    before = whole()
    import_log(house.connection, request, new_id=id_maker(Random(5)))
    assert whole() == before + 9
    forget(house.connection, "theirs", by_whom="auditor@demo.test", why="a test")
    assert whole() == before


def test_somebody_who_changes_or_removes_an_event_is_found(own_world):
    with own_world.database.connect_owner() as owner:
        owner.execute(f"SET search_path TO {own_world.database.cell}")
        [changed] = owner.execute(
            "UPDATE event SET actor = 'somebody.else' WHERE activity = 'approval_completed' AND document_id = (SELECT document_id FROM event WHERE activity = 'approval_completed' LIMIT 1) RETURNING recording_id"
        ).fetchone()
        [removed, gone_from] = owner.execute(
            "DELETE FROM event WHERE (recording_id, ordinal) = (SELECT recording_id, ordinal FROM event WHERE activity = 'budget_read' AND recording_id <> %s LIMIT 1) RETURNING recording_id, document_id",
            [changed],
        ).fetchone()
    with asking(own_world, AUDITOR) as reports:
        span = period(own_world)
        assert set(ask.verify(reports, **span).wrong) == {changed, removed}
        assert ask.integrity(reports, **span).differing == 1
        assert list(ask.differing_recordings(reports, **span)["recording_id"]) == [removed]
        assert list(ask.history_gaps(reports)["document_id"]) == [gone_from]
    number = own_world.one(f"SELECT number FROM document WHERE document_id = '{gone_from}'")
    house = own_world.house
    _, differences = record.check(house.connection, now=house.clock.now())
    found = record.keep(house.connection, now=house.clock.now(), new_id=house.engine.setup.new_id)
    assert (found.differing, found.gaps, found.events_there) == (1, 1, found.events_said - 1)
    assert [(one.kind, one.document) for one in differences] == [("record", str(removed)), ("history", number)]
    app = own_world.look(PAGE, person=AUDITOR, show="integrity")
    assert (
        "The record is NOT whole: 1 recording differs from what it says, 1 document has a gap in its history, as counted"
        in words_of(app)
    )
    said = words_of(counted_anew(app))
    assert "and 1 recording differs. 1 document has a gap in its history." in said
    assert "no longer have the root they were recorded with" in said


def test_the_configuration_in_force_is_the_newest_of_its_kind(judged):
    rows = table_with(judged.look(PAGE, person=AUDITOR, show="configuration"), "sha256")
    assert set(rows["kind"]) == {"mappings", "policies", "calendars", "payments", "objectives"}
    assert all(list(standing) == ["in force"] for standing in rows["standing"])
    assert all(len(sha256) == 64 for sha256 in rows["sha256"])


def test_the_page_is_not_for_procurement_analysts_and_changes_nothing(judged):
    app = judged.look("", person="analyst.de-south@demo.test")
    assert "Audit" not in [link.label for link in app.page_link]
    before = judged.one("SELECT count(*) FROM command")
    app = judged.look(PAGE, person=AUDITOR)
    assert "This page changes nothing." in words_of(app)
    assert judged.one("SELECT count(*) FROM command") == before


def test_nothing_found_names_what_to_drop_and_nothing_decided_says_so(judged):
    assert "No decisions match. Drop the search to see more." in words_of(
        judged.look(PAGE, person=AUDITOR, q="no such number")
    )
    app = judged.look(PAGE, person=AUDITOR, period="custom", since="2026-01-01", until="2026-01-02")
    assert "Nothing was decided from 1 Jan 2026 to 2 Jan 2026." in words_of(app)
    assert figure(app, "Changed after the decision") == "no data"
    said = words_of(judged.look(PAGE, person=AUDITOR, show="secrets", document="1 OR 1=1"))
    assert "asks for a list that does not exist here" in said
    assert "in a way that cannot be read" in said


def test_an_empty_company_has_nothing_to_audit(empty_world):
    for show in ("decisions", "requests", "controls", "overridden", "configuration", "integrity"):
        app = empty_world.look(PAGE, person=AUDITOR, show=show)
        assert not app.exception
        assert "100 %" not in words_of(app)


def test_the_page_is_drawn_on_a_phone(judged, monkeypatch):
    monkeypatch.setattr("pages.screen.is_narrow", lambda: True)
    for show in ("decisions", "requests", "controls", "overridden"):
        app = judged.look(PAGE, person=OPERATIONS, show=show)
        assert not app.exception
    assert "Who: " in words_of(judged.look(PAGE, person=OPERATIONS))
