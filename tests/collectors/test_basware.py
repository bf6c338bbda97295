"""The Basware connector against its stand-in: every waiting invoice read whole, every answer given once."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.basware import SYSTEM, connect, read_invoices, sketch, understand
from collectors.basware_api import ERROR_CODES
from collectors.basware_invoices import PROCESSING_STATUSES, REQUIRED
from sandbox.basware import Basware
from sandbox.ledger import Ledger
from sandbox.server import StandinServer
from sandbox.transport import InProcessTransport, Stopwatch
from sandbox.wire import Response
from sync_engine.model.documents import DocumentType, Requisition
from sync_engine.model.errors import AnswerLost, BusinessRejection, ConfigurationError, MappingError, TransientError
from sync_engine.model.exceptions import KINDS
from sync_engine.model.mappings import Mappings, Table
from sync_engine.model.ports import Access, Ask, Identifier, Link, Record

CONTRACT = Path(__file__).parents[2].parent / "shared" / "contracts" / "ap_automation" / "basware-p2p-openapi.json"


class Clock:
    def __init__(self):
        self.now = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

    def __call__(self):
        return self.now

    def tick(self, seconds=60.0):
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def tenant(clock):
    return Basware(Ledger(), clock, Random(1))


@pytest.fixture
def session(tenant):
    opened = opened_on({"basware": tenant})
    yield opened
    opened.close()


def opened_on(hosts, *, secret="sandbox", **options):
    access = Access("https://basware", credentials=lambda: ("finsync", secret), options=options)
    return connect(access, timer=Stopwatch(), transport=InProcessTransport(hosts, Stopwatch()))


def mappings():
    unit = {
        "name": "Germany",
        "country": "DE",
        "currency": "EUR",
        "company_code": "1010",
        "controlling_area": "A000",
        "purchasing_organization": "1010",
        "purchasing_group": "001",
        "time_zone": "Europe/Berlin",
        "calendar": "DE",
        "finance_group": "Finance",
        "procurement_group": "Procurement",
    }
    tables = {"business_units": {"DE": unit}, "departments": {"DE-PLANT": "DE"}}
    return Mappings(
        {
            name: Table(name=name, version="1", owner="finance", valid_from=date(2026, 1, 1), entries=entries)
            for name, entries in tables.items()
        },
        version="test",
        group_currency="EUR",
    )


LINES = [
    {
        "order_number": "4500000001",
        "order_line": 10,
        "description": "Overhaul",
        "quantity": "3",
        "unit": "EA",
        "unit_price": "333.37",
        "amount": "1000.10",
        "cost_centre": "4100",
        "account": "652000",
    },
    {
        "order_number": "4500000002",
        "order_line": "00020",
        "description": "Seals",
        "quantity": "0.5",
        "unit": "KG",
        "unit_price": "20",
        "amount": "10.00",
    },
]


def received(tenant, number="RE-1", **changes):
    return tenant.receive_invoice(
        **{
            "supplier_code": "100200",
            "supplier_name": "Pump Works",
            "organization_code": "DE-PLANT",
            "company_code": "1010",
            "invoice_number": number,
            "currency": "EUR",
            "invoice_date": date(2026, 2, 27),
            "baseline_date": date(2026, 3, 1),
            "due_date": date(2026, 3, 31),
            "payment_term": "NT30",
            "tax_code": "DE19",
            "tax": "191.92",
            "lines": LINES,
            **changes,
        }
    )


def poll(session, now, cursor=None):
    """Every record of one poll, and the cursor behind it."""
    records, cursor = [], cursor or {}
    while True:
        page = read_invoices(session, cursor, now)
        assert page.cursor != cursor or not page.more
        records += page.records
        cursor = page.cursor
        if not page.more:
            return records, cursor


def news_of(session, now):
    return [understand(record, mappings()) for record in poll(session, now)[0]]


def one_record(session, tenant, clock, **changes):
    received(tenant)
    (record,) = poll(session, clock.now)[0]
    return Record(record.kind, record.external_id, record.version, record.source_at, altered(record.body, changes))


def altered(body, changes):
    raw = {name: value for name, value in (json.loads(body) | changes).items() if value is not ...}
    return json.dumps(raw, ensure_ascii=False).encode()


def ask(document, clock, purpose="return_match_result", **facts):
    return Ask(
        document_id=UUID(int=1),
        document=document,
        facts=facts,
        identifiers={"basware.invoice": document.number},
        now=clock.now,
        mappings=mappings(),
        purpose=purpose,
    )


@pytest.fixture
def invoice(session, tenant, clock):
    """An invoice as the engine knows it after it was taken over."""
    received(tenant)
    (news,) = news_of(session, clock.now)
    run(session, "acknowledge_invoice", ask(news.document, clock))
    return news.document


def run(session, name, question):
    return SYSTEM.operations[name].run(session, question)


POSTED = {"erp_invoice_number": "5105600001/2026", "accounting_document": "1900000001"}


# Reading


def test_a_waiting_invoice_is_news_of_what_is_billed(session, tenant, clock):
    invoice_id = received(tenant)
    (news,) = news_of(session, clock.now)
    assert news.document_type is DocumentType.INVOICE
    assert news.identifier == Identifier("basware", "invoice", invoice_id)
    assert news.identifiers == (Identifier("basware", "invoice_number", "100200/RE-1"),)
    assert news.links == (
        Link("bills", Identifier("erp", "purchase_order", "4500000001")),
        Link("bills", Identifier("erp", "purchase_order", "4500000002")),
    )
    assert (news.source_status, news.signals, news.ignore) == ("WaitingForTransfer", (), "")
    invoice = news.document
    assert (invoice.number, invoice.supplier_invoice_number, invoice.supplier) == (invoice_id, "RE-1", "100200")
    assert (invoice.business_unit, invoice.company_code, invoice.currency) == ("DE", "1010", "EUR")
    assert (invoice.net_amount, invoice.tax_amount, invoice.gross_amount) == tuple(
        map(Decimal, ("1010.1", "191.92", "1202.02"))
    )
    assert (invoice.invoiced_on, invoice.baseline_on, invoice.due_on) == (
        date(2026, 2, 27),
        date(2026, 3, 1),
        date(2026, 3, 31),
    )
    assert (invoice.payment_term, invoice.received_at) == ("NT30", clock.now)
    assert invoice.order_numbers == ("4500000001", "4500000002")


def test_a_line_names_its_order_line_and_the_price_that_is_billed(session, tenant, clock):
    received(tenant)
    first, second = news_of(session, clock.now)[0].document.lines
    assert (first.order_number, first.order_line, first.number) == ("4500000001", 10, 1)
    assert (first.quantity, first.unit_price, first.amount) == (Decimal(3), Decimal("333.37"), Decimal("1000.1"))
    assert (second.order_line, second.unit, second.quantity) == (20, "KG", Decimal("0.5"))
    assert (second.description, second.tax_code) == ("Seals", "DE19")


def test_without_invoice_lines_the_coding_rows_say_the_same(session, tenant, clock):
    tenant.sends_invoice_lines = False
    received(tenant)
    first, second = news_of(session, clock.now)[0].document.lines
    assert (first.order_number, first.order_line, first.amount) == ("4500000001", 10, Decimal("1000.1"))
    assert first.unit_price == Decimal("333.366667")
    assert [(part.cost_centre, part.account, part.amount) for part in first.distributions] == [
        ("4100", "652000", Decimal("1000.1"))
    ]
    assert second.distributions == ()


def test_an_invoice_without_an_order_is_news_all_the_same(session, tenant, clock):
    received(tenant, lines=[LINES[0] | {"order_number": "", "order_line": ""}], tax="0")
    (news,) = news_of(session, clock.now)
    assert (news.links, news.document.order_numbers) == ((), ())
    assert (news.document.lines[0].order_number, news.document.lines[0].order_line) == ("", None)


def test_nothing_waiting_is_no_error(session, clock):
    records, cursor = poll(session, clock.now)
    assert records == []
    page = read_invoices(session, {**cursor, "status": "Returned"}, clock.now)
    assert page.complete_until == clock.now - timedelta(seconds=SYSTEM.quiet_period_s)


def test_an_invoice_waits_at_every_poll_until_it_is_acknowledged(session, tenant, clock):
    received(tenant)
    first, cursor = poll(session, clock.now)
    second, cursor = poll(session, clock.now, cursor)
    assert second == first
    run(session, "acknowledge_invoice", ask(understand(first[0], mappings()).document, clock))
    assert poll(session, clock.now, cursor)[0] == []


def test_a_corrected_invoice_is_a_new_version(session, tenant, clock):
    invoice_id = received(tenant)
    (before,), cursor = poll(session, clock.now)
    clock.tick()
    tenant.correct_invoice(invoice_id=invoice_id, lines=LINES[:1], tax="190.02")
    (after,), _ = poll(session, clock.now, cursor)
    assert (after.external_id, after.version == before.version) == (before.external_id, False)
    assert understand(after, mappings()).document.gross_amount == Decimal("1190.12")


def test_an_invoice_that_left_ap_automation_is_abandoned(session, tenant, clock):
    taken = received(tenant, "RE-1")
    removed = received(tenant, "RE-2")
    records, cursor = poll(session, clock.now)
    run(session, "acknowledge_invoice", ask(understand(records[0], mappings()).document, clock))
    clock.tick(3600)
    tenant.return_invoice(invoice_id=taken, reason="Wrong recipient")
    tenant.remove_invoice(invoice_id=removed, reason="A copy")
    clock.tick(3600)
    records, cursor = poll(session, clock.now, cursor)
    news = {each.identifier.external_id: each for each in (understand(record, mappings()) for record in records)}
    assert {invoice_id: (each.signals, each.source_status) for invoice_id, each in news.items()} == {
        taken: (("abandoned",), "Returned"),
        removed: (("abandoned",), "Removed"),
    }
    assert news[taken].document is None
    clock.tick(3600)
    again, _ = poll(session, clock.now, cursor)
    assert {record.version for record in again} <= {record.version for record in records}


def test_history_from_before_the_connection_is_not_read(session, tenant, clock):
    tenant.return_invoice(invoice_id=received(tenant), reason="Long ago")
    clock.tick(86_400)
    assert poll(session, clock.now)[0] == []


def test_hundreds_of_invoices_come_in_pages_and_none_is_lost_while_others_are_taken(session, tenant, clock):
    ids = []
    for place in range(250):
        ids.append(received(tenant, f"RE-{place}", lines=LINES[:1]))
        clock.tick(1)
    page = read_invoices(session, {}, clock.now)
    assert (len(page.records), page.more) == (100, True)
    seen = {record.external_id for record in page.records}
    for record in page.records[:50]:
        run(session, "acknowledge_invoice", ask(understand(record, mappings()).document, clock))
    records, cursor = poll(session, clock.now, page.cursor)
    again, _ = poll(session, clock.now, cursor)
    assert seen | {record.external_id for record in records} == set(ids)
    assert len(again) == 200


def test_a_token_that_has_ended_begins_the_queue_anew_at_the_next_poll(session, tenant, clock):
    for place in range(101):
        received(tenant, f"RE-{place}", lines=LINES[:1])
    page = read_invoices(session, {}, clock.now)
    tenant._continuations.clear()
    page = read_invoices(session, page.cursor, clock.now)
    assert (page.records, page.more, page.complete_until) == ((), False, None)
    assert len(poll(session, clock.now, page.cursor)[0]) == 101


def test_the_same_token_twice_is_an_error_and_no_endless_reading(tenant, clock):
    class Stuck(Basware):
        """A tenant whose pages all lead to the same one."""

        def new_id(self, kind):
            return "c" * 32 if kind == "continuation" else super().new_id(kind)

    tenant = Stuck(Ledger(), clock, Random(1))
    for place in range(201):
        received(tenant, f"RE-{place}", lines=LINES[:1])
    session = opened_on({"basware": tenant})
    page = read_invoices(session, {}, clock.now)
    with pytest.raises(TransientError, match="same continuation token twice"):
        read_invoices(session, page.cursor, clock.now)
    session.close()


# Where answers are fetched


def test_the_token_is_not_shown_where_a_redirect_leads(tenant, clock):
    tenant.file_host = "files.basware"
    received(tenant)
    heads = []

    class Files:
        """Another host, which keeps what it is shown."""

        def handle(self, request):
            heads.append(request.headers)
            return tenant.handle(request)

    session = opened_on({"basware": tenant, "files.basware": Files()}, redirect_hosts="files.basware, other.example")
    assert len(news_of(session, clock.now)) == 1
    assert heads
    assert not any(name in head for head in heads for name in ("authorization", "x-without-token"))
    session.close()


@pytest.mark.parametrize(
    "location",
    [
        "https://elsewhere.example/files/1",
        "http://basware/files/1",
        "https://basware:8443/files/1",
        "https://basware@elsewhere.example/files/1",
        "//elsewhere.example/files/1",
        "http://trusted.example/files/1",
    ],
)
def test_an_untrusted_host_is_never_asked(tenant, clock, location):
    class Astray(Basware):
        """A tenant that sends its callers away."""

        def _redirect(self, rows, headers):
            return Response(302, headers={"Location": location})

    astray = Astray(Ledger(), clock, Random(1))
    received(astray)
    session = opened_on({"basware": astray}, redirect_hosts="trusted.example")
    with pytest.raises(ConfigurationError, match="not told to trust"):
        read_invoices(session, {}, clock.now)
    session.close()


def test_a_circle_of_redirects_ends(tenant, clock):
    class Circle(Basware):
        """A tenant whose files redirect to themselves."""

        def get_file(self, request, file_id):
            return Response(302, headers={"Location": request.path})

        get_file.routes = Basware.get_file.routes

    circle = Circle(Ledger(), clock, Random(1))
    received(circle)
    session = opened_on({"basware": circle})
    with pytest.raises(TransientError, match="in a circle"):
        read_invoices(session, {}, clock.now)
    session.close()


def test_a_prepared_file_that_is_gone_is_asked_for_again_later(tenant, clock):
    class Forgetful(Basware):
        """A tenant whose files are gone at once."""

        def _redirect(self, rows, headers):
            answer = super()._redirect(rows, headers)
            self._files.clear()
            return answer

    forgetful = Forgetful(Ledger(), clock, Random(1))
    received(forgetful)
    session = opened_on({"basware": forgetful})
    with pytest.raises(TransientError, match="Request has expired"):
        read_invoices(session, {}, clock.now)
    session.close()


# What cannot be understood


@pytest.mark.parametrize("status", sorted(PROCESSING_STATUSES))
def test_every_status_word_of_the_vendor_has_a_meaning(session, tenant, clock, status):
    news = understand(one_record(session, tenant, clock, processingStatus=status), mappings())
    word = PROCESSING_STATUSES[status]
    assert (news.signals, news.ignore, news.document is not None) == (word.signals, word.ignore, word.take)
    assert word.take + bool(word.signals) + bool(word.ignore) == 1


def test_an_unknown_status_word_is_never_guessed(session, tenant, clock):
    with pytest.raises(MappingError, match="'Parked'") as refused:
        understand(one_record(session, tenant, clock, processingStatus="Parked"), mappings())
    assert (refused.value.code, refused.value.facts["value"]) == ("status_unmapped", "Parked")


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("invoiceId", ..., "contract_change"),
        ("supplierCode", ..., "contract_change"),
        ("supplierCode", {"value": "100200"}, "contract_change"),
        ("lastUpdated", ..., "contract_change"),
        ("lastUpdated", "2026-03-02T09:00:00", "field_invalid"),
        ("lastUpdated", "0001-01-01T00:00:00+14:00", "field_invalid"),
        ("lastUpdated", "yesterday", "field_invalid"),
        ("processingStatus", 5, "contract_change"),
        ("grossSum", "1202.02", "contract_change"),
        ("grossSum", True, "contract_change"),
        ("grossSum", ..., "field_invalid"),
        ("grossSum", 1202.03, "lines_do_not_sum"),
        ("netSum", 1010.101, "lines_do_not_sum"),
        ("currencyCode", "EUX", "currency_unknown"),
        ("organizationCode", "DE-PLNT", "value_unmapped"),
        ("organizationCode", ..., "field_invalid"),
        ("invoiceNumber", ..., "field_invalid"),
        ("invoiceNumber", "", "field_invalid"),
        ("invoiceDate", "27.02.2026", "field_invalid"),
        ("invoiceDate", "0001-01-01T00:00:00", "field_invalid"),
        ("dueDate", ..., "field_invalid"),
        ("dueDate", 20260331, "contract_change"),
        ("taxSum1", ..., "lines_do_not_sum"),
        ("invoiceLines", {}, "contract_change"),
        ("invoiceLines", ["x"], "contract_change"),
        ("supplierName", "Stra\ufffde", "field_invalid"),
    ],
)
def test_a_field_that_cannot_be_read_is_named_with_its_kind(session, tenant, clock, field, value, code):
    record = one_record(session, tenant, clock, **{field: value})
    with pytest.raises(MappingError) as refused:
        understand(record, mappings())
    assert refused.value.code == code
    assert refused.value.code in KINDS


@pytest.mark.parametrize(
    ("field", "value", "code"), [("orderRowNumber", "10a", "field_invalid"), ("netSum", "1", "contract_change")]
)
def test_a_line_that_cannot_be_read_is_named(session, tenant, clock, field, value, code):
    received(tenant)
    (record,) = poll(session, clock.now)[0]
    lines = json.loads(record.body)["invoiceLines"]
    lines[0][field] = value
    with pytest.raises(MappingError) as refused:
        understand(Record("invoice", "1", "1", None, altered(record.body, {"invoiceLines": lines})), mappings())
    assert (refused.value.code, refused.value.facts["field"]) == (code, field)


def test_what_has_left_need_not_be_readable(session, tenant, clock):
    record = one_record(session, tenant, clock, processingStatus="Returned", grossSum="?", supplierCode=...)
    assert understand(record, mappings()).signals == ("abandoned",)


@pytest.mark.parametrize("drift", ["renamed", "removed", "retyped"])
def test_a_release_that_changes_a_field_parks_the_changed_invoices_alone(session, tenant, clock, drift):
    received(tenant, "RE-1")
    clock.tick()
    tenant.faults.schema_drift = drift
    received(tenant, "RE-2")
    before, after = poll(session, clock.now)[0]
    assert understand(before, mappings()).document.supplier_invoice_number == "RE-1"
    with pytest.raises(MappingError) as refused:
        understand(after, mappings())
    assert (refused.value.code, refused.value.facts["field"]) == ("contract_change", "supplierCode")
    shown = sketch(after)
    assert (shown.number, shown.amount, shown.currency, shown.company_code) == ("RE-2", "1202.02", "EUR", "1010")
    assert shown.title == "Invoice RE-2 of Pump Works"


def test_a_new_field_disturbs_nobody(session, tenant, clock):
    tenant.faults.schema_drift = "added"
    received(tenant)
    assert len(news_of(session, clock.now)) == 1


def test_invoices_told_twice_and_out_of_order_have_one_version_each(session, tenant, clock):
    for place in range(3):
        received(tenant, f"RE-{place}")
        clock.tick(1)
    tenant.faults.duplicate_news_share = tenant.faults.out_of_order_share = 1.0
    records, _ = poll(session, clock.now)
    assert len(records) == 6
    assert len({(record.kind, record.external_id, record.version) for record in records}) == 3


def test_an_invoice_without_an_id_still_comes_out_and_can_be_parked(session, tenant, clock):
    invoice_id = received(tenant)
    tenant.invoices.rows[invoice_id]["invoiceId"] = ""
    (record,) = poll(session, clock.now)[0]
    assert (record.external_id, len(record.version)) == ("", 64)
    assert sketch(record) is None


def test_an_invoice_without_a_time_still_has_a_version(session, tenant, clock):
    invoice_id = received(tenant)
    tenant.drift._field = "lastUpdated"
    tenant.faults.schema_drift = "removed"
    (record,) = poll(session, clock.now)[0]
    assert (record.external_id, len(record.version), record.source_at) == (invoice_id, 64, None)


@pytest.mark.parametrize("time", ["9999-12-31T00:00:00Z", "soon"])
def test_an_invoice_with_an_impossible_time_does_not_carry_the_cursor_away(clock, time):
    class Untimely(Basware):
        """A tenant that sends impossible times."""

        def _view(self, row):
            return super()._view(row) | {"lastUpdated": time}

    untimely = Untimely(Ledger(), clock, Random(1))
    received(untimely)
    session = opened_on({"basware": untimely})
    (record,), cursor = poll(session, clock.now)
    assert record.version == f"{time}/WaitingForTransfer"
    assert cursor["since"] <= "2026-03-02T09:00:00.000Z"
    session.close()


def test_half_a_character_parks_one_invoice_and_not_the_page(session, tenant, clock):
    received(tenant, "RE-1", supplier_name="Pump \ud83d Works")
    received(tenant, "RE-2")
    problems = []
    for record in poll(session, clock.now)[0]:
        try:
            understand(record, mappings())
        except MappingError as error:
            problems.append((error.code, str(error)))
    assert problems == [("field_invalid", "The invoice contains bytes that are not UTF-8.")]


@given(
    body=st.binary(max_size=200)
    | st.builds(
        lambda x: json.dumps(x).encode(),
        st.dictionaries(st.sampled_from(["invoiceNumber", "grossSum"]), st.integers() | st.lists(st.none())),
    ),
    external_id=st.text(max_size=5),
)
def test_a_sketch_never_raises(body, external_id):
    sketch(Record("invoice", external_id, "1", None, body))


# Answering


def test_an_invoice_is_taken_over_once(session, tenant, clock, invoice):
    assert tenant.invoices.rows[invoice.number]["processingStatus"] == "TransferInProgress"
    again = run(session, "acknowledge_invoice", ask(invoice, clock))
    assert again.facts == {"acknowledged_at": "2026-03-02T09:00:00+00:00"}


def test_an_acknowledgement_whose_reply_was_lost_can_be_repeated(session, tenant, clock):
    received(tenant)
    document = news_of(session, clock.now)[0].document
    tenant.faults.only_writes, tenant.faults.next_replies_lost = True, 1
    with pytest.raises(AnswerLost):
        run(session, "acknowledge_invoice", ask(document, clock))
    assert run(session, "acknowledge_invoice", ask(document, clock)).facts["acknowledged_at"]


def test_an_invoice_that_was_returned_meanwhile_cannot_be_taken_over(session, tenant, clock):
    invoice_id = received(tenant)
    document = news_of(session, clock.now)[0].document
    tenant.return_invoice(invoice_id=invoice_id, reason="Wrong recipient")
    with pytest.raises(BusinessRejection, match="it is Returned"):
        run(session, "acknowledge_invoice", ask(document, clock))


def test_an_invoice_nobody_knows_is_refused_in_the_vendors_words(session, clock, invoice):
    gone = invoice.model_copy(update={"number": "0" * 32})
    with pytest.raises(BusinessRejection, match="is not found"):
        run(session, "acknowledge_invoice", ask(gone, clock))
    with pytest.raises(BusinessRejection, match="no invoice 0000"):
        run(session, "return_match_result", ask(gone, clock, **POSTED))


def test_a_posting_is_returned_with_its_numbers_and_its_block(session, tenant, clock, invoice):
    question = ask(invoice, clock, **POSTED, payment_block="R")
    assert run(session, "return_match_result", question).facts == {"returned_at": "2026-03-02T09:00:00+00:00"}
    row = tenant.invoices.rows[invoice.number]
    assert (row["processingStatus"], row["paymentBlock"]) == ("Transferred", True)
    (answer,) = row["transferResponses"]
    assert answer == {
        "externalCode": question.reference(20),
        "sourceSystem": "finsync",
        "success": True,
        "responseMessage": "Matched and posted in the ERP as 5105600001/2026. Blocked for payment (R).",
        "voucherNumber1": "5105600001/2026",
        "voucherNumber2": "1900000001",
        "transferDate": "2026-03-02T00:00:00Z",
        "paymentBlock": True,
    }


@pytest.mark.parametrize("lost", ["next_replies_lost", "next_requests_lost", ""])
def test_a_posting_is_returned_once_whatever_is_lost(session, tenant, clock, invoice, lost):
    question = ask(invoice, clock, **POSTED)
    if lost:
        tenant.faults.only_writes = True
        setattr(tenant.faults, lost, 1)
        with pytest.raises(AnswerLost):
            run(session, "return_match_result", question)
    run(session, "return_match_result", question)
    run(session, "return_match_result", question)
    assert len(tenant.invoices.rows[invoice.number]["transferResponses"]) == 1


def test_another_posting_under_our_reference_is_a_conflict(session, tenant, clock, invoice):
    run(session, "return_match_result", ask(invoice, clock, **POSTED))
    with pytest.raises(BusinessRejection) as refused:
        run(session, "return_match_result", ask(invoice, clock, erp_invoice_number="5105600002/2026"))
    assert refused.value.code == "effect_conflict"
    assert refused.value.facts == {"voucherNumber1": "5105600001/2026 instead of 5105600002/2026"}


def test_an_invoice_somebody_else_transferred_is_refused_with_the_vendors_reason(session, tenant, clock, invoice):
    row = tenant.invoices.rows[invoice.number]
    tenant.save(row, processingStatus="Transferred")
    with pytest.raises(BusinessRejection, match="not allowed for an invoice that is Transferred") as refused:
        run(session, "return_match_result", ask(invoice, clock, **POSTED))
    assert (refused.value.code, refused.value.facts["vendor_code"]) == ("refused", "DATA_VALIDATION_FAILED")


def test_an_answer_outside_the_schema_is_refused_as_a_change_of_contract(session, clock, invoice):
    with pytest.raises(BusinessRejection, match="voucherNumber1 is not a text of at most 25") as refused:
        run(session, "return_match_result", ask(invoice, clock, erp_invoice_number="5" * 26))
    assert refused.value.code == "contract_change"


def test_a_refusal_is_returned_once_with_its_reason(session, tenant, clock, invoice):
    question = ask(invoice, clock, "return_refusal", refusal_reason="The reviewer refused: price too high. " * 10)
    run(session, "return_refusal", question)
    run(session, "return_refusal", question)
    row = tenant.invoices.rows[invoice.number]
    assert row["processingStatus"] == "TransferFailed"
    (answer,) = row["transferResponses"]
    assert (answer["success"], len(answer["responseMessage"])) == (False, 250)


def test_a_corrected_invoice_can_be_refused_a_second_time(session, tenant, clock, invoice):
    question = ask(invoice, clock, "return_refusal", refusal_reason="Price too high.")
    run(session, "return_refusal", question)
    tenant.correct_invoice(invoice_id=invoice.number, tax="191.92")
    run(session, "acknowledge_invoice", question)
    run(session, "return_refusal", question)
    run(session, "return_refusal", question)
    row = tenant.invoices.rows[invoice.number]
    codes = [answer["externalCode"] for answer in row["transferResponses"]]
    assert codes == [question.reference(20), f"{question.reference(20)}-2"]
    assert row["processingStatus"] == "TransferFailed"


def paid(session, clock, invoice):
    run(session, "return_match_result", ask(invoice, clock, **POSTED))
    return ask(invoice, clock, "return_payment_status", cleared_on="2026-03-20", clearing_document="2000000001")


def test_a_payment_is_returned_without_clearing_what_is_known_about_it(session, tenant, clock, invoice):
    run(session, "return_payment_status", paid(session, clock, invoice))
    row = tenant.invoices.rows[invoice.number]
    assert (row["processingStatus"], row["paymentTermCode"], row["paymentMethod"]) == ("Paid", "NT30", "BankTransfer")
    (answer,) = row["paymentResponses"]
    assert (answer["paymentDate"], answer["paidTotal"]) == ("2026-03-20T00:00:00Z", 1202.02)
    assert answer["paymentDocument"] == "2000000001"


@pytest.mark.parametrize("lost", ["next_replies_lost", "next_requests_lost", ""])
def test_a_payment_is_returned_once_whatever_is_lost(session, tenant, clock, invoice, lost):
    question = paid(session, clock, invoice)
    if lost:
        tenant.faults.only_writes = True
        setattr(tenant.faults, lost, 1)
        with pytest.raises(AnswerLost):
            run(session, "return_payment_status", question)
    run(session, "return_payment_status", question)
    run(session, "return_payment_status", question)
    assert len(tenant.invoices.rows[invoice.number]["paymentResponses"]) == 1


@pytest.mark.parametrize("operation", ["return_match_result", "return_payment_status"])
def test_an_answer_that_arrives_while_it_is_sent_again_is_found_after_the_refusal(
    tenant, clock, session, invoice, operation
):
    kind = {"return_match_result": "transferResponses", "return_payment_status": "paymentResponses"}[operation]
    question = paid(session, clock, invoice) if "payment" in operation else ask(invoice, clock, **POSTED)

    class Late:
        """The network, where the first try arrives just before the second."""

        def handle(self, request):
            if request.method == "POST" and request.path.endswith(kind):
                assert tenant.handle(request).status == 200
            return tenant.handle(request)

    late = opened_on({"basware": Late()})
    assert run(late, operation, question).facts["returned_at"]
    assert len(tenant.invoices.rows[invoice.number][kind]) == 1
    late.close()


def test_another_payment_under_our_reference_is_a_conflict(session, clock, invoice):
    run(session, "return_payment_status", paid(session, clock, invoice))
    other = invoice.model_copy(update={"gross_amount": Decimal("1202.03")})
    with pytest.raises(BusinessRejection) as refused:
        run(session, "return_payment_status", ask(other, clock, "return_payment_status", cleared_on=date(2026, 3, 20)))
    assert refused.value.code == "effect_conflict"


def test_only_invoices_are_paid(session, clock):
    requisition = Requisition.model_construct(number="1042")
    with pytest.raises(TypeError):
        run(session, "return_payment_status", ask(requisition, clock, cleared_on="2026-03-20"))


# When the call goes wrong


@pytest.mark.parametrize("wait", [None, 30.0])
def test_a_throttled_call_is_repeated_later(session, tenant, clock, wait):
    tenant.faults.next_throttled, tenant.faults.retry_after_s = 1, wait
    with pytest.raises(TransientError) as refused:
        read_invoices(session, {}, clock.now)
    assert (refused.value.code, refused.value.retry_after_s) == ("rate_limited", wait)
    assert read_invoices(session, {}, clock.now).records == ()


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_failing_server_leaves_the_cursor_where_it_is(session, tenant, clock, status):
    tenant.faults.next_errors, tenant.faults.error_status = 1, status
    with pytest.raises(TransientError):
        read_invoices(session, {}, clock.now)


def test_an_outage_is_waited_for(session, tenant, clock):
    tenant.faults.outage = True
    with pytest.raises(TransientError):
        read_invoices(session, {}, clock.now)


def test_a_question_basware_does_not_understand_stops_the_system(session, clock):
    with pytest.raises(ConfigurationError, match="not a processing status"):
        read_invoices(session, {"status": "Waiting"}, clock.now)


def test_an_answer_that_holds_no_documents_is_not_taken(tenant, clock):
    class Empty(Basware):
        """A tenant whose files say nothing."""

        def get_file(self, request, file_id):
            return Response(200, b'{"accountingDocuments": "soon"}')

        get_file.routes = Basware.get_file.routes

    empty = Empty(Ledger(), clock, Random(1))
    received(empty)
    session = opened_on({"basware": empty})
    with pytest.raises(TransientError, match="no documents"):
        read_invoices(session, {}, clock.now)
    session.close()


def test_a_refusal_in_no_known_form_is_shown_as_it_is(tenant, clock, session, invoice):
    class Gateway:
        """Something between us and Basware that refuses in its own words."""

        def handle(self, request):
            posts = request.method == "POST" and request.path != "/v1/tokens"
            return Response(400, b"<html>Request blocked</html>") if posts else tenant.handle(request)

    blocked = opened_on({"basware": Gateway()})
    with pytest.raises(BusinessRejection, match="Request blocked") as refused:
        run(blocked, "return_match_result", ask(invoice, clock, **POSTED))
    assert refused.value.code == "refused"
    blocked.close()


def test_an_expired_token_is_renewed_by_itself(session, tenant, clock):
    received(tenant)
    poll(session, clock.now)
    clock.tick(7200)
    assert len(poll(session, clock.now)[0]) == 1
    assert tenant.calls["POST /v1/tokens"] == 2


def test_wrong_credentials_stop_the_system(tenant, clock):
    session = opened_on({"basware": tenant}, secret="old")
    with pytest.raises(ConfigurationError, match="refuses our credentials"):
        read_invoices(session, {}, clock.now)
    session.close()


def test_it_works_the_same_over_a_real_port(tenant, clock):
    server = StandinServer(tenant).start()
    try:
        access = Access(server.url, credentials=lambda: ("finsync", "sandbox"))
        session = connect(access, timer=Stopwatch())
        received(tenant, supplier_name="Pumpenbau Müller & Söhne ✓")
        document = news_of(session, clock.now)[0].document
        assert document.supplier_name == "Pumpenbau Müller & Söhne ✓"
        run(session, "acknowledge_invoice", ask(document, clock))
        tenant.faults.only_writes, tenant.faults.next_replies_lost = True, 1
        with pytest.raises(AnswerLost):
            run(session, "return_match_result", ask(document, clock, **POSTED))
        run(session, "return_match_result", ask(document, clock, **POSTED))
        assert len(tenant.invoices.rows[document.number]["transferResponses"]) == 1
        session.close()
    finally:
        server.stop()


# The declaration


def test_the_system_states_what_the_engine_has_to_know():
    assert (SYSTEM.name, SYSTEM.role.value) == ("basware", "ap_automation")
    assert set(SYSTEM.operations) == {
        "acknowledge_invoice",
        "return_match_result",
        "return_refusal",
        "return_payment_status",
    }
    assert SYSTEM.feed("invoices").interval_s == 120
    assert (SYSTEM.requests_per_s, SYSTEM.burst, SYSTEM.max_in_flight, SYSTEM.quiet_period_s) == (10, 20, 8, 10)


def test_every_error_code_leads_to_a_kind_of_exception():
    assert set(ERROR_CODES.values()) <= set(KINDS)


def test_the_words_are_the_vendors():
    if not CONTRACT.exists():
        pytest.skip("the vendor's OpenAPI document is not beside the repository")
    schemas = json.loads(CONTRACT.read_text(encoding="utf-8"))["components"]["schemas"]
    entity = schemas["AccountingDocumentEntity"]
    assert set(PROCESSING_STATUSES) == set(entity["properties"]["processingStatus"]["enum"])
    assert set(entity["required"]) <= set(REQUIRED)
    assert set(ERROR_CODES) <= set(schemas["ErrorEntity"]["properties"]["code"]["enum"])
