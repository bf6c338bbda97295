"""Sending a reprocessing wave after wave (D06): a few of each cause first; the next only when the effect of everything sent has been
seen, not faster than the rate, and nothing more of a cause of which too many were refused.

It runs on the engine, whatever becomes of the page that asked for it. Where it stands is in the database: engines take turns
by the row's lock, and one that dies leaves nothing half done.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import psycopg

from sync_engine.engine import store
from sync_engine.engine.outcomes import Setup
from sync_engine.model.exceptions import kind_of

CANARY_SIZE, WAVE_SIZE, PER_MINUTE, HALT_PERCENT = 3, 25, 60, 20
"""So many of each cause first, so many in each wave after it, at most so many a minute, and nothing more of a cause once more than so
many of a hundred of it were refused: one refused of the first three is enough."""

LOOK_AGAIN_S = 60
"""Every item that has come to its end makes an engine look at once; this is for those of which no news will come."""

REDRIVES_AT_ONCE = 20


class Move(StrEnum):
    """What to do about a reprocessing now."""

    WAIT = "wait"
    SEND = "send"
    HALT = "halt"


@dataclass(frozen=True, slots=True)
class Standing:
    """How far one cause has come: its items that wait for their turn, are under way, and have ended since it is judged."""

    cause: str
    waiting: int
    under_way: int
    verified: int
    refused: int

    @property
    def ended(self) -> int:
        """How many have shown whether it works."""
        return self.verified + self.refused

    def is_held_back(self, halt_percent: int) -> bool:
        """Whether too many were refused for any more of it to be sent."""
        return self.refused * 100 > halt_percent * self.ended


def judge(standing: Sequence[Standing], *, halt_percent: int) -> Move:
    """What is to be done: nothing while anything sent has not ended; then the next wave, or none when all that waits is held back.

    >>> judge([Standing("blocked", 97, 1, 2, 0)], halt_percent=20).value
    'wait'
    >>> judge([Standing("blocked", 97, 0, 2, 1)], halt_percent=20).value
    'halt'
    >>> judge([Standing("blocked", 97, 0, 2, 1), Standing("closed", 5, 0, 3, 0)], halt_percent=20).value
    'send'
    >>> judge([Standing("blocked", 97, 0, 2, 1), Standing("closed", 0, 0, 8, 0)], halt_percent=20).value
    'halt'
    """
    if any(one.under_way for one in standing):
        return Move.WAIT
    waiting = [one for one in standing if one.waiting]
    if waiting and all(one.is_held_back(halt_percent) for one in waiting):
        return Move.HALT
    return Move.SEND


def send_waves(connection: psycopg.Connection, setup: Setup, *, now: datetime) -> int:
    """Look after every running reprocessing whose moment has come. Returns how many were moved: a wave sent, or stopped."""
    with connection.transaction():
        due = store.rows(connection, "redrive.to_look_at", wanted=REDRIVES_AT_ONCE, now=now)
        return sum(_look_after(connection, setup, redrive, now) for redrive in due)


def begin(connection: psycopg.Connection, setup: Setup, redrive_id: UUID, *, now: datetime) -> None:
    """Send the first wave, inside the caller's transaction."""
    [redrive] = store.rows(connection, "redrive.lock", redrive_id=redrive_id)
    _look_after(connection, setup, redrive, now)


def _look_after(connection: psycopg.Connection, setup: Setup, redrive: Mapping[str, Any], now: datetime) -> bool:
    """Do what is to be done about one that is held. Answers whether anything was."""
    redrive_id = redrive["redrive_id"]
    store.run(connection, "redrive.sweep", redrive_id=redrive_id, now=now)
    told = store.rows(connection, "redrive.standing", redrive_id=redrive_id, judged_from=redrive["judged_from"])
    standing = [Standing(**one) for one in told]
    move = judge(standing, halt_percent=redrive["halt_percent"])
    if move is Move.SEND and redrive["next_wave_at"] > now:
        _advance(connection, redrive, redrive["wave"], redrive["next_wave_at"], redrive["next_wave_at"])
        return False
    if move is Move.WAIT:
        _advance(connection, redrive, redrive["wave"], redrive["next_wave_at"], now + timedelta(seconds=LOOK_AGAIN_S))
        return False
    if move is Move.HALT:
        _halt(connection, redrive, standing, now)
        return True
    wave = redrive["wave"] + 1
    sent = _send(connection, setup, redrive, wave, standing, now)
    pause = timedelta(seconds=sent * 60 / redrive["per_minute"])
    _advance(connection, redrive, wave, now + pause, now + max(pause, timedelta(seconds=LOOK_AGAIN_S)))
    if not sent:
        store.run(connection, "record.finish_redrives", redrive_id=[redrive_id], now=now)
    return True


def _advance(
    connection: psycopg.Connection, redrive: Mapping[str, Any], wave: int, next_wave_at: datetime, look_at: datetime
) -> None:
    store.run(
        connection,
        "redrive.advance",
        redrive_id=redrive["redrive_id"],
        wave=wave,
        next_wave_at=next_wave_at,
        look_at=look_at,
    )


