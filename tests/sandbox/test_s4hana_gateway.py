"""The S/4HANA stand-in speaks SAP Gateway's OData V2, the awkward parts included, and only names SAP itself has."""

import doctest
import json
import re
import xml.etree.ElementTree as ET
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from urllib.parse import quote

import pytest

from sandbox.ledger import Ledger
from sandbox.s4hana import S4Hana, wire
from sandbox.s4hana.wire import DAYS, DECIMALS, LENGTHS, MOMENTS, TIMES, UPPER_CASE
from sandbox.wire import Request

EDMX = Path(__file__).parents[2].parent / "shared" / "contracts" / "sap_s4hana" / "edmx"
ROOT = "/sap/opu/odata/sap/"
ORDERS, RECEIPTS, LINES = "API_PURCHASEORDER_PROCESS_SRV", "API_MATERIAL_DOCUMENT_SRV", "API_GLACCOUNTLINEITEM"
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TOKEN_FORM = b"grant_type=client_credentials&client_id=finsync&client_secret=sandbox"


class Clock:
    """Tells a time that only the test moves."""

    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now


class Gateway(S4Hana):
    """The stand-in with a company that can buy, and a caller who has logged on."""

    def __init__(self, **settings):
        super().__init__(Ledger(), Clock(), Random(5), **settings)
        self.add_company_code(code="1010", currency="EUR", controlling_area="A000")
        self.add_cost_centre(code="300", company_code="1010", valid_from=date(2020, 1, 1), valid_to=date(9999, 12, 31))
        self.add_supplier(
            number="10300080",
            name="Brenner Wartung",
            tax_id="DE811111111",
            country="DE",
            company_codes=["1010"],
            purchasing_organizations=["1010"],
            payment_terms="0030",
        )
        reply = self.handle(Request.of("POST", "/sap/bc/sec/oauth2/token", {}, TOKEN_FORM))
        self.headers = {"authorization": f"Bearer {json.loads(reply.body)['access_token']}", "host": "s4hana"}
        self.proof = self.fetch_proof()

    def fetch_proof(self):
        reply = self.ask("GET", f"{ORDERS}/", **{"x-csrf-token": "Fetch"})
        return {
            "x-csrf-token": reply.headers["x-csrf-token"],
            "cookie": reply.headers["Set-Cookie"].partition(";")[0],
        }

    def ask(self, method, path, body=None, **headers):
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return self.handle(Request.of(method, ROOT + path, {**self.headers, **headers}, content))

    def write(self, method, path, body=None, **headers):
        return self.ask(method, path, body, **{**self.proof, **headers})

    def get(self, path, **query):
        asked = "&".join(f"${name}={quote(value)}" for name, value in query.items())
        reply = self.ask("GET", f"{path}?{asked}")
        assert reply.status == 200, reply.body
        return json.loads(reply.body)["d"]

    def buy(self, reference="REF000000001", **headers):
        reply = self.write("POST", f"{ORDERS}/A_PurchaseOrder", order_body(reference), **headers)
        assert reply.status == 201, reply.body
        return json.loads(reply.body)["d"]

    def numbers(self, **query):
        return [row["PurchaseOrder"] for row in self.get(f"{ORDERS}/A_PurchaseOrder", **query)["results"]]


def order_body(reference="REF000000001", items=2):
    return {
        "CompanyCode": "1010",
        "PurchaseOrderType": "NB",
        "Supplier": "0010300080",
        "PurchasingOrganization": "1010",
        "CorrespncExternalReference": reference,
        "PurchaseOrderDate": "datetime'2026-03-02T00:00:00'",
        "to_PurchaseOrderItem": [
            {
                "PurchaseOrderItem": f"{number}0",
                "OrderQuantity": "10",
                "NetPriceAmount": "4.00",
                "AccountAssignmentCategory": "K",
                "to_AccountAssignment": {"results": [{"CostCenter": "0000000300"}]},
            }
            for number in range(1, items + 1)
        ],
    }


@pytest.fixture
def sap():
    return Gateway()


def error_of(reply):
    return json.loads(reply.body)["error"]


