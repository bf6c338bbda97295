"""Canonical documents: complete and consistent, or refused with field, value and kind (R038, R073-R078, R087)."""

import json
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_engine.model.documents import (
    DOCUMENTS,
    ChangeOrder,
    DocumentType,
    GoodsReceipt,
    Invoice,
    PurchaseOrder,
    Requisition,
    Supplier,
    read,
)
from sync_engine.model.errors import MappingError
from sync_engine.model.exceptions import KINDS

D = Decimal
NOON = datetime(2026, 9, 15, 12, 0, tzinfo=UTC)
PERSON = {"user": "planner.1"}


def line(**changes):
    values = {
        "number": 1,
        "description": "Bearing 6204",
        "quantity": "10",
        "unit_price": "20.00",
        "amount": "200.00",
        "distributions": [{"cost_centre": "4711", "amount": "200.00"}],
    }
    return {**values, **changes}


def requisition(**changes):
    values = {
        "number": "1001",
        "requester": PERSON,
        "currency": "EUR",
        "amount": "200.00",
        "lines": [line()],
        "submitted_at": NOON,
    }
    return {**values, **changes}


def invoice(**changes):
    values = {
        "number": "I-1",
        "supplier_invoice_number": "RE-4711",
        "supplier": "10300001",
        "currency": "EUR",
        "net_amount": "200.00",
        "tax_amount": "38.00",
        "gross_amount": "238.00",
        "invoiced_on": date(2026, 9, 14),
        "baseline_on": date(2026, 9, 14),
        "due_on": date(2026, 10, 14),
        "received_at": NOON,
        "lines": [line(distributions=[])],
    }
    return {**values, **changes}


def order(**changes):
    values = {
        "number": "1001-1",
        "requisition_number": "1001",
        "requisition_source_id": "1001",
        "requester": PERSON,
        "supplier": "10300001",
        "currency": "EUR",
        "amount": "200.00",
        "purchasing_organization": "1010",
        "purchasing_group": "001",
        "ordered_on": date(2026, 9, 15),
        "lines": [line()],
    }
    return {**values, **changes}


def refused(kind, values):
    with pytest.raises(MappingError) as caught:
        read(kind, values, system="coupa")
    assert caught.value.system == "coupa"
    assert caught.value.code in KINDS
    return caught.value


# -- what is right is taken as it is ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "values"), [(Requisition, requisition()), (Invoice, invoice()), (PurchaseOrder, order())]
)
def test_a_document_that_adds_up_is_read(kind, values):
    found = read(kind, values, system="coupa")
    assert found.number == values["number"]
    assert found.lines[0].amount == D("200.00")


def test_there_is_a_canonical_form_for_every_document_type():
    assert set(DOCUMENTS) == set(DocumentType)


@pytest.mark.parametrize(
    ("currency", "price", "amount"),
    [("JPY", "66.6", "666"), ("BHD", "0.3333", "3.333"), ("EUR", "0.005", "0.05"), ("EUR", "33.3333", "333.33")],
)
def test_quantity_times_price_is_rounded_as_the_ledger_of_its_currency_does(currency, price, amount):
    values = requisition(
        currency=currency,
        amount=amount,
        lines=[line(unit_price=price, amount=amount, distributions=[{"cost_centre": "1", "amount": amount}])],
    )
    assert read(Requisition, values, system="coupa").amount == D(amount)


@pytest.mark.parametrize(
    "name",
    [
        '=HYPERLINK("http://x")',
        "<b>Bold</b> & <script>",
        "+49 30 1234",
        "@SUM(1)",
        "Ünïcode 漢字 🙂",
        "a\tb\nc",
        "'; DROP TABLE x; --",
    ],
)
def test_what_is_written_in_a_text_field_is_data_and_stays_as_it_is(name):
    found = read(Requisition, requisition(title=name, lines=[line(description=name)]), system="coupa")
    assert (found.title, found.lines[0].description) == (name, name)


# -- what is wrong is named ------------------------------------------------------------------------------------------------


def split_line(*amounts):
    return line(distributions=[{"cost_centre": str(i), "amount": amount} for i, amount in enumerate(amounts, 4701)])


