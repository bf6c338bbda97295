"""The simulator itself: it repeats itself, it sees what is planted, it makes failures small, and it finds nothing (R143)."""

import json
from contextlib import contextmanager
from dataclasses import replace

import pytest

from sandbox.simulation.coverage import NEVER, Coverage, all_moves
from sandbox.simulation.ended import Ended
from sandbox.simulation.invariants import INVARIANTS, check
from sandbox.simulation.kinds import KINDS, RARE
from sandbox.simulation.plan import DOCUMENTS_MIN, FAULTS, RATES, Plan, Story, draw
from sandbox.simulation.schedule import Schedule
from sandbox.simulation.simulate import keep, played, workers
from sync_engine.engine import lanes
from sync_engine.model.ids import reference
from sync_engine.model.ports import Ask

SCHEDULES = 150


def says(found):
    return [f"seed {result.plan.seed}: {one}" for result in found for one in result.findings]


@pytest.mark.long
@pytest.mark.timeout(1500)  # it takes three minutes on an idle machine, and many on one that has other things to do
def test_under_a_hundred_and_fifty_seeded_storms_nothing_is_ordered_twice_lost_or_forgotten(alone):
    """P1 to P7 (R010, R080-R082, R143): every invariant on every schedule."""
    found = [alone.play(draw(seed)) for seed in range(1, SCHEDULES + 1)]
    assert says(found) == []
    assert min(result.documents for result in found) >= 12
    assert sum(result.faults for result in found) > 10 * SCHEDULES
    coverage = Coverage()
    for result in found:
        coverage.add(result.coverage)
    reached = coverage.as_json()
    assert reached["steps"]["gaps"] == [], "every step of every flow is reached"
    assert reached["fault_pairs"]["gaps"] == [], "every two classes of faults meet"
    assert set(NEVER).isdisjoint(coverage.moves), "what is said never to happen does not"


@pytest.mark.parametrize("seed", [1, 3, 8])
def test_a_seed_is_played_again_to_the_byte(alone, seed):
    """RELIABILITY 4.1: whatever was played before on the same tables."""
    first = alone.play(draw(seed))
    alone.play(draw(seed + 1000))
    again = alone.play(draw(seed))
    assert (first.digest, first.documents, first.faults) == (again.digest, again.documents, again.faults)


@pytest.mark.long
def test_another_process_with_another_hash_seed_plays_the_same(alone, monkeypatch):
    """Nothing depends on the order of a set, nor on who plays it."""
    monkeypatch.setenv("PYTHONHASHSEED", "4711")
    with workers(1) as pool:
        assert pool.apply(played, (5,)) == alone.play(draw(5))


def test_what_is_said_never_to_happen_is_a_move_and_no_gap():
    assert set(NEVER) <= set(all_moves())
    moves = Coverage().as_json()["moves"]
    assert set(NEVER).isdisjoint(moves["gaps"])
    assert moves["of"] == len(set(all_moves())) - len(NEVER)


def test_a_plan_is_plain_data():
    plan = replace(draw(7), faults_max=12)
    assert Plan.of_json(json.loads(json.dumps(plan.as_json()))) == plan


def test_every_seed_draws_its_own_storm():
    plans = [draw(seed) for seed in range(400)]
    assert {rate for plan in plans for rate in plan.rates.values()} == set(RATES)
    assert all(set(plan.rates) == set(FAULTS) for plan in plans)
    drawn = {name for name, kind in KINDS.items() if kind.is_drawn}
    assert {story.kind for plan in plans for story in plan.stories} == drawn | set(RARE)
    assert all(sum(KINDS[story.kind].documents for story in plan.stories) >= DOCUMENTS_MIN for plan in plans)


@contextmanager
def names_of_the_moment(_arena):
    """A planted bug: our reference and our key depend on when we ask, so that neither we nor the ERP know what was sent before."""
    real, key = Ask.reference, lanes.idempotency_key
    Ask.reference = lambda self, length: reference(self.document_id, f"{self.purpose} {self.now}", length)
    lanes.idempotency_key = lambda item: f"{key(item)} {item.fencing_token}"
    try:
        yield
    finally:
        Ask.reference, lanes.idempotency_key = real, key


