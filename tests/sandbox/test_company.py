"""The company in the sandbox works, errs and repairs by its seed, in its office hours, and never orders by itself."""

import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from stdnum import get_cc_module

from collectors import basware, coupa, sap_s4hana, servicenow
from sandbox.company import BREAKABLE, KINDS, Company, odds
from sandbox.company.bad_systems import DISTURBANCES
from sandbox.company.billing import due_day, slipped
from sandbox.company.calendar import WorkCalendar
from sandbox.company.people import AWAY, back_at, unit_of
from sandbox.company.suppliers import erp_term, founding_suppliers, spoilt
from sandbox.s4hana import Rejected
from tests.sandbox.company_days import (
    REPOSITORY,
    START,
    UNITS,
    Clock,
    approvals,
    ask_groups,
    company,
    digest,
    kinds,
    live,
    order,
    planned_at,
    post_invoice,
    requisitions,
    unit_of_requisition,
)


@pytest.fixture(scope="module")
def alone():
    """Thirty days of the company with nobody who orders."""
    return live(company(), 30)


@pytest.fixture(scope="module")
def ordered():
    """Thirty days in which orders are entered in the ERP every day, and what waits for the integration is approved."""
    there = company()
    coupa_screen = there.standins["coupa"]
    posted = set()
    for day in range(1, 31):
        live(there, START + timedelta(days=day, hours=7))
        if there._office.now.weekday() > 4 or there._office.now.day <= 2:
            continue  # nobody is there, or the month is not open yet
        for approval_id in coupa_screen.open_approvals("finsync"):
            coupa_screen.approve(approval_id=approval_id, by="finsync")
        for nth in range(25):
            try_order(there, f"{15 + nth}.00")
        for invoice in list(there.standins["basware"].invoices):
            if day == 15 and len(posted) < 5 and invoice["orderNumbers"][0] in there.standins["s4hana"].orders:
                posted.add(post_invoice(there, invoice, factor="1.2"))
                there.standins["basware"].save(invoice, processingStatus="Transferred")
    return there


def try_order(there, price):
    """An order, unless the ERP is down or blocks something at the moment: the company's own troubles are in the way."""
    if not there.standins["s4hana"].faults.outage:
        with suppress(AssertionError):
            order(there, price=price, need_by=there._office.now.date() + timedelta(days=3))


# One seed, one company


def test_the_same_seed_makes_the_same_company_and_another_seed_another():
    first, second, other = (digest(live(company(seed=seed), 10)) for seed in (7, 7, 8))
    assert first == second
    assert first != other


def test_the_order_of_python_s_sets_has_no_say_in_it(tmp_path):
    program = (
        "import sys; from pathlib import Path; from tests.sandbox.company_days import company, digest, live; "
        "there = company(folder=Path(sys.argv[1])); "
        "print([digest(live(there, day / 2)) for day in range(1, 7)]); there.close()"
    )
    digests, files = set(), []
    for hash_seed in ("1", "2"):
        told = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / hash_seed)],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": "."},
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(told.stdout)
        files.append({path.name: path.read_bytes() for path in (tmp_path / hash_seed).iterdir()})
    assert len(digests) == 1
    assert len(files[0]) == 5
    assert files[0] == files[1]


def test_a_company_that_was_closed_and_opened_goes_on_as_if_it_had_not_been(tmp_path):
    straight = digest(live(company(), 10))
    clock = Clock()
    live(company(folder=tmp_path, clock=clock), 5).close()
    again = Company(clock, 99, datetime(2030, 1, 1, tzinfo=UTC), tmp_path)
    assert (again.seed, again.start) == (7, START)
    assert digest(live(again, 10)) == straight
    again.close()


def test_a_disturbance_outlives_a_restart(tmp_path):
    clock = Clock()
    there = company(folder=tmp_path, clock=clock)
    there.set_trouble("servicenow", outage=True)
    there.close()
    again = company(folder=tmp_path, clock=clock)
    assert again.standins["servicenow"].faults.outage
    again.repair("servicenow", outage=True)
    assert not again.standins["servicenow"].faults.outage
    again.close()


