"""The Basware stand-in: whether it speaks and behaves as the vendor's OpenAPI documents say."""

import json
from base64 import b64encode
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from urllib.parse import quote, urlencode

import pytest

from sandbox.basware.api import CODING_ROWS_PER_PAGE, Basware
from sandbox.basware.tenant import PROCESSING_STATUSES
from sandbox.ledger import Ledger
from sandbox.wire import Request

CONTRACT = Path(__file__).parents[2].parent / "shared" / "contracts" / "ap_automation" / "basware-p2p-openapi.json"
API = "/v1/accountingDocuments"
SCOPE = "accountingDocuments.read accountingDocuments.write"


class Clock:
    def __init__(self):
        self.now = datetime(2026, 3, 2, 9, 0, 0, 123_456, tzinfo=UTC)

    def __call__(self):
        return self.now

    def tick(self, seconds=1.0):
        self.now += timedelta(seconds=seconds)


class Caller:
    """Somebody with a token."""

    def __init__(self, tenant, scope=SCOPE):
        self.tenant = tenant
        self.token = json.loads(ask_for_token(tenant, scope=scope).body).get("access_token", "")

    def __call__(self, method, url, body=None, headers=None, **params):
        head = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **(headers or {})}
        data = b"" if body is None else json.dumps(body).encode()
        return self.tenant.handle(Request.of(method, f"{url}?{urlencode(params, quote_via=quote)}", head, data))

    def follow(self, url, headers=None, **params):
        """The file behind a redirect, fetched as it has to be."""
        redirect = self("GET", url, headers=headers, **params)
        assert redirect.status == 302, redirect
        file = self.tenant.handle(Request.of("GET", redirect.headers["Location"], {}))
        assert file.status == 200, file.body
        return file

    def documents(self, url=API, **params):
        return json.loads(self.follow(url, **params).body)["accountingDocuments"]


def ask_for_token(tenant, client="finsync:sandbox", scope=SCOPE, grant="client_credentials"):
    head = {"Authorization": f"Basic {b64encode(client.encode()).decode()}"}
    form = urlencode({"grant_type": grant, "scope": scope})
    return tenant.handle(Request.of("POST", "/v1/tokens", head, form.encode()))


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def tenant(clock):
    return Basware(Ledger(), clock, Random(1))


@pytest.fixture
def api(tenant):
    return Caller(tenant)


LINE = {
    "order_number": "4500000001",
    "order_line": 10,
    "description": "Overhaul",
    "quantity": "2",
    "unit": "EA",
    "unit_price": "500.05",
    "amount": "1000.10",
}


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
            "tax": "190.02",
            "lines": [LINE],
            **changes,
        }
    )


def transfer(**changes):
    answer = {"externalCode": "T1", "success": True, "responseMessage": "Posted.", "paymentBlock": False}
    return {**answer, "voucherNumber1": "5105600001", "voucherNumber2": "1900000001", **changes}


def payment(**changes):
    return {"externalCode": "P1", "success": True, "paymentBlock": False, "paidTotal": 1190.12, **changes}


# Tokens


def test_a_token_needs_both_a_grant_type_and_a_scope(tenant):
    refused = ask_for_token(tenant, scope="")
    assert (refused.status, json.loads(refused.body)["error_description"]) == (400, "scope field required")
    assert ask_for_token(tenant, grant="").status == 400
    assert ask_for_token(tenant, scope="payments.write").status == 400


@pytest.mark.parametrize("client", ["finsync:guess", ""])
def test_a_wrong_client_gets_no_token(tenant, client):
    refused = ask_for_token(tenant, client=client)
    assert (refused.status, json.loads(refused.body)) == (401, {"error": "invalid_client"})


def test_a_client_that_is_not_base64_gets_no_token(tenant):
    request = Request.of("POST", "/v1/tokens", {"Authorization": "Basic ?"}, b"grant_type=client_credentials&scope=x")
    assert tenant.handle(request).status == 401


def test_a_token_ends_after_an_hour(api, tenant, clock):
    received(tenant)
    clock.tick(3599)
    assert api("GET", API).status == 302
    clock.tick(1)
    refused = api("GET", API)
    assert (refused.status, json.loads(refused.body)["errors"][0]["code"]) == (401, "ACCESS_TOKEN_VALIDATION_ERROR")


