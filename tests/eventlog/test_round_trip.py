"""What goes out comes in again as it was, for everything a format can carry (issue 4 section 1, R019, R036)."""

import json
from datetime import UTC, datetime

import pyarrow.parquet as pq
import pytest

from sync_engine.eventlog.exporting import export
from sync_engine.eventlog.records import BadLog
from sync_engine.eventlog.stored import StoredLog
from tests.eventlog.conftest import contents

OBJECT_LOG = {
    "objectTypes": [
        {"name": "Order", "attributes": [{"name": "quantity", "type": "integer"}, {"name": "price", "type": "float"}]},
        {"name": "Invoice", "attributes": [{"name": "is_blocked", "type": "boolean"}, {"name": "due", "type": "time"}]},
        {"name": "Never seen", "attributes": []},
    ],
    "eventTypes": [
        {"name": "Create Order", "attributes": [{"name": "by", "type": "string"}, {"name": "lines", "type": "integer"}]},
        {"name": "create order", "attributes": []},
        {"name": "Insert Invoice", "attributes": []},
        {"name": "Nothing at hand", "attributes": [{"name": "note", "type": "string"}]},
    ],
    "objects": [
        {
            "id": "O/1",
            "type": "Order",
            "attributes": [
                {"name": "quantity", "time": "1970-01-01T00:00:00Z", "value": 500},
                {"name": "quantity", "time": "2026-01-13T12:00:00+01:00", "value": 600},
                {"name": "price", "time": "1970-01-01T00:00:00Z", "value": 12.5},
            ],
            "relationships": [{"objectId": "I 1", "qualifier": "billed by"}, {"objectId": "I 1", "qualifier": "paid by"}],
        },
        {
            "id": "I 1",
            "type": "Invoice",
            "attributes": [
                {"name": "is_blocked", "time": "1970-01-01T00:00:00Z", "value": False},
                {"name": "is_blocked", "time": "2026-02-03T06:30:00.123456Z", "value": True},
                {"name": "due", "time": "1970-01-01T00:00:00Z", "value": "2026-03-01T00:00:00Z"},
            ],
            "relationships": [],
        },
    ],
    "events": [
        {
            "id": "e2",
            "type": "Insert Invoice",
            "time": "2026-01-20T08:00:00.000001Z",
            "attributes": [],
            "relationships": [{"objectId": "O/1", "qualifier": "bills"}, {"objectId": "I 1", "qualifier": "is inserted"}],
        },
        {
            "id": "e1",
            "type": "Create Order",
            "time": "2026-01-09T09:00:00+01:00",
            "attributes": [{"name": "by", "value": 'Ümit "the <buyer>"\n& co\\'}, {"name": "lines", "value": 3}],
            "relationships": [{"objectId": "O/1", "qualifier": ""}],
        },
        {"id": "e3", "type": "create order", "time": "2026-01-09T09:00:00Z", "attributes": [], "relationships": [{"objectId": "O/1", "qualifier": "again"}]},
        {"id": "e4", "type": "Nothing at hand", "time": "2026-01-21T00:00:00Z", "attributes": [{"name": "note", "value": "x"}], "relationships": []},
    ],
}  # fmt: skip
XES = """<?xml version="1.0" encoding="utf-8"?>
<log xes.version="1849-2016" xes.features="nested-attributes" xmlns="http://www.xes-standard.org/">
  <extension name="Concept" prefix="concept" uri="http://www.xes-standard.org/concept.xesext"/>
  <global scope="event"><string key="concept:name" value="?"/></global>
  <classifier name="Activity" keys="concept:name"/>
  <string key="creator" value="a hand"/>
  <trace>
    <string key="concept:name" value="Case &amp; 1"/>
    <float key="amount" value="12.50"/><boolean key="urgent" value="true"/>
    <event>
      <string key="concept:name" value="begin"/><date key="time:timestamp" value="2026-10-25T02:30:00.000+02:00"/>
      <string key="org:resource" value="Ann"/><string key="lifecycle:transition" value="complete"/>
      <int key="lines" value="3"/><float key="rate" value="1.0"/><id key="ref" value="9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d"/>
      <date key="due" value="2026-12-01T00:00:00+00:00"/>
      <string key="note" value="outer"><string key="inner" value="nested"/></string>
      <list key="parts"><values><string key="part" value="a"/><int key="part" value="2"/></values></list>
    </event>
    <event><string key="concept:name" value="end"/><date key="time:timestamp" value="2026-10-25T02:30:00.000+01:00"/></event>
  </trace>
  <trace><string key="concept:name" value="a case without events"/></trace>
</log>
"""
ROWS = "Fall;Was;Wann;Beginn;Wer;Betrag;leer\nA1;anlegen;24.12.2026 08:00;24.12.2026 07:30;Ünal;1.234,50;\nA1;buchen;25.12.2026 09:00;;;;\nB2;anlegen;23.12.2026 08:00;;Ott;5;\n"


def way_out_and_in(connection, take, tmp_path, kind, **more):
    export(connection, "theirs", kind, tmp_path / "out", **more)
    return tmp_path / "out"