def _halt(
    connection: psycopg.Connection, redrive: Mapping[str, Any], standing: Sequence[Standing], now: datetime
) -> None:
    store.run(
        connection,
        "redrive.steer",
        redrive_id=redrive["redrive_id"],
        state="halted",
        because=_because(standing, redrive["halt_percent"]),
        by="finsync",
        judged_from=redrive["judged_from"],
        now=now,
    )


def _because(standing: Sequence[Standing], halt_percent: int) -> str:
    """Why nothing more is sent, in words: of which cause how many were refused."""
    held = [one for one in standing if one.waiting]
    if len(standing) == 1:
        [one] = held
        return (
            f"{one.refused} of {one.ended} were refused, more than {halt_percent} %; {one.waiting} have not been sent."
        )
    each = "; ".join(f"{spoken(one.cause)}: {one.refused} of {one.ended}, {one.waiting} not sent" for one in held)
    return f"More than {halt_percent} % were refused of what is left. {each}."


def spoken(cause: str) -> str:
    """A cause as people call it: the kind of exception and the master data behind it.

    >>> spoken("cost_centre_blocked|s4hana|cost_centre=4711")
    'The cost centre is blocked (4711)'
    """
    code, *rest = cause.split("|")
    about = ", ".join(value for part in rest[1:] if (value := part.partition("=")[2]))
    title = kind_of(code).title
    return f"{title} ({about})" if about else title


def _send(
    connection: psycopg.Connection, setup: Setup, redrive: Mapping[str, Any], wave: int, standing: Sequence[Standing], now: datetime,
) -> int:  # fmt: skip
    """Send a wave of those that can be sent; those that cannot are left out with the reason. Returns how many were sent.

    A cause of which nothing has been seen to work yet gets its first few alone: while all of them are such, a wave is as large as
    that takes.
    """
    limit = redrive["halt_percent"]
    held_back = [one.cause for one in standing if one.is_held_back(limit)]
    seen = [one.cause for one in standing if one.ended and not one.is_held_back(limit)]
    many = max(redrive["wave_size"], redrive["canary_size"])
    sent = 0
    while sent < many:
        items = store.rows(
            connection,
            "redrive.next_items",
            redrive_id=redrive["redrive_id"],
            held_back=held_back,
            seen=seen,
            canary_size=redrive["canary_size"],
            wave=wave,
            many=many - sent,
        )
        if not items:
            break
        released = _release(connection, setup, redrive, [item for item in items if not _why_not(item)], now)
        gone = {item["case_id"] for item in items if item["case_id"] not in released}
        store.run(
            connection,
            "redrive.note_items",
            redrive_id=redrive["redrive_id"],
            case_id=[item["case_id"] for item in items],
            status=["queued" if item["case_id"] in released else "skipped" for item in items],
            result=[
                "" if item["case_id"] in released else _why_not(item) or "it is being worked on right now"
                for item in items
            ],
            wave=wave,
            now=now,
        )
        store.run(connection, "redrive.give_cases_back", case_id=sorted(gone))
        sent += len(released)
    return sent


def _why_not(item: Mapping[str, Any]) -> str:
    """Why an item is left out now that its turn has come, or nothing."""
    if item["closed_at"] is not None:
        return "it has been closed meanwhile"
    if item["case_status"] != "queued":
        return "it has changed since it was asked for"
    return ""


def _release(
    connection: psycopg.Connection,
    setup: Setup,
    redrive: Mapping[str, Any],
    items: Sequence[Mapping[str, Any]],
    now: datetime,
) -> set[UUID]:
    """Put items to work. Returns the cases of those that could be."""
    with_work = {item["work_item_id"]: item["case_id"] for item in items if item["work_item_id"] is not None}
    rows = store.rows(
        connection,
        "redrive.release_work",
        work_item_id=list(with_work),
        redrive_id=redrive["redrive_id"],
        now=now,
    )
    messages = {item["message_id"]: item["case_id"] for item in items if item["work_item_id"] is None}
    if messages:
        read_again(connection, setup, list(messages), now)
    return {with_work[row["work_item_id"]] for row in rows} | set(messages.values())


def read_again(connection: psycopg.Connection, setup: Setup, message_ids: list[UUID], now: datetime) -> None:
    """Ask the source for the records of these messages once more, where it can be asked: what could not be read may have been
    sent in a shape that is gone. Others are looked at again as they came, with the mappings of today."""
    ask: list[Mapping[str, Any]] = []
    look: list[Mapping[str, Any]] = []
    for row in store.rows(connection, "intake.feeds_of_messages", message_id=message_ids):
        system = setup.systems.get(row["system"])
        can = system is not None and bool(row["external_id"]) and system.feed(row["feed"]).again is not None
        (ask if can else look).append(row)
    if ask:
        store.run(connection, "intake.want_rereads", message_id=[row["message_id"] for row in ask], now=now)
    if look:
        store.run(
            connection,
            "intake.requeue_messages",
            message_id=[row["message_id"] for row in look],
            received_at=[row["received_at"] for row in look],
            now=now,
        )
