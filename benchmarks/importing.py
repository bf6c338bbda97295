"""How fast event logs come in and go out, and in how much memory; `finsync bench import --json`.

One seeded log of purchases is written as CSV, XES and OCEL 2.0 (JSON, XML, SQLite). Each is imported into a cell of its own by a
process of its own, so that the memory is the import's alone; the rate counts everything from opening the file to the
last commit, once by the clock and once by the processor time of the importing process and of its connection in the
database, which is the same however busy the machine is. A ten times smaller file, imported after it, says whether memory grows
with the file.
"""

import csv
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

from benchmarks import cells
from sync_engine.database.connections import Database, borrowed
from sync_engine.eventlog.cycle_times import Question, cycle_times
from sync_engine.eventlog.exporting import WRITERS, export
from sync_engine.eventlog.importing import Request, import_log
from sync_engine.model.ids import id_maker

ROOT = Path(__file__).parents[1]
LOG = "bench"
_BEGINS = datetime(2024, 1, 1, tzinfo=UTC)
_STEPS = (
    "Create Purchase Requisition",
    "Approve Purchase Requisition",
    "Create Purchase Order",
    "Record Goods Receipt",
    "Record Invoice Receipt",
    "Clear Invoice",
)
_KINDS = ("order", "invoice")
"""Each case is one of each; every event names both."""

Progress = Callable[[str], None]


