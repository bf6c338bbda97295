"""Checking a requisition: everything that is wrong at once, in the engine's own words, and nothing happens."""

import pytest

PLANNER = {"user": "planner.de-south"}


@pytest.fixture
def house_with_suppliers(house):
    """Suppliers checked and known."""
    house.run(minutes=30)
    return house


def requisition(house, **changes):
    """Ten bearings at 20.00 as procurement would ask."""
    from tests.house import SUPPLIER

    line = {
        "number": 1, "description": "Bearing 6204", "quantity": "10", "unit": "EA", "unit_price": "20.00", "amount": "200.00", "plant": "DES1", "tax_code": "VAT19",
        "supplier": str(house.supplier_ids[SUPPLIER]), "contract": "C-100", "distributions": [{"cost_centre": "4711", "account": "51600000", "amount": "200.00"}],
    }  # fmt: skip
    line.update(changes.pop("line", {}))
    return {
        "number": "NEW-1", "business_unit": "DE-SOUTH", "company_code": "1010", "requester": PLANNER, "currency": "EUR", "amount": line["amount"],
        "lines": [line], "submitted_at": house.clock.now().isoformat(), **changes,
    }  # fmt: skip


def check(client, headers, body):
    answered = client.post("/v1/requisitions/validate", json=body, headers=headers)
    assert answered.status_code == 200, answered.text
    return answered.json()


def test_a_good_requisition_is_acceptable_for_some_minutes_under_named_versions(house_with_suppliers, client, bearer):
    house = house_with_suppliers
    before = house.connection.execute("SELECT count(*) FROM event").fetchone()
    answer = check(client, bearer("DE-SOUTH"), requisition(house))
    assert answer["acceptable"], answer["findings"]
    assert answer["findings"] == []
    assert answer["exception_approval_required"] is False
    assert answer["group_amount"] == "200.00"
    assert answer["valid_until"] > answer["as_of"]
    assert answer["mapping_version"] == house.engine.setup.mappings.version
    in_force = [
        version
        for (version,) in house.connection.execute(
            "SELECT version FROM config_version WHERE kind = 'policies'"
        ).fetchall()
    ]
    assert answer["policy_version"] in in_force
    assert house.connection.execute("SELECT count(*) FROM event").fetchone() == before


def test_every_wrong_word_is_found_at_once_with_its_place_and_what_to_do(house_with_suppliers, client, bearer):
    line = {
        "plant": "NOWHERE",
        "tax_code": "VAT99",
        "unit": "BUSHEL",
        "supplier": "0",
        "distributions": [{"cost_centre": "9999", "amount": "200.00"}],
    }
    answer = check(client, bearer("DE-SOUTH"), requisition(house_with_suppliers, line=line))
    found = {finding["field"]: finding for finding in answer["findings"]}
    assert {field: finding["code"] for field, finding in found.items()} == {
        "lines.0.distributions.0.cost_centre": "cost_centre_unknown",
        "lines.0.plant": "value_unmapped",
        "lines.0.tax_code": "value_unmapped",
        "lines.0.unit": "value_unmapped",
        "lines.0.supplier": "supplier_unknown",
    }
    assert found["lines.0.plant"]["value"] == "NOWHERE"
    assert all(finding["next_step"] and finding["message"] for finding in answer["findings"])
    assert not answer["acceptable"]


def test_what_is_no_requisition_is_answered_field_by_field_with_the_engines_codes(house_with_suppliers, client, bearer):
    bad = requisition(
        house_with_suppliers, currency="XXQ", need_by_on="tomorrow", colour="blue", line={"unit_price": 20.5}
    )
    answer = check(client, bearer(), bad)
    codes = {finding["field"]: finding["code"] for finding in answer["findings"]}
    assert codes == {
        "currency": "currency_unknown",
        "need_by_on": "field_invalid",
        "colour": "field_invalid",
        "lines.0.unit_price": "field_invalid",
    }
    sums = check(client, bearer(), requisition(house_with_suppliers, amount="999.00"))
    assert [finding["code"] for finding in sums["findings"]] == ["lines_do_not_sum"]
    no_centre = check(client, bearer(), requisition(house_with_suppliers, line={"distributions": []}))
    assert [finding["code"] for finding in no_centre["findings"]] == ["cost_centre_missing"]
    assert [finding["code"] for finding in check(client, bearer(), [1, 2])["findings"]] == ["field_invalid"]


def test_the_approval_route_is_told_with_its_reasons(house_with_suppliers, client, bearer):
    headers = bearer("DE-SOUTH")
    large = {"quantity": "500", "amount": "10000.00", "distributions": [{"cost_centre": "4711", "amount": "10000.00"}]}
    for line, reasons in (({}, []), (large, ["above_threshold"]), ({"contract": ""}, ["no_contract"])):
        answer = check(client, headers, requisition(house_with_suppliers, line=line))
        assert [reason["code"] for reason in answer["approval_reasons"]] == reasons
        assert answer["exception_approval_required"] is bool(reasons)


def test_the_same_purchase_again_is_found(house_with_suppliers, client, bearer):
    house = house_with_suppliers
    house.submit()
    house.run(minutes=10)
    answer = check(client, bearer("DE-SOUTH"), requisition(house))
    assert [finding["code"] for finding in answer["findings"]] == ["duplicate_order"]


def test_a_budget_that_is_known_and_spent_is_found(house_with_suppliers, client, bearer):
    house = house_with_suppliers
    house.connection.execute(
        "INSERT INTO budget (cost_centre, period, currency, amount, opening_used, source, read_at, business_unit) VALUES ('4711', '2026', 'EUR', 1000, 900, 'procurement', now(), 'DE-SOUTH')"
    )
    answer = check(client, bearer("DE-SOUTH"), requisition(house))
    assert [finding["code"] for finding in answer["findings"]] == ["budget_exceeded"]
    [standing] = answer["budgets"]
    assert (standing["cost_centre"], float(standing["available"]), standing["sufficient"]) == ("4711", 100, False)


def test_what_the_engine_refuses_is_what_the_check_has_found(house_with_suppliers, client, bearer):
    house, headers = house_with_suppliers, bearer("DE-SOUTH")
    bad = [
        ({"cost_centre": "9999"}, {"distributions": [{"cost_centre": "9999", "amount": "200.00"}]}),
        ({"plant": "NOWHERE"}, {"plant": "NOWHERE"}),
        ({"tax_code": "VAT99"}, {"tax_code": "VAT99"}),
        ({"unit": "BUSHEL"}, {"unit": "BUSHEL"}),
    ]
    for changes, _ in bad:
        house.submit(house.line(**changes))
    house.run(minutes=30)
    refused = {(code, message) for code, _, _, message in house.cases()}
    found = {
        (finding["code"], finding["message"])
        for _, line in bad
        for finding in check(client, headers, requisition(house, line=line))["findings"]
        if finding["code"] != "duplicate_order"
    }
    assert len(refused) == 4
    assert refused == found


def test_a_unit_the_token_does_not_cover_is_not_checked(house, client, bearer):
    answered = client.post("/v1/requisitions/validate", json=requisition(house), headers=bearer("US-EAST"))
    assert answered.status_code == 403
