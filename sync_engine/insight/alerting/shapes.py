"""How each channel wants a notice: mail as plain text, Slack as blocks, Teams as an adaptive card, anybody's webhook as signed JSON.

What a supplier or a system wrote is data in all of them: plain-text elements where a channel has them (Slack's `plain_text`, the
card's `TextRun`), which know neither markup, nor mentions, nor links; mail has no HTML part and no header made of it.

Sources: Slack, Block Kit reference (header 150, text 3000 characters, 50 blocks); Adaptive Cards 1.4 schema, RichTextBlock, in the
envelope of a Teams workflow webhook; Standard Webhooks 1.0.0 (signature v1 over `id.timestamp.body`, payload below 20 kB).
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from email.message import EmailMessage
from typing import Any
from uuid import UUID

Content = dict[str, Any]

MAX_BYTES = 20_000
_LINE_CHARS = 400
_CONTROLS = re.compile(r"[\x00-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
_SECRET = re.compile(r"(?:whsec_)?([A-Za-z0-9+/=]+)")


@dataclass(frozen=True, slots=True)
class Message:
    """What goes over the wire to one destination. Mail has `mail`; the others a JSON body and, where they are signed, headers."""

    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    mail: EmailMessage | None = None


class BadKey(ValueError):
    """The secret that a webhook is signed with is none."""


def shaped(
    kind: str, contents: Sequence[Content], *, notice_id: UUID, now: datetime, key: str = "", to: Sequence[str] = ()
) -> Message:
    """The message of one notice, or of several that are told together.

    Raises:
        BadKey: a webhook's key is missing or no base64 of 24 to 64 bytes.
    """
    match kind:
        case "slack":
            return Message(_json(slack(contents)))
        case "teams":
            return Message(_json(teams(contents)))
        case "mail":
            return Message(mail=mail(contents, notice_id=notice_id, to=to, now=now))
        case _:
            body = _json(webhook(contents, now=now))
            return Message(body, signature(body, notice_id=notice_id, now=now, key=key))


def headline(content: Content) -> str:
    """A notice in one line: "Blocked order with a near need-by date: 37, EUR 1,240,000 together, first on 2026-09-18"."""
    parts = [str(content["count"])] if content["count"] > 1 else []
    if content["total"] is not None:
        amount = f"{content['currency']} {Decimal(content['total']):,.0f}"
        parts.append(f"{amount} together" if content["count"] > 1 else amount)
    if content["nearest_on"]:
        parts.append(f"{'first ' if content['count'] > 1 else ''}on {content['nearest_on']}")
    mark = "Escalated: " if content["escalated"] else ""
    return one_line(f"{mark}{content['title']}{': ' if parts else ''}{', '.join(parts)}", 140)


def _told(content: Content) -> list[str]:
    """The alerts of a notice, line by line."""
    more = content["count"] - len(content["lines"])
    lines = [one_line(line, _LINE_CHARS) for line in content["lines"]]
    return [*lines, f"and {more} more"] if more > 0 else lines


def one_line(text: object, most: int) -> str:
    r"""Outside text on one line, without control characters, not longer than `most`.

    >>> one_line("Nord\r\nBcc: all@example.test", 40)
    'Nord Bcc: all@example.test'
    """
    flat = _CONTROLS.sub(" ", str(text)).strip()
    return flat if len(flat) <= most else flat[: most - 3] + "..."


def slack(contents: Sequence[Content]) -> dict[str, Any]:
    """Blocks of plain text. `text` is what a notification shows; Slack reads markup in it, so it holds our own words alone."""
    blocks: list[dict[str, Any]] = []
    for content in contents:
        if len(blocks) > 40:
            break
        blocks.append({"type": "header", "text": {"type": "plain_text", "text": headline(content), "emoji": False}})
        texts = (content["impact"], "\n".join(_told(content)), "\n".join(content["runbook"]), _owned(content))
        blocks.extend(
            {"type": "section", "text": {"type": "plain_text", "text": text[:2900] or "-", "emoji": False}}
            for text in texts
        )
        if content["link"]:
            button = {"type": "button", "text": {"type": "plain_text", "text": "Open"}, "url": content["link"]}
            blocks.append({"type": "actions", "elements": [button]})
    return {"text": _in_slack_text("; ".join(headline(content) for content in contents)[:900]), "blocks": blocks}


def _in_slack_text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def teams(contents: Sequence[Content]) -> dict[str, Any]:
    """An adaptive card in the envelope that a workflow webhook takes."""
    body: list[dict[str, Any]] = []
    for content in contents:
        body.append(_runs([headline(content)], size="large", weight="bolder"))
        body.append(_runs([content["impact"]]))
        body.extend(_runs([line]) for line in _told(content))
        body.extend(_runs([line], isSubtle=True) for line in content["runbook"])
        body.append(_runs([_owned(content)], isSubtle=True))
    links = [content["link"] for content in contents if content["link"]][:1]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
        "actions": [{"type": "Action.OpenUrl", "title": "Open", "url": link} for link in links],
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _runs(texts: Iterable[str], **how: Any) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text or "-", **how} for text in texts]}


def _owned(content: Content) -> str:
    return f"{content['severity'].capitalize()}. For {one_line(content['owner_team'], 80)}. Rule {content['rule']}, version {content['version']}."


def mail(contents: Sequence[Content], *, notice_id: UUID, to: Sequence[str], now: datetime) -> EmailMessage:
    """Plain text. The message id is the notice's, so that a second copy is recognised as one."""
    message = EmailMessage()
    message["Subject"] = headline(contents[0]) if len(contents) == 1 else f"{len(contents)} alerts of low severity"
    message["To"] = ", ".join(to)
    message["Date"] = now
    message["Message-ID"] = f"<{notice_id}@finance-workflow-sync>"
    message["Auto-Submitted"] = "auto-generated"
    parts = []
    for content in contents:
        told = "\n".join(f"- {line}" for line in _told(content))
        parts.append(
            f"{headline(content)}\n\n{content['impact']}\n\n{told}\n\nWhat to do\n{chr(10).join(content['runbook'])}\n\n{_owned(content)}\n{content['link']}".rstrip()
        )
    message.set_content("\n\n\n".join(parts) + "\n")
    return message


