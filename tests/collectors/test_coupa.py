"""The Coupa connector, against the stand-in that speaks Coupa's wire format."""

import contextlib
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors import coupa_api
from collectors.coupa import SYSTEM, _record, connect
from collectors.coupa_documents import APPROVAL_STATUSES, ORDER_STATUSES, REQUISITION_STATUSES, sketch, understand
from sandbox.coupa import Coupa
from sandbox.ledger import Ledger
from sandbox.server import StandinServer
from sandbox.transport import InProcessTransport, Stopwatch
from sandbox.wire import json_response
from sync_engine.model.documents import (
    ApprovalStatus,
    ChangeOrder,
    Decision,
    DocumentType,
    Person,
    PurchaseOrder,
    Requisition,
)
from sync_engine.model.errors import (
    AnswerLost,
    BusinessRejection,
    ConfigurationError,
    MappingError,
    SyncError,
    TransientError,
)
from sync_engine.model.exceptions import KINDS
from sync_engine.model.lifecycles import APPROVAL, REQUISITION
from sync_engine.model.mappings import Mappings, Table
from sync_engine.model.ports import Access, Answer, Ask, Identifier, Link, Record

OPENAPI = Path(__file__).parents[2].parent / "shared" / "contracts" / "coupa" / "openapi"
SAMPLES = OPENAPI.parent / "samples"
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
DOCUMENT_ID = UUID("018f5c3e-0000-7000-8000-000000000001")


def table(name, entries):
    return Table(name=name, version="1", owner="finance operations", valid_from=date(2026, 1, 1), entries=entries)


def mappings(**more):
    south = {
        "name": "Plant South",
        "country": "DE",
        "currency": "EUR",
        "company_code": "1710",
        "controlling_area": "A000",
        "purchasing_organization": "1710",
        "purchasing_group": "001",
        "time_zone": "Europe/Berlin",
        "calendar": "DE-BW",
        "finance_group": "Finance South",
        "procurement_group": "Procurement South",
    }
    tables = {
        "business_units": {"south": south},
        "departments": {"Plant South": "south"},
        "integration_users": {"coupa:finsync": "the hub itself"},
        **more,
    }
    return Mappings(
        {name: table(name, entries) for name, entries in tables.items()}, version="t1", group_currency="EUR"
    )


