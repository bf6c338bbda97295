"""Parquet for the warehouse (R036): one row per event, with the columns every log has and its own attributes as JSON."""

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sync_engine.eventlog.stored import StoredEvent, StoredLog

_ROWS = 20_000
_MOMENT = pa.timestamp("us", tz="UTC")
COLUMNS = pa.schema(
    [
        ("log", pa.string()),
        ("event_id", pa.string()),
        ("document_id", pa.string()),
        ("document_type", pa.string()),
        ("object_id", pa.string()),
        ("activity", pa.string()),
        ("event_at", _MOMENT),
        ("started_at", _MOMENT),
        ("recorded_at", _MOMENT),
        ("actor", pa.string()),
        ("state_from", pa.string()),
        ("state_to", pa.string()),
        ("business_unit", pa.string()),
        ("suspect", pa.list_(pa.string())),
        ("relations", pa.list_(pa.struct([("object_id", pa.string()), ("qualifier", pa.string())]))),
        ("attributes", pa.string()),
    ]
)


def write_parquet(log: StoredLog, path: Path, _case_type: str) -> int:
    """Returns how many events were written, in the order of time."""
    written, events = 0, iter(log.events())
    with pq.ParquetWriter(path, COLUMNS, compression="zstd") as file:
        while rows := [_row(log.log, event) for event in islice(events, _ROWS)]:
            file.write_table(pa.Table.from_pylist(rows, schema=COLUMNS))
            written += len(rows)
    return written


def _row(log: str, event: StoredEvent) -> dict[str, Any]:
    seen = event.seen
    return {
        "log": log,
        "event_id": event.key,
        "document_id": event.document_id,
        "document_type": event.object_type,
        "object_id": seen.case,
        "activity": seen.activity,
        "event_at": seen.event_at,
        "started_at": seen.started_at,
        "recorded_at": event.recorded_at,
        "actor": seen.actor,
        "state_from": event.state_from,
        "state_to": event.state_to,
        "business_unit": event.business_unit,
        "suspect": list(event.suspect),
        "relations": [{"object_id": target, "qualifier": qualifier} for target, qualifier in seen.relations],
        "attributes": json.dumps(seen.values, ensure_ascii=False, sort_keys=True),
    }
