"""Opens a log: packed or not, and of which format, by what is in it and not by its name."""

import gzip
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sync_engine.eventlog.records import BadLog

FORMATS = ("csv", "xes", "ocel1-json", "ocel2-json", "ocel2-xml", "ocel2-sqlite")
_GZIP = b"\x1f\x8b"
_SQLITE = b"SQLite format 3\x00"
_LOOK_BYTES = 262_144


@dataclass(frozen=True)
class Options:
    """How to read a file, as far as somebody said; empty: the reader finds out and says what it took."""

    case_column: str = ""
    activity_column: str = ""
    time_column: str = ""
    start_column: str = ""
    resource_column: str = ""
    unit_column: str = ""
    id_column: str = ""
    time_zone: str = "UTC"
    """Of times that name none."""
    time_format: str = ""
    delimiter: str = ""
    encoding: str = ""


def is_packed(path: Path) -> bool:
    """Whether it is gzip, whatever it is called."""
    with path.open("rb") as file:
        return file.read(2) == _GZIP


@contextmanager
def unpacked(path: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """(content, file beneath): the content is read from the first, how far one is in the file is asked of the second."""
    with path.open("rb") as raw:
        if is_packed(path):
            with gzip.GzipFile(fileobj=raw) as content:
                yield content, raw  # type: ignore[misc]
        else:
            yield raw, raw


def format_of(path: Path) -> str:
    """Which of `FORMATS` a file is.

    Raises:
        BadLog: it is none of them, or a kind of it that nobody reads.
    """
    with unpacked(path) as (content, _):
        head = content.read(_LOOK_BYTES)
    if head.startswith(_SQLITE):
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if {"event", "object", "event_object", "event_map_type", "object_map_type"} <= tables:
            return "ocel2-sqlite"
        raise BadLog(f"{path.name} is an SQLite database without the tables of OCEL 2.0.")
    if not head.strip():
        raise BadLog(f"{path.name} is empty.")
    text = head.decode("utf-8-sig", errors="ignore").lstrip()
    if text.startswith("{"):
        return _json_format(path, text)
    if text.startswith("<"):
        if "<object-types" in text or "<event-types" in text or "<objects" in text:
            return "ocel2-xml"
        if "<log" in text:
            return "xes"
        raise BadLog(f"{path.name} is XML, and neither XES nor OCEL 2.0.")
    return "csv"


def _json_format(path: Path, text: str) -> str:
    if '"ocel:' in text:
        return "ocel1-json"
    if any(f'"{key}"' in text for key in ("eventTypes", "objectTypes", "events", "objects")):
        return "ocel2-json"
    raise BadLog(f"{path.name} is JSON, and neither OCEL 1.0 nor OCEL 2.0.")