class World:
    """A Coupa instance with a few people, the connector's session with it, and a clock that only the test moves."""

    def __init__(self, **how):
        self.now = START
        self.stopwatch = Stopwatch()
        self.coupa = Coupa(Ledger(), lambda: self.now, Random(5), **how)
        self.coupa.add_user(login="head.1", full_name="Plant Head", email="head.1@sandbox.example")
        self.coupa.add_user(
            login="manager.1", full_name="Plant Manager", email="manager.1@sandbox.example", manager="head.1"
        )
        self.coupa.add_user(
            login="buyer.1", full_name="Plant Buyer", email="buyer.1@sandbox.example", manager="manager.1"
        )
        self.supplier = self.coupa.register_supplier(
            name="Kessel Service", number="17300001", tax_id="DE811907980", country="DE", payment_term="NET30"
        )
        self.mappings = mappings()
        self.session = self.connected()

    def connected(self, **options):
        access = Access("https://coupa", credentials=lambda: ("finsync", "sandbox"), options=options)
        transport = InProcessTransport({"coupa": self.coupa}, self.stopwatch)
        return connect(access, timer=self.stopwatch, transport=transport)

    def forward(self, **by):
        self.now += timedelta(**by)

    def line(self, **changes):
        return {
            "description": "Boiler inspection",
            "quantity": "2",
            "unit": "H",
            "unit_price": "450.00",
            "supplier_id": self.supplier,
            "company_code": "1710",
            "cost_centre": "4711",
            "account": "400100",
            "plant": "STR-1",
            "commodity": "Maintenance",
            "contract": "C-12",
            "tax_code": "DE19",
        } | changes

    def submit(self, *lines, currency="EUR", **how):
        return self.coupa.submit_requisition(
            **{
                "requester": "buyer.1",
                "department": "Plant South",
                "currency": currency,
                "title": "Boiler maintenance",
                "lines": list(lines) or [self.line()],
                "justification": "Yearly inspection",
                "need_by": date(2026, 4, 1),
            }
            | how
        )

    def approve_humans(self, requisition_id):
        while (pending := self.coupa.pending_approval(requisition_id)) and pending[1] != "finsync":
            self.coupa.approve(approval_id=pending[0], by=pending[1], comment="needed")

    def approve_all(self, requisition_id):
        self.approve_humans(requisition_id)
        self.coupa.approve(approval_id=self.coupa.pending_approval(requisition_id)[0], by="finsync")

    def read(self, feed, cursor=None, session=None):
        """All pages of one run, and the cursor after it."""
        records, cursor = [], dict(cursor or {})
        for _ in range(100):
            page = SYSTEM.feed(feed).read(session or self.session, cursor, self.now)
            records += page.records
            cursor = json.loads(json.dumps(page.cursor))
            if not page.more:
                assert page.complete_until == self.now - coupa_api.OVERLAP
                return records, cursor
            assert page.complete_until is None
        raise AssertionError("the run does not end")

    def news(self, feed, cursor=None):
        return [understand(record, self.mappings) for record in self.read(feed, cursor)[0]]

    def ask(self, document, **how):
        known = {"facts": {}, "identifiers": {}, "purpose": "step", "subject": {}} | how
        return Ask(DOCUMENT_ID, document, now=self.now, mappings=self.mappings, **known)

    def requisition(self, requisition_id):
        body = json.dumps(self.coupa.requisition(requisition_id)).encode()
        document = understand(Record("requisition", str(requisition_id), "1", None, body), self.mappings).document
        assert isinstance(document, Requisition)
        return document

    def about(self, requisition_id, **how):
        return self.ask(self.requisition(requisition_id), identifiers={"coupa.requisition": str(requisition_id)}, **how)

    def order(self, requisition_id, number="4500000001", lines=None):
        """The order as the ERP has accepted it."""
        document = self.requisition(requisition_id)
        chosen = [line for line in document.lines if lines is None or line.number in lines]
        return PurchaseOrder(
            number=f"{requisition_id}-1",
            business_unit="south",
            company_code="1710",
            requisition_number=str(requisition_id),
            requisition_source_id=str(requisition_id),
            requester=document.requester,
            supplier="17300001",
            currency=document.currency,
            amount=sum(line.amount for line in chosen),
            purchasing_organization="1710",
            purchasing_group="001",
            ordered_on=date(2026, 3, 2),
            lines=tuple(chosen),
            erp_number=number,
        )

    def do(self, name, ask, session=None):
        return SYSTEM.operations[name].run(session or self.session, ask)

    def ordered(self, *lines, number="4500000001"):
        """A requisition that is approved and ordered under a number of the ERP; its id and the order's."""
        requisition_id = self.submit(*lines)
        self.approve_all(requisition_id)
        answer = self.do("return_order_number", self.ask(self.order(requisition_id, number)))
        return requisition_id, int(answer.facts["procurement_order_id"])


@pytest.fixture
def world():
    return World()


def raw_of(world, requisition_id):
    return json.loads(json.dumps(world.coupa.requisition(requisition_id)))


def record(kind, raw, **changes):
    return Record(kind, str(raw.get("id", "")), "1", None, json.dumps({**raw, **changes}).encode())


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
    damaged = _record(kind, raw)
    sketch(damaged)
    with contextlib.suppress(MappingError):
        understand(damaged, world.mappings)


def test_a_record_without_an_id_comes_out_to_be_parked(world):
    found = _record("requisition", {"status": "approved"})
    assert (found.external_id, found.source_at) == ("", None)
    assert found.version == _record("requisition", {"status": "approved"}).version
    assert found.version != _record("requisition", {"status": "ordered"}).version
    assert _record("requisition", None).external_id == ""


