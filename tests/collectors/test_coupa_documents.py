"""What Coupa's records mean: every status word, every trap, and whatever is wrong with a record."""

import contextlib
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.coupa_documents import APPROVAL_STATUSES, ORDER_STATUSES, REQUISITION_STATUSES, sketch, understand
from collectors.coupa_feeds import record_of
from sync_engine.model.documents import (
    ApprovalStatus,
    ChangeOrder,
    Decision,
    DocumentType,
    Person,
    Requisition,
)
from sync_engine.model.errors import (
    MappingError,
)
from sync_engine.model.exceptions import KINDS
from sync_engine.model.lifecycles import APPROVAL, REQUISITION
from sync_engine.model.ports import Identifier, Link, Record
from tests.collectors.coupa_world import OPENAPI, SAMPLES, START, World, mappings, raw_of, record


@pytest.fixture
def world():
    return World()


def test_a_requisition_arrives_with_lines_accounts_and_supplier(world):
    requisition_id = world.submit(
        world.line(), world.line(description="Valve", quantity="3", unit_price="10.50", unit="EA")
    )
    (news,) = world.news("requisitions")
    assert (news.document_type, news.identifier) == (
        DocumentType.REQUISITION,
        Identifier("coupa", "requisition", str(requisition_id)),
    )
    assert (news.approval_status, news.signals, news.source_status, news.ignore) == (
        ApprovalStatus.PENDING,
        (),
        "pending_approval",
        "",
    )
    assert news.source_at == START
    document = news.document
    assert isinstance(document, Requisition)
    assert (document.number, document.business_unit, document.company_code) == (str(requisition_id), "south", "1710")
    assert document.requester == Person(user="buyer.1", name="Plant Buyer", email="buyer.1@sandbox.example")
    assert (document.title, document.currency, document.amount) == ("Boiler maintenance", "EUR", Decimal("931.50"))
    assert (document.submitted_at, document.need_by_on, document.eligibility_checked) == (START, date(2026, 4, 1), True)
    first, second = document.lines
    assert (first.number, first.quantity, first.unit, first.unit_price, first.amount) == (
        1,
        2,
        "H",
        Decimal(450),
        Decimal(900),
    )
    assert (first.supplier, first.contract, first.plant, first.tax_code, first.category) == (
        str(world.supplier),
        "C-12",
        "STR-1",
        "DE19",
        "Maintenance",
    )
    assert (first.need_by_on, first.receipt_required, second.description) == (date(2026, 4, 1), True, "Valve")
    assert [(part.account, part.cost_centre, part.amount) for part in first.distributions] == [
        ("400100", "4711", Decimal(900))
    ]
    assert first.source_line_id == str(world.coupa.requisition(requisition_id)["requisition-lines"][0]["id"])


def test_splits_are_divided_into_whole_minor_units_by_their_percentages(world):
    thirds = [("4711", "33.3333333333"), ("4712", "33.3333333333"), ("4713", "33.3333333333")]
    document = world.requisition(world.submit(world.line(quantity="1", unit_price="100.00", splits=thirds)))
    assert [part.amount for part in document.lines[0].distributions] == [
        Decimal("33.34"),
        Decimal("33.33"),
        Decimal("33.33"),
    ]
    assert [part.cost_centre for part in document.lines[0].distributions] == ["4711", "4712", "4713"]


def test_splits_that_are_not_a_hundred_per_cent_are_refused(world):
    world.submit(world.line(splits=[("4711", "50"), ("4712", "40")]))
    with pytest.raises(MappingError, match=r"line 1 cannot be read: its splits are 50\.0+, 40\.0+ per cent") as refused:
        world.news("requisitions")
    assert refused.value.code == "lines_do_not_sum"


def test_a_line_bought_by_amount_counts_as_one_of_its_price(world):
    line = world.requisition(world.submit(world.line(amount_line=True))).lines[0]
    assert (line.quantity, line.unit_price, line.amount) == (1, Decimal(450), Decimal(450))


def test_amounts_follow_the_minor_unit_of_their_currency(world):
    document = world.requisition(world.submit(world.line(quantity="3", unit_price="1500"), currency="JPY"))
    assert (document.amount, document.currency) == (Decimal(4500), "JPY")


def test_a_currency_may_be_the_text_that_the_vendors_description_says_it_is(world):
    news = understand(record("requisition", raw_of(world, world.submit()), currency="EUR"), world.mappings)
    assert news.document.currency == "EUR"


