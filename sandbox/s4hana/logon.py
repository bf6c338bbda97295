"""Who may come in to SAP: OAuth tokens, the communication user's Basic authentication, sessions and CSRF tokens."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import ClassVar

from sandbox.ledger import Ledger
from sandbox.wire import Refused, Request, Response, Standin, json_response, route

SESSION_COOKIE = "SAP_SESSIONID_S4H_100"
HTML = "text/html; charset=utf-8"
LOGON_PAGE = b"<!DOCTYPE html><html><head><title>Logon</title></head><body><form method='post'></form></body></html>"
LOGON_FAILED = b"<html><head><title>Logon Error Message</title></head><body>Logon failed</body></html>"


@dataclass
class _Session:
    token: str
    until: datetime


class Logon(Standin):
    """The way in.

    Args:
        ledger: What it remembers.
        clock: Tells the time; aware UTC.
        rng: Draws faults, tokens and ids.
        client: The communication user: its name and secret.
        token_lifetime_s: How long an OAuth token is good, in seconds.
        session_lifetime_s: How long a session with its CSRF token is good, in seconds.
    """

    token_path: ClassVar[str] = "/sap/bc/sec/oauth2/token"  # noqa: S105 - an address, not a secret

    def __init__(
        self,
        ledger: Ledger,
        clock: Callable[[], datetime],
        rng: Random,
        *,
        client: tuple[str, str] = ("finsync", "sandbox"),
        token_lifetime_s: float = 3600,
        session_lifetime_s: float = 1800,
    ) -> None:
        super().__init__(ledger, clock, rng)
        self.next_logon_pages = 0
        """So many calls are answered by the logon page in HTML with status 200: the vendor's trap on a host that
        people log on to."""
        self._client = client
        self._token_lifetime = timedelta(seconds=token_lifetime_s)
        self._session_lifetime = timedelta(seconds=session_lifetime_s)
        self._tokens: dict[str, datetime] = {}
        self._sessions: dict[str, _Session] = {}

    @property
    def user(self) -> str:
        """The communication user, as documents name it."""
        return self._client[0].upper()[:12]

    @route("POST", r"/sap/bc/sec/oauth2/token")
    def _give_token(self, request: Request) -> Response:
        form = request.form()
        named = self._basic(request) or (form.get("client_id", ""), form.get("client_secret", ""))
        if form.get("grant_type") != "client_credentials":
            return json_response(400, {"error": "unsupported_grant_type"})
        if named != self._client:
            return json_response(401, {"error": "invalid_client"})
        now = self.clock()
        self._tokens = {token: until for token, until in self._tokens.items() if until > now}
        token = f"{self.rng.getrandbits(160):040x}"
        self._tokens[token] = now + self._token_lifetime
        lifetime = int(self._token_lifetime.total_seconds())
        return json_response(200, {"access_token": token, "token_type": "Bearer", "expires_in": lifetime})

    @staticmethod
    def _basic(request: Request) -> tuple[str, str] | None:
        scheme, _, rest = request.headers.get("authorization", "").partition(" ")
        if scheme != "Basic":
            return None
        user, _, secret = base64.b64decode(rest + "==").decode(errors="replace").partition(":")
        return user, secret

    def _let_in(self, request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        until = self._tokens.get(token) if scheme == "Bearer" else None
        if (until is None or until <= self.clock()) and self._basic(request) != self._client:
            headers = {"Content-Type": HTML, "WWW-Authenticate": 'Basic realm="SAP S/4HANA [S4H/100]"'}
            raise Refused(Response(401, LOGON_FAILED, headers))
        if self.next_logon_pages > 0:
            self.next_logon_pages -= 1
            raise Refused(Response(200, LOGON_PAGE, {"Content-Type": HTML}))

    def _session_of(self, request: Request) -> tuple[str, _Session] | None:
        for part in request.headers.get("cookie", "").split(";"):
            name, _, value = part.strip().partition("=")
            session = self._sessions.get(value)
            if name == SESSION_COOKIE and session is not None and session.until > self.clock():
                return value, session
        return None

    def _csrf_headers(self, request: Request) -> dict[str, str]:
        if request.headers.get("x-csrf-token", "").lower() != "fetch":
            return {}
        now = self.clock()
        present = self._session_of(request)
        if present is not None:
            present[1].until = now + self._session_lifetime
            return {"x-csrf-token": present[1].token}
        self._sessions = {key: session for key, session in self._sessions.items() if session.until > now}
        key, token = f"{self.rng.getrandbits(128):032x}", f"{self.rng.getrandbits(120):030x}=="
        self._sessions[key] = _Session(token, now + self._session_lifetime)
        return {"x-csrf-token": token, "Set-Cookie": f"{SESSION_COOKIE}={key}; path=/; HttpOnly"}

    def _check_csrf(self, request: Request) -> None:
        session = self._session_of(request)
        if session is None or request.headers.get("x-csrf-token") != session[1].token:
            headers = {"Content-Type": "text/plain", "x-csrf-token": "Required"}
            raise Refused(Response(403, b"CSRF token validation failed", headers))
        session[1].until = self.clock() + self._session_lifetime

    def end_sessions(self) -> None:
        """Forget all sessions: the next write of anybody needs a fresh CSRF token."""
        with self.lock:
            self._sessions.clear()
