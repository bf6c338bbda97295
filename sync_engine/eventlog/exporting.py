"""Writes a log into a format. The file appears when it is complete, and not before."""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from sync_engine.eventlog.records import BadLog
from sync_engine.eventlog.stored import StoredLog
from sync_engine.eventlog.write_csv import write_csv
from sync_engine.eventlog.write_ocel_json import write_ocel_json
from sync_engine.eventlog.write_ocel_sqlite import write_ocel_sqlite
from sync_engine.eventlog.write_ocel_xml import write_ocel_xml
from sync_engine.eventlog.write_parquet import write_parquet
from sync_engine.eventlog.write_xes import write_xes

Write = Callable[[StoredLog, Path, str], int]
"""(log, file, case type) to the number of events written."""

WRITERS: dict[str, Write] = {
    "ocel2-json": write_ocel_json,
    "ocel2-sqlite": write_ocel_sqlite,
    "ocel2-xml": write_ocel_xml,
    "xes": write_xes,
    "csv": write_csv,
    "parquet": write_parquet,
}
BY_CASE = {"xes", "csv"}
"""Formats in which every event belongs to one case."""


def export(connection: psycopg.Connection, log: str, kind: str, path: Path, *, case_type: str = "") -> dict[str, Any]:
    """Write the log; says what was written.

    Raises:
        BadLog: no such log, or cases are wanted and it is not clear of what.
    """
    stored = StoredLog(connection, log)
    if kind in BY_CASE:
        case_type = _case_type(stored, case_type)
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    try:
        with stored.reading():
            events = WRITERS[kind](stored, unfinished, case_type)
        if path.suffix == ".gz":
            _pack(unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return {
        "log": log,
        "format": kind,
        "file": str(path),
        "events": events,
        **({"case_type": case_type} if case_type else {}),
    }


def _case_type(stored: StoredLog, asked: str) -> str:
    types = stored.types()
    if asked and asked not in types:
        raise BadLog(f"The log has no objects of type {asked!r}, but {', '.join(map(repr, types))}.")
    if not asked and len(types) != 1:
        raise BadLog(
            f"This format has one case per event. A case of what? Say --case; the log has {', '.join(map(repr, types))}."
        )
    return asked or types[0]


def _pack(path: Path) -> None:
    packed = path.with_name(path.name + ".packed")
    with path.open("rb") as plain, gzip.open(packed, "wb", compresslevel=6) as file:
        shutil.copyfileobj(plain, file)
    packed.replace(path)
