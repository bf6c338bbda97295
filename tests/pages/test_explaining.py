"""Explain this number: every figure of these pages opens how it is made, and says what was reported before late news came (D15)."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from pages import PAGES
from sync_engine.insight.reports import explain
from tests.pages.asking import asking
from tests.pages.books import MONDAY, NOW, Books
from tests.pages.conftest import AUDITOR, LEADER, SUPPORT, words_of

ROOT = Path(__file__).parents[2]
PARTS = (
    "**Formula:**",
    "**Window:**",
    "**Clock:**",
    "**Population:**",
    "**In it:**",
    "**Left out:**",
    "**Fresh as of:**",
)
KEYS = {
    "cycle-time": ("ordered", "posted", "approved_to_ordered", "open-ones", "ordered-count", "settled"),
    "service-levels": ("order-creation", "requisition-validation"),
    "overview": ("gap", "stuck", "speed", "exceptions", "objectives", "risk"),
}


@pytest.mark.parametrize(("page", "key"), [(page, key) for page, keys in KEYS.items() for key in keys])
def test_every_figure_opens_its_definition_formula_window_population_and_freshness(books, page, key):
    app = books.look(page, person=LEADER, explain=key)
    assert not app.exception
    lines = words_of(app).splitlines()
    for part in PARTS:
        assert sum(line.startswith(part) for line in lines) == 1, (page, key, part)


def test_every_figure_of_these_pages_has_the_button(books):
    for page in KEYS:
        app = books.look(page, person=LEADER)
        assert len([button for button in app.button if button.label == "Explain"]) == len(app.metric), page


@pytest.mark.parametrize("page", [page.URL_PATH for page in PAGES])
def test_no_figure_of_any_page_is_without_its_explanation(books, page):
    """D15: every figure has the button, each with a name of its own in the address; the last of them opens all seven parts."""
    app = books.look(page, person=LEADER)
    assert not app.exception
    assert not app.error
    keys = [button.key for button in app.button if button.label == "Explain"]
    assert len(set(keys)) == len(keys) == len(app.metric), [metric.label for metric in app.metric]
    if keys:
        lines = words_of(books.look(page, person=LEADER, explain=keys[-1].removeprefix("explain."))).splitlines()
        for part in PARTS:
            assert sum(line.startswith(part) for line in lines) == 1, part


def test_figures_are_drawn_in_one_place():
    """No page draws a figure past the one that explains it; what a rule or a limit would do is explained by the sentence around it."""
    drawn = {path.name for path in (ROOT / "pages").glob("*.py") if "st.metric(" in path.read_text(encoding="utf-8")}
    assert drawn == {"frame.py", "alerts_editor.py", "approvals_charts.py"}


@pytest.mark.parametrize("page", [page.URL_PATH for page in PAGES])
def test_every_chart_can_leave_the_page_with_what_it_means(books, page):
    """4.0: a picture and the numbers, with definition, window and as-of in them."""
    app = books.look(page, person=LEADER)
    charts = app.get("plotly_chart")
    pictures = [button for button in app.button if button.label == "Picture (PNG)"]
    assert len(pictures) == len(charts)
    assert len([button for button in app.get("download_button") if button.proto.label == "Numbers (CSV)"]) == len(
        charts
    )


def test_the_address_names_the_figure_and_a_wrong_name_opens_nothing(books):
    app = books.look("cycle-time", person=LEADER)
    next(button for button in app.button if button.key == "explain.settled").click().run()
    assert app.query_params["explain"] in ("settled", ["settled"])
    assert "**Formula:** (ordered + ended without an order) / submitted" in words_of(app)
    assert "**Formula:**" not in words_of(books.look("cycle-time", person=LEADER, explain="<b>"))


def test_what_is_left_out_is_counted_and_can_be_opened(books):
    """Trap 7: clocks that contradict each other are named with their number, in no percentile."""
    app = books.look("cycle-time", person=LEADER, explain="ordered")
    assert "1 now: clocks that contradict each other" in words_of(app)
    assert "Show them" in [link.label for link in app.page_link]


def test_figures_for_every_role_draw_and_explain_themselves(books):
    """4.13: at most six figures each; the person's own role first."""
    for person, view in ((AUDITOR, None), (SUPPORT, None), (LEADER, "procurement_analyst"), (LEADER, "finance_operations")):  # fmt: skip
        app = books.look("overview", person=person, **({"view": view} if view else {}))
        assert not app.exception, (person, view)
        assert 3 <= len(app.metric) <= 6
        assert len([button for button in app.button if button.label == "Explain"]) == len(app.metric)
    assert "Looked at by controls" in [metric.label for metric in books.look("overview", person=AUDITOR).metric]


