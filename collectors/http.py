"""The only network code: one session per outside system.

A session adds what every call needs (address, credentials, timeouts, trace id), keeps a record of every call made, and
turns the way a call ended into one of the kinds of `errors`:

    connection refused, DNS, TLS, 429, 503        TransientError       certainly not done
    timeout, reset, 500, 502, 504, reply cut off  AnswerLost           for a request that changes something
                                                  TransientError       for one that only reads
    401 (after a fresh token), 403                ConfigurationError   unless the connector asked to see it
    any other 4xx                                 BusinessRejection    unless the connector asked to see it

It never waits and never repeats a request, but for one: a 401 is answered with a fresh token once. A reply that is
larger than `MAX_REPLY_BYTES` is not read to its end, and ends as an answer that was lost.
"""

import json
import ssl
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode

import httpx2

from sync_engine.model.errors import AnswerLost, BusinessRejection, ConfigurationError, TransientError

MAX_REPLY_BYTES = 64 * 1024 * 1024
"""Larger replies are not read. Far above any honest page of fifty documents, so that one monstrous record (50 MB are asked for)
is still read and parked by the engine instead of holding up its feed for ever."""

RECORDED_BYTES = 100_000
"""So much of a body is kept in the record of a call; how large it was stands beside it."""

EXCERPT_CHARS = 300

