"""How a question is put: as the session's person, read-only, within a time limit, and remembered for as long as it is true.

An answer may be reused by somebody else only if the database would have shown them the same rows: the business units of the
session and whether it is told who decided are part of the key, as the newest recording is. Answers about single persons (commands) are never remembered.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import pandas as pd
import psycopg
import sqlalchemy as sa
from psycopg.rows import dict_row

from sync_engine.control.access import Person, acting
from sync_engine.control.roles import NAMES_APPROVERS
from sync_engine.database.statements import sql
from sync_engine.insight.asking import Row
from sync_engine.insight.once import shared

OWN_LOG = "finsync"
"""The log of our own engine, beside those imported from elsewhere."""

LIMIT_S = 5.0
"""A question that has no answer by then is given up: a page that hangs tells nobody anything."""

REUSE_S = 10.0
"""While documents move, an answer this young still serves: a company's figures do not turn in ten seconds."""

KEEP_S = 600.0
"""Nothing is served that is older, moved or not: ages go on while nothing happens."""

TELLING = ("decider(", "names_deciders(", "said_of_decision(", "control_check")
"""What a statement that names who decided is known by: the rule's functions (sql/migrations/0022_deciders.sql) and the view that asks them."""

NOTHING_YET = "nothing yet"
"""What stands for the newest recording where there is none."""

ROUND_TO = timedelta(seconds=30)
"""The time of a question is rounded down to this for the cache, so that two people who ask at once ask the same."""


class Unanswered(Exception):
    """A question could not be answered; the sentence says why, for the place on the page where the answer belongs."""

    def __init__(self, question: str, sentence: str) -> None:
        super().__init__(sentence)
        self.question = question


class TooSlow(Unanswered):
    """The answer took longer than the limit."""


class DatabaseAway(Unanswered):
    """The database does not answer at all."""


@dataclass(slots=True)
class _Entry:
    answer: Any
    watermark: object
    made_at: float
    weight: int


@dataclass(slots=True)
class _Turn:
    """Those who are about to find out the same."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    takers: int = 0


class Cache:
    """Answers that are still true, shared by every session of a process.

    Args:
        rows: How many rows all answers together may have; the least recently used ones go first.
        timer: Seconds, of any origin.
    """

    def __init__(self, *, rows: int = 400_000, timer: Callable[[], float] = time.monotonic) -> None:
        self._limit = rows
        self._timer = timer
        self._weight = 0
        self._entries: OrderedDict[object, _Entry] = OrderedDict()
        self._lock = threading.Lock()
        self._asking: dict[object, _Turn] = {}

    @contextmanager
    def turn(self, key: object, *, patience_s: float) -> Iterator[None]:
        """One at a time for whoever wants to find out what stands under `key`, so that fifty who ask at once put one question; look into
        the cache again within. Nobody waits longer than `patience_s`: whoever has to goes on beside the others.
        """
        with self._lock:
            turn = self._asking.setdefault(key, _Turn())
            turn.takers += 1
        is_alone = turn.lock.acquire(timeout=patience_s)
        try:
            yield
        finally:
            if is_alone:
                turn.lock.release()
            with self._lock:
                turn.takers -= 1
                if not turn.takers:
                    del self._asking[key]

    def get(self, key: object, watermark: object, *, not_before: float) -> _Entry | None:
        """The answer under `key` if it is still true and no older than `not_before`."""
        now = self._timer()
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or entry.made_at < not_before or now - entry.made_at > KEEP_S:
                return None
            if entry.watermark != watermark and now - entry.made_at > REUSE_S:
                return None
            self._entries.move_to_end(key)
            return entry

    def put(self, key: object, watermark: object, answer: Any, weight: int) -> None:
        """Remember an answer of `weight` rows, and forget the oldest beyond the limit."""
        with self._lock:
            old = self._entries.pop(key, None)
            self._weight += weight - (old.weight if old else 0)
            self._entries[key] = _Entry(answer, watermark, self._timer(), weight)
            while self._weight > self._limit and len(self._entries) > 1:
                _, gone = self._entries.popitem(last=False)
                self._weight -= gone.weight

    def now(self) -> float:
        """The cache's own clock, for `not_before`."""
        return self._timer()

    def __len__(self) -> int:
        return len(self._entries)