def test_a_late_event_restates_and_what_was_reported_stays(own_books):
    """Trap 8, D15: on the evening of the eighth ten were ordered; an eleventh of that week is learned of on the tenth."""
    books: Books = own_books
    evening = (MONDAY + timedelta(days=1)).date()
    with asking(books) as reports:
        asked = {"measures": ("ordered_wall",), "units": None, "since": MONDAY - timedelta(days=7), "until": NOW, "evening": evening}  # fmt: skip
        found = explain.as_reported(reports, **asked)
        assert (found.then["ordered_wall"].documents, found.now["ordered_wall"].documents) == (10, 11)
        assert found.then["ordered_wall"].p50_s == pytest.approx(2 * 3600, rel=0.01)
        assert [(on, n) for on, _, n in found.restated] == [((MONDAY + timedelta(days=3)).date(), 1)]


@pytest.fixture
def own_books(server, monkeypatch):
    """Ten requisitions ordered on Monday and folded that evening; one more of that Monday learned of on Thursday."""
    from sync_engine.insight import fold

    books = Books(server, monkeypatch)
    for n in range(10):
        books.requisition(f"1{n}", MONDAY, approved=MONDAY + timedelta(hours=1), ordered=MONDAY + timedelta(hours=2))
    fold.fold_all(books.connection, now=MONDAY + timedelta(hours=12))
    books.requisition("20", MONDAY, approved=MONDAY + timedelta(hours=1), ordered=MONDAY + timedelta(hours=9))
    fold.fold_all(books.connection, now=MONDAY + timedelta(days=3))
    yield books
    books.close()


# -- the charts ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chart", ["weeks", "single", "spread", "flow", "heat"])
@pytest.mark.parametrize("clock", ["business", "wall"])
def test_every_chart_of_the_cycle_time_draws_with_its_table_and_its_ways_out(books, chart, clock):
    app = books.look("cycle-time", person=LEADER, chart=chart, clock=clock)
    assert not app.exception
    assert not app.warning
    assert not app.error
    labels = [button.label for button in app.button]
    assert "Picture (PNG)" in labels or chart == "weeks", "each chart can leave the page"


def test_what_is_under_way_now_is_what_the_figures_say(books):
    said = words_of(books.look("cycle-time", person=LEADER, chart="flow"))
    [under_way] = re.findall(r"(\d+) requisitions? under way, \d+ requisitions? when the period began", said)
    assert f"{under_way} requisitions of 21 submitted are still under way" in said


def test_the_two_facts_hold_every_open_document_once_and_open_it(books):
    """D02: a line per pair of facts; its number is that of the rows it opens."""
    app = books.look("overview", person=LEADER)
    table = next(frame.value for frame in app.dataframe if "posting_status" in frame.value.columns)
    assert table["documents"].sum() == books.one(
        "SELECT count(*) FROM document WHERE closed_at IS NULL AND NOT is_test AND document_type IN ('requisition', 'invoice')"
    )
    line = books.connection.execute(
        "SELECT document_type, approval_status, posting_status, count(*) FROM document WHERE closed_at IS NULL AND NOT is_test AND document_type = 'requisition' GROUP BY 1, 2, 3 LIMIT 1"
    ).fetchone()
    opened = books.look("overview", person=LEADER, show="ledger", kind=line[0], agreed=line[1], ledger=line[2])
    assert not opened.error
    rows = next(frame.value for frame in opened.dataframe if "age_s" in frame.value.columns)
    assert len(rows) == line[3]