_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Quota:
    """What a reply said about how much more may be asked. Counts per the system's own window; reset in seconds."""

    limit: int | None = None
    remaining: int | None = None
    reset_s: float | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP call as it went. The beginnings of both bodies are kept when it changes something or was refused."""

    method: str
    url: str
    status: int | None
    duration_ms: float
    request_bytes: int
    response_bytes: int
    error: str = ""
    quota: Quota | None = None
    sent: str = ""
    answered: str = ""


@dataclass(slots=True)
class Reply:
    """What came back."""

    status: int
    headers: httpx2.Headers
    content: bytes
    url: str

    @property
    def text(self) -> str:
        """The body as text; bytes that are no UTF-8 become U+FFFD."""
        return self.content.decode(errors="replace")

    def json(self, system: str, *, changes: bool = False) -> Any:
        """The body as JSON.

        Args:
            system: Whose body it is, for the error.
            changes: The request changed something, so that an unreadable reply leaves us not knowing.

        Raises:
            TransientError: it is none (a proxy's page, a reply cut off): the page was not read, nothing was skipped.
            AnswerLost: the same, of a request that changes something.
        """
        try:
            return json.loads(self.text)
        except ValueError:
            kind = AnswerLost if changes else TransientError
            raise kind(
                f"{system} answered {self.status} with something that is not JSON: {excerpt(self.text)}",
                system=system,
                facts={"url": self.url, "status": self.status},
            ) from None


def record_body(record: Any) -> bytes:
    """One record of a page as compact JSON bytes. A lone surrogate, which no UTF-8 can carry, becomes U+FFFD, so that one
    damaged record does not stop its feed."""
    written = _COMPACT.encode(record)
    try:
        return written.encode()
    except UnicodeEncodeError:
        return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in written).encode()


def excerpt(text: str) -> str:
    """The beginning of a body on one line, for a message to a person."""
    flat = " ".join(text.split())
    return flat if len(flat) <= EXCERPT_CHARS else flat[:EXCERPT_CHARS] + " ..."


class ClientCredentials(httpx2.Auth):
    """OAuth 2.0 client credentials: fetches a token, keeps it until shortly before it expires, renews it on a 401.

    Args:
        token_url: Where tokens are given out.
        client: Answers (client id, client secret) each time, so that a rotated secret is picked up.
        scope: Space-separated; empty for none.
        in_body: Send id and secret in the form; else as Basic authentication.
        timer: Seconds that only grow.
    """

    def __init__(
        self,
        token_url: str,
        client: Callable[[], tuple[str, str]],
        *,
        scope: str,
        in_body: bool,
        timer: Callable[[], float],
    ) -> None:
        self._token_url = token_url
        self._client = client
        self._scope = scope
        self._in_body = in_body
        self._timer = timer
        self._lock = threading.Lock()
        self._token = ""
        self._good_until = 0.0

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Add the token; on a 401 fetch another one and try once more."""
        token, good_until = self._token, self._good_until
        if not token or self._timer() >= good_until:
            token = yield from self._fetch()
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == 401:
            token = yield from self._fetch()
            request.headers["Authorization"] = f"Bearer {token}"
            yield request

    def _fetch(self) -> Generator[httpx2.Request, httpx2.Response, str]:
        client_id, secret = self._client()
        form = (
            {"grant_type": "client_credentials", "scope": self._scope}
            if self._scope
            else {"grant_type": "client_credentials"}
        )
        headers: dict[str, str] = {}
        if self._in_body:
            form |= {"client_id": client_id, "client_secret": secret}
        else:
            basic = httpx2.BasicAuth(client_id, secret)
            signed = next(basic.auth_flow(httpx2.Request("POST", self._token_url)))
            headers["Authorization"] = signed.headers["Authorization"]
        response = yield httpx2.Request("POST", self._token_url, data=form, headers=headers)
        if response.status_code in {429, 500, 502, 503, 504}:
            raise _TokenUnavailable(f"the token endpoint answers {response.status_code}")
        if response.status_code != 200:
            response.read()
            raise _TokenRefused(response.status_code, excerpt(response.text))
        try:
            granted = json.loads(response.read())
            token, lifetime = str(granted["access_token"]), float(granted.get("expires_in", 1800))
        except (ValueError, LookupError, TypeError, AttributeError):
            raise _TokenUnavailable("the token endpoint answers with something that is no token") from None
        with self._lock:
            self._token = token
            # The last tenth of a token's life is not used: clocks differ and a call takes time.
            self._good_until = self._timer() + lifetime * 0.9
        return token


class _TokenUnavailable(httpx2.RequestError):
    """The token endpoint is down or busy, or somebody else answers in its place."""


class _TokenRefused(Exception):
    """The token endpoint refuses our credentials."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"the token endpoint answers {status}: {text}")


class _TooLarge(httpx2.RequestError):
    """A reply that is not read to its end."""

    def __init__(self, status: int, declared: int | None) -> None:
        size = f"{declared} bytes" if declared else "more"
        super().__init__(f"{status} with {size}, and at most {MAX_REPLY_BYTES} bytes are read")


class _Capped(httpx2.SyncByteStream):
    """A reply's bytes as they come over the wire, as long as they are not too many."""

    def __init__(self, stream: httpx2.SyncByteStream, status: int) -> None:
        self._stream = stream
        self._status = status

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for chunk in self._stream:
            size += len(chunk)
            if size > MAX_REPLY_BYTES:
                raise _TooLarge(self._status, None)
            yield chunk

    def close(self) -> None:
        self._stream.close()


def _cap(response: httpx2.Response) -> None:
    """Let nobody read more of a reply than is honest, neither we nor what fetches tokens; one in memory is read already.

    Raises:
        _TooLarge: it says itself that it is larger.
    """
    if response.is_closed or not isinstance(response.stream, httpx2.SyncByteStream):
        return
    declared = response.headers.get("Content-Length", "")
    if declared.isdecimal():
        if int(declared) > MAX_REPLY_BYTES:
            raise _TooLarge(response.status_code, int(declared))
        return  # more than it declares is not read anyway
    response.stream = _Capped(response.stream, response.status_code)


@dataclass(slots=True)
class _Trace:
    """What one thread is doing: the calls it made and the id they carry."""

    trace_id: str = ""
    calls: list[Call] = field(default_factory=list)


class Session:
    """Calls to one outside system, over one pool of connections shared by the lane's threads.

    Args:
        system: Its name, for errors and records.
        base_url: Where it lives; https outside of loopback.
        auth: How it knows us.
        timer: Seconds that only grow; measures durations.
        transport: Instead of the network: a stand-in in process, a fault proxy.
        timeout_s: For connecting, and between two bytes of the answer.
        max_connections: As many calls as may be under way at once.
        verify: The certificate authorities (and our own certificate, where the system asks for one).
    """

    def __init__(
        self,
        system: str,
        base_url: str,
        *,
        auth: httpx2.Auth | None,
        timer: Callable[[], float],
        transport: httpx2.BaseTransport | None = None,
        timeout_s: float = 30.0,
        max_connections: int = 16,
        headers: Mapping[str, str] | None = None,
        verify: ssl.SSLContext | None = None,
    ) -> None:
        self.system = system
        self.state: dict[str, Any] = {}
        """What a connector has to remember between calls (a CSRF token); lost with the session."""
        self._timer = timer
        self._local = threading.local()
        self._client = httpx2.Client(
            base_url=base_url,
            auth=auth,
            transport=transport,
            timeout=httpx2.Timeout(timeout_s, connect=min(10.0, timeout_s)),
            limits=httpx2.Limits(max_connections=max_connections, max_keepalive_connections=max_connections),
            follow_redirects=False,
            headers={"Accept": "application/json", "User-Agent": "finance-workflow-sync", **(headers or {})},
            verify=verify if verify is not None else True,
            event_hooks={"response": [_cap]},
        )
        self._root = f"{str(self._client.base_url).rstrip('/')}/"
        self._headers = {name.lower(): (name, value) for name, value in self._client.headers.multi_items()}

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    @contextmanager
    def tracing(self, trace_id: str) -> Iterator[list[Call]]:
        """Give this thread's calls a trace id (32 hex digits, W3C) and collect their records."""
        trace = _Trace(trace_id)
        self._local.trace = trace
        try:
            yield trace.calls
        finally:
            self._local.trace = _Trace()

    def get(self, path: str, **how: Any) -> Reply:
        """Read; see `request`."""
        return self.request("GET", path, **how)

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json_body: Any = None,
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
        allow: frozenset[int] = frozenset(),
        changes: bool | None = None,
    ) -> Reply:
        """Make one call.

        Args:
            method: The HTTP method.
            path: Below the base address, or a whole address on the same host.
            params: Query arguments.
            json_body: Sent as JSON.
            content: Sent as it is, where there is no JSON to be sent.
            headers: On top of the session's.
            allow: Statuses from 400 on that the connector wants to see instead of an error.
            changes: Whether it changes something outside; by default everything but GET and HEAD does.

        Raises:
            TransientError, AnswerLost, ConfigurationError, BusinessRejection: see the module.
        """
        changes = method not in {"GET", "HEAD"} if changes is None else changes
        trace: _Trace = getattr(self._local, "trace", None) or _Trace()
        extra = dict(headers or {})
        if trace.trace_id:
            extra["traceparent"] = f"00-{trace.trace_id}-{trace.trace_id[:16]}-01"
        if json_body is not None:
            content = _COMPACT.encode(json_body).encode()
            extra.setdefault("Content-Type", "application/json")
        request = self._built(method, self._address(path, params), extra, content)
        started = self._timer()
        try:
            reply = self._send(request)
        except (
            httpx2.ConnectError,
            httpx2.ConnectTimeout,
            httpx2.PoolTimeout,
            httpx2.UnsupportedProtocol,
            _TokenUnavailable,
        ) as error:
            self._note(trace, request, started, error=type(error).__name__)
            raise TransientError(
                f"{self.system} cannot be reached: {error}", system=self.system, facts={"url": str(request.url)}
            ) from error
        except _TokenRefused as error:
            self._note(trace, request, started, error="token refused")
            raise ConfigurationError(f"{self.system} refuses our credentials: {error}", system=self.system) from error
        except _TooLarge as error:
            self._note(trace, request, started, error="too large")
            raise (AnswerLost if changes else TransientError)(
                f"{self.system} answers {error}", system=self.system, facts={"url": str(request.url)}
            ) from error
        except httpx2.RequestError as error:
            self._note(trace, request, started, error=type(error).__name__)
            raise _unanswered(self.system, request, error, changes=changes) from error
        keep = changes or reply.status >= 400
        self._note(trace, request, started, reply=reply, keep=keep)
        self._judge(reply, changes=changes, allow=allow)
        return reply

    def _built(self, method: str, address: str, extra: Mapping[str, str], content: bytes) -> httpx2.Request:
        """What the client would build, in a quarter of the time."""
        url = httpx2.URL(address)
        named = {"host": ("Host", url.netloc.decode("ascii"))} | self._headers
        named |= {name.lower(): (name, value) for name, value in extra.items()}
        if content or method in {"POST", "PUT", "PATCH"}:
            named["content-length"] = ("Content-Length", str(len(content)))
        # To look through an empty jar costs as much as parsing the address; only the ERP's sessions have cookies.
        cookies = self._client.cookies or None
        stream = httpx2.ByteStream(content)
        request = httpx2.Request(method, url, headers=list(named.values()), cookies=cookies, stream=stream)
        request.read()
        return request

    def _address(self, path: str, params: Mapping[str, str] | None) -> str:
        whole = path if path.startswith(("http://", "https://")) else self._root + path.lstrip("/")
        if not params:
            return whole
        return f"{whole}{'&' if '?' in path else '?'}{urlencode(params)}"

    def _send(self, request: httpx2.Request) -> Reply:
        response = self._client.send(request, stream=True)
        url = str(request.url)
        if response.is_closed:
            return Reply(response.status_code, response.headers, response.content, url)
        try:
            chunks, size = [], 0
            encoded = "Content-Encoding" in response.headers
            for chunk in response.iter_bytes() if encoded else response.iter_raw():
                size += len(chunk)
                if size > MAX_REPLY_BYTES:
                    raise _TooLarge(response.status_code, None)
                chunks.append(chunk)
        finally:
            response.close()
        return Reply(response.status_code, response.headers, b"".join(chunks), url)

    def _note(
        self,
        trace: _Trace,
        request: httpx2.Request,
        started: float,
        *,
        reply: Reply | None = None,
        error: str = "",
        keep: bool = True,
    ) -> None:
        sent = request.content
        trace.calls.append(
            Call(
                method=request.method,
                url=reply.url if reply else str(request.url),
                status=reply.status if reply else None,
                duration_ms=round((self._timer() - started) * 1000, 3),
                request_bytes=len(sent),
                response_bytes=len(reply.content) if reply else 0,
                error=error,
                quota=_quota(reply.headers) if reply else None,
                sent=_recorded(sent) if keep else "",
                answered=_recorded(reply.content) if reply and keep else "",
            )
        )

    def _judge(self, reply: Reply, *, changes: bool, allow: frozenset[int]) -> None:
        status = reply.status
        if status < 400 or status in allow:
            return
        facts = {"status": status, "url": reply.url}
        said = f"{self.system} answers {status}: {excerpt(reply.text)}"
        if status in {429, 503}:
            code = "rate_limited" if status == 429 else "system_unavailable"
            raise TransientError(
                said, system=self.system, code=code, retry_after_s=_retry_after_s(reply.headers), facts=facts
            )
        if status >= 500:
            if changes:
                raise AnswerLost(said, system=self.system, facts=facts)
            raise TransientError(said, system=self.system, facts=facts)
        if status in {401, 403}:
            raise ConfigurationError(said, system=self.system, facts=facts)
        raise BusinessRejection(said, system=self.system, facts=facts)