def test_what_becomes_of_one_thing_does_not_depend_on_what_happened_before_it():
    quiet, busy = company(), company()
    for _ in range(3):
        busy.submit_now("UK-MIDLANDS")
    at = START + timedelta(days=2)
    titles = [[row["req-title"] for row in requisitions(live(there, at))] for there in (quiet, busy)]
    assert titles[1][3:] == titles[0]


# Rhythm


def test_nobody_approves_outside_the_office_hours_of_the_unit(alone):
    decided = [row for row in approvals(alone) if row["approval-date"]]
    assert len(decided) > 1000
    for row in decided:
        unit = unit_of(row["approved-by"]["login"], UNITS)
        assert unit.calendar.is_open(datetime.fromisoformat(row["approval-date"])), row


def test_nobody_asks_for_anything_outside_office_hours(alone):
    for row in requisitions(alone):
        assert unit_of_requisition(row).calendar.is_open(datetime.fromisoformat(row["submitted-at"])), row["id"]


def test_mondays_are_busier_than_fridays_and_the_largest_plant_asks_most(alone):
    days = Counter(datetime.fromisoformat(row["submitted-at"]).weekday() for row in requisitions(alone))
    units = Counter(unit_of_requisition(row).code for row in requisitions(alone))
    assert days[0] > 1.4 * days[4]
    assert units.most_common(1)[0][0] == "DE-SOUTH"
    assert 0.03 < units["JP-KANTO"] / units.total() < 0.09


def test_a_month_ends_with_more_wishes_than_it_has_on_other_days():
    there = company()
    buying, unit = there._buying, UNITS["DE-SOUTH"]
    weeks = [date(2027, 6, 2) + timedelta(weeks=week) for week in range(4)]
    usual = sum(buying.requisition_count(unit, day) for day in weeks)
    month_ends = [date(2027, 3, 31), date(2027, 6, 30), date(2028, 5, 31), date(2026, 9, 30)]
    assert sum(buying.requisition_count(unit, day) for day in month_ends) > 1.15 * usual


def test_a_day_has_about_as_many_requisitions_as_asked_for(alone):
    days = {datetime.fromisoformat(row["submitted-at"]).date() for row in requisitions(alone)}
    assert 50 < len(requisitions(alone)) / len([day for day in days if day.weekday() < 5]) < 66


def test_about_one_requisition_in_seven_reaches_the_threshold_in_every_currency(alone):
    rows = [row for row in requisitions(alone) if row["currency"]["code"] == unit_of_requisition(row).currency]
    high = [row for row in rows if Decimal(row["total"]) >= unit_of_requisition(row).threshold]
    assert 0.11 < len(high) / len(rows) < 0.16
    assert {unit_of_requisition(row).currency for row in high} == {"EUR", "GBP", "USD", "JPY"}


def test_lines_have_the_shares_they_should_have(alone):
    rows = requisitions(alone)
    lines = [line for row in rows for line in row["requisition-lines"]]
    assert {len(row["requisition-lines"]) for row in rows} == {1, 2, 3, 4}
    assert 0.07 < sum(line["contract"] is None for line in lines) / len(lines) < 0.13
    assert 0.07 < sum(bool(line["account-allocations"]) for line in lines) / len(lines) < 0.13
    two = sum(len({line["supplier"]["id"] for line in row["requisition-lines"]}) > 1 for row in rows)
    assert 0.05 < two / len(rows) < 0.11


def test_managers_reject_a_few_and_always_say_why(alone):
    decided = [row for row in approvals(alone) if row["status"] in {"approved", "rejected"}]
    rejected = [row for row in decided if row["status"] == "rejected"]
    assert 0.015 < len(rejected) / len(decided) < 0.05
    assert all(row["note"] for row in rejected)


def test_somebody_who_is_away_decides_when_he_is_back():
    gone = START + timedelta(days=odds.AWAY_FROM_DAY + 1)
    back = START + timedelta(days=odds.AWAY_FROM_DAY + odds.AWAY_DAYS)
    for login in AWAY:
        assert back_at(login, gone, START) == back
        assert back_at(login, gone - timedelta(days=2), START) is None
    assert back_at("lead.de-south", gone, START) is None


