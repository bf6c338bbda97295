"""What a person waits for: every page of the application in a browser, beside the least a page with a chart can be; `finsync bench pages --json`.

Years of events are made and folded into a cell of its own, and the application is served over it as `finsync demo` serves it.
Each view is opened by somebody who sees everything, first while the server remembers no answer yet, then again, in turns with
the page of one chart. Then many sessions at once, in open loop, on that page, on our page with the fewest charts and on the
fullest; each on a server of its own, so that what a session weighs is its own.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pandas as pd

from benchmarks import browsing, cells, served, views, visitors
from benchmarks.browsing import Seen
from benchmarks.served import Served
from benchmarks.visitors import Drawing
from sync_engine.control import access
from sync_engine.control.access import Person
from sync_engine.control.roles import Role
from sync_engine.database.connections import Database

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROUNDS = 5
"""How often each view is opened again; the median counts."""

THINK_S = 10.0
LASTS_S = 60.0
FULLEST_HAS = 0.25
"""Sessions on the fullest page, of those on a page with one chart: 50 beside 200 (issue 4, section 5)."""

WHO = "bench"

Progress = Callable[[str], None]


def run(
    database: Database,
    *,
    events: int,
    sessions: int,
    progress: Progress,
    only: Sequence[str] = (),
    rounds: int = ROUNDS,
    think_s: float = THINK_S,
    lasts_s: float = LASTS_S,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Times in ms, memory in MB; `only` these pages of the menu, or all."""
    ends_at = (now or datetime.now(UTC)).replace(minute=0, second=0, microsecond=0)
    figures: dict[str, Any] = {"machine": cells.machine(database)}
    with _filled(database, events, ends_at, progress) as (cell, made):
        figures |= made
        port = served.free_port()
        with served.one_chart(served.free_port()) as minimal:
            with ExitStack() as browser:
                progress("drawing every page once")
                with served.application(cell, port) as ours:
                    figures["started_s"] = ours.started_s
                    drawn = visitors.discover(ours, only, person=WHO)
                    figures["pages"] = {path: asdict(drawing) for path, drawing in drawn.items()}
                    why_not = browsing.why_not()
                    figures["browser"] = {"skipped": why_not}
                    if why_not is None:
                        tab = browser.enter_context(browsing.tab())
                        cold = browsing.visit(tab, minimal.url)
                        # The browser has been here before; the server that is measured, on the same port, has not.
                        browsing.visit(tab, _address(ours, max(drawn, key=lambda path: drawn[path].charts)))
                if why_not is None:
                    with served.application(cell, port) as ours:
                        figures["browser"] = {"minimal_cold": _as_json(cold)} | _browsed(
                            tab, ours, minimal, list(drawn), rounds, progress
                        )
            figures["load"] = _borne(cell, port, minimal, drawn, sessions, progress, think_s=think_s, lasts_s=lasts_s)
    return figures


def _address(ours: Served, path: str) -> str:
    return f"{ours.url}/{path}?{urlencode({'as': WHO})}"


@contextmanager
def _filled(
    database: Database, events: int, ends_at: datetime, progress: Progress
) -> Iterator[tuple[Database, dict[str, Any]]]:
    """A cell with years of events and somebody who may open every page."""
    with cells.cell(database) as cell:
        with cells.connected(cell) as connection:
            views.put_calendars_in_force(connection, ends_at)
            progress(f"making {events} events")
            made = views.made_and_folded(connection, events, ends_at, progress)
            access.put_people(connection, [Person(WHO, "Bench", frozenset(Role), ("*",))], now=ends_at)
        views.tidied(cell)
        yield cell, made


def _browsed(
    tab: "Page", ours: Served, minimal: Served, paths: list[str], rounds: int, progress: Progress
) -> dict[str, Any]:
    """Per view: ms to the first chart and to the full page, at the first visit and later ones, and the ratios to the page of one chart."""
    least_seen = []
    seen: dict[str, list[Seen]] = {path: [] for path in paths}
    for _ in range(rounds + 1):
        least_seen.append(browsing.visit(tab, minimal.url))
        for path, visits in seen.items():
            visits.append(browsing.visit(tab, _address(ours, path)))
    least = _middle(least_seen[1:])
    answers: dict[str, Any] = {"rounds": rounds, "minimal": _as_json(least), "views": {}}
    for path in paths:
        first, again = seen[path][0], _middle(seen[path][1:])
        answers["views"][path] = {
            "charts": again.charts,
            "first_visit": _as_json(first) | _ratios(first, least),
            "again": _as_json(again) | _ratios(again, least),
            "alerts": list(again.alerts),
        }
        progress(f"{path}: {answers['views'][path]}")
    return answers


def _middle(visits: list[Seen]) -> Seen:
    charts = [visit.first_chart_ms for visit in visits if visit.first_chart_ms is not None]
    return Seen(
        float(pd.Series(charts).median()) if charts else None,
        float(pd.Series([visit.full_page_ms for visit in visits]).median()),
        visits[-1].charts,
        visits[-1].alerts,
    )


def _as_json(seen: Seen) -> dict[str, float | None]:
    chart = seen.first_chart_ms
    return {"first_chart_ms": round(chart) if chart is not None else None, "full_page_ms": round(seen.full_page_ms)}


def _ratios(seen: Seen, least: Seen) -> dict[str, float | None]:
    chart, of = seen.first_chart_ms, least.first_chart_ms
    return {
        "first_chart_ratio": round(chart / of, 2) if chart is not None and of else None,
        "full_page_ratio": round(seen.full_page_ms / least.full_page_ms, 2),
    }


def _borne(
    cell: Database, port: int, minimal: Served, drawn: Mapping[str, Drawing], sessions: int, progress: Progress, *, think_s: float, lasts_s: float,
) -> dict[str, Any]:  # fmt: skip
    """How many sessions at once are borne, by the page of one chart, by ours with the fewest charts, and by the fullest."""
    answers = {"minimal": visitors.load(minimal, sessions=sessions, think_s=think_s, lasts_s=lasts_s)}
    progress(f"minimal: {answers['minimal']}")
    whole = [path for path, drawing in drawn.items() if drawing.charts and not drawing.failure]
    by_size = sorted(whole, key=lambda path: (drawn[path].charts, drawn[path].elements))
    few = max(1, round(sessions * FULLEST_HAS))
    ours = {"fullest": (by_size[-1], few)} if by_size else {}
    if len(by_size) > 1:
        ours["fewest_charts"] = (by_size[0], sessions)
    for name, (path, many) in ours.items():
        with served.application(cell, port) as server:
            answers[name] = visitors.load(server, path, sessions=many, think_s=think_s, lasts_s=lasts_s, person=WHO)
        progress(f"{name}: {answers[name]}")
    return answers
