"""CSV: one row per event, in any delimiter, line end, order of rows and form of time.

What is not said is found out from the head of the file and told in `guessed`. Where two readings of a time are possible
the file is refused with both of them.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import IO

from sync_engine.eventlog import times
from sync_engine.eventlog.opening import Options, unpacked
from sync_engine.eventlog.records import BadLog, Declaration, Record, Reject, SeenEvent

_SAMPLE_ROWS = 2000
_SAMPLE_BYTES = 262_144
_TELL_EVERY = 2000
_DELIMITERS = ",;\t|"

# How the columns are called, most telling first; compared in lower case, without blanks and signs.
_CASE = (
    "caseconceptname",
    "caseid",
    "case",
    "processinstance",
    "traceid",
    "ticketid",
    "pidx",
    "documentid",
    "purchaseorder",
    "orderid",
)
_ACTIVITY = ("conceptname", "activity", "activityname", "event", "eventname", "task", "action", "step")
_TIME = (
    "timetimestamp",
    "completetimestamp",
    "endtimestamp",
    "timestamp",
    "eventtime",
    "completedat",
    "endtime",
    "end",
    "time",
    "datetime",
    "date",
)
_START = ("starttimestamp", "starttime", "startedat", "start")
_RESOURCE = ("orgresource", "resource", "resourceid", "user", "username", "actor")
_ID = ("eventid", "eventuuid")

csv.field_size_limit(16_777_216)


class CsvReader:
    """A CSV file, looked at: columns and formats are settled, rows are read when asked for.

    Raises:
        BadLog: a column cannot be found, or a time has two readings.
    """

    def __init__(self, path: Path, options: Options) -> None:
        self._path = path
        self.guessed: dict[str, str] = {}
        with unpacked(path) as (content, _):
            head = content.read(_SAMPLE_BYTES)
        self._encoding = options.encoding or self._told("encoding", _encoding(head))
        first_lines = head.decode(self._encoding, errors="replace")
        self._delimiter = _named_delimiter(options.delimiter) or self._told("delimiter", _delimiter(first_lines))
        with self._rows() as (rows, _):
            self.columns = [name.strip() for name in next(rows, [])]
            sample = list(islice((row for row in rows if len(row) == len(self.columns)), _SAMPLE_ROWS))
        repeated = [name for name, times_ in Counter(self.columns).items() if times_ > 1]
        if repeated:
            raise BadLog(f"Two columns of {path.name} have one name: {', '.join(map(repr, repeated))}.")
        self._case = self._needed("case", options.case_column, _CASE)
        self._activity = self._needed("activity", options.activity_column, _ACTIVITY)
        self._time = self._needed("time", options.time_column, _TIME)
        self._start = self._column("start", options.start_column, _START)
        self._resource = self._column("resource", options.resource_column, _RESOURCE)
        self._id = self._column("id", options.id_column, _ID)
        self._unit = self._column("unit", options.unit_column, ())
        self._zone = times.zone_named(options.time_zone)
        self._format = self._time_format(options, sample)
        self.declaration = Declaration(
            "csv",
            header={
                "columns": self.columns,
                "case": self.columns[self._case],
                "activity": self.columns[self._activity],
                "time": self.columns[self._time],
                **({"start": self.columns[self._start]} if self._start is not None else {}),
                **({"resource": self.columns[self._resource]} if self._resource is not None else {}),
                **({"id": self.columns[self._id]} if self._id is not None else {}),
            },
        )

    def _told(self, what: str, value: str) -> str:
        self.guessed[what] = {"\t": "tab"}.get(value, value)
        return value

    @contextmanager
    def _rows(self) -> Iterator[tuple[Iterator[list[str]], IO[bytes]]]:
        with unpacked(self._path) as (content, raw):
            # newline="": the csv module sees line ends as they are, a lone carriage return among them.
            text = io.TextIOWrapper(content, encoding=self._encoding, errors="surrogateescape", newline="")
            yield csv.reader(text, delimiter=self._delimiter), raw

    def _needed(self, what: str, asked: str, known: tuple[str, ...]) -> int:
        column = self._column(what, asked, known)
        if column is None:
            raise BadLog(
                f"Which column is the {what}? Say --{what}-column. The columns are {', '.join(map(repr, self.columns))}."
            )
        return column

    def _column(self, what: str, asked: str, known: tuple[str, ...]) -> int | None:
        if asked:
            if asked not in self.columns:
                raise BadLog(f"There is no column {asked!r}. The columns are {', '.join(map(repr, self.columns))}.")
            return self.columns.index(asked)
        plain = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in self.columns]
        for name in known:
            if name in plain:
                column = plain.index(name)
                self._told(f"{what} column", self.columns[column])
                return column
        return None

    def _time_format(self, options: Options, sample: list[list[str]]) -> times.TimeFormat:
        if options.time_format:
            return times.named(options.time_format)
        used = [column for column in (self._time, self._start) if column is not None]
        samples = [row[column] for row in sample for column in used]
        try:
            found = times.found_out(samples, self.columns[self._time])
        except times.TwoReadings:
            with self._rows() as (rows, _):
                deciding = (row[column] for row in rows for column in used if column < len(row))
                decisive = list(islice(filter(times.decides_the_order, deciding), 1))
            found = times.found_out([*samples, *decisive], self.columns[self._time])
        self._told("time format", found.name)
        return found

    def records(self, tell: Callable[[int], None]) -> Iterator[Record]:
        """The rows as events, in the order of the file."""
        width, named = len(self.columns), self._value_columns()
        case, activity, resource, unit, own_id = self._case, self._activity, self._resource, self._unit, self._id
        moment, began, local = self._time, self._start, self._localizer()
        with self._rows() as (rows, raw):
            next(rows, None)
            for number, row in enumerate(rows):
                if number % _TELL_EVERY == 0:
                    tell(raw.tell())
                if len(row) != width:
                    if row:
                        yield self._reject(rows, row, f"has {len(row)} cells where the head has {width}", row[-1])
                    continue
                if not row[case] or not row[activity]:
                    yield self._reject(rows, row, "names no case or no activity", "")
                    continue
                try:
                    event_at, doubtful = local(row[moment])
                except (ValueError, OverflowError):
                    yield self._reject(rows, row, f"the time in {self.columns[moment]!r} cannot be read", row[moment])
                    continue
                started_at = None
                if began is not None and row[began]:
                    try:
                        started_at, _ = local(row[began])
                    except (ValueError, OverflowError):
                        yield self._reject(rows, row, f"the time in {self.columns[began]!r} cannot be read", row[began])
                        continue
                yield SeenEvent(
                    row[activity],
                    event_at,
                    row[case],
                    external_id=(row[own_id] or None) if own_id is not None else None,
                    started_at=started_at,
                    actor=row[resource] if resource is not None else "",
                    unit=(row[unit] or None) if unit is not None else None,
                    values={name: row[column] for column, name in named if row[column]},
                    is_doubtful=doubtful,
                )

    def _value_columns(self) -> list[tuple[int, str]]:
        told = {self._case, self._activity, self._time, self._start, self._resource, self._id}
        return [(column, name) for column, name in enumerate(self.columns) if column not in told]

    def _localizer(self) -> Callable[[str], tuple[datetime, bool]]:
        parse, zone = self._format.parse, self._zone

        def local(text: str) -> tuple[datetime, bool]:
            moment = parse(text)
            if moment.tzinfo is not None:
                return moment, False
            moment = moment.replace(tzinfo=zone)
            return moment, zone is not UTC and times.is_doubtful(moment)

        return local

    def _reject(self, rows: Iterable[list[str]], row: list[str], reason: str, value: str) -> Reject:
        line = getattr(rows, "line_num", None)
        return Reject(reason, value, self._delimiter.join(row), line)


def _encoding(head: bytes) -> str:
    if head.startswith(b"\xef\xbb\xbf"):
        return "utf-8-sig"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        # The sample may end inside of a character.
        head[: max(len(head) - 4, 1)].decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _named_delimiter(name: str) -> str:
    return {"tab": "\t", "\\t": "\t"}.get(name, name)


def _delimiter(text: str) -> str:
    """The delimiter that divides the head and the next lines into the same number of cells, the most of them."""
    lines = list(islice(chain.from_iterable(line.split("\r") for line in text.split("\n")), 50))
    lines = [line for line in lines if line][: max(len(lines) - 1, 1)]

    def cells(delimiter: str) -> tuple[int, int]:
        counts = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
        alike = sum(count == counts[0] for count in counts) if counts else 0
        return (counts[0] if counts and counts[0] > 1 and alike >= len(counts) * 0.8 else 0, alike)

    return max(_DELIMITERS, key=cells)
