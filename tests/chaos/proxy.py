"""A TCP proxy between the engines and one system, which can be told to misbehave.

It knows nothing of HTTP: what it does to bytes is what networks do to them.
"""

import contextlib
import random
import socket
import struct
import threading
import time
from dataclasses import dataclass

CHUNK = 16_384
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, for no time: closing sends a reset."""


@dataclass(frozen=True)
class Trouble:
    """What the network does. Everything off: it carries bytes as they come.

    Args:
        latency_s: Each chunk is late by so much, in both directions.
        jitter_s: And by up to so much more.
        reset_after: The connection is reset when so many bytes of answer have passed; 0 resets it as soon as the request
            has been passed on.
        drip: The answer comes one byte at a time, so many in a second.
        black_hole: Connections are accepted and nothing is ever passed on or answered.
        down: Connections are reset at once.
    """

    latency_s: float = 0.0
    jitter_s: float = 0.0
    reset_after: int | None = None
    drip: float = 0.0
    black_hole: bool = False
    down: bool = False


CALM = Trouble()


class FaultProxy:
    """Listens on a free loopback port and carries to `target`. `trouble` may be changed at any time and then applies to
    connections that are open, too.
    """

    def __init__(self, target: tuple[str, int], seed: int) -> None:
        self.trouble = CALM
        self._target = target
        self._rng = random.Random(seed)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closed = False
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def set(self, trouble: Trouble) -> None:
        """From now on this; a network that is down or black has also lost the connections there were."""
        self.trouble = trouble
        if trouble.down:
            self.cut()

    def cut(self) -> None:
        """Reset every open connection."""
        with self._lock:
            open_now, self._open = self._open, set()
        for one in open_now:
            _reset(one)

    def close(self) -> None:
        """Stop listening and let go of everything."""
        self._closed = True
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._carry, args=[client], name="proxied", daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        if self.trouble.down:
            _reset(client)
            return
        try:
            server = socket.create_connection(self._target, timeout=5)
        except OSError:
            _reset(client)
            return
        server.settimeout(None)
        with self._lock:
            self._open |= {client, server}
        back = threading.Thread(target=self._pump, args=[server, client, True], name="proxied-back", daemon=True)
        back.start()
        self._pump(client, server, False)
        back.join()
        with self._lock:
            self._open -= {client, server}
        client.close()
        server.close()

    def _pump(self, source: socket.socket, sink: socket.socket, is_answer: bool) -> None:
        passed = 0
        try:
            while chunk := source.recv(CHUNK):
                trouble = self.trouble
                while trouble.black_hole and not self._closed:
                    time.sleep(0.1)  # the bytes are swallowed for as long as it lasts, and those after them are late
                    trouble = self.trouble
                if trouble.latency_s or trouble.jitter_s:
                    time.sleep(trouble.latency_s + self._rng.random() * trouble.jitter_s)
                if is_answer and trouble.reset_after is not None and passed + len(chunk) > trouble.reset_after:
                    sink.sendall(chunk[: max(0, trouble.reset_after - passed)])
                    raise ConnectionResetError
                if is_answer and trouble.drip:
                    self._drip(sink, chunk, trouble)
                else:
                    sink.sendall(chunk)
                passed += len(chunk) if is_answer else 0
            with contextlib.suppress(OSError):
                sink.shutdown(socket.SHUT_WR)
        except OSError:
            _reset(source)
            _reset(sink)

    def _drip(self, sink: socket.socket, chunk: bytes, trouble: Trouble) -> None:
        for place in range(len(chunk)):
            if self.trouble is not trouble:  # it is over
                sink.sendall(chunk[place:])
                return
            sink.sendall(chunk[place : place + 1])
            time.sleep(1 / trouble.drip)


def _reset(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads from it
    one.close()