def test_custom_fields_are_found_where_older_instances_keep_them():
    world = World(flat_custom_fields=True)
    line = world.requisition(world.submit()).lines[0]
    assert (line.plant, line.tax_code) == ("STR-1", "DE19")


def test_an_instances_own_names_for_its_fields_are_mapping_data(world):
    raw = raw_of(world, world.submit(catalogue_checked=False))
    fields = raw["requisition-lines"][0]["custom-fields"]
    fields["werk"] = {"id": 3, "name": "Stuttgart", "external-ref-num": "STR-2"}
    raw["custom-fields"]["checked"] = "Yes"
    named = mappings(coupa_fields={"plant": "werk", "catalogue_checked": "checked"})
    document = understand(record("requisition", raw), named).document
    assert (document.lines[0].plant, document.lines[0].tax_code, document.eligibility_checked) == (
        "STR-2",
        "DE19",
        True,
    )
    assert not world.requisition(raw["id"]).eligibility_checked


@pytest.mark.parametrize("word", REQUISITION_STATUSES)
def test_every_status_word_of_a_requisition_has_its_meaning(world, word):
    news = understand(record("requisition", raw_of(world, world.submit()), status=word), world.mappings)
    meaning = REQUISITION_STATUSES[word]
    assert (news.source_status, news.approval_status, news.ignore) == (word, meaning.approval_status, meaning.ignore)
    assert (news.document is None) == bool(meaning.ignore)
    assert all((event in {event for _, event in REQUISITION.moves}) for event in news.signals)


def test_a_rejected_requisition_says_so_although_coupa_has_no_word_for_it(world):
    requisition_id = world.submit()
    world.coupa.reject(approval_id=world.coupa.pending_approval(requisition_id)[0], by="manager.1", comment="too dear")
    (news,) = world.news("requisitions")
    assert (news.approval_status, news.signals, news.source_status) == (
        ApprovalStatus.REJECTED,
        ("procurement_rejected",),
        "draft",
    )


def test_a_withdrawn_requisition_that_cannot_be_read_any_more_is_still_withdrawn(world):
    news = understand(
        record("requisition", raw_of(world, world.submit()), status="withdrawn", total="1.00"), world.mappings
    )
    assert (news.document, news.signals) == (None, ("withdrawn",))


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"status": "rejected"}, "status_unmapped", "status"),
        ({"status": 7}, "contract_change", "status"),
        ({"total": 900.0}, "contract_change", "total"),
        ({"total": None}, "field_invalid", "total"),
        ({"total": "nine hundred"}, "field_invalid", "total"),
        ({"total": "900.01"}, "lines_do_not_sum", "document"),
        ({"currency": {"code": "EUX"}}, "field_invalid", "currency"),
        ({"currency": {"code": "XXQ"}, "requisition-lines": []}, "currency_unknown", "currency"),
        ({"currency": []}, "contract_change", "currency"),
        ({"requisition-lines": {}}, "contract_change", "requisition-lines"),
        ({"requisition-lines": [None]}, "contract_change", "requisition-lines"),
        ({"requisition-lines": []}, "field_invalid", "document"),
        ({"department": None}, "field_invalid", "department"),
        ({"submitted-at": "2026-03-02T09:00:00"}, "field_invalid", "submitted-at"),
        ({"submitted-at": "yesterday"}, "field_invalid", "submitted-at"),
        ({"need-by-date": "soon"}, "field_invalid", "need-by-date"),
        ({"need-by-date": "0001-01-01T00:00:00Z"}, "field_invalid", "lines.0.need_by_on"),
        ({"requested-by": {"id": 1}}, "contract_change", "login"),
        ({"justification": "caf\ufffd"}, "field_invalid", ""),
        ({"id": True}, "contract_change", "id"),
    ],
)
def test_what_is_wrong_with_a_requisition_is_named(world, changes, code, field):
    raw = raw_of(world, world.submit())
    with pytest.raises(MappingError) as refused:
        understand(record("requisition", raw, **changes), world.mappings)
    assert (refused.value.code, refused.value.facts["field"], refused.value.system) == (code, field, "coupa")
    assert code in KINDS


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"account": {"segment-1": "1710", "segment-2": None}}, "cost_centre_missing"),
        ({"account": None}, "cost_centre_missing"),
        ({"currency": {"code": "USD"}}, "field_invalid"),
        ({"line-num": "first"}, "contract_change"),
        ({"quantity": "3"}, "lines_do_not_sum"),
        ({"quantity": None}, "lines_do_not_sum"),
        ({"unit-price": None}, "field_invalid"),
        ({"account-allocations": [{"account": {"segment-2": "4711"}}]}, "contract_change"),
        ({"supplier": {"id": None}}, "field_invalid"),
    ],
)
def test_what_is_wrong_with_a_line_is_named(world, changes, code):
    raw = raw_of(world, world.submit())
    raw["requisition-lines"][0] |= changes
    with pytest.raises(MappingError) as refused:
        understand(record("requisition", raw), world.mappings)
    assert refused.value.code == code


