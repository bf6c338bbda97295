"""What a due date means (PRODUCT.md 4.11, D04, D12): the run to be reached, the chance of it, and what it costs; by hand, by property, and
against a company whose times are known."""

from datetime import UTC, date, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import FOLDER
from sync_engine.configuration import BadConfiguration, load_payments
from sync_engine.engine import calendars, promote
from sync_engine.insight import due, foretold
from sync_engine.insight.due import Paid, Peers, Stay
from sync_engine.insight.foretold import Past
from sync_engine.model.payments import Payments, Run, Term, discount_day, net_day

THURSDAY = Run(weekdays=(3,), cut_off="10:00", calendar="DE-NORTH", moved="after")
BEFORE = Run(weekdays=(3,), cut_off="10:00", calendar="DE-NORTH", moved="before")
BERLIN = ZoneInfo("Europe/Berlin")
CONFIGURATION = promote.load(FOLDER)
WORKING = {
    opens.astimezone(BERLIN).date()
    for opens, _, _ in calendars.intervals(
        CONFIGURATION.calendars.calendars["DE-NORTH"], date(2025, 1, 1), date(2028, 12, 31)
    )
}
DAYS = st.dates(date(2025, 4, 1), date(2028, 10, 1))
HOURS = st.floats(0, 500, allow_nan=False)
VISITS = st.lists(st.tuples(st.integers(0, 300).map(float), st.booleans()), min_size=1, max_size=60)


# -- days -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("due_on", "run_on"),
    [
        (date(2026, 9, 17), date(2026, 9, 17)),  # a Thursday: its own run
        (date(2026, 9, 16), date(2026, 9, 10)),  # the day before it: the run of last week
        (date(2026, 12, 31), date(2026, 12, 31)),
        (date(2027, 1, 6), date(2026, 12, 31)),  # over the end of the year
        (date(2028, 2, 29), date(2028, 2, 24)),  # a leap day is a Tuesday
        (date(2026, 5, 14), date(2026, 5, 7)),  # Ascension Day: the run is held on Friday, after the due date
        (date(2026, 5, 15), date(2026, 5, 15)),
    ],
)
def test_the_deadline_is_the_last_run_before_an_invoice_is_due(due_on, run_on):
    """4.11: the effective deadline is the last payment run before due."""
    assert due.last_run(due_on, THURSDAY, WORKING) == run_on


def test_a_run_that_is_held_before_a_day_off_can_still_be_reached():
    assert due.last_run(date(2026, 5, 14), BEFORE, WORKING) == date(2026, 5, 13)


@given(DAYS)
def test_a_run_is_held_on_a_working_day_not_after_the_due_date_and_none_lies_between(due_on):
    for run in (THURSDAY, BEFORE):
        found = due.last_run(due_on, run, WORKING)
        assert found in WORKING
        assert found <= due_on
        planned = (due_on - timedelta(days=back) for back in range(-7, 30))
        held = {due.run_day(day, run, WORKING) for day in planned if day.weekday() == 3}
        assert not [day for day in held if found < day <= due_on]


