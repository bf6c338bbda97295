"""OData V2 from the caller's side: proofs, places, typed reading, and what is certain after a bad answer."""

import doctest
import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from random import Random

import pytest

from collectors import odata, odata_values
from collectors.http import Session
from collectors.odata import Edit, Told
from collectors.odata_values import Entity, from_position, literal
from collectors.sap_s4hana import connect
from sandbox.ledger import Ledger
from sandbox.s4hana import S4Hana
from sandbox.transport import InProcessTransport, Stopwatch
from sandbox.wire import Response, Standin, json_response, route
from sync_engine.model.errors import AnswerLost, ConfigurationError, MappingError, TransientError
from sync_engine.model.ports import Access

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ORDERS = "API_PURCHASEORDER_PROCESS_SRV"


class Clock:
    """Tells a time that only the test moves."""

    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now


class Gateway(Standin):
    """Answers as it is told to, one answer after the other; knows CSRF tokens, and nothing else."""

    name = "gateway"

    def __init__(self, *answers):
        super().__init__(Ledger(), Clock(), Random(1))
        self.answers = list(answers)
        self.seen = []

    @route("GET", r"/sap/opu/odata/sap/ANY_SRV/")
    def _root(self, _request):
        headers = {"x-csrf-token": f"token-{len(self.seen)}", "Set-Cookie": f"SAP_SESSION=s{len(self.seen)}; path=/"}
        return json_response(200, {"d": {"EntitySets": []}}, headers)

    @route("GET", r"/sap/opu/odata/sap/ANY_SRV/A_.*")
    @route("POST", r"/sap/opu/odata/sap/ANY_SRV/.+")
    def _any(self, request):
        self.seen.append(request)
        return self.answers.pop(0)


def talk(*answers):
    gateway = Gateway(*answers)
    transport = InProcessTransport({"gateway": gateway}, Stopwatch())
    return Session("gateway", "http://gateway", auth=None, timer=Stopwatch(), transport=transport), gateway


def html(status=200):
    return Response(status, b"<html><body>Log on</body></html>", {"Content-Type": "text/html; charset=utf-8"})


def csrf_required():
    return Response(403, b"CSRF token validation failed", {"x-csrf-token": "Required"})


def test_the_examples_in_the_modules_hold():
    assert doctest.testmod(odata_values).failed == 0
    assert doctest.testmod(odata).failed == 0


@pytest.mark.parametrize(
    ("value", "spelled"),
    [
        ("O'Hara & Söhne", "'O''Hara & Söhne'"),
        (True, "true"),
        (date(2024, 1, 31), "datetime'2024-01-31T00:00:00'"),
        (datetime(2024, 1, 31, 8, 30, tzinfo=UTC), "datetimeoffset'2024-01-31T08:30:00Z'"),
        (time(9, 5, 7), "time'PT09H05M07S'"),
    ],
)
def test_a_value_is_spelled_as_odata_spells_it(value, spelled):
    assert literal(value) == spelled


def test_a_place_in_an_order_of_three_fields_is_behind_or_at_the_last_entity():
    assert from_position([("A", "1"), ("B", "2"), ("C", "3")]) == (
        "(A gt '1' or (A eq '1' and (B gt '2' or (B eq '2' and C ge '3'))))"
    )


def entity(**values):
    return Entity(values, system="gateway", what="order")


def test_an_entity_is_read_field_by_field():
    told = entity(
        Number="0045",
        Amount="10.50",
        Day="/Date(1552867200000)/",
        At="/Date(1552895997855+0000)/",
        Time="PT09H20M05S",
        Is=True,
    )
    assert (told.bare("Number"), told.amount("Amount"), told.flag("Is")) == ("45", Decimal("10.50"), True)
    assert (told.day("Day"), told.clock("Time")) == (date(2019, 3, 18), time(9, 20, 5))
    assert told.moment("At") == datetime(2019, 3, 18, 7, 59, 57, 855000, tzinfo=UTC)
    assert entity(Text=None, Day=None).text("Text") == ""
    assert entity(Text=None, Day=None).day("Day") is None


@pytest.mark.parametrize(
    ("read", "values", "code"),
    [
        (lambda told: told.text("Text"), {}, "contract_change"),
        (lambda told: told.text("Text"), {"Text": 5}, "contract_change"),
        (lambda told: told.flag("Is"), {"Is": "true"}, "contract_change"),
        (lambda told: told.day("Day"), {"Day": "2026-03-02"}, "contract_change"),
        (lambda told: told.clock("Time"), {"Time": "09:20"}, "contract_change"),
        (lambda told: told.amount("Amount"), {"Amount": 10.5}, "contract_change"),
        (lambda told: told.amount("Amount"), {"Amount": "ten"}, "field_invalid"),
        (lambda told: told.entities("Items", "item"), {"Items": {"__deferred": {}}}, "contract_change"),
        (lambda told: told.entities("Items", "item"), {"Items": {"results": ["x"]}}, "contract_change"),
    ],
)
def test_a_field_that_is_missing_or_retyped_is_named(read, values, code):
    with pytest.raises(MappingError) as caught:
        read(entity(**values))
    assert caught.value.code == code
    assert caught.value.facts["field"] in {"Text", "Is", "Day", "Time", "Amount", "Items", "item"}