def test_working_hours_pass_only_while_the_office_is_open():
    calendar = WorkCalendar(
        time_zone="Europe/Berlin",
        country="DE",
        region="BY",
        days=range(5),
        hours=[["08:00", "12:00"], ["12:30", "17:00"]],
    )
    friday = datetime(2026, 8, 14, 13, 0, tzinfo=UTC)  # 15:00 in Berlin; the Saturday is a holiday in Bavaria
    monday = calendar.after(friday, 3)
    assert monday.date() == date(2026, 8, 17)
    assert calendar.is_open(monday)
    assert not calendar.is_working_day(date(2026, 12, 25))
    assert calendar.working_day(date(2026, 8, 15), 1) == date(2026, 8, 18)
    assert calendar.working_days_left(date(2026, 8, 28)) == 1
    with pytest.raises(ValueError, match="nobody works on"):
        calendar.within(date(2026, 8, 15), 0.5)


def test_what_was_planned_while_the_company_was_switched_off_is_done_at_once_and_does_not_explode():
    there = live(company(), 5)
    before = len(requisitions(there))
    there._office.clock.now += timedelta(days=45)
    started = time.perf_counter()
    for _ in range(5):
        there.act(there._office.now)
    assert time.perf_counter() - started < 5
    assert there.next_action_at() > there._office.now
    assert len(requisitions(there)) - before < 200  # today's, and what troubles brought; not six weeks of wishes
    asked = {datetime.fromisoformat(row["submitted-at"]) for row in requisitions(there)[before:]}
    assert asked <= {there._office.now.replace(microsecond=0)}


# Who and what there is


def test_suppliers_have_names_that_are_nobody_s_and_tax_numbers_that_hold():
    suppliers = founding_suppliers(company()._office.luck("suppliers"))
    assert len(suppliers) == 60
    assert len({supplier.name for supplier in suppliers}) == len({supplier.tax_id for supplier in suppliers}) == 60
    for supplier in suppliers:
        module = get_cc_module(supplier.country.lower(), "ein" if supplier.country == "US" else "vat")
        assert module.is_valid(supplier.tax_id)
        assert not module.is_valid(spoilt(supplier.tax_id, supplier.country))


def test_the_erp_knows_every_supplier_for_every_company_it_serves(alone):
    sap = alone.standins["s4hana"]
    for row in alone._office.supplier_rows():
        for company_code in row["company_codes"]:
            assert not sap.check_supplier(row["number"], company_code=company_code)
            assert sap.payment_terms_of(row["number"], company_code)


def test_two_people_can_decide_in_the_approval_tool_what_they_ask_for_in_procurement():
    there = company()
    tool = there.standins["servicenow"]
    for user, group in (("pm.desouth", "Finance DE-SOUTH"), ("ops.useast", "Procurement US-EAST")):
        group_id = tool.tables["sys_user_group"].find("name", group)[0]["sys_id"]
        user_id = tool.tables["sys_user"].find("user_name", user)[0]["sys_id"]
        assert user_id in {row["user"] for row in tool.tables["sys_user_grmember"].find("group", group_id)}


def test_every_feed_of_every_connector_has_a_revision_that_grows_with_its_news():
    there = company()
    for system in (coupa.SYSTEM, servicenow.SYSTEM, sap_s4hana.SYSTEM, basware.SYSTEM):
        for feed in system.feeds:
            assert there.revision(system.name, feed.name) >= 0
    before = there.revision("coupa", "requisitions")
    there.submit_now("DE-SOUTH")
    assert there.revision("coupa", "requisitions") > before


