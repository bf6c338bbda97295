"""`make demo` on a bad day: stopped in the middle, gone on with, killed, started again."""

import json
import tempfile
from pathlib import Path

import pytest

from tests.living.living import LivingDemo, eventually

pytestmark = pytest.mark.xdist_group("demo life")


@pytest.fixture
def demo():
    # Not below pytest's own folder, which only its user may enter: the embedded server may run as another one.
    with tempfile.TemporaryDirectory(prefix="finsync-demo-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        living = LivingDemo(Path(folder))
        yield living
        living.close()


def _everything_is_closed(demo, systems):
    return not any(demo.answers(url) for url in (demo.url, *systems.values()))


@pytest.mark.long
def test_a_demo_is_stopped_gone_on_with_killed_and_started_again_and_its_books_still_agree(demo):
    demo.start("--days", "4", "--seed", "3")
    demo.wait_until("The application is open")
    assert demo.answers(demo.url + "/_stcore/health")
    assert demo.stop() == 0
    assert "goes on from there" in demo.said
    assert _everything_is_closed(demo, {})

    demo.start()  # neither days nor seed: it goes on with the past it finds
    demo.wait_until_alive()
    systems = demo.systems
    assert sorted(systems) == ["basware", "control", "coupa", "s4hana", "servicenow"]
    figures = json.loads(demo.finsync("reconcile", "--sandbox", "--json"))
    assert figures["requisitions"] > 10
    assert figures["reconciliation_differences"] == 0, figures["differences"]

    demo.kill()
    eventually("children end with their supervisor", lambda: _everything_is_closed(demo, systems), within_s=20)

    demo.start()
    demo.wait_until_alive()
    assert json.loads(demo.finsync("reconcile", "--sandbox", "--json"))["requisitions"] >= figures["requisitions"]
    assert demo.stop() == 0
    assert _everything_is_closed(demo, demo.systems or systems)
    assert not demo.systems
