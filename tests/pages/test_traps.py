"""The twenty measuring traps of PRODUCT.md section 6: each has a test that names it, and those that no other test is about are here.

Where it can, a test here works the figure out the careless way too and shows that it would have come out differently.
"""

import ast
import re
from pathlib import Path

import pytest

from pages import overview_parts
from sql import QUERIES
from sync_engine.insight.reports import cycle_time
from sync_engine.insight.reports import exception_rate as rate
from sync_engine.insight.reports.exception_rate import Population
from sync_engine.insight.standing import STUCK_TYPES
from tests.pages.asking import asking
from tests.pages.books import MONDAY, NOW, SOON
from tests.pages.conftest import LEADER

ROOT = Path(__file__).parents[2]
WANTED = Population(MONDAY.replace(day=1), NOW, None, STUCK_TYPES)

TRAPS = {
    1: ("insight/test_zones.py", "test_a_completed_only_median_flatters_and_the_honest_one_does_not"),
    2: ("insight/test_statistics.py", "test_a_share_of_nothing_has_no_bounds"),
    3: ("pages/test_traps.py", "test_forty_tries_of_one_document_are_one_exception"),
    4: ("pages/test_traps.py", "test_by_count_and_by_value_are_two_figures_each_with_its_denominator"),
    5: ("insight/test_journey_stages.py", "test_stages_add_up_to_the_journeys_and_parts_to_the_stages"),
    6: ("insight/test_fold.py", "test_the_stays_of_a_thousand_documents_add_up_to_their_journeys_to_the_second"),
    7: ("pages/test_explaining.py", "test_what_is_left_out_is_counted_and_can_be_opened"),
    8: ("pages/test_explaining.py", "test_a_late_event_restates_and_what_was_reported_stays"),
    9: ("pages/test_cycle_time.py", "test_a_weekend_is_in_calendar_time_and_not_in_working_time"),
    10: ("pages/test_exception_rate.py", "test_what_exceptions_go_with_is_told_only_beyond_chance"),
    11: ("pages/test_exception_rate.py", "test_a_rate_that_falls_while_that_of_every_unit_rises_is_told"),
    12: ("pages/test_stuck.py", "test_stops_that_cured_themselves_are_told_apart_from_those_that_people_ended"),
    13: ("pages/test_stuck.py", "test_stops_that_cured_themselves_are_told_apart_from_those_that_people_ended"),
    14: ("pages/test_traps.py", "test_two_systems_that_disagree_are_neither_agreed_nor_refused"),
    15: ("pages/test_traps.py", "test_no_question_adds_up_amounts_of_different_currencies"),
    16: ("journeys/test_invoices.py", "test_a_closed_period_stops_the_posting_and_reprocessing_posts_it_once"),
    17: ("insight/test_fold.py", "test_test_documents_are_in_no_figure"),
    18: ("pages/test_traps.py", "test_sending_a_requisition_back_does_not_set_its_clock_back"),
    19: ("pages/test_stuck.py", "test_a_long_list_has_pages_whose_rows_are_all_of_it_once"),
    20: ("pages/test_stuck.py", "test_peers_are_read_from_histograms_to_one_percent"),
}  # fmt: skip


@pytest.mark.parametrize("number", range(1, 21))
def test_every_trap_has_a_test_that_names_it(number):
    file, name = TRAPS[number]
    tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
    [function] = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    assert re.search(rf"[Tt]raps? (?:\d+ and )?{number}\b|[Tt]raps {number} and", ast.get_docstring(function) or ""), (
        name
    )


def test_forty_tries_of_one_document_are_one_exception(books):
    """Trap 3: one document was tried forty times; it is one exception of one document."""
    tries = books.one("SELECT occurrences FROM exception_case WHERE document_id = %s", books.under_way)
    with asking(books, LEADER) as reports:
        causes = rate.causes(reports, WANTED)
        found = rate.rates(reports, WANTED, before=WANTED.since, zone="UTC").of()
    assert tries == 40
    assert list(causes[causes["document_id"] == books.under_way]["exceptions"]) == [1]
    assert found.with_exception == causes["document_id"].nunique() < causes["exceptions"].sum() + tries


