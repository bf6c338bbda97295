"""What every page asks: what time it is, which business units there are, how fresh the sources are."""

from dataclasses import dataclass
from datetime import datetime

from sync_engine.insight.reports.reading import Reports


@dataclass(frozen=True, slots=True)
class Moment:
    """The time a page speaks of. While a past is being produced, `begins_at` and `ends_at` say which."""

    as_of: datetime
    begins_at: datetime | None
    ends_at: datetime | None

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
class Source:
    """How far one system's news has been read. `age_s` is that of its oldest feed; None: never read."""

    system: str
    title: str
    age_s: float | None
    is_stale: bool
    complete_until: datetime | None
    last_error: str
    stale_feeds: tuple[str, ...]


def moment(reports: Reports) -> Moment:
    """What time it is."""
    row = reports.rows("now")[0]
    return Moment(row["as_of"], row["begins_at"], row["ends_at"])


def business_units(reports: Reports) -> tuple[BusinessUnit, ...]:
    """The business units this session may see, by code."""
    return tuple(BusinessUnit(**row) for row in reports.remembered("units"))


def sources(reports: Reports, as_of: datetime) -> tuple[Source, ...]:
    """The systems we read, with the feed that lags most; stale when any feed has been silent for longer than it may."""
    by_system: dict[str, list[dict[str, object]]] = {}
    for row in reports.rows("freshness", as_of=as_of):
        by_system.setdefault(row["system"], []).append(row)
    return tuple(_source(system, feeds) for system, feeds in by_system.items())


def _source(system: str, feeds: list[dict[str, object]]) -> Source:
    ages = [float(str(feed["age_s"])) for feed in feeds if feed["age_s"] is not None]
    seen = [feed["complete_until"] for feed in feeds if isinstance(feed["complete_until"], datetime)]
    stale = tuple(str(feed["feed"]) for feed in feeds if feed["is_stale"])
    errors = [str(feed["last_error"]) for feed in feeds if feed["last_error"] and feed["is_stale"]]
    return Source(
        system,
        str(feeds[0]["title"]),
        max(ages) if len(ages) == len(feeds) else None,
        bool(stale),
        min(seen) if seen else None,
        errors[0] if errors else "",
        stale,
    )
