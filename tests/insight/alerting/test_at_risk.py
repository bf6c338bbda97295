"""Invoices that will probably be paid late (PRODUCT.md 4.8): an alert says the chance that the page says, and no guess wakes anybody."""

import pytest

from sync_engine.engine import store
from sync_engine.insight import open_invoices
from sync_engine.insight.alerting.findings import find_now
from tests.conftest import _server
from tests.insight.alerting.conftest import shipped
from tests.pages.asking import asking
from tests.pages.books import NOW
from tests.pages.test_invoices_due import Bills


@pytest.fixture(scope="module")
def bills(_servers):
    with pytest.MonkeyPatch.context() as monkeypatch:
        bills = Bills(_server(_servers, "embedded", None), monkeypatch)
        bills.fill()
        bills.stop_the_clock()
        yield bills
        bills.close()


def found(bills, **parameters):
    rule = shipped("invoice-probably-late", parameters={"total_min": "0"} | parameters)
    return {one.subject_name: one for one in find_now(lambda name, **values: store.rows(bills.connection, name, **values), rule, NOW)}  # fmt: skip


def test_what_fires_is_what_the_page_says_is_unlikely(bills):
    with asking(bills) as reports:
        known = open_invoices.rules(reports, as_of=NOW)
        rows = open_invoices.judge(reports, None, known, as_of=NOW).rows
    expected = {
        row["number"]
        for row in rows
        if row["p_on_time"] is not None and row["p_on_time"] < 0.5 and row["working_days_to_due"] <= 10 and (row["peers"] >= 30 or row["p_on_time"] == 0.01)
    }  # fmt: skip
    assert set(found(bills)) == expected == {"N-1", "N-2", "N-3"}
    one = found(bills)["N-1"]
    assert one.why == "in time with 23% (42 peers): match blocked"
    assert (one.deadline_on, one.business_unit, one.group_key) == (rows and next(row["due_on"] for row in rows if row["number"] == "N-1"), "DE-SOUTH", "unit:DE-SOUTH")  # fmt: skip
    assert found(bills)["N-2"].why == "cannot be paid in time any more: match blocked"


@pytest.mark.parametrize(
    ("parameters", "numbers"),
    [
        ({"percent": "5"}, ["N-2", "N-3"]),
        ({"amount_min": "1000"}, ["N-1", "N-2"]),
        ({"days": "1"}, ["N-2", "N-3"]),
        ({"total_min": "7800"}, ["N-1", "N-2", "N-3"]),
        ({"total_min": "7801"}, []),
    ],
    ids=str,
)
def test_its_parameters_narrow_it(bills, parameters, numbers):
    assert sorted(found(bills, **parameters)) == numbers


def test_a_chance_from_few_peers_disturbs_nobody(bills, monkeypatch):
    monkeypatch.setattr("sync_engine.insight.alerting.at_risk.SOME", 43)
    assert set(found(bills)) == {"N-2", "N-3"}, "these need no peers: their last run has gone"
