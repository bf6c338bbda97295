"""Which rivals there are, with the settings that are tried of each."""

from benchmarks.rivals.trial import Rival

# fmt: off
RIVALS = (
    Rival("DBOS", "dbos_flow", "dbos", "", (
        {"threads": 16, "pool": 16, "polling_s": 0.02},
        {"threads": 64, "pool": 32, "polling_s": 0.05},
    ), "SELECT count(*) * 6 FROM workflow_status WHERE status = 'SUCCESS'", 160),
    Rival("procrastinate", "procrastinate_flow", "procrastinate", "", (
        {"concurrency": 8,  "polling_s": 0.1},
        {"concurrency": 32, "polling_s": 0.1},
    ), "SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'", 200),
    Rival("Celery on Redis", "celery_flow", "celery", "redis", (
        {"pool": "prefork", "concurrency": 2, "prefetch": 64, "appendfsync": "everysec"},
        {"pool": "threads", "concurrency": 8, "prefetch": 64, "appendfsync": "everysec"},
    ), "SELECT count(*) FROM step_done", 400),
    Rival("Celery on RabbitMQ", "celery_flow", "celery", "rabbitmq", (
        {"pool": "prefork", "concurrency": 2, "prefetch": 64},
        {"pool": "threads", "concurrency": 8, "prefetch": 64},
    ), "SELECT count(*) FROM step_done", 400),
)
# fmt: on
