"""The smallest plan that still fails: fewer journeys, fewer classes of faults, fewer engines, fewer faults. Greedy delta debugging
over the plan, which is plain data; the seed stays, so that what is left happens as it did."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from sandbox.simulation.plan import Plan

RUNS_MAX = 120
"""Schedules that shrinking may cost."""


def shrink(plan: Plan, faults: int, still_fails: Callable[[Plan], bool]) -> Plan:
    """A plan that still fails and has nothing in it that could be left out alone, as far as `RUNS_MAX` runs tell.

    Args:
        plan: It fails.
        faults: How many faults happened in it.
        still_fails: Runs a plan and tells whether it fails in the same way.
    """
    left = RUNS_MAX
    smaller = True
    while smaller and left > 0:
        smaller = False
        for candidate in _smaller(plan):
            left -= 1
            if still_fails(candidate):
                plan, smaller = candidate, True
                break
            if left == 0:
                break
    most = plan.faults_max if plan.faults_max is not None else faults
    least = 0
    while least < most and left > 0:
        middle = (least + most) // 2
        left -= 1
        if still_fails(replace(plan, faults_max=middle)):
            most = middle
        else:
            least = middle + 1
    candidate = replace(plan, faults_max=most)
    return candidate if still_fails(candidate) else plan


def _smaller(plan: Plan) -> Iterator[Plan]:
    """Plans with one thing less, the largest things first."""
    if len(plan.stories) > 1:
        for story in plan.stories:
            yield replace(plan, stories=tuple(other for other in plan.stories if other is not story))
    for name, rate in plan.rates.items():
        if rate:
            yield replace(plan, rates={**plan.rates, name: 0.0})
    if plan.engines > 1:
        yield replace(plan, engines=plan.engines - 1)