def test_a_token_opens_only_what_its_scope_says(tenant):
    invoice = received(tenant)
    reader = Caller(tenant, "accountingDocuments.read")
    assert reader("GET", f"{API}/{invoice}").status == 302
    assert reader("POST", f"{API}/{invoice}/acknowledge").status == 401


# Reading


def test_no_invoices_is_404_and_no_error(api):
    answer = api("GET", API, ProcessingStatus="WaitingForTransfer")
    assert (answer.status, answer.body) == (404, b"")


def test_a_list_is_a_redirect_to_a_file_that_takes_no_token(api, tenant, clock):
    received(tenant)
    location = api("GET", API, ProcessingStatus="WaitingForTransfer").headers["Location"]
    assert api("GET", location).status == 400
    assert tenant.handle(Request.of("GET", location, {})).status == 200
    clock.tick(60)
    assert tenant.handle(Request.of("GET", location, {})).status == 403


def test_files_can_lie_on_another_host(clock):
    tenant = Basware(Ledger(), clock, Random(1), file_host="files.example")
    received(tenant)
    assert Caller(tenant)("GET", API).headers["Location"].startswith("https://files.example/files/")


def test_an_invoice_carries_its_figures_as_numbers_and_its_days_as_midnights(api, tenant):
    invoice = received(tenant)
    (document,) = api.documents(ProcessingStatus="WaitingForTransfer")
    assert document["invoiceId"] == invoice
    assert (document["netSum"], document["taxSum1"], document["grossSum"]) == (1000.1, 190.02, 1190.12)
    assert (document["invoiceDate"], document["dueDate"]) == ("2026-02-27T00:00:00Z", "2026-03-31T00:00:00Z")
    assert document["lastUpdated"] == "2026-03-02T09:00:00.123Z"
    assert document["orderNumbers"] == ["4500000001"]
    assert document["invoiceLines"][0]["netPrice"] == 500.05
    assert document["codingRows"][0]["orderLineNumber"] == "10"
    assert "voucherNumber1" not in document
    assert not any(name.startswith("_") for name in document)


def test_without_the_tenants_switch_only_coding_rows_are_sent(api, tenant):
    received(tenant)
    tenant.sends_invoice_lines = False
    (document,) = api.documents()
    assert "invoiceLines" not in document
    assert document["codingRows"]


def test_the_status_filter_has_a_capital_p_and_another_spelling_filters_nothing(api, tenant):
    taken, _ = received(tenant, "RE-1"), received(tenant, "RE-2")
    api("POST", f"{API}/{taken}/acknowledge")
    assert len(api.documents(ProcessingStatus="WaitingForTransfer")) == 1
    assert len(api.documents(processingStatus="WaitingForTransfer")) == 2


def test_lists_can_be_narrowed_by_company_and_by_time(api, tenant, clock):
    received(tenant, "RE-1")
    clock.tick(60)
    received(tenant, "RE-2", company_code="2020")
    assert [each["invoiceNumber"] for each in api.documents(companyCode="1010")] == ["RE-1"]
    assert [each["invoiceNumber"] for each in api.documents(lastUpdated="2026-03-02T09:00:30Z")] == ["RE-2"]
    assert api("GET", API, lastUpdated="2026-03-02T09:01:00.123Z").status == 404
    assert api("GET", API, p2pProcessingMode="InvoiceEnrichment").status == 404


@pytest.mark.parametrize(
    "params", [{"pageSize": "101"}, {"pageSize": "0"}, {"ProcessingStatus": "Waiting"}, {"lastUpdated": "today"}]
)
def test_arguments_outside_their_range_are_refused(api, params):
    refused = api("GET", API, **params)
    assert (refused.status, json.loads(refused.body)["errors"][0]["code"]) == (400, "PARAMETER_VALIDATION_ERROR")


def test_pages_are_continued_by_a_token_in_the_files_head(api, tenant, clock):
    for place in range(5):
        received(tenant, f"RE-{place}")
        clock.tick()
    seen, token = [], ""
    for _ in range(3):
        head = {"x-amz-meta-continuationtoken": token} if token else {}
        file = api.follow(API, headers=head, pageSize="2")
        seen += [document["invoiceNumber"] for document in json.loads(file.body)["accountingDocuments"]]
        token = file.headers.get("x-amz-meta-continuationToken", "")
    assert seen == [f"RE-{place}" for place in range(5)]
    assert token == ""
    assert api("GET", API, headers={"x-amz-meta-continuationtoken": "0" * 32}).status == 400


