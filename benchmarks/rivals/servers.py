"""Redis and RabbitMQ as message brokers for a measurement: started on free loopback ports with data folders of their own,
stopped by whoever started them.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

START_PATIENCE_S = 60.0
STOP_PATIENCE_S = 20.0
RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""The server itself: the one on the PATH is a wrapper that changes user and folder."""


class Missing(Exception):
    """A package or a server that a rival needs is not there; says which."""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def redis(folder: Path, *, fsync: str) -> Iterator[str]:
    """A Redis that keeps an append-only file, forced to the disk `everysec` or `always`; its address.

    Raises:
        Missing: there is no redis-server.
    """
    program = shutil.which("redis-server")
    if program is None:
        raise Missing("redis-server is not installed")
    port = _free_port()
    command = [program, "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", ""]
    command += ["--appendonly", "yes", "--appendfsync", fsync, "--daemonize", "no"]
    with _running([command], folder, port, dict(os.environ)):
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def rabbitmq(folder: Path) -> Iterator[str]:
    """A RabbitMQ of one node; its address. Its port mapper (epmd) is started beside it, so that it ends with it.

    Raises:
        Missing: there is no rabbitmq-server, or no Erlang.
    """
    mapper = shutil.which("epmd")
    if mapper is None or not RABBITMQ.exists():
        raise Missing("rabbitmq-server is not installed")
    port, mapper_port = _free_port(), _free_port()
    plugins = folder / "enabled_plugins"
    plugins.write_text("[].\n", encoding="ascii")
    environment = {
        **os.environ,
        "HOME": str(folder),
        "ERL_EPMD_PORT": str(mapper_port),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": f"bench{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(_free_port()),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_LOGS": str(folder / "log" / "node.log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
        "RABBITMQ_CONFIG_FILE": str(folder / "none"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none-env"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
    }
    commands = [[mapper, "-port", str(mapper_port), "-address", "127.0.0.1"], [str(RABBITMQ)]]
    with _running(commands, folder, port, environment):
        yield f"amqp://guest:guest@127.0.0.1:{port}//"


@contextmanager
def _running(commands: list[list[str]], folder: Path, port: int, environment: dict[str, str]) -> Iterator[None]:
    """Programs in the foreground, until the block ends; ready as soon as the port answers."""
    started: list[subprocess.Popen[bytes]] = []
    with (folder / "server.log").open("wb") as said:
        try:
            for command in commands:
                process = subprocess.Popen(  # noqa: S603 - servers of the distribution, with arguments of ours
                    command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said
                )
                started.append(process)
            _wait(lambda: _answers(port), started[-1], folder / "server.log")
            yield
        finally:
            for process in reversed(started):
                process.terminate()
                try:
                    process.wait(STOP_PATIENCE_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _wait(is_ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    give_up_at = time.monotonic() + START_PATIENCE_S
    while not is_ready():
        if process.poll() is not None or time.monotonic() > give_up_at:
            raise RuntimeError(f"a broker does not start: {log.read_text(errors='replace')[-500:]}")
        time.sleep(0.1)
