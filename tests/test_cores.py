"""Where a process of many threads runs. Each stands in a process of its own: nobody else's threads shall be moved."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="this machine has one core"
)

SITS = """
import os, subprocess, sys, threading
from sync_engine.cores import stay_on_one
begun = threading.Event()
waits = threading.Thread(target=begun.wait)
waits.start()
seat = stay_on_one()
where = [os.sched_getaffinity(waits.native_id)]
later = threading.Thread(target=lambda: where.append(os.sched_getaffinity(0)))
later.start(); later.join()
begun.set()
assert where == [{seat.core}] * 2, where
print(seat.core, seat.claim is not None, flush=True)
sys.stdin.readline()
"""


def sits() -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", SITS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def told(process: subprocess.Popen[str]) -> tuple[int, bool]:
    core, has_claim = process.stdout.readline().split()
    return int(core), has_claim == "True"


def test_processes_sit_on_cores_of_their_own_as_long_as_there_are_some():
    """Threads that run already and those that come later, all of them."""
    cores = sorted(os.sched_getaffinity(0))
    running = [sits() for _ in cores]
    try:
        found = [told(process) for process in running]
        taken_by_others = [core for core, has_claim in found if not has_claim]
        own = [core for core, has_claim in found if has_claim]
        assert len(set(own)) == len(own), "two sit on one core"
        assert set(own) | set(taken_by_others) <= set(cores)
        with sits() as late:
            core, has_claim = told(late)
            assert core in cores
            assert not has_claim, "every core was taken"
            late.stdin.close()
    finally:
        for process in running:
            process.stdin.close()
            process.wait(20)
            process.stdout.close()


def test_a_program_started_in_between_may_use_every_core():
    """An embedded PostgreSQL is started by whoever needs it first, and serves everybody."""
    starts = """
import os, subprocess, sys
from sync_engine.cores import everywhere, stay_on_one
seat = stay_on_one()
tell = [sys.executable, "-c", "import os; print(sorted(os.sched_getaffinity(0)))"]
with everywhere():
    print(subprocess.check_output(tell, text=True).strip())
print(subprocess.check_output(tell, text=True).strip() == f"[{seat.core}]")
"""
    said = subprocess.check_output([sys.executable, "-c", starts], text=True).splitlines()
    assert said == [str(sorted(os.sched_getaffinity(0))), "True"]


def test_a_seat_is_free_again_when_its_process_is_killed():
    with sits() as first:
        core, has_claim = told(first)
        first.kill()
    if has_claim:
        free = f"import socket; socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).bind(chr(0) + 'finance-workflow-sync core {core}')"
        assert subprocess.run([sys.executable, "-c", free], check=False).returncode == 0
