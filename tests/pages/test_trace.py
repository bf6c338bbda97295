"""The trace: any number finds the document, and the page says what is true now and what happened."""

from urllib.parse import parse_qs
from uuid import uuid4

import pytest

from sync_engine.control import access
from sync_engine.control.access import acting
from sync_engine.database.statements import sql
from sync_engine.insight.reports.trace import search
from tests.pages.asking import asking
from tests.pages.conftest import ANALYST, LEADER, OPERATIONS, words_of


@pytest.mark.parametrize("kind", ["requisition", "order", "invoice", "correlation", "task"])
def test_any_number_of_any_system_finds_the_document(world, kind):
    number = {
        "requisition": str(world.bought),
        "order": world.order,
        "invoice": "RE-4711",
        "correlation": str(world.one("SELECT document_id FROM document WHERE document_type = 'invoice'")),
        "task": world.one(
            "SELECT external_id FROM document_identifier WHERE system = 's4hana' AND kind = 'supplier_invoice'"
        ),
    }[kind]
    app = world.look("trace", q=number)
    assert not app.exception
    assert any(word in words_of(app) for word in ("is finished", "stands at"))


def test_a_number_that_begins_several_lists_them(world):
    said = words_of(world.look("trace", q="200"))
    assert "Which one?" in said
    assert str(world.south[0]) in said


def test_whoever_has_no_number_is_led_to_the_lists(world):
    app = world.look("trace")
    assert {"What is held up", "What is not moving"} <= {link.label for link in app.page_link}


def test_what_is_not_found_says_where_was_searched(world):
    said = words_of(world.look("trace", q="%_nothing"))
    assert "Nothing you may see is called" in said
    assert "every identifier of every connected system" in said


def test_both_statuses_stand_side_by_side(world):
    said = words_of(world.look("trace", document=str(world.document(world.south[0], "purchase_order"))))
    assert "Business: approved" in said
    assert "Ledger: refused" in said
    assert "is held up: the cost centre is blocked" in said


def test_a_requisition_says_that_its_order_was_refused_why_and_where_that_is_settled(world):
    """It meets no exception itself, and said that it waits for the ERP to accept what the ERP had refused."""
    order = world.document(world.south[0], "purchase_order")
    case = world.one("SELECT case_id FROM exception_case WHERE document_id = %s", order)
    app = world.look("trace", document=str(world.document(world.south[0])))
    assert not app.exception
    said = words_of(app).replace("\\", "")
    number = world.one("SELECT number FROM document WHERE document_id = %s", order)
    assert f"Requisition {world.south[0]} is held up by its order {number}: the cost centre is blocked." in said
    assert "waiting for the ERP to accept" not in said
    assert world.one("SELECT message FROM exception_case WHERE case_id = %s", case) in said
    links = {link.label: parse_qs(link.proto.query_string) for link in app.page_link}
    assert links[f"Trace of order {number}"]["document"] == [str(order)]
    assert links[f"Open the exception of order {number}: The cost centre is blocked"]["case"] == [str(case)]


def test_the_timeline_has_a_lane_per_system_and_its_stays_add_up(world):
    document = str(world.document(world.bought))
    app = world.look("trace", document=document)
    assert "in 4 systems" in words_of(app)
    [steps] = [frame.value for frame in app.dataframe if "lane" in frame.value.columns]
    assert {"Coupa", "SAP S/4HANA", "Basware", "Finance Workflow Sync"} <= set(steps["lane"])
    journey, stays = world.connection.execute(
        "SELECT extract(epoch FROM max(e.recorded_at) - min(e.recorded_at)), (SELECT sum(wall_s) FROM stage_time t WHERE t.document_id = %(d)s) FROM event e WHERE e.document_id = %(d)s",
        {"d": document},
    ).fetchone()
    assert abs(journey - stays) < 1