def test_one_proof_serves_many_writes():
    done = json_response(201, {"d": {"Number": "1"}})
    session, gateway = talk(done, done)
    assert odata.create(session, "ANY_SRV", "A_Thing", {"A": 1}).values == {"Number": "1"}
    odata.create(session, "ANY_SRV", "A_Thing", {"A": 2})
    assert [request.headers["x-csrf-token"] for request in gateway.seen] == ["token-0", "token-0"]


def test_a_proof_that_is_no_longer_good_is_renewed_once_and_the_write_sent_again():
    session, gateway = talk(csrf_required(), json_response(201, {"d": {}}))
    session.state["csrf"] = {"X-CSRF-Token": "old", "Cookie": "SAP_SESSION=old"}
    assert odata.create(session, "ANY_SRV", "A_Thing", {}).done
    assert [request.headers["cookie"] for request in gateway.seen] == ["SAP_SESSION=old", "SAP_SESSION=s1"]


def test_a_proof_that_is_refused_twice_is_not_tried_for_ever():
    session, gateway = talk(csrf_required(), csrf_required())
    with pytest.raises(ConfigurationError, match="CSRF token validation failed"):
        odata.create(session, "ANY_SRV", "A_Thing", {})
    assert len(gateway.seen) == 2


def test_a_missing_right_is_our_side_of_the_connection():
    session, gateway = talk(Response(403, b"No authorization"))
    with pytest.raises(ConfigurationError, match="No authorization"):
        odata.create(session, "ANY_SRV", "A_Thing", {})
    assert len(gateway.seen) == 1


def test_token_and_cookies_stay_together_when_another_thread_gets_a_session_of_its_own():
    sap = S4Hana(Ledger(), Clock(), Random(2))
    access = Access("http://s4hana", credentials=lambda: ("finsync", "sandbox"))
    session = connect(access, timer=Stopwatch(), transport=InProcessTransport({"s4hana": sap}, Stopwatch()))
    assert odata.create(session, ORDERS, "A_PurchaseOrder", {}).status == 400  # the body is refused, the proof is not
    mine = session.state["csrf"]
    # The other thread's answer arrives later: the cookie jar they share now holds the other session.
    theirs = session.get(f"{odata.ROOT}{ORDERS}/", headers={"X-CSRF-Token": "Fetch", "Cookie": ""})
    assert theirs.headers["x-csrf-token"] != mine["X-CSRF-Token"]
    assert odata.create(session, ORDERS, "A_PurchaseOrder", {}).status == 400
    assert session.state["csrf"] == mine


@pytest.mark.parametrize(
    "answer", [html(), Response(302, b"", {"Location": "https://idp.example/saml"})], ids=["page", "redirect"]
)
def test_a_logon_page_is_our_side_of_the_connection(answer):
    session, _ = talk(answer)
    with pytest.raises(ConfigurationError, match="logon page"):
        odata.read_set(session, "ANY_SRV", "A_Thing", {})


@pytest.mark.parametrize(
    "answer",
    [
        Response(200, b'{"d":{"resu', {"Content-Type": "application/json"}),
        json_response(200, {"value": []}),
        json_response(200, []),
    ],
    ids=["cut off", "other protocol", "a list"],
)
def test_a_page_that_cannot_be_read_is_read_again_later(answer):
    session, _ = talk(answer)
    with pytest.raises(TransientError):
        odata.read_set(session, "ANY_SRV", "A_Thing", {})


def test_a_page_says_whether_more_follows():
    session, _ = talk(
        json_response(200, {"d": {"results": [{"A": "1"}], "__next": "http://gateway/x"}}),
        json_response(200, {"d": []}),
    )
    assert odata.read_set(session, "ANY_SRV", "A_Thing", {}).cut
    assert odata.read_set(session, "ANY_SRV", "A_Thing", {}) == odata.Listed((), cut=False)


def test_an_address_has_no_plus_for_a_space():
    session, gateway = talk(json_response(200, {"d": {"results": []}}))
    odata.read_set(session, "ANY_SRV", "A_Thing", {"$filter": "Name eq 'A+B Söhne'"})
    assert gateway.seen[0].first("$filter") == "Name eq 'A+B Söhne'"


