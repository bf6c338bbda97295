"""HTTP without a socket: requests, responses, routes and faults, shared by all stand-ins.

A stand-in is a function from request to response. `transport.py` puts it behind an httpx2 client, `server.py` behind a
loopback port; both treat latency and lost messages the same way.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from threading import RLock
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from sandbox.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. Header names are in lower case; `query` keeps repeated names."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes = b""

    @classmethod
    def of(cls, method: str, url: str, headers: dict[str, str], body: bytes = b"") -> "Request":
        """The request for `url` (path and query; scheme and host are ignored)."""
        parts = urlsplit(url)
        return cls(
            method.upper(),
            parts.path,
            parse_qs(parts.query, keep_blank_values=True),
            {k.lower(): v for k, v in headers.items()},
            body,
        )

    def first(self, name: str, default: str = "") -> str:
        """The first value of a query argument."""
        return self.query.get(name, [default])[0]

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: it is none.
        """
        return json.loads(self.body)

    def form(self) -> dict[str, str]:
        """The body as a submitted form."""
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}


@dataclass(slots=True)
class Response:
    """One HTTP response. `lost` means that the caller never sees it; `delay_s` is how long it took."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    lost: bool = False


_COMPACT = json.JSONEncoder(separators=(",", ":"))


def json_response(status: int, content: Any, headers: dict[str, str] | None = None) -> Response:
    """A response with a JSON body."""
    return Response(
        status,
        _COMPACT.encode(content).encode(),
        {"Content-Type": "application/json", **(headers or {})},
    )


@dataclass(slots=True)
class Faults:
    """What is wrong with a system at the moment. Shares are probabilities from 0 to 1, drawn per request.

    The next_* counters fire for that many requests and then stop, which makes a test exact; the shares make a storm.
    Token requests are spared unless `outage` is set, so that a fault hits the call it is meant for.
    """

    latency_s: float = 0.0
    latency_jitter_s: float = 0.0
    outage: bool = False
    throttle_share: float = 0.0
    next_throttled: int = 0
    retry_after_s: float | None = None
    error_share: float = 0.0
    next_errors: int = 0
    error_status: int = 503
    request_lost_share: float = 0.0
    next_requests_lost: int = 0
    reply_lost_share: float = 0.0
    next_replies_lost: int = 0
    only_writes: bool = False
    """Lost messages hit requests that change something, nothing else."""
    schema_drift: str = ""
    """"added", "renamed", "removed" or "retyped": what happened to one field of what the system sends."""
    duplicate_news_share: float = 0.0
    out_of_order_share: float = 0.0

    def update(self, values: dict[str, Any]) -> None:
        """Set several at once.

        Raises:
            ValueError: an unknown fault or a value of another type, naming it.
        """
        for name, value in values.items():
            if name not in self.__slots__:
                raise ValueError(f"there is no fault called {name!r}; there are {', '.join(self.__slots__)}")
            present = getattr(self, name)
            if (
                present is not None
                and value is not None
                and not isinstance(value, type(present))
                and not (isinstance(present, float) and isinstance(value, int))
            ):
                raise ValueError(f"{name} is {type(present).__name__}, not {value!r}")
            setattr(self, name, value)

    def _draw(self, rng: Random, counter: str, share: float) -> bool:
        left = getattr(self, counter)
        if left > 0:
            setattr(self, counter, left - 1)
            return True
        return share > 0 and rng.random() < share


Handler = Callable[..., Response]


def route(method: str, pattern: str) -> Callable[[Handler], Handler]:
    """Mark a method of a stand-in as the answer to `method` on paths that fully match the regular expression `pattern`;
    its named groups become keyword arguments."""

    def mark(handler: Handler) -> Handler:
        routes = getattr(handler, "routes", [])
        handler.routes = [*routes, (method, re.compile(pattern))]  # type: ignore[attr-defined]
        return handler

    return mark


class Refused(Exception):
    """Raised by a handler to answer at once with another response."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


class Standin:
    """A system that answers HTTP.

    Args:
        ledger: What it remembers.
        clock: Tells the time; aware UTC.
        rng: Draws faults and whatever the system makes up itself (ids).

    Subclasses declare `name` and routes, and add methods for what their users do on the screen. Everything that touches
    the ledger happens under `lock`.
    """

    name: ClassVar[str]
    token_path: ClassVar[str] = ""

    def __init__(self, ledger: Ledger, clock: Callable[[], datetime], rng: Random) -> None:
        self.ledger = ledger
        self.clock = clock
        self.rng = rng
        self.faults = Faults()
        self.lock = RLock()
        self.calls: dict[str, int] = {}
        """How often each method and route pattern was really executed, faults included."""
        self._routes = [
            (method, pattern, getattr(self, attribute))
            for attribute in dir(type(self))
            for method, pattern in getattr(getattr(type(self), attribute), "routes", ())
        ]

    def handle(self, request: Request) -> Response:
        """The answer to `request`, with whatever is wrong at the moment."""
        with self.lock:
            response = self._with_faults(request)
            if response.delay_s == 0.0:
                response.delay_s = self.faults.latency_s + self.rng.random() * self.faults.latency_jitter_s
            return response

    def _with_faults(self, request: Request) -> Response:
        faults, rng = self.faults, self.rng
        if faults.outage:
            return self.unavailable(503)
        if self.token_path and request.path == self.token_path:
            return self._dispatch(request)
        if faults._draw(rng, "next_throttled", faults.throttle_share):  # noqa: SLF001 - one module
            return self.throttled(faults.retry_after_s)
        if faults._draw(rng, "next_errors", faults.error_share):  # noqa: SLF001
            return self.unavailable(faults.error_status)
        losable = not faults.only_writes or self.is_write(request)
        if losable and faults._draw(rng, "next_requests_lost", faults.request_lost_share):  # noqa: SLF001
            return Response(0, lost=True)
        response = self._dispatch(request)
        if losable and faults._draw(rng, "next_replies_lost", faults.reply_lost_share):  # noqa: SLF001
            response.lost = True
        return response

    def _dispatch(self, request: Request) -> Response:
        allowed = []
        for method, pattern, handler in self._routes:
            found = pattern.fullmatch(request.path)
            if found is None:
                continue
            if method != request.method:
                allowed.append(method)
                continue
            counted = f"{method} {pattern.pattern}"
            self.calls[counted] = self.calls.get(counted, 0) + 1
            try:
                answer: Response = handler(request, **found.groupdict())
            except Refused as refused:
                answer = refused.response
            return answer
        return self.not_allowed(allowed) if allowed else self.not_found(request)

    def is_write(self, request: Request) -> bool:
        """Whether a request changes something."""
        return request.method not in {"GET", "HEAD"}

    def unavailable(self, status: int) -> Response:
        """The answer of a system that is down."""
        return Response(status, b"<html><body>Service unavailable</body></html>", {"Content-Type": "text/html"})

    def throttled(self, retry_after_s: float | None) -> Response:
        """The answer of a system that is asked too much."""
        headers = {} if retry_after_s is None else {"Retry-After": str(int(retry_after_s))}
        return json_response(429, {"error": {"message": "Too many requests"}}, headers)

    def not_found(self, request: Request) -> Response:
        """The answer to a path nobody knows."""
        return json_response(404, {"error": f"no such resource: {request.path}"})

    def not_allowed(self, allowed: list[str]) -> Response:
        """The answer to a method the path does not know."""
        return json_response(405, {"error": "method not allowed"}, {"Allow": ", ".join(allowed)})