def test_a_request_for_approval_is_called_by_the_role_that_was_asked(world):
    """ServiceNow gives it a key of 32 characters, which tells nobody anything."""
    app = world.look("trace", document=str(world.document(world.bought)))
    [number] = world.connection.execute("SELECT d.number FROM document d JOIN document_link l ON l.from_document_id = d.document_id WHERE l.relation = 'decides' AND l.to_document_id = %s LIMIT 1", [world.document(world.bought)]).fetchone()  # fmt: skip
    [steps] = [frame.value for frame in app.dataframe if "lane" in frame.value.columns]
    assert "Procurement, step 1" in set(steps["number"])
    assert number not in set(steps["number"])


@pytest.mark.parametrize(
    "view", ["timeline", "match", "exceptions", "decisions", "calls", "payloads", "names", "nonsense"]
)
@pytest.mark.parametrize("kind", ["requisition", "purchase_order", "invoice"])
def test_every_view_of_every_kind_can_be_drawn(world, view, kind):
    document = world.one(
        "SELECT document_id FROM document WHERE document_type = %s ORDER BY created_at DESC LIMIT 1", kind
    )
    app = world.look("trace", document=str(document), view=view)
    assert not app.exception
    assert not app.error


def test_the_match_says_which_lines_match(world):
    said = words_of(world.look("trace", document=str(world.document(world.bought)), view="match"))
    assert "1 order line of 1 matches" in said


def test_who_decided_is_in_order(world):
    said = words_of(world.look("trace", document=str(world.document(world.bought)), view="decisions"))
    assert "approval completed" in said
    assert "order accepted" in said
    assert "invoice posted" in said


def test_payloads_open_with_a_click_that_is_noted_and_only_for_those_who_may(own_world):
    document = str(own_world.document(own_world.south[0]))
    app = own_world.look("trace", person=OPERATIONS, document=document, view="payloads")
    assert "Bearing 6204" not in words_of(app)
    [button] = [button for button in app.button if button.label.startswith("Open the payloads")]
    button.click().run()
    assert "Bearing 6204" in words_of(app)
    assert "of the canonical document" in words_of(app)
    assert own_world.one("SELECT count(*) FROM command WHERE action = 'view_payload' AND actor = %s", OPERATIONS) == 1
    refused = own_world.look("trace", person=LEADER, document=document, view="payloads")
    assert "To open a payload takes the role" in words_of(refused)
    assert "Bearing 6204" not in words_of(refused)


def test_a_document_of_another_unit_cannot_be_opened_by_its_id(world):
    for document in (world.document(world.north), uuid4()):
        said = words_of(world.look("trace", person=ANALYST, document=str(document)))
        assert "There is no such document among those you may see" in said
        assert "you see only DE\\-SOUTH" in said
        assert "northern" not in said


def test_what_differs_between_two_versions_is_named_field_by_field():
    from sync_engine.insight.reports.trace import differences

    changes = differences({"a": 1, "l": [{"q": "1"}, {"q": "2"}]}, {"a": 1, "l": [{"q": "3"}], "n": True})
    assert [(change.field, change.before, change.after) for change in changes] == [
        ("l[0].q", "1", "3"),
        ("l[1]", {"q": "2"}, None),
        ("n", None, True),
    ]


@pytest.mark.parametrize("person", [LEADER, ANALYST])
def test_a_search_goes_by_the_indexes_whoever_asks(world, person):
    """Row-level security forbids an index to every comparison that could give away what it compares: then a search reads every document."""
    gate, app = (world.database.engine(role, pool_size=1) for role in ("finsync_gate", "finsync_app"))
    try:
        token = access.open_session(gate, person, hours=1).token
        with acting(app, token) as connection:
            connection.execute("SET LOCAL enable_seqscan = off")
            plan = [
                line
                for text in ("re-4711", str(uuid4()))
                for (line,) in connection.execute(f"EXPLAIN {sql('report.search')}", {"text": text, "log": None})
            ]
    finally:
        gate.dispose()
        app.dispose()
    for index in ("document_by_number_key", "identifier_by_key", "identifier_by_reference", "document_of_journey"):
        assert any(index in line for line in plan), plan
    assert not any("Seq Scan" in line for line in plan)


def test_a_search_takes_every_character_as_it_is(world):
    with asking(world) as reports:
        assert len(search(reports, "RE-471")) == 1
        for text in ("RE_471", "RE%", "%", "\\"):
            assert len(search(reports, text)) == 0, text
