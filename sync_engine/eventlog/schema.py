"""The types of a log as OCEL 2.0 wants them declared: what its file declared, and for the rest what its values are."""

from dataclasses import dataclass, field
from typing import Any

from sync_engine.eventlog.stored import StoredEvent, StoredLog

RESOURCE, STARTED_AT = "resource", "started_at"
"""Attributes under which formats without a place for them carry who did it and when it began."""


@dataclass
class Schema:
    """Attribute types by event type and object type, in the order in which they were declared or found."""

    events: dict[str, dict[str, str]] = field(default_factory=dict)
    objects: dict[str, dict[str, str]] = field(default_factory=dict)


def schema_of(log: StoredLog) -> Schema:
    """What the log's types are."""
    schema = Schema()
    for scope, kinds in (("event", schema.events), ("object", schema.objects)):
        for kind in log.declaration.kinds[scope]:
            kinds[kind] = {}
        for (of, owner, attribute), declared in log.declaration.types.items():
            if of == scope and owner:
                kinds.setdefault(owner, {})[attribute] = declared
        for kind, name, found in log.value_kinds(scope):
            attributes = kinds.setdefault(kind, {})
            if name is not None:
                attributes.setdefault(name, _type_of(found))
    if log.is_ours:
        for kind in schema.objects:
            schema.objects[kind] = dict.fromkeys(OWN_ATTRIBUTES, "string")
    if not log.declaration.format.startswith("ocel"):
        for attributes in schema.events.values():
            attributes.setdefault(RESOURCE, "string")
            attributes.setdefault(STARTED_AT, "time")
    return schema


OWN_ATTRIBUTES = (
    "number", "title", "business_unit", "company_code", "supplier", "currency", "amount", "state", "approval_status", "posting_status",
)  # fmt: skip


def _type_of(kinds: list[str]) -> str:
    if kinds in (["integer"], ["boolean"]):
        return kinds[0]
    return "float" if set(kinds) <= {"integer", "float"} else "string"


def values_of(event: StoredEvent) -> dict[str, Any]:
    """An event's attributes with who did it and when it began, for formats that have no other place for these."""
    seen = event.seen
    values = dict(seen.values)
    if seen.actor:
        values.setdefault(RESOURCE, seen.actor)
    if seen.started_at is not None:
        values.setdefault(STARTED_AT, seen.started_at.isoformat())
    return values
