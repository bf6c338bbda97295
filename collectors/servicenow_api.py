"""ServiceNow's Table API: asking for rows, changing them, and not trusting what comes back.

Version 2 in the path: an empty list is 200 there, 404 in version 1. Stored values are asked for throughout: UTC
datetimes without a zone, "true"/"false", "" for nothing.

A part of a query that ServiceNow cannot understand is left out and the rest is run, which can mean the whole table.
Every row that comes back is therefore held against the question.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from collectors.http import Reply, Session, excerpt
from sync_engine.model.errors import (
    AnswerLost,
    BusinessRejection,
    ConfigurationError,
    MappingError,
    SyncError,
    TransientError,
)
from sync_engine.model.ports import Ask, Json

NAME = "servicenow"
PATH = "/api/now/v2/table"
OPEN_STATES = ("requested", "not requested")
DECIDED_STATES = ("approved", "rejected")
OURS = "fs-"
"""What every correlation id of ours begins with."""
SHORT_CHARS = 100
"""How much correlation_display holds."""
_STORED_VALUES = {"sysparm_display_value": "false", "sysparm_exclude_reference_link": "true"}
_SEEN = frozenset({400, 403, 404})
"""Statuses that are judged here, by REFUSALS."""

# fmt: off
REFUSALS: tuple[tuple[int, str, type[SyncError], str], ...] = (
    # status, in the text     kind of error       code
    (403,     "data policy",   BusinessRejection,  "refused"),
    (403,     "business rule", BusinessRejection,  "refused"),
    (403,     "",              ConfigurationError, "access_refused"),
    (400,     "invalid table", ConfigurationError, "access_refused"),
    (400,     "",              BusinessRejection,  "refused"),
    (404,     "",              BusinessRejection,  "refused"),
)
"""ServiceNow has no message codes: 403 is an access rule or a refusal by the business, told apart by the text."""
# fmt: on

_HOLDS: dict[str, Callable[[str, str], bool]] = {
    "=": lambda have, want: have == want,
    "STARTSWITH": str.startswith,
    ">=": lambda have, want: have >= want,
}


@dataclass(frozen=True, slots=True)
class Where:
    """One condition of a query: a column compares with one of the values.

    Raises:
        MappingError: a value that the query language would read as something else than a value.
    """

    column: str
    operator: str
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        for value in self.values:
            if "^" in value or "\n" in value or value.startswith("javascript:"):
                raise MappingError(
                    f"{value!r} cannot be looked up in ServiceNow: it would be read as a part of the query.",
                    system=NAME,
                    code="field_invalid",
                    facts={"field": self.column, "value": value},
                )

    def __str__(self) -> str:
        """The condition in ServiceNow's encoded form."""
        return "^OR".join(f"{self.column}{self.operator}{value}" for value in self.values)

    def holds(self, row: Json) -> bool:
        """Whether a row that came back was really asked for. Text compares without case, as ServiceNow's does."""
        have = row.get(self.column)
        holds = _HOLDS[self.operator]
        return isinstance(have, str) and any(holds(have.casefold(), value.casefold()) for value in self.values)


def where(column: str, operator: str, *values: str) -> Where:
    """The condition that `column` compares with one of `values`."""
    return Where(column, operator, values)