# fmt: off
WRONG = [
    pytest.param(requisition(amount="200.01"), "lines_do_not_sum", ["200.00 EUR", "200.01"], id="lines that do not sum"),
    pytest.param(requisition(lines=[split_line("100.00", "99.99")]), "lines_do_not_sum", ["line 1", "199.99", "200.00"], id="distributions that do not sum"),
    pytest.param(requisition(lines=[line(unit_price="19.00")]), "lines_do_not_sum", ["line 1", "10 at 19.00 is 190.00", "200.00"], id="quantity times price"),
    pytest.param(requisition(lines=[line(), line()], amount="400.00"), "field_invalid", ["line numbers repeat", "[1, 1]"], id="a line number twice"),
    pytest.param(requisition(currency="EURO"), "currency_unknown", ["currency", "'EURO'"], id="an unknown currency"),
    pytest.param(requisition(currency="eur"), "currency_unknown", ["'eur'"], id="a currency in small letters"),
    pytest.param(requisition(currency=""), "currency_unknown", ["''"], id="no currency"),
    pytest.param(requisition(lines=[line(distributions=[])]), "cost_centre_missing", ["line 1", "cost centre"], id="no cost centre"),
    pytest.param(requisition(lines=[line(distributions=[{"cost_centre": " ", "amount": "200.00"}])]), "field_invalid", ["cost_centre"], id="an empty cost centre"),
    pytest.param(requisition(lines=[]), "field_invalid", ["at least one line"], id="no lines"),
    pytest.param(requisition(amount="0", lines=[line(quantity="0", amount="0", distributions=[])]), "field_invalid", ["0", "amount to buy for"], id="for nothing"),
    pytest.param(requisition(amount="-200.00", lines=[line(quantity="-10", amount="-200.00", distributions=[{"cost_centre": "1", "amount": "-200.00"}])]), "field_invalid", ["-200.00"], id="a negative amount"),
    pytest.param(requisition(submitted_at="1948-06-20T12:00:00Z"), "field_invalid", ["submitted_at", "1948-06-20"], id="a moment in 1948"),
    pytest.param(requisition(need_by_on="1948-06-20"), "field_invalid", ["need_by_on", "1948-06-20"], id="a day in 1948"),
    pytest.param(requisition(need_by_on="2148-06-20"), "field_invalid", ["2148-06-20"], id="a day next century"),
    pytest.param(requisition(submitted_at="2026-09-15T12:00:00"), "field_invalid", ["no time zone"], id="a moment somewhere"),
    pytest.param(requisition(need_by_on="20.09.2026"), "field_invalid", ["need_by_on", "20.09.2026"], id="a day in another spelling"),
    pytest.param(requisition(need_by_on="2026-02-30"), "field_invalid", ["2026-02-30"], id="a day that is none"),
    pytest.param(requisition(amount="1e15"), "field_invalid", ["amount", "1e15"], id="more money than there is"),
    pytest.param(requisition(amount="NaN"), "field_invalid", ["NaN"], id="not a number"),
    pytest.param(requisition(amount=200.0), "field_invalid", ["200.0", "exact amount"], id="a float"),
    pytest.param(requisition(lines=[line(amount="200.005", unit_price="20.0005", distributions=[{"cost_centre": "1", "amount": "200.005"}])], amount="200.005"), "field_invalid", ["200.005", "EUR"], id="half a cent"),
    pytest.param(requisition(lines=[line(quantity="9999999999999", unit_price="9999999999999")]), "lines_do_not_sum", ["line 1"], id="a product nobody can hold"),
    pytest.param(requisition(lines=[line(number=2**31)]), "field_invalid", ["number", str(2**31)], id="a line number beyond counting"),
    pytest.param(requisition(lines=[line(number=-1)]), "field_invalid", ["number", "-1"], id="a negative line number"),
    pytest.param(requisition(number=""), "field_invalid", ["number"], id="no number"),
    pytest.param(requisition(number="9" * 256), "field_invalid", ["number", "255"], id="a number without end"),
    pytest.param(requisition(title="x" * 2001), "field_invalid", ["title", "2000"], id="a title without end"),
    pytest.param(requisition(title="Bea\x00ring"), "field_invalid", ["title"], id="a NUL in the title"),
    pytest.param(requisition(number="10\x0001"), "field_invalid", ["number"], id="a NUL in the number"),
    pytest.param(requisition(title="Bea\ud800ring"), "field_invalid", ["title"], id="half a character"),
    pytest.param({**requisition(), "colour": "red"}, "field_invalid", ["colour"], id="a field nobody explains"),
    pytest.param({name: value for name, value in requisition().items() if name != "requester"}, "field_invalid", ["requester"], id="a missing field"),
    pytest.param(requisition(lines="none"), "field_invalid", ["lines"], id="a word instead of lines"),
]
# fmt: on


@pytest.mark.parametrize(("values", "code", "words"), WRONG)
def test_what_is_wrong_is_named_with_field_value_and_kind(values, code, words):
    error = refused(Requisition, values)
    assert error.code == code
    assert str(error).startswith("The requisition cannot be read: ")
    for word in words:
        assert word in str(error)
    assert error.facts["field"]


def test_the_sentence_stays_readable_however_long_the_value():
    error = refused(Requisition, requisition(title="x" * 1_000_000))
    assert len(str(error)) < 600
    assert len(error.facts["value"]) <= 200


