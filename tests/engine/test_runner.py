"""Engines in real time: several at once, killed, cut off, throttled and stopped, and no order is ever made twice."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from sync_engine.database import postgres
from sync_engine.database.connections import Database
from sync_engine.engine import backoff, calls, lanes, runner, store
from sync_engine.engine.runner import Runner
from sync_engine.model.errors import TransientError
from tests.conftest import migrated_cell
from tests.engine.workshop import Ledger, Workshop

ROOT = Path(__file__).parents[2]


def numbers(many: int) -> list[str]:
    return [f"N{i:05}" for i in range(many)]


def test_two_thousand_orders_go_through_every_step(shop):
    shop.draft(*numbers(2000))
    with shop.running("engine-1", deciders=2):
        shop.wait_until(lambda: shop.done() == 2000, seconds=60)
    shop.assert_each_step_once(2000)


def test_two_engines_share_the_work_and_do_no_step_twice(shop):
    for habits in shop.habits.values():
        habits.delay_s = 0.002
    shop.draft(*numbers(400))
    with shop.running("engine-1", "engine-2"):
        shop.wait_until(lambda: shop.done() == 400)
    shop.assert_each_step_once(400)
    for operation in ("read_commitment", "return_order_number", "mark_exported"):
        assert set(shop.ledger.count(operation).values()) == {1}, operation
    shares = dict(shop.ask("SELECT engine_id, count(*) FROM attempt GROUP BY 1"))
    assert set(shares) == {"engine-1", "engine-2"}, "one engine did everything"


@pytest.fixture
def doomed(database: Database, tmp_path: Path) -> Iterator[tuple[Workshop, subprocess.Popen[str]]]:
    """A workshop with a ledger in a file, and an engine in a process of its own over it."""
    shop = Workshop(database, Ledger(tmp_path / "ledger"))
    url = database.owner_url.set(drivername="postgresql").render_as_string(hide_password=False)
    command = [
        sys.executable,
        "-m",
        "tests.engine.workshop",
        url,
        database.cell,
        str(tmp_path / "ledger"),
        "doomed",
        "0.02",
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        yield shop, process
        process.kill()
    shop.close()


def test_another_engine_takes_over_from_one_that_is_killed_and_looks_before_it_sends(doomed):
    shop, process = doomed
    shop.draft(*numbers(150))
    assert process.stdout.readline().startswith("running")
    shop.wait_until(lambda: len(shop.ledger.count("create_purchase_order")) > 40)
    process.send_signal(signal.SIGKILL)
    process.wait()
    held = shop.ask("SELECT count(*) FROM work_item WHERE status = 'in_call' AND step = 'create_purchase_order'")[0][0]
    assert held > 0, "killed in the middle, it holds what it had claimed"
    shop.ask("UPDATE work_item SET lease_until = now() WHERE status = 'in_call' RETURNING 1")  # two minutes go by
    with shop.running("survivor"):
        shop.wait_until(lambda: shop.done() == 150)
    shop.assert_each_step_once(150)
    assert len(shop.ledger.count("look_up")) >= held
    assert shop.ask("SELECT count(*) FROM intent WHERE outcome NOT IN ('done', 'adopted')") == [(0,)]


def test_connections_that_are_cut_are_made_anew_and_nothing_is_done_twice(shop):
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'finsync_engine'"
    for habits in shop.habits.values():
        habits.delay_s = 0.003
    shop.draft(*numbers(300))
    with shop.running("engine-1"):
        for part in (30, 100, 170, 240):
            shop.wait_until(lambda part=part: len(shop.ledger.count("create_purchase_order")) >= part)
            shop.wait_until(lambda: shop.ask(cut) != [])
        shop.wait_until(lambda: shop.done() == 300)
    shop.assert_each_step_once(300)


@pytest.fixture
def own_server() -> Iterator[postgres.Embedded]:
    """A PostgreSQL that this test may stop."""
    with tempfile.TemporaryDirectory(prefix="finsync-own-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        home.chmod(0o755)
        server = postgres.start_embedded(home)
        yield server
        server.stop(mode="immediate")


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_database_that_stops_and_starts_again_stops_nobody_for_long(own_server, mode):
    shop = Workshop(migrated_cell(own_server))
    for habits in shop.habits.values():
        habits.delay_s = 0.005
    shop.draft(*numbers(200))
    with shop.running("engine-1"):
        shop.wait_until(lambda: len(shop.ledger.count("create_purchase_order")) >= 50)
        own_server.stop(mode=mode)
        time.sleep(0.5)  # long enough for every loop to find nobody there
        postgres.start_embedded(own_server.data.parent.parent)
        shop.wait_until(lambda: shop.done() == 200)
    shop.assert_each_step_once(200)
    shop.close()


def test_a_slow_system_holds_up_nobody_else(shop):
    shop.habits["procurement"].delay_s = 0.4
    shop.draft(*numbers(60))
    with shop.running("engine-1"):
        began = time.monotonic()
        shop.wait_until(
            lambda: shop.ask("SELECT count(*) FROM event WHERE activity = 'commitment_confirmed'") == [(60,)]
        )
        assert time.monotonic() - began < 3
        assert shop.done() < 20, "sixty orders cannot have got through procurement by now"
        shop.wait_until(lambda: shop.done() == 60)


def test_behind_an_open_breaker_orders_wait_and_go_on_by_themselves(shop, monkeypatch):
    monkeypatch.setattr(store, "BREAKER_PAUSE_S", 1)
    monkeypatch.setattr(backoff, "BACKOFF_BASE_S", 0.05)
    down = [True]
    shop.habits["erp"].error = lambda: TransientError("down for maintenance", system="erp") if down[0] else None
    shop.draft(*numbers(100))
    with shop.running("engine-1", "engine-2"):
        shop.wait_until(lambda: shop.ask("SELECT breaker FROM system_state WHERE system = 'erp'") == [("open",)])
        time.sleep(0.3)  # calls that were under way when it opened
        before = shop.ledger.count("refused").total()
        assert before < 90, "the breaker opened long before everybody had tried"
        time.sleep(2.5)
        assert shop.ledger.count("refused").total() - before <= 3, "only probes went through"
        down[0] = False
        shop.wait_until(lambda: shop.done() == 100)
    assert shop.ask("SELECT breaker, paused_until FROM system_state WHERE system = 'erp'") == [("closed", None)]
    shop.assert_each_step_once(100)


def test_all_engines_leave_a_system_alone_for_as_long_as_it_asks(shop, monkeypatch):
    monkeypatch.setattr(backoff, "BACKOFF_BASE_S", 0.05)
    monkeypatch.setattr(calls, "PREFETCH", 12)
    shop.changes["erp"] = {"max_in_flight": 2}
    shop.habits["erp"].delay_s = 0.1
    answered: list[float] = []

    def throttled() -> TransientError | None:
        answered.append(time.monotonic())
        told = answered[min(10, len(answered) - 1)]
        if len(answered) <= 10 or answered[-1] > told + 2.5:
            return None
        return TransientError("slow down", system="erp", code="rate_limited", retry_after_s=told + 2.5 - answered[-1])

    shop.habits["erp"].error = throttled
    shop.draft(*numbers(60))
    with shop.running("engine-1", "engine-2"):
        shop.wait_until(lambda: shop.done() == 60)
    refused = shop.ledger.count("refused").total()
    assert 1 <= refused <= 12, "more than were on their way, although each engine had claimed two dozen ahead"
    assert [moment for moment in answered if 1.2 < moment - answered[10] < 2.4] == []
    shop.assert_each_step_once(60)


def test_the_next_batch_is_claimed_while_the_one_before_is_being_recorded(shop, monkeypatch):
    """Calls that are answered make room by themselves: were it only the recording that wakes whoever claims, the calls would
    stand still for as long as each recording takes."""
    monkeypatch.setattr(runner, "POLL_S", 60.0)
    capacity = shop.changes["erp"] = {"max_in_flight": 4}
    ahead = capacity["max_in_flight"] * calls.PREFETCH
    shop.habits["erp"].delay_s = 0.05
    shop.draft(*numbers(10 * ahead))
    with shop.database.connect_owner() as owner, shop.running("engine-1"):
        with owner.transaction():
            owner.execute(f"SELECT FROM {shop.database.cell}.document FOR UPDATE")  # nothing can be recorded
            shop.wait_until(
                lambda: shop.ask("SELECT count(*) FROM work_item WHERE status = 'in_call'")[0][0] >= 3 * ahead // 2
            )
            assert shop.ask("SELECT count(*) FROM attempt") == [(0,)]
        shop.wait_until(lambda: shop.done() == 10 * ahead)


def test_answers_that_come_together_are_recorded_together(shop, monkeypatch):
    monkeypatch.setattr(calls, "LINGER_S", 5.0)
    shop.changes["erp"] = {"max_in_flight": 8}
    shop.habits["erp"].delay_s = 0.02
    shop.draft(*numbers(64))
    with shop.running("engine-1"):
        shop.wait_until(lambda: shop.done() == 64)
    together = "SELECT count(*) FROM event WHERE activity = 'order_accepted' GROUP BY recording_id"
    assert sorted(many for (many,) in shop.ask(together))[1:] >= [8]
    assert len(shop.ask(together)) <= 8


def test_an_answer_that_is_alone_waits_for_nobody(shop, monkeypatch):
    monkeypatch.setattr(calls, "LINGER_S", 60.0)
    shop.draft(*numbers(1))
    with shop.running("engine-1"):
        shop.wait_until(lambda: shop.done() == 1, seconds=20)


def test_what_waits_too_long_behind_slow_calls_is_handed_back_and_not_sent_under_an_old_claim(shop, monkeypatch):
    monkeypatch.setattr(lanes, "LEASE_S", 3)
    shop.changes["erp"] = {"max_in_flight": 1}
    shop.habits["erp"].delay_s = 1.2
    shop.draft(*numbers(4))
    with shop.running("engine-1", "engine-2"):
        shop.wait_until(lambda: shop.done() == 4)
    shop.assert_each_step_once(4)
    assert shop.ledger.count("look_up").total() == 0, "a claim ended while its item was waiting"


def test_an_engine_told_to_stop_finishes_its_calls_and_hands_back_the_rest(shop):
    for habits in shop.habits.values():
        habits.delay_s = 0.1
    shop.draft(*numbers(120))
    with shop.running("engine-1"):
        shop.wait_until(lambda: len(shop.ledger.count("create_purchase_order")) >= 20)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert shop.ask("SELECT count(*) FROM work_item WHERE status = 'in_call'") == [(0,)]
    assert shop.ask("SELECT count(*) FROM intent WHERE outcome = 'open'") == [(0,)]
    assert shop.ask("SELECT stopped_at IS NOT NULL FROM engine_instance WHERE engine_id = 'engine-1'") == [(True,)]
    assert shop.done() < 120
    for habits in shop.habits.values():
        habits.delay_s = 0.0
    with shop.running("engine-2"):
        shop.wait_until(lambda: shop.done() == 120)
    shop.assert_each_step_once(120)
    assert shop.ledger.count("look_up").total() == 0, "nothing was left in doubt"


def test_engines_of_two_cells_do_not_see_each_others_work(server):
    shops = [Workshop(migrated_cell(server)), Workshop(migrated_cell(server))]
    shops[0].draft(*numbers(30))
    shops[1].draft(*[f"M{i}" for i in range(20)])
    with shops[0].running("engine-1"), shops[1].running("engine-1"):
        shops[0].wait_until(lambda: shops[0].done() == 30)
        shops[1].wait_until(lambda: shops[1].done() == 20)
    shops[0].assert_each_step_once(30)
    shops[1].assert_each_step_once(20)
    for shop in shops:
        shop.close()


def test_a_further_loop_runs_beside_the_others_on_a_connection_of_its_own(shop):
    seen: list[int] = []

    def step(connection):
        seen.append(connection.info.backend_pid)
        return 1 if len(seen) < 5 else 0

    also = {"commands": step}
    with shop.running("engine-1", also=also) as [runner]:
        assert Runner.connections_needed(runner.engine, also=also) == Runner.connections_needed(runner.engine) + 1
        shop.wait_until(lambda: len(seen) >= 6)
    assert len(set(seen)) == 1


def test_a_loop_that_fails_is_tried_again(shop):
    calls = count()

    def step(_connection):
        if next(calls) == 0:
            raise ZeroDivisionError("a bug")
        return 0

    with shop.running("engine-1", also={"commands": step}):
        shop.wait_until(lambda: next(calls) > 2)
