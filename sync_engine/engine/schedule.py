"""When: every scheduled job in one table. APScheduler decides the moment, nothing else in the program does.

A job that is a `singleton` runs once for all engines: its run is named by the job and the planned time, and whoever
inserts that row first has it; a run whose engine died in it is taken over. The others run in every engine, and share the
work through claims.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import sqlalchemy as sa
import structlog
from apscheduler.executors.base import BaseExecutor, run_job
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from sync_engine.database.connections import borrowed
from sync_engine.engine import atomic, store
from sync_engine.engine.clock import DatabaseClock
from sync_engine.engine.engine import Engine, database_now
from sync_engine.engine.jsontext import clean

H = 3600

MONTHS_AHEAD = 2
"""How many months beside this one always have their partitions: a month more than a long outage of this job could last."""

KEEP_RUNS_DAYS = 35
"""How long a run that went well can be seen: past a month's end and its close."""

NOTE_EVERY_S = 15.0
"""How often the database is told how all jobs stand; a change of outcome is told at once."""

DETAIL_CHARS = 500

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
    """What belongs to the engine itself: read its feeds, say that it is alive, keep partitions ahead. Whoever drives it adds
    what is theirs."""

    def collect(name: str) -> Work:
        collector, rereader = engine.collectors[name], engine.rereaders.get(name)

        def work(connection: psycopg.Connection) -> str:
            read = [collector.collect(connection, feed) for feed in collector.system.feeds]
            if rereader is not None:
                rereader.reread(connection)
            done = [one for one in read if one is not None]
            errors = [one.error for one in done if one.error]
            return "; ".join([f"{sum(one.records for one in done)} records", *errors])

        return work

    def heartbeat(connection: psycopg.Connection) -> str:
        now = database_now(connection)
        if isinstance(engine.clock, DatabaseClock):
            engine.clock.anchor(now)
        store.run(connection, "engine.heartbeat", engine_id=engine.engine_id, now=now)
        return "alive"

    # fmt: off
    return [
        *[Job(f"collect:{name}", every(2, jitter_s=0.5), 30,    collect(name)) for name in engine.collectors],
        Job("heartbeat",         every(15),              30,    heartbeat),
        Job("partitions",        daily(1, 30),           6 * H, keep_partitions_ahead, singleton=True),
    ]
    # fmt: on


def keep_partitions_ahead(connection: psycopg.Connection) -> str:
    """Make the monthly partitions of this month and the next `MONTHS_AHEAD`, and forget runs of long ago."""
    now = database_now(connection)
    [made] = store.rows(
        connection, "engine.ensure_partitions", first_month=now.date().replace(day=1), months=1 + MONTHS_AHEAD
    )
    store.run(
        connection,
        "engine.forget_jobs",
        states_before=now - timedelta(days=7),
        runs_before=now - timedelta(days=KEEP_RUNS_DAYS),
    )
    return f"{made['ensure_partitions']} partitions made"


@dataclass(slots=True)
class _Standing:
    """How a job stands in this engine; what `job_state` is told."""

    started_at: datetime | None = None
    finished_at: datetime | None = None
    outcome: str = "waiting"
    detail: str = ""
    runs: int = 0
    failures: int = 0
    noted_outcome: str = ""


class _Threads(BaseExecutor):  # type: ignore[misc]
    """A thread for each run, one that does not keep the process alive: a job that hangs must not hold up the end."""

    def _do_submit_job(self, job: Any, run_times: list[datetime]) -> None:
        def work() -> None:
            try:
                events = run_job(job, job._jobstore_alias, run_times, self._logger.name)  # noqa: SLF001 - as APScheduler's own executors do
            except BaseException as error:  # noqa: BLE001 - whatever it was, the job has to be free to run again
                self._run_job_error(job.id, error, error.__traceback__)
            else:
                self._run_job_success(job.id, events)

        threading.Thread(target=work, name=f"job-{job.id}", daemon=True).start()