@pytest.mark.parametrize("kind", ["ocel2-json", "ocel2-xml", "ocel2-sqlite"])
def test_an_object_log_keeps_attributes_their_changes_and_qualifiers(connection, take, tmp_path, kind):
    """Types that differ in capitals only, types nobody is of, an event without an object, two links between one pair."""
    (tmp_path / "in.json").write_text(json.dumps(OBJECT_LOG), encoding="utf-8")
    done = take(tmp_path / "in.json")
    assert (done["events_new"], done["rejected"]) == (4, 0)
    take(way_out_and_in(connection, take, tmp_path, kind), "again")
    before, after = contents(connection, "theirs"), contents(connection, "again")
    assert after == before
    declared = [StoredLog(connection, log).declaration for log in ("theirs", "again")]
    assert declared[0].types == declared[1].types
    assert {kind: sorted(names) for kind, names in declared[0].kinds.items()} == {
        kind: sorted(names) for kind, names in declared[1].kinds.items()
    }
    order = next(one for one in before[1] if one[0] == "O/1")
    assert order[2] == [
        ("price", None, 12.5),
        ("quantity", None, 500),
        ("quantity", datetime(2026, 1, 13, 11, 0, tzinfo=UTC), 600),
    ]
    assert order[3] == [("I 1", "billed by"), ("I 1", "paid by")]


def test_xes_keeps_types_nested_attributes_lists_and_its_header(connection, take, tmp_path):
    """The two events lie an hour apart in the night in which clocks go back."""
    (tmp_path / "in.xes").write_text(XES, encoding="utf-8")
    take(tmp_path / "in.xes")
    take(way_out_and_in(connection, take, tmp_path, "xes"), "again")
    assert contents(connection, "again") == contents(connection, "theirs")
    before, after = (StoredLog(connection, log).declaration.header for log in ("theirs", "again"))
    assert after["log"] == before["log"] == {"creator": "a hand"}
    assert (after["classifiers"], after["globals"], after["extensions"]) == (
        before["classifiers"],
        before["globals"],
        before["extensions"],
    )
    events, objects = contents(connection, "again")
    assert [one[0] for one in objects] == ["Case & 1", "a case without events"]
    values = dict(events[0][7])
    assert (values["lines"], values["rate"], values["parts"]["value"][1]) == (3, 1.0, ["part", 2])
    assert values["note"]["children"] == {"inner": "nested"}
    assert (events[1][2] - events[0][2]).total_seconds() == 3600


def test_csv_comes_back_in_its_own_columns(connection, take, tmp_path):
    (tmp_path / "in.csv").write_text(ROWS, encoding="utf-8")
    columns = {
        "case_column": "Fall",
        "activity_column": "Was",
        "time_column": "Wann",
        "start_column": "Beginn",
        "resource_column": "Wer",
    }
    take(tmp_path / "in.csv", **columns)
    out = way_out_and_in(connection, take, tmp_path, "csv")
    assert out.read_text(encoding="utf-8").splitlines()[0] == "Fall,Was,Wann,Beginn,Wer,Betrag,leer"
    take(out, "again", **columns)
    assert contents(connection, "again") == contents(connection, "theirs")


def test_a_file_packed_on_the_way_out_is_read_packed(connection, take, tmp_path):
    (tmp_path / "in.xes").write_text(XES, encoding="utf-8")
    take(tmp_path / "in.xes")
    export(connection, "theirs", "xes", tmp_path / "out.xes.gz")
    assert (tmp_path / "out.xes.gz").read_bytes().startswith(b"\x1f\x8b")
    assert take(tmp_path / "out.xes.gz", "again")["events_new"] == 2


def test_a_warehouse_reads_every_event_with_its_objects(connection, take, tmp_path):
    """R036."""
    (tmp_path / "in.json").write_text(json.dumps(OBJECT_LOG), encoding="utf-8")
    take(tmp_path / "in.json")
    rows = pq.read_table(way_out_and_in(connection, take, tmp_path, "parquet")).to_pylist()
    assert [row["event_id"] for row in rows] == ["e1", "e3", "e2", "e4"]
    assert rows[0]["event_at"] == datetime(2026, 1, 9, 8, 0, tzinfo=UTC)
    assert json.loads(rows[0]["attributes"])["lines"] == 3
    assert rows[2]["object_id"] == "I 1"
    assert {one["object_id"]: one["qualifier"] for one in rows[2]["relations"]} == {
        "O/1": "bills",
        "I 1": "is inserted",
    }
    assert rows[3]["relations"] == []


def test_a_format_with_cases_asks_of_what_when_the_log_has_several_types(connection, take, tmp_path):
    (tmp_path / "in.json").write_text(json.dumps(OBJECT_LOG), encoding="utf-8")
    take(tmp_path / "in.json")
    with pytest.raises(BadLog, match="--case"):
        export(connection, "theirs", "csv", tmp_path / "out.csv")
    assert export(connection, "theirs", "csv", tmp_path / "out.csv", case_type="Order")["events"] == 3
    assert not list(tmp_path.glob(".*"))