def test_half_a_character_does_not_stop_the_feed(world):
    found = _record("requisition", {"id": 1, "req-title": "\ud800", "status": "approved"})
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


def test_the_budget_of_each_cost_centre_is_read_for_today(world):
    for period in ("2026-Q1", "2026-Q2"):
        world.coupa.set_budget(company_code="1710", cost_centre="4711", period=period, amount="10000", currency="EUR")
    world.coupa.set_budget(company_code="1710", cost_centre="4712", period="2026", amount="500", currency="EUR")
    world.coupa.set_budget(company_code="1720", cost_centre="4711", period="2026", amount="1", currency="EUR")
    world.ordered()
    requisition_id = world.submit(
        world.line(), world.line(cost_centre="4712", account="400200"), world.line(cost_centre="4799")
    )
    answer = world.do("read_budget", world.about(requisition_id))
    assert answer.facts["procurement_budget"] == [
        {
            "cost_centre": "4711",
            "company_code": "1710",
            "account": "",
            "period": "2026-Q1",
            "currency": "EUR",
            "amount": "10000.00",
            "remaining": "9100.00",
            "pending": "900.00",
            "read_at": START.isoformat(),
        },
        {
            "cost_centre": "4712",
            "company_code": "1710",
            "account": "",
            "period": "2026",
            "currency": "EUR",
            "amount": "500.00",
            "remaining": "500.00",
            "pending": "900.00",
            "read_at": START.isoformat(),
        },
    ]


def test_a_cost_centre_without_a_budget_has_no_entry(world):
    assert world.do("read_budget", world.about(world.submit())).facts == {"procurement_budget": []}


def test_more_budget_lines_than_a_page_are_all_read(world):
    for account in range(120):
        where = {"company_code": "1710", "cost_centre": "4711", "period": "2026", "currency": "EUR"}
        world.coupa.set_budget(**where, account=f"4{account:05}", amount="100")
    entries = world.do("read_budget", world.about(world.submit())).facts["procurement_budget"]
    assert len({entry["account"] for entry in entries}) == 120


def test_our_decision_waits_for_procurements_own_approvers(world):
    requisition_id = world.submit()
    ask = world.about(requisition_id)
    answer = world.do("record_decision", ask)
    assert (answer.wait_s, answer.waiting_for) == (300, "procurement's own approvers")
    assert world.do("record_refusal", replace(ask, facts={"refusal_reason": "no"})) == answer
    assert [step["status"] for step in world.coupa.requisition(requisition_id)["approvals"]] == ["pending_approval"]


def test_our_decision_approves_our_own_step_with_our_reason_and_only_once(world):
    requisition_id = world.submit()
    world.approve_humans(requisition_id)
    own = world.coupa.pending_approval(requisition_id)[0]
    world.forward(minutes=4)
    ask = world.about(requisition_id, facts={"decision_comment": "Budget confirmed by finance"})
    answer = world.do("record_decision", ask)
    assert answer.facts == {"procurement_approval_id": str(own), "procurement_approved_at": world.now.isoformat()}
    assert answer.at == world.now
    shown = world.coupa.requisition(requisition_id)
    assert (shown["status"], shown["approvals"][-1]["note"]) == ("approved", "Budget confirmed by finance")
    world.forward(minutes=4)
    assert world.do("record_decision", ask) == answer
    assert world.coupa.requisition(requisition_id) == shown


def test_a_decision_whose_answer_was_lost_is_found_when_asked_again(world):
    requisition_id = world.submit()
    world.approve_humans(requisition_id)
    world.coupa.faults.only_writes = True
    world.coupa.faults.next_replies_lost = 1
    with pytest.raises(AnswerLost):
        world.do("record_decision", world.about(requisition_id))
    answer = world.do("record_decision", world.about(requisition_id))
    assert answer.at == world.now
    assert [step["status"] for step in world.coupa.requisition(requisition_id)["approvals"]] == ["approved", "approved"]


