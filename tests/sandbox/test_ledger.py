"""A ledger comes back from its file as it was, and the same changes make the same file."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sandbox.ledger import Ledger

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
REPOSITORY = Path(__file__).parents[2]
WORK = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from sandbox.ledger import Ledger

noon = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
ledger = Ledger(Path(sys.argv[1]))
tables = [ledger.table(name, ("state",)) for name in ("requisition", "approval", "order")]
for step in range(900):
    table = tables[step % 3]
    key = f"key {step * 37 % 240}"
    table.put(key, {"step": step, "state": step % 5, "text": "x" * (step % 90)}, noon + timedelta(seconds=step // 7))
    ledger.number(f"range {step % 4}")
    if step % int(sys.argv[2]) == 0:
        ledger.save()
ledger.close()
"""


def told(table, since=None):
    return [(at, row["id"]) for at, row in table.changed_since(since)]


@pytest.fixture
def reopened(tmp_path):
    """Opens the ledger of the test, as often as it is asked; what is open at the end is closed."""
    opened = []

    def reopen():
        for ledger in opened:
            ledger.close()
        opened.append(Ledger(tmp_path / "ledger.sqlite"))
        return opened[-1]

    yield reopen
    for ledger in opened:
        ledger.close()


@pytest.mark.parametrize("every", [1, 50, 1000], ids=["saved at once", "saved now and then", "saved at the end"])
def test_the_same_changes_make_the_same_file_byte_for_byte(tmp_path, every):
    files = []
    for hash_seed in ("1", "2", "3"):
        file = tmp_path / f"{hash_seed}.sqlite"
        surroundings = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(REPOSITORY)}
        subprocess.run([sys.executable, "-c", WORK, str(file), str(every)], check=True, env=surroundings)
        files.append(file.read_bytes())
    assert len(files[0]) > 10_000
    assert files[0] == files[1] == files[2]


def test_a_reopened_ledger_tells_the_changes_of_one_moment_in_the_order_they_were_made(reopened):
    ledger = reopened()
    table = ledger.table("thing", ("colour",))
    for name in "cab":
        table.put(name, {"id": name, "colour": "red"}, NOON)
    ledger.save()
    table.put("d", {"id": "d", "colour": "red"}, NOON)
    table.put("c", {"id": "c", "colour": "red"}, NOON)
    before, found = told(table), table.find("colour", "red")
    assert [name for _, name in before] == ["a", "b", "d", "c"]
    again = reopened().table("thing", ("colour",))
    assert told(again) == before
    assert again.find("colour", "red") == found


def test_a_row_that_kept_its_moment_keeps_its_place_among_the_changes(reopened):
    ledger = reopened()
    table = ledger.table("thing")
    for minute, name in enumerate("abc"):
        table.put(name, {"id": name}, NOON + timedelta(minutes=minute))
    table.put("a", {"id": "a", "more": True}, NOON)
    expected = [(NOON + timedelta(minutes=minute), name) for minute, name in enumerate("abc")]
    assert told(table) == expected
    again = reopened().table("thing")
    assert told(again) == expected
    assert told(again, NOON + timedelta(seconds=1)) == expected[1:]


def test_a_row_that_changed_often_is_written_once_a_save(reopened):
    ledger = reopened()
    table = ledger.table("thing")
    for count in range(20):
        table.put("a", {"id": "a", "count": count}, NOON)
    assert (ledger.save(), ledger.save()) == (1, 0)
    assert reopened().table("thing").get("a") == {"id": "a", "count": 19}


def test_numbers_go_on_after_a_restart(reopened):
    ledger = reopened()
    assert [ledger.number("order", 4001), ledger.number("order", 4001), ledger.number("line")] == [4001, 4002, 1]
    again = reopened()
    assert (again.number("order", 4001), again.number("line")) == (4003, 2)
