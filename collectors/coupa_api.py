"""How Coupa speaks: lists of what changed, single records, refusals, tokens. Nothing here knows a document.

Vendor behaviour: lists hold fifty records, have neither total nor cursor, and shift while records change; moments have
whole seconds; errors carry sentences and no codes; a new token may open nothing for some seconds.
"""

import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NoReturn

import httpx2

from collectors.http import ClientCredentials, Reply, Session, excerpt
from sync_engine.model.errors import BusinessRejection, ConfigurationError, MappingError, TransientError
from sync_engine.model.money import parse_amount
from sync_engine.model.ports import Json

NAME = "coupa"
PAGE_SIZE = 50
"""The vendor's own limit."""

OVERLAP = timedelta(seconds=10)
"""Read again at the beginning of each run: a record may become visible some seconds after its own updated-at."""
ONE_SECOND = timedelta(seconds=1)

MAX_NOTE = 2000
"""Free text is kept up to here, which is what the canonical documents hold."""

REFUSED = frozenset({400, 404, 422})
"""Statuses of a write that say no."""

# fmt: off
REFUSALS = [
    # In what Coupa says        kind of exception
    ("already been taken",      "effect_conflict"),
    ("already ordered",         "effect_conflict"),
    ("pending approval",        "approval_conflict"),
    ("approved",                "approval_conflict"),
    ("budget",                  "budget_exceeded"),
    ("currency",                "currency_unknown"),
    ("account",                 "account_invalid"),
]
# fmt: on


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a record and where it stands ("requisition 2001, line 2").

    A field that is missing or of another type is a change of the contract; one that is empty or unreadable is the
    record's own fault.
    """

    raw: Json
    place: str

    def _given(self, name: str, *kinds: type[Any]) -> Any:
        value = self._maybe(name, *kinds)
        if name not in self.raw:
            self.refuse("contract_change", name, None, f"there is no field {name}")
        if value is None:
            self.refuse("field_invalid", name, None, f"{name} is empty")
        return value

    def _maybe(self, name: str, *kinds: type[Any]) -> Any:
        value = self.raw.get(name)
        if value is not None and (not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)):
            self.refuse("contract_change", name, value, f"{name} is {value!r:.80}, which is not of the agreed type")
        return value

    def refuse(self, code: str, name: str, value: object, reason: str) -> NoReturn:
        """Say what is wrong.

        Raises:
            MappingError: always.
        """
        facts = {"field": name, "value": "" if value is None else repr(value)[:200], "record": self.place}
        raise MappingError(f"Coupa's {self.place} cannot be read: {reason}.", system=NAME, code=code, facts=facts)

    def text(self, name: str) -> str:
        """A text that has to be there."""
        found: str = self._given(name, str)
        return found

    def text_or_empty(self, name: str) -> str:
        """A text that may be missing, up to `MAX_NOTE` characters."""
        return (self._maybe(name, str) or "").strip()[:MAX_NOTE]

    def number(self, name: str) -> int:
        """A whole number; Coupa writes some of them as text (line-num)."""
        found = self._given(name, int, str)
        if isinstance(found, str) and not found.isdecimal():
            self.refuse("contract_change", name, found, f"{name} is {found!r:.80}, which is not a whole number")
        return int(found)

    def amount(self, name: str) -> Decimal:
        """A decimal, written as text; a JSON number with a fraction would have lost what it was."""
        found = self._given(name, str, int)
        try:
            return parse_amount(found)
        except ValueError as error:
            self.refuse("field_invalid", name, found, str(error))

    def moment(self, name: str) -> datetime:
        """A moment, in UTC."""
        found = self._given(name, str)
        moment = moment_of(found)
        if moment is None:
            self.refuse("field_invalid", name, found, f"{name} is {found!r:.80}, which is not a moment with an offset")
        return moment

    def day_or_none(self, name: str) -> date | None:
        """A day. Coupa writes it as its midnight at the instance, so it is the day as written, not as in UTC."""
        found = self._maybe(name, str)
        if not found:
            return None
        try:
            return datetime.fromisoformat(found).date()
        except ValueError:
            self.refuse("field_invalid", name, found, f"{name} is {found!r:.80}, which is not a date")

    def part(self, name: str) -> "Part":
        """A record inside this one."""
        return Part(self._given(name, dict), self.place)

    def part_or_none(self, name: str) -> "Part | None":
        """A record inside this one, or None."""
        found = self._maybe(name, dict)
        return None if found is None else Part(found, self.place)

    def parts(self, name: str, each: str, *, needed: bool = False) -> list["Part"]:
        """The records of a list inside this one; unless it is needed, the list may be missing."""
        found = self._given(name, list) if needed else self._maybe(name, list) or []
        if not all(isinstance(element, dict) for element in found):
            self.refuse("contract_change", name, found, f"{name} holds something that is not a record")
        return [Part(element, f"{self.place}, {each} {position}") for position, element in enumerate(found, 1)]

    def custom(self, name: str) -> Any:
        """A custom field: inside "custom-fields", or at the top level where the instance is older.

        A look-up field is a record of its own; its outside reference is meant, or else its name.
        """
        inside = self.raw.get("custom-fields")
        value = inside[name] if isinstance(inside, dict) and name in inside else self.raw.get(name)
        if isinstance(value, dict):
            value = value.get("external-ref-num") or value.get("name")
        return value

    def custom_text(self, name: str) -> str:
        """A custom field as text."""
        value = self.custom(name)
        return "" if value is None else str(value).strip()


def moment_of(text: object) -> datetime | None:
    """The moment that `text` spells, in UTC; None when it spells none or names no zone."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


