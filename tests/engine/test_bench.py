"""The benchmark measures what it says, and clears up behind itself."""

import pytest

from benchmarks.engine import run
from sync_engine.database.connections import Database

RATES = (
    "pg_single_commit_per_s",
    "pg_batched_per_s",
    "engine_transitions_per_s",
    "two_engines_transitions_per_s",
    "engine_share_of_batched",
    "journeys_per_s_http",
    "calls_per_journey_http",
    "journey_calls_per_s_http",
    "bare_calls_per_s_http",
    "threaded_calls_per_s_http",
    "journey_share_of_bare_calls",
    "journey_share_of_threaded_calls",
    "two_engines_journey_calls_per_s_http",
    "two_engines_journey_share_of_bare_calls",
    "two_engines_journey_share_of_threaded_calls",
)


def cells(database: Database) -> list[str]:
    with database.connect_owner() as owner:
        return sorted(name for (name,) in owner.execute("SELECT nspname FROM pg_namespace"))


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_quick_run_answers_every_figure_and_leaves_nothing_behind(database):
    before, said = cells(database), []
    figures = run(database, quick=True, progress=said.append)
    assert {name for name in RATES if not figures[name] > 0} == set()
    assert 0 < figures["lone_step_ms"]["p50"] <= figures["lone_step_ms"]["p99"]
    assert list(figures["rss_mb_after_journeys"]) == ["40", "80", "120"]
    assert all(20 < mb < 250 for mb in figures["rss_mb_after_journeys"].values())
    assert list(figures["ms_beside_finished_items"]) == ["0", "1000", "2000"]
    assert all(ms > 0 for one in figures["ms_beside_finished_items"].values() for ms in one.values())
    assert figures["machine"]["cores"] >= 1
    assert figures["machine"]["postgresql"]
    assert len(said) >= 5
    assert cells(database) == before
