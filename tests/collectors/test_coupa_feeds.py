"""Coupa's news: told once over shifting pages, and the connections they come over."""

import json

import pytest

from collectors import coupa_api
from collectors.coupa import SYSTEM, connect
from collectors.coupa_documents import sketch, understand
from sandbox.coupa import Coupa
from sandbox.transport import InProcessTransport
from sandbox.wire import json_response
from sync_engine.model.errors import (
    ConfigurationError,
    MappingError,
    TransientError,
)
from sync_engine.model.ports import Access
from tests.collectors.coupa_world import World


@pytest.fixture
def world():
    return World()


def test_an_empty_instance_has_no_news_and_the_cursor_stays_at_the_beginning():
    world = World()
    assert world.read("requisitions") == ([], {})
    assert world.read("approvals") == ([], {})


def test_every_record_is_told_once_over_many_pages(world):
    for _ in range(130):
        world.submit()
        world.forward(seconds=20)
    records, cursor = world.read("requisitions")
    assert len({r.external_id for r in records}) == 130
    keys = {(r.kind, r.external_id, r.version) for r in records}
    again, cursor_again = world.read("requisitions", cursor)
    assert {(r.kind, r.external_id, r.version) for r in again} <= keys
    assert len(again) == 1
    assert cursor_again == cursor


def test_more_records_than_a_page_within_one_second_are_all_told(world):
    for _ in range(30):
        world.submit()
    world.forward(seconds=30)
    crowd = {str(world.submit()) for _ in range(170)}
    world.forward(seconds=30)
    last = str(world.submit())
    records, cursor = world.read("requisitions")
    assert {r.external_id for r in records} >= crowd | {last}
    assert len({r.external_id for r in records}) == 201
    assert cursor == {"seen": world.now.isoformat()}


def test_records_that_change_while_pages_are_read_are_not_lost(world):
    ids = []
    for _ in range(160):
        ids.append(world.submit())
        world.forward(seconds=20)
    cursor, told = {}, {}
    for turn in range(20):
        page = SYSTEM.feed("requisitions").read(world.session, cursor, world.now)
        told |= {r.external_id: json.loads(r.body)["status"] for r in page.records}
        cursor = page.cursor
        if not page.more:
            break
        # What has been told already moves to the end, which would pull everything after it forward by one.
        for moved in ids[turn * 10 : turn * 10 + 10]:
            world.coupa.withdraw(requisition_id=moved, by="buyer.1")
        world.forward(seconds=1)
    assert set(told) == {str(requisition_id) for requisition_id in ids}
    assert {told[str(requisition_id)] for requisition_id in ids[:20]} == {"withdrawn"}


def test_a_record_that_becomes_visible_late_is_not_lost(world):
    world.submit()
    _, cursor = world.read("requisitions")
    world.forward(minutes=2)
    late = str(world.submit())
    world.coupa.faults.out_of_order_share = 1.0
    records, cursor = world.read("requisitions", cursor)
    assert late not in {r.external_id for r in records}
    world.coupa.faults.out_of_order_share = 0.0
    world.forward(seconds=4)
    world.submit()
    records, _ = world.read("requisitions", cursor)
    assert late in {r.external_id for r in records}


def test_news_that_comes_twice_and_shuffled_is_told_once(world):
    for _ in range(120):
        world.submit()
        world.forward(seconds=9)
    world.coupa.faults.duplicate_news_share = 0.5
    world.coupa.faults.out_of_order_share = 0.5
    world.forward(seconds=9)
    records, _ = world.read("requisitions")
    assert len({r.external_id for r in records}) == 120


def test_a_change_within_the_same_second_is_another_version(world):
    requisition_id = world.submit()
    before = world.read("requisitions")[0][0]
    world.coupa.withdraw(requisition_id=requisition_id, by="buyer.1")
    after = world.read("requisitions")[0][0]
    assert (before.external_id, before.source_at) == (after.external_id, after.source_at)
    assert before.version != after.version


def test_the_same_page_is_never_read_twice(world):
    for _ in range(60):
        world.submit()
    page = world.coupa.requisition(2001)

    class Stuck(Coupa):
        def _dispatch(self, request):
            return super()._dispatch(request) if request.path == self.token_path else json_response(200, [page] * 50)

    world.coupa.__class__ = Stuck
    with pytest.raises(TransientError, match="the same page twice"):
        world.read("requisitions")


@pytest.mark.parametrize("body", [{"rows": []}, "<html>", None])
def test_an_answer_that_is_no_list_leaves_the_cursor_where_it_is(world, body):
    class Confused(Coupa):
        def _dispatch(self, request):
            return super()._dispatch(request) if request.path == self.token_path else json_response(200, body)

    world.coupa.__class__ = Confused
    with pytest.raises(TransientError, match="something that is not a list"):
        world.read("requisitions")