def webhook(contents: Sequence[Content], *, now: datetime) -> dict[str, Any]:
    """Standard Webhooks: type, timestamp, data. The list of alerts is shortened until the whole is small enough."""
    data: list[Content] = [{**content, "headline": headline(content), "lines": _told(content)} for content in contents]
    said = {"type": "finsync.alert.firing", "timestamp": now.isoformat(), "data": {"alerts": data}}
    while len(_json(said)) > MAX_BYTES and any(one["lines"] for one in data):
        for one in data:
            one["lines"] = one["lines"][: len(one["lines"]) // 2]
    return said


def signature(body: bytes, *, notice_id: UUID, now: datetime, key: str) -> tuple[tuple[str, str], ...]:
    """The three headers of Standard Webhooks. Several keys, with spaces between, sign each: that is how one is changed.

    Raises:
        BadKey: see `shaped`.
    """
    stamp = str(int(now.timestamp()))
    signed = f"{notice_id}.{stamp}.".encode() + body
    made = [f"v1,{base64.b64encode(hmac.digest(one, signed, hashlib.sha256)).decode()}" for one in _keys(key)]
    return (
        ("Content-Type", "application/json"),
        ("webhook-id", str(notice_id)),
        ("webhook-timestamp", stamp),
        ("webhook-signature", " ".join(made)),
    )


def _keys(text: str) -> list[bytes]:
    keys = []
    for one in text.split():
        found = _SECRET.fullmatch(one)
        try:
            key = base64.b64decode(found[1], validate=True) if found else b""
        except ValueError:
            key = b""
        if not 24 <= len(key) <= 64:
            raise BadKey("a webhook's key is whsec_ and the base64 of 24 to 64 bytes")
        keys.append(key)
    if not keys:
        raise BadKey("the webhook's key is not there")
    return keys


def _json(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