@pytest.mark.parametrize(
    ("values", "code", "words"),
    [
        (invoice(tax_amount="37.99"), "lines_do_not_sum", ["net 200.00 and tax 37.99 are not gross 238.00"]),
        (invoice(net_amount="199.00", gross_amount="237.00"), "lines_do_not_sum", ["200.00 EUR", "199.00"]),
        (invoice(invoiced_on=date(1948, 6, 20)), "field_invalid", ["invoiced_on", "1948-06-20"]),
        (invoice(due_on=None), "field_invalid", ["due_on"]),
        (invoice(supplier=""), "field_invalid", ["supplier"]),
        (invoice(supplier_invoice_number=" "), "field_invalid", ["supplier_invoice_number"]),
        (invoice(lines=[line(order_line=2**40, distributions=[])]), "field_invalid", ["order_line"]),
    ],
)
def test_a_wrong_invoice_is_named_too(values, code, words):
    error = refused(Invoice, values)
    assert error.code == code
    for word in words:
        assert word in str(error)


def test_an_invoice_line_may_differ_from_quantity_times_price_because_the_match_decides_that():
    assert (
        read(Invoice, invoice(lines=[line(unit_price="19.00", distributions=[])]), system="basware").lines[0].unit_price
        == 19
    )


def test_a_credit_note_may_be_negative():
    values = invoice(
        net_amount="-200.00",
        tax_amount="-38.00",
        gross_amount="-238.00",
        lines=[line(quantity="-10", amount="-200.00", distributions=[])],
    )
    assert read(Invoice, values, system="basware").gross_amount == -238


@pytest.mark.parametrize("kind", [PurchaseOrder, ChangeOrder])
def test_orders_and_their_changes_add_up_too(kind):
    change = {
        "order_number": "1",
        "source_order_id": "1",
        "version": 2,
        "requested_by": PERSON,
        "currency": "EUR",
        "amount": "1.00",
        "lines": [line()],
        "requested_at": NOON,
        "number": "1",
    }
    error = refused(kind, order(amount="1.00") if kind is PurchaseOrder else change)
    assert error.code == "lines_do_not_sum"


def test_a_receipt_may_take_goods_back():
    values = {
        "number": "5000001",
        "posted_on": date(2026, 9, 15),
        "entered_at": NOON,
        "lines": [
            {"number": 1, "order_number": "45", "order_line": 10, "quantity": "-3"},
            {"number": 2, "order_number": "45", "order_line": 20, "quantity": "1"},
        ],
    }
    found = read(GoodsReceipt, values, system="s4hana")
    assert found.lines[0].quantity == -3
    assert found.order_numbers == ("45",)


# -- one form, one hash (P4, R080) -----------------------------------------------------------------------------------------


def test_the_same_document_in_other_words_has_the_same_hash():
    one = read(Requisition, requisition(), system="coupa")
    other = read(
        Requisition,
        requisition(
            submitted_at=NOON.astimezone(timezone(timedelta(hours=-7))),
            title="  ",
            lines=[line(description=" Bearing 6204 ")],
        ),
        system="coupa",
    )
    assert one.payload_hash == other.payload_hash


@pytest.mark.parametrize(
    "changes",
    [
        {"title": "x"},
        {"submitted_at": NOON + timedelta(seconds=1)},
        {"business_unit": "DE-SOUTH"},
        {"lines": [line(description="Bearing 6205")]},
        {"lines": [line(distributions=[{"cost_centre": "4712", "amount": "200.00"}])]},
        {"requester": {"user": "planner.2"}},
    ],
)
def test_whatever_changes_changes_the_hash(changes):
    assert (
        read(Requisition, requisition(**changes), system="coupa").payload_hash
        != read(Requisition, requisition(), system="coupa").payload_hash
    )


def test_a_document_cannot_be_changed_under_its_hash():
    found = read(Supplier, {"number": "1", "name": "Nordwerk", "updated_at": NOON}, system="coupa")
    with pytest.raises(ValueError, match="frozen"):
        found.name = "Suedstahl"


AMOUNTS = st.decimals("0.01", "999999.99", places=2)


@given(
    st.lists(AMOUNTS, min_size=1, max_size=6),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=60),
)
def test_written_and_read_again_it_is_the_same(amounts, title):
    lines = [
        line(
            number=i,
            quantity="1",
            unit_price=str(a),
            amount=str(a),
            distributions=[{"cost_centre": "1", "amount": str(a)}],
        )
        for i, a in enumerate(amounts, 1)
    ]
    found = read(Requisition, requisition(amount=str(sum(amounts)), lines=lines, title=title), system="coupa")
    again = Requisition.model_validate_json(found.canonical_json())
    assert again == found
    assert again.payload_hash == found.payload_hash
    assert all(isinstance(one["amount"], str) for one in json.loads(found.canonical_json())["lines"]), (
        "money is never a float"
    )


ODD = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(requisition())), ODD)
def test_whatever_stands_in_a_field_it_is_read_or_refused_and_never_a_crash(field, value):
    with suppress(MappingError):
        read(Requisition, requisition(**{field: value}), system="coupa")
