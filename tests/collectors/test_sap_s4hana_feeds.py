"""What SAP tells by itself, over the wire: nothing is lost, nothing is guessed, and what it means in our words."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest

from collectors import odata
from collectors import sap_s4hana_feeds as feeds
from collectors.sap_s4hana import SYSTEM, connect
from sandbox.ledger import Ledger
from sandbox.s4hana import S4Hana
from sandbox.transport import InProcessTransport, Stopwatch
from sync_engine.model.documents import DocumentType, PostingStatus
from sync_engine.model.errors import ConfigurationError, MappingError, TransientError
from sync_engine.model.mappings import Mappings
from sync_engine.model.ports import Access, Identifier, Link, Record

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
CENTRE, SUPPLIER, ORDER = "10101301", "10300080", "4500000001"
MAPPINGS = Mappings({}, version="1", group_currency="EUR")
ROOT = "/sap/opu/odata/sap/"


class Clock:
    """Tells a time that only the test moves."""

    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now

    def forward(self, **by):
        self.now += timedelta(**by)


class Forgetful(S4Hana):
    """The stand-in, which can leave a property out of what it lists."""

    lost = ""

    def handle(self, request):
        response = super().handle(request)
        if self.lost and b'"results"' in response.body:
            content = json.loads(response.body)
            for entity in content["d"]["results"]:
                entity.pop(self.lost, None)
            response.body = json.dumps(content).encode()
        return response


class World:
    """SAP with one large order in it, and somebody who reads its feeds as the engine does."""

    def __init__(self, page_size=200, **options):
        self.clock = Clock()
        self.sap = Forgetful(Ledger(), self.clock, Random(4), page_size=page_size)
        self.sap.add_company_code(code="1010", currency="EUR", controlling_area="A000")
        self.sap.add_cost_centre(
            code=CENTRE, company_code="1010", valid_from=date(2020, 1, 1), valid_to=date(9999, 12, 31)
        )
        self.sap.add_supplier(
            number=SUPPLIER,
            name="Brenner Wartung",
            tax_id="DE811111111",
            country="DE",
            company_codes=["1010"],
            purchasing_organizations=["1010"],
            payment_terms="0030",
        )
        access = Access("http://s4hana", credentials=lambda: ("finsync", "sandbox"), options=options)
        transport = InProcessTransport({"s4hana": self.sap}, Stopwatch())
        self.session = connect(access, timer=Stopwatch(), transport=transport)
        self.told = {}
        self.cursor = {}
        account = [{"GLAccount": "51600000", "CostCenter": CENTRE}]
        item = {
            "PurchaseOrderItem": "1",
            "OrderQuantity": "5000",
            "NetPriceAmount": "2.00",
            "to_AccountAssignment": account,
        }
        self.write(
            "API_PURCHASEORDER_PROCESS_SRV/A_PurchaseOrder",
            {
                "CompanyCode": "1010",
                "PurchaseOrderType": "NB",
                "Supplier": SUPPLIER,
                "PurchasingOrganization": "1010",
                "to_PurchaseOrderItem": [item],
            },
        )

    def write(self, path, body):
        fetched = self.session.get(f"{ROOT}{path.partition('/')[0]}/", headers={"X-CSRF-Token": "Fetch"})
        token = {"X-CSRF-Token": fetched.headers["x-csrf-token"]}
        return self.session.request("POST", ROOT + path, json_body=body, headers=token).json("s4hana")["d"]

    def receive(self, quantity=1, by="receiver.1"):
        number, year = self.sap.post_goods_receipt(order=ORDER, lines=[(1, Decimal(quantity))], by=by)
        return f"{number}/{year}"

    def bill(self, reference="RE-1", quantity="1"):
        day = f"/Date({int(datetime.combine(self.clock.now.date(), datetime.min.time(), UTC).timestamp()) * 1000})/"
        net = Decimal(quantity) * 2
        invoice = self.write(
            "API_SUPPLIERINVOICE_PROCESS_SRV/A_SupplierInvoice",
            {
                "CompanyCode": "1010",
                "DocumentDate": day,
                "PostingDate": day,
                "InvoicingParty": SUPPLIER,
                "DocumentCurrency": "EUR",
                "InvoiceGrossAmount": str(net * Decimal("1.19")),
                "SupplierInvoiceIDByInvcgParty": reference,
                "TaxIsCalculatedAutomatically": True,
                "to_SuplrInvcItemPurOrdRef": [
                    {
                        "PurchaseOrder": ORDER,
                        "PurchaseOrderItem": "1",
                        "SupplierInvoiceItemAmount": str(net),
                        "QuantityInPurchaseOrderUnit": quantity,
                    }
                ],
            },
        )
        return f"{invoice['SupplierInvoice']}/{invoice['FiscalYear']}"

    def page(self, name):
        page = SYSTEM.feed(name).read(self.session, self.cursor, self.clock.now)
        self.cursor = json.loads(json.dumps(page.cursor))
        for record in page.records:
            self.told.setdefault((record.kind, record.external_id, record.version), record)
        return page

    def round(self, name):
        """Read on until there is no more; the records that are new, once each."""
        before = set(self.told)
        while self.page(name).more:
            pass
        return [record for key, record in self.told.items() if key not in before]

    def news(self, name):
        return [SYSTEM.feed(name).understand(record, MAPPINGS) for record in self.round(name)]


@pytest.fixture
def world():
    return World()


def test_the_first_read_begins_at_the_beginning_and_an_empty_page_is_no_news(world):
    for name in ("goods_receipts", "postings"):
        page = SYSTEM.feed(name).read(world.session, {}, START)
        assert (page.records, page.cursor, page.more) == ((), {}, False)
        assert page.complete_until == START - timedelta(seconds=20)


def test_a_receipt_says_what_arrived_for_which_order_line(world):
    number = world.receive(4)
    [news] = world.news("goods_receipts")
    assert news.identifier == Identifier("s4hana", "material_document", number)
    assert (news.document_type, news.source_at, news.ignore) == (DocumentType.GOODS_RECEIPT, START, "")
    assert news.links == (Link("receives", Identifier("s4hana", "purchase_order", ORDER)),)
    receipt = news.document
    assert (receipt.number, receipt.posted_on, receipt.entered_at) == (number, date(2026, 3, 2), START)
    assert (receipt.business_unit, receipt.company_code) == ("", "")
    [line] = receipt.lines
    assert (line.order_number, line.order_line, line.quantity, line.unit) == (ORDER, 1, Decimal(4), "EA")


def test_a_reversal_is_a_receipt_of_its_own_with_a_negative_quantity(world):
    number, year = world.receive(4).split("/")
    world.sap.reverse_goods_receipt(number=number, year=year, by="receiver.1")
    # The first document says by now that it is cancelled; subtracting it for that would count the reversal twice.
    first, second = world.news("goods_receipts")
    assert [news.document.lines[0].quantity for news in (first, second)] == [Decimal(4), Decimal(-4)]


def test_entry_times_are_in_saps_time_zone():
    world = World(time_zone="Europe/Berlin")
    world.receive()
    [news] = world.news("goods_receipts")
    assert news.source_at == START - timedelta(hours=1)  # SAP stamped 09:00, which is 08:00 UTC in winter


def test_a_record_is_the_document_as_sap_told_it(world):
    world.receive(4)
    [record] = world.round("goods_receipts")
    told = json.loads(record.body)
    assert (record.kind, record.version) == ("material_document", "1")
    assert (told["GoodsMovementCode"], told["CreationTime"]) == ("01", "PT09H00M00S")
    assert told["to_MaterialDocumentItem"]["results"][0]["QuantityInEntryUnit"] == "4"
    assert b"__metadata" not in record.body


def test_many_receipts_of_one_second_are_read_page_by_page_and_none_is_lost(world):
    numbers = [world.receive() for _ in range(250)]
    assert [record.external_id for record in world.round("goods_receipts")] == numbers
    assert world.round("goods_receipts") == []
    assert world.cursor["more"] is False


def test_receipts_that_appear_while_pages_are_read_shift_nothing(world):
    numbers = []
    for _ in range(130):
        numbers.append(world.receive())
        world.clock.forward(seconds=7)
    assert world.page("goods_receipts").more
    world.clock.now = START + timedelta(seconds=3)
    late = world.receive()  # entered earlier than what was read, and visible only now
    world.clock.now = START + timedelta(seconds=7 * 130)
    world.round("goods_receipts")
    world.round("goods_receipts")
    assert {key[1] for key in world.told} == {*numbers, late}


def test_the_hour_that_comes_twice_in_autumn_is_read_twice():
    world = World(time_zone="Europe/Berlin")
    stamped = world.sap.now_to_the_second
    world.sap.now_to_the_second = lambda: stamped().replace(tzinfo=None).replace(tzinfo=UTC)
    world.clock.now = datetime(2026, 10, 25, 2, 55, tzinfo=UTC)  # SAP's wall clock, the first time
    first = world.receive()
    assert [record.external_id for record in world.round("goods_receipts")] == [first]
    world.clock.now = datetime(2026, 10, 25, 2, 0, tzinfo=UTC)  # and ten minutes later it is two o'clock again
    second = world.receive()
    assert [record.external_id for record in world.round("goods_receipts")] == [second]


@pytest.mark.parametrize("fault", ["duplicate_news_share", "out_of_order_share"])
def test_news_told_twice_or_out_of_order_is_still_told_once_each(world, fault):
    setattr(world.sap.faults, fault, 0.5)
    numbers = [world.receive() for _ in range(230)]
    seen = [record.external_id for record in world.round("goods_receipts") + world.round("goods_receipts")]
    assert sorted(seen) == sorted(numbers)


def test_saps_own_page_limit_is_noticed():
    world = World(page_size=30)
    numbers = [world.receive() for _ in range(95)]
    assert [record.external_id for record in world.round("goods_receipts")] == numbers


def test_a_feed_never_asks_for_the_same_place_twice(world, monkeypatch):
    monkeypatch.setattr(feeds, "PAGE_SIZE", 2)
    for reference in ("A", "B", "C"):
        world.bill(reference)
    lines = [row for row in world.sap._lines if row.get("FinancialAccountType") == "K"]
    for row in lines:  # three lines of one document at one moment: more than a page holds
        world.sap.store_line({**row, "AccountingDocument": "5100000009"})
    with pytest.raises(TransientError, match="does not get further"):
        world.round("postings")


def changed(record, **values):
    body = json.loads(record.body)
    target = body["to_MaterialDocumentItem"]["results"][0] if "to_MaterialDocumentItem" in body else body["results"][0]
    for name, value in values.items():
        where = body if name in body else target
        if value is None:
            where.pop(name)
        else:
            where[name] = value
    return Record(record.kind, record.external_id, record.version, record.source_at, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("values", "code", "field"),
    [
        ({"GoodsMovementType": "199"}, "status_unmapped", "GoodsMovementType"),
        ({"GoodsMovementType": None}, "contract_change", "GoodsMovementType"),
        ({"QuantityInEntryUnit": 4}, "contract_change", "QuantityInEntryUnit"),
        ({"QuantityInEntryUnit": "four"}, "field_invalid", "QuantityInEntryUnit"),
        ({"PostingDate": None}, "contract_change", "PostingDate"),
        ({"PostingDate": "2026-03-02"}, "contract_change", "PostingDate"),
        ({"MaterialDocument": None}, "contract_change", "MaterialDocument"),
        ({"to_MaterialDocumentItem": {"__deferred": {}}}, "contract_change", "to_MaterialDocumentItem"),
    ],
)
def test_a_receipt_that_cannot_be_understood_names_the_field(world, values, code, field):
    world.receive(4)
    [record] = world.round("goods_receipts")
    with pytest.raises(MappingError) as caught:
        SYSTEM.feed("goods_receipts").understand(changed(record, **values), MAPPINGS)
    assert (caught.value.code, caught.value.facts["field"]) == (code, field)


@pytest.mark.parametrize(("movement", "quantity"), [("122", -4), ("161", -4), ("123", 4), ("105", 4)])
def test_returns_count_against_what_was_received(world, movement, quantity):
    world.receive(4)
    [record] = world.round("goods_receipts")
    news = SYSTEM.feed("goods_receipts").understand(changed(record, GoodsMovementType=movement), MAPPINGS)
    assert news.document.lines[0].quantity == quantity


@pytest.mark.parametrize(
    "values", [{"PurchaseOrder": ""}, {"GoodsMovementType": "103"}], ids=["no order", "blocked stock"]
)
def test_what_receives_nothing_that_was_ordered_is_none_of_our_business(world, values):
    world.receive(4)
    [record] = world.round("goods_receipts")
    news = SYSTEM.feed("goods_receipts").understand(changed(record, **values), MAPPINGS)
    assert (news.document, news.ignore) == (None, "receives nothing that was ordered")


@pytest.mark.parametrize("kind", ["renamed", "removed", "retyped"])
@pytest.mark.parametrize("name", ["goods_receipts", "postings"])
def test_a_release_that_changes_a_field_parks_its_records_and_the_feed_goes_on(world, kind, name):
    def write(count):
        return world.receive() if name == "goods_receipts" else world.bill(f"RE-{count}")

    write(1)
    world.clock.forward(minutes=1)
    world.sap.faults.schema_drift = kind
    write(2)
    before, after = world.round(name)
    feed = SYSTEM.feed(name)
    assert feed.understand(before, MAPPINGS).document is not None
    with pytest.raises(MappingError, match="PostingDate") as caught:
        feed.understand(after, MAPPINGS)
    assert caught.value.code == "contract_change"
    assert feed.sketch(after).number == after.external_id
    world.clock.forward(minutes=1)
    world.sap.faults.schema_drift = ""
    write(3)
    assert [feed.understand(record, MAPPINGS).document is not None for record in world.round(name)[-1:]] == [True]


def test_a_field_more_changes_nothing(world):
    world.sap.faults.schema_drift = "added"
    world.receive()
    world.bill()
    assert [news.document is not None for news in world.news("goods_receipts")] == [True]
    world.cursor = {}
    assert [news.document is not None for news in world.news("postings")] == [True]


@pytest.mark.parametrize(
    ("name", "gone"),
    [
        ("goods_receipts", "MaterialDocument"),
        ("goods_receipts", "CreationDate"),
        ("postings", "AccountingDocument"),
        ("postings", "LastChangeDateTime"),
    ],
)
def test_records_without_number_or_time_come_out_to_be_parked_and_stop_nothing(world, name, gone):
    def write(count):
        return world.receive(count) if name == "goods_receipts" else world.bill(f"RE-{count}")

    write(1)
    world.sap.lost = gone
    write(2)
    bodies = {record: json.loads(record.body) for record in world.round(name)}
    nameless = [record for record, told in bodies.items() if gone not in told.get("results", [told])[0]]
    assert nameless
    for record in nameless:
        with pytest.raises(MappingError, match=f"{gone} is missing") as caught:
            SYSTEM.feed(name).understand(record, MAPPINGS)
        assert caught.value.code == "contract_change"
        assert bool(record.external_id) is gone.endswith(("Date", "DateTime"))
    world.sap.lost = ""
    write(3)
    assert SYSTEM.feed(name).understand(world.round(name)[-1], MAPPINGS).document is not None


def test_a_question_that_sap_no_longer_understands_is_a_change_of_the_contract(world):
    path = "A_MaterialDocumentHeader"
    with pytest.raises(MappingError, match="Filterable property Nonsense not found") as caught:
        odata.read_set(world.session, "API_MATERIAL_DOCUMENT_SRV", path, {"$filter": "Nonsense eq '1'"})
    assert caught.value.code == "contract_change"


def test_bytes_that_are_not_utf_8_are_said_to_be(world):
    broken = Record("material_document", "1/2026", "1", START, '{"MaterialDocumentHeaderText":"M\ufffdller"}'.encode())
    for feed in SYSTEM.feeds:
        with pytest.raises(MappingError, match="not UTF-8") as caught:
            feed.understand(broken, MAPPINGS)
        assert caught.value.code == "field_invalid"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"nonsense", b'{"results":{}}', b'{"results":["x"]}', b'{"results":[]}', b"\xff"]
)
def test_a_sketch_is_made_of_anything(body):
    for feed in SYSTEM.feeds:
        known = feed.sketch(Record("any", "5000000001/2026", "1", None, body))
        assert known.number == "5000000001/2026"
        assert feed.sketch(Record("any", "", "1", None, body)) is None


# Postings


def test_an_invoice_is_told_once_it_is_booked(world):
    invoice = world.bill(quantity="10")
    [news] = world.news("postings")
    posting = news.document
    assert posting.number == news.identifier.external_id
    assert posting.number.startswith("1010/")
    assert posting.number.endswith("/2026")
    assert news.links == (Link("books", Identifier("s4hana", "supplier_invoice", invoice)),)
    assert (posting.invoice_number, posting.supplier, posting.company_code) == (invoice, SUPPLIER, "1010")
    assert (posting.amount, posting.currency, posting.posted_on) == (Decimal("23.80"), "EUR", date(2026, 3, 2))
    assert (posting.cleared_on, posting.clearing_document, posting.is_reversal) == (None, "", False)
    assert (news.posting_status, news.signals, news.source_at) == (PostingStatus.POSTED, (), START)


def test_receipts_commitments_and_payments_are_not_invoices(world):
    world.receive(10)
    world.bill(quantity="10")
    world.sap.run_payment(company_code="1010", on=date(2026, 12, 31))
    assert len(world.round("postings")) == 1


def test_a_paid_invoice_is_told_again_with_its_clearing(world):
    world.receive(10)
    world.bill(quantity="10")
    [first] = world.news("postings")
    world.clock.forward(days=30)
    world.sap.run_payment(company_code="1010", on=date(2026, 4, 1))
    [second] = world.news("postings")
    assert second.identifier == first.identifier
    assert second.posting_status is PostingStatus.CLEARED
    assert second.document.cleared_on == date(2026, 4, 1)
    assert second.document.clearing_document.startswith("51")


def test_posted_and_paid_within_one_second_are_two_records(world):
    world.receive(10)
    world.bill(quantity="10")
    [first] = world.round("postings")
    world.sap.run_payment(company_code="1010", on=date(2026, 12, 31))
    [second] = world.round("postings")
    assert (first.external_id, first.source_at) == (second.external_id, second.source_at)
    assert first.version != second.version


@pytest.mark.parametrize("late_first", [True, False])
def test_a_line_that_stands_in_a_page_as_it_was_and_as_it_is_counts_as_it_is(world, late_first):
    """Seed 30282 (R082, F4): what an invoice's line had been was told late, beside what had become of it: it was paid and stayed open."""
    world.receive(10)
    world.bill(quantity="10")
    real, told = world.sap.handle, []

    def handle(request):
        response = real(request)
        if b"LedgerGLLineItem" in response.body:
            content = json.loads(response.body)
            told.extend(content["d"]["results"])
            content["d"]["results"] = told if late_first else told[::-1]
            response.body = json.dumps(content).encode()
        return response

    world.sap.handle = handle
    [before] = world.news("postings")
    world.clock.forward(days=30)
    world.sap.run_payment(company_code="1010", on=date(2026, 4, 1))
    [after] = world.news("postings")
    assert len(told) == 2
    assert after.posting_status is PostingStatus.CLEARED
    assert after.document.cleared_on == date(2026, 4, 1)
    assert after.document.amount == before.document.amount