def test_a_decision_somebody_else_took_between_is_told_by_its_outcome(world):
    requisition_id = world.submit()
    world.approve_humans(requisition_id)
    ask = world.about(requisition_id, facts={"refusal_reason": "no budget"})
    own = world.coupa.pending_approval(requisition_id)[0]

    class Overtaken(Coupa):
        def _dispatch(self, request):
            if request.method == "PUT" and self.pending_approval(requisition_id):
                self.approve(approval_id=own, by="head.1")
            return super()._dispatch(request)

    world.coupa.__class__ = Overtaken
    with pytest.raises(BusinessRejection, match="only a pending approval can be decided") as refused:
        world.do("record_refusal", ask)
    assert refused.value.code == "approval_conflict"
    assert world.do("record_decision", ask).facts["procurement_approval_id"] == str(own)


def test_a_requisition_that_was_approved_without_us_counts_as_decided(world):
    requisition_id = world.submit()
    ask = world.about(requisition_id)
    world.approve_all(requisition_id)
    session = world.connected(login="another.client")
    answer = world.do("record_decision", ask, session)
    assert (answer.at, answer.facts["procurement_approval_id"]) == (START, "")


def test_a_withdrawn_requisition_cannot_be_approved_any_more(world):
    requisition_id = world.submit()
    ask = world.about(requisition_id, facts={"refusal_reason": "no"})
    world.coupa.withdraw(requisition_id=requisition_id, by="buyer.1")
    with pytest.raises(BusinessRejection, match="is withdrawn, so it cannot be approved") as refused:
        world.do("record_decision", ask)
    assert refused.value.code == "approval_conflict"
    assert world.do("record_refusal", ask).facts["procurement_approval_id"] == ""


def test_a_refusal_rejects_our_own_step_with_the_reason_and_only_once(world):
    requisition_id = world.submit()
    world.approve_humans(requisition_id)
    own = world.coupa.pending_approval(requisition_id)[0]
    ask = world.about(requisition_id, facts={"refusal_reason": "The budget does not cover it."})
    answer = world.do("record_refusal", ask)
    assert answer.facts == {"procurement_approval_id": str(own), "procurement_refused_at": START.isoformat()}
    shown = world.coupa.requisition(requisition_id)
    assert (shown["status"], shown["reject-reason-comment"]) == ("draft", "The budget does not cover it.")
    assert world.do("record_refusal", ask) == answer
    assert world.coupa.requisition(requisition_id) == shown


def test_an_approved_requisition_cannot_be_refused_any_more(world):
    requisition_id = world.submit()
    world.approve_all(requisition_id)
    with pytest.raises(BusinessRejection, match="is approved, so it cannot be refused"):
        world.do("record_refusal", world.about(requisition_id, facts={"refusal_reason": "no"}))


def test_a_requisition_that_is_gone_is_a_refusal_in_words(world):
    ask = world.ask(world.requisition(world.submit()), identifiers={"coupa.requisition": "999"})
    with pytest.raises(BusinessRejection, match="requisition 999: The requested resource could not be found"):
        world.do("record_decision", ask)


def test_the_order_number_returns_as_the_requisitions_own_reference(world):
    requisition_id = world.submit()
    world.approve_all(requisition_id)
    world.forward(minutes=2)
    distribution = [
        {"item": "00010", "gl_account": "400100", "cost_centre": "4711", "amount": "900.00", "currency": "EUR"}
    ]
    ask = world.ask(world.order(requisition_id), facts={"posting_status": "committed", "distribution": distribution})
    answer = world.do("return_order_number", ask)
    (order,) = world.coupa.orders()
    assert answer.identifiers == (Identifier("coupa", "purchase_order", str(order["id"])),)
    assert answer.facts == {"procurement_order_id": str(order["id"]), "returned_at": world.now.isoformat()}
    shown = world.coupa.requisition(requisition_id)
    assert (shown["external-po-reference"], shown["status"], order["po-number"]) == (
        "4500000001",
        "ordered",
        "4500000001",
    )
    assert shown["custom-fields"]["cf-erp-status"] == "Order 4500000001 created in the ERP"
    assert shown["custom-fields"]["cf-erp-distribution"] == "committed: 400100/4711 900.00 EUR"
    assert world.do("return_order_number", ask) == answer
    assert len(world.coupa.orders()) == 1


