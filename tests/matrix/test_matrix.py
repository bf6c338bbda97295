"""The crash matrix (L3): every step of every flow, every place where an engine may die in it, every way to go wrong.

Whatever happens, each effect is there once, the books agree, the document comes to the same end, histories have no gap, and
whoever takes over gets somewhere within the lease and five seconds (P1, P2, P5, P7; F1, F2, F9; R080-R082, R143).
"""

import os
from collections.abc import Iterator

import pytest

from sync_engine.database.postgres import Embedded
from tests.conftest import new_cell
from tests.matrix.cases import CASES, STEPS, Case, points_of
from tests.matrix.trial import Theatre, Trial

CHOSEN = [case for case in CASES if case.is_in_the_share or os.environ.get("FINSYNC_MATRIX") == "whole"]


@pytest.fixture(scope="module")
def theatre(_servers: dict[str, Embedded]) -> Iterator[Theatre]:
    """One world for all cases of a worker."""
    from tests.conftest import _server

    theatre = Theatre(new_cell(_server(_servers, "embedded", None)))
    yield theatre
    theatre.close()


@pytest.mark.parametrize(("flow", "step"), STEPS, ids=[f"{flow.name}.{step.name}" for flow, step in STEPS])
def test_a_journey_reaches_the_step_and_passes_every_place_in_it(theatre, flow, step):
    assert set(theatre.where(flow.name, step.name)) == set(points_of(step))


@pytest.mark.parametrize("case", CHOSEN, ids=str)
def test_whatever_goes_wrong_it_comes_to_the_same_end(theatre: Theatre, case: Case):
    nth = 1
    while Trial(theatre, case, nth_write=nth).run() and case.point == "before_call" and "_" in case.fault:
        nth += 1
    assert case.fault in {"crash", "hang", "crash twice"} or nth > 1, "the call writes nothing"