def test_money_adds_up_everywhere(alone, ordered):
    spoilt_ids = {int(episode.what.split()[1]) for episode in alone.troubles() if episode.kind == "amount_mismatch"}
    for row in requisitions(alone):
        lines = row["requisition-lines"]
        if row["id"] not in spoilt_ids:
            assert sum(Decimal(line["total"]) for line in lines) == Decimal(row["total"])
        for line in lines:
            exact = Decimal(line["quantity"] or "1") * Decimal(line["unit-price"])
            assert abs(exact - Decimal(line["total"])) <= Decimal(
                "0.5" if row["currency"]["code"] == "JPY" else "0.005"
            )
            if row["currency"]["code"] == "JPY":
                assert Decimal(line["total"]) % 1 == 0
                assert Decimal(line["unit-price"]) % 1 == 0
            if line["account-allocations"]:
                assert sum(Decimal(part["pct"]) for part in line["account-allocations"]) == 100
    for invoice in ordered.standins["basware"].invoices:
        lines = invoice["_received"]["lines"]
        net = sum(Decimal(line["amount"]) for line in lines)
        assert Decimal(str(invoice["netSum"])) == net
        assert Decimal(str(invoice["grossSum"])) == net + Decimal(invoice["_received"]["tax"])


# Orders, goods, invoices, payments


def test_without_somebody_who_orders_there_are_no_orders_no_receipts_and_no_invoices(alone):
    assert not alone.standins["s4hana"].orders
    assert not alone.standins["coupa"].orders()
    assert not alone.standins["s4hana"].material_documents
    assert not alone.standins["basware"].invoices.rows


def test_every_order_in_the_erp_is_one_that_somebody_posted_there():
    there = live(company(), START + timedelta(days=1, hours=7))
    posted = {order(there, price=f"{20 + nth}.00") for nth in range(5)}
    live(there, 20)
    assert set(there.standins["s4hana"].orders) == posted


def test_an_order_is_delivered_received_billed_and_paid_on_its_due_day():
    there = live(company(), START + timedelta(days=1, hours=7))
    numbers = [order(there, price=f"{20 + nth}.00") for nth in range(20)]
    live(there, 21)
    sap = there.standins["s4hana"]
    received = [number for number in numbers if sap.received(order=number, item=10) == 10]
    assert len(received) >= 14
    invoices = [
        row for row in there.standins["basware"].invoices if row["orderNumbers"] and row["orderNumbers"][0] in received
    ]
    assert len(invoices) >= 10
    invoice = next(row for row in invoices if row["_received"]["lines"][0]["quantity"] == "10")
    number = post_invoice(there, invoice)
    due = date.fromisoformat(invoice["dueDate"][:10])
    assert due.weekday() == odds.PAYMENT_WEEKDAY
    live(there, datetime(due.year, due.month, due.day, 23, 0, tzinfo=UTC))
    line = next(row for row in sap.ledger.table("line_item") if row.get("_invoice") == number)
    if not sap.invoices[number].get("PaymentBlockingReason"):
        assert line["ClearingDate"] == due.isoformat()


def test_a_due_day_is_the_payment_day_on_or_after_the_end_of_the_term():
    unit = UNITS["DE-SOUTH"]
    assert due_day(unit, date(2026, 8, 4), 30) == date(2026, 9, 3)  # a Thursday itself
    assert due_day(unit, date(2026, 8, 5), 30) == date(2026, 9, 10)


def test_nothing_is_received_before_it_was_ordered_and_never_more_than_was_ordered(ordered):
    sap = ordered.standins["s4hana"]
    for number, row in sap.orders.items():
        assert sap.received(order=number, item=10) <= Decimal(row["_items"][0]["OrderQuantity"])
    for document in sap.material_documents.values():
        unit = next(unit for unit in UNITS.values() if unit.code.startswith(document["CreatedByUser"][4:]))
        entered = datetime.fromisoformat(f"{document['CreationDate']}T{document['CreationTime']}+00:00")
        assert unit.calendar.is_open(entered)


def test_invoices_are_in_the_order_s_currency_with_the_supplier_s_terms(ordered):
    sap = ordered.standins["s4hana"]
    for invoice in ordered.standins["basware"].invoices:
        for number in invoice["orderNumbers"]:
            if number in sap.orders:
                assert invoice["currencyCode"] == sap.orders[number]["DocumentCurrency"]
                assert invoice["supplierCode"] == sap.orders[number]["Supplier"]
        terms = sap.payment_terms_of(invoice["supplierCode"], invoice["companyCode"])
        assert erp_term(invoice["paymentTermCode"]) == terms
        assert invoice["baseLineDate"] == invoice["invoiceDate"]