def error_body(*details, main=("XX/001", "Main")):
    told = [{"code": code, "message": text, "severity": severity} for code, text, severity in details]
    return {
        "error": {"code": main[0], "message": {"lang": "en", "value": main[1]}, "innererror": {"errordetails": told}}
    }


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (error_body(), [Told("XX/001", "Main")]),
        (
            error_body(("KI/260", "Blocked", "error"), ("/IWBEP/CX_MGW_BUSI_EXCEPTION", "An exception", "error")),
            [Told("KI/260", "Blocked")],
        ),
        (error_body(("BP/603", "Nearly", "warning")), [Told("XX/001", "Main"), Told("BP/603", "Nearly", "warning")]),
        ({"fault": "gateway"}, [Told("", '{"fault":"gateway"}')]),
    ],
    ids=["main only", "useless detail", "warning only", "another shape"],
)
def test_a_refusal_tells_its_useful_messages(body, told):
    session, _ = talk(json_response(400, body))
    assert list(odata.create(session, "ANY_SRV", "A_Thing", {}).told) == told


def test_warnings_on_something_done_are_kept():
    header = json.dumps({"code": "M8/462", "message": "Check", "severity": "warning", "details": []})
    session, _ = talk(
        json_response(201, {"d": {}}, {"sap-message": header}), json_response(201, {"d": {}}, {"sap-message": "{"})
    )
    first, second = (odata.create(session, "ANY_SRV", "A_Thing", {}) for _ in range(2))
    assert (first.done, first.told, first.errors) == (True, (Told("M8/462", "Check", "warning"),), ())
    assert second.told == ()


def test_an_answer_to_a_create_that_cannot_be_read_is_looked_up_and_not_sent_again():
    session, _ = talk(Response(201, b'{"d":', {"Content-Type": "application/json"}))
    with pytest.raises(AnswerLost):
        odata.create(session, "ANY_SRV", "A_Thing", {})


def test_the_same_to_a_mere_check_is_asked_again():
    session, _ = talk(Response(201, b'{"d":', {"Content-Type": "application/json"}))
    with pytest.raises(TransientError):
        odata.create(session, "ANY_SRV", "A_Thing", {}, changes=False)


def batch_answer(*parts):
    body = "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n"
    for status, content in parts:
        body += f"--c\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\nHTTP/1.1 {status} X\r\n\r\n{content}\r\n"
    return Response(202, f"{body}--c--\r\n--b--\r\n".encode(), {"Content-Type": "multipart/mixed; boundary=b"})


EDITS = [Edit("PATCH", "A_Thing('1')", {"A": "ä"}, 'W/"1"'), Edit("DELETE", "A_Thing('2')", etag="*")]


def test_a_changeset_is_one_request_with_all_edits_in_it():
    session, gateway = talk(batch_answer((204, ""), (204, "")))
    assert odata.changeset(session, "ANY_SRV", EDITS).done
    body = gateway.seen[0].body.decode()
    assert body.count("Content-Type: application/http") == 2
    assert "PATCH A_Thing('1') HTTP/1.1" in body
    assert 'If-Match: W/"1"' in body
    assert "Content-Length: 10\r\n\r\n" + '{"A":"ä"}' in body


@pytest.mark.parametrize("status", [400, 412])
def test_a_changeset_that_is_refused_says_why(status):
    session, _ = talk(batch_answer((status, json.dumps(error_body(("KI/260", "Blocked", "error"))))))
    outcome = odata.changeset(session, "ANY_SRV", EDITS)
    assert (outcome.status, outcome.errors) == (status, (Told("KI/260", "Blocked"),))


@pytest.mark.parametrize(
    "answer",
    [batch_answer(), batch_answer((500, "dump")), Response(202, b"what?", {"Content-Type": "text/plain"})],
    ids=["empty", "broken down", "no multipart"],
)
def test_a_changeset_whose_fate_is_unclear_is_an_answer_lost(answer):
    session, _ = talk(answer)
    with pytest.raises(AnswerLost):
        odata.changeset(session, "ANY_SRV", EDITS)


def test_a_whole_batch_can_be_refused():
    session, _ = talk(json_response(400, error_body()))
    assert odata.changeset(session, "ANY_SRV", EDITS).errors == (Told("XX/001", "Main"),)


def test_no_token_at_all_is_tried_again_later():
    class Silent(Gateway):
        @route("GET", r"/sap/opu/odata/sap/ANY_SRV/")
        def _root(self, _request):
            return json_response(200, {"d": {}})

    transport = InProcessTransport({"gateway": Silent()}, Stopwatch())
    session = Session("gateway", "http://gateway", auth=None, timer=Stopwatch(), transport=transport)
    with pytest.raises(TransientError, match="no CSRF token"):
        odata.create(session, "ANY_SRV", "A_Thing", {})