@dataclass(frozen=True, slots=True)
class _Run:
    """How far a run through the changes has come; what a feed's cursor says.

    `seen`: up to here earlier runs have told everything. `since` and `after_id`: where the next page begins. `newest`:
    the newest updated-at this run has met. A cursor between two runs holds `seen` alone.
    """

    began_at: datetime
    seen: datetime | None = None
    newest: datetime | None = None
    since: datetime | None = None
    after_id: int | None = None

    @classmethod
    def of(cls, cursor: Json, now: datetime) -> "_Run":
        """The run that a cursor continues, or the next one, which begins a little before what was seen."""
        seen, newest, since = (moment_of(cursor.get(name)) for name in ("seen", "newest", "since"))
        if since is None and seen is not None:
            since = seen - OVERLAP
        return cls(moment_of(cursor.get("began_at")) or now, seen, newest, since, cursor.get("after_id"))

    def cursor(self) -> Json:
        """The cursor in the middle of the run."""
        moments = {name: getattr(self, name) for name in ("began_at", "seen", "newest", "since")}
        told: Json = {name: moment.isoformat() for name, moment in moments.items() if moment is not None}
        return told if self.after_id is None else {**told, "after_id": self.after_id}

    def question(self) -> dict[str, str]:
        """What the next page asks for."""
        asked = {"limit": str(PAGE_SIZE), "order_by": "updated_at", "dir": "asc"}
        if self.since is not None:
            asked["updated_at[gt_or_eq]"] = self.since.isoformat()
            if self.after_id is not None:
                asked["updated_at[lt]"] = (self.since + ONE_SECOND).isoformat()
                asked |= {"id[gt]": str(self.after_id), "order_by": "id"}
        return asked

    def after(self, rows: list[Any]) -> "_Run | None":
        """The run after a page; None when that was the last.

        Raises:
            TransientError: the same page would come again.
        """
        moments = [moment for row in rows if (moment := moment_of(record_or_empty(row).get("updated-at"))) is not None]
        newest = max(moments, default=None)
        run = self if newest is None else replace(self, newest=max(newest, self.newest or newest))
        if self.after_id is not None and self.since is not None:
            if len(rows) < PAGE_SIZE:
                return replace(run, since=self.since + ONE_SECOND, after_id=None)
            ids = [row["id"] for row in map(record_or_empty, rows) if isinstance(row.get("id"), int)]
            if max(ids, default=0) > self.after_id:
                return replace(run, after_id=max(ids))
        elif len(rows) < PAGE_SIZE:
            return None
        elif newest is not None:
            second = newest.replace(microsecond=0)
            if self.since is None or second > self.since:
                return replace(run, since=second)
            return replace(run, since=self.since.replace(microsecond=0), after_id=0)
        raise TransientError("Coupa sent the same page twice; the feed stays where it is.", system=NAME)

    def ended(self, rows: list[Any]) -> Json:
        """The cursor after the last page.

        It is never beyond the beginning of the run: what became visible late while we read is then read next time.
        """
        moments = [self.newest, *(moment_of(record_or_empty(row).get("updated-at")) for row in rows)]
        newest = max(filter(None, moments), default=None)
        told = [moment for moment in (self.seen, newest and min(newest, self.began_at)) if moment is not None]
        return {"seen": max(told).isoformat()} if told else {}


def read_changes(
    session: Session, cursor: Json, now: datetime, *, path: str, filters: Mapping[str, str]
) -> tuple[list[Any], Json, bool]:
    """One page of what changed: the rows, the cursor after them, and whether more follow.

    Each page asks for what changed at or after the newest updated-at of the page before, oldest first, and never for an
    offset: whatever changes while we read moves to the end, where it is read, and nothing slides past us. When a full
    page brings nothing newer than it was asked for, more records than a page holds changed within one second; that
    second is then read by ascending id, which cannot shift either. What is read twice has the same version.

    Raises:
        TransientError: no list came, or the same page twice; the cursor stays.
        ConfigurationError: Coupa does not accept the question.
    """
    run = _Run.of(cursor, now)
    rows = listed(session, path, {**filters, **run.question()})
    following = run.after(rows)
    if following is None:
        return rows, run.ended(rows), False
    return rows, following.cursor(), True