def test_a_page_of_heavy_invoices_holds_fewer_of_them(api, tenant, clock):
    for place in range(3):
        received(tenant, f"RE-{place}", lines=[LINE] * (CODING_ROWS_PER_PAGE // 2))
        clock.tick()
    file = api.follow(API)
    assert len(json.loads(file.body)["accountingDocuments"]) == 2
    assert "x-amz-meta-continuationToken" in file.headers


def test_one_invoice_can_be_read_by_its_id(api, tenant):
    invoice = received(tenant)
    assert api.documents(f"{API}/{invoice}")[0]["invoiceNumber"] == "RE-1"
    assert api("GET", f"{API}/{'0' * 32}").status == 404


def test_the_status_look_up_needs_all_three_arguments(api, tenant):
    invoice = received(tenant)
    asked = {"companyCode": "1010", "invoiceNumber": "RE-1", "invoiceDate": "2026-02-27"}
    for name in asked:
        assert api("GET", f"{API}/status", **{key: value for key, value in asked.items() if key != name}).status == 400
    assert json.loads(api("GET", f"{API}/status", **asked).body) == [
        {
            "invoiceId": invoice,
            "status": "InApprovalProcess",
            "processingStatus": "WaitingForTransfer",
            "lastUpdated": "2026-03-02T09:00:00.123Z",
        }
    ]
    assert api("GET", f"{API}/status", **asked, grossSum="1190.12").status == 200
    assert api("GET", f"{API}/status", **asked, grossSum="7").status == 404
    assert api("GET", f"{API}/status", **asked, grossSum="much").status == 400


# Answering


def test_an_acknowledged_invoice_leaves_the_list_and_cannot_be_acknowledged_again(api, tenant):
    invoice = received(tenant)
    assert api("POST", f"{API}/{invoice}/acknowledge").status == 200
    assert api("GET", API, ProcessingStatus="WaitingForTransfer").status == 404
    assert tenant.invoices.rows[invoice]["processingStatus"] == "TransferInProgress"
    again = api("POST", f"{API}/{invoice}/acknowledge")
    assert (again.status, json.loads(again.body)["errors"][0]["code"]) == (405, "METHOD_NOT_ALLOWED")


def test_a_posting_is_kept_with_its_voucher_numbers(api, tenant):
    invoice = received(tenant)
    assert api("POST", f"{API}/{invoice}/transferResponses", transfer(paymentBlock=True)).status == 200
    row = tenant.invoices.rows[invoice]
    assert (row["processingStatus"], row["voucherNumber1"], row["voucherNumber2"]) == (
        "Transferred",
        "5105600001",
        "1900000001",
    )
    assert row["paymentBlock"] is True


def test_once_transferred_no_answer_is_taken_any_more(api, tenant):
    invoice = received(tenant)
    api("POST", f"{API}/{invoice}/transferResponses", transfer())
    refused = api("POST", f"{API}/{invoice}/transferResponses", transfer(externalCode="T2"))
    assert (refused.status, json.loads(refused.body)["errors"][0]["type"]) == (400, "BUSINESS")


def test_a_failed_transfer_keeps_the_message_and_no_voucher_number(api, tenant):
    invoice = received(tenant)
    api("POST", f"{API}/{invoice}/transferResponses", transfer(success=False, responseMessage="Period closed"))
    row = tenant.invoices.rows[invoice]
    assert (row["processingStatus"], row["voucherNumber1"]) == ("TransferFailed", None)
    assert row["transferResponses"][0]["responseMessage"] == "Period closed"
    clash = api("POST", f"{API}/{invoice}/transferResponses", transfer())
    assert (clash.status, json.loads(clash.body)["errors"][0]["code"]) == (409, "CONFLICT_IN_POST")
    assert api("POST", f"{API}/{invoice}/transferResponses", transfer(externalCode="T2")).status == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"externalCode": ""},
        {"externalCode": "x" * 37},
        {"success": "yes"},
        {"responseMessage": ""},
        {"responseMessage": "x" * 251},
        {"voucherNumber1": 5105600001},
    ],
)
def test_an_answer_outside_the_schema_is_refused(api, tenant, wrong):
    invoice = received(tenant)
    refused = api("POST", f"{API}/{invoice}/transferResponses", transfer(**wrong))
    assert (refused.status, json.loads(refused.body)["errors"][0]["code"]) == (400, "SCHEMA_VALIDATION_ERROR")
    assert tenant.invoices.rows[invoice]["transferResponses"] == []


