"""Figures for monitoring, in the Prometheus text format, from the database and kept for a few seconds.

They say how the machinery stands and never whose document it is about: labels are lanes, feeds, categories and outcomes.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from sync_engine.api.asking import Row

KEEP_S = 5.0
"""However many monitors ask, the database is asked this seldom."""

# fmt: off
FIGURES: dict[str, tuple[str, tuple[str, ...], str]] = {
    # figure             metric                             labels                 help
    "work_due":          ("finsync_work_due",               ("lane",),             "Work items due now, counted up to 100000."),
    "work_oldest_s":     ("finsync_work_oldest_seconds",    ("lane",),             "How long the oldest due work item has been due; 0 when none is."),
    "work_in_call":      ("finsync_work_in_call",           ("lane",),             "Work items an engine holds."),
    "exceptions_open":   ("finsync_exceptions_open",        ("category",),         "Open exceptions, counted up to 100000 in all."),
    "attempts":          ("finsync_attempts_5m",            ("system", "outcome"), "Questions to outside systems recorded in the last five minutes, at most 50000."),
    "intents_unsettled": ("finsync_intents_unsettled",      ("system",),           "Sends whose outcome is not known or not in yet."),
    "feed_age_s":        ("finsync_feed_age_seconds",       ("system", "feed"),    "Since a feed was last read with success."),
    "feed_failures":     ("finsync_feed_failures",          ("system", "feed"),    "Failures of a feed in a row."),
    "breaker_open":      ("finsync_breaker_open",           ("system",),           "1 while a system's circuit breaker lets nothing through."),
    "messages_pending":  ("finsync_messages_unsettled",     (),                    "Messages received and not yet disposed of, counted up to 100000."),
    "messages_oldest_s": ("finsync_messages_oldest_seconds", (),                   "How long the oldest of them has been due; 0 when none is."),
    "engines_alive":     ("finsync_engines_alive",          (),                    "Engines heard of in the last 60 seconds."),
}
# fmt: on


class _Figures(Collector):
    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows

    def collect(self) -> Iterable[GaugeMetricFamily]:
        for figure, (name, labels, text) in FIGURES.items():
            family = GaugeMetricFamily(name, text, labels=labels)
            for row in self._rows:
                if row["figure"] == figure:
                    family.add_metric([row["about"], row["detail"]][: len(labels)], row["value"])
            yield family


def text_of(rows: Sequence[Row]) -> bytes:
    """The exposition of figures (figure, about, detail, value)."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(rows))
    return generate_latest(registry)


class Metrics:
    """The newest exposition, made at most every `KEEP_S` seconds; whoever asks meanwhile gets the same.

    Args:
        read: Asks the database.
        timer: Seconds, of any origin.
    """

    def __init__(self, read: Callable[[], Sequence[Row]], *, timer: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._timer = timer
        self._lock = threading.Lock()
        self._made_at = float("-inf")
        self._text = b""

    def text(self) -> bytes:
        """The figures, no older than `KEEP_S` seconds."""
        with self._lock:
            if self._timer() - self._made_at >= KEEP_S:
                self._text = text_of(self._read())
                self._made_at = self._timer()
            return self._text