@dataclass
class Reports:
    """Puts questions for one person, during one drawing of a page.

    Args:
        app: Connections as finsync_app.
        token: The session's secret.
        person: Whose session it is, with the rights of this moment.
        cache: Shared with everybody; keyed so that nobody is shown what the database would not show them.
        limit_s: How long a question may take.
        not_before: Answers older than this are not reused: the moment of the person's own last action.
    """

    app: sa.Engine
    token: str = field(repr=False)  # a secret: no traceback and no log line shows it
    person: Person
    cache: Cache
    limit_s: float = LIMIT_S
    not_before: float = 0.0
    asked: list[tuple[str, float]] = field(default_factory=list)
    """Every question that went to the database, with its seconds: what "why is this page slow" is answered with."""
    _watermark: object = None

    def begin(self, recording_id: object) -> None:
        """The newest recording as a visit begins: what a page shows is at least as new as that."""
        self._watermark = recording_id or NOTHING_YET

    @property
    def newest(self) -> object:
        """The newest recording when the first question was put."""
        if self._watermark is None:
            found = self.rows("watermark")
            self._watermark = found[0]["recording_id"] if found else NOTHING_YET
        return self._watermark

    def has_moved(self) -> bool:
        """Whether something has been recorded since."""
        found = self.rows("watermark")
        return (found[0]["recording_id"] if found else NOTHING_YET) != self.newest

    def rows(self, question: str, **arguments: Any) -> list[Row]:
        """The rows that answer a question, never remembered. Questions are statements of report.sql by their name, or of another
        file as "report_<subject>.<name>".

        Raises:
            TooSlow, DatabaseAway: no answer.
        """
        with self._putting(question) as cursor:
            cursor.execute(_statement(question), arguments)
            return cursor.fetchall()

    def row(self, question: str, **arguments: Any) -> Row | None:
        """The one row that answers, or None."""
        found = self.rows(question, **arguments)
        return found[0] if found else None

    def remembered(self, question: str, **arguments: Any) -> list[Row]:
        """As `rows`, from the cache while that is still true. The rows are shared: read them, do not change them."""
        answer: list[Row] = self._remembered(question, arguments, (), lambda rows: rows)
        return answer

    def _remembered(
        self, question: str, arguments: dict[str, Any], shape: tuple[str, ...], make: Callable[[list[Row]], Any]
    ) -> Any:
        """What `make` makes of the rows, remembered by `shape` beside everything a question is known by."""
        if isinstance(arguments.get("as_of"), datetime):
            arguments["as_of"] = rounded(arguments["as_of"])
        tells = tells_deciders(question)
        sight = self._sight(tells)

        def find() -> tuple[Any, int, tuple[object, ...]]:
            with self._putting(question) as cursor:
                cursor.execute(_statement(question), arguments)
                found = cursor.fetchall()
                seen_with = _seen_with(cursor, with_names=tells)
            return make(found), len(found) + 1, seen_with

        return self._kept((question, shape, sight, _frozen(arguments)), self.newest, sight, find)

    def _kept(
        self,
        key: object,
        watermark: object,
        sight: tuple[object, ...],
        find: Callable[[], tuple[Any, int, tuple[object, ...]]],
    ) -> Any:
        """What is remembered under `key`, or what `find` gives: the answer, its weight in rows, and what the asker was shown by."""
        entry = self.cache.get(key, watermark, not_before=self.not_before)
        if entry is not None:
            return entry.answer
        with self.cache.turn(key, patience_s=self.limit_s):
            entry = self.cache.get(key, watermark, not_before=self.not_before)
            if entry is not None:
                return entry.answer
            answer, weight, seen_with = find()
            # Rights may have changed since the page began: what was seen with other rights is nobody else's answer.
            if seen_with == sight:
                self.cache.put(key, watermark, answer, weight)
            return answer

    def derived(
        self, name: str, make: Callable[[], Any], *, weight: int, true_for: object = None, **arguments: Any
    ) -> Any:
        """What `make` works out of answers, remembered as they are. Shared: read it, do not change it.

        Args:
            name: What it is.
            make: Works it out.
            weight: In rows.
            true_for: What it is true for (a day, say), whatever is recorded meanwhile; else the newest recording, as an answer.
            arguments: What it depends on beside the person's sight.
        """
        sight = self._sight(True)

        def find() -> tuple[Any, int, tuple[object, ...]]:
            made = make()
            with self._putting("sight") as cursor:
                return made, weight, _seen_with(cursor, with_names=True)

        watermark = self.newest if true_for is None else true_for
        return self._kept((name, sight, _frozen(arguments)), watermark, sight, find)

    def frame(self, question: str, columns: Sequence[str], *, remember: bool = True, **arguments: Any) -> pd.DataFrame:
        """As `remembered`, as a table that is shared too; not to `remember` is for what is asked for once and is large."""
        if not remember:
            return table(self.rows(question, **arguments), columns)
        answer: pd.DataFrame = self._remembered(
            question, arguments, tuple(columns), lambda rows: shared(table(rows, columns))
        )
        return answer

    def _sight(self, with_names: bool) -> tuple[object, ...]:
        """What the database shows a session by: its business units and, where that matters, whether it is told who decided."""
        return with_names and bool(NAMES_APPROVERS & self.person.roles), *sorted(self.person.units)

    @contextmanager
    def _putting(self, question: str) -> Iterator[psycopg.Cursor[Row]]:
        began = time.perf_counter()
        try:
            with acting(self.app, self.token) as connection, connection.cursor(row_factory=dict_row) as cursor:
                cursor.execute(
                    "SELECT set_config('transaction_read_only', 'on', true), set_config('statement_timeout', %s, true)",
                    [str(int(self.limit_s * 1000))],
                )
                yield cursor
        except psycopg.errors.QueryCanceled:
            raise TooSlow(
                question,
                f"This took longer than {self.limit_s:g} seconds and was stopped. Choose a shorter period or fewer business units.",
            ) from None
        except (
            psycopg.OperationalError,
            psycopg.InterfaceError,
            sa.exc.OperationalError,
            sa.exc.TimeoutError,
        ) as error:
            raise DatabaseAway(question, "The database does not answer.") from error
        finally:
            self.asked.append((question, time.perf_counter() - began))