def run(database: Database, *, events: int, progress: Progress) -> dict[str, Any]:
    """Events a second in and out, peak memory in MB of a million bytes, and the time of one question about all cases in ms."""
    figures: dict[str, Any] = {"machine": cells.machine(database), "events": events}
    with tempfile.TemporaryDirectory(prefix="finsync-bench-") as folder:
        for kind, write in _WRITE.items():
            path, smaller = Path(folder) / f"log.{kind}", Path(folder) / f"smaller.{kind}"
            write(path, events)
            write(smaller, events // 10)
            with cells.cell(database) as cell:
                progress(f"{events} events of {kind}")
                told = _in_own_process(cell, path, LOG)
                small = _in_own_process(cell, smaller, f"{LOG} of a tenth")
                figures[f"{kind}_in_per_s"] = round(events / told["seconds"])
                if told["processor_s"]:
                    figures[f"{kind}_in_per_processor_s"] = round(events / told["processor_s"])
                figures[f"{kind}_file_mb"] = round(path.stat().st_size / 1e6, 1)
                figures[f"{kind}_peak_mb"] = round(told["peak_mb"], 1)
                figures[f"{kind}_peak_mb_of_a_tenth"] = round(small["peak_mb"], 1)
                figures[f"{kind}_phases_s"] = told["phases_s"]
                if kind == "csv":
                    figures |= _asked_and_out(cell, Path(folder), events, progress)
    return figures


def _asked_and_out(cell: Database, folder: Path, events: int, progress: Progress) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    pool = cell.engine("finsync_engine", pool_size=1)
    with borrowed(pool) as connection:
        began = time.perf_counter()
        cycle_times(connection, Question(LOG))
        figures["cycle_time_of_every_case_ms"] = round((time.perf_counter() - began) * 1000)
        for kind in WRITERS:
            progress(f"out as {kind}")
            began = time.perf_counter()
            export(connection, LOG, kind, folder / "out", case_type="case")
            figures[f"{kind}_out_per_s"] = round(events / (time.perf_counter() - began))
    pool.dispose()
    return figures


def _in_own_process(cell: Database, path: Path, log: str) -> dict[str, Any]:
    told = {
        "url": cell.owner_url.set(drivername="postgresql").render_as_string(hide_password=False),
        "cell": cell.cell,
        "roles_log_in": cell.roles_log_in,
        "path": str(path),
        "log": log,
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.importing"],
        cwd=ROOT,
        input=json.dumps(told),
        capture_output=True,
        text=True,
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _made(events: int) -> Iterator[tuple[str, int, str, datetime, str, int]]:
    """(case, number of the event, activity, time, resource, amount), cases interleaved as systems write them."""
    rng = Random(7)
    for case in range(events // len(_STEPS) + 1):
        moment = _BEGINS + timedelta(minutes=7 * case)
        for step, activity in enumerate(_STEPS):
            number = case * len(_STEPS) + step
            if number >= events:
                return
            yield f"C{case:08}", number, activity, moment, f"user {rng.randrange(40)}", rng.randrange(100_000)
            moment += timedelta(seconds=rng.randrange(60, 400_000))


def _write_csv(path: Path, events: int) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["case_id", "activity", "timestamp", "resource", "amount", "department", "vendor", "channel"])
        for case, number, activity, moment, who, amount in _made(events):
            rows.writerow(
                [case, activity, moment.isoformat(), who, amount, f"D{amount % 9}", f"V{number % 999}", "portal"]
            )


def _write_xes(path: Path, events: int) -> None:
    before = ""
    with path.open("w", encoding="utf-8") as file:
        file.write('<log xes.version="1849-2016">')
        for case, _, activity, moment, who, amount in _made(events):
            if case != before:
                file.write(("</trace>" if before else "") + f'<trace><string key="concept:name" value="{case}"/>')
                before = case
            file.write(
                f'<event><string key="concept:name" value="{activity}"/><date key="time:timestamp" value="{moment.isoformat()}"/>'
                f'<string key="org:resource" value="{who}"/><int key="amount" value="{amount}"/></event>'
            )
        file.write("</trace></log>")


def _write_ocel(path: Path, events: int) -> None:
    before = ""
    with path.open("w", encoding="utf-8") as file:
        file.write('{"objectTypes": [], "eventTypes": [], "events": [')
        for case, number, activity, moment, who, amount in _made(events):
            event = {
                "id": f"e{number}",
                "type": activity,
                "time": moment.isoformat(),
                "attributes": [{"name": "by", "value": who}, {"name": "amount", "value": amount}],
                "relationships": [{"objectId": case, "qualifier": ""}, {"objectId": f"I{case}", "qualifier": "with"}],
            }
            file.write(("," if number else "") + json.dumps(event))
        file.write('], "objects": [')
        for case, _, _, _, _, amount in _made(events):
            if case != before:
                for object_id, kind in ((case, "order"), (f"I{case}", "invoice")):
                    value = {"name": "amount", "time": "1970-01-01T00:00:00Z", "value": amount}
                    one = {"id": object_id, "type": kind, "attributes": [value], "relationships": []}
                    file.write(("," if before or kind == "invoice" else "") + json.dumps(one))
                before = case
        file.write("]}")


def _write_ocel_xml(path: Path, events: int) -> None:
    before = ""
    with path.open("w", encoding="utf-8") as file:
        file.write("<?xml version='1.0' encoding='UTF-8'?>\n<log>\n  <object-types>\n")
        amount_only = '<attributes><attribute name="amount" type="integer"/></attributes>'
        file.writelines(f'    <object-type name="{kind}">{amount_only}</object-type>\n' for kind in _KINDS)
        file.write("  </object-types>\n  <event-types>\n")
        both = amount_only.replace("<attributes>", '<attributes><attribute name="by" type="string"/>')
        file.writelines(f'    <event-type name="{activity}">{both}</event-type>\n' for activity in _STEPS)
        file.write("  </event-types>\n  <objects>\n")
        for case, _, _, _, _, amount in _made(events):
            if case != before:
                file.writelines(
                    f'    <object id="{object_id}" type="{kind}">\n      <attributes>\n        <attribute name="amount" '
                    f'time="1970-01-01T00:00:00Z">{amount}</attribute>\n      </attributes>\n    </object>\n'
                    for object_id, kind in zip((case, f"I{case}"), _KINDS, strict=True)
                )
                before = case
        file.write("  </objects>\n  <events>\n")
        for case, number, activity, moment, who, amount in _made(events):
            file.write(
                f'    <event id="e{number}" type="{activity}" time="{moment.isoformat()}">\n      <attributes>\n'
                f'        <attribute name="by">{who}</attribute>\n        <attribute name="amount">{amount}</attribute>\n'
                f'      </attributes>\n      <objects>\n        <relationship object-id="{case}" qualifier=""/>\n'
                f'        <relationship object-id="I{case}" qualifier="with"/>\n      </objects>\n    </event>\n'
            )
        file.write("  </events>\n</log>\n")


def _write_ocel_sqlite(path: Path, events: int) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(_OCEL_TABLES)
        short = [(activity, activity.replace(" ", "")) for activity in _STEPS]
        database.executemany("INSERT INTO event_map_type VALUES (?, ?)", short)
        database.executemany("INSERT INTO object_map_type VALUES (?, ?)", [(kind, kind) for kind in _KINDS])
        before = ""
        for case, number, activity, moment, who, amount in _made(events):
            if case != before:
                for object_id, kind in zip((case, f"I{case}"), _KINDS, strict=True):
                    database.execute("INSERT INTO object VALUES (?, ?)", [object_id, kind])
                    row = [object_id, "1970-01-01T00:00:00Z", amount, None]
                    database.execute(_OCEL_ROWS[kind], row)
                before = case
            database.execute("INSERT INTO event VALUES (?, ?)", [f"e{number}", activity])
            row = [f"e{number}", moment.isoformat(), amount, who]
            database.execute(_OCEL_ROWS[activity], row)
            related = [(f"e{number}", case, ""), (f"e{number}", f"I{case}", "with")]
            database.executemany("INSERT INTO event_object VALUES (?, ?, ?)", related)


_OCEL_TABLES = """
CREATE TABLE event_map_type (ocel_type TEXT PRIMARY KEY, ocel_type_map TEXT);
CREATE TABLE object_map_type (ocel_type TEXT PRIMARY KEY, ocel_type_map TEXT);
CREATE TABLE event (ocel_id TEXT PRIMARY KEY, ocel_type TEXT);
CREATE TABLE object (ocel_id TEXT PRIMARY KEY, ocel_type TEXT);
CREATE TABLE event_object (ocel_event_id TEXT, ocel_object_id TEXT, ocel_qualifier TEXT, PRIMARY KEY (ocel_event_id, ocel_object_id, ocel_qualifier));
CREATE TABLE object_object (ocel_source_id TEXT, ocel_target_id TEXT, ocel_qualifier TEXT, PRIMARY KEY (ocel_source_id, ocel_target_id, ocel_qualifier));
CREATE TABLE event_CreatePurchaseRequisition (ocel_id TEXT PRIMARY KEY, ocel_time TIMESTAMP, amount INTEGER, by TEXT);
CREATE TABLE event_ApprovePurchaseRequisition (ocel_id TEXT PRIMARY KEY, ocel_time TIMESTAMP, amount INTEGER, by TEXT);
CREATE TABLE event_CreatePurchaseOrder (ocel_id TEXT PRIMARY KEY, ocel_time TIMESTAMP, amount INTEGER, by TEXT);
CREATE TABLE event_RecordGoodsReceipt (ocel_id TEXT PRIMARY KEY, ocel_time TIMESTAMP, amount INTEGER, by TEXT);
CREATE TABLE event_RecordInvoiceReceipt (ocel_id TEXT PRIMARY KEY, ocel_time TIMESTAMP, amount INTEGER, by TEXT);
CREATE TABLE event_ClearInvoice (ocel_id TEXT PRIMARY KEY, ocel_time TIMESTAMP, amount INTEGER, by TEXT);
CREATE TABLE object_order (ocel_id TEXT PRIMARY KEY, ocel_time TIMESTAMP, amount INTEGER, ocel_changed_field TEXT);
CREATE TABLE object_invoice (ocel_id TEXT PRIMARY KEY, ocel_time TIMESTAMP, amount INTEGER, ocel_changed_field TEXT);
"""
_OCEL_ROWS = {
    "order": "INSERT INTO object_order VALUES (?, ?, ?, ?)",
    "invoice": "INSERT INTO object_invoice VALUES (?, ?, ?, ?)",
    "Create Purchase Requisition": "INSERT INTO event_CreatePurchaseRequisition VALUES (?, ?, ?, ?)",
    "Approve Purchase Requisition": "INSERT INTO event_ApprovePurchaseRequisition VALUES (?, ?, ?, ?)",
    "Create Purchase Order": "INSERT INTO event_CreatePurchaseOrder VALUES (?, ?, ?, ?)",
    "Record Goods Receipt": "INSERT INTO event_RecordGoodsReceipt VALUES (?, ?, ?, ?)",
    "Record Invoice Receipt": "INSERT INTO event_RecordInvoiceReceipt VALUES (?, ?, ?, ?)",
    "Clear Invoice": "INSERT INTO event_ClearInvoice VALUES (?, ?, ?, ?)",
}
_WRITE = {
    "csv": _write_csv,
    "xes": _write_xes,
    "ocel2-json": _write_ocel,
    "ocel2-xml": _write_ocel_xml,
    "ocel2-sqlite": _write_ocel_sqlite,
}


def _processor_s(pid: int) -> float:
    """The processor time a process of this machine has had; 0 where that cannot be seen (a database elsewhere)."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _peak_mb() -> float:
    """The most memory this process has held."""
    with suppress(FileNotFoundError):
        status = Path("/proc/self/status").read_text(encoding="ascii")
        [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def main() -> None:
    """Be the process that imports."""
    told = json.load(sys.stdin)
    database = Database(told["url"], cell=told["cell"], roles_log_in=told["roles_log_in"])
    pool = database.engine("finsync_engine", pool_size=1)
    reached: dict[str, float] = {}
    began = time.perf_counter()

    def note(what: str, _behind: int, _there: int) -> None:
        reached.setdefault(what, time.perf_counter() - began)

    with borrowed(pool) as connection:
        server = connection.info.backend_pid
        spent_before = _processor_s(server) + time.process_time()
        import_log(connection, Request(Path(told["path"]), told["log"]), new_id=id_maker(SystemRandom()), progress=note)
        of_server = _processor_s(server)
        processor_s = of_server + time.process_time() - spent_before if of_server else 0.0
    seconds = time.perf_counter() - began
    pool.dispose()
    begins = [*reached.values(), seconds]
    phases = {what: round(until - since, 2) for what, since, until in zip(reached, begins, begins[1:], strict=False)}
    print(json.dumps({"seconds": seconds, "processor_s": processor_s, "peak_mb": _peak_mb(), "phases_s": phases}))


if __name__ == "__main__":
    main()
