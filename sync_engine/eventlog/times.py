"""Times as files write them: found out from samples, never guessed where two readings are possible.

A time without a zone is read in the zone the caller names. In the hour that a clock change skips or repeats it has no
single meaning; the earlier one is taken and the event is marked.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from sync_engine.eventlog.records import BadLog

_NUMBERS = re.compile(
    r"(\d{1,4})[./\-](\d{1,2})[./\-](\d{1,4})(?:[T ,]+(\d{1,2})[:.](\d{2})(?:[:.](\d{2})(?:[.,](\d{1,9}))?)?)?\s*([AaPp][Mm])?\s*(Z|UTC|[+-]\d{2}:?\d{2})?"
)
_EPOCH = re.compile(r"-?\d{9,16}(\.\d+)?")
_WITH_NAMES = (
    "%d-%b-%Y %H:%M:%S",
    "%d-%b-%Y %H:%M",
    "%d %b %Y %H:%M:%S",
    "%d %b %Y %H:%M",
    "%b %d, %Y %H:%M:%S",
    "%b %d, %Y %I:%M %p",
)
BEGINNING_ENDS = datetime(1970, 1, 2, tzinfo=UTC)
"""OCEL 2.0 stamps the first value of an attribute with the Unix epoch, some writers in local time: it holds from the beginning."""

_EPOCH_MS_FROM = 100_000_000_000
"""Unix times above are milliseconds: as seconds they would lie after the year 5138."""

Parse = Callable[[str], datetime]


@dataclass(frozen=True, slots=True)
class TimeFormat:
    """How the times of a column are written; `name` is what --time-format takes."""

    name: str
    parse: Parse
    """Raises ValueError."""


def zone_named(name: str) -> tzinfo:
    """A time zone by its IANA name.

    Raises:
        BadLog: there is none of that name.
    """
    if name.upper() == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError) as error:
        raise BadLog(f"There is no time zone {name!r}; name one as Europe/Berlin or UTC.") from error


def is_doubtful(moment: datetime) -> bool:
    """Whether a wall-clock time with its zone was skipped or repeated by a clock change.

    >>> berlin = ZoneInfo("Europe/Berlin")
    >>> [is_doubtful(datetime(2026, 3, 29, hour, 30, tzinfo=berlin)) for hour in (1, 2, 3)]
    [False, True, False]
    """
    return moment.utcoffset() != moment.replace(fold=1).utcoffset()


def iso(text: str) -> datetime:
    """ISO 8601, also with a blank for the T, slashes for the dashes."""
    return datetime.fromisoformat(text.strip().replace("/", "-"))


def localized(text: str, zone: tzinfo) -> tuple[datetime, bool]:
    """(moment of an ISO 8601 time, whether a clock change made it doubtful); without a zone it is one of `zone`.

    Raises:
        ValueError: it cannot be read.
    """
    moment = iso(text)
    if moment.tzinfo is not None:
        return moment, False
    moment = moment.replace(tzinfo=zone)
    return moment, zone is not UTC and is_doubtful(moment)


def since(text: str | None, zone: tzinfo) -> datetime | None:
    """From when a value of an object holds; None: from the beginning."""
    if not text:
        return None
    moment, _ = localized(text, zone)
    return None if moment < BEGINNING_ENDS else moment


def _epoch(text: str) -> datetime:
    number = float(text)
    seconds = number / 1000 if abs(number) >= _EPOCH_MS_FROM else number
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


def _ordered(order: str) -> Parse:
    """A parser for numbers with separators whose first three are day, month and year in `order`."""
    year, month, day = (order.index(part) for part in "ymd")

    def parse(text: str) -> datetime:
        found = _NUMBERS.fullmatch(text.strip())
        if found is None:
            raise ValueError(text)
        *date, hour, minute, second, fraction, half, offset = found.groups()
        hours = int(hour or 0)
        if half:
            hours = hours % 12 + (12 if half in {"PM", "pm", "Pm", "pM"} else 0)
        years = int(date[year])
        if len(date[year]) == 2:
            years += 2000 if years < 70 else 1900
        moment = datetime(  # noqa: DTZ001 - its zone, if it names one, follows
            years,
            int(date[month]),
            int(date[day]),
            hours,
            int(minute or 0),
            int(second or 0),
            int((fraction or "0").ljust(6, "0")[:6]),
        )
        if offset is None:
            return moment
        if offset in {"Z", "UTC"}:
            return moment.replace(tzinfo=UTC)
        return datetime.fromisoformat(f"{moment.isoformat()}{offset[:3]}:{offset[-2:]}")

    return parse


def _strptime(pattern: str) -> Parse:
    return lambda text: datetime.strptime(text.strip(), pattern)  # noqa: DTZ007 - the caller's zone is put on


NAMED = {
    "iso": TimeFormat("iso", iso),
    "unix": TimeFormat("unix", _epoch),
    "day-first": TimeFormat("day-first", _ordered("dmy")),
    "month-first": TimeFormat("month-first", _ordered("mdy")),
    "year-first": TimeFormat("year-first", _ordered("ymd")),
}


def named(name: str) -> TimeFormat:
    """The format of that name, or of that strptime pattern.

    Raises:
        BadLog: neither.
    """
    if "%" in name:
        return TimeFormat(name, _strptime(name))
    if name not in NAMED:
        raise BadLog(f"--time-format takes {', '.join(NAMED)}, or a pattern such as '%d.%m.%Y %H:%M'.")
    return NAMED[name]


def found_out(samples: Iterable[str], column: str) -> TimeFormat:
    """The one format in which the most samples can be read.

    Raises:
        BadLog: no format fits, or both orders of day and month fit; the message names both readings and the flag.
    """
    texts = [text for text in samples if text.strip()]
    if not texts:
        raise BadLog(f"The time column {column!r} is empty.")
    first = texts[0]
    if all(_EPOCH.fullmatch(text.strip()) for text in texts):
        return NAMED["unix"]
    misread = {name: _misread(NAMED[name].parse, texts) for name in ("iso", "year-first", "day-first", "month-first")}
    best = min(misread, key=lambda name: misread[name])
    if _fits(misread[best], texts):
        if best in {"day-first", "month-first"} and misread["day-first"] == misread["month-first"]:
            _refuse_two_readings(first, column, texts)
        return NAMED[best]
    for pattern in _WITH_NAMES:
        if _fits(_misread(_strptime(pattern), texts), texts):
            return named(pattern)
    raise BadLog(
        f"{first!r} in column {column!r} is no time that is understood; say how it is written with --time-format, "
        "for instance --time-format '%d.%m.%Y %H:%M'."
    )


def decides_the_order(text: str) -> bool:
    """Whether one of the first two numbers cannot be a month."""
    found = _NUMBERS.match(text.strip())
    return found is not None and max(int(found[1]), int(found[2])) > 12


class TwoReadings(BadLog):
    """Day and month could stand in either order."""


def _refuse_two_readings(first: str, column: str, texts: list[str]) -> None:
    day, month = NAMED["day-first"].parse, NAMED["month-first"].parse
    if all(day(text) == month(text) for text in texts):
        return
    raise TwoReadings(
        f"{first!r} in column {column!r} can be {day(first):%d %B %Y} or {month(first):%d %B %Y}, and no other row "
        "decides it. Say which: --time-format day-first or --time-format month-first."
    )


_MISREAD = 0.5
"""Share of samples that may be unreadable: a bad row is rejected, it does not decide how the others are read."""


def _fits(misread: int, texts: list[str]) -> bool:
    return misread <= len(texts) * _MISREAD


def _misread(parse: Parse, texts: list[str]) -> int:
    misread = 0
    for text in texts:
        try:
            parse(text)
        except ValueError:
            misread += 1
    return misread