def table(rows: Sequence[Row], columns: Sequence[str]) -> pd.DataFrame:
    """Rows as a DataFrame that has its columns even without rows, values as the database gave them: Decimal stays Decimal, and
    what is not there is None in every column, never a float's NaN."""
    return pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=object) for name in columns})


def in_parts(
    ask_for: Callable[..., pd.DataFrame], place_of: Callable[["pd.Series[Any]"], Any], *, most: int
) -> Iterator[pd.DataFrame]:
    """All that a list has, `most` rows at a time: no question takes longer than one may, and whoever writes them down need not hold them
    all.

    Args:
        ask_for: The list, with everything but `after` (None: from the first row on) and `most`.
        place_of: Where a row stands in it.
        most: So many rows a part has, but the last.
    """
    after = None
    while True:
        part = ask_for(after=after, most=most)
        yield part
        if len(part) < most:
            return
        after = place_of(part.iloc[-1])


def rounded(moment: datetime) -> datetime:
    """A moment, rounded down to the half minute."""
    return moment - timedelta(seconds=moment.timestamp() % ROUND_TO.total_seconds())


def _seen_with(cursor: psycopg.Cursor[Row], *, with_names: bool) -> tuple[object, ...]:
    """The same, as the database has it in this moment."""
    cursor.execute("SELECT names_deciders() AS named, session_units() AS units")
    row = cursor.fetchone()
    return () if row is None else (with_names and row["named"], *sorted(row["units"]))


@cache
def tells_deciders(question: str) -> bool:
    """Whether the answer names who decided to some and not to others, so that only those who are told alike may share it."""
    return any(word in _statement(question) for word in TELLING)


def _statement(question: str) -> str:
    return sql(question if "." in question else f"report.{question}")


def _frozen(arguments: dict[str, Any]) -> tuple[tuple[str, object], ...]:
    return tuple(
        sorted((name, tuple(value) if isinstance(value, list) else value) for name, value in arguments.items())
    )
