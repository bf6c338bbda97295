"""When people work: office hours in their own zone, without weekends and public holidays."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import holidays

Window = tuple[datetime, datetime]

SETTLING_IN, PACKING_UP = timedelta(minutes=3), timedelta(minutes=8)
"""Nobody decides anything in the first and the last minutes of a window; it also keeps what a slow system makes a
little late within the hours."""


class WorkCalendar:
    """One calendar of `config/calendars.toml`.

    Args:
        time_zone: Where its wall clock hangs.
        country: Whose public holidays count.
        region: A part of the country with its own holidays, or "".
        days: Working weekdays, Monday is 0.
        hours: Opening and closing times, "HH:MM", in order.
        closed: Days nobody works beside the public holidays.
    """

    def __init__(
        self,
        *,
        time_zone: str,
        country: str,
        region: str,
        days: Iterable[int],
        hours: Iterable[Sequence[str]],
        closed: Iterable[date] = (),
    ) -> None:
        self.zone = ZoneInfo(time_zone)
        self._days = frozenset(days)
        self._hours = [(time.fromisoformat(opens), time.fromisoformat(closes)) for opens, closes in hours]
        self._closed = frozenset(closed)
        self._free = holidays.country_holidays(country, subdiv=region or None)
        self._known: dict[date, tuple[Window, ...]] = {}

    def windows(self, day: date) -> tuple[Window, ...]:
        """When the office is open on a local day; empty on a free day."""
        if day not in self._known:
            works = day.weekday() in self._days and day not in self._free and day not in self._closed
            self._known[day] = (
                tuple((self.at(day, opens), self.at(day, closes)) for opens, closes in self._hours) if works else ()
            )
        return self._known[day]

    def at(self, day: date, on_the_wall: time) -> datetime:
        """The moment at which the wall clock shows a time."""
        return datetime.combine(day, on_the_wall, self.zone).astimezone(UTC)

    def day(self, moment: datetime) -> date:
        """The local day."""
        return moment.astimezone(self.zone).date()

    def is_working_day(self, day: date) -> bool:
        """Whether anybody works on it."""
        return bool(self.windows(day))

    def is_open(self, moment: datetime) -> bool:
        """Whether people are at work."""
        return any(opens <= moment <= closes for opens, closes in self.windows(self.day(moment)))

    def after(self, moment: datetime, hours: float = 0.0) -> datetime:
        """When so many working hours have passed since `moment`: always a moment at which people decide things."""
        left = timedelta(hours=hours)
        day = self.day(moment)
        while True:
            for opens, closes in self.windows(day):
                begin, end = max(moment, opens + SETTLING_IN), closes - PACKING_UP
                if begin > end:
                    continue
                if left <= end - begin:
                    return begin + left
                left -= end - begin
            day += timedelta(days=1)

    def working_day(self, day: date, count: int = 0) -> date:
        """The `count`-th working day after `day`; 0: the first on or after it."""
        while not self.is_working_day(day):
            day += timedelta(days=1)
        for _ in range(count):
            day += timedelta(days=1)
            while not self.is_working_day(day):
                day += timedelta(days=1)
        return day

    def next_of(self, moment: datetime, times: Iterable[time]) -> datetime:
        """The next moment after `moment` at which a working day's wall clock shows one of `times`, given in order."""
        wanted = tuple(times)
        day = self.day(moment)
        while True:
            day = self.working_day(day)
            for on_the_wall in wanted:
                at = self.at(day, on_the_wall)
                if at > moment and self.is_open(at):
                    return at
            day += timedelta(days=1)

    def within(self, day: date, share: float) -> datetime:
        """The moment at which `share` of a working day's hours have passed.

        Raises:
            ValueError: nobody works on that day.
        """
        windows = self.windows(day)
        if not windows:
            raise ValueError(f"nobody works on {day}")
        whole = sum((closes - opens - SETTLING_IN - PACKING_UP for opens, closes in windows), timedelta())
        return self.after(windows[0][0], share * whole.total_seconds() / 3600)

    def working_days_left(self, day: date) -> int:
        """How many working days of the month come after `day`."""
        following, count = day + timedelta(days=1), 0
        while following.month == day.month:
            count += self.is_working_day(following)
            following += timedelta(days=1)
        return count
