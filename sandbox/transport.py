"""Stand-ins behind an httpx2 client without a socket, for tests and for the fast clock."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs

import httpx2

from sandbox.wire import Request, Standin


@dataclass(slots=True)
class Stopwatch:
    """Counts the seconds that calls would have taken. A session reads it instead of a real timer."""

    elapsed_s: float = 0.0

    def __call__(self) -> float:
        """Seconds so far."""
        return self.elapsed_s


class InProcessTransport(httpx2.BaseTransport):
    """Answers each host with its stand-in; a host nobody stands in for refuses the connection.

    Args:
        standins: By host name.
        stopwatch: Is moved on by each call's latency.
        timeout_s: How long a caller waits for a reply that never comes.
    """

    def __init__(self, standins: Mapping[str, Standin], stopwatch: Stopwatch, timeout_s: float = 30.0) -> None:
        self._standins = dict(standins)
        self._stopwatch = stopwatch
        self._timeout_s = timeout_s

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """The stand-in's answer.

        Raises:
            ConnectError: no stand-in, or the request was lost on the way.
            ReadTimeout: the stand-in has done it and the reply was lost.
        """
        standin = self._standins.get(request.url.host)
        if standin is None:
            raise httpx2.ConnectError(f"nobody listens on {request.url.host}", request=request)
        path, _, query = request.url.raw_path.decode("ascii").partition("?")
        response = standin.handle(
            Request(
                request.method,
                path,
                parse_qs(query, keep_blank_values=True) if query else {},
                {name.decode("ascii").lower(): value.decode("latin-1") for name, value in request.headers.raw},
                request.read(),
            )
        )
        if response.lost:
            self._stopwatch.elapsed_s += self._timeout_s
            raise httpx2.ReadTimeout("no reply", request=request)
        self._stopwatch.elapsed_s += response.delay_s
        return httpx2.Response(response.status, headers=response.headers, content=response.body, request=request)
