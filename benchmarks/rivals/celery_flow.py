"""The flow on Celery: each step is a task that commits one row to PostgreSQL and then sends the next task.

A task is acknowledged when it is done (`acks_late`); without that, and without the row, nothing of a step would outlast a
crash of its worker. A worker is told by its environment, because its pool's children have no input of their own.
"""

import json
import os
import threading

import psycopg
from celery import Celery
from celery.signals import worker_ready

from benchmarks.rivals.program import STEPS, StepLog, Told, submit_all, told

asked = Told(**json.loads(os.environ["FINSYNC_BENCH_TOLD"])) if "FINSYNC_BENCH_TOLD" in os.environ else told()

app = Celery("flows", broker=asked.broker)
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=asked.options.get("prefetch", 4),
    worker_send_task_events=False,
    worker_enable_remote_control=False,
    worker_redirect_stdouts=False,
    broker_connection_retry_on_startup=True,
    task_default_queue_type=asked.options.get("queue_type", "classic"),
    worker_detect_quorum_queues=asked.options.get("queue_type") == "quorum",
    broker_heartbeat=0,
)
log = StepLog(asked.folder)
mine = threading.local()


def _commit(journey: int, number: int) -> None:
    if getattr(mine, "pid", 0) != os.getpid():
        mine.pid = os.getpid()
        options = f"-csearch_path={asked.schema}"
        mine.connection = psycopg.connect(asked.url, autocommit=True, options=options, prepare_threshold=1)
    mine.connection.execute(
        "INSERT INTO step_done (journey, step) VALUES (%s, %s) ON CONFLICT DO NOTHING", [journey, number]
    )


@app.task(name="step")
def step(journey: int, number: int) -> None:
    """One step of a journey."""
    log.note(journey, number)
    _commit(journey, number)
    if number < STEPS:
        step.delay(journey, number + 1)


@worker_ready.connect
def _tell(**_: object) -> None:
    print("ready", flush=True)


def _submit(journeys: list[int]) -> None:
    for number in journeys:
        step.delay(number, 1)


def _prepare() -> None:
    with psycopg.connect(asked.url, options=f"-csearch_path={asked.schema}") as connection:
        connection.execute("CREATE TABLE step_done (journey integer, step integer, PRIMARY KEY (journey, step))")


def _work() -> None:
    options = asked.options
    app.worker_main(
        [
            "worker",
            f"--pool={options['pool']}",
            f"--concurrency={options['concurrency']}",
            "--loglevel=ERROR",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
            f"--hostname=worker-{asked.worker}@localhost",
        ]
    )


if __name__ == "__main__":
    if asked.role == "submit":
        submit_all(asked, _submit)
    elif asked.role == "prepare":
        _prepare()
    else:
        _work()
