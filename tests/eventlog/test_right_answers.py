"""Logs by others, with answers computed by others: every case, not the average (issue 4 section 1)."""

import csv
import gzip
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from config import FOLDER
from sync_engine.configuration import load_calendars
from sync_engine.eventlog.cycle_times import Question, cycle_times
from tests.eventlog.conftest import contents, shared


def rounded(value):
    return round(Decimal(value), 3)


def test_every_case_of_a_purchase_log_takes_as_long_as_its_author_says(connection, take):
    """12,000 cases, 166,551 events: the author's own hours per case, and mean, median and sum of the seconds.

    The author counted before he cut times to the second (one at each end at most half) and hours to four digits (0.18 s).
    """
    log, master = shared("p2p_event_log.csv.gz"), shared("case_master.csv.gz")
    done = take(log)
    figures = cycle_times(connection, Question("theirs"))
    with gzip.open(master, "rt", encoding="utf-8") as file:
        told = {row["case_id"]: row for row in csv.DictReader(file)}
    assert done["events_new"] == figures["summary"]["events"] == 166_551
    assert figures["summary"]["cases"] == len(told) == 12_000
    assert figures["summary"]["sum_s"] == 9_370_191_607
    assert rounded(figures["summary"]["mean_s"]) == Decimal("780849.301")
    assert figures["summary"]["median_s"] == Decimal("740068.5")
    wrong = [
        case["case_id"]
        for case in figures["cases"]
        if case["events"] != int(told[case["case_id"]]["event_count"])
        or case["first_event_at"] != datetime.fromisoformat(told[case["case_id"]]["created_at"])
        or case["last_event_at"] != datetime.fromisoformat(told[case["case_id"]]["completed_at"])
        or abs(case["duration_s"] - Decimal(told[case["case_id"]]["cycle_time_hours"]) * 3600) > Decimal("1.2")
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("case_type", "cases", "events", "mean"),
    [("PURCHORD", 80, 400, "691195.5"), ("PURCHREQ", 80, 160, "302398.5"), ("INVOICE", 127, 254, "86396.22")],
)
def test_an_object_log_flattened_on_a_type_counts_every_event_for_every_object_it_names(
    connection, take, case_type, cases, events, mean
):
    """OCEL 1.0 without global blocks; trap 5: divergence and convergence."""
    take(shared("p2p-normal.jsonocel"))
    summary = cycle_times(connection, Question("theirs", case_type))["summary"]
    assert (summary["cases"], summary["events"]) == (cases, events)
    assert round(summary["mean_s"], 2) == Decimal(mean)


def test_a_log_with_starts_and_ends_is_measured_from_end_to_end_or_from_the_first_start(connection, take):
    """CR-only line ends."""
    done = take(shared("PurchasingExample_carlocarlo.csv"))
    ends = cycle_times(connection, Question("theirs"))["summary"]
    assert (done["events_new"], ends["cases"]) == (9_119, 608)
    assert (rounded(ends["mean_s"]), ends["median_s"], ends["sum_s"]) == (
        Decimal("1852225.164"),
        1_028_340,
        1_126_152_900,
    )
    spans = cycle_times(connection, Question("theirs", from_start=True))["summary"]
    assert rounded(spans["mean_s"]) == Decimal("1854068.191")


def test_three_encodings_of_one_log_say_the_same(connection, take):
    """OCEL 2.0: 13 events, 9 objects, 20 links. The times of the JSON are one hour earlier, as its readme says."""
    found = []
    for name, zone in (("jsonocel", "UTC"), ("xmlocel", "UTC"), ("sqlite", "UTC")):
        take(shared(f"ocel20_example.{name}"), name, time_zone=zone)
        events, objects = contents(connection, name)
        assert (len(events), len(objects), sum(len(event[6]) for event in events)) == (13, 9, 20)
        found.append(
            (
                [(event[0], event[1], event[6], event[7]) for event in events],
                [(one[0], one[1], one[3]) for one in objects],
            )
        )
    assert found[0] == found[1] == found[2]


def test_the_two_forms_of_a_log_agree_case_by_case(connection, take):
    take(shared("running-example.csv"), "as-csv")
    take(shared("running-example.xes"), "as-xes")
    one, other = (cycle_times(connection, Question(log))["cases"] for log in ("as-csv", "as-xes"))
    assert len(one) == 6
    assert sum(case["events"] for case in one) == 42
    assert one == other


def test_business_seconds_are_those_that_the_database_counts(connection, take):
    """The same figure as business_s in SQL, where the calendar is filled."""
    from sync_engine.engine.calendars import fill

    take(shared("running-example.csv"))
    calendars = load_calendars(FOLDER).calendars
    fill(
        connection,
        calendars,
        first=datetime(2010, 1, 1, tzinfo=UTC).date(),
        last=datetime(2011, 12, 31, tzinfo=UTC).date(),
    )
    for case in cycle_times(connection, Question("theirs"), calendars["DE-SOUTH"])["cases"]:
        told = connection.execute(
            "SELECT business_s('DE-SOUTH', %s, %s)", [case["first_event_at"], case["last_event_at"]]
        ).fetchone()[0]
        assert case["business_s"] == told > 0
