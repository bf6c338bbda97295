"""OData V2 as SAP Gateway speaks it, from the caller's side. It knows the protocol and no entity.

    reads      a set, one entity
    writes     create, change, changeset, function: with a CSRF token, which is fetched and renewed here

A write answers with an `Outcome` also when SAP refuses (400, 404, 409, 412, 423, 428): only the connector knows what
its system's message codes mean. A page in HTML is a logon page, whatever its status says.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from collectors.http import Reply, Session, excerpt
from collectors.odata_values import SAFE, Entity, Literal, literal
from sync_engine.model.errors import AnswerLost, ConfigurationError, MappingError, TransientError

ROOT = "/sap/opu/odata/sap/"
GATEWAY_DETAIL = "/IWBEP/CX_MGW_BUSI_EXCEPTION"
"""The code of a last error detail that SAP Gateway adds of its own; its text says nothing useful."""

REFUSALS = frozenset({400, 403, 404, 405, 409, 412, 423, 428})
"""What SAP answers to a write that it has certainly not done."""


class Told(NamedTuple):
    """One message of SAP: class and number with a slash between, text, "error" or "warning" or "info"."""

    code: str
    text: str
    severity: str = "error"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a write ended: done, or refused with messages."""

    status: int
    values: Mapping[str, Any]
    told: tuple[Told, ...] = ()

    @property
    def done(self) -> bool:
        """Whether SAP did it."""
        return self.status < 400

    @property
    def errors(self) -> tuple[Told, ...]:
        """Why SAP did not."""
        return tuple(told for told in self.told if told.severity == "error")


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of a set. `cut` says that SAP itself ended it, so that more follows."""

    entities: tuple[Mapping[str, Any], ...]
    cut: bool


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of one entity."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    etag: str = ""


def _address(service: str, path: str, query: Mapping[str, str]) -> str:
    # Not left to the HTTP client: it would write a space as "+", which not every proxy in front of SAP reads as one.
    return f"{ROOT}{service}/{path}" + (f"?{urlencode(query, quote_via=quote, safe=SAFE)}" if query else "")


def read_set(session: Session, service: str, entity_set: str, query: Mapping[str, str]) -> Listed:
    """One page of a set.

    Raises:
        TransientError: what came back is no page; nothing was skipped.
        MappingError: SAP does not understand the question any more.
        ConfigurationError: SAP shows a logon page.
    """
    reply = _read(session, _address(service, entity_set, query), frozenset())
    content = reply.json(session.system)
    page = content.get("d") if isinstance(content, dict) else None
    # Older services answer a bare list where newer ones say "results".
    listed = page.get("results") if isinstance(page, dict) else page
    if not isinstance(listed, list):
        said = f"{session.system} answers without the OData envelope: {excerpt(reply.text)}"
        raise TransientError(said, system=session.system, facts={"url": reply.url})
    return Listed(tuple(listed), isinstance(page, dict) and "__next" in page)


def read_one(session: Session, service: str, path: str, query: Mapping[str, str], *, what: str) -> Entity | None:
    """One entity; None when there is none. Raises as `read_set` does."""
    reply = _read(session, _address(service, path, query), frozenset({404}))
    if reply.status == 404:
        return None
    content = reply.json(session.system)
    values = content.get("d") if isinstance(content, dict) else None
    return Entity(values, system=session.system, what=what)


def _read(session: Session, address: str, allow: frozenset[int]) -> Reply:
    reply = session.get(address, allow=allow | {400})
    _refuse_logon_page(session, reply)
    if reply.status == 400:
        # A property that is gone, say: the question is ours, so that no document and nobody in finance is at fault.
        said = "; ".join(f"{told.text} ({told.code})" for told in _messages(reply.text))
        message = f"{session.system} does not understand what it is asked: {said}"
        raise MappingError(message, system=session.system, code="contract_change", facts={"url": reply.url})
    return reply


def create(
    session: Session,
    service: str,
    entity_set: str,
    body: Mapping[str, Any],
    *,
    headers: Mapping[str, str] | None = None,
    changes: bool = True,
) -> Outcome:
    """Make a new entity, with everything below it. `changes=False` where SAP is asked to check and keep nothing."""
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    sent = {"Content-Type": "application/json", **(headers or {})}
    reply = _write(session, "POST", service, entity_set, content=content, headers=sent, changes=changes)
    return _outcome(session, reply, changes=changes)


def change(session: Session, service: str, edit: Edit) -> Outcome:
    """Make one change, unless the entity is no longer the one that was read (412)."""
    content = b"" if edit.body is None else json.dumps(edit.body, ensure_ascii=False, separators=(",", ":")).encode()
    headers = {"Content-Type": "application/json", **({"If-Match": edit.etag} if edit.etag else {})}
    return _outcome(session, _write(session, edit.method, service, edit.path, content=content, headers=headers))


def call(session: Session, service: str, function: str, parameters: Mapping[str, Literal]) -> Outcome:
    """Call a function import that changes something."""
    path = _address("", function, {name: literal(value) for name, value in parameters.items()})[len(ROOT) + 1 :]
    return _outcome(session, _write(session, "POST", service, path, content=b"", headers={}))


def changeset(session: Session, service: str, edits: Sequence[Edit]) -> Outcome:
    """Make several changes, all or none of them, in one $batch.

    Raises:
        AnswerLost: the answer cannot be read as a $batch's.
    """
    seed = hashlib.sha256(repr(edits).encode()).hexdigest()[:24]
    inner = b"".join(f"--changeset_{seed}\r\n".encode() + _part(edit) + b"\r\n" for edit in edits)
    content = (
        f"--batch_{seed}\r\nContent-Type: multipart/mixed; boundary=changeset_{seed}\r\n\r\n".encode()
        + inner
        + f"--changeset_{seed}--\r\n\r\n--batch_{seed}--\r\n".encode()
    )
    headers = {"Content-Type": f"multipart/mixed; boundary=batch_{seed}", "Accept": "multipart/mixed"}
    reply = _write(session, "POST", service, "$batch", content=content, headers=headers)
    if reply.status >= 400:
        return _outcome(session, reply)
    whole = f"Content-Type: {reply.headers.get('Content-Type', '')}\r\n\r\n".encode() + reply.content
    parts = [
        part
        for part in BytesParser(policy=HTTP).parsebytes(whole).walk()
        if part.get_content_type() == "application/http"
    ]
    answers = [_answer(part.get_payload(decode=True)) for part in parts]
    if not answers or None in answers:
        said = f"{session.system} was asked for {len(edits)} changes and answered {excerpt(reply.text)}"
        raise AnswerLost(said, system=session.system, facts={"url": reply.url})
    failed = [answer for answer in answers if answer is not None and answer.status >= 400]
    if failed and failed[0].status not in REFUSALS:
        said = f"{session.system} broke down over {len(edits)} changes: {failed[0].told}"
        raise AnswerLost(said, system=session.system, facts={"url": reply.url, "status": failed[0].status})
    return failed[0] if failed else Outcome(reply.status, {})


def _part(edit: Edit) -> bytes:
    body = b"" if edit.body is None else json.dumps(edit.body, ensure_ascii=False, separators=(",", ":")).encode()
    lines = [
        "Content-Type: application/http",
        "Content-Transfer-Encoding: binary",
        "",
        f"{edit.method} {edit.path} HTTP/1.1",
        "Content-Type: application/json",
        "Accept: application/json",
        *([f"If-Match: {edit.etag}"] if edit.etag else []),
        f"Content-Length: {len(body)}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + body


def _answer(payload: Any) -> Outcome | None:
    """One answer inside a $batch; None when it is none."""
    head, _, body = bytes(payload or b"").partition(b"\r\n\r\n")
    found = re.match(rb"HTTP/1\.\d (\d{3})", head)
    if found is None:
        return None
    return Outcome(int(found[1]), {}, _messages(body.decode(errors="replace")))


def _write(
    session: Session,
    method: str,
    service: str,
    path: str,
    *,
    content: bytes,
    headers: Mapping[str, str],
    changes: bool = True,
) -> Reply:
    """One write with a CSRF token.

    A token is checked before anything else: when it is refused (403, "Required"), nothing has happened, and the write
    may be sent again with a fresh one, once.
    """
    address = f"{ROOT}{service}/{path}"
    for last in (False, True):
        proof = session.state.get("csrf")
        if proof is None:
            proof = _fetch_csrf(session, service)
        reply = session.request(
            method, address, content=content, headers={**headers, **proof}, allow=REFUSALS, changes=changes
        )
        if reply.status != 403:
            _refuse_logon_page(session, reply)
            return reply
        if reply.headers.get("x-csrf-token", "").lower() != "required" or last:
            break
        session.state.pop("csrf", None)
    said = f"{session.system} answers 403: {excerpt(reply.text)}"
    raise ConfigurationError(said, system=session.system, facts={"status": 403, "url": reply.url})


def _fetch_csrf(session: Session, service: str) -> dict[str, str]:
    """The headers that prove a write is ours: the token, and the cookies of the session it belongs to.

    They are kept together: with threads fetching at the same time, the cookie jar alone could hold one session's
    cookies and this the other one's token.
    """
    reply = session.get(f"{ROOT}{service}/", headers={"X-CSRF-Token": "Fetch"})
    _refuse_logon_page(session, reply)
    token = reply.headers.get("x-csrf-token", "")
    if not token:
        raise TransientError(f"{session.system} gave no CSRF token", system=session.system, facts={"url": reply.url})
    cookies = [cookie.partition(";")[0] for cookie in reply.headers.get_list("set-cookie")]
    proof = {"X-CSRF-Token": token, **({"Cookie": "; ".join(cookies)} if cookies else {})}
    session.state["csrf"] = proof
    return proof


def _refuse_logon_page(session: Session, reply: Reply) -> None:
    """SAP's trap: a host or a session that wants a person answers a logon page with status 200, or redirects to one."""
    html = reply.headers.get("Content-Type", "").startswith("text/html")
    if (html and reply.status < 400) or 300 <= reply.status < 400:
        said = f"{session.system} shows a logon page instead of data; check the API host and the communication user"
        raise ConfigurationError(said, system=session.system, facts={"status": reply.status, "url": reply.url})