def test_an_answer_that_is_no_object_is_refused(api, tenant):
    url = f"{API}/{received(tenant)}/paymentResponses"
    assert api("POST", url, []).status == 400
    head = {"Authorization": f"Bearer {api.token}"}
    assert tenant.handle(Request.of("POST", url, head, b"{")).status == 400


def test_a_payment_in_full_pays_the_invoice_and_clears_what_it_does_not_repeat(api, tenant):
    invoice = received(tenant)
    assert api("POST", f"{API}/{invoice}/paymentResponses", payment()).status == 400
    api("POST", f"{API}/{invoice}/transferResponses", transfer())
    part = api("POST", f"{API}/{invoice}/paymentResponses", payment(paidTotal=500.0, paymentTermCode="NT30"))
    row = tenant.invoices.rows[invoice]
    assert (part.status, row["processingStatus"]) == (200, "Transferred")
    assert (row["paymentTermCode"], row["paymentMethod"]) == ("NT30", None)
    assert api("POST", f"{API}/{invoice}/paymentResponses", payment()).status == 409
    full = json.loads(api("POST", f"{API}/{invoice}/paymentResponses", payment(externalCode="P2")).body)
    assert full["paymentDate"] == "2026-03-02T09:00:00.123Z"
    assert (row["processingStatus"], row["paymentTermCode"]) == ("Paid", None)


def test_only_the_last_hundred_answers_are_kept(api, tenant):
    invoice = received(tenant)
    api("POST", f"{API}/{invoice}/transferResponses", transfer())
    for place in range(101):
        api("POST", f"{API}/{invoice}/paymentResponses", payment(externalCode=f"P{place}", paidTotal=1.0))
    codes = [answer["externalCode"] for answer in tenant.invoices.rows[invoice]["paymentResponses"]]
    assert (len(codes), codes[0]) == (100, "P1")


def test_an_invoice_that_waits_to_be_prebooked_is_prebooked(api, tenant):
    invoice = received(tenant)
    tenant.save(tenant.invoices.rows[invoice], processingStatus="WaitingForPrebook")
    assert api("POST", f"{API}/{invoice}/acknowledge").status == 200
    assert api("POST", f"{API}/{invoice}/prebookResponses", transfer()).status == 200
    assert tenant.invoices.rows[invoice]["processingStatus"] == "Prebooked"
    assert api("POST", f"{API}/{invoice}/prebookResponses", transfer(externalCode="T2")).status == 400


def test_unknown_paths_and_methods_are_answered_in_the_vendors_form(api, tenant):
    invoice = received(tenant)
    assert json.loads(api("GET", "/v1/vendor").body)["errors"][0]["code"] == "ENTITY_NOT_FOUND"
    assert api("DELETE", f"{API}/{invoice}").status == 405


# The screen


def test_a_corrected_invoice_is_offered_again_under_its_id(api, tenant, clock):
    invoice = received(tenant)
    api("POST", f"{API}/{invoice}/transferResponses", transfer(success=False))
    clock.tick()
    tenant.correct_invoice(invoice_id=invoice, lines=[LINE | {"unit_price": "400", "amount": "800.00"}], tax="152.00")
    (document,) = api.documents(ProcessingStatus="WaitingForTransfer")
    assert (document["invoiceId"], document["netSum"], document["grossSum"]) == (invoice, 800.0, 952.0)
    assert len(document["transferResponses"]) == 1
    tenant.correct_invoice(invoice_id=invoice, supplierCode="100300")
    (document,) = api.documents(ProcessingStatus="WaitingForTransfer")
    assert (document["supplierCode"], document["netSum"]) == ("100300", 800.0)


def test_an_invoice_can_be_returned_or_removed_until_it_is_posted(api, tenant):
    returned, removed, posted = (received(tenant, f"RE-{place}") for place in range(3))
    tenant.return_invoice(invoice_id=returned, reason="Wrong recipient")
    tenant.remove_invoice(invoice_id=removed, reason="A statement")
    api("POST", f"{API}/{posted}/transferResponses", transfer())
    assert api.documents(ProcessingStatus="Returned")[0]["removalReasonComment"] == "Wrong recipient"
    assert api.documents(ProcessingStatus="Removed")[0]["invoiceId"] == removed
    with pytest.raises(ValueError, match="RE-2 is Transferred"):
        tenant.return_invoice(invoice_id=posted, reason="Too late")


