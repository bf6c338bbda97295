"""The flow on DBOS: a workflow of six steps, started from a queue.

DBOS writes each step's result to PostgreSQL in a transaction of its own before the next one begins.
"""

from dbos import DBOS, DBOSClient, DBOSConfig

from benchmarks.rivals.program import STEPS, StepLog, Told, submit_all, told, wait_for_the_end

QUEUE = "flows"
RELEASE = "1"
"""Workflows are only taken by workers of the version they were submitted for."""


def _declare(log: StepLog) -> None:
    @DBOS.step(name="step")
    def step(journey: int, number: int) -> int:
        log.note(journey, number)
        return number

    @DBOS.workflow(name="journey")
    def journey(number: int) -> None:
        for nth in range(1, STEPS + 1):
            step(number, nth)


def _work(asked: Told) -> None:
    config: DBOSConfig = {
        "name": "rival",
        "system_database_url": asked.url,
        "dbos_system_schema": asked.schema,
        "application_version": RELEASE,
        "executor_id": f"worker-{asked.worker}",
        "sys_db_pool_size": asked.options["pool"],
        "max_executor_threads": asked.options["threads"],
        "log_level": "ERROR",
    }
    DBOS(config=config)
    _declare(StepLog(asked.folder))
    DBOS.launch()
    DBOS.register_queue(
        QUEUE,
        worker_concurrency=asked.options["threads"],
        polling_interval_sec=asked.options["polling_s"],
        on_conflict="always_update",
    )
    if asked.role == "work":
        wait_for_the_end()
    DBOS.destroy()


def _submit(asked: Told) -> None:
    client = DBOSClient(system_database_url=asked.url, dbos_system_schema=asked.schema, application_name="rival")

    def submit(journeys: list[int]) -> None:
        for number in journeys:
            client.enqueue({"queue_name": QUEUE, "workflow_name": "journey", "app_version": RELEASE}, number)

    submit_all(asked, submit)
    client.destroy()


if __name__ == "__main__":
    asked = told()
    if asked.role == "submit":
        _submit(asked)
    else:
        _work(asked)