def test_a_reversed_invoice_has_a_clearing_date_and_was_never_paid(world):
    invoice = world.bill()
    number, year = invoice.split("/")
    cancel = f"Cancel?PostingDate=datetime'2026-03-02T00:00:00'&ReversalReason='01'&FiscalYear='{year}'&SupplierInvoice='{number}'"
    world.write(f"API_SUPPLIERINVOICE_PROCESS_SRV/{cancel}", None)
    told = {news.document.is_reversal: news for news in world.news("postings")}
    for news in told.values():
        assert news.posting_status is PostingStatus.REVERSED
        assert (news.document.cleared_on, news.document.clearing_document) == (None, "")
    assert told[True].document.amount == -told[False].document.amount


def test_every_line_of_a_document_has_to_be_cleared_for_it_to_be_paid(world):
    world.bill()
    [record] = world.round("postings")
    [line] = json.loads(record.body)["results"]
    paid = {
        **line,
        "LedgerGLLineItem": "000002",
        "ClearingDate": "/Date(1772409600000)/",
        "ClearingAccountingDocument": "0051",
    }

    def posting(*lines):
        body = json.dumps({"results": lines}).encode()
        return (
            SYSTEM.feed("postings")
            .understand(Record(record.kind, record.external_id, "2", START, body), MAPPINGS)
            .document
        )

    assert posting(line, paid).cleared_on is None
    assert posting(line, paid).amount == 2 * posting(line).amount
    assert posting(paid, paid).clearing_document == "51"