def test_a_department_nobody_knows_is_refused_by_the_mapping(world):
    world.submit(department="Plant West")
    with pytest.raises(MappingError, match="'Plant West' has no entry in the table departments"):
        world.news("requisitions")


@pytest.mark.parametrize("body", [b"null", b"[]", b'"x"', b"{", b"\xff\xfe", b"[" * 100_000])
def test_something_that_is_no_record_is_a_change_of_the_contract(world, body):
    for kind in ("requisition", "approval", "supplier", "order_revision"):
        with pytest.raises(MappingError) as refused:
            understand(Record(kind, "", "1", None, body), world.mappings)
        assert refused.value.code == "contract_change"
        assert sketch(Record(kind, "", "1", None, body)) is None


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | st.just("12.50"),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["id", "name", "code", "login"]), inner, max_size=3)
    ),
    max_leaves=4,
)


def places(value, path=()):
    if isinstance(value, dict):
        for name, inner in value.items():
            yield (*path, name)
            yield from places(inner, (*path, name))
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from places(inner, (*path, position))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_record_is_either_understood_or_refused_and_always_sketched(data):
    world = World()
    requisition_id, order_id = world.ordered(world.line(splits=[("4711", "50"), ("4712", "50")]))
    world.coupa.revise_order(order_id=order_id, by="buyer.1", changes={1: {"quantity": "3"}})
    kinds = {
        "requisition": world.coupa.requisition(requisition_id),
        "approval": world.coupa.requisition(requisition_id)["approvals"][0],
        "order_revision": world.coupa.orders()[0],
    }
    kind = data.draw(st.sampled_from(sorted(kinds)))
    raw = json.loads(json.dumps(kinds[kind]))
    *way, last = data.draw(st.sampled_from(list(places(raw))))
    spot = raw
    for step in way:
        spot = spot[step]
    if data.draw(st.booleans()):
        spot[last] = data.draw(ANYTHING)
    else:
        del spot[last]
    damaged = record_of(kind, raw)
    sketch(damaged)
    with contextlib.suppress(MappingError):
        understand(damaged, world.mappings)


def test_a_record_without_an_id_comes_out_to_be_parked(world):
    found = record_of("requisition", {"status": "approved"})
    assert (found.external_id, found.source_at) == ("", None)
    assert found.version == record_of("requisition", {"status": "approved"}).version
    assert found.version != record_of("requisition", {"status": "ordered"}).version
    assert record_of("requisition", None).external_id == ""


def test_half_a_character_does_not_stop_the_feed(world):
    found = record_of("requisition", {"id": 1, "req-title": "\ud800", "status": "approved"})
    with pytest.raises(MappingError, match="contains bytes that are not UTF-8"):
        understand(found, world.mappings)


def test_a_sketch_shows_what_can_be_shown(world):
    requisition_id = world.submit()
    shown = sketch(record("requisition", raw_of(world, requisition_id), status="rejected"))
    assert shown.identifier == Identifier("coupa", "requisition", str(requisition_id))
    assert (shown.document_type, shown.number, shown.title) == (
        DocumentType.REQUISITION,
        str(requisition_id),
        "Boiler maintenance",
    )
    assert (shown.business_unit, shown.currency, shown.amount) == ("Plant South", "EUR", "900.00")
    assert sketch(record("requisition", {"status": "approved"})) is None
    assert sketch(record("order_revision", {"id": 7})).identifier.external_id == "7/?"


def test_a_decided_step_brings_the_approval_and_the_requisition_it_does_not_move(world):
    requisition_id = world.submit()
    _, requisitions = world.read("requisitions")
    _, approvals = world.read("approvals")
    world.forward(hours=3)
    world.approve_humans(requisition_id)
    assert [r.version for r in world.read("requisitions", requisitions)[0]] == [
        r.version for r in world.read("requisitions")[0]
    ]
    records, _ = world.read("approvals", approvals)
    assert [(r.kind, r.external_id) for r in records] == [
        ("requisition", str(requisition_id)),
        *[("approval", r.external_id) for r in records[1:]],
    ]
    parent = records[0]
    assert parent.source_at == START + timedelta(hours=3)
    assert [step["status"] for step in json.loads(parent.body)["approvals"]] == ["approved", "pending_approval"]
    assert json.loads(parent.body)["updated-at"] == "2026-03-02T02:00:00-07:00"