def test_orders_to_several_suppliers_return_their_numbers_on_the_lines(world):
    other = world.coupa.register_supplier(name="Rohrbau Nord")
    requisition_id = world.submit(world.line(), world.line(supplier_id=other), world.line(supplier_id=other))
    world.approve_all(requisition_id)
    first = world.do("return_order_number", world.ask(world.order(requisition_id, "4500000001", {1})))
    assert world.coupa.requisition(requisition_id)["status"] == "approved"
    second = world.do("return_order_number", world.ask(world.order(requisition_id, "4500000002", {2, 3})))
    assert first.identifiers != second.identifiers
    shown = world.coupa.requisition(requisition_id)
    assert (shown["status"], shown["external-po-reference"]) == ("ordered", None)
    assert [line["custom-fields"]["cf-erp-po-number"] for line in shown["requisition-lines"]] == [
        "4500000001",
        "4500000002",
        "4500000002",
    ]


def test_a_returned_number_whose_answer_was_lost_makes_no_second_order(world):
    requisition_id = world.submit()
    world.approve_all(requisition_id)
    ask = world.ask(world.order(requisition_id))
    world.coupa.faults.only_writes = True
    world.coupa.faults.next_replies_lost = 1
    with pytest.raises(AnswerLost):
        world.do("return_order_number", ask)
    assert world.do("return_order_number", ask).facts["procurement_order_id"] == str(world.coupa.orders()[0]["id"])
    assert len(world.coupa.orders()) == 1


def test_an_order_number_that_is_taken_or_comes_too_early_is_refused(world):
    world.ordered()
    approved, pending = world.submit(), world.submit()
    world.approve_all(approved)
    with pytest.raises(BusinessRejection, match="External PO reference has already been taken") as taken:
        world.do("return_order_number", world.ask(world.order(approved)))
    assert taken.value.code == "effect_conflict"
    with pytest.raises(BusinessRejection, match="only an approved one can be ordered") as early:
        world.do("return_order_number", world.ask(world.order(pending, "4500000002")))
    assert early.value.code == "approval_conflict"


def test_an_order_for_lines_that_are_gone_is_refused(world):
    requisition_id = world.submit()
    order = world.order(requisition_id)
    world.coupa.edit_requisition(requisition_id=requisition_id, by="buyer.1", lines=[world.line()])
    with pytest.raises(BusinessRejection, match=f"no longer has the lines {order.lines[0].source_line_id}"):
        world.do("return_order_number", world.ask(order))


def test_an_order_coupa_has_not_made_yet_is_waited_for(world):
    requisition_id = world.submit()
    world.approve_all(requisition_id)

    class Slow(Coupa):
        def _ordered(self, requisition, references, by):
            return requisition

    world.coupa.__class__ = Slow
    answer = world.do("return_order_number", world.ask(world.order(requisition_id)))
    assert (answer.wait_s, answer.waiting_for) == (60, "procurement to make its order")


def test_an_order_without_a_number_of_the_erp_is_refused(world):
    order = world.order(world.submit()).model_copy(update={"erp_number": ""})
    with pytest.raises(MappingError, match="has no number of the ERP yet"):
        world.do("return_order_number", world.ask(order))


def test_an_order_is_marked_as_exported_by_its_id_or_its_number_and_only_once(world):
    requisition_id, order_id = world.ordered()
    by_number = world.do("mark_exported", world.ask(world.order(requisition_id)))
    assert by_number.facts == {"procurement_order_id": str(order_id), "exported_at": START.isoformat()}
    exported = world.coupa.orders()
    world.forward(minutes=1)
    assert (
        world.do("mark_exported", world.ask(world.order(requisition_id), facts={"procurement_order_id": str(order_id)}))
        == by_number
    )
    assert world.coupa.orders() == exported
    assert exported[0]["exported"] is True