def test_a_whole_payment_run_of_one_second_is_read_page_by_page(world):
    world.receive(300)
    for count in range(220):
        world.bill(f"RE-{count}")
    assert len(world.round("postings")) == 220
    world.clock.forward(days=40)
    world.sap.run_payment(company_code="1010", on=date(2026, 12, 31))
    paid = world.news("postings")
    assert len(paid) == 220
    assert all(news.document.cleared_on for news in paid)
    assert world.round("postings") == []


def test_a_document_is_not_cut_by_the_end_of_a_page(world, monkeypatch):
    monkeypatch.setattr(feeds, "PAGE_SIZE", 3)
    for count in range(3):
        world.bill(f"RE-{count}")
        world.clock.forward(seconds=1)
    for row in [row for row in world.sap._lines if row.get("FinancialAccountType") == "K"]:
        twin = {**row, "ID": row["ID"] + "T", "LedgerGLLineItem": "9"}
        at = datetime.fromisoformat(row["LastChangeDateTime"])
        world.sap._lines.put(twin["ID"], twin, at)
    told = [json.loads(record.body)["results"] for record in world.round("postings")]
    assert [len(lines) for lines in told] == [2, 2, 2]


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"IsReversed": None}, "contract_change"),
        ({"AccountingDocument": None}, "contract_change"),
        ({"AmountInTransactionCurrency": "-"}, "field_invalid"),
        ({"TransactionCurrency": "XXX1"}, "currency_unknown"),
        ({"ClearingDate": "soon"}, "contract_change"),
        ({"PostingDate": "/Date(-3000000000000)/"}, "field_invalid"),
    ],
)
def test_a_posting_that_cannot_be_understood_is_parked(world, values, code):
    world.bill()
    [record] = world.round("postings")
    with pytest.raises(MappingError) as caught:
        SYSTEM.feed("postings").understand(changed(record, **values), MAPPINGS)
    assert caught.value.code == code


