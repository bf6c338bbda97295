"""The benchmark of the pages measures what it says: views in a browser beside a page of one chart, and many sessions (issue 4, section 5)."""

import pytest

from benchmarks import browsing, served, visitors
from benchmarks.pages import run

if browsing.why_not() is not None:
    pytest.skip(f"{browsing.why_not()}", allow_module_level=True)

VIEW = "service-levels"


@pytest.mark.long
@pytest.mark.timeout(400)
def test_a_tiny_run_times_a_view_beside_one_chart_and_bears_visitors(database):
    figures = run(
        database, events=2000, sessions=2, only=[VIEW], rounds=1, think_s=0.4, lasts_s=2, progress=lambda _: None
    )
    assert figures["events"] > 1500
    assert figures["pages"].keys() == {VIEW}
    assert figures["pages"][VIEW]["failure"] is None
    least, view = figures["browser"]["minimal"], figures["browser"]["views"][VIEW]
    assert 0 < least["first_chart_ms"] <= least["full_page_ms"]
    # What the browser shows is what the server has sent, and more than the least there can be.
    assert view["charts"] == figures["pages"][VIEW]["charts"] > 1
    assert least["first_chart_ms"] < view["again"]["first_chart_ms"] <= view["again"]["full_page_ms"]
    assert view["again"]["full_page_ratio"] == pytest.approx(view["again"]["full_page_ms"] / least["full_page_ms"], abs=0.01)  # fmt: skip
    assert view["first_visit"]["full_page_ms"] > least["full_page_ms"]
    assert figures["load"].keys() == {"minimal", "fullest"}, (
        "with one page, that is the fullest, and none has fewer charts"
    )
    for name, page, sessions in (("minimal", "", 2), ("fullest", VIEW, 1)):
        borne = figures["load"][name]
        assert (borne["page"], borne["sessions"], borne["errors"]) == (page, sessions, 0), borne["first_errors"]
        assert borne["drawings"] >= 2
        assert 0 < borne["p50_ms"] <= borne["p95_ms"]
        assert 20 < borne["rss_mb"] < 1000


def test_a_drawing_is_timed_from_when_it_was_due(tmp_path, monkeypatch):
    """Open loop: a server that stands still for a second owes that second to everybody who was due meanwhile."""
    page = tmp_path / "slow.py"
    page.write_text("import time\nimport streamlit as st\ntime.sleep(0.3)\nst.title('Slow')\n")
    monkeypatch.setattr(served, "PAGE", page)
    with served.one_chart(served.free_port()) as server:
        borne = visitors.load(server, sessions=1, think_s=0.1, lasts_s=1.0)
    assert borne["errors"] == 0
    assert borne["p95_ms"] > 1000, "ten were due, 0.3 s each: the last waited for all before it"


def test_a_page_that_fails_is_an_error_and_no_fast_drawing(tmp_path, monkeypatch):
    page = tmp_path / "failing.py"
    page.write_text("import streamlit as st\nst.title('Failing')\nst.error('It could not be drawn.')\n")
    monkeypatch.setattr(served, "PAGE", page)
    with served.one_chart(served.free_port()) as server:
        borne = visitors.load(server, sessions=1, think_s=0.1, lasts_s=0.5)
    assert borne["errors"] > 0
    assert borne["first_errors"] == ["It could not be drawn."]
    assert borne["drawings"] == 0
    assert borne["p95_ms"] is None
