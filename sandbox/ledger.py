"""What a stand-in remembers: tables of JSON rows in memory, written through to one SQLite file when there is one.

Rows are plain dictionaries with JSON values. A table can be read by key, by a declared index, and by what changed since
a moment, each without walking the table, so that a long company history stays quick to poll.

A row is written anew at the end of the file's table, so that the file keeps the order of changes, also of those of one
moment. The same changes and the same saves make the same file, byte for byte.
"""

import json
import sqlite3
from bisect import bisect_left
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

Row = dict[str, Any]


class Table:
    """Rows by key, and the order in which they were last changed.

    Args:
        name: The table's name.
        indexed: Fields that `find` may be asked for.
    """

    def __init__(self, name: str, indexed: tuple[str, ...] = ()) -> None:
        self.name = name
        self.rows: dict[str, Row] = {}
        self._unsaved: dict[str, None] = {}
        self._changed_at: dict[str, datetime] = {}
        self._changes: list[tuple[datetime, int, str]] = []
        self._ordinal = 0
        self._newest: dict[str, int] = {}
        self._index: dict[str, dict[Any, dict[str, None]]] = {field: {} for field in indexed}
        self._indexed_as: dict[str, dict[str, Any]] = {}

    def put(self, key: str, row: Row, at: datetime) -> Row:
        """Store `row` under `key` as changed at `at`; a mutated row must be put again. Returns the row."""
        self._load(key, row, at)
        self._unsaved[key] = None
        return row

    def unsaved(self) -> list[str]:
        """The keys of what changed since it was last asked, in the order of their last changes."""
        keys = sorted(self._unsaved, key=self._newest.__getitem__)
        self._unsaved.clear()
        return keys

    def _load(self, key: str, row: Row, at: datetime) -> None:
        self.rows[key] = row
        self._changed_at[key] = at
        self._ordinal += 1
        self._newest[key] = self._ordinal
        entry = (at, self._ordinal, key)
        if self._changes and entry < self._changes[-1]:
            self._changes.insert(bisect_left(self._changes, entry), entry)
        else:
            self._changes.append(entry)
        before = self._indexed_as.setdefault(key, {})
        for field, index in self._index.items():
            if field in before:
                index[before[field]].pop(key, None)
            before[field] = row.get(field)
            index.setdefault(row.get(field), {})[key] = None

    def changed_at(self, key: str) -> datetime:
        """When the row under `key` was last changed."""
        return self._changed_at[key]

    def get(self, key: str) -> Row | None:
        """The row under `key`, or None."""
        return self.rows.get(key)

    def find(self, field: str, value: Any) -> list[Row]:
        """The rows whose indexed `field` equals `value`, in the order they got that value."""
        return [self.rows[key] for key in self._index[field].get(value, ())]

    def changed_since(self, moment: datetime | None) -> Iterator[tuple[datetime, Row]]:
        """(changed at, row) for every row last changed at or after `moment`, oldest change first; None: all."""
        start = 0 if moment is None else bisect_left(self._changes, (moment, -1, ""))
        for at, ordinal, key in islice(self._changes, start, None):
            if self._newest[key] == ordinal:
                yield at, self.rows[key]

    @property
    def revision(self) -> int:
        """A number that grows with every change of any row."""
        return self._ordinal

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows.values())

    def __len__(self) -> int:
        return len(self.rows)


class Ledger:
    """The tables of one stand-in.

    Args:
        path: The SQLite file to keep them in; None keeps them in memory only.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._tables: dict[str, Table] = {}
        self._numbers: dict[str, int] = {}
        self._db: sqlite3.Connection | None = None
        if path is not None:
            self._db = sqlite3.connect(path, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS entry (tab TEXT, key TEXT, at TEXT, row TEXT, PRIMARY KEY (tab, key))"
            )
            self._db.execute("CREATE TABLE IF NOT EXISTS number (name TEXT PRIMARY KEY, value INTEGER)")
            self._numbers = dict(self._db.execute("SELECT name, value FROM number"))

    def table(self, name: str, indexed: tuple[str, ...] = ()) -> Table:
        """The table called `name`, read from the file the first time it is asked for."""
        if name not in self._tables:
            table = Table(name, indexed)
            if self._db is not None:
                for key, at, row in self._db.execute(
                    "SELECT key, at, row FROM entry WHERE tab = ? ORDER BY rowid", (name,)
                ):
                    table._load(key, json.loads(row), datetime.fromisoformat(at))  # noqa: SLF001 - one module
            self._tables[name] = table
        return self._tables[name]

    def tables(self) -> list[Table]:
        """Every table asked for so far."""
        return list(self._tables.values())

    def number(self, name: str, start: int = 1) -> int:
        """The next number of a range, counting up from `start`."""
        self._numbers[name] = self._numbers.get(name, start - 1) + 1
        return self._numbers[name]

    def save(self) -> int:
        """Write what changed since the last save; returns how many rows that was. Without a file it forgets to care."""
        written = 0
        for table in self._tables.values():
            keys = table.unsaved()
            written += len(keys)
            if self._db is not None and keys:
                self._db.executemany(
                    "REPLACE INTO entry VALUES (?, ?, ?, ?)",
                    [(table.name, key, table.changed_at(key).isoformat(), json.dumps(table.rows[key])) for key in keys],
                )
        if self._db is not None:
            self._db.executemany(
                "INSERT INTO number VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                self._numbers.items(),
            )
            self._db.commit()
        return written

    def close(self) -> None:
        """Save and let go of the file."""
        self.save()
        if self._db is not None:
            self._db.close()
            self._db = None