def test_a_sketch_of_a_posting_shows_what_it_is_about(world):
    invoice = world.bill(quantity="10")
    [record] = world.round("postings")
    sketch = SYSTEM.feed("postings").sketch(changed(record, IsReversed=None))
    assert (sketch.title, sketch.amount, sketch.currency) == (f"Invoice {invoice.split('/')[0]}", "23.80", "EUR")
    assert sketch.company_code == "1010"


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (lambda sap: setattr(sap.faults, "next_throttled", 1), TransientError),
        (lambda sap: setattr(sap.faults, "next_errors", 1), TransientError),
        (lambda sap: setattr(sap.faults, "next_replies_lost", 1), TransientError),
        (lambda sap: setattr(sap.faults, "next_requests_lost", 1), TransientError),
        (lambda sap: setattr(sap, "next_logon_pages", 1), ConfigurationError),
    ],
    ids=["throttled", "error", "reply lost", "request lost", "logon page"],
)
@pytest.mark.parametrize("name", ["goods_receipts", "postings"])
def test_a_page_that_cannot_be_read_leaves_the_cursor_where_it_was(world, name, spoil, kind):
    world.receive()
    world.bill()
    spoil(world.sap)
    with pytest.raises(kind):
        world.page(name)
    assert world.cursor == {}
    assert len(world.round(name)) == 1


def test_an_expired_token_is_renewed_between_two_rounds(world):
    world.receive()
    world.round("goods_receipts")
    world.clock.forward(hours=3)
    world.receive()
    assert len(world.round("goods_receipts")) == 1