def listed(session: Session, path: str, params: Mapping[str, str]) -> list[Any]:
    """The rows of a list.

    Raises:
        TransientError: something else came; the page was not read.
        ConfigurationError: Coupa does not accept the question.
    """
    reply = session.get(path, params=params, allow=frozenset({400}))
    if reply.status == 400:
        raise ConfigurationError(
            f"Coupa does not accept our question for {path}: {_said(reply)}",
            system=NAME,
            code="contract_change",
            facts={"field": path, "value": reply.url},
        )
    rows = reply.json(NAME)
    if not isinstance(rows, list):
        raise TransientError(
            f"Coupa answered {path} with something that is not a list: {excerpt(reply.text)}", system=NAME
        )
    return rows


def record_or_empty(row: Any) -> Json:
    """A row as a record; an empty one when it is none."""
    return row if isinstance(row, dict) else {}


def one(session: Session, path: str, place: str) -> Part:
    """One record.

    Raises:
        BusinessRejection: it is not there.
    """
    return answered(session.get(path, allow=frozenset({404})), place, f"Coupa does not show its {place}")


def every(session: Session, path: str, filters: Mapping[str, str]) -> list[Part]:
    """All records of a short list, by ascending id.

    Raises:
        TransientError: the same page came twice.
    """
    found: list[Part] = []
    last_id = 0
    while True:
        params = {**filters, "id[gt]": str(last_id), "order_by": "id", "dir": "asc", "limit": str(PAGE_SIZE)}
        rows = [Part(record_or_empty(row), f"record of {path}") for row in listed(session, path, params)]
        found += rows
        if len(rows) < PAGE_SIZE:
            return found
        if rows[-1].number("id") <= last_id:
            raise TransientError(f"Coupa sent the same page of {path} twice.", system=NAME)
        last_id = rows[-1].number("id")


def put(session: Session, path: str, change: Json, sentence: str) -> None:
    """Change a record.

    Raises:
        BusinessRejection: Coupa refuses; `sentence` says what, and its own words follow.
    """
    reply = session.request("PUT", path, json_body=change, allow=REFUSED)
    if reply.status >= 400:
        raise refusal(reply, sentence)


def answered(reply: Reply, place: str, sentence: str) -> Part:
    """The record that a reply holds.

    Raises:
        BusinessRejection: Coupa refuses; `sentence` says what, and its own words follow.
        TransientError: something else came.
    """
    if reply.status >= 400:
        raise refusal(reply, sentence)
    raw = reply.json(NAME)
    if not isinstance(raw, dict):
        raise TransientError(f"Coupa answered with something that is not a record: {excerpt(reply.text)}", system=NAME)
    return Part(raw, place)


def refusal(reply: Reply, sentence: str) -> BusinessRejection:
    """A refusal in Coupa's own words, and the kind of exception they mean."""
    said = _said(reply)
    code = next((code for words, code in REFUSALS if words in said.lower()), "refused")
    return BusinessRejection(
        f"{sentence}: {said}", system=NAME, code=code, facts={"status": reply.status, "said": said}
    )


def _said(reply: Reply) -> str:
    """The sentences of an error body: {"errors": {"<object>": ["..."]}}."""
    try:
        errors = json.loads(reply.text).get("errors")
    except (ValueError, AttributeError):
        errors = None
    if not isinstance(errors, dict):
        return excerpt(reply.text) or f"status {reply.status}"
    sentences = [item for said in errors.values() for item in (said if isinstance(said, list) else [said])]
    return "; ".join(str(sentence) for sentence in sentences)


class SettlingToken(ClientCredentials):
    """A token of Coupa's, which may open nothing for some seconds after it was given out (vendor behaviour).

    So a 401 soon after the first token since the last success asks for patience; after that it means what it says.
    """

    SETTLES_IN_S = 10.0

    def __init__(
        self, token_url: str, client: Callable[[], tuple[str, str]], *, scope: str, timer: Callable[[], float]
    ) -> None:
        super().__init__(token_url, client, scope=scope, in_body=True, timer=timer)
        self._unproven_since: float | None = None

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Add the token as usual; see the class for a 401."""
        flow = super().auth_flow(request)
        outgoing = next(flow)
        while True:
            response = yield outgoing
            if outgoing is request and response.status_code != 401:
                self._unproven_since = None
            elif outgoing is request and self._is_settling():
                raise TransientError(
                    "Coupa does not accept its new token yet.", system=NAME, retry_after_s=self.SETTLES_IN_S / 2
                )
            try:
                outgoing = flow.send(response)
            except StopIteration:
                return

    def _fetch(self) -> Generator[httpx2.Request, httpx2.Response, str]:
        token = yield from super()._fetch()
        if self._unproven_since is None:
            self._unproven_since = self._timer()
        return token

    def _is_settling(self) -> bool:
        return self._unproven_since is not None and self._timer() - self._unproven_since < self.SETTLES_IN_S
