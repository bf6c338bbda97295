"""When: every scheduled job in one table. APScheduler decides the moment, nothing else in the program does.

A job that is a `singleton` runs once for all engines: its run is named by the job and the planned time, and whoever
inserts that row first has it. The others run in every engine, and share the work through claims.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
import sqlalchemy as sa
import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from sync_engine.database.connections import borrowed
from sync_engine.engine import store
from sync_engine.engine.engine import Engine, database_now

log = structlog.get_logger()

Work = Callable[[psycopg.Connection], str]
"""Does the job; answers what came of it in a few words."""


@dataclass(frozen=True, slots=True)
class Job:
    """One row of the schedule.

    `grace_s` is how late a run may still start (APScheduler's default of one second would drop runs on a busy machine);
    later than that it is skipped, and with several missed only one is made up for (`coalesce`).
    """

    id: str
    trigger: BaseTrigger
    grace_s: int
    work: Work
    singleton: bool = False


def every(seconds: float, *, jitter_s: float = 0) -> BaseTrigger:
    """An interval; jitter keeps engines that started together from asking together."""
    return IntervalTrigger(seconds=max(1, int(seconds)), jitter=jitter_s or None, timezone=UTC)


def daily(hour: int, minute: int = 0) -> BaseTrigger:
    """Once a day, UTC."""
    return CronTrigger(hour=hour, minute=minute, timezone=UTC)


def engine_jobs(engine: Engine) -> list[Job]:
    """What every engine does by itself: read its feeds, and say that it is alive."""

    def collect(name: str) -> Work:
        collector = engine.collectors[name]

        def work(connection: psycopg.Connection) -> str:
            done = [
                collected
                for feed in collector.system.feeds
                if (collected := collector.collect(connection, feed)) is not None
            ]
            return f"{sum(one.records for one in done)} records"

        return work

    def heartbeat(connection: psycopg.Connection) -> str:
        store.run(connection, "engine.heartbeat", engine_id=engine.engine_id, now=database_now(connection))
        return "alive"

    # fmt: off
    return [
        *[Job(f"collect:{name}", every(2, jitter_s=0.5), 30, collect(name)) for name in engine.collectors],
        Job("heartbeat",         every(15),              30, heartbeat),
    ]
    # fmt: on


class Schedule:
    """Runs jobs over a pool of connections.

    Args:
        jobs: The table.
        pool: Connections as the engine's role.
        engine_id: Who takes singleton runs.
        after: Called after every run that did something (it wakes the loops).
    """

    def __init__(
        self, jobs: list[Job], pool: sa.Engine, *, engine_id: str, after: Callable[[], None] = lambda: None
    ) -> None:
        self.jobs = {job.id: job for job in jobs}
        self._pool = pool
        self._engine_id = engine_id
        self._after = after
        self._scheduler = BackgroundScheduler(
            executors={"default": ThreadPoolExecutor(max(4, len(jobs)))}, timezone=UTC
        )
        for job in jobs:
            self._scheduler.add_job(
                self.run,
                job.trigger,
                args=[job.id],
                id=job.id,
                misfire_grace_time=job.grace_s,
                coalesce=True,
                max_instances=1,
                next_run_time=datetime.now(UTC),
            )

    def start(self) -> None:
        """Begin; every job runs once at once."""
        self._scheduler.start()

    def stop(self) -> None:
        """Let running jobs finish."""
        self._scheduler.shutdown(wait=True)

    def run(self, job_id: str, planned_at: datetime | None = None) -> None:
        """Run one job now, unless it is a singleton whose planned run another engine has."""
        job = self.jobs[job_id]
        try:
            with borrowed(self._pool) as connection:
                now = database_now(connection)
                if job.singleton and not self._begin(connection, job, planned_at or _slot(job, now), now):
                    return
                self._finish(connection, job, planned_at or _slot(job, now), job.work)
        except (psycopg.Error, sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
            log.warning("a scheduled job lost the database", job=job_id, error=str(error).splitlines()[0])
        self._after()

    def _begin(self, connection: psycopg.Connection, job: Job, planned_at: datetime, now: datetime) -> bool:
        return (
            store.run(
                connection, "engine.begin_job", job_id=job.id, planned_at=planned_at, engine_id=self._engine_id, now=now
            )
            == 1
        )

    def _finish(self, connection: psycopg.Connection, job: Job, planned_at: datetime, work: Work) -> None:
        outcome, detail = "done", ""
        try:
            detail = work(connection)
        except psycopg.OperationalError:
            raise
        except Exception as error:
            log.exception("a scheduled job failed", job=job.id)
            outcome, detail = "failed", f"{type(error).__name__}: {error}"[:500]
        if job.singleton:
            store.run(
                connection,
                "engine.finish_job",
                job_id=job.id,
                planned_at=planned_at,
                outcome=outcome,
                detail=detail,
                now=database_now(connection),
            )

    def next_runs(self) -> dict[str, Any]:
        """When each job runs next."""
        return {job.id: job.next_run_time for job in self._scheduler.get_jobs()}


def _slot(job: Job, now: datetime) -> datetime:
    """The planned time that a run at `now` belongs to: the same for every engine, however late each is."""
    if isinstance(job.trigger, IntervalTrigger):
        length = job.trigger.interval.total_seconds()
        return datetime.fromtimestamp(now.timestamp() // length * length, tz=UTC)
    return now.replace(minute=0, second=0, microsecond=0)