def test_an_approval_says_who_decided_what_and_why(world):
    requisition_id = world.submit(world.line(unit_price="2500.00"))
    world.forward(hours=1)
    manager, head = world.coupa.pending_approval(requisition_id)[0], None
    world.coupa.approve(approval_id=manager, by="head.1", comment="as a delegate")
    head = world.coupa.pending_approval(requisition_id)[0]
    by_id = {n.identifier.external_id: n for n in world.news("approvals") if n.document_type is DocumentType.APPROVAL}
    decided, open_ = by_id[str(manager)], by_id[str(head)]
    assert decided.links == (Link("decides", Identifier("coupa", "requisition", str(requisition_id))),)
    assert (decided.signals, open_.signals, decided.source_at) == (("approval_granted",), (), world.now)
    assert (decided.document.approver.user, decided.document.decided_by.user) == ("manager.1", "head.1")
    assert (decided.document.decision, decided.document.comment, decided.document.position) == (
        Decision.APPROVED,
        "as a delegate",
        1,
    )
    assert (decided.document.requested_at, decided.document.decided_at) == (START, world.now)
    assert (open_.document.decision, open_.document.decided_at, open_.document.decided_by) == (
        Decision.PENDING,
        None,
        None,
    )
    assert {event for news in by_id.values() for event in news.signals} <= {event for _, event in APPROVAL.moves}


def test_our_own_step_is_nobodys_approval(world):
    requisition_id = world.submit()
    world.approve_all(requisition_id)
    news = [n for n in world.news("approvals") if n.document_type is DocumentType.APPROVAL]
    assert [(n.ignore, n.document is None, n.signals) for n in news] == [
        ("", False, ("approval_granted",)),
        ("it is our own step", True, ()),
    ]


@pytest.mark.parametrize(
    ("changes", "ignore", "decision", "signals"),
    [
        (
            {"status": "rejected", "approval-date": "2026-03-02T10:00:00-07:00"},
            "",
            Decision.REJECTED,
            ("approval_denied",),
        ),
        ({"status": "escalated"}, "", Decision.CANCELLED, ("approval_cancelled",)),
        ({"status": "canceled"}, "", Decision.CANCELLED, ("approval_cancelled",)),
        ({"status": "on_hold"}, "", Decision.PENDING, ()),
        ({"status": ""}, "its turn has not come", None, ()),
        ({"status": None}, "its turn has not come", None, ()),
        ({"approvable-type": "InvoiceHeader"}, "it approves a InvoiceHeader", None, ()),
    ],
)
def test_every_word_of_an_approval_has_its_meaning(world, changes, ignore, decision, signals):
    raw = raw_of(world, world.submit())["current-approval"]
    news = understand(record("approval", raw, **changes), world.mappings)
    assert (news.ignore, news.signals, news.document.decision if news.document else None) == (ignore, signals, decision)


def test_an_approval_of_a_group_names_the_group(world):
    raw = raw_of(world, world.submit())["current-approval"]
    document = understand(record("approval", raw, approver={"id": 4, "name": "Finance South"}), world.mappings).document
    assert (document.group, document.approver) == ("Finance South", None)


@pytest.mark.parametrize("status", ["waved_through", 3])
def test_an_unknown_word_on_an_approval_is_refused(world, status):
    raw = raw_of(world, world.submit())["current-approval"]
    with pytest.raises(MappingError) as refused:
        understand(record("approval", raw, status=status), world.mappings)
    assert refused.value.code == ("status_unmapped" if isinstance(status, str) else "contract_change")


def test_a_supplier_arrives_with_the_number_the_erp_gave_it(world):
    (news,) = world.news("suppliers")
    assert (news.document_type, news.identifier, news.identifiers) == (
        DocumentType.SUPPLIER,
        Identifier("coupa", "supplier", str(world.supplier)),
        (),
    )
    document = news.document
    assert (document.name, document.erp_number, document.tax_id, document.country) == (
        "Kessel Service",
        "17300001",
        "DE811907980",
        "DE",
    )
    assert (document.payment_term, document.status, document.on_hold) == ("NET30", "active", False)
    raw = json.loads(world.read("suppliers")[0][0].body)
    with pytest.raises(MappingError, match="the status 'sleeping' is not known"):
        understand(record("supplier", raw, status="sleeping"), world.mappings)


