"""One cycle of every fault of `python -m tests.chaos`, on one stage: that the chaos itself works, and finds nothing
(L4: F9-F13, F22; R124, R125)."""

import pytest

from tests.chaos.play import LONG, play


@pytest.mark.long
def test_one_of_each_leaves_nothing_twice_and_nothing_lost():
    wanted = dict.fromkeys(("engine_kill", "network", "database_restart", "failover", "disk_full"), 1)
    assert wanted.keys() | {"releases"} == LONG.keys(), "releases side by side take longer than a test run has"
    report = play(wanted, minutes=4, seed=1, hurry=True)  # a slow machine takes that long
    assert report["findings"] == []
    assert {name: 0 if name in report["skipped"] else 1 for name in wanted} == report["cycles"]
    assert (report["orders_twice"], report["acknowledged_and_lost"]) == (0, 0)
    assert report["acknowledged"] > 0
