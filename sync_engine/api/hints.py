"""Webhooks as hints (R125): a system says that it has news, and its feeds are read now instead of at their next turn.

Signed as Standard Webhooks 1.0.0 has it: HMAC-SHA256 over `id.timestamp.body`, several signatures while a secret is being
changed, five minutes between the sender's clock and ours. What a body says is not believed: the feed tells, by the system's own
API. A hint is acknowledged when it is stored, and only then; whoever hears anything else sends it again.
"""

import base64
import binascii
import hashlib
import hmac
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Path, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from sync_engine.api.asking import InRoom, Question, Room
from sync_engine.api.problems import Problem, told
from sync_engine.database.connections import borrowed
from sync_engine.settings import secret

WINDOW_S = 300
"""How far the sender's clock and ours may be apart: the specification's tolerance."""

SECRET_PREFIX = "whsec_"  # noqa: S105 - the specification's mark before a secret
TIME_MAX = 253_402_300_799
"""The last second of the year 9999, as far as a time can be written."""

router = APIRouter(tags=["hints"])


class Hint(BaseModel):
    """What became of a hint."""

    hint: Literal["new", "known"] = Field(description="known: it was acknowledged before and changes nothing.")


@router.post(
    "/hints/{system}",
    operation_id="noteHint",
    summary="A system has news",
    status_code=202,
    responses=told(404),
)
async def note_hint(
    request: Request,
    room: InRoom,
    system: Annotated[str, Path(max_length=63)],
    webhook_id: Annotated[str, Header(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$")],
    webhook_timestamp: Annotated[int, Header(ge=0, le=TIME_MAX)],
    webhook_signature: Annotated[str, Header(min_length=1, max_length=4096)],
) -> Hint:
    """Store it, and let the system's feeds be read within seconds. Send it again until the answer is 202."""
    body = await request.body()
    if system not in room.systems:
        raise Problem(404, "not_found", "No such system.", next_step="Use the system's name in systems.toml.")
    if not is_signed(webhook_id, webhook_timestamp, body, webhook_signature, secrets_of(system)):
        raise _unsigned("No signature is by a secret that is known for this system.")
    return await run_in_threadpool(_store, room, system, webhook_id, webhook_timestamp, body)


def _store(room: Room, system: str, hint_id: str, timestamp: int, body: bytes) -> Hint:
    """Acknowledged when this returns: the one statement is a transaction of its own, and committed."""
    with borrowed(room.pool) as connection:
        became = Question(connection).value(
            "note_hint",
            system=system,
            hint_id=hint_id,
            sent_at=datetime.fromtimestamp(timestamp, UTC),
            body_hash=hashlib.sha256(body).digest(),
            window_s=WINDOW_S,
        )
    if became == "stale":
        raise _unsigned(f"It was signed more than {WINDOW_S} seconds from now.")
    return Hint(hint=became)


def secrets_of(system: str) -> list[bytes]:
    """The secrets a system may sign with, from FINSYNC_<SYSTEM>_WEBHOOK_SECRET: one, or several with a space between while one
    replaces the other. Read at every hint, so that a changed one counts at once. What is no secret opens nothing."""
    known = []
    for text in secret(f"FINSYNC_{system.upper()}_WEBHOOK_SECRET").split():
        try:
            known.append(base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True))
        except binascii.Error:
            continue
    return [one for one in known if one]


def is_signed(hint_id: str, timestamp: int, body: bytes, signatures: str, secrets: list[bytes]) -> bool:
    """Whether one of the space-separated signatures ("v1,<base64>") is by one of the secrets."""
    content = f"{hint_id}.{timestamp}.".encode() + body
    given = [signature.removeprefix("v1,") for signature in signatures.split() if signature.startswith("v1,")]
    wanted = [base64.b64encode(hmac.digest(known, content, "sha256")).decode() for known in secrets]
    return any(hmac.compare_digest(one.encode(), other.encode()) for one in given for other in wanted)


def _unsigned(detail: str) -> Problem:
    return Problem(
        401,
        "unsigned",
        detail,
        next_step="Sign id.timestamp.body with the system's webhook secret, at the time of sending.",
    )