def _unanswered(
    system: str, request: httpx2.Request, error: Exception, *, changes: bool
) -> AnswerLost | TransientError:
    name, facts = type(error).__name__, {"url": str(request.url)}
    if changes:
        return AnswerLost(f"{system} was asked and the answer was lost ({name})", system=system, facts=facts)
    return TransientError(f"{system} did not answer ({name})", system=system, facts=facts)


def _retry_after_s(headers: httpx2.Headers) -> float | None:
    """Seconds to wait, from either form of Retry-After (RFC 9110, section 10.2.3); None when absent or unreadable."""
    value = headers.get("Retry-After", "").strip()
    if value.isdigit():
        return float(value)
    try:
        until, answered = parsedate_to_datetime(value), parsedate_to_datetime(headers.get("Date", ""))
    except (TypeError, ValueError):
        return None
    return max(0.0, (until - answered).total_seconds())


def _recorded(body: bytes) -> str:
    """The beginning of a body. Where a character is cut in two, its first half is left out."""
    if len(body) <= RECORDED_BYTES:
        return body.decode(errors="replace")
    return body[:RECORDED_BYTES].decode(errors="replace").rstrip("\ufffd")


def _quota(headers: httpx2.Headers) -> Quota | None:
    if not any(name[:12].lower() == b"x-ratelimit-" for name, _ in headers.raw):
        return None
    limit, remaining, reset = (_number(headers.get(f"X-RateLimit-{name}")) for name in ("Limit", "Remaining", "Reset"))
    if limit is None and remaining is None:
        return None
    return Quota(int(limit) if limit is not None else None, int(remaining) if remaining is not None else None, reset)


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
