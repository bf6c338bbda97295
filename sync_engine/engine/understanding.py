"""Understanding one message: what it means, or what is wrong with it and where that can be shown.

Nothing here touches the database, and nothing raises: a message nobody can understand comes out with its trouble (the field,
the value, the kind of exception) and with as much of its document as can be said.
"""

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from uuid import UUID

from sync_engine.engine.jsontext import clean
from sync_engine.engine.outcomes import Setup
from sync_engine.engine.troubles import Trouble
from sync_engine.model.errors import MappingError, SyncError
from sync_engine.model.flows import Role
from sync_engine.model.ports import Feed, Identifier, Link, News, Record, Sketch

MESSAGE_BYTES_MAX = 1024 * 1024
"""A document of any honest size is far below; a larger one is kept and shown, not understood."""

ALIASES = {role.value: role for role in Role}
"""A connector names a document of "whoever plays the ERP" by role, because it knows no other system."""


@dataclass(slots=True)
class Understood:
    """One message and what it means: news, or the trouble with it."""

    message_id: UUID
    system: str
    news: News | None = None
    trouble: Trouble | None = None
    sketch: Sketch | None = None

    @property
    def identifier(self) -> Identifier | None:
        """The document it is about, as far as that can be said."""
        if self.news is not None:
            return self.news.identifier
        return self.sketch.identifier if self.sketch else None


def understand(row: Mapping[str, Any], setup: Setup, *, on: date) -> Understood:
    """What one stored message means, its amount convertible on a day."""
    record = Record(row["kind"], row["external_id"], row["version"], row["source_at"], row["body"])
    feed = setup.systems[row["system"]].feed(row["feed"])
    understood = Understood(row["message_id"], row["system"])
    try:
        understood.news = _news_in(record, feed, row["system"], setup, on)
    except SyncError as error:
        understood.trouble = Trouble(
            error.code, str(error), row["system"], {**error.facts, "external_id": record.external_id}
        )
        understood.sketch = _sketch(feed, record)
    except Exception:  # noqa: BLE001 - a bug in understanding one message must not stop the feed
        understood.trouble = nobody_planned(row, traceback.format_exc(limit=-8))
        understood.sketch = _sketch(feed, record)
    return understood


def _news_in(record: Record, feed: Feed, system: str, setup: Setup, on: date) -> News:
    if len(record.body) > MESSAGE_BYTES_MAX:
        raise MappingError(
            f"The message is {len(record.body):,} bytes long; up to {MESSAGE_BYTES_MAX:,} are understood.",
            system=system,
            code="contract_change",
            facts={"field": "message", "value": f"{len(record.body)} bytes"},
        )
    news = _with_roles(feed.understand(record, setup.mappings), setup)
    if news.document is not None and news.document.stated_amount is not None:
        setup.mappings.in_group_currency(*news.document.stated_amount, on)
    return news


def nobody_planned(row: Mapping[str, Any], dump: str) -> Trouble:
    """The trouble with a message that met a bug of ours."""
    name = f"{row['kind']} {row['external_id']}"
    sentence = f"A message of {row['system']} ({name}) could not be understood in a way nobody planned for."
    return Trouble("unexpected", sentence, row["system"], {"dump": clean(dump)})


def _sketch(feed: Feed, record: Record) -> Sketch | None:
    """What can be said of a record, in text that can be stored."""
    sketch = feed.sketch(record)
    if sketch is None:
        return None
    return replace(
        sketch,
        identifier=replace(sketch.identifier, external_id=clean(sketch.identifier.external_id)),
        number=clean(sketch.number),
        title=clean(sketch.title),
        business_unit=clean(sketch.business_unit),
        company_code=clean(sketch.company_code),
        currency=clean(sketch.currency),
        amount=clean(sketch.amount),
    )


def _with_roles(news: News, setup: Setup) -> News:
    unit = news.document.business_unit if news.document else ""

    def real(identifier: Identifier) -> Identifier:
        role = ALIASES.get(identifier.system)
        return replace(identifier, system=setup.role_of(role, unit)) if role is not None else identifier

    return replace(
        news,
        identifier=real(news.identifier),
        identifiers=tuple(map(real, news.identifiers)),
        links=tuple(Link(link.relation, real(link.identifier)) for link in news.links),
    )
