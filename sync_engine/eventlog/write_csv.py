"""CSV (RFC 4180, UTF-8): one row per event and case. A log that came as CSV gets its own columns back."""

import csv
from pathlib import Path

from sync_engine.eventlog.stored import StoredLog
from sync_engine.eventlog.values import text

_ROLES = {
    "case": "case_id",
    "activity": "activity",
    "time": "timestamp",
    "start": "start_timestamp",
    "resource": "resource",
    "id": "event_id",
}


def write_csv(log: StoredLog, path: Path, case_type: str) -> int:
    """Returns how many rows were written."""
    header = log.declaration.header if log.declaration.format == "csv" else _ROLES
    role_of = {header[role]: role for role in _ROLES if role in header}
    columns = list(header.get("columns", role_of))
    columns += sorted({name for _, name, _ in log.value_kinds("event") if name is not None} - set(columns))
    written = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(columns)
        for event in log.cases(case_type):
            seen = event.seen
            told = {
                "case": seen.case,
                "activity": seen.activity,
                "time": seen.event_at.isoformat(),
                "start": seen.started_at.isoformat() if seen.started_at else "",
                "resource": seen.actor,
                "id": seen.external_id or "",
            }
            rows.writerow(
                [told[role_of[name]] if name in role_of else text(seen.values.get(name, "")) for name in columns]
            )
            written += 1
    return written
