"""OCEL 2.0 as JSON (specification of 2023, section 7), one object or event to a line."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from sync_engine.eventlog.records import SeenObject
from sync_engine.eventlog.schema import schema_of, values_of
from sync_engine.eventlog.stored import StoredEvent, StoredLog
from sync_engine.eventlog.values import native

BEGINNING = "1970-01-01T00:00:00+00:00"
"""How OCEL 2.0 says that a value holds from the beginning."""

_encode = json.JSONEncoder(ensure_ascii=False, separators=(", ", ": ")).encode


def write_ocel_json(log: StoredLog, path: Path, _case_type: str) -> int:
    """Returns how many events were written."""
    schema = schema_of(log)
    with path.open("w", encoding="utf-8") as file:
        for section, types in (("objectTypes", schema.objects), ("eventTypes", schema.events)):
            declared = [
                {"name": kind, "attributes": [{"name": name, "type": of} for name, of in attributes.items()]}
                for kind, attributes in types.items()
            ]
            file.write(("{" if section == "objectTypes" else ",\n") + f'"{section}": {_encode(declared)}')
        _write_lines(file, "objects", (_object(one) for one in log.objects()))
        written = _write_lines(file, "events", (_event(one) for one in log.events()))
        file.write("}\n")
    return written


def _write_lines(file: IO[str], section: str, items: Iterator[dict[str, Any]]) -> int:
    file.write(f',\n"{section}": [')
    written = 0
    for item in items:
        file.write(("\n" if written == 0 else ",\n") + _encode(item))
        written += 1
    file.write("]")
    return written


def _object(seen: SeenObject) -> dict[str, Any]:
    return {
        "id": seen.object_id,
        "type": seen.object_type,
        "attributes": [
            {"name": name, "time": _time(since), "value": native(value)} for name, since, value in seen.values
        ],
        "relationships": [{"objectId": target, "qualifier": qualifier} for target, qualifier in seen.links],
    }


def _event(event: StoredEvent) -> dict[str, Any]:
    return {
        "id": event.key,
        "type": event.seen.activity,
        "time": event.seen.event_at.isoformat(),
        "attributes": [{"name": name, "value": native(value)} for name, value in values_of(event).items()],
        "relationships": [{"objectId": target, "qualifier": qualifier} for target, qualifier in event.seen.relations],
    }


def _time(since: datetime | None) -> str:
    return BEGINNING if since is None else since.isoformat()