def test_an_order_coupa_does_not_know_cannot_be_marked(world):
    with pytest.raises(BusinessRejection, match="Coupa has no order 4500000001") as refused:
        world.do("mark_exported", world.ask(world.order(world.submit())))
    assert refused.value.code == "order_unknown"


def test_marking_the_order_never_hides_a_revision_that_waits(world):
    requisition_id, order_id = world.ordered()
    world.coupa.revise_order(order_id=order_id, by="buyer.1", changes={1: {"quantity": "3"}})
    answer = world.do("mark_exported", world.ask(world.order(requisition_id)))
    assert answer.facts["skipped"] == "a newer version waits to be exported"
    assert [news.identifier.external_id for news in world.news("order_revisions")] == [f"{order_id}/2"]


def test_a_revision_at_the_very_moment_of_marking_is_shown_to_a_person(world):
    requisition_id, order_id = world.ordered()
    ask = world.ask(world.order(requisition_id))

    class Overtaken(Coupa):
        def _dispatch(self, request):
            if request.method == "PUT":
                self.revise_order(order_id=order_id, by="buyer.1", changes={1: {"quantity": "3"}})
            return super()._dispatch(request)

    world.coupa.__class__ = Overtaken
    with pytest.raises(BusinessRejection, match="was revised to version 2 in Coupa while it was marked") as refused:
        world.do("mark_exported", ask)
    assert refused.value.code == "document_changed"


def test_a_change_that_arrived_in_the_erp_is_told_no_more(world):
    _, order_id = world.ordered()
    world.coupa.revise_order(order_id=order_id, by="buyer.1", changes={1: {"quantity": "3"}})
    (news,) = world.news("order_revisions")
    ask = world.ask(news.document)
    answer = world.do("return_change", ask)
    assert answer.facts == {
        "procurement_order_id": str(order_id),
        "exported_at": START.isoformat(),
        "returned_at": START.isoformat(),
    }
    (order,) = world.coupa.orders()
    assert (order["exported"], order["custom-fields"]) == (
        True,
        {"cf-erp-status": "Order 4500000001 changed to version 2 in the ERP"},
    )
    assert world.read("order_revisions")[0] == []
    assert world.do("return_change", ask) == answer


def test_a_change_returned_while_the_next_one_waits_leaves_that_alone(world):
    _, order_id = world.ordered()
    world.coupa.revise_order(order_id=order_id, by="buyer.1", changes={1: {"quantity": "3"}})
    (second,) = world.news("order_revisions")
    world.coupa.revise_order(order_id=order_id, by="buyer.1", changes={1: {"quantity": "4"}})
    (waiting,) = world.news("order_revisions")
    assert world.do("return_change", world.ask(second.document)).facts["skipped"]
    assert world.news("order_revisions") == [waiting]


def test_a_cancellation_is_returned_like_a_change(world):
    _, order_id = world.ordered()
    world.coupa.cancel_order(order_id=order_id, by="buyer.1")
    (news,) = world.news("order_revisions")
    world.do("return_change", world.ask(news.document))
    assert world.coupa.orders()[0]["custom-fields"]["cf-erp-status"] == "Order 4500000001 cancelled in the ERP"


def blocked(**more):
    return {
        "title": "The ERP refused the order",
        "message": "Cost centre 4711 is blocked for posting. @[User:2]",
        "next_step": "Unblock the cost centre, then reprocess.",
        "owner_team": "finance operations",
    } | more