@given(st.datetimes(datetime(2025, 4, 1), datetime(2028, 10, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - the zone is added
def test_the_next_run_still_takes_something(now):
    found = due.next_run(now, THURSDAY, WORKING, BERLIN)
    assert due.cut_off(found, THURSDAY, BERLIN) > now
    assert found - now.date() <= timedelta(days=9)


def test_the_cut_off_is_what_the_clock_on_the_wall_says():
    """Section 6, trap 7: the run of 25 October 2026 (clocks go back) and of 29 March (forward) at ten o'clock in Berlin."""
    assert due.cut_off(date(2026, 10, 24), THURSDAY, BERLIN) == datetime(2026, 10, 24, 8, 0, tzinfo=UTC)
    assert due.cut_off(date(2026, 10, 25), THURSDAY, BERLIN) == datetime(2026, 10, 25, 9, 0, tzinfo=UTC)
    at_night = Run(weekdays=(6,), cut_off="02:30", calendar="DE-NORTH", moved="after")
    assert due.cut_off(date(2026, 3, 29), at_night, BERLIN) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def test_net_and_discount_days_count_from_the_baseline_date():
    two_ten = Term(net_days=30, discount_days=10, discount_percent="2")
    assert net_day(date(2026, 12, 15), two_ten) == date(2027, 1, 14)
    assert discount_day(date(2028, 2, 20), two_ten) == date(2028, 3, 1)
    assert discount_day(date(2028, 2, 20), Term(net_days=30)) is None


@given(DAYS, DAYS)
def test_working_days_until_turn_their_sign_with_the_direction(one, other):
    assert due.working_days_until(one, other, WORKING) == -due.working_days_until(other, one, WORKING)
    assert abs(due.working_days_until(one, other, WORKING)) <= abs((one - other).days)


# -- chances ----------------------------------------------------------------------------------------------------------------------


def test_what_is_not_over_counts_while_it_lasts():
    """Trap 1: of four, one ready after 1 h, one open for 2 h, two ready after 3 h and 4 h."""
    curve = due.survival([(1, True), (2, False), (3, True), (4, True)])
    assert [curve.after(hours) for hours in (0, 1, 2, 3, 4)] == pytest.approx([1, 0.75, 0.75, 0.375, 0])
    assert due.ready_within(curve, 1, 2) == pytest.approx(1 - 0.375 / 0.75)
    assert due.ready_within(curve, 4, 1) is None, "nobody was ever as old"


@given(VISITS)
def test_a_curve_falls_from_one_and_stays_between_the_bounds(visits):
    curve = due.survival(visits)
    assert curve.n == len(visits)
    assert list(curve.left) == sorted(curve.left, reverse=True)
    assert all(0 <= share <= 1 for share in curve.left)
    assert curve.after(-1) == 1


@given(VISITS, HOURS, HOURS, HOURS)
def test_more_time_never_makes_it_less_likely(visits, age, more, longer):
    curve = due.survival(visits)
    first, second = due.ready_within(curve, age, more), due.ready_within(curve, age, more + longer)
    assert (first is None) == (second is None) or more == 0
    if first is not None and second is not None:
        assert 0 <= first <= second <= 1


@given(VISITS, HOURS, st.floats(-10, 500), st.booleans(), st.integers(0, 50), st.integers(0, 50))
def test_no_chance_is_ever_certain(visits, age, more, is_ready, n, in_time):
    """4.11: never above 0.99 or below 0.01."""
    peers = Peers([Stay("DE-SOUTH", "checked", 0, 0, hours * 3600, ended) for hours, ended in visits])
    found = due.on_time(
        peers,
        Paid(n, min(n, in_time)),
        stage="checked",
        unit="DE-SOUTH",
        band=0,
        age_h=age,
        more_h=more,
        is_ready=is_ready,
    )
    assert 0.01 <= found.p <= 0.99


def test_peers_widen_until_there_are_thirty():
    """D04: stage, unit and amount band; then stage and unit; then the stage in every unit."""
    stays = [Stay("DE-SOUTH", "checked", 0, 0, 3600, True)] * 29 + [Stay("DE-SOUTH", "checked", 2, 0, 7200, True)]
    stays += [Stay("DE-NORTH", "checked", 1, 0, 3600, True)] * 5 + [Stay("DE-NORTH", "matched", 1, 0, 3600, True)] * 3
    peers = Peers(stays)
    assert (peers.of("checked", "DE-SOUTH", 0).n, peers.of("checked", "DE-SOUTH", 0).peers) == (30, "DE-SOUTH")
    assert (peers.of("checked", "DE-NORTH", 1).n, peers.of("checked", "DE-NORTH", 1).peers) == (35, "all units")
    assert peers.of("matched", "DE-SOUTH", 0).n == 3, "fewer than 30 anywhere: shown with its n"
    assert peers.of("in_review", "DE-SOUTH", 0) is None
    assert Peers([*stays, stays[0]]).of("checked", "DE-SOUTH", 0).n == 30


def test_who_is_older_than_the_near_peers_is_compared_with_the_wider_and_than_all_with_nobody():
    """Nothing is known of what is older than everybody: even odds, told as such, and not 1 %."""
    stays = [Stay("DE-SOUTH", "checked", 0, 0, 3600, True)] * 30 + [
        Stay("DE-NORTH", "checked", 0, 0, 36_000, True)
    ] * 12
    peers = Peers(stays)
    assert (peers.of("checked", "DE-SOUTH", 0, 0.5).n, peers.of("checked", "DE-SOUTH", 0, 2).n) == (30, 42)
    asked = {"stage": "checked", "unit": "DE-SOUTH", "band": 0, "is_ready": False}
    wider = due.on_time(peers, Paid(), age_h=2, more_h=9, **asked)
    assert (wider.p, wider.n, wider.peers) == (pytest.approx(13 / 14 * 0.99), 42, "all units")
    oldest = due.on_time(peers, Paid(), age_h=20, more_h=5, **asked)
    assert (oldest.p, oldest.n, oldest.peers) == (pytest.approx(0.5 * 0.99), 42, "all units, 0 of them as old")


def test_clocks_that_contradict_each_other_are_no_peers():
    """Trap 7."""
    assert Peers([Stay("DE-SOUTH", "checked", 0, 3600, 0, True)]).of("checked", "DE-SOUTH", 0) is None


# -- money ------------------------------------------------------------------------------------------------------------------------


def test_the_queue_is_ordered_exactly_as_the_formula_says():
    """D12: (expected late cost + discount at risk + supplier criticality) per minute of work."""
    late = due.late_cost(0.5, 36_500, 0.1015, 7, 40)
    assert late == pytest.approx(0.5 * (36_500 * 0.1015 * 7 / 365 + 40))
    discount = due.discount_at_risk(0.9, 1_000, 0.02)
    assert due.worth_per_minute(late, discount, 250 * 0.5, 12) == pytest.approx((late + 2 + 125) / 12)


@given(st.floats(0, 1), st.floats(0, 1e7), st.floats(0, 0.3), st.floats(0, 90), st.floats(0, 100))
def test_being_late_is_never_a_gain_and_costs_more_the_likelier_it_is(p, amount, rate, days, fee):
    assert 0 <= due.late_cost(p, amount, rate, days, fee) <= due.late_cost(1, amount, rate, days, fee)


# -- was it so ----------------------------------------------------------------------------------------------------------------------

LAST = datetime(2026, 9, 15, 7, 0, tzinfo=UTC)


def generated(seed, n=1500):
    """A company of which everything is known: each invoice waits in review for an exponential time, longer in the north, is ready
    then, and is paid in the first Thursday run not before it is due; two of a hundred ready ones are paid a week late."""
    chance = Random(seed)
    past = []
    for number in range(n):
        begun = LAST - timedelta(days=chance.uniform(1, 150))
        unit = chance.choice(("DE-SOUTH", "DE-NORTH"))
        wait = timedelta(days=chance.expovariate(1 / (4 if unit == "DE-SOUTH" else 15)))
        due_on = (begun + timedelta(days=30)).date()
        due_on += timedelta(days=(3 - due_on.weekday()) % 7)
        cut_off = due.cut_off(due.last_run(due_on, THURSDAY, WORKING), THURSDAY, BERLIN)
        ready = begun + wait
        run = max(due_on, due.next_run(ready, THURSDAY, WORKING, BERLIN)) + timedelta(days=7 * (chance.random() < 0.02))
        is_known, is_paid = ready <= LAST, datetime.combine(run, time(), UTC) <= LAST
        past.append(
            Past(
                str(number),
                unit,
                0,
                due_on,
                cut_off.timestamp(),
                (("in_review", begun.timestamp()),),
                ready.timestamp() if is_known else None,
                None,
                run if is_paid else None,
            )
        )
    return past


@pytest.mark.parametrize("seed", [1, 2])
def test_the_stated_probabilities_are_calibrated(seed):
    """D04: with a known generator the stated probabilities are what happens, and Brier's score beats always saying the mean."""
    past = generated(seed)
    moments = [LAST.timestamp() - days * 86400 for days in range(1, 92, 3)]
    said = foretold.foretold(past, moments, until=LAST.date())
    assert len(said) > 500
    share = sum(happened for _, happened in said) / len(said)
    assert 0.5 < share < 0.98, "an outcome that hardly varies proves nothing"
    assert foretold.brier(said) < foretold.brier([(share, happened) for _, happened in said])
    assert sum(p for p, _ in said) / len(said) == pytest.approx(share, abs=0.03)
    for one in foretold.calibration(said):
        if one.n >= 80:
            assert one.foretold == pytest.approx(one.happened, abs=0.12), one


def test_what_is_foretold_knows_nothing_of_what_came_after():
    """The same moment answers the same, whatever happened to the invoices later."""
    past, at = generated(3, n=400), LAST.timestamp() - 40 * 86400
    until = LAST.date()
    known_then = [
        Past(one.document, one.unit, one.band, one.due_on, one.cut_off_s, tuple(v for v in one.visits if v[1] <= at), one.ready_s if one.ready_s and one.ready_s <= at else None, None,
             one.paid_on if one.paid_on and one.paid_on <= datetime.fromtimestamp(at, UTC).date() else None)
        for one in past
    ]  # fmt: skip
    assert [p for p, _ in foretold.foretold(past, [at], until=until)] == [
        p for p, _ in foretold.foretold(known_then, [at], until=until)
    ]


def test_nothing_foretold_is_no_score():
    """Trap 2."""
    assert foretold.brier([]) is None
    assert foretold.calibration([]) == []


# -- the rules as treasury states them ---------------------------------------------------------------------------------------------


def payments(**changes):
    return Payments.model_validate(load_payments(FOLDER).model_dump() | changes)


def test_a_country_has_its_own_rate_the_unions_or_the_contracts():
    rules = load_payments(FOLDER)
    assert rules.late_rate("DE").source.startswith("BGB")
    assert rules.late_rate("AT") == rules.late["EU"]
    assert rules.late_rate("AT").points >= 8, "2011/7/EU: at least eight points"
    assert rules.late_rate("AT").fixed_fee == 40
    assert rules.late_rate("US") == rules.late_rate("") == rules.late["default"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"runs": {"1010": {"weekdays": [7], "cut_off": "10:00", "calendar": "DE-NORTH", "moved": "after"}}}, "0 \\(monday\\)"),
        ({"terms": {"X": {"net_days": 10, "discount_days": 10, "discount_percent": "2"}}}, "ends before the net day"),
        ({"late": {}}, "no entry 'default'"),
        ({"minutes": {"default": 0}}, "above zero"),
    ],
)  # fmt: skip
def test_rules_that_cannot_be_are_refused(change, says):
    with pytest.raises(ValueError, match=says):
        payments(**change)


def test_every_company_code_has_a_run_on_a_calendar_that_is_there(tmp_path):
    for source in FOLDER.rglob("*"):
        if source.is_file() and source.suffix in {".toml", ".yaml"}:
            target = tmp_path / source.relative_to(FOLDER)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(
                source.read_text(encoding="utf-8").replace('calendar = "JP-KANTO"\nmoved', 'calendar = "MARS"\nmoved')
            )
    with pytest.raises(BadConfiguration, match=r"payments.toml: The payment run of company code 1510 goes by calendar MARS"):  # fmt: skip
        promote.load(tmp_path)


def test_every_payment_term_of_the_mapping_has_its_days():
    rules = load_payments(FOLDER)
    assert set(CONFIGURATION.mappings.tables["payment_terms"].entries.values()) <= set(rules.terms)