class Schedule:
    """Runs jobs over a pool of connections.

    Every run leaves what came of it in the database, for people to see: runs of singletons in `job_run`, the last run of
    every job in `job_state`, beside when it runs next.

    Args:
        jobs: The table.
        pool: Connections as the engine's role.
        engine_id: Who takes singleton runs; registered, and kept alive by the job "heartbeat".
        after: Called after every run (it wakes the loops).
    """

    def __init__(
        self, jobs: list[Job], pool: sa.Engine, *, engine_id: str, after: Callable[[], None] = lambda: None
    ) -> None:
        self.jobs = {job.id: job for job in jobs}
        self._pool = pool
        self._engine_id = engine_id
        self._after = after
        self._lock = threading.Lock()
        self._standing = {job.id: _Standing() for job in jobs}
        self._under_way: dict[str, psycopg.Connection] = {}
        self._to_finish: list[dict[str, Any]] = []
        """Ends of singleton runs that could not be recorded, because the database was lost with them."""
        self._note_due = 0.0
        self._scheduler = BackgroundScheduler(executors={"default": _Threads()}, timezone=UTC)
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

    def stop(self, timeout_s: float = 8.0) -> None:
        """Start nothing more and let running jobs finish. What they still ask of the database when half the time is over is
        cancelled, and a job that goes on even so is left behind; its run counts as lost."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        began = time.monotonic()
        if not self._all_done(began + timeout_s / 2):
            with self._lock:
                under_way = list(self._under_way.values())
            for connection in under_way:
                with suppress(psycopg.Error):
                    connection.cancel_safe(timeout=1)
            self._all_done(began + timeout_s)
        with self._lock:
            left = sorted(self._under_way)
        if left:
            log.warning("jobs were left behind", jobs=left)

    def _all_done(self, deadline: float) -> bool:
        while time.monotonic() < deadline:
            with self._lock:
                if not self._under_way:
                    return True
            time.sleep(0.02)
        return False

    def run(self, job_id: str) -> None:
        """Run one job now, unless it is a singleton whose planned run another engine has."""
        job, standing = self.jobs[job_id], self._standing[job_id]
        try:
            with borrowed(self._pool) as connection:
                now = database_now(connection)
                planned_at = slot(job.trigger, now)
                if job.singleton and not self._begin(connection, job, planned_at, now):
                    self._note(connection, now)
                    return
                standing.started_at, standing.outcome = now, "running"
                with self._lock:
                    self._under_way[job_id] = connection
                try:
                    self._do(connection, job, planned_at)
                finally:
                    with self._lock:
                        self._under_way.pop(job_id, None)
        except (psycopg.Error, sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
            log.warning("a scheduled job lost the database", job=job_id, error=str(error).splitlines()[0])
        self._after()

    def next_runs(self) -> dict[str, datetime | None]:
        """When each job runs next."""
        return {job.id: getattr(job, "next_run_time", None) for job in self._scheduler.get_jobs()}

    def _begin(self, connection: psycopg.Connection, job: Job, planned_at: datetime, now: datetime) -> bool:
        values = {"job_id": job.id, "planned_at": planned_at, "engine_id": self._engine_id, "now": now}
        return store.run(connection, "engine.begin_job", **values) == 1

    def _do(self, connection: psycopg.Connection, job: Job, planned_at: datetime) -> None:
        """Do the job and record what came of it; if the database is lost with it, the next run of any job records it."""
        standing = self._standing[job.id]
        outcome, detail, lost = "done", "", None
        began = time.monotonic()
        try:
            detail = job.work(connection)
        except psycopg.errors.QueryCanceled:
            outcome, detail = "failed", "cancelled: it took too long, or the engine was stopped"
        except (*atomic.COLLISIONS, atomic.Stale) as error:
            log.info("a scheduled job collided with another transaction", job=job.id, error=str(error).splitlines()[0])
            outcome, detail = "failed", "another transaction was in the way; the next run does it again"
        except psycopg.OperationalError as error:
            outcome, detail, lost = "failed", f"the database was lost: {str(error).splitlines()[0]}", error
        except Exception as error:
            log.exception("a scheduled job failed", job=job.id)
            outcome, detail = "failed", f"{type(error).__name__}: {error}"
        detail = clean(detail)[:DETAIL_CHARS]
        finished_at = (standing.started_at or planned_at) + timedelta(seconds=time.monotonic() - began)
        standing.finished_at, standing.outcome, standing.detail = finished_at, outcome, detail
        standing.runs += 1
        standing.failures += outcome == "failed"
        if job.singleton:
            with self._lock:
                self._to_finish.append(
                    {
                        "job_id": job.id,
                        "planned_at": planned_at,
                        "engine_id": self._engine_id,
                        "outcome": outcome,
                        "detail": detail,
                        "now": finished_at,
                    }
                )
        if lost is not None:
            raise lost
        self._note(connection, finished_at)

    def _note(self, connection: psycopg.Connection, now: datetime) -> None:
        """Record the ends of singleton runs, and from time to time, or when an outcome has changed, how all jobs stand."""
        with self._lock:
            ends, self._to_finish = self._to_finish, []
        try:
            while ends:
                store.run(connection, "engine.finish_job", **ends[0])
                ends.pop(0)
        finally:
            with self._lock:
                self._to_finish += ends
        settled = {job_id: one for job_id, one in self._standing.items() if one.outcome in {"done", "failed"}}
        is_news = any(one.outcome != one.noted_outcome for one in settled.values())
        if not is_news and time.monotonic() < self._note_due:
            return
        self._note_due = time.monotonic() + NOTE_EVERY_S
        for one in settled.values():
            one.noted_outcome = one.outcome
        next_runs, standing = self.next_runs(), list(self._standing.items())
        store.run(
            connection,
            "engine.note_jobs",
            engine_id=self._engine_id,
            job_id=[job_id for job_id, _ in standing],
            singleton=[self.jobs[job_id].singleton for job_id, _ in standing],
            next_run_at=[next_runs.get(job_id) for job_id, _ in standing],
            started_at=[one.started_at for _, one in standing],
            finished_at=[one.finished_at for _, one in standing],
            outcome=[one.outcome for _, one in standing],
            detail=[one.detail for _, one in standing],
            runs=[one.runs for _, one in standing],
            failures=[one.failures for _, one in standing],
            now=now,
        )


def slot(trigger: BaseTrigger, now: datetime) -> datetime:
    """The planned time that a run at `now` belongs to: the last one that is past, the same for every engine however late each is."""
    if isinstance(trigger, IntervalTrigger):
        length = trigger.interval.total_seconds()
        return datetime.fromtimestamp(now.timestamp() // length * length, tz=UTC)
    for days in (2, 9, 32, 367):
        last: datetime | None = None
        following: datetime | None = trigger.get_next_fire_time(None, now - timedelta(days=days))
        while following is not None and following <= now:
            last, following = following, trigger.get_next_fire_time(following, following)
        if last is not None:
            return last.astimezone(UTC)
    return now