def test_an_invoice_without_an_order_is_given_one_by_a_clerk():
    there = live(company(), START + timedelta(days=1, hours=7))
    number = order(there)
    billing, office = there._actions["send_invoice"].__self__, there._office
    live(there, 30)
    invoice_id, known = next(
        (key, row) for key, row in office.ledger.table("billed").rows.items() if row["order"] == number
    )
    there.standins["basware"].correct_invoice(invoice_id=invoice_id, lines=[{**known["lines"][0], "order_number": ""}])
    episode = office.begin("invoice_without_order", "basware", "for the test")
    billing.name_order(invoice_id=invoice_id, episode=episode)
    assert there.standins["basware"].invoices.rows[invoice_id]["orderNumbers"] == [number]
    assert there.troubles()[-1].until is not None


def test_two_digits_change_places_in_a_slipped_reference():
    luck = company()._office.luck("slip")
    assert sorted(slipped("RE-26001234", luck)) == sorted("RE-26001234")
    assert slipped("RE-26001234", luck) != "RE-26001234"
    assert slipped("7777", luck) == "7778"


# Troubles


def test_every_kind_of_trouble_occurs_within_thirty_days(ordered):
    assert [kind for kind in KINDS if kind not in kinds(ordered)] == []


def test_a_steward_corrects_a_cost_centre_that_nobody_knows():
    there = live(company(), 12)
    episode = next(each for each in there.troubles() if each.kind == "cost_centre_unmapped")
    assert episode.until is not None
    assert timedelta(hours=20) < episode.until - episode.since < timedelta(days=5)
    row = there.standins["coupa"].requisition(int(episode.what.split()[1]))
    centre = row["requisition-lines"][0]["account"] or row["requisition-lines"][0]["account-allocations"][0]["account"]
    if row["status"] != "draft":
        assert centre["segment-2"] in unit_of_requisition(row).cost_centres


def test_a_new_month_opens_late_and_the_old_one_closes_behind_it():
    there = live(company(), datetime(2026, 9, 1, 5, 0, tzinfo=UTC))
    sap = there.standins["s4hana"]

    def is_open(company_code, month):
        return sap.is_period_open(company_code=company_code, year=2026, month=month)

    assert not is_open("1010", 9)
    live(there, datetime(2026, 9, 1, 16, 0, tzinfo=UTC))
    assert is_open("1010", 9)
    assert is_open("1010", 8)
    assert not is_open("1710", 9)
    live(there, datetime(2026, 9, 2, 22, 0, tzinfo=UTC))
    assert is_open("1710", 9)
    live(there, datetime(2026, 9, 8, 0, 0, tzinfo=UTC))
    assert not is_open("1010", 8)
    assert not is_open("1010", 10)
    assert kinds(there)["period_late"] == len(there._office.company_codes)


def test_sap_is_down_on_sunday_morning_and_back_at_six():
    there = live(company(), datetime(2026, 8, 9, 3, 0, tzinfo=UTC))
    assert there.standins["s4hana"].faults.outage
    assert there.disturbances()["s4hana"] == ["maintenance"]
    live(there, datetime(2026, 8, 9, 6, 0, tzinfo=UTC))
    assert not there.standins["s4hana"].faults.outage


def test_disturbances_may_overlap_and_each_takes_back_its_own():
    there = company()
    sap = there.standins["s4hana"]
    at_rest = sap.faults.reply_lost_share
    there.set_trouble("s4hana", lost_replies=0.5)
    there._conditions.disturb("s4hana", "other", {"reply_lost_share": 0.9, "outage": True}, at=START)
    assert (sap.faults.reply_lost_share, sap.faults.outage) == (0.9, True)
    there._conditions.calm("s4hana", "other", at=START)
    assert (sap.faults.reply_lost_share, sap.faults.outage) == (0.5, False)
    there.repair("s4hana", lost_replies=0.5)
    assert sap.faults.reply_lost_share == at_rest == odds.REPLY_LOST_SHARE