def test_an_order_as_it_was_first_sent_is_no_change(world):
    world.ordered()
    assert world.read("order_revisions")[0] == []


def test_a_revision_is_a_wish_to_change_the_order(world):
    requisition_id, order_id = world.ordered(world.line(), world.line(quantity="1"))
    world.forward(hours=1)
    world.coupa.revise_order(order_id=order_id, by="buyer.1", changes={2: {"quantity": "3", "unit-price": "440.00"}})
    (news,) = world.news("order_revisions")
    assert (news.document_type, news.identifier) == (
        DocumentType.CHANGE_ORDER,
        Identifier("coupa", "order_revision", f"{order_id}/2"),
    )
    assert news.links == (Link("changes", Identifier("erp", "purchase_order", "4500000001")),)
    document = news.document
    assert isinstance(document, ChangeOrder)
    assert (document.number, document.order_number, document.source_order_id, document.version) == (
        "4500000001/2",
        "4500000001",
        str(order_id),
        2,
    )
    assert (document.amount, document.cancels, document.requested_by.user) == (Decimal(2220), False, "buyer.1")
    assert (document.requested_at, document.business_unit) == (world.now, "south")
    assert [line.source_line_id for line in document.lines] == [
        line.source_line_id for line in world.requisition(requisition_id).lines
    ]


def test_a_cancelled_order_is_a_wish_to_cancel_it_apart_from_the_revision_before(world):
    _, order_id = world.ordered()
    world.coupa.revise_order(order_id=order_id, by="buyer.1", changes={1: {"quantity": "3"}})
    world.coupa.cancel_order(order_id=order_id, by="buyer.1")
    (news,) = world.news("order_revisions")
    assert (news.identifier.external_id, news.document.cancels, news.document.version) == (
        f"{order_id}/2/cancelled",
        True,
        2,
    )


@pytest.mark.parametrize("word", ORDER_STATUSES)
def test_every_status_word_of_an_order_has_its_meaning(world, word):
    world.ordered()
    raw = world.coupa.orders()[0]
    news = understand(record("order_revision", raw, status=word, version=2), world.mappings)
    wish = ORDER_STATUSES[word]
    assert (news.ignore, news.document is not None) == (("", True) if wish in {"changes", "cancels"} else (wish, False))
    assert (
        understand(record("order_revision", raw, status=word, version=2, exported=True), world.mappings).ignore
        == "already exported"
    )
    assert (understand(record("order_revision", raw, status=word), world.mappings).document is not None) == (
        wish == "cancels"
    )


def test_an_unknown_word_on_an_order_is_refused(world):
    world.ordered()
    with pytest.raises(MappingError, match="the status 'half_sent' is not known"):
        understand(record("order_revision", world.coupa.orders()[0], status="half_sent"), world.mappings)


def test_the_tables_hold_every_word_the_vendor_publishes():
    if not OPENAPI.is_dir():
        pytest.skip("the vendor's contract is not beside the repository")
    definitions = json.loads((OPENAPI / "0169-R39_Purchasing_API.swagger.json").read_text())["definitions"]
    words = {
        name: set(definitions[name]["properties"]["status"]["enum"]) for name in ("RequisitionHeader", "OrderHeader")
    }
    assert set(REQUISITION_STATUSES) == words["RequisitionHeader"]
    assert set(ORDER_STATUSES) == words["OrderHeader"] | {"canceled", "soft_closed"}


def test_records_of_a_real_instance_are_understood(world):
    if not SAMPLES.is_dir():
        pytest.skip("the vendor's samples are not beside the repository")
    (raw,) = json.loads((SAMPLES / "real_requisitions_response.json").read_text())
    department = {"department": {"name": "Plant South"}}
    news = understand(record("requisition", raw, **department), world.mappings)
    assert (news.document.amount, news.document.currency, news.source_status) == (
        Decimal(43840),
        "INR",
        "pending_approval",
    )
    assert news.source_at == datetime(2018, 10, 12, 1, 14, 50, tzinfo=UTC)
    words = {step["status"] for step in raw["approvals"]}
    assert words <= APPROVAL_STATUSES.keys()
    decided = understand(record("approval", raw["approvals"][1]), world.mappings).document
    assert decided.approver != decided.decided_by
