"""Flows: every step asks somebody who can answer, and every step leads somewhere (R010, R088)."""

import pytest

from collectors import SYSTEMS
from sync_engine.engine.decisions import DECISIONS
from sync_engine.model.flows import APPLIES, FLOW_OF, FLOWS, Flow, Role, Step, next_step
from sync_engine.model.lifecycles import LIFECYCLES
from sync_engine.model.ports import Effect

STEPS = [pytest.param(flow, step, id=f"{flow.name}.{step.name}") for flow in FLOWS.values() for step in flow.steps]
every_step = pytest.mark.parametrize(("flow", "step"), STEPS)


@every_step
def test_whoever_is_asked_can_do_it(flow, step):
    if step.asks is Role.FINSYNC:
        assert step.does in DECISIONS
        return
    players = [system for system in SYSTEMS.values() if system.role is step.asks]
    assert players, f"nobody plays {step.asks}"
    for system in players:
        assert step.does in system.operations, f"{system.name} cannot {step.does}"


@every_step
def test_its_condition_has_a_definition(flow, step):
    assert step.applies is None or step.applies in APPLIES


@every_step
def test_it_has_time_and_leads_somewhere(flow, step):
    assert step.objective_s > 0
    assert step.otherwise is None or flow.step(step.otherwise)
    if flow.document_type is not None:
        events = LIFECYCLES[flow.document_type].events
        assert {step.done, step.refused} - {None} <= events


@every_step
def test_what_changes_something_outside_says_how_it_is_taken_back(flow, step):
    """R088: an order, an invoice, a request for approval. Setting a value is taken back by setting it again."""
    if step.asks is Role.FINSYNC:
        return
    for system in SYSTEMS.values():
        if (
            system.role is step.asks
            and system.operations[step.does].effect is Effect.CREATE
            and flow.name != "exception_remediation"
        ):
            assert step.undone_by in system.operations, f"{step.does} is not undone by anything {system.name} can do"


@every_step
def test_only_what_waits_for_somebody_may_take_days(flow, step):
    if step.objective_s >= 10 * 86_400:
        assert step.waits_for, f"{step.name} takes {step.objective_s} s and says not for whom it waits"


@pytest.mark.parametrize("flow", FLOWS.values(), ids=lambda flow: flow.name)
def test_no_step_is_dead(flow):
    """Every step is reached from the first, by the way forward or by the side road of a refusal."""
    reached, open_ends = set(), [flow.first]
    while open_ends:
        step = open_ends.pop()
        if step is None or step.name in reached:
            continue
        reached.add(step.name)
        open_ends += [flow.after(step.name), flow.step(step.otherwise) if step.otherwise else None]
    assert reached == {step.name for step in flow.steps}


@pytest.mark.parametrize("flow", FLOWS.values(), ids=lambda flow: flow.name)
def test_the_way_forward_ends_and_a_side_road_ends_with_its_last_step(flow):
    seen, step = [], flow.first
    while step is not None:
        assert step.name not in seen, "a flow does not go round in circles"
        seen.append(step.name)
        step = flow.after(step.name)
    assert not {one.otherwise for one in flow.steps} & set(seen), "a refusal's road is entered by a refusal alone"


def test_every_decision_is_some_steps_decision():
    assert set(DECISIONS) == {step.does for flow in FLOWS.values() for step in flow.steps if step.asks is Role.FINSYNC}


def test_every_condition_is_some_steps_condition():
    assert set(APPLIES) == {step.applies for flow in FLOWS.values() for step in flow.steps} - {None}


def test_every_document_type_but_the_watched_ones_enters_one_flow():
    assert set(LIFECYCLES) - set(FLOW_OF) == {"approval"}


@pytest.mark.parametrize(
    ("facts", "follows"),
    [
        ({}, "await_approval"),
        ({"route_reasons": []}, "await_approval"),
        ({"route_reasons": ["above"]}, "request_approval"),
    ],
)
def test_a_step_whose_condition_does_not_hold_is_left_out(facts, follows):
    assert next_step(FLOWS["requisition_to_order"], "check_policies", facts).name == follows


def test_after_the_last_step_there_is_none():
    for flow in FLOWS.values():
        assert next_step(flow, flow.steps[-1].name, {}) is None


def test_conditional_steps_at_the_end_are_left_out_too():
    flow = FLOWS["exception_remediation"]
    assert next_step(flow, "close_task", {}) is None
    assert next_step(flow, "close_task", {"procurement_should_know": True}).name == "tell_procurement_closed"


def test_two_steps_of_one_name_are_refused():
    step = Step("again", Role.FINSYNC, "again", 1)
    with pytest.raises(ValueError, match="two steps with one name"):
        Flow("twice", None, [step, step], title="Twice")


def test_a_step_nobody_has_is_no_step():
    with pytest.raises(KeyError):
        FLOWS["goods_receipt"].step("create_purchase_order")