def test_a_call_without_a_token_shows_a_logon_error_in_html(sap):
    for wrong in ("", "Bearer nonsense", "Basic Zmluc3luYzp3cm9uZw=="):
        reply = sap.ask("GET", f"{ORDERS}/", authorization=wrong)
        assert (reply.status, reply.headers["Content-Type"]) == (401, "text/html; charset=utf-8")


def test_the_communication_user_may_come_in_by_basic_authentication(sap):
    assert sap.ask("GET", f"{ORDERS}/", authorization="Basic Zmluc3luYzpzYW5kYm94").status == 200


def test_a_token_expires(sap):
    sap.clock.now += timedelta(hours=1)
    assert sap.ask("GET", f"{ORDERS}/").status == 401


@pytest.mark.parametrize(
    ("form", "status"),
    [(TOKEN_FORM.replace(b"sandbox", b"guess"), 401), (b"grant_type=password&username=x&password=y", 400)],
)
def test_a_token_is_not_given_to_strangers(sap, form, status):
    assert sap.handle(Request.of("POST", "/sap/bc/sec/oauth2/token", {}, form)).status == status


def test_a_session_that_was_not_accepted_gets_a_logon_page_with_status_200(sap):
    sap.next_logon_pages = 1
    reply = sap.ask("GET", f"{ORDERS}/A_PurchaseOrder")
    assert (reply.status, reply.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert sap.ask("GET", f"{ORDERS}/A_PurchaseOrder").headers["Content-Type"] == "application/json"


def test_a_write_needs_the_csrf_token_of_its_own_session(sap):
    other = sap.fetch_proof()
    for wrong in ({}, {**sap.proof, "x-csrf-token": other["x-csrf-token"]}, {**sap.proof, "cookie": ""}):
        reply = sap.ask("POST", f"{ORDERS}/A_PurchaseOrder", order_body(), **wrong)
        assert (reply.status, reply.headers["x-csrf-token"]) == (403, "Required")
    assert sap.orders == {}
    assert sap.write("POST", f"{ORDERS}/A_PurchaseOrder", order_body()).status == 201


def test_a_session_ends_after_half_an_hour_without_a_write(sap):
    sap.clock.now += timedelta(minutes=29)
    sap.buy()
    sap.clock.now += timedelta(minutes=29)
    sap.buy()
    sap.end_sessions()
    assert sap.write("POST", f"{ORDERS}/A_PurchaseOrder", order_body()).status == 403


def test_an_entity_comes_with_metadata_etag_dates_and_decimals_as_gateway_writes_them(sap):
    number = sap.buy()["PurchaseOrder"]
    reply = sap.ask("GET", f"{ORDERS}/A_PurchaseOrder('{number}')")
    order = json.loads(reply.body)["d"]
    assert order["__metadata"] == {
        "id": f"http://s4hana{ROOT}{ORDERS}/A_PurchaseOrder('4500000001')",
        "uri": f"http://s4hana{ROOT}{ORDERS}/A_PurchaseOrder('4500000001')",
        "type": f"{ORDERS}.A_PurchaseOrderType",
        "etag": "W/\"datetimeoffset'2026-03-02T09%3A00%3A00.0000000Z'\"",
    }
    assert reply.headers["ETag"] == order["__metadata"]["etag"]
    assert order["PurchaseOrderDate"] == "/Date(1772409600000)/"
    assert order["LastChangeDateTime"] == "/Date(1772442000000+0000)/"
    assert order["to_PurchaseOrderItem"]["__deferred"]["uri"].endswith("('4500000001')/to_PurchaseOrderItem")


def test_expand_and_select_go_as_deep_as_they_are_asked_to(sap):
    sap.buy()
    order = sap.get(
        f"{ORDERS}/A_PurchaseOrder('4500000001')",
        expand="to_PurchaseOrderItem/to_AccountAssignment",
        select="PurchaseOrder,to_PurchaseOrderItem/PurchaseOrderItem,to_PurchaseOrderItem/to_AccountAssignment/CostCenter",
    )
    item = order["to_PurchaseOrderItem"]["results"][1]
    assert set(order) == {"__metadata", "PurchaseOrder", "to_PurchaseOrderItem"}
    assert item["PurchaseOrderItem"] == "20"
    assert item["to_AccountAssignment"]["results"][0]["CostCenter"] == "300"


def test_a_navigation_is_followed_and_an_item_is_found_with_or_without_leading_zeros(sap):
    sap.buy()
    assert len(sap.get(f"{ORDERS}/A_PurchaseOrder('4500000001')/to_PurchaseOrderItem")["results"]) == 2
    for item in ("10", "00010"):
        path = f"{ORDERS}/A_PurchaseOrderItem(PurchaseOrder='4500000001',PurchaseOrderItem='{item}')"
        assert sap.get(path)["PurchaseOrderItem"] == "10"


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("CorrespncExternalReference eq 'B'", [2]),
        ("CorrespncExternalReference eq 'A' or CorrespncExternalReference eq 'C'", [1, 3]),
        ("PurchaseOrder eq '4500000002'", [2]),
        ("PurchaseOrder ne '4500000002'", [1, 3]),
        ("not (PurchaseOrder eq '4500000002')", [1, 3]),
        ("startswith(CorrespncExternalReference,'B')", [2]),
        ("substringof('C',CorrespncExternalReference) eq true", [3]),
        ("LastChangeDateTime ge datetimeoffset'2026-03-02T09:01:00Z'", [2, 3]),
        ("LastChangeDateTime gt datetimeoffset'2026-03-02T09:01:00Z'", [3]),
        ("LastChangeDateTime lt datetimeoffset'2026-03-02T09:01:00Z' and Supplier eq '0010300080'", [1]),
        ("CreationDate ge datetime'2026-03-02T00:00:00' and ReleaseIsNotCompleted eq false", [1, 2, 3]),
        ("CreationDate gt datetime'2026-03-02T00:00:00'", []),
        ("PurchaseOrder eq '4500000001' and (CompanyCode eq '9' or Language eq 'EN')", [1]),
        ("InvoicingParty eq null and PurchaseOrder le '4500000002'", [1, 2]),
    ],
)
def test_a_filter_finds_what_it_says(sap, asked, found):
    for reference in ("A", "B", "C"):
        sap.buy(reference)
        sap.clock.now += timedelta(minutes=1)
    assert sap.numbers(filter=asked) == [f"450000000{number}" for number in found]


