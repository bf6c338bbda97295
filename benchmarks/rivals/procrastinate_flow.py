"""The flow on procrastinate: each step is a job that defers the next one.

procrastinate fetches, defers and finishes jobs in PostgreSQL, each in a transaction of its own.
"""

import asyncio
import sys

from procrastinate import App, PsycopgConnector, SyncPsycopgConnector

from benchmarks.rivals.program import STEPS, StepLog, Told, submit_all, told

QUEUE = "flows"


def _app(asked: Told, *, is_async: bool) -> App:
    connector = PsycopgConnector if is_async else SyncPsycopgConnector
    return App(
        connector=connector(
            conninfo=asked.url,
            kwargs={"options": f"-csearch_path={asked.schema}"},
            min_size=1,
            max_size=int(asked.options["concurrency"]) + 2,
        )
    )


async def _work(asked: Told) -> None:
    app, log = _app(asked, is_async=True), StepLog(asked.folder)

    @app.task(name="step", queue=QUEUE)
    async def step(journey: int, number: int) -> None:
        log.note(journey, number)
        if number < STEPS:
            await step.defer_async(journey=journey, number=number + 1)

    async with app.open_async():
        worker = asyncio.create_task(
            app.run_worker_async(
                queues=[QUEUE],
                concurrency=int(asked.options["concurrency"]),
                fetch_job_polling_interval=asked.options["polling_s"],
                install_signal_handlers=False,
                name=f"worker-{asked.worker}",
            )
        )
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)


def _submit(asked: Told) -> None:
    app = _app(asked, is_async=False)
    step = app.configure_task("step", queue=QUEUE, allow_unknown=True)
    with app.open():
        submit_all(asked, lambda numbers: _ignore(step.batch_defer(*({"journey": n, "number": 1} for n in numbers))))


def _ignore(_job_ids: object) -> None:
    """What is submitted is found again by its journey."""


def _prepare(asked: Told) -> None:
    app = _app(asked, is_async=False)
    with app.open():
        app.schema_manager.apply_schema()


if __name__ == "__main__":
    asked = told()
    if asked.role == "work":
        asyncio.run(_work(asked))
    else:
        {"prepare": _prepare, "submit": _submit}[asked.role](asked)