def one_order_and_lost_answers(seed):
    story = Story(1, "plain", begins_s=0, pace_s=600, quantity=4, price_cents=2000, unit="DE-SOUTH")
    other = replace(story, number=2, kind="rejected")
    return Plan(seed=seed, stories=(story, other), rates={"reply_lost": 0.3, "slow": 0.3}, engines=2)


def test_a_planted_second_send_is_seen_by_the_erps_own_ledger_and_made_small(alone, tmp_path):
    """Journeys and faults that do not matter are left out, and what is left is a file that fails for ever."""
    failed = next(
        result
        for seed in range(40)
        for result in [alone.play(one_order_and_lost_answers(seed), altered=names_of_the_moment)]
        if any(one.invariant == "one_live_order" for one in result.findings)
    )
    plan = alone.smallest(failed, altered=names_of_the_moment)
    assert [story.kind for story in plan.stories] == ["plain"]
    assert plan.rates["slow"] == 0.0
    assert plan.faults_max is not None
    assert alone.play(plan).findings == (), "without the planted bug it holds"
    again = alone.play(plan, altered=names_of_the_moment)
    path = keep(tmp_path, "one_live_order", plan, again)
    assert path.name == f"{plan.seed}-one_live_order.json"
    assert Plan.of_json(json.loads(path.read_text())["plan"]) == plan


# fmt: off
TAMPERED = {
    "a changed event":        ("UPDATE event SET actor = 'somebody else' WHERE activity = 'order_accepted'",           "audit"),
    "a missing event":        ("DELETE FROM event WHERE activity = 'order_accepted'",                                  "audit"),
    "a state without event":  ("UPDATE document SET state = 'drafted' WHERE document_type = 'purchase_order'",         "audit"),
    "a lost message":         ("DELETE FROM inbound_disposition",                                                      "nothing_lost"),
    "an amount":              ("UPDATE document SET amount = amount + 0.01 WHERE document_type = 'purchase_order'",    "totals"),
    "an illegal move":        ("UPDATE event SET activity = 'order_cancelled' WHERE activity = 'commitment_confirmed'", "legal_states"),
    "another payload":        ("UPDATE intent SET payload_hash = 'x' WHERE step = 'create_purchase_order'",            "approval"),
    "a token that fell":      ("UPDATE work_item SET fencing_token = 0",                                               "fencing"),
    "work that stands still": ("UPDATE work_item SET status = 'due', finished_at = NULL, due_at = '2026-01-01'",       "liveness"),
    "a secret in a message":  ("UPDATE attempt SET message = 'Bearer abcdefghijkl'",                                   "secrecy"),
    "a negative duration":    ("UPDATE attempt SET duration_ms = -1",                                                  "time_is_sane"),
}
# fmt: on


@pytest.mark.parametrize(("statement", "invariant"), TAMPERED.values(), ids=TAMPERED)
def test_an_invariant_sees_what_it_is_there_for(alone, statement, invariant):
    """RELIABILITY 0.10: an invariant that cannot fail proves nothing."""
    schedule = Schedule(one_order_and_lost_answers(1), alone.arena)
    schedule.run()
    assert check(Ended(schedule), alone.calm) == []
    with alone.arena.owner.transaction(force_rollback=True):
        alone.arena.owner.execute("SET LOCAL session_replication_role = replica")
        alone.arena.owner.execute(statement)
        schedule.eyes = alone.arena.owner
        names = {one.invariant for looks in INVARIANTS.values() for one in looks(Ended(schedule))}
    assert invariant in names


def test_a_leak_between_business_units_is_seen(alone):
    """P6: the session of one unit reads what a careless policy shows it."""
    schedule = Schedule(one_order_and_lost_answers(1), alone.arena)
    schedule.run()
    alone.arena.owner.execute("CREATE POLICY leak ON document FOR SELECT TO finsync_app USING (true)")
    try:
        assert "isolation" in {one.invariant for one in INVARIANTS["I7"](Ended(schedule))}
    finally:
        alone.arena.owner.execute("DROP POLICY leak ON document")