@pytest.mark.parametrize(
    "asked",
    [
        "PurchaseOrder",
        "PurchaseOrder eq",
        "PurchaseOrder eq '1' and",
        "Nonsense eq '1'",
        "PurchaseOrder like '1'",
        "PurchaseOrder eq 1",
        "CreationDate eq '2026-03-02'",
        "(PurchaseOrder eq '1'",
        "PurchaseOrder eq '1' PurchaseOrder eq '2'",
        "PurchaseOrder eq ?",
    ],
)
def test_a_filter_that_cannot_be_read_is_refused(sap, asked):
    assert sap.ask("GET", f"{ORDERS}/A_PurchaseOrder?$filter={quote(asked)}").status == 400


def test_some_properties_cannot_be_filtered_by(sap):
    reply = sap.ask("GET", f"API_SUPPLIERINVOICE_PROCESS_SRV/A_SupplierInvoice?$filter={quote('IsReversed eq false')}")
    assert reply.status == 400


def test_a_decimal_is_compared_as_a_number(sap):
    sap.buy()
    found = sap.get(f"{ORDERS}/A_PurchaseOrderItem", filter="PurchaseOrder eq '4500000001' and OrderQuantity gt 9.5M")
    assert len(found["results"]) == 2


def test_a_set_comes_in_pages_and_each_says_where_the_next_one_is():
    sap = Gateway(page_size=2)
    for count in range(5):
        sap.buy(f"R{count}")
    first = sap.get(f"{ORDERS}/A_PurchaseOrder", inlinecount="allpages", orderby="PurchaseOrder desc")
    assert (first["__count"], [row["PurchaseOrder"][-1] for row in first["results"]]) == ("5", ["5", "4"])
    seen, address = list(first["results"]), first["__next"]
    while address:
        reply = sap.handle(Request.of("GET", address, sap.headers))
        page = json.loads(reply.body)["d"]
        seen += page["results"]
        address = page.get("__next")
    assert [row["PurchaseOrder"][-1] for row in seen] == ["5", "4", "3", "2", "1"]
    assert sap.numbers(top="1", skip="3", orderby="PurchaseOrder") == ["4500000004"]