# Faults, memory, contract


@pytest.mark.parametrize(
    ("drift", "code", "extra"),
    [
        ("added", "100200", "release_marker"),
        ("renamed", None, "supplierCode_v2"),
        ("removed", None, None),
        ("retyped", {"value": "100200"}, None),
    ],
)
def test_a_release_changes_one_field_of_invoices_changed_since(api, tenant, clock, drift, code, extra):
    received(tenant, "RE-1")
    clock.tick()
    tenant.faults.schema_drift = drift
    clock.tick()
    received(tenant, "RE-2")
    before, after = api.documents()
    assert before["supplierCode"] == "100200"
    assert after.get("supplierCode") == code
    assert extra is None or extra in after


def test_an_unheard_of_drift_is_a_mistake_in_the_test(api, tenant):
    received(tenant)
    tenant.faults.schema_drift = "painted"
    received(tenant, "RE-2")
    with pytest.raises(ValueError, match="painted"):
        api("GET", API)


def test_invoices_can_be_told_twice_and_out_of_order(api, tenant, clock):
    for place in range(3):
        received(tenant, f"RE-{place}")
        clock.tick()
    tenant.faults.duplicate_news_share = tenant.faults.out_of_order_share = 1.0
    numbers = [document["invoiceNumber"] for document in api.documents()]
    assert len(numbers) == 6
    assert numbers != sorted(numbers)


def test_it_remembers_everything_after_it_was_closed_and_opened(tmp_path, clock):
    first = Basware(Ledger(tmp_path / "basware.db"), clock, Random(1))
    invoice = received(first)
    Caller(first)("POST", f"{API}/{invoice}/acknowledge")
    first.ledger.close()
    second = Basware(Ledger(tmp_path / "basware.db"), clock, Random(1))
    api = Caller(second)
    assert api.documents(ProcessingStatus="TransferInProgress")[0]["invoiceId"] == invoice
    assert received(second, "RE-2") != invoice
    second.correct_invoice(invoice_id=invoice, tax="0")
    assert api.documents(f"{API}/{invoice}")[0]["grossSum"] == 1000.1


def test_the_same_seed_gives_the_same_ids(clock):
    ids = [received(Basware(Ledger(), clock, Random(seed))) for seed in (7, 7, 8)]
    assert ids[0] == ids[1] != ids[2]


@pytest.fixture
def schemas():
    if not CONTRACT.exists():
        pytest.skip("the vendor's OpenAPI document is not beside the repository")
    return json.loads(CONTRACT.read_text(encoding="utf-8"))["components"]["schemas"]


def test_the_status_words_are_the_vendors(schemas):
    theirs = schemas["AccountingDocumentEntity"]["properties"]["processingStatus"]["enum"]
    assert set(PROCESSING_STATUSES) == set(theirs)
    assert len(PROCESSING_STATUSES) == 30


def test_every_field_of_an_invoice_is_the_vendors(api, tenant, schemas):
    invoice = received(tenant)
    api("POST", f"{API}/{invoice}/transferResponses", transfer())
    api("POST", f"{API}/{invoice}/paymentResponses", payment(paymentTermCode="NT30", paymentMethod="BankTransfer"))
    (document,) = api.documents(f"{API}/{invoice}")
    entity = schemas["AccountingDocumentEntity"]
    assert set(document) <= set(entity["properties"])
    assert set(entity["required"]) <= set(document)
    for field, schema in (
        ("invoiceLines", "InvoiceLine"),
        ("codingRows", "StandardCodingEntity"),
        ("transferResponses", "TransferResponseEntity"),
        ("paymentResponses", "PaymentResponseEntity"),
    ):
        for each in document[field]:
            assert set(each) <= set(schemas[schema]["properties"]), field
            assert set(schemas[schema].get("required", ())) <= set(each), field


def test_every_error_is_in_the_vendors_form(api, schemas):
    (error,) = json.loads(api("GET", API, pageSize="0").body)["errors"]
    properties = schemas["ErrorEntity"]["properties"]
    assert set(error) == set(properties)
    assert error["type"] in properties["type"]["enum"]
    assert error["code"] in properties["code"]["enum"]