def _outcome(session: Session, reply: Reply, *, changes: bool = True) -> Outcome:
    if reply.status >= 400:
        return Outcome(reply.status, {}, _messages(reply.text))
    warnings = _warnings(reply.headers.get("sap-message", ""))
    if reply.status == 204 or not reply.content:
        return Outcome(reply.status, {}, warnings)
    try:
        values = json.loads(reply.text)["d"]
    except (ValueError, KeyError, TypeError):
        # Accepted, and we cannot read what was accepted: only a look at SAP can tell.
        said = f"{session.system} accepted the request and answered {excerpt(reply.text)}"
        kind = AnswerLost if changes else TransientError
        raise kind(said, system=session.system, facts={"url": reply.url}) from None
    return Outcome(reply.status, values, warnings)


def _messages(text: str) -> tuple[Told, ...]:
    """The messages of an error body, the detailed ones where there are any."""
    try:
        error = json.loads(text)["error"]
        main = Told(str(error["code"]), str(error["message"]["value"]))
        details = error.get("innererror", {}).get("errordetails", [])
        told = [Told(str(one["code"]), str(one["message"]), str(one["severity"])) for one in details]
    except (ValueError, KeyError, TypeError, AttributeError):
        return (Told("", excerpt(text)),)
    told = [one for one in told if one.code != GATEWAY_DETAIL and one.text]
    return tuple(told) if any(one.severity == "error" for one in told) else (main, *told)


def _warnings(header: str) -> tuple[Told, ...]:
    """The messages of a `sap-message` header, on something that was done."""
    try:
        first = json.loads(header)
        listed = [first, *first.get("details", [])]
        return tuple(Told(str(one["code"]), str(one["message"]), str(one["severity"])) for one in listed)
    except (ValueError, KeyError, TypeError, AttributeError):
        return ()
