"""Stand-ins on loopback ports, for the demo and the browser tests."""

import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from sandbox.wire import Request, Response, Standin, json_response


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # head and body leave in one packet
    disable_nagle_algorithm = True
    server: "StandinServer"

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request.of(self.command, self.path, dict(self.headers.items()), body)
        response = self.server.answer(request)
        if response.delay_s:
            time.sleep(response.delay_s)
        if response.lost:
            self.close_connection = True
            return
        self.send_response_only(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_MERGE = _serve  # noqa: N815 - names the base class looks for

    def log_message(self, *_args: Any) -> None:
        """Say nothing; the engine's attempts are the log."""


class StandinServer(ThreadingHTTPServer):
    """One stand-in on 127.0.0.1.

    Besides the system's own paths it answers GET and PUT on `/_sandbox/faults` (JSON, the fields of `wire.Faults`).

    Args:
        standin: Who answers.
        port: 0 picks a free one; see `url`.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, standin: Standin, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.standin = standin
        self._thread = Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.1}, name=f"sandbox-{standin.name}", daemon=True
        )

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def start(self) -> "StandinServer":
        """Begin to answer, in a thread of its own."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop answering and save the ledger."""
        self.shutdown()
        self._thread.join()
        self.server_close()
        with self.standin.lock:
            self.standin.ledger.save()

    def answer(self, request: Request) -> Response:
        """The stand-in's answer, or the switchboard's; the ledger is saved before anybody hears of it."""
        if request.path == "/_sandbox/faults":
            return self._switchboard(request)
        response = self.standin.handle(request)
        with self.standin.lock:
            self.standin.ledger.save()
        return response

    def _switchboard(self, request: Request) -> Response:
        faults = self.standin.faults
        if request.method == "PUT":
            try:
                with self.standin.lock:
                    faults.update(request.json())
            except ValueError as error:
                return json_response(400, {"error": str(error)})
        return json_response(200, {name: getattr(faults, name) for name in faults.__slots__})
