"""Readers find out what nobody said, say what they took, and ask where two readings are possible (issue 4 section 1)."""

import json
import sqlite3
import time
import tracemalloc
from contextlib import closing
from datetime import UTC, datetime

import pytest

from sync_engine.eventlog import times
from sync_engine.eventlog.csv_log import CsvReader
from sync_engine.eventlog.importing import Request, activities_of, reader_of
from sync_engine.eventlog.known import checked_name
from sync_engine.eventlog.opening import Options, format_of
from sync_engine.eventlog.records import BadLog, SeenEvent, SeenObject
from sync_engine.eventlog.stages import guessed_mapping, guessed_stage, load_mapping
from sync_engine.model.lifecycles import LIFECYCLES


def events(reader):
    return [record for record in reader.records(lambda _: None) if isinstance(record, SeenEvent)]


def of(tmp_path, text, encoding="utf-8", **options):
    path = tmp_path / "log.csv"
    path.write_bytes(text.encode(encoding))
    return CsvReader(path, Options(**options))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_any_delimiter_and_line_end_is_found_out(tmp_path, delimiter, end):
    lines = ["Case ID,Activity,Complete Timestamp,note", 'A,ask,2026-03-01 08:00,"x;y|z"', "A,pay,2026-03-02 08:00,"]
    reader = of(tmp_path, end.join(line.replace(",", delimiter) for line in lines).replace("x;y|z", "several words"))
    assert [(one.case, one.activity, one.event_at.day) for one in events(reader)] == [("A", "ask", 1), ("A", "pay", 2)]
    assert reader.guessed["delimiter"] == ("tab" if delimiter == "\t" else delimiter)


@pytest.mark.parametrize(
    ("encoding", "called"), [("utf-8", "utf-8"), ("utf-8-sig", "utf-8-sig"), ("cp1252", "cp1252"), ("utf-16", "utf-16")]
)
def test_the_encoding_is_found_out_and_told(tmp_path, encoding, called):
    reader = of(tmp_path, "case,activity,timestamp\nA,prüfen,2026-03-01\n", encoding)
    assert reader.guessed["encoding"] == called
    assert events(reader)[0].activity == "prüfen"