def test_a_place_in_the_order_of_changes_is_found_without_losing_those_of_the_same_second(sap):
    for count in range(6):
        sap.buy(f"R{count}")
        sap.clock.now += timedelta(seconds=count % 2)
    at = sap.orders["4500000003"]["LastChangeDateTime"]
    asked = (
        f"LastChangeDateTime gt datetimeoffset'{at}' or "
        f"(LastChangeDateTime eq datetimeoffset'{at}' and PurchaseOrder ge '4500000004')"
    )
    found = sap.numbers(filter=asked, orderby="LastChangeDateTime,PurchaseOrder", top="2")
    assert found == ["4500000004", "4500000005"]


def test_a_time_of_day_can_be_asked_for(sap):
    sap.buy()
    for minute in (0, 1, 2):
        sap.clock.now = START + timedelta(minutes=minute)
        sap.post_goods_receipt(order="4500000001", lines=[(10, Decimal(1))], by="receiver.1")
    asked = (
        "CreationDate gt datetime'2026-03-02T00:00:00' or "
        "(CreationDate eq datetime'2026-03-02T00:00:00' and CreationTime ge time'PT09H01M00S')"
    )
    found = sap.get(f"{RECEIPTS}/A_MaterialDocumentHeader", filter=asked, orderby="CreationDate,CreationTime")
    assert [row["CreationTime"] for row in found["results"]] == ["PT09H01M00S", "PT09H02M00S"]


def test_an_error_says_code_text_and_details(sap):
    sap.close_period(company_code="1010", year=2026, month=3)
    error = error_of(sap.write("POST", f"{ORDERS}/A_PurchaseOrder", order_body()))
    assert error["code"] == "F5/201"
    assert error["message"] == {"lang": "en", "value": "Posting period 003 2026 is not open"}
    inner = error["innererror"]
    assert inner["application"]["service_id"] == ORDERS
    assert re.fullmatch(r"\d{14}\.\d{7}", inner["timestamp"])
    assert inner["errordetails"][0] == {
        "code": "F5/201",
        "message": "Posting period 003 2026 is not open",
        "propertyref": "",
        "severity": "error",
        "transition": False,
        "target": "PostingDate",
    }


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("API_NOTHING_SRV/A_Thing", 404),
        (f"{ORDERS}/A_Nothing", 404),
        (f"{ORDERS}/A_PurchaseOrder('1')", 404),
        (f"{ORDERS}/A_PurchaseOrderItem('1')", 400),
        (f"{ORDERS}/A_PurchaseOrder?$top=many", 400),
        (f"{ORDERS}/A_PurchaseOrder?$orderby=Nothing", 400),
    ],
)
def test_what_does_not_exist_is_said_so(sap, path, status):
    reply = sap.ask("GET", path)
    assert (reply.status, set(json.loads(reply.body))) == (status, {"error"})


@pytest.mark.parametrize(
    "spoiled",
    [
        {"ZZ_Unknown": "X"},
        {"CorrespncExternalReference": "THIRTEEN CHARS"},
        {"PurchaseOrderDate": "02.03.2026"},
        {"to_PurchaseOrderItem": [{"OrderQuantity": 10, "NetPriceAmount": "4.00"}]},
    ],
    ids=["unknown property", "too long", "no date", "a number where OData V2 has text"],
)
def test_a_body_that_does_not_fit_the_metadata_is_refused(sap, spoiled):
    assert sap.write("POST", f"{ORDERS}/A_PurchaseOrder", {**order_body(), **spoiled}).status == 400


def test_the_suppliers_number_is_turned_to_capitals(sap):
    assert {"SupplierInvoiceIDByInvcgParty"} <= UPPER_CASE
    assert wire.stored("SupplierInvoiceIDByInvcgParty", "Re-2026/17a") == "RE-2026/17A"


