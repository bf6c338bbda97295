"""Plans that once failed, played for ever: one file per failure, as it was drawn or made small (RELIABILITY 4.1)."""

import json
from pathlib import Path

import pytest

from sandbox.simulation.plan import Plan

FILES = sorted(Path(__file__).parent.glob("*.json"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_once_failed_holds(alone, path):
    plan = Plan.of_json(json.loads(path.read_text(encoding="utf-8"))["plan"])
    assert alone.play(plan).findings == ()
