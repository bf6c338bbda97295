"""Where a process of many threads runs. Each stands in a process of its own: nobody else's threads shall be moved."""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager

import pytest

from benchmarks.beside import ROOT

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="this machine has one core"
)

SITS = """
import os, socket, sys, threading
from sync_engine import cores
cores.SEAT, cores.TICKET = (chr(0) + sys.argv[1] + one for one in (" seat {}", " ticket {}"))  # this test's own, and no engine's
begun = threading.Event()
waits = threading.Thread(target=begun.wait)
waits.start()
before = os.sched_getaffinity(0)
with cores.on_one(spare=int(sys.argv[2])) as core:
    where = [os.sched_getaffinity(waits.native_id)]
    later = threading.Thread(target=lambda: where.append(os.sched_getaffinity(0)))
    later.start(); later.join()
    assert where == [before if core is None else {core}] * 2, where
    print("everywhere" if core is None else core, flush=True)
    sys.stdin.readline()
assert os.sched_getaffinity(0) == os.sched_getaffinity(waits.native_id) == before
begun.set()
"""


@contextmanager
def sits(name, spare=0):
    """A process that sits down; says where, and stays until the block ends."""
    command = [sys.executable, "-c", SITS, name, str(spare)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process, process.stdout.readline().strip()
        process.stdin.close()
        assert process.wait(20) in {0, -signal.SIGKILL}


def test_processes_sit_on_cores_of_their_own_as_long_as_there_are_some(tmp_path):
    """Threads that run already and those that come later, all of them."""
    cores = sorted(os.sched_getaffinity(0))
    with ExitStack() as all_of_them:
        found = [all_of_them.enter_context(sits(tmp_path.name))[1] for _ in cores]
        assert sorted(found, key=int) == [str(core) for core in cores]
        assert all_of_them.enter_context(sits(tmp_path.name))[1] == "everywhere"


def test_engines_leave_a_core_to_the_database(tmp_path):
    with ExitStack() as all_of_them:
        found = [all_of_them.enter_context(sits(tmp_path.name, 1))[1] for _ in os.sched_getaffinity(0)]
    assert found.count("everywhere") == 1
    assert len(set(found)) == len(found)


def test_an_engine_has_a_core_of_its_own_beside_an_application_on_two_cores(tmp_path):
    """What is not busy all the time takes nothing from engines but its core."""
    with ExitStack() as all_of_them:
        found = [all_of_them.enter_context(sits(tmp_path.name, spare))[1] for spare in (0, 1)]
    assert "everywhere" not in found
    assert len(set(found)) == 2


def test_a_seat_is_free_again_when_its_process_is_killed(tmp_path):
    spare = len(os.sched_getaffinity(0)) - 1
    with sits(tmp_path.name, spare) as (first, found):
        assert found != "everywhere"
        with sits(tmp_path.name, spare) as (_, second):
            assert second == "everywhere"
        first.kill()
        first.wait(20)
        with sits(tmp_path.name, spare) as (_, third):
            assert third != "everywhere"


def test_a_program_started_in_between_may_run_wherever_we_might(tmp_path):
    """An embedded PostgreSQL is started by whoever needs it first, and serves everybody."""
    starts = """
import os, subprocess, sys
from sync_engine import cores
cores.SEAT = chr(0) + sys.argv[1] + " {}"
tell = [sys.executable, "-c", "import os; print(sorted(os.sched_getaffinity(0)))"]
with cores.on_one() as core:
    with cores.everywhere():
        print(subprocess.check_output(tell, text=True).strip())
    print(subprocess.check_output(tell, text=True).strip() == f"[{core}]")
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # somebody else has said where to run
with cores.everywhere():
    print(subprocess.check_output(tell, text=True).strip())
"""
    said = subprocess.check_output([sys.executable, "-c", starts, tmp_path.name], text=True).splitlines()
    cores = sorted(os.sched_getaffinity(0))
    assert said == [str(cores), "True", str(cores[:1])]


def test_what_a_benchmark_starts_beside_an_engine_does_not_share_its_core(tmp_path):
    """Stand-ins on the engine's core took two fifths of it, and the engine looked that much slower."""
    starts = """
import os, sys
from benchmarks import beside
from sync_engine import cores
cores.SEAT = chr(0) + sys.argv[1] + " {}"
with cores.on_one():
    with beside.start("standins") as program:
        print(program.stdout.readline() != "", sorted(os.sched_getaffinity(program.pid)))
        program.stdin.close()
"""
    said = subprocess.check_output([sys.executable, "-c", starts, tmp_path.name], text=True, cwd=ROOT)
    assert said.strip() == f"True {sorted(os.sched_getaffinity(0))}"
