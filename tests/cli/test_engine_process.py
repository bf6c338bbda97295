"""An engine as a process, over systems of the loopback that nobody answers for."""

import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest

from config import FOLDER
from sync_engine.cli import engine_process
from sync_engine.configuration import load_systems
from sync_engine.settings import Settings
from tests.living.living import free_port


@pytest.fixture
def settings(database, tmp_path):
    """Those of an engine whose database is reached by a socket in `tmp_path / "late"`, where there is none yet."""
    address = database.owner_url.update_query_dict({"host": str(tmp_path / "late")})
    return Settings(
        home=tmp_path,
        config=FOLDER,
        cell=database.cell,
        database_url=address.render_as_string(hide_password=False),
        _env_file=None,
    )


@contextmanager
def started(settings):
    """An engine's thread, told to stop when the block ends."""
    nobody = f"http://127.0.0.1:{free_port()}"
    stop, systems = threading.Event(), load_systems(FOLDER, dict.fromkeys(load_systems(FOLDER).systems, nobody))
    engine = threading.Thread(target=engine_process.run_engine, args=(settings, systems, systems.access, stop))
    engine.start()
    try:
        yield engine
    finally:
        stop.set()
        engine.join(60)
    assert not engine.is_alive()


def test_an_engine_that_starts_before_its_database_waits_for_it(settings, server, connection, tmp_path):
    """A failover takes seconds in which an engine may be started as well as run (F10, F12)."""

    def registered():
        return connection.execute("SELECT count(*) FROM engine_instance").fetchone() == (1,)

    with started(settings) as engine:
        time.sleep(2 * engine_process.LOOK_AGAIN_S)
        assert engine.is_alive()
        assert not registered()
        (tmp_path / "late").symlink_to(server.socket_dir)
        give_up_at = time.monotonic() + 30
        while not registered():
            assert engine.is_alive(), "it ended by itself"
            assert time.monotonic() < give_up_at, "it has not come up"
            time.sleep(0.1)


def test_an_engine_that_is_told_to_stop_while_it_waits_stops(settings):
    with started(settings) as engine:
        assert engine.is_alive()


@pytest.mark.parametrize(
    "module", ["sync_engine.cli.engine_process", "sync_engine.cli.demo", "sync_engine.api.service"]
)
def test_what_the_pages_are_drawn_with_is_loaded_by_no_other_process(module):
    """It takes seconds to load, and as much memory as an engine itself."""
    found = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys, {module}; print(sorted({{'pandas', 'plotly', 'streamlit'}} & set(sys.modules)))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "[]"