def test_a_change_needs_the_etag_of_what_was_read(sap):
    sap.buy()
    path = f"{ORDERS}/A_PurchaseOrderItem(PurchaseOrder='4500000001',PurchaseOrderItem='10')"
    etag = sap.get(path)["__metadata"]["etag"]
    assert sap.write("PATCH", path, {"OrderQuantity": "11"}).status == 428
    assert sap.write("PATCH", path, {"OrderQuantity": "11"}, **{"if-match": etag}).status == 204
    assert sap.write("PATCH", path, {"OrderQuantity": "12"}, **{"if-match": etag}).status == 412
    assert sap.write("MERGE", path, {"OrderQuantity": "12"}, **{"if-match": "*"}).status == 204
    assert sap.write("POST", path, {"OrderQuantity": "13"}, **{"if-match": "*", "x-http-method": "MERGE"}).status == 204
    assert sap.get(path)["OrderQuantity"] == "13"
    assert sap.commitment_of("4500000001") == Decimal("92.00")


def test_an_item_can_be_added_and_deleted(sap):
    sap.buy()
    item = order_body(items=1)["to_PurchaseOrderItem"][0] | {"PurchaseOrderItem": "30"}
    reply = sap.write("POST", f"{ORDERS}/A_PurchaseOrder('4500000001')/to_PurchaseOrderItem", item)
    assert (reply.status, json.loads(reply.body)["d"]["PurchaseOrderItem"]) == (201, "30")
    path = f"{ORDERS}/A_PurchaseOrderItem(PurchaseOrder='4500000001',PurchaseOrderItem='10')"
    assert sap.write("DELETE", path, **{"if-match": "*"}).status == 204
    assert sap.commitment_of("4500000001") == Decimal("80.00")
    assert sap.get(path)["PurchasingDocumentDeletionCode"] == "L"


def batch(*operations):
    parts = []
    for method, path, body in operations:
        content = json.dumps(body)
        parts.append(
            "--inner\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
            f"{method} {path} HTTP/1.1\r\nContent-Type: application/json\r\nIf-Match: *\r\n\r\n{content}\r\n"
        )
    read = (
        "--outer\r\nContent-Type: application/http\r\n\r\n"
        "GET A_PurchaseOrder('4500000001')?$select=PurchaseOrder HTTP/1.1\r\n\r\n\r\n"
    )
    changes = f"--outer\r\nContent-Type: multipart/mixed; boundary=inner\r\n\r\n{''.join(parts)}--inner--\r\n"
    return f"{changes}{read}--outer--\r\n".encode()


def item_path(number):
    return f"A_PurchaseOrderItem(PurchaseOrder='4500000001',PurchaseOrderItem='{number}')"


def test_a_changeset_is_all_or_nothing(sap):
    sap.buy()
    content_type = {"content-type": "multipart/mixed; boundary=outer"}
    good = ("PATCH", item_path(10), {"OrderQuantity": "11"})
    bad = ("PATCH", item_path(20), {"OrderQuantity": "0"})
    reply = sap.write("POST", f"{ORDERS}/$batch", batch(good, bad), **content_type)
    assert reply.status == 202
    assert b"HTTP/1.1 400" in reply.body
    assert b"HTTP/1.1 204" not in reply.body
    assert sap.get(f"{ORDERS}/{item_path(10)}")["OrderQuantity"] == "10"
    better = ("PATCH", item_path(20), {"OrderQuantity": "12"})
    reply = sap.write("POST", f"{ORDERS}/$batch", batch(good, better), **content_type)
    assert reply.body.count(b"HTTP/1.1 204") == 2
    assert reply.body.count(b'"PurchaseOrder":"4500000001"') == 1
    assert sap.commitment_of("4500000001") == Decimal("92.00")


def test_the_same_request_id_gets_the_first_answer_and_makes_nothing_new(sap):
    headers = {"requestid": "A" * 32, "repeatabilitycreation": "2026-03-02T00:00:00Z"}
    first = sap.buy(**headers)
    assert sap.buy(**headers)["PurchaseOrder"] == first["PurchaseOrder"]
    assert len(sap.orders) == 1
    other = {**headers, "repeatabilitycreation": "2026-03-03T00:00:00Z"}
    assert sap.write("POST", f"{ORDERS}/A_PurchaseOrder", order_body(), **other).status == 409


