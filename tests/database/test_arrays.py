"""What is written as an array is read back as it was, whatever is in it: every recording depends on it."""

from datetime import UTC, date, datetime
from decimal import Decimal

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync_engine.database.arrays import array_literal

STORABLE = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
COLUMNS = {
    "text": st.text(STORABLE, max_size=30)
    | st.sampled_from(["", "NULL", "null", "{}", '"', "\\", "\\\\", "a,b", "{a}", " ", "\n\t\r", "\x7f\x1b", "\u2028"]),
    "int": st.integers(-(2**31), 2**31 - 1),
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "boolean": st.booleans(),
    "numeric": st.decimals(-(10**14), 10**14, places=6),
    "uuid": st.uuids(),
    "date": st.dates(date(1900, 1, 1), date(2999, 12, 31)),
    "timestamptz": st.datetimes(datetime(1900, 1, 1), datetime(2999, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001 - made aware by `timezones`
    "bytea": st.binary(max_size=40),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_a_column_comes_back_as_it_was_written(connection, kind):
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    @given(st.lists(st.none() | COLUMNS[kind], max_size=8))
    def check(values):
        read = connection.execute(f"SELECT %s::{kind}[]", [array_literal(values)]).fetchone()[0]
        assert read == values

    check()


@pytest.mark.parametrize("values", [["a\x00b"], ["a\ud800b"]])
def test_what_postgresql_cannot_hold_is_refused_before_it_is_sent(connection, values):
    with pytest.raises((psycopg.DataError, UnicodeEncodeError)):
        connection.execute("SELECT %s::text[]", [array_literal(values)])


@pytest.mark.parametrize("value", [object(), {"a": 1}, ["nested"], 1 + 2j])
def test_a_type_no_column_has_is_refused(value):
    with pytest.raises(TypeError, match="has no array form"):
        array_literal([None, value])


def test_a_figure_keeps_its_decimals():
    assert array_literal([Decimal("1.50"), Decimal("-0.000001")]) == "{1.50,-0.000001}"
