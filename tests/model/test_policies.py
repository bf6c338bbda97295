"""The rules that span systems: thresholds, duties, budgets, duplicates, joint decisions (R082, R084-R086, R111, R112)."""

from datetime import date, timedelta
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import FOLDER
from sync_engine.configuration import load_mappings, load_policies
from sync_engine.model import policies
from sync_engine.model.documents import Decision
from sync_engine.model.money import minor_units
from sync_engine.model.policies import Bill, Budget, Purchase, Vote

D = Decimal
RULES = load_policies(FOLDER)
MAPPINGS = load_mappings(FOLDER)
THRESHOLDS = [(t.business_unit, t.currency, t.amount) for t in RULES.approval_thresholds]
DAY = date(2026, 9, 15)


def route(unit, currency, amount, without_contract=()):
    return policies.approval_route(
        RULES, business_unit=unit, amount=D(amount), currency=currency, suppliers_without_contract=without_contract
    )


# -- thresholds (R084, R111, R112) ---------------------------------------------------------------------------------------


def test_every_business_unit_has_a_threshold_in_its_own_currency():
    assert {(unit, currency) for unit, currency, _ in THRESHOLDS} == {
        (unit.code, unit.currency) for unit in MAPPINGS.business_units.values()
    }


@pytest.mark.parametrize(("unit", "currency", "threshold"), THRESHOLDS)
def test_the_threshold_itself_needs_approval_and_a_minor_unit_less_does_not(unit, currency, threshold):
    least = D(1).scaleb(-minor_units(currency))
    assert route(unit, currency, threshold).needs_exception_approval
    assert route(unit, currency, threshold + least).needs_exception_approval
    assert not route(unit, currency, threshold - least).needs_exception_approval
    assert not route(unit, currency, least).needs_exception_approval


@pytest.mark.parametrize(("unit", "currency", "threshold"), THRESHOLDS)
@pytest.mark.parametrize("amount", ["0.01", "threshold"])
def test_a_supplier_not_under_contract_needs_approval_at_any_amount(unit, currency, threshold, amount):
    wanted = threshold if amount == "threshold" else D(amount)
    reasons = route(unit, currency, wanted, ["Nordwerk"]).reasons
    assert [r.code for r in reasons] == (["above_threshold"] if amount == "threshold" else []) + ["no_contract"]
    assert "Nordwerk is not under contract" in reasons[-1].sentence


def test_a_company_that_does_not_ask_for_contracts_is_not_bothered():
    relaxed = RULES.model_copy(update={"contract_required": False})
    found = policies.approval_route(
        relaxed, business_unit="DE-SOUTH", amount=D("0.01"), currency="EUR", suppliers_without_contract=["Nordwerk"]
    )
    assert not found.needs_exception_approval


@pytest.mark.parametrize(("unit", "currency"), [("DE-SOUTH", "USD"), ("JP-KANTO", "EUR"), ("MOON", "EUR"), ("", "EUR")])
def test_where_nobody_has_set_a_threshold_approval_is_needed(unit, currency):
    [reason] = route(unit, currency, "0.01").reasons
    assert reason.code == "threshold_missing"
    assert currency in reason.sentence


def test_the_reason_says_the_figures_that_decided():
    [reason] = route("DE-SOUTH", "EUR", "10000.00").reasons
    assert reason.sentence == "10000.00 EUR is at or above the threshold of 10000 for DE-SOUTH."


@given(st.sampled_from(THRESHOLDS), st.decimals(0, 10_000_000, places=2), st.decimals(0, 10_000_000, places=2))
def test_who_may_spend_much_may_spend_less(threshold, one, other):
    unit, currency, _ = threshold
    less, more = sorted([one, other])
    assert route(unit, currency, less).needs_exception_approval <= route(unit, currency, more).needs_exception_approval


# -- segregation of duties (R085) ------------------------------------------------------------------------------------------


