"""The schedule: singletons once for all engines, and every run leaves what came of it."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from sync_engine.engine import atomic, store
from sync_engine.engine import schedule as module
from sync_engine.engine.schedule import Job, Schedule, daily, engine_jobs, every, slot

HOUR = IntervalTrigger(hours=1, timezone=UTC)


def often(seconds: float) -> IntervalTrigger:
    """More often than `every` allows, which is made for real jobs."""
    return IntervalTrigger(seconds=seconds, timezone=UTC)


@pytest.fixture
def schedules(shop) -> Iterator[object]:
    """Makes schedules over engines of the given names; all are stopped when the test is over."""
    made: list[Schedule] = []

    def make(name: str, *jobs: Job) -> Schedule:
        with shop.borrowed() as connection:
            shop.engine(name, connection)
        made.append(Schedule(list(jobs), shop.pool(4), engine_id=name))
        return made[-1]

    yield make
    for schedule in made:
        schedule.stop(2)


def shown(shop, job_id: str) -> list[dict]:
    """What the page "Integration health" shows of a job, newest first."""
    with shop.borrowed() as connection:
        return [row for row in store.rows(connection, "report.jobs", limit=50) if row["job_id"] == job_id]


def test_a_singleton_runs_once_however_many_engines_there_are(shop, schedules):
    runs: list[str] = []
    job = Job("fold", HOUR, 60, lambda _: runs.append("fold") or "folded 3", singleton=True)
    own = Job("beat", HOUR, 60, lambda _: runs.append("beat") or "", singleton=False)
    for name in ("engine-1", "engine-2", "engine-3"):
        schedules(name, job, own).start()
    shop.wait_until(lambda: runs.count("beat") == 3)
    shop.wait_until(lambda: [row["outcome"] for row in shown(shop, "fold")] == ["done"])
    assert runs.count("fold") == 1
    [row] = shown(shop, "fold")
    assert row["detail"] == "folded 3"
    assert row["planned_at"].minute == 0
    assert row["next_run_at"] > datetime.now(UTC)


def test_every_job_of_every_engine_can_be_seen_with_its_next_run(shop, schedules):
    schedules("engine-1", Job("collect:erp", HOUR, 60, lambda _: "7 records")).start()
    schedules("engine-2", Job("collect:erp", HOUR, 60, lambda _: "0 records")).start()
    shop.wait_until(lambda: len(shown(shop, "collect:erp")) == 2)
    rows = {row["engine_id"]: row for row in shown(shop, "collect:erp")}
    assert rows["engine-1"]["detail"] == "7 records"
    assert rows["engine-2"]["outcome"] == "done"
    assert rows["engine-2"]["runs"] == 1
    assert all(row["next_run_at"] is not None for row in rows.values())


def test_a_job_that_runs_often_leaves_one_row(shop, schedules):
    schedules("engine-1", Job("collect:erp", often(0.05), 60, lambda _: "0 records")).start()
    shop.wait_until(lambda: bool(shown(shop, "collect:erp")))
    time.sleep(1)
    assert len(shown(shop, "collect:erp")) == 1
    assert shop.ask("SELECT count(*) FROM job_run") == [(0,)]


def test_a_job_that_collides_with_another_transaction_is_no_bug_and_runs_again(shop, schedules, capsys):
    runs = []

    def collide_once(_connection):
        runs.append("run")
        if len(runs) == 1:
            raise atomic.Stale("the document has changed")
        return "done"

    schedules("engine-1", Job("collide", often(1), 60, collide_once, singleton=True)).start()
    shop.wait_until(lambda: {row["outcome"] for row in shown(shop, "collide")} >= {"failed", "done"}, seconds=10)
    assert "another transaction was in the way" in shown(shop, "collide")[-1]["detail"]
    assert "Traceback" not in "".join(capsys.readouterr())


def test_a_job_that_fails_says_why_and_runs_again(shop, schedules):
    calls: list[int] = []

    def work(_connection: psycopg.Connection) -> str:
        calls.append(1)
        if len(calls) == 1:
            raise ZeroDivisionError("nothing to divide by")
        return "well again"

    schedules("engine-1", Job("alerts", often(1), 60, work, singleton=True)).start()
    shop.wait_until(lambda: any(row["outcome"] == "done" for row in shown(shop, "alerts")), seconds=10)
    done, *_, failed = shown(shop, "alerts")
    assert (failed["outcome"], failed["detail"]) == ("failed", "ZeroDivisionError: nothing to divide by")
    assert (done["outcome"], done["detail"]) == ("done", "well again")


def test_a_job_of_every_engine_that_fails_is_shown_at_once_with_its_count(shop, schedules):
    broken = [True]

    def work(_connection: psycopg.Connection) -> str:
        if broken[0]:
            raise ZeroDivisionError("nothing to divide by")
        return "well again"

    schedules("engine-1", Job("collect:erp", often(0.2), 60, work)).start()
    shop.wait_until(lambda: [row["outcome"] for row in shown(shop, "collect:erp")] == ["failed"])
    broken[0] = False
    shop.wait_until(lambda: [row["outcome"] for row in shown(shop, "collect:erp")] == ["done"], seconds=5)
    assert shown(shop, "collect:erp")[0]["failures"] >= 1


def test_after_a_pause_several_missed_runs_are_made_up_for_by_one(shop, schedules):
    runs: list[float] = []
    schedule = schedules("engine-1", Job("beat", often(0.2), 60, lambda _: runs.append(time.monotonic()) or ""))
    schedule.start()
    shop.wait_until(lambda: len(runs) >= 2)
    schedule._scheduler.pause()
    time.sleep(1.2)
    before = len(runs)
    schedule._scheduler.resume()
    time.sleep(0.1)
    assert len(runs) - before <= 1, "five were missed"
    shop.wait_until(lambda: len(runs) > before)


def test_a_run_that_would_start_too_late_is_skipped(shop, schedules):
    runs: list[float] = []
    schedule = schedules("engine-1", Job("beat", often(30), 1, lambda _: runs.append(time.monotonic()) or ""))
    schedule._scheduler.start(paused=True)
    schedule._scheduler.modify_job("beat", next_run_time=datetime.now(UTC) - timedelta(seconds=5))
    schedule._scheduler.resume()
    time.sleep(0.5)
    assert runs == []
    assert schedule.next_runs()["beat"] > datetime.now(UTC)


def test_a_run_whose_engine_died_in_it_counts_as_lost_and_is_taken_over(shop, schedules):
    ends = threading.Event()
    died = schedules("died", Job("reconcile", HOUR, 60, lambda _: str(ends.wait(20)), singleton=True))
    died.start()
    shop.wait_until(lambda: [row["outcome"] for row in shown(shop, "reconcile")] == ["running"])
    job = Job("reconcile", HOUR, 60, lambda _: "reconciled", singleton=True)
    second = schedules("engine-2", job)
    second.run("reconcile")
    assert [row["outcome"] for row in shown(shop, "reconcile")] == ["running"], "its engine lives"
    shop.ask(
        "UPDATE engine_instance SET last_seen_at = now() - interval '2 minutes' WHERE engine_id = 'died' RETURNING 1"
    )
    assert [row["outcome"] for row in shown(shop, "reconcile")] == ["lost"]
    second.run("reconcile")
    assert [(row["engine_id"], row["detail"]) for row in shown(shop, "reconcile")] == [("engine-2", "reconciled")]
    ends.set()
    died.stop(5)
    assert [(row["engine_id"], row["detail"]) for row in shown(shop, "reconcile")] == [("engine-2", "reconciled")]


def test_stopping_cancels_what_a_long_job_asks_of_the_database_and_says_so(shop, schedules):
    def long(connection: psycopg.Connection) -> str:
        connection.execute("SELECT pg_sleep(60)")
        return ""

    schedule = schedules("engine-1", Job("reconcile", HOUR, 60, long, singleton=True))
    schedule.start()
    shop.wait_until(lambda: bool(shown(shop, "reconcile")))
    began = time.monotonic()
    schedule.stop(3)
    assert time.monotonic() - began < 3
    shop.wait_until(lambda: [row["outcome"] for row in shown(shop, "reconcile")] == ["failed"])
    assert "stopped" in shown(shop, "reconcile")[0]["detail"]


def test_stopping_does_not_wait_for_a_job_that_hangs(schedules):
    goes_on, began_work = threading.Event(), threading.Event()
    schedule = schedules("engine-1", Job("reconcile", HOUR, 60, lambda _: began_work.set() or str(goes_on.wait(30))))
    schedule.start()
    assert began_work.wait(5)
    began = time.monotonic()
    schedule.stop(1)
    assert time.monotonic() - began < 2
    goes_on.set()


def test_the_end_of_a_run_that_lost_the_database_is_recorded_by_the_next_run(shop, schedules):
    def cut(connection: psycopg.Connection) -> str:
        with shop.database.connect_owner() as owner:
            owner.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
        connection.execute("SELECT 1")
        return ""

    schedule = schedules(
        "engine-1", Job("alerts", HOUR, 60, cut, singleton=True), Job("beat", HOUR, 60, lambda _: "alive")
    )
    schedule.run("alerts")
    assert [row["outcome"] for row in shown(shop, "alerts")] == ["running"]
    schedule.run("beat")
    [row] = shown(shop, "alerts")
    assert row["outcome"] == "failed"
    assert row["detail"].startswith("the database was lost")


def test_the_engines_own_jobs_say_that_it_lives_and_keep_partitions_ahead(shop, schedules):
    with shop.borrowed() as connection:
        engine = shop.engine("engine-1", connection)
    shop.ask("UPDATE engine_instance SET last_seen_at = now() - interval '1 hour' RETURNING 1")
    jobs = engine_jobs(engine)
    assert {job.id for job in jobs} == {"collect:erp", "collect:procurement", "heartbeat", "partitions"}
    schedule = schedules("engine-1", *jobs)
    schedule.start()
    shop.wait_until(lambda: [row["outcome"] for row in shown(shop, "partitions")] == ["done"])
    shop.wait_until(lambda: [row["detail"] for row in shown(shop, "heartbeat")] == ["alive"])
    [(alive,)] = shop.ask(
        "SELECT last_seen_at > now() - interval '1 minute' FROM engine_instance WHERE engine_id = 'engine-1'"
    )
    assert alive
    months = shop.ask("SELECT count(*) FROM pg_inherits WHERE inhparent = 'event'::regclass")[0][0]
    assert months >= 1 + 3, "the default partition, this month and the next two"


def test_runs_of_long_ago_are_forgotten_and_those_that_failed_are_kept(shop):
    shop.ask(
        "INSERT INTO job_run (job_id, planned_at, engine_id, started_at, finished_at, outcome) "
        "SELECT j, now() - interval '60 days', 'e', now() - interval '60 days', now() - interval '60 days', j "
        "FROM unnest(ARRAY['done', 'failed']) j RETURNING 1"
    )
    with shop.borrowed() as connection:
        module.keep_partitions_ahead(connection)
    assert shop.ask("SELECT job_id FROM job_run") == [("failed",)]


@pytest.mark.parametrize(
    ("trigger", "now", "planned"),
    [
        (every(60), "2026-09-15 12:00:17", "2026-09-15 12:00:00"),
        (every(3600), "2026-09-15 12:59:59", "2026-09-15 12:00:00"),
        (daily(1, 30), "2026-09-15 01:30:00", "2026-09-15 01:30:00"),
        (daily(1, 30), "2026-09-15 14:20:00", "2026-09-15 01:30:00"),
        (daily(1, 30), "2026-09-15 00:10:00", "2026-09-14 01:30:00"),
        (CronTrigger(day_of_week="mon", hour=6, timezone=UTC), "2026-09-18 09:00:00", "2026-09-14 06:00:00"),
        (CronTrigger(day=1, hour=6, timezone=UTC), "2026-09-30 09:00:00", "2026-09-01 06:00:00"),
    ],
)
def test_a_run_belongs_to_the_last_planned_time_that_is_past(trigger, now, planned):
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert slot(trigger, moment) == datetime.fromisoformat(planned).replace(tzinfo=UTC)
