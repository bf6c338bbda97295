"""The ServiceNow stand-in: whether it speaks and behaves as the vendor's documentation says."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from urllib.parse import quote, urlencode

import pytest

from sandbox.ledger import Ledger
from sandbox.servicenow import ServiceNow
from sandbox.servicenow.query import parse
from sandbox.servicenow.tables import TABLES
from sandbox.wire import Request

CONTRACTS = Path(__file__).parents[2].parent / "shared" / "contracts" / "servicenow"
API = "/api/now/v2/table"


class Clock:
    def __init__(self):
        self.now = datetime(2026, 3, 2, 9, 0, 0, 250_000, tzinfo=UTC)

    def __call__(self):
        return self.now

    def tick(self, seconds=1.0):
        self.now += timedelta(seconds=seconds)


class Caller:
    """Somebody with a token."""

    def __init__(self, standin):
        self.standin = standin
        form = urlencode({"grant_type": "client_credentials", "client_id": "finsync", "client_secret": "sandbox"})
        answer = self.send(
            "POST", "/oauth_token.do", form.encode(), {"Content-Type": "application/x-www-form-urlencoded"}
        )
        self.token = json.loads(answer.body)["access_token"]

    def send(self, method, url, body=b"", headers=None):
        return self.standin.handle(Request.of(method, url, {"Host": "servicenow", **(headers or {})}, body))

    def __call__(self, method, url, body=None, **params):
        head = {
            "Authorization": f"Bearer {self.token}",
            "Accept": "application/json",
            "Content-Type": "application/json",
        }
        query = urlencode({name.replace("__", "."): value for name, value in params.items()}, quote_via=quote)
        return self.send(method, f"{url}?{query}", b"" if body is None else json.dumps(body).encode(), head)

    def rows(self, table, query="", **params):
        return json.loads(self("GET", f"{API}/{table}", sysparm_query=query, **params).body)["result"]

    def create(self, table, **values):
        answer = self("POST", f"{API}/{table}", values)
        assert answer.status == 201, answer.body
        return json.loads(answer.body)["result"]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def instance(clock):
    return furnished(ServiceNow(Ledger(), clock, Random(1)))


@pytest.fixture
def api(instance):
    return Caller(instance)


def furnished(standin):
    for user in ("finance.approver.1", "finance.approver.2", "procurement.approver.1"):
        standin.add_user(user_name=user, name=user.replace(".", " ").title(), email=f"{user}@example.com")
    standin.add_group(name="Finance", members=["finance.approver.1", "finance.approver.2"])
    standin.add_group(name="Procurement", members=["procurement.approver.1"])
    return standin


def requested(api):
    """An approval request that both groups have to decide."""
    parent = api.create("sc_request", short_description="Pump overhaul", correlation_id="fs-1")
    for group in api.rows("sys_user_group"):
        asked = {"parent": parent["sys_id"], "assignment_group": group["sys_id"], "approval": "requested"}
        api.create("sysapproval_group", **asked)
    return parent["sys_id"]


def approval_of(standin, user):
    return standin.open_approvals(user_name=user)[0]["sys_id"]


# The wire


def test_a_caller_without_a_token_is_told_so_in_the_vendors_words(api):
    answer = api.send("GET", f"{API}/incident")
    assert answer.status == 401
    assert json.loads(answer.body)["error"]["message"] == "User Not Authenticated"


def test_a_token_ends_after_half_an_hour(api, clock):
    clock.tick(1799)
    assert api("GET", f"{API}/incident").status == 200
    clock.tick(1)
    assert api("GET", f"{API}/incident").status == 401


def test_a_wrong_secret_gets_no_token(api):
    form = urlencode({"grant_type": "client_credentials", "client_id": "finsync", "client_secret": "guess"})
    assert api.send("POST", "/oauth_token.do", form.encode()).status == 401


def test_what_is_no_token_request_and_no_table_is_a_bad_request(api):
    assert api.send("POST", "/oauth_token.do", b"grant_type=password").status == 400
    assert api("GET", "/api/now/stats").status == 400
    head = {"Authorization": f"Bearer {api.token}", "Accept": "application/json", "Content-Type": "application/json"}
    assert api.send("POST", f"{API}/incident", b"{", head).status == 400


def test_version_one_answers_404_to_an_empty_list_and_the_others_do_not(api):
    assert api("GET", "/api/now/v1/table/incident").status == 404
    for path in (API, "/api/now/table"):
        answer = api("GET", f"{path}/incident")
        assert (answer.status, json.loads(answer.body)) == (200, {"result": []})


def test_an_unknown_table_is_a_bad_request(api):
    assert api("GET", f"{API}/incidents").status == 400


def test_a_write_needs_both_accept_and_content_type(api):
    head = {"Authorization": f"Bearer {api.token}", "Accept": "application/json"}
    assert api.send("POST", f"{API}/incident", b"{}", head).status == 400


def test_a_new_row_is_201_with_text_in_every_column(api):
    row = api.create("incident", short_description="Posting refused", active=True, close_notes=None, unknown="x")
    assert row["number"] == "INC0010001"
    assert (row["active"], row["close_notes"]) == ("true", "")
    assert "unknown" not in row
    assert row["sys_created_on"] == "2026-03-02 09:00:00"
    assert all(isinstance(value, str) for value in row.values())


def test_references_come_with_a_link_unless_links_are_excluded(api, instance):
    requested(api)
    row = api.rows("sysapproval_approver")[0]
    assert row["approver"]["link"] == f"https://servicenow/api/now/table/sys_user/{row['approver']['value']}"
    assert "/table/task/" in row["sysapproval"]["link"]
    bare = api.rows("sysapproval_approver", sysparm_exclude_reference_link="true")[0]
    assert bare["approver"] == row["approver"]["value"]


def test_fields_can_be_chosen_and_dot_walked(api):
    requested(api)
    fields = "state,approver.user_name,sysapproval.correlation_id,group.assignment_group.name,no_such_column"
    row = api.rows("sysapproval_approver", "approver.user_name=procurement.approver.1", sysparm_fields=fields)[0]
    assert row == {
        "state": "requested",
        "approver.user_name": "procurement.approver.1",
        "sysapproval.correlation_id": "fs-1",
        "group.assignment_group.name": "Procurement",
    }


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("urgency=1", [1]),
        ("urgency!=1", [2, 3]),
        ("urgencyIN1,2", [1, 2]),
        ("short_descriptionLIKEOSTING", [1, 2]),
        ("short_descriptionSTARTSWITHposting", [1]),
        ("urgency=1^ORurgency=3", [1, 3]),
        ("urgency>1^urgency<3", [2]),
        ("urgency>=2^urgency<=3^ORDERBYDESCnumber", [3, 2]),
        ("numberININC0010003,INC0010001^ORDERBYnumber", [1, 3]),
        ("category.name=x^urgency=2", [2]),
        ("caller_idISEMPTY^urgency=3", [3]),
    ],
)
def test_the_encoded_query_language(api, query, numbers):
    for urgency, text in ((1, "Posting refused"), (2, "A posting"), (3, "Other")):
        api.create("incident", short_description=text, urgency=str(urgency))
    assert [row["number"] for row in api.rows("incident", query)] == [f"INC001000{number}" for number in numbers]


def test_a_misspelled_column_is_left_out_and_the_rest_of_the_query_runs(api):
    api.create("incident", urgency="1")
    api.create("incident", urgency="2")
    assert len(api.rows("incident", "sys_updatd_on>=2099-01-01 00:00:00")) == 2
    assert len(api.rows("incident", "sys_updatd_on>=2099-01-01 00:00:00^urgency=1")) == 1


def test_plain_pairs_work_beside_the_query(api):
    requested(api)
    assert len(api.rows("sysapproval_approver", state="requested", source_table="sc_request")) == 3
    assert api.rows("sysapproval_approver", "state=requested", source_table="incident") == []


def test_rows_changed_since_a_moment_are_found(api, clock):
    api.create("incident", short_description="old")
    clock.tick(60)
    api.create("incident", short_description="new")
    rows = api.rows("incident", "sys_updated_on>=2026-03-02 09:01:00^ORDERBYsys_updated_on")
    assert [row["short_description"] for row in rows] == ["new"]


def test_a_query_by_time_or_key_does_not_walk_the_table(instance):
    for query in ("sys_updated_on>=2026-03-02 09:00:00", "sys_id=1", "correlation_id=fs-1", "active=true^numberIN1,2"):
        parsed = parse(query, lambda _: True)
        assert instance._candidates("incident", parsed) is not instance.tables["incident"], query


def test_pages_are_linked_and_counted(api):
    for _ in range(5):
        api.create("incident")
    answer = api("GET", f"{API}/incident", sysparm_limit="2", sysparm_offset="2")
    assert answer.headers["X-Total-Count"] == "5"
    links = dict(reversed(part.split(";")) for part in answer.headers["Link"].split(","))
    assert set(links) == {'rel="first"', 'rel="prev"', 'rel="next"', 'rel="last"'}
    assert "sysparm_offset=4" in links['rel="next"']
    last = api("GET", f"{API}/incident", sysparm_limit="2", sysparm_offset="4")
    assert 'rel="next"' not in last.headers["Link"]


def test_the_limit_is_applied_before_hidden_rows_are_taken_away(api, instance):
    ids = [api.create("incident")["sys_id"] for _ in range(4)]
    instance.rules.hidden_rows = set(ids[:2])
    answer = api("GET", f"{API}/incident", sysparm_limit="2")
    assert (json.loads(answer.body)["result"], answer.headers["X-Total-Count"]) == ([], "4")
    assert api("GET", f"{API}/incident/{ids[0]}").status == 404


def test_a_hidden_column_is_absent_and_unknown_to_queries(api, instance):
    api.create("incident", correlation_id="fs-1")
    instance.rules.hidden_columns = {("incident", "correlation_id")}
    row = api.rows("incident", "correlation_id=fs-2", sysparm_fields="number,correlation_id")[0]
    assert row == {"number": "INC0010001"}


def test_a_rate_limit_rule_shows_itself_in_headers_and_refuses_with_retry_after(api, instance, clock):
    instance.rules.hourly_limit = 2
    first = api("GET", f"{API}/incident")
    assert first.headers["X-RateLimit-Limit"] == "2"
    assert int(first.headers["X-RateLimit-Reset"]) == int(datetime(2026, 3, 2, 10, tzinfo=UTC).timestamp())
    assert "X-RateLimit-Remaining" not in first.headers
    api("GET", f"{API}/incident")
    refused = api("GET", f"{API}/incident")
    assert (refused.status, refused.headers["Retry-After"]) == (429, "3599")
    assert json.loads(refused.body) == {
        "error": {
            "message": "Rate limit exceeded",
            "detail": "Rate limit of 2 requests per hour for Table API exceeded",
        },
        "status": "failure",
    }
    clock.tick(3600)
    api = Caller(instance)
    assert api("GET", f"{API}/incident").status == 200


def test_a_data_policy_refuses_with_403(api, instance):
    instance.rules.mandatory = {"incident": ("caller_id",)}
    answer = api("POST", f"{API}/incident", {"short_description": "x"})
    assert answer.status == 403
    assert "Data Policy Exception" in json.loads(answer.body)["error"]["detail"]


# Rows


def test_nothing_makes_a_correlation_id_unique(api):
    assert (
        api.create("incident", correlation_id="fs-1")["sys_id"]
        != api.create("incident", correlation_id="fs-1")["sys_id"]
    )


def test_an_update_that_changes_nothing_leaves_no_trace(api, clock):
    row = api.create("incident", urgency="2")
    clock.tick(60)
    for method in ("PATCH", "PUT"):
        api(method, f"{API}/incident/{row['sys_id']}", {"urgency": "2"})
    unchanged = api.rows("incident")[0]
    assert (unchanged["sys_mod_count"], unchanged["sys_updated_on"]) == ("0", row["sys_updated_on"])
    api("PATCH", f"{API}/incident/{row['sys_id']}", {"urgency": "1"})
    changed = api.rows("incident")[0]
    assert (changed["sys_mod_count"], changed["sys_updated_on"], changed["priority"]) == (
        "1",
        "2026-03-02 09:01:00",
        "3",
    )


def test_what_is_written_to_a_journal_is_not_in_the_column_but_in_the_journal(api, instance, clock):
    row = api.create("incident", work_notes="First")
    clock.tick(60)
    instance.add_work_note(table="incident", sys_id=row["sys_id"], by="finance.approver.1", note="Second")
    assert api.rows("incident")[0]["work_notes"] == ""
    entries = api.rows("sys_journal_field", f"element_id={row['sys_id']}^element=work_notes^ORDERBYsys_created_on")
    assert [(entry["value"], entry["sys_created_by"]) for entry in entries] == [
        ("First", "finsync"),
        ("Second", "finance.approver.1"),
    ]
    text = api.rows("incident", sysparm_display_value="true")[0]["work_notes"]
    assert text.index("Second") < text.index("First")


def test_a_resolved_incident_says_by_whom_and_when(api, instance):
    row = api.create("incident")
    instance.resolve_incident(sys_id=row["sys_id"], by="finance.approver.1", note="Period opened")
    resolved = api.rows(
        "incident", sysparm_fields="state,incident_state,close_notes,resolved_at,resolved_by.user_name"
    )[0]
    assert resolved == {
        "state": "6",
        "incident_state": "6",
        "close_notes": "Period opened",
        "resolved_at": "2026-03-02 09:00:00",
        "resolved_by.user_name": "finance.approver.1",
    }


# Approvals


def test_every_active_member_of_a_group_is_asked(api, instance):
    parent = requested(api)
    rows = api.rows("sysapproval_approver", f"sysapproval={parent}")
    assert len(rows) == 3
    assert {row["state"] for row in rows} == {"requested"}
    assert {row["source_table"] for row in rows} == {"sc_request"}
    assert {row["document_id"] for row in rows} == {parent}
    assert api.rows("sc_request")[0]["approval"] == "requested"


def test_the_first_members_approval_is_the_groups_and_all_groups_make_the_request_approved(api, instance):
    requested(api)
    instance.decide(approver_row=approval_of(instance, "finance.approver.1"), state="approved")
    assert instance.open_approvals(user_name="finance.approver.2") == []
    assert api.rows("sc_request")[0]["approval"] == "requested"
    instance.decide(approver_row=approval_of(instance, "procurement.approver.1"), state="approved")
    assert api.rows("sc_request")[0]["approval"] == "approved"
    states = {
        row["approver.user_name"]: row["state"]
        for row in api.rows("sysapproval_approver", sysparm_fields="approver.user_name,state")
    }
    assert states == {
        "finance.approver.1": "approved",
        "finance.approver.2": "not_required",
        "procurement.approver.1": "approved",
    }


def test_one_rejection_ends_the_request_for_everybody(api, instance):
    requested(api)
    instance.decide(approver_row=approval_of(instance, "finance.approver.2"), state="rejected", comment="Too dear")
    assert api.rows("sc_request")[0]["approval"] == "rejected"
    assert sorted(row["state"] for row in api.rows("sysapproval_approver")) == [
        "not_required",
        "not_required",
        "rejected",
    ]
    assert sorted(row["approval"] for row in api.rows("sysapproval_group")) == ["not_required", "rejected"]


def test_a_single_person_can_be_asked_and_a_question_that_is_not_put_yet_decides_nothing(api, instance):
    parent = api.create("sc_request")["sys_id"]
    person = api.rows("sys_user", "user_name=finance.approver.1")[0]["sys_id"]
    row = api.create("sysapproval_approver", sysapproval=parent, approver=person)["sys_id"]
    assert (api.rows("sc_request")[0]["approval"], instance.open_approvals(user_name="finance.approver.1")) == (
        "not requested",
        [],
    )
    api("PATCH", f"{API}/sysapproval_approver/{row}", {"state": "requested"})
    instance.decide(approver_row=row, state="approved")
    assert api.rows("sc_request")[0]["approval"] == "approved"


def test_a_row_is_decided_once(api, instance):
    requested(api)
    row = approval_of(instance, "finance.approver.1")
    instance.decide(approver_row=row, state="approved", by="a.delegate")
    assert api.rows("sysapproval_approver", f"sys_id={row}")[0]["sys_updated_by"] == "a.delegate"
    with pytest.raises(ValueError, match="is approved, it cannot be rejected"):
        instance.decide(approver_row=row, state="rejected")


def test_an_api_client_can_decide_a_row_too(api, instance):
    requested(api)
    row = approval_of(instance, "procurement.approver.1")
    api("PATCH", f"{API}/sysapproval_approver/{row}", {"state": "rejected"})
    assert api.rows("sc_request")[0]["approval"] == "rejected"


def test_a_group_needs_members_that_exist(instance):
    with pytest.raises(ValueError, match=r"nobody\.here"):
        instance.add_group(name="Ghosts", members=["nobody.here"])


def test_people_and_groups_are_added_once(instance):
    again = instance.add_group(name="Finance", members=[])
    assert again == instance.add_group(name="Finance", members=[])
    assert len(instance.tables["sys_user_group"]) == 2


# Faults, memory, contract


@pytest.mark.parametrize(
    ("drift", "present"),
    [("added", "state"), ("renamed", "state_v2"), ("removed", ""), ("retyped", "state")],
)
def test_a_release_changes_one_field_of_rows_changed_since(api, instance, clock, drift, present):
    requested(api)
    clock.tick(60)
    instance.faults.schema_drift = drift
    clock.tick(60)
    instance.decide(approver_row=approval_of(instance, "procurement.approver.1"), state="approved")
    rows = {
        row["approver.user_name"]: row
        for row in api.rows("sysapproval_approver", sysparm_fields=f"approver.user_name,state,{present}")
    }
    assert rows["finance.approver.1"]["state"] == "requested"
    changed = rows["procurement.approver.1"]
    expected = {"added": "approved", "retyped": {"value": "approved"}}
    assert changed.get("state") == expected.get(drift)
    assert (present in changed) == bool(present)


def test_rows_can_be_told_twice_and_out_of_order(api, instance):
    requested(api)
    instance.faults.duplicate_news_share = 1.0
    ids = [row["sys_id"] for row in api.rows("sysapproval_approver")]
    assert len(ids) == 6
    instance.faults.duplicate_news_share, instance.faults.out_of_order_share = 0.0, 1.0
    shaken = [row["sys_id"] for row in api.rows("sysapproval_approver")]
    assert shaken != list(dict.fromkeys(ids))
    assert set(shaken) == set(ids)


def test_it_remembers_everything_after_it_was_closed_and_opened(tmp_path, clock):
    first = furnished(ServiceNow(Ledger(tmp_path / "servicenow.db"), clock, Random(1)))
    parent = requested(Caller(first))
    first.decide(approver_row=approval_of(first, "finance.approver.1"), state="approved")
    first.ledger.close()
    second = ServiceNow(Ledger(tmp_path / "servicenow.db"), clock, Random(1))
    api = Caller(second)
    assert [row["sys_id"] for row in api.rows("sc_request", "correlation_id=fs-1")] == [parent]
    second.decide(approver_row=approval_of(second, "procurement.approver.1"), state="approved")
    assert api.rows("sc_request")[0]["approval"] == "approved"
    newer = api.create("sc_request")
    assert newer["number"] == "REQ0010002"
    assert newer["sys_id"] != parent


def test_the_same_seed_gives_the_same_ids(clock):
    one, two = (requested(Caller(furnished(ServiceNow(Ledger(), clock, Random(7))))) for _ in range(2))
    assert one == two
    assert one != requested(Caller(furnished(ServiceNow(Ledger(), clock, Random(8)))))


def test_the_columns_of_tasks_are_the_vendors():
    sample = CONTRACTS / "samples" / "c_TableAPI__Table_GET_now_table_tableName_sys_id_2.json"
    if not sample.exists():
        pytest.skip("the vendor's samples are not beside the repository")
    theirs = set(json.loads(sample.read_text())["result"])
    assert set(TABLES["incident"].defaults) <= theirs


def test_the_columns_of_requests_are_the_vendors():
    samples = CONTRACTS / "samples"
    if not samples.exists():
        pytest.skip("the vendor's samples are not beside the repository")
    theirs = set(json.loads((samples / "ws1_bot_ticket_checkout_request.json").read_text())["result"][0])
    recalled = {"price", "request_state", "requested_for", "parent", "closed_by", "close_notes"}
    assert set(TABLES["sc_request"].defaults) - recalled <= theirs


def test_the_state_words_are_the_vendors():
    facts = CONTRACTS / "FACTS.md"
    if not facts.exists():
        pytest.skip("the vendor's facts are not beside the repository")
    text = facts.read_text()
    for word in ("requested", "not requested", "approved", "rejected", "cancelled", "not_required", "skipped"):
        assert f"`{word}`" in text, word