def employee(login):
    system, user = login.split(":")
    return MAPPINGS.employee(system, user)


@pytest.mark.parametrize(
    ("requester", "approver", "same"),
    [
        ("coupa:plant.manager.de-south", "coupa:plant.manager.de-south", True),
        ("coupa:plant.manager.de-south", "servicenow:pm.desouth", True),
        ("coupa:lead.us-east", "servicenow:ops.useast", True),
        ("coupa:PLANT.MANAGER.de-south", "servicenow:PM.DESOUTH", True),
        ("coupa:plant.manager.de-south", "servicenow:fin.1", False),
        ("coupa:planner.1", "servicenow:planner.1", False),  # the same login in two systems may be two people
        ("coupa:lead.us-east", "servicenow:pm.desouth", False),
    ],
)
def test_one_person_behind_two_logins_is_found_by_mapped_identity(requester, approver, same):
    reasons = policies.segregation_of_duties(employee(requester), [(employee(approver), "ServiceNow")])
    assert bool(reasons) is same
    if same:
        assert reasons[0].code == "segregation_of_duties"
        assert reasons[0].sentence.endswith("requested this and approved it in ServiceNow.")


def test_one_mail_address_in_two_systems_is_one_person():
    requester = MAPPINGS.employee("coupa", "a.b", " A.B@example.test ")
    assert policies.segregation_of_duties(
        requester, [(MAPPINGS.employee("servicenow", "ab", "a.b@Example.test"), "ServiceNow")]
    )


def test_every_place_of_a_double_role_is_named():
    where = [("E-1", "Coupa"), ("E-2", "Coupa"), ("E-1", "ServiceNow")]
    assert [r.facts["system"] for r in policies.segregation_of_duties("E-1", where)] == ["Coupa", "ServiceNow"]


def test_without_approvers_there_is_nobody_to_collide_with():
    assert policies.segregation_of_duties("E-1", []) == ()


# -- budgets (R086) --------------------------------------------------------------------------------------------------------


def book(amount="1000", reserved="0"):
    return Budget("4711", "EUR", D(amount), D(reserved))


@pytest.mark.parametrize(
    ("wanted", "reserved", "fits"),
    [
        ("1000.00", "0", True),
        ("1000.01", "0", False),
        ("400", "600", True),
        ("400.01", "600", False),
        ("0.01", "1000", False),
        ("1", "1200", False),
    ],
)
def test_a_wish_fits_what_every_other_commitment_has_left(wanted, reserved, fits):
    reasons = policies.budget(D(wanted), book(reserved=reserved), cost_centre="4711")
    assert (reasons == ()) is fits
    if not fits:
        assert reasons[0].code == "budget_exceeded"
        left = {
            "0": "1,000.00 EUR of 1,000.00 EUR is left",
            "600": "400.00 EUR of 1,000.00 EUR is left",
            "1000": "0.00 EUR of 1,000.00 EUR is left",
            "1200": "nothing is left of 1,000.00 EUR, it is overdrawn by 200.00 EUR",
        }[reserved]
        assert reasons[0].sentence == f"{D(wanted):,.2f} EUR is wanted from cost centre 4711; {left}."


def test_a_cost_centre_without_a_budget_is_not_controlled():
    assert policies.budget(D(10**9), None, cost_centre="4711") == ()


@given(
    amount=st.decimals(0, 10_000, places=2),
    wishes=st.lists(st.decimals("0.01", 5_000, places=2), max_size=20),
    seed=st.integers(0, 2**16),
)
def test_parallel_commitments_together_never_exceed_the_budget(amount, wishes, seed):
    """Whatever the order in which they are decided, each against what the others have reserved."""
    Random(seed).shuffle(wishes)
    reserved = D(0)
    for wanted in wishes:
        if not policies.budget(wanted, Budget("4711", "EUR", amount, reserved), cost_centre="4711"):
            reserved += wanted
    assert reserved <= amount