def test_systems_are_quiet_again_after_their_disturbances(alone):
    assert set(DISTURBANCES) <= set(kinds(alone))
    for name, standin in alone.standins.items():
        lasting = [each for each in alone.troubles() if each.until is None and each.system == name]
        if not any(each.kind in DISTURBANCES for each in lasting):
            assert not standin.faults.outage
            assert standin.faults.schema_drift == ""
            assert standin.faults.throttle_share == standin.faults.error_share == 0


def test_somebody_approves_his_own_request_under_his_other_login():
    there = company()
    at = planned_at(there, "self_approval")
    live(there, at)
    episode = next(each for each in there.troubles() if each.kind == "self_approval")
    requisition_id = int(episode.what.split("requisition ")[1].split()[0])
    row = there.standins["coupa"].requisition(requisition_id)
    unit = unit_of_requisition(row)
    assert Decimal(row["total"]) >= unit.threshold
    parent = ask_groups(there, requisition_id, unit.code)
    there.act(there._office.now)
    live(there, at + timedelta(hours=1.5))
    tool = there.standins["servicenow"]
    rows = tool.tables["sysapproval_approver"].find("sysapproval", parent)
    approved_by = {each["sys_updated_by"] for each in rows if each["state"] == "approved"}
    assert approved_by & {"pm.desouth", "ops.useast"}


def test_groups_decide_requests_in_their_office_hours_and_refuse_a_few():
    there = live(company(), START + timedelta(hours=2))
    tool = there.standins["servicenow"]
    for nth in range(200):
        ask_groups(there, 900_000 + nth, "DE-SOUTH")
    live(there, 12)
    outcomes = Counter(row["approval"] for row in tool.tables["sc_request"])
    assert 4 <= outcomes["rejected"] <= 26
    assert outcomes["requested"] < 40
    for row in tool.tables["sysapproval_approver"]:
        if row["state"] in {"approved", "rejected"}:
            decided = datetime.fromisoformat(f"{row['sys_updated_on']}+00:00")
            assert UNITS["DE-SOUTH"].calendar.is_open(decided)
        if row["state"] == "rejected":
            assert tool.journal("sysapproval_approver", row)


def test_an_order_without_a_commitment_gets_one_the_next_day():
    there = live(company(), START + timedelta(days=1, hours=7))
    there._actions["commitment_missing"](unit="DE-SOUTH", nth=1)
    number, other = order(there), order(there, price="41.00")
    sap = there.standins["s4hana"]
    assert (sap.commitment_of(number), sap.commitment_of(other)) == (0, Decimal(410))
    there.act(there._office.now)
    live(there, START + timedelta(days=3, hours=7))
    episode = next(each for each in there.troubles() if each.kind == "commitment_missing")
    assert number in episode.what
    assert episode.until is not None
    assert sap.commitment_of(number) == 400


def test_a_payment_block_is_released_by_a_clerk(ordered):
    blocked = [each for each in ordered.troubles() if each.kind == "payment_blocked"]
    assert blocked
    assert any(each.until is not None for each in blocked)
    for each in blocked:
        invoice = ordered.standins["s4hana"].invoices[each.what.split()[1]]
        assert bool(invoice.get("PaymentBlockingReason")) == (each.until is None)


def test_a_quarter_is_quick_and_ends_with_troubles_that_nobody_has_repaired():
    started = time.perf_counter()
    there = live(company(), odds.PERIOD_DAYS)
    assert time.perf_counter() - started < 25
    late = [
        each
        for each in there.troubles()
        if each.since > START + timedelta(days=odds.PERIOD_DAYS - odds.LATE_DAYS) and each.kind not in DISTURBANCES
    ]
    still_open = [each for each in late if each.until is None]
    assert len(late) > 10
    assert 0.1 < len(still_open) / len(late) < 0.75
    earlier = [each for each in there.troubles() if each.since < START + timedelta(days=80) and each.until is None]
    assert earlier == []
    live(there, odds.PERIOD_DAYS + 14)
    assert all(each.until is not None for each in there.troubles() if each in still_open)