def test_by_count_and_by_value_are_two_figures_each_with_its_denominator(books):
    """Trap 4: documents and money are two denominators, and each figure says which is its own."""
    app = books.look("exception-rate", person=LEADER)
    by_count, by_value = (
        next(metric for metric in app.metric if metric.label == label) for label in ("Exception rate", "Rate by value")
    )
    assert by_count.value != by_value.value
    said = [caption.value for caption in app.caption]
    assert any(re.match(r"\d+ of \d+ documents", text) for text in said)
    assert any(re.match(r"EUR \S+( \w)? of EUR", text) for text in said)


@pytest.mark.parametrize("ledger", ["not_submitted", "submitted", "accepted", "posted", "refused", "unknown"])
def test_two_systems_that_disagree_are_neither_agreed_nor_refused(ledger):
    """Trap 14: a conflict is a standing of its own, whatever the ledger has: neither the later nor the nicer of the two."""
    assert overview_parts._standing("conflict", ledger) == "systems disagree"
    assert "systems disagree" not in {overview_parts._standing(agreed, ledger) for agreed in ("approved", "pending")}


IN_ONE_CURRENCY = {
    "report_approvals": 2,  # beside a limit, which has a currency: see the next test
    "report_invoices_due": 3,  # the lines of one order
}
"""How many sums of documents' own amounts a file has, and why each is of one currency."""


@pytest.mark.parametrize("path", sorted(QUERIES.glob("report*.sql")), ids=lambda path: path.stem)
def test_no_question_adds_up_amounts_of_different_currencies(path):
    """Trap 15: sums are of the amount in group currency, converted at the rate of a stated day; never of the document's own."""
    text = path.read_text(encoding="utf-8")
    own = r"\b(?:sum|avg)\s*\(\s*(?:DISTINCT\s+)?(?:\w+\s*\*\s*)?(?:\w+\.)?(?:amount|net_amount|gross_amount)\b"
    assert len(re.findall(own, text, re.IGNORECASE)) == IN_ONE_CURRENCY.get(path.stem, 0)
    assert re.findall(own, "SELECT sum(d.amount)"), "the rule would see it"


def test_requisitions_beside_a_limit_are_added_up_in_the_currency_of_the_limit():
    """Trap 15: what a person asked for in two currencies is never one sum."""
    windows = re.findall(
        r"\(PARTITION BY ([^)]*?) ORDER BY", (QUERIES / "report_approvals.sql").read_text(encoding="utf-8")
    )
    beside_a_limit = [window for window in windows if "requester" in window]
    assert len(beside_a_limit) == 4
    assert all("currency" in window for window in beside_a_limit)


def test_sending_a_requisition_back_does_not_set_its_clock_back(books):
    """Trap 18: submitted on Friday, sent back and sent again on Monday: it has been under way since Friday."""
    books.stop_the_clock()  # which folds what has been recorded
    again = books.one("SELECT max(event_at) FROM event WHERE document_id = %s AND activity = 'changed'", books.weekend)
    submitted, took = books.connection.execute(
        "SELECT submitted_at, to_ordered_s FROM journey WHERE document_id = %s", [books.weekend]
    ).fetchone()
    first = books.one("SELECT min(event_at) FROM event WHERE document_id = %s", books.weekend)
    ordered = books.one("SELECT ordered_at FROM journey WHERE document_id = %s", books.weekend)
    assert submitted == first < again - 2 * SOON
    assert took == (ordered - first).total_seconds() > (ordered - again).total_seconds()
    with asking(books, LEADER) as reports:
        rows = cycle_time.rows(
            reports,
            None,
            since=WANTED.since,
            until=NOW,
            as_of=NOW,
            which="ordered",
            clock="wall",
            source="finsync",
            most=100,
        )
    assert rows.set_index("document_id")["s"][books.weekend] == took