# -- orders given twice (R041) ---------------------------------------------------------------------------------------------

ORDER = Purchase("R-2", "planner", "10300001", D("200.00"), "EUR", DAY, "bearing 6204|10|20.00")


def twin(**changes):
    values = {name: getattr(ORDER, name) for name in ORDER.__slots__}
    return Purchase(**{**values, "number": "R-1", **changes})


@pytest.mark.parametrize(
    ("other", "found"),
    [
        pytest.param(twin(), True, id="the same again"),
        pytest.param(twin(requester="somebody.else"), True, id="asked for by somebody else"),
        pytest.param(twin(asked_on=DAY - timedelta(days=14)), True, id="within the fortnight"),
        pytest.param(twin(asked_on=DAY + timedelta(days=14)), True, id="the later one was read first"),
        pytest.param(twin(asked_on=DAY - timedelta(days=15)), False, id="a day after the fortnight"),
        pytest.param(twin(amount=D("200.01")), False, id="a cent more"),
        pytest.param(twin(amount=D("200.000")), True, id="the same amount written longer"),
        pytest.param(twin(currency="USD"), False, id="another currency"),
        pytest.param(twin(supplier="10300002"), False, id="another supplier"),
        pytest.param(twin(fingerprint="bearing 6205|10|20.00"), False, id="another thing"),
        pytest.param(twin(number="R-2"), False, id="itself"),
    ],
)
def test_an_order_given_twice_is_found_and_a_similar_one_is_not(other, found):
    reasons = policies.duplicate_orders(ORDER, [other], days=RULES.duplicate_order_days)
    assert bool(reasons) is found
    if found:
        assert reasons[0].facts == {"other": "R-1"}
        assert "R-2 asks for the same as R-1" in reasons[0].sentence


# -- invoices sent twice (R082, PRODUCT 2F) --------------------------------------------------------------------------------

INVOICE = Bill("I-2", "RE-4711", DAY, D("238.00"), "EUR", "10300001", "Nordwerk Komponenten 07 GmbH")


def bill(**changes):
    values = {name: getattr(INVOICE, name) for name in INVOICE.__slots__}
    return Bill(**{**values, "number": "I-1", **changes})


# fmt: off
SENT_TWICE = [
    pytest.param(bill(), "exact", id="all four fields"),
    pytest.param(bill(reference="RE-04711"), "reference", id="a leading zero"),
    pytest.param(bill(reference="re 4711"), "reference", id="case and punctuation"),
    pytest.param(bill(reference="4711"), "reference", id="without its letters"),
    pytest.param(bill(reference="RE-4171"), "reference", id="two digits swapped"),
    pytest.param(bill(reference="RE-7411"), "reference", id="the first two digits swapped"),
    pytest.param(bill(invoiced_on=DAY + timedelta(days=1)), "date", id="another date"),
    pytest.param(bill(invoiced_on=DAY - timedelta(days=400)), "date", id="last year's, across fiscal years"),
    pytest.param(bill(amount=D("238.01")), "value", id="a cent more"),
    pytest.param(bill(amount=D("235.62")), "value", id="one per cent less"),
    pytest.param(bill(supplier="10300099", supplier_name="NORDWERK Komponenten 07"), "vendor", id="the vendor's second record"),
    pytest.param(bill(supplier="10300099", supplier_name="Komponenten 07 Nordwerk GmbH & Co. KG"), "vendor", id="words turned round"),
]
# fmt: on


