"""Planted bugs: each still fits the program, each is seen by an invariant that is there for it, and none is left behind (issue 3, section 3)."""

import pytest

from sandbox.simulation.invariants import INVARIANTS
from sandbox.simulation.mutants import MUTANTS
from sandbox.simulation.mutants.hunt import Hunter, applies, report
from sandbox.simulation.mutants.patches import NotApplicable, Value, code, planting, statement
from sandbox.simulation.plan import Plan
from sync_engine.database.statements import sql
from sync_engine.engine import lanes

QUICK = (
    "price_rounded_away",
    "key_without_payload",
    "no_fencing",
    "breaker_never_half_opens",
    "no_inbox",
    "cursor_before_page",
    "no_contract_needed",
    "root_of_other_events",
    "view_of_its_owner",
)
"""A handful that is seen within seconds; `finsync simulate --mutants` looks for all of them."""


@pytest.fixture(scope="module")
def _hunter(_stage):
    return Hunter(_stage)


@pytest.fixture
def hunter(alone, _hunter):
    return _hunter


def test_there_are_bugs_for_every_guard_of_the_plan():
    """RELIABILITY 4.2: forty at least; each says what it takes away and who has to see it."""
    assert len(MUTANTS) >= 40
    assert len({mutant.guard for mutant in MUTANTS.values()}) == len(MUTANTS)


def test_every_invariant_has_a_bug_that_it_is_there_for():
    """RELIABILITY 0.10. Histories that change under their reader (prefix) are refused by the database: nobody may update an event."""
    expected = {name for mutant in MUTANTS.values() for name in mutant.expected}
    assert {invariant.__name__ for invariant in INVARIANTS.values()} - expected == {"prefix"}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_bug_still_fits_the_program(alone, name):
    applies(MUTANTS[name], alone.arena)


@pytest.mark.parametrize(
    "patch",
    [
        code("sync_engine.engine.lanes:Lane.ask", ("words that nobody wrote", "")),
        code("sync_engine.engine.lanes:Lane.asks", ("x", "y")),
        code("sync_engine.engine.lane:Lane.ask", ("x", "y")),
        code("sync_engine.engine.lanes:Lane", ("x", "y")),
        code("sync_engine.engine.lanes:Lane.ask", ("self", "itself")),
        statement("work.claim_calls", ("words that nobody wrote", "")),
        statement("work.claim_anything", ("x", "y")),
        Value("sync_engine.engine.lanes:LEASES_S", 1),
    ],
    ids=repr,
)
def test_a_bug_that_fits_no_more_is_an_error_and_not_a_bug_nobody_sees(patch):
    with pytest.raises(NotApplicable), planting((patch,))(None):
        pass


def test_a_planted_bug_is_there_for_the_run_and_gone_afterwards():
    before, text = lanes.Lane.may_begin.__code__, sql("work.claim_calls")
    patches = (
        code("sync_engine.engine.lanes:Lane.may_begin", ("LEASE_S / 2", "LEASE_S * 2")),
        statement("work.claim_calls", ("fencing_token = w.fencing_token + 1", "fencing_token = w.fencing_token")),
        Value("sync_engine.engine.lanes:LEASE_S", 1),
    )
    with planting(patches)(None):
        assert lanes.Lane.may_begin.__code__ is not before
        assert sql("work.claim_calls") != text
        assert lanes.LEASE_S == 1
    assert lanes.Lane.may_begin.__code__ is before
    assert sql("work.claim_calls") == text
    assert lanes.LEASE_S == 120


@pytest.mark.parametrize("name", QUICK)
def test_a_planted_bug_is_seen_and_nothing_is_seen_without_it(hunter, name):
    found = hunter.hunt(MUTANTS[name], most=30)
    assert found.false_alarms == ()
    assert set(found.caught_by) & set(MUTANTS[name].expected), name
    assert report([found])["failed"] == 0


def test_a_profile_draws_plans_that_can_be_kept():
    """A schedule in which a bug was seen can be written to a file and played again."""
    for mutant in MUTANTS.values():
        plan = mutant.profile.plan(7)
        assert plan == mutant.profile.plan(7)
        assert Plan.of_json(plan.as_json()) == plan