def test_procurement_is_told_what_happened_and_what_comes_next(world):
    requisition_id = world.submit()
    ask = world.about(requisition_id, subject=blocked(), purpose="tell_procurement")
    assert SYSTEM.operations["tell_procurement"].look_up(world.session, ask) is None
    answer = world.do("tell_procurement", ask)
    (comment,) = world.coupa.comments(requisition_id)
    assert comment["comments"] == (
        "The ERP refused the order\nCost centre 4711 is blocked for posting. @ [User:2]\n"
        f"Next: Unblock the cost centre, then reprocess.\nWith: finance operations\n[ref {ask.reference(12)}]"
    )
    assert answer.facts == {"procurement_comment_id": str(comment["id"]), "told_at": START.isoformat()}
    assert world.coupa.requisition(requisition_id)["custom-fields"]["cf-erp-status"] == "The ERP refused the order"
    assert SYSTEM.operations["tell_procurement"].look_up(world.session, ask) == answer


def test_a_comment_whose_answer_was_lost_is_adopted(world):
    ask = world.about(world.submit(), subject=blocked(), purpose="tell_procurement")
    look_up = SYSTEM.operations["tell_procurement"].look_up

    class LosesTheAnswerToAComment(Coupa):
        def _dispatch(self, request):
            if request.method == "POST" and request.path != self.token_path:
                self.faults.next_replies_lost = 1
            return super()._dispatch(request)

    world.coupa.__class__ = LosesTheAnswerToAComment
    with pytest.raises(AnswerLost):
        world.do("tell_procurement", ask)
    (comment,) = world.coupa.comments(2001)
    adopted = look_up(world.session, ask)
    assert adopted == Answer(
        facts={"procurement_comment_id": str(comment["id"]), "told_at": START.isoformat()}, at=START
    )


def test_a_lost_answer_to_the_status_leaves_no_comment_to_adopt(world):
    ask = world.about(world.submit(), subject=blocked(), purpose="tell_procurement")
    world.coupa.faults.only_writes = True
    world.coupa.faults.next_replies_lost = 1
    with pytest.raises(AnswerLost):
        world.do("tell_procurement", ask)
    assert SYSTEM.operations["tell_procurement"].look_up(world.session, ask) is None
    world.do("tell_procurement", ask)
    assert len(world.coupa.comments(2001)) == 1


def test_who_quotes_our_comment_is_not_taken_for_us(world):
    ask = world.about(world.submit(), subject=blocked(), purpose="tell_procurement")
    world.coupa.comment(requisition_id=2001, by="buyer.1", text=f"What does [ref {ask.reference(12)}] mean?")
    assert SYSTEM.operations["tell_procurement"].look_up(world.session, ask) is None


def test_another_comment_of_ours_under_the_same_reference_is_a_conflict(world):
    ask = world.about(world.submit(), subject=blocked(), purpose="tell_procurement")
    world.do("tell_procurement", ask)
    other = replace(ask, subject=blocked(title="The period is closed"))
    with pytest.raises(BusinessRejection) as conflict:
        SYSTEM.operations["tell_procurement"].look_up(world.session, other)
    assert (conflict.value.code, conflict.value.facts["title"]) == ("effect_conflict", "The period is closed")


def test_our_comment_is_found_among_more_than_a_page_of_others(world):
    requisition_id = world.submit()
    for number in range(60):
        world.coupa.comment(requisition_id=requisition_id, by="buyer.1", text=f"Reminder {number}")
    ask = world.about(requisition_id, subject=blocked(), purpose="tell_procurement_closed")
    answer = world.do("tell_procurement_closed", ask)
    assert SYSTEM.operations["tell_procurement_closed"].look_up(world.session, ask) == answer


def test_an_order_tells_its_requisition_and_a_change_has_none_to_tell(world):
    requisition_id, order_id = world.ordered()
    world.do("tell_procurement", world.ask(world.order(requisition_id), subject=blocked()))
    assert len(world.coupa.comments(requisition_id)) == 1
    world.coupa.revise_order(order_id=order_id, by="buyer.1", changes={1: {"quantity": "3"}})
    (news,) = world.news("order_revisions")
    ask = world.ask(news.document, subject=blocked())
    assert world.do("tell_procurement", ask) == Answer(facts={"skipped": "no requisition"})
    assert SYSTEM.operations["tell_procurement"].look_up(world.session, ask) is None