def select(
    session: Session,
    table: str,
    conditions: Sequence[Where],
    columns: str,
    *,
    order: str = "sys_created_on",
    limit: int = 1000,
    offset: int = 0,
) -> tuple[list[Json], int]:
    """Rows of a table that satisfy every condition, and how many there are in all before access rules hide some.

    Raises:
        ConfigurationError: the integration user may not ask this, or the answer is not what was asked for.
        TransientError: the answer cannot be read.
    """
    query = "^".join([*map(str, conditions), *(f"ORDERBY{column}" for column in order.split(","))])
    fields = dict.fromkeys([*columns.split(","), *(condition.column for condition in conditions)])
    page = {"sysparm_limit": str(limit), "sysparm_offset": str(offset)}
    reply = session.get(
        f"{PATH}/{table}",
        params={"sysparm_query": query, "sysparm_fields": ",".join(fields), **page, **_STORED_VALUES},
        allow=_SEEN,
    )
    if reply.status >= 400:
        raise ConfigurationError(
            f"ServiceNow does not let the integration user read {table}: {_said(reply)}",
            system=NAME,
            facts={"table": table, "status": reply.status},
        )
    answer = reply.json(NAME)
    rows = answer.get("result") if isinstance(answer, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise TransientError(f"ServiceNow's answer about {table} holds no rows: {excerpt(reply.text)}", system=NAME)
    _check_asked_for(table, rows, conditions)
    count = reply.headers.get("X-Total-Count", "")
    has_next = 'rel="next"' in reply.headers.get("Link", "")
    return rows, int(count) if count.isdigit() else offset + len(rows) + int(has_next)


def _check_asked_for(table: str, rows: list[Json], conditions: Sequence[Where]) -> None:
    for row in rows:
        for condition in conditions:
            if not condition.holds(row):
                have = row.get(condition.column, "hidden")
                raise ConfigurationError(
                    f"ServiceNow sent rows of {table} that were not asked for: {condition.column} is {have!r}. "
                    f"It leaves out of a query what it does not understand or the integration user may not see; "
                    f"nothing was taken from this answer.",
                    system=NAME,
                    facts={"table": table, "field": condition.column, "value": have, "asked": str(condition)[:200]},
                )


def row_of(session: Session, table: str, sys_id: str, columns: str) -> Json:
    """One row by its id.

    Raises:
        BusinessRejection: it is not there, or hidden.
    """
    params = {"sysparm_fields": columns, **_STORED_VALUES}
    reply = session.get(f"{PATH}/{table}/{sys_id}", params=params, allow=_SEEN)
    if reply.status >= 400:
        raise _refusal(reply, f"show {sys_id} of {table}")
    row: Json = reply.json(NAME)["result"]
    return row


def write(session: Session, method: str, path: str, body: Json, *, doing: str) -> Json:
    """The row as it stands after a change; `doing` says to people what was tried.

    Raises:
        BusinessRejection, ConfigurationError: refused, by the text.
        AnswerLost: done for all we know, and the answer cannot be read.
    """
    reply = session.request(method, f"{PATH}/{path}", params=_STORED_VALUES, json_body=body, allow=_SEEN)
    if reply.status >= 400:
        raise _refusal(reply, doing)
    try:
        result: Json = reply.json(NAME)["result"]
        result["sys_id"], result["sys_created_on"]
    except (TransientError, KeyError, TypeError):
        message = f"ServiceNow was asked to {doing}, and its answer cannot be read: {excerpt(reply.text)}"
        raise AnswerLost(message, system=NAME) from None
    return result


def _refusal(reply: Reply, doing: str) -> SyncError:
    said = _said(reply)
    facts = {"status": reply.status, "url": reply.url}
    kind, code = next(
        (kind, code)
        for status, fragment, kind, code in REFUSALS
        if status == reply.status and fragment in said.casefold()
    )
    return kind(f"ServiceNow refused to {doing}: {said}", system=NAME, code=code, facts=facts)


def _said(reply: Reply) -> str:
    """The vendor's own words in a refusal."""
    try:
        error = json.loads(reply.text)["error"]
        return excerpt(". ".join(str(part).strip() for part in (error["message"], error.get("detail")) if part))
    except (ValueError, KeyError, TypeError, AttributeError):
        return excerpt(reply.text)


def moment(text: str, column: str) -> datetime:
    """The moment a stored datetime means; aware UTC.

    Raises:
        MappingError: it is none.
    """
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        raise MappingError(
            f"The row cannot be read: {column} {text!r} is not a date and time.",
            system=NAME,
            code="field_invalid",
            facts={"field": column, "value": text},
        ) from None


def plain(text: object, length: int) -> str:
    """`text`, cut to `length`, without what ServiceNow would render: control characters and the [code] tag of journals.

    >>> plain("a [code]<b>b</b>[/CODE]", 40)
    'a (code)<b>b</b>(/CODE)'
    """
    kept = "".join(char for char in str(text) if char == "\n" or char.isprintable())
    kept = re.sub(r"\[(/?code)\]", r"(\1)", kept, flags=re.IGNORECASE)
    return kept if len(kept) <= length else f"{kept[: length - 4]} ..."


def age(row: Json) -> tuple[str, str]:
    """What sorts rows from the oldest to the youngest."""
    return row["sys_created_on"], row["number"]


def check_ours(row: Json, ask: Ask, *, also_called: str | None = None) -> None:
    """Refuse to adopt what carries our reference and is about something else than the document, by its own number or by the one it is
    `also_called`.

    The price is not compared: an instance may hold it converted to its own currency.

    Raises:
        BusinessRejection: `effect_conflict`, with both.
    """
    ours, theirs = plain(ask.document.number, SHORT_CHARS), row.get("correlation_display", "")
    if theirs != ours and not (also_called and theirs == plain(also_called, SHORT_CHARS)):
        raise BusinessRejection(
            f"{row['number']} in ServiceNow carries our reference and is about {theirs or 'nothing'!r}, not {ours!r}.",
            system=NAME,
            code="effect_conflict",
            facts={"number": row["number"], "correlation_display": f"{theirs} instead of {ours}"},
        )