def test_an_answer_that_is_no_record_is_asked_for_again(world):
    ask = world.about(world.submit())

    class Confused(Coupa):
        def _dispatch(self, request):
            return super()._dispatch(request) if request.path == self.token_path else json_response(200, [])

    world.coupa.__class__ = Confused
    with pytest.raises(TransientError, match="something that is not a record"):
        world.do("record_decision", ask)


def test_a_short_list_that_repeats_itself_is_asked_for_again(world):
    ask = world.about(world.submit())
    world.coupa.set_budget(company_code="1710", cost_centre="4711", period="2026", amount="1", currency="EUR")
    line = world.coupa.budget_lines("4711")[0]

    class Stuck(Coupa):
        def _dispatch(self, request):
            return super()._dispatch(request) if request.path == self.token_path else json_response(200, [line] * 50)

    world.coupa.__class__ = Stuck
    with pytest.raises(TransientError, match="twice"):
        world.do("read_budget", ask)


def test_a_question_coupa_does_not_accept_stops_the_feed(world):
    with pytest.raises(ConfigurationError, match="colour is not a valid query attribute"):
        coupa_api.listed(world.session, "/api/requisitions", {"colour": "red"})


@pytest.mark.parametrize("feed", ["requisitions", "approvals", "suppliers", "order_revisions"])
@pytest.mark.parametrize("drift", ["renamed", "removed", "retyped"])
def test_schema_drift_parks_the_record_and_the_others_go_on(world, feed, drift):
    _, first = world.ordered()
    world.coupa.revise_order(order_id=first, by="buyer.1", changes={1: {"quantity": "3"}})
    world.forward(minutes=1)
    world.coupa.faults.schema_drift = drift
    world.submit()
    _, second = world.ordered(number="4500000002")
    world.coupa.revise_order(order_id=second, by="buyer.1", changes={1: {"quantity": "3"}})
    world.coupa.update_supplier(supplier_id=world.supplier, on_hold=True)
    world.coupa.register_supplier(name="Rohrbau Nord")
    outcomes = []
    for found in world.read(feed)[0]:
        assert sketch(found) is not None
        try:
            understand(found, world.mappings)
            outcomes.append("understood")
        except MappingError as refused:
            outcomes.append(refused.code)
    assert "contract_change" in outcomes
    assert set(outcomes) <= {"understood", "contract_change"}


def test_a_new_field_changes_nothing(world):
    world.coupa.faults.schema_drift = "added"
    world.submit()
    assert world.news("requisitions")[0].document is not None


def test_too_many_requests_and_outages_say_how_long_to_wait(world):
    world.submit()
    world.coupa.faults.next_throttled, world.coupa.faults.retry_after_s = 1, 17.0
    with pytest.raises(TransientError) as slow:
        world.read("requisitions")
    assert (slow.value.code, slow.value.retry_after_s) == ("rate_limited", 17.0)
    world.coupa.faults.next_throttled, world.coupa.faults.retry_after_s = 1, None
    with pytest.raises(TransientError) as slower:
        world.read("approvals")
    assert slower.value.retry_after_s is None
    world.coupa.faults.next_errors = 1
    with pytest.raises(TransientError):
        world.read("suppliers")
    world.coupa.faults.outage = True
    with pytest.raises(TransientError):
        world.read("suppliers")


def test_an_expired_token_is_renewed_without_anybody_noticing(world):
    world.read("suppliers")
    world.forward(hours=24)
    assert len(world.read("suppliers")[0]) == 1


def test_a_new_token_that_opens_nothing_yet_asks_for_patience_and_then_works(world):
    world.coupa.token_lag_s = 5.0
    with pytest.raises(TransientError, match="does not accept its new token yet") as patience:
        world.read("suppliers")
    assert patience.value.retry_after_s == 5.0
    world.forward(seconds=5)
    world.stopwatch.elapsed_s += 5
    assert len(world.read("suppliers")[0]) == 1
    world.forward(hours=24)
    world.stopwatch.elapsed_s += 86_400
    with pytest.raises(TransientError):
        world.read("suppliers")


def test_a_token_that_never_opens_anything_stops_the_system(world):
    world.coupa.token_lag_s = 1e6
    with pytest.raises(TransientError):
        world.read("suppliers")
    world.stopwatch.elapsed_s += 30
    with pytest.raises(ConfigurationError):
        world.read("suppliers")


def test_wrong_credentials_and_missing_scopes_stop_the_system(world):
    wrong = Access("https://coupa", credentials=lambda: ("finsync", "wrong"))
    session = connect(
        wrong, timer=world.stopwatch, transport=InProcessTransport({"coupa": world.coupa}, world.stopwatch)
    )
    with pytest.raises(ConfigurationError, match="refuses our credentials"):
        world.read("suppliers", session=session)
    with pytest.raises(ConfigurationError, match=r"core\.supplier\.read"):
        world.read("suppliers", session=world.connected(token_scope="core.requisition.read"))