def test_an_instance_may_call_its_status_field_otherwise(world):
    requisition_id = world.submit()
    session = world.connected(status_field="cf-hub")
    world.do("tell_procurement", world.about(requisition_id, subject=blocked()), session)
    assert world.coupa.requisition(requisition_id)["custom-fields"]["cf-hub"] == "The ERP refused the order"


@pytest.mark.parametrize("name", ["record_decision", "return_order_number", "mark_exported", "tell_procurement"])
def test_every_write_meets_throttling_and_lost_requests_as_they_are(world, name):
    requisition_id, _ = world.ordered()
    document = (
        world.order(requisition_id)
        if name in {"return_order_number", "mark_exported"}
        else world.requisition(requisition_id)
    )
    ask = world.ask(document, identifiers={"coupa.requisition": str(requisition_id)}, subject=blocked())
    world.coupa.faults.next_throttled, world.coupa.faults.retry_after_s = 1, 3.0
    with pytest.raises(TransientError) as slow:
        world.do(name, ask)
    assert slow.value.retry_after_s == 3.0
    world.coupa.faults.next_errors = 1
    with pytest.raises(TransientError):
        world.do(name, ask)
    world.do(name, ask)


def test_an_operation_about_the_wrong_document_is_a_bug(world):
    requisition_id = world.submit()
    with pytest.raises(TypeError, match="is about a PurchaseOrder, not a Requisition"):
        world.do("mark_exported", world.about(requisition_id))
    news = world.about(requisition_id)
    supplier = world.news("suppliers")[0].document
    with pytest.raises(TypeError, match="is about a requisition, not a Supplier"):
        world.do("record_decision", replace(news, document=supplier))


def test_a_refusal_that_is_no_json_is_quoted(world):
    class Proxy(Coupa):
        def _dispatch(self, request):
            answer = super()._dispatch(request)
            if request.method == "PUT":
                answer.status, answer.body = 422, b"<html>request blocked</html>"
            return answer

    ask = world.about(world.submit(), subject=blocked())
    world.coupa.__class__ = Proxy
    with pytest.raises(BusinessRejection, match="<html>request blocked</html>") as refused:
        world.do("tell_procurement", ask)
    assert refused.value.code == "refused"


def test_everything_works_over_a_real_port(world):
    server = StandinServer(world.coupa).start()
    access = Access(server.url, credentials=lambda: ("finsync", "sandbox"))
    session = connect(access, timer=world.stopwatch)
    try:
        requisition_id = world.submit()
        world.approve_humans(requisition_id)
        assert len(world.read("requisitions", session=session)[0]) == 1
        assert world.do("record_decision", world.about(requisition_id), session).at == START
        answer = world.do("return_order_number", world.ask(world.order(requisition_id)), session)
        world.do("mark_exported", world.ask(world.order(requisition_id), facts=answer.facts), session)
        world.do("tell_procurement", world.about(requisition_id, subject=blocked()), session)
        assert world.coupa.orders()[0]["exported"] is True
        world.coupa.faults.next_replies_lost = 1
        with pytest.raises(SyncError):
            world.do("read_budget", world.about(requisition_id), session)
    finally:
        session.close()
        server.stop()


def test_the_system_states_its_operations_and_limits():
    assert {operation.name: operation.effect.value for operation in SYSTEM.operations.values()} == {
        "read_budget": "read",
        "record_decision": "set",
        "record_refusal": "set",
        "return_order_number": "set",
        "mark_exported": "set",
        "return_change": "set",
        "tell_procurement": "create",
        "tell_procurement_closed": "create",
    }
    assert (SYSTEM.requests_per_s, SYSTEM.burst, SYSTEM.max_in_flight, SYSTEM.quiet_period_s) == (20, 20, 8, 5)
    assert all(feed.interval_s == 120 and feed.silent_after_s == 3600 for feed in SYSTEM.feeds)
