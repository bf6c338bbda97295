"""Time in a schedule: one clock that the schedule moves, and what each side believes it says.

The engines share the database's time (`sync_engine.engine.clock`), so it is that time that steps when a machine's clock is
corrected; each engine is a little off it, as between two anchorings. A vendor's clock is its own.
"""

from datetime import datetime, timedelta


class WorldClock:
    """The true time of a schedule, and how far the database's clock is off it."""

    def __init__(self, begins_at: datetime) -> None:
        self.begins_at = begins_at
        self.elapsed_s = 0.0
        self.database_off_s = 0.0

    def now(self) -> datetime:
        """The true time."""
        return self.begins_at + timedelta(seconds=self.elapsed_s)

    def database_now(self) -> datetime:
        """The time everybody who works goes by."""
        return self.begins_at + timedelta(seconds=self.elapsed_s + self.database_off_s)

    def timer(self) -> float:
        """Seconds that only grow."""
        return self.elapsed_s

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        if seconds < 0:
            raise ValueError("time does not run backwards")
        self.elapsed_s += seconds

    def advance_to(self, moment: datetime) -> None:
        """Let time pass until a moment; one in the past changes nothing."""
        self.advance(max(0.0, (moment - self.now()).total_seconds()))


class EngineClock:
    """The database's time as one engine has it; `off_s` is its error since it was last told."""

    def __init__(self, world: WorldClock, off_s: float = 0.0) -> None:
        self._world = world
        self.off_s = off_s

    def now(self) -> datetime:
        """The present moment, as the engine believes."""
        return self._world.database_now() + timedelta(seconds=self.off_s)

    def timer(self) -> float:
        """Seconds that only grow."""
        return self._world.timer()


class VendorClock:
    """The time of one outside system."""

    def __init__(self, world: WorldClock) -> None:
        self._world = world
        self.off_s = 0.0

    def now(self) -> datetime:
        """The present moment, as the vendor believes."""
        return self._world.now() + timedelta(seconds=self.off_s)
