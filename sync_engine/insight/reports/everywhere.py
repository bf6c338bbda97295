"""What every page asks: what time it is, which business units there are, how fresh the sources are."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sync_engine.insight.asking import Row
from sync_engine.insight.reports.reading import Reports

FOLDED_WITHIN_S = 60.0
"""Folding follows within seconds; what waits longer than this is told."""

MANY_TO_LOOK_AT = 1_000
"""So many documents change within a second only when something has begun to be kept of all of them."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The time a page speaks of. While a past is being produced, `begins_at` and `ends_at` say which."""

    as_of: datetime
    begins_at: datetime | None
    ends_at: datetime | None
    unfolded_since: datetime | None = None
    """Since when recordings wait to be folded into the figures; None: all of them are."""
    to_look_at: int = 0
    """How many documents wait until it is known how they stand, counted up to `MANY_TO_LOOK_AT`."""
    reading: tuple[str, ...] = ()
    """The imported logs of which a file has not been read to its end."""
    counting: tuple[str, ...] = ()
    """The imported logs of which events wait to be folded into the figures."""

    @property
    def behind(self) -> str:
        """What the figures lack by now, as a sentence; "" while they are as fresh as they get."""
        if self.to_look_at >= MANY_TO_LOOK_AT:
            return "How open documents stand is being looked at: figures on stuck documents grow while you look."
        if self.unfolded_since is not None and (self.as_of - self.unfolded_since).total_seconds() > FOLDED_WITHIN_S:
            return "Figures are being brought up to date: what was recorded last is not in all of them yet."
        return ""

    @property
    def progress(self) -> tuple[int, int] | None:
        """(day it has come to, days in all), or None when time is real."""
        if self.begins_at is None or self.ends_at is None:
            return None
        return min((self.as_of - self.begins_at).days + 1, (self.ends_at - self.begins_at).days), (
            self.ends_at - self.begins_at
        ).days


@dataclass(frozen=True, slots=True)
class BusinessUnit:
    """A business unit the session may see."""

    code: str
    name: str
    country: str
    currency: str
    company_code: str
    calendar: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class Feed:
    """What is known of one feed; silent_after_s: how long it may be silent. last_error: for whoever sees every unit."""

    system: str
    title: str
    feed: str
    complete_until: datetime | None
    last_success_at: datetime | None
    silent_after_s: float
    consecutive_failures: int
    last_error: str

    def age_s(self, as_of: datetime) -> float | None:
        """Seconds since it was last read; None: never."""
        return None if self.last_success_at is None else max(0.0, (as_of - self.last_success_at).total_seconds())

    def is_silent(self, as_of: datetime) -> bool:
        """Whether it has been silent for longer than it may."""
        age_s = self.age_s(as_of)
        return age_s is None or age_s > self.silent_after_s


@dataclass(frozen=True, slots=True)
class Visit:
    """What every visit begins with."""

    moment: Moment
    feeds: tuple[Feed, ...]
    logs: tuple[str, ...]
    """The imported logs there are."""


@dataclass(frozen=True, slots=True)
class Source:
    """How far one system's news has been read. `age_s` is that of its oldest feed; None: never read."""

    system: str
    title: str
    age_s: float | None
    is_stale: bool
    complete_until: datetime | None
    last_error: str
    stale_feeds: tuple[str, ...]


def visit(reports: Reports) -> Visit:
    """What time it is and how far everything has been read; from here on answers are reused by the newest recording of this moment."""
    row = _begun(reports)
    moment = Moment(
        row["as_of"], row["begins_at"], row["ends_at"], row["unfolded_since"], row["to_look_at"], tuple(row["reading"]), tuple(row["counting"])
    )  # fmt: skip
    # While figures lack something no answer stays true, although nothing is recorded meanwhile: also what they lack for a second only.
    lacks = moment.behind or moment.unfolded_since is not None
    reports.begin((row["recording_id"], moment.as_of) if lacks else row["recording_id"])
    feeds = (
        Feed(**feed | {name: _time(feed[name]) for name in ("complete_until", "last_success_at")})
        for feed in row["feeds"]
    )
    return Visit(moment, tuple(feeds), tuple(row["logs"]))


def is_coming(reports: Reports, log: str) -> bool:
    """Whether something of an imported log is still being read or waits to be folded."""
    row = _begun(reports)
    return log in row["reading"] or log in row["counting"]


def _begun(reports: Reports) -> Row:
    return reports.rows("visit", most=MANY_TO_LOOK_AT)[0]


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def business_units(reports: Reports) -> tuple[BusinessUnit, ...]:
    """The business units this session may see, by code."""
    return tuple(BusinessUnit(**row) for row in reports.remembered("units"))


def sources(feeds: Iterable[Feed], as_of: datetime) -> tuple[Source, ...]:
    """The systems we read, with the feed that lags most; stale when any feed has been silent for longer than it may."""
    by_system: dict[str, list[Feed]] = {}
    for feed in feeds:
        by_system.setdefault(feed.system, []).append(feed)
    return tuple(_source(system, found, as_of) for system, found in by_system.items())


def _source(system: str, feeds: list[Feed], as_of: datetime) -> Source:
    ages = [age_s for feed in feeds if (age_s := feed.age_s(as_of)) is not None]
    seen = [feed.complete_until for feed in feeds if feed.complete_until is not None]
    silent = [feed for feed in feeds if feed.is_silent(as_of)]
    errors = [feed.last_error for feed in silent if feed.last_error]
    return Source(
        system,
        feeds[0].title,
        max(ages) if len(ages) == len(feeds) else None,
        bool(silent),
        min(seen) if seen else None,
        errors[0] if errors else "",
        tuple(feed.feed for feed in silent),
    )
