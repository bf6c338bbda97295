"""What a process says: lines for people on a terminal, JSON for machines everywhere else."""

import logging
import sys

import structlog


def set_up_logs(*, level: int = logging.INFO) -> None:
    """Send structured log lines to standard error, times in UTC."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if sys.stderr.isatty()
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    )
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # APScheduler tells of every run at INFO; what came of a job is in the job table.
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
