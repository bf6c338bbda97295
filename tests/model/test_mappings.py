"""The mapping service: versioned words, nothing guessed, and every refusal says where and what next (R090-R098, R108, R109)."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import FOLDER
from sync_engine.configuration import BadConfiguration, load_mappings
from sync_engine.model.errors import MappingError
from sync_engine.model.exceptions import KINDS, Retryable
from sync_engine.model.mappings import Mappings, Table, nearest

D = Decimal
TODAY = date(2026, 9, 15)
MAPPINGS = load_mappings(FOLDER)


def tables(**entries):
    return {
        name: Table(name=name, version="1", owner="group finance", valid_from=date(2026, 1, 1), entries=content)
        for name, content in entries.items()
    }


def mappings(**entries):
    return Mappings(tables(**entries), version="1.abc", group_currency="EUR")


RATES = mappings(
    rates={
        "USD": [
            {"valid_on": date(2026, 1, 1), "rate": "0.92", "source": "treasury"},
            {"valid_on": date(2026, 7, 1), "rate": "0.91", "source": "treasury"},
            {"valid_on": date(2026, 4, 1), "rate": "0.93", "source": "treasury"},
        ],
        "JPY": [{"valid_on": date(2026, 1, 1), "rate": "0.0060", "source": "treasury"}],
    }
)


# -- words -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ask", "code", "words"),
    [
        (lambda: MAPPINGS.plant("DES9"), "value_unmapped", ["'DES9'", "table plants", "DES1"]),
        (lambda: MAPPINGS.tax_code("VAT18"), "value_unmapped", ["'VAT18'", "table tax codes", "VAT19"]),
        (lambda: MAPPINGS.payment_term("NET 31"), "value_unmapped", ["'NET 31'", "table payment terms", "NET 30"]),
        (lambda: MAPPINGS.unit_of_measure("KGS"), "value_unmapped", ["'KGS'", "table units of measure"]),
        (lambda: MAPPINGS.unit("DE-SOUHT"), "value_unmapped", ["'DE-SOUHT'", "business unit", "DE-SOUTH"]),
        (
            lambda: MAPPINGS.unit_of_department("DE-SOUTH Plnt", system="coupa"),
            "value_unmapped",
            ["table departments", "DE-SOUTH Plant"],
        ),
        (lambda: MAPPINGS.cost_centre("4719", TODAY), "cost_centre_unknown", ["4719", "hierarchy", "4711"]),
        (lambda: MAPPINGS.rate("CHF", TODAY), "currency_unknown", ["CHF", "2026-09-15"]),
    ],
)
def test_a_word_without_an_entry_is_refused_with_the_place_and_the_nearest_entries(ask, code, words):
    with pytest.raises(MappingError) as refused:
        ask()
    assert refused.value.code == code
    assert KINDS[code].retryable is Retryable.AFTER_FIX
    assert KINDS[code].next_step
    assert refused.value.facts
    for word in words:
        assert word in str(refused.value)


@pytest.mark.parametrize("word", ["", " ", "DES1 ", "des1", "\x00", "=1+1"])
def test_almost_right_is_not_right(word):
    with pytest.raises(MappingError):
        MAPPINGS.plant(word)


@given(st.text(max_size=60))
def test_a_word_is_either_in_the_table_or_refused(word):
    if word in MAPPINGS.tables["plants"].entries:
        assert MAPPINGS.plant(word) == MAPPINGS.tables["plants"].entries[word]
    else:
        with pytest.raises(MappingError):
            MAPPINGS.plant(word)


def test_a_table_that_is_not_there_knows_no_word():
    with pytest.raises(MappingError, match="no entry in the table plants"):
        mappings().plant("DES1")


def test_what_is_like_nothing_is_offered_nothing():
    assert nearest("Q", ["4711", "4712"]) == ""


# -- cost centres (R108) ---------------------------------------------------------------------------------------------------


def test_every_cost_centre_knows_its_way_up_to_the_group():
    for code in MAPPINGS.tables["cost_centres"].entries:
        found = MAPPINGS.cost_centre(code, TODAY)
        assert found.path[0] == code, "itself first"
        assert found.path[-1] == "Group"
        assert found.business_unit in MAPPINGS.business_units
        assert len(set(found.path)) == len(found.path), "no way up leads round in a circle"


@pytest.mark.parametrize(
    ("on", "valid"),
    [(date(2019, 12, 31), False), (date(2020, 1, 1), True), (date(2026, 12, 31), True), (date(2027, 1, 1), False)],
)
def test_a_cost_centre_holds_from_its_first_to_its_last_day(on, valid):
    book = mappings(
        cost_centres={
            "1": {"business_unit": "X", "path": ["1"], "valid_from": date(2020, 1, 1), "valid_to": date(2026, 12, 31)}
        }
    )
    if valid:
        assert book.cost_centre("1", on).code == "1"
    else:
        with pytest.raises(MappingError, match=rf"valid from 2020-01-01 to 2026-12-31, not on {on}") as refused:
            book.cost_centre("1", on)
        assert refused.value.facts == {"cost_centre": "1"}


# -- currencies (R094) -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on", "rate", "since"),
    [
        (date(2026, 1, 1), "0.92", date(2026, 1, 1)),
        (date(2026, 3, 31), "0.92", date(2026, 1, 1)),
        (date(2026, 4, 1), "0.93", date(2026, 4, 1)),
        (date(2026, 6, 30), "0.93", date(2026, 4, 1)),
        (date(2030, 1, 1), "0.91", date(2026, 7, 1)),
    ],
)
def test_an_amount_is_converted_at_the_latest_rate_not_after_the_day(on, rate, since):
    found = RATES.in_group_currency(D("100.00"), "USD", on)
    assert (found.rate, found.rate_on, found.rate_source) == (D(rate), since, "treasury")
    assert (found.amount, found.currency) == (D(rate) * 100, "EUR")


def test_before_the_first_rate_nothing_is_converted():
    with pytest.raises(MappingError, match="no rate for USD on or before 2025-12-31") as refused:
        RATES.in_group_currency(D(1), "USD", date(2025, 12, 31))
    assert refused.value.code == "currency_unknown"


def test_the_group_currency_is_worth_itself():
    found = RATES.in_group_currency(D("12.34"), "EUR", TODAY)
    assert (found.amount, found.rate, found.rate_source) == (D("12.34"), 1, "group currency")


def test_a_converted_amount_is_rounded_to_the_minor_unit_of_where_it_goes():
    assert str(RATES.in_group_currency(D("12345"), "JPY", TODAY).amount) == "74.07"
    assert str(RATES.in_currency(D("74.07"), "JPY", TODAY)) == "12345"


def test_every_business_unit_can_be_converted():
    for unit in MAPPINGS.business_units.values():
        assert MAPPINGS.rate(unit.currency, TODAY).rate > 0


# -- people and places -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("system", "user", "email", "employee"),
    [
        ("coupa", "plant.manager.de-south", "", "E-1042"),
        ("servicenow", "PM.DeSouth", "other@example.test", "E-1042"),
        ("coupa", "planner", " Planner@Example.Test ", "planner@example.test"),
        ("coupa", "planner", "", "coupa:planner"),
        ("servicenow", "planner", "", "servicenow:planner"),
    ],
)
def test_a_person_is_who_the_identities_say_else_their_address_else_their_login(system, user, email, employee):
    assert MAPPINGS.employee(system, user, email) == employee


@pytest.mark.parametrize(
    ("system", "user", "program"),
    [
        ("coupa", "finsync", True),
        ("coupa", "FinSync", True),
        ("coupa", "planner", False),
        ("elsewhere", "finsync", False),
    ],
)
def test_a_programs_login_is_nobody(system, user, program):
    assert MAPPINGS.is_integration_user(system, user) is program


@pytest.mark.parametrize(
    ("unit", "day"), [("JP-KANTO", date(2026, 10, 1)), ("US-WEST", date(2026, 9, 30)), ("DE-SOUTH", date(2026, 10, 1))]
)
def test_the_day_a_ledger_posts_on_is_the_day_at_its_business_unit(unit, day):
    """F8: ten minutes before a UTC midnight at the end of the month the periods differ."""
    assert MAPPINGS.local_day(unit, datetime(2026, 9, 30, 23, 50, tzinfo=UTC)) == day


# -- versions (R011, R098) -------------------------------------------------------------------------------------------------


def test_every_table_names_its_version_its_owner_and_the_day_it_holds_from():
    for table in MAPPINGS.tables.values():
        assert table.version
        assert table.owner
        assert table.valid_from <= TODAY


def test_the_version_names_the_exact_content(tmp_path):
    assert re.fullmatch(r"2026-08-01\.[0-9a-f]{8}", MAPPINGS.version)
    copied = _copy_of_config(tmp_path)
    assert load_mappings(tmp_path).version == MAPPINGS.version
    plants = copied / "plants.toml"
    plants.write_text(plants.read_text().replace("1020", "1029"))
    assert load_mappings(tmp_path).version != MAPPINGS.version


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ("entries = 5", "entries"),
        ("version = ", "cannot be read"),
        ("version='1'\n[entries]\nx = '1'", "owner"),
        ("version='1'\nowner='o'\nvalid_from=2026-01-01\nsurprise=1\n[entries]\n", "surprise"),
    ],
)
def test_half_a_table_is_no_table_and_the_file_is_named(tmp_path, broken, says):
    (_copy_of_config(tmp_path) / "plants.toml").write_text(broken)
    with pytest.raises(BadConfiguration, match=r"plants\.toml") as refused:
        load_mappings(tmp_path)
    assert says in str(refused.value)


def test_a_folder_without_business_units_is_refused(tmp_path):
    (_copy_of_config(tmp_path) / "business_units.toml").unlink()
    with pytest.raises(BadConfiguration, match=r"business_units\.toml is missing"):
        load_mappings(tmp_path)


def _copy_of_config(folder):
    target = folder / "mappings"
    target.mkdir()
    for path in (FOLDER / "mappings").glob("*.toml"):
        (target / path.name).write_text(path.read_text())
    return target