# Levers and the living company


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("period_closed", "1010", "F5/201"),
        ("cost_centre_blocked", "4701", "KI/260"),
        ("budget_exhausted", "4701", "BP/604"),
        ("budget_exhausted_in_erp", "4701", "BP/604"),
        ("supplier_blocked", "10300004", "ME/802"),
    ],
)
def test_what_is_broken_in_sap_refuses_orders_until_it_is_repaired(name, value, code):
    there = live(company(), START + timedelta(days=1, hours=7))
    assert there._office.sources(UNITS["DE-SOUTH"], "Spare parts")[0].number == "10300004"
    there.set_trouble("s4hana", **{name: value})
    with pytest.raises(AssertionError, match=code):
        order(there, quantity="100")
    assert there.troubles()[-1].kind == f"{name} by hand"
    there.repair("s4hana", **{name: value})
    assert order(there, quantity="100")
    assert next(each for each in there.troubles() if each.kind == f"{name} by hand").until is not None


def test_the_weekly_maintenance_can_be_ended_early_and_comes_again():
    """Whoever tries the company on a Sunday night need not wait until morning."""
    sunday = datetime(2026, 8, 9, 3, 0, tzinfo=UTC)
    there = live(company(), sunday)
    assert there.standins["s4hana"].faults.outage
    there.repair("s4hana", maintenance=True)
    assert not there.standins["s4hana"].faults.outage
    [window] = [each for each in there.troubles() if each.kind == "sap_maintenance"]
    assert window.until == sunday
    live(there, sunday + timedelta(days=1))
    assert [each.until for each in there.troubles() if each.kind == "sap_maintenance"] == [sunday]
    live(there, sunday + timedelta(days=7))
    assert there.standins["s4hana"].faults.outage


def test_every_lever_has_one_that_takes_it_back_and_works_as_its_example_says():
    there = company()
    for name, lever in BREAKABLE.items():
        assert lever.undo in BREAKABLE
        for system in lever.systems:
            assert there.set_trouble(system, **{name: lever.example})
            assert there.repair(system, **{name: lever.example})
    for standin in there.standins.values():
        assert (standin.faults.outage, standin.faults.throttle_share, standin.faults.schema_drift) == (False, 0, "")


@pytest.mark.parametrize(
    ("system", "levers", "said"),
    [
        ("coupa", {"period_closed": "1010"}, "'coupa' has no 'period_closed'"),
        ("sap", {"outage": True}, "no levers at all"),
        ("s4hana", {"period_closed": "9999"}, "no company code"),
        ("s4hana", {"cost_centre_blocked": "1"}, "no cost centre"),
        ("s4hana", {"supplier_blocked": "1"}, "no supplier's number"),
        ("coupa", {"throttle": "much"}, "a share from 0 to 1"),
        ("coupa", {"throttle": 3}, "a share from 0 to 1"),
        ("coupa", {"schema_drift": "lost"}, "one of added"),
        ("coupa", {"outage": "perhaps"}, "true or false"),
    ],
)
def test_a_lever_that_cannot_be_meant_says_what_can(system, levers, said):
    with pytest.raises(ValueError, match=said):
        company().set_trouble(system, **levers)


def test_a_requisition_submitted_by_hand_has_the_amount_and_contract_asked_for():
    there = company()
    row = there.standins["coupa"].requisition(there.submit_now("JP-KANTO", Decimal(2_000_000), contract=False))
    assert abs(Decimal(row["total"]) - 2_000_000) < 20_000
    assert all(line["contract"] is None for line in row["requisition-lines"])
    assert unit_of_requisition(row).code == "JP-KANTO"
    with pytest.raises(ValueError, match="is no business unit"):
        there.submit_now("MARS")


def test_the_erp_s_refusal_of_a_receipt_is_tried_again_the_next_day():
    there = live(company(), START + timedelta(days=1, hours=7))
    number = order(there, need_by=date(2026, 8, 5))
    sap = there.standins["s4hana"]
    there.set_trouble("s4hana", period_closed="1010")
    with pytest.raises(Rejected):
        sap.post_goods_receipt(order=number, lines=[(10, Decimal(1))], by="TEST")
    live(there, 12)
    assert sap.received(order=number, item=10) == 0
    there.repair("s4hana", period_closed="1010")
    live(there, 26)
    assert sap.received(order=number, item=10) > 0