@pytest.mark.parametrize(
    ("text", "name", "moment"),
    [
        ("2026-03-04T08:05:06.789Z", "iso", datetime(2026, 3, 4, 8, 5, 6, 789000, tzinfo=UTC)),
        ("2026/03/04 08:05", "iso", datetime(2026, 3, 4, 8, 5, tzinfo=UTC)),
        ("2026.3.4 8:05:06", "year-first", datetime(2026, 3, 4, 8, 5, 6, tzinfo=UTC)),
        ("24.12.2026 08:05", "day-first", datetime(2026, 12, 24, 8, 5, tzinfo=UTC)),
        ("12/24/26 8:05 PM", "month-first", datetime(2026, 12, 24, 20, 5, tzinfo=UTC)),
        ("24-Dec-2026 08:05", "%d-%b-%Y %H:%M", datetime(2026, 12, 24, 8, 5, tzinfo=UTC)),
        ("1772611506", "unix", datetime(2026, 3, 4, 8, 5, 6, tzinfo=UTC)),
        ("1772611506789", "unix", datetime(2026, 3, 4, 8, 5, 6, 789000, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_as_it_is_written(tmp_path, text, name, moment):
    reader = of(tmp_path, f'case,activity,timestamp\nA,ask,"{text}"\n')
    assert reader.guessed["time format"] == name
    assert events(reader)[0].event_at == moment


def test_a_date_with_two_readings_is_refused_with_both_and_the_flag(tmp_path):
    with pytest.raises(BadLog, match=r"03 April 2026 or 04 March 2026.*--time-format day-first") as refused:
        of(tmp_path, "case,activity,timestamp\nA,ask,03/04/2026 08:00\nA,pay,05/06/2026 08:00\n")
    assert "timestamp" in str(refused.value)
    told = of(tmp_path, "case,activity,timestamp\nA,ask,03/04/2026 08:00\n", time_format="month-first")
    assert events(told)[0].event_at == datetime(2026, 3, 4, 8, tzinfo=UTC)


def test_one_row_far_down_decides_the_order_of_day_and_month(tmp_path):
    rows = ["A,ask,03/04/2026 08:00\n"] * 5000 + ["A,pay,13/04/2026 08:00\n"]
    reader = of(tmp_path, "case,activity,timestamp\n" + "".join(rows))
    assert reader.guessed["time format"] == "day-first"


def test_dates_that_read_alike_both_ways_need_no_answer(tmp_path):
    assert events(of(tmp_path, "case,activity,timestamp\nA,ask,04/04/2026\n"))[0].event_at.month == 4


def test_a_column_nobody_can_find_is_asked_for(tmp_path):
    with pytest.raises(BadLog, match=r"Which column is the case\? Say --case-column\. The columns are 'Vorgang', "):
        of(tmp_path, "Vorgang,activity,timestamp\nA,ask,2026-03-01\n")
    with pytest.raises(BadLog, match="There is no column 'x'"):
        of(tmp_path, "Vorgang,activity,timestamp\nA,ask,2026-03-01\n", case_column="x")


def test_the_hours_of_a_clock_change_are_the_only_doubtful_ones():
    berlin = times.zone_named("Europe/Berlin")
    doubtful = [
        f"{day} {hour:02}:30"
        for day in ("2026-03-29", "2026-10-25")
        for hour in range(5)
        if times.localized(f"{day} {hour:02}:30", berlin)[1]
    ]
    assert doubtful == ["2026-03-29 02:30", "2026-10-25 02:30"]


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE log [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><log><trace/></log>',
        '<?xml version="1.0"?><!-- ' + "x" * 100_000 + ' --><!DOCTYPE log SYSTEM "file:///etc/passwd"><log/>',
    ],
)
def test_xml_that_brings_definitions_is_refused_before_it_is_read(tmp_path, text):
    path = tmp_path / "log.xes"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadLog, match="document type definition"):
        reader_of(Request(path, "theirs", "xes"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ('{"a": 1}', "neither OCEL 1.0 nor OCEL 2.0"),
        ("<html/>", "neither XES nor OCEL"),
        ("SQLite format 3\0", "database"),
    ],
)
def test_a_file_that_is_no_log_is_refused_with_what_it_is(tmp_path, text, says):
    path = tmp_path / "file"
    path.write_text(text, encoding="utf-8")
    with pytest.raises((BadLog, Exception), match=says):
        format_of(path)


def test_a_log_cut_off_in_the_middle_says_so(tmp_path):
    path = tmp_path / "log.json"
    path.write_text(
        '{"objects": [], "events": [{"id": "1", "type": "x", "time": "2026-01-01", "relationships": []}, {"id"',
        encoding="utf-8",
    )
    with pytest.raises(BadLog, match="cannot be read"):
        events(reader_of(Request(path, "theirs")))


@pytest.mark.parametrize("kind", ["json", "xes", "csv"])
def test_memory_does_not_grow_with_the_file(tmp_path, kind):
    """Ten times the events, the same memory."""
    peaks = []
    for many in (3_000, 30_000):
        path = tmp_path / f"{many}.{kind}"
        with path.open("w", encoding="utf-8") as file:
            if kind == "json":
                file.write('{"events": [')
                file.write(
                    ",".join(
                        json.dumps(
                            {
                                "id": str(n),
                                "type": "x",
                                "time": "2026-01-01T00:00:00Z",
                                "attributes": [],
                                "relationships": [],
                            }
                        )
                        for n in range(many)
                    )
                )
                file.write("]}")
            elif kind == "xes":
                event = '<event><string key="concept:name" value="x"/><date key="time:timestamp" value="2026-01-01T00:00:00Z"/></event>'
                file.write(
                    "<log>"
                    + "".join(
                        f'<trace><string key="concept:name" value="{n}"/>{event * 3}</trace>' for n in range(many // 3)
                    )
                    + "</log>"
                )
            else:
                file.write("case,activity,timestamp\n" + "".join(f"{n},x,2026-01-01\n" for n in range(many)))
        tracemalloc.start()
        count = sum(isinstance(one, SeenEvent) for one in reader_of(Request(path, "theirs")).records(lambda _: None))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert count == many
    assert peaks[1] < peaks[0] * 2 + 1_000_000


def test_what_stands_between_the_elements_of_an_xml_file_is_not_kept(tmp_path):
    """Trap: after an attribute without a value everything between elements was kept until the next one."""
    event = '<event id="{n}" type="x" time="2026-01-01T00:00:00Z">{said}<objects><relationship object-id="o" qualifier=""/></objects></event>'
    first = event.format(n=0, said='<attributes><attribute name="a"/><attribute name="b">B</attribute><attribute name="c"></attribute></attributes>')  # fmt: skip
    later = (event.format(n=n, said="") + "\n" * 100_000 for n in range(1, 100))
    path = tmp_path / "log.xmlocel"
    path.write_text(f"<log><events>{first}{''.join(later)}</events></log>", encoding="utf-8")
    tracemalloc.start()
    values = [one.values for one in events(reader_of(Request(path, "theirs")))]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert values[:2] == [{"a": "", "b": "B", "c": ""}, {}]
    assert len(values) == 100
    assert peak < 3_000_000


def test_a_mapping_that_was_guessed_is_read_as_it_was_printed(tmp_path):
    log = {
        "ocel:events": {"1": {"ocel:activity": 'Create "Purchase" Order', "ocel:timestamp": "2026-03-01T08:00:00Z", "ocel:omap": ["R", "O"], "ocel:vmap": {}}},
        "ocel:objects": {"R": {"ocel:type": "PURCHREQ", "ocel:ovmap": {}}, "O": {"ocel:type": "PURCHORD", "ocel:ovmap": {}}},
    }  # fmt: skip
    path = tmp_path / "log.json"
    path.write_text(json.dumps(log), encoding="utf-8")
    (tmp_path / "mapping.toml").write_text(
        guessed_mapping(activities_of(reader_of(Request(path, "x")), "case")), encoding="utf-8"
    )
    mapping = load_mapping(tmp_path / "mapping.toml")
    assert mapping.moves == {'Create "Purchase" Order': "PURCHORD"}
    assert mapping.stage('Create "Purchase" Order') == guessed_stage('Create "Purchase" Order')


def test_a_mapping_with_a_word_nobody_knows_is_refused(tmp_path):
    (tmp_path / "mapping.toml").write_text("[stage]\nx = 'y'\n", encoding="utf-8")
    with pytest.raises(BadLog, match=r"\[stages\], \[moves\] and \[log\]"):
        load_mapping(tmp_path / "mapping.toml")


@pytest.mark.parametrize(
    ("activity", "stage"),
    [
        ("Create Purchase Requisition", "awaiting_approval"), ("Purchase Request Created", "awaiting_approval"), ("Manager Approval", "approved"),
        ("Approve Purchase Requisition", "approved"), ("Create Purchase Order", "ordered"), ("Change PO Quantity", "ordered"), ("Receive Goods", "received"),
        ("Record Goods Receipt", "received"), ("Insert Invoice", "acknowledged"), ("Record Invoice Receipt", "acknowledged"), ("Set Payment Block", "payment_blocked"),
        ("Remove Payment Block", "payment_ready"), ("Clear Invoice", "paid"), ("Pay invoice", "paid"), ("Reject Purchase Requisition", "rejected"), ("examine casually", "examine casually"),
    ],
)  # fmt: skip
def test_an_activity_is_guessed_from_its_name(activity, stage):
    assert guessed_stage(activity) == stage


def test_every_guess_is_a_stage_our_own_documents_know():
    from sync_engine.eventlog.stages import _STAGES

    assert {stage for _, stage in _STAGES} <= {state for lifecycle in LIFECYCLES.values() for state in lifecycle.states}


@pytest.mark.parametrize("name", ["finsync", "Finsync", "", "a b", "x" * 64, "../x"])
def test_a_log_has_a_plain_name_that_is_not_ours(name):
    with pytest.raises(BadLog):
        checked_name(name)


def test_objects_come_with_values_and_their_time(tmp_path):
    path = tmp_path / "log.json"
    path.write_text(
        json.dumps(
            {
                "objects": [
                    {
                        "id": "1",
                        "type": "T",
                        "attributes": [{"name": "a", "time": "2026-01-01T00:00:00Z", "value": "x"}],
                    }
                ],
                "events": [],
            }
        ),
        encoding="utf-8",
    )
    [seen] = reader_of(Request(path, "theirs")).records(lambda _: None)
    assert seen == SeenObject("1", "T", (("a", datetime(2026, 1, 1, tzinfo=UTC), "x"),), ())


def test_an_ocel_database_without_any_index_is_read_once_and_not_searched_for_each_event(tmp_path):
    """As data frames write it: 20,000 events with two objects each were 800 million rows to look at, now they are 60,000."""
    path, events_made = tmp_path / "log.sqlite", 20_000
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(
            """
            CREATE TABLE event_map_type (ocel_type, ocel_type_map); CREATE TABLE object_map_type (ocel_type, ocel_type_map);
            CREATE TABLE event (ocel_id, ocel_type); CREATE TABLE object (ocel_id, ocel_type);
            CREATE TABLE event_object (ocel_event_id, ocel_object_id, ocel_qualifier);
            CREATE TABLE object_object (ocel_source_id, ocel_target_id, ocel_qualifier);
            CREATE TABLE event_ask (ocel_id, ocel_time, by TEXT); CREATE TABLE object_order (ocel_id, ocel_time, ocel_changed_field, price REAL);
            INSERT INTO event_map_type VALUES ('ask', 'ask'); INSERT INTO object_map_type VALUES ('order', 'order');
            """
        )
        count = range(events_made)
        database.executemany(
            "INSERT INTO event_ask VALUES (?, '2026-03-01T08:00:00Z', 'Ann')", [(f"e{n}",) for n in count]
        )
        database.executemany("INSERT INTO event_object VALUES (?, ?, ?)", [(f"e{n}", f"o{n}", None) for n in count])
        database.executemany("INSERT INTO event_object VALUES (?, 'all', 'with')", [(f"e{n}",) for n in count])
        database.executemany("INSERT INTO object VALUES (?, 'order')", [(f"o{n}",) for n in count])
        database.executemany("INSERT INTO object_order VALUES (?, '', '', 1.5)", [(f"o{n}",) for n in count if n % 2])
        database.executemany("INSERT INTO object_object VALUES (?, 'all', 'in')", [(f"o{n}",) for n in count])
    reader, began = reader_of(Request(path, "theirs")), time.process_time()
    found = list(reader.records(lambda _: None))
    assert time.process_time() - began < 10
    seen = [one for one in found if isinstance(one, SeenEvent)]
    objects = [one for one in found if isinstance(one, SeenObject)]
    assert [(one.external_id, one.relations) for one in seen] == [
        (f"e{n}", ((f"o{n}", ""), ("all", "with"))) for n in count
    ]
    assert {one.object_id: one.values for one in objects} == {
        f"o{n}": (("price", None, 1.5),) if n % 2 else () for n in count
    }
    assert all(one.links == (("all", "in"),) for one in objects)
