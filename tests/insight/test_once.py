"""What is worked out once: the same for the same, anew for anything else, and nobody changes what others hold."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa
import pytest

from sync_engine.insight import once as module
from sync_engine.insight.once import Kept, Shared, once, shared


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    monkeypatch.setattr(module, "kept", Kept(1000))


@dataclass(frozen=True)
class Found:
    """As a question's answer is: a table, and what is asked of it."""

    rows: pd.DataFrame

    @once
    def largest(self, name: str) -> pd.DataFrame:
        return self.rows.nlargest(1, name)


def units(*numbers):
    return pd.DataFrame({"unit": [f"U{place}" for place in range(len(numbers))], "n": list(numbers)})


def counted(work):
    """The function, and the list that grows with each time it really works."""
    calls = []

    def counting(*args, **kwargs):
        calls.append(args)
        return work(*args, **kwargs)

    return once(counting), calls


def test_the_same_content_is_worked_out_once_whoever_asks():
    double, calls = counted(lambda table, by: table.assign(n=table["n"] * by))
    first, again = double(units(1, 2), by=2), double(units(1, 2), by=2)
    assert first is again
    assert len(calls) == 1
    assert list(first["n"]) == [2, 4]
    assert list(double(units(1, 3), by=2)["n"]) == [2, 6]
    assert list(double(units(1, 2), by=3)["n"]) == [3, 6]
    assert len(calls) == 3


ALIKE = [
    1, 1.0, True, "1", b"1", Decimal(1), Decimal("1.0"), None, "None", (1,), [1], (1, 2), (12,), ((1,), 2), (1, (2,)), {"a": 1}, {"a": "1"}, {"b": 1}, frozenset({1}), frozenset({1, 2}), ("a b",), ("a", "b"),
    datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 3, 29, 1, tzinfo=ZoneInfo("Europe/Berlin")), ZoneInfo("UTC"), "UTC", float("nan"), pd.NaT, units(1), units(True), units(1.0), units("1"), units(None), units(), units(1).rename(columns={"n": "m"}), units(1).set_index("unit"),
    Found(units(1)), pd.Series([1]), pd.Series([1.0]), units,
]  # fmt: skip


def test_no_two_values_that_look_alike_are_taken_for_each_other():
    place, calls = counted(lambda one: len(calls))
    for value in ALIKE:
        place(value)
    assert len(calls) == len(ALIKE)
    for number, value in enumerate(ALIKE, start=1):
        assert place(value) == number
    assert len(calls) == len(ALIKE)


def test_what_an_argument_has_become_is_another_question():
    total, calls = counted(sum)
    numbers = [1, 2]
    assert total(numbers) == 3
    numbers.append(3)
    assert total(numbers) == 6
    assert len(calls) == 2


@pytest.mark.parametrize("argument", [lambda: 1, partial(int, "1"), object()], ids=["function", "partial", "object"])
def test_what_has_no_content_is_worked_out_anew(argument):
    one, calls = counted(lambda given: 1)
    assert one(argument) == one(argument) == 1
    assert len(calls) == 2


def test_functions_of_the_same_name_are_not_taken_for_each_other():
    assert [once(work)() for work in (lambda: 1, lambda: 2)] == [1, 2]


def test_a_method_is_known_by_what_it_is_asked_of():
    first = Found(units(1, 3)).largest("n")
    assert list(first["unit"]) == ["U1"]
    assert Found(units(1, 3)).largest("n") is first
    assert list(Found(units(4, 3)).largest("n")["unit"]) == ["U0"]


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.__setitem__("n", 0),
        lambda table: table.__delitem__("n"),
        lambda table: table.insert(0, "first", 0),
        lambda table: table.pop("n"),
        lambda table: table.update(units(9, 9)),
    ],
    ids=["set", "delete", "insert", "pop", "update"],
)
def test_a_shared_table_refuses_to_be_changed(change):
    table = shared(units(1, 2))
    with pytest.raises(TypeError, match="shared with other drawings"):
        change(table)
    pd.testing.assert_frame_equal(pd.DataFrame(table), units(1, 2))


def test_what_is_taken_from_a_shared_table_is_ones_own():
    table = shared(units(1, 2))
    for own in (table.copy(), table[table["n"] > 0], table.assign(m=1), table.head(2), table.sort_values("n")):
        assert type(own) is pd.DataFrame
        own["n"] = 0
    assert list(table["n"]) == [1, 2]
    assert shared(table) is table


def test_every_table_of_a_result_is_shared():
    both = once(lambda table: (table, Found(table), 7))(units(1, 2))
    assert isinstance(both[0], Shared)
    assert isinstance(both[1].rows, Shared)
    assert both[2] == 7
    assert once(lambda table: pa.table({"n": table["n"]}))(units(1)).num_rows == 1


@pytest.mark.parametrize("result", [[1], {"a": 1}, pd.Series([1])], ids=["list", "dict", "series"])
def test_what_somebody_could_change_unseen_is_no_result(result):
    with pytest.raises(TypeError, match="could be changed"):
        once(lambda: result)()


def test_nothing_is_also_remembered():
    nothing, calls = counted(lambda: None)
    assert nothing() is nothing() is None
    assert len(calls) == 1


def test_as_much_is_kept_as_there_is_room_for():
    kept = Kept(10)
    for name in (b"a", b"b", b"c", b"d", b"e"):
        kept.put(name, name, weight=2)
    assert kept.get(b"a") == b"a"
    kept.put(b"f", b"f", weight=2)
    assert kept.get(b"b") is None, "the least recently used goes first"
    assert kept.get(b"a") == b"a"
    kept.put(b"g", b"g", weight=3)
    assert kept.get(b"g") is None, "what would drive out much of the rest is not kept"
    kept.put(b"a", b"other", weight=1)
    assert kept.get(b"a") == b"other"
    assert len(kept) == 5
    kept.clear()
    assert len(kept) == 0