def test_a_refused_create_is_not_repeated_by_its_request_id(sap):
    headers = {"requestid": "B" * 32, "repeatabilitycreation": "2026-03-02T00:00:00Z"}
    sap.close_period(company_code="1010", year=2026, month=3)
    assert sap.write("POST", f"{ORDERS}/A_PurchaseOrder", order_body(), **headers).status == 400
    sap.open_period(company_code="1010", year=2026, month=3)
    assert sap.buy(**headers)["PurchaseOrder"] == "4500000001"


def test_services_do_not_agree_on_leading_zeros(sap):
    sap.buy()
    item = sap.get(f"{ORDERS}/{item_path(10)}")
    line = sap.get(f"{LINES}/GLAccountLineItem", filter="PurchasingDocument eq '4500000001'")["results"][0]
    assert (item["PurchaseOrderItem"], line["PurchasingDocumentItem"], line["CostCenter"]) == (
        "10",
        "00010",
        "0000000300",
    )


@pytest.mark.parametrize("kind", ["added", "renamed", "removed", "retyped"])
def test_a_release_changes_the_shape_of_what_is_written_after_it(sap, kind):
    sap.buy()
    sap.post_goods_receipt(order="4500000001", lines=[(10, Decimal(1))], by="receiver.1")
    sap.clock.now += timedelta(minutes=1)
    sap.faults.schema_drift = kind
    sap.post_goods_receipt(order="4500000001", lines=[(10, Decimal(1))], by="receiver.1")
    before, after = sap.get(f"{RECEIPTS}/A_MaterialDocumentHeader")["results"]
    assert isinstance(before["PostingDate"], str)
    assert (set(before) != set(after)) or isinstance(after["PostingDate"], dict)


def test_news_can_come_twice(sap):
    sap.buy()
    sap.post_goods_receipt(order="4500000001", lines=[(10, Decimal(1))], by="receiver.1")
    sap.faults.duplicate_news_share = 1.0
    assert len(sap.get(f"{RECEIPTS}/A_MaterialDocumentHeader")["results"]) == 2


def test_the_examples_in_the_modules_hold():
    assert doctest.testmod(wire).failed == 0


def metadata(service):
    if not EDMX.is_dir():
        pytest.skip("the vendor's metadata is not beside the repository")
    types = {}
    for entity in ET.parse(EDMX / f"{service}.edmx").getroot().iter():
        if entity.tag.endswith("}EntityType"):
            properties = {part.get("Name"): part for part in entity if part.tag.endswith("}Property")}
            navigations = {part.get("Name") for part in entity if part.tag.endswith("}NavigationProperty")}
            keys = tuple(ref.get("Name") for part in entity if part.tag.endswith("}Key") for ref in part)
            types[entity.get("Name")] = properties, navigations, keys
    return types


def registered():
    return [entity_set.type for entity_set in Gateway().sets.values()]


@pytest.mark.parametrize("entity_type", registered(), ids=lambda entity_type: entity_type.name)
def test_every_name_is_in_saps_own_metadata(entity_type):
    properties, navigations, keys = metadata(entity_type.service)[f"{entity_type.name}Type"]
    assert set(entity_type.fields) <= set(properties)
    assert set(entity_type.navs) <= navigations
    assert set(entity_type.keys) == set(keys)


EDM_TYPES = [(DAYS, "Edm.DateTime"), (MOMENTS, "Edm.DateTimeOffset"), (TIMES, "Edm.Time"), (DECIMALS, "Edm.Decimal")]


@pytest.mark.parametrize("entity_type", registered(), ids=lambda entity_type: entity_type.name)
def test_every_property_has_the_type_of_saps_own_metadata(entity_type):
    properties, _, _ = metadata(entity_type.service)[f"{entity_type.name}Type"]
    sap_filters = "{http://www.sap.com/Protocols/SAPData}filterable"
    for name, default in entity_type.fields.items():
        expected = next((edm for names, edm in EDM_TYPES if name in names), None)
        expected = expected or ("Edm.Boolean" if isinstance(default, bool) else "Edm.String")
        assert properties[name].get("Type") == expected, name
        if properties[name].get(sap_filters) == "false":
            assert name in entity_type.unfilterable, name
        if name in LENGTHS and expected == "Edm.String":
            assert int(properties[name].get("MaxLength")) == LENGTHS[name], name