@pytest.mark.parametrize(("other", "pattern"), SENT_TWICE)
def test_a_bill_sent_twice_is_found_though_one_field_differs_a_little(other, pattern):
    [reason] = policies.duplicate_invoices(
        INVOICE, [other], days=RULES.duplicate_invoice_days, name_score=RULES.duplicate_name_score
    )
    assert reason.facts == {"other": "I-1", "pattern": pattern}
    assert "I-1" in reason.sentence


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(bill(number="I-2"), id="itself"),
        pytest.param(bill(currency="USD"), id="another currency"),
        pytest.param(bill(reference="RE-4712"), id="the next number"),
        pytest.param(bill(reference="RE-1174"), id="the digits backwards"),
        pytest.param(bill(reference="RE-47110"), id="ten times the number"),
        pytest.param(bill(amount=D("300.00")), id="quite another amount"),
        pytest.param(bill(amount=D("233.00")), id="two per cent less"),
        pytest.param(bill(amount=D("-238.00")), id="its credit note"),
        pytest.param(bill(invoiced_on=DAY - timedelta(days=401)), id="too long ago"),
        pytest.param(bill(supplier="10300002", supplier_name="Suedstahl Lager 12 GmbH"), id="another vendor"),
        pytest.param(bill(reference="RE-4712", invoiced_on=DAY - timedelta(days=30)), id="the monthly bill"),
        pytest.param(bill(reference="RE-04711", amount=D("238.01")), id="two fields differ"),
        pytest.param(bill(invoiced_on=DAY - timedelta(days=1), amount=D("238.01")), id="date and value differ"),
    ],
)
def test_a_bill_that_is_merely_similar_is_let_through(other):
    assert (
        policies.duplicate_invoices(
            INVOICE, [other], days=RULES.duplicate_invoice_days, name_score=RULES.duplicate_name_score
        )
        == ()
    )


@pytest.mark.parametrize(("one", "other"), [("RE-4711", "RE-4171"), ("RE-04711", "4711"), ("RE-4711", "RE-4711")])
def test_who_of_two_bills_came_first_makes_no_difference(one, other):
    first, second = bill(reference=one), bill(number="I-2", reference=other)
    found = [
        policies.duplicate_invoices(new, [old], days=400, name_score=92)[0].facts["pattern"]
        for new, old in ((first, second), (second, first))
    ]
    assert found[0] == found[1]


@given(st.text(max_size=30))
def test_normalising_a_reference_never_leaves_nothing_of_something(reference):
    kept = policies.normalised_reference(reference)
    assert kept or not any(char.isalnum() for char in reference)


# -- joint decisions (R111) ------------------------------------------------------------------------------------------------

_A, _R, _P, _C, _N = Decision.APPROVED, Decision.REJECTED, Decision.PENDING, Decision.CANCELLED, Decision.NOT_REQUIRED


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ({}, _P),
        ({"finance": _A}, _P),
        ({"finance": _A, "procurement": _A}, _A),
        ({"finance": _A, "procurement": _N}, _A),
        ({"finance": _R}, _R),
        ({"procurement": _R, "finance": _A}, _R),
        ({"procurement": _C, "finance": _A}, _R),
        ({"finance": _P, "procurement": _A}, _P),
        ({"somebody else": _A, "finance": _A}, _P),
        ({"somebody else": _R, "finance": _A, "procurement": _A}, _A),
    ],
)
def test_all_required_groups_agree_and_either_refusal_ends_it(votes, expected):
    told = [Vote(where, decision) for where, decision in votes.items()]
    assert policies.joint_decision(["finance", "procurement"], told) is expected


def test_a_group_that_decided_again_is_counted_by_its_last_word():
    assert policies.joint_decision(["finance"], [Vote("finance", _R), Vote("finance", _A)]) is _A


def test_where_nobody_is_required_there_is_nobody_to_wait_for():
    assert policies.joint_decision([], []) is _A


# -- tolerances ------------------------------------------------------------------------------------------------------------


def test_a_commoditys_own_limits_win_over_the_company_codes_and_those_over_the_default():
    japan, raw = RULES.tolerances["1510"], RULES.tolerances["category:Raw material"]
    assert RULES.tolerance("1510", []) == japan
    assert RULES.tolerance("1510", ["Office", "Raw material"]) == raw
    assert RULES.tolerance("1010", ["Office"]) == RULES.default_tolerance
