"""The network between the engine and the systems, on which one message can be lost or held up."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import parse_qs

import httpx2

from sandbox.transport import Stopwatch
from sandbox.wire import Request, Standin

TIMEOUT_S = 30.0
"""How long a caller waits for a reply that does not come."""


@dataclass
class Plan:
    """What is to happen to one write of the call that begins now."""

    how: str
    nth: int
    """Which of the writes, counted from 1."""
    delay: timedelta = timedelta(0)
    seen: int = 0
    fired: bool = False
    is_over: bool = False


@dataclass
class Line(httpx2.BaseTransport):
    """Carries requests to the systems; `plan` says what becomes of the next call's writes.

    `lose_request`: it never arrives. `lose_reply`: it is done, and nobody hears of it. `hold_request`: the caller gives up,
    and the request arrives later.
    """

    real: httpx2.BaseTransport
    standins: Mapping[str, Standin]
    stopwatch: Stopwatch
    now: Callable[[], datetime]
    plan: Plan | None = None
    held: list[tuple[datetime, httpx2.Request]] = field(default_factory=list)

    def forget(self) -> None:
        """Nothing is planned and nothing is under way."""
        self.plan = None
        self.held.clear()

    def plan_ends(self) -> None:
        """The call is over; what was planned for one more write of it happens to nobody else's."""
        if self.plan is not None:
            self.plan.is_over = True

    def next_arrival_at(self) -> datetime | None:
        """When the next message that is held up arrives."""
        return min((at for at, _ in self.held), default=None)

    def let_arrive(self, now: datetime) -> None:
        """What was held up until now reaches its system."""
        due = [request for at, request in self.held if at <= now]
        self.held = [(at, request) for at, request in self.held if at > now]
        for request in due:
            self.real.handle_request(request)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """The system's answer, unless this is the message something happens to."""
        if not self._is_hit(request):
            return self.real.handle_request(request)
        plan = self.plan
        plan.fired = True
        if plan.how == "lose_reply":
            self.real.handle_request(request)
        elif plan.how == "hold_request":
            request.read()
            self.held.append((self.now() + plan.delay, request))
        self.stopwatch.elapsed_s += TIMEOUT_S
        raise httpx2.ReadTimeout("no reply", request=request)

    def _is_hit(self, request: httpx2.Request) -> bool:
        plan = self.plan
        if plan is None or plan.fired or plan.is_over:
            return False
        standin = self.standins[request.url.host]
        path, _, query = request.url.raw_path.decode().partition("?")
        asked = Request(request.method, path, parse_qs(query), dict(request.headers), request.read())
        if path == standin.token_path or not standin.is_write(asked):
            return False
        plan.seen += 1
        return plan.seen == plan.nth
