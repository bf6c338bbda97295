"""OCEL 2.0 as XML (specification of 2023, section 6)."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.sax.saxutils import XMLGenerator

from sync_engine.eventlog.records import Relation
from sync_engine.eventlog.schema import schema_of, values_of
from sync_engine.eventlog.stored import StoredLog
from sync_engine.eventlog.values import text
from sync_engine.eventlog.write_ocel_json import BEGINNING
from sync_engine.eventlog.xml_text import xml_attributes, xml_text


def write_ocel_xml(log: StoredLog, path: Path, _case_type: str) -> int:
    """Returns how many events were written."""
    schema, written = schema_of(log), 0
    with path.open("w", encoding="utf-8") as file:
        xml = XMLGenerator(file, "utf-8", short_empty_elements=True)
        xml.startDocument()
        with _element(xml, "log"):
            for scope, types in (("object", schema.objects), ("event", schema.events)):
                with _element(xml, f"{scope}-types"):
                    for kind, attributes in types.items():
                        _declare(xml, scope, kind, attributes)
            with _element(xml, "objects"):
                for one in log.objects():
                    with _element(xml, "object", id=one.object_id, type=one.object_type):
                        with _element(xml, "attributes"):
                            for name, since, value in one.values:
                                when = BEGINNING if since is None else since.isoformat()
                                _said(xml, value, name=name, time=when)
                        _relations(xml, one.links)
            with _element(xml, "events"):
                for event in log.events():
                    with _element(
                        xml, "event", id=event.key, type=event.seen.activity, time=event.seen.event_at.isoformat()
                    ):
                        with _element(xml, "attributes"):
                            for name, value in values_of(event).items():
                                _said(xml, value, name=name)
                        _relations(xml, event.seen.relations)
                    written += 1
        xml.endDocument()
    return written


@contextmanager
def _element(xml: XMLGenerator, tag: str, **attributes: object) -> Iterator[None]:
    xml.startElement(tag, xml_attributes({name.replace("_", "-"): value for name, value in attributes.items()}))
    yield
    xml.endElement(tag)
    xml.ignorableWhitespace("\n")


def _declare(xml: XMLGenerator, scope: str, kind: str, attributes: Mapping[str, str]) -> None:
    with _element(xml, f"{scope}-type", name=kind), _element(xml, "attributes"):
        for name, declared in attributes.items():
            with _element(xml, "attribute", name=name, type=declared):
                pass


def _said(xml: XMLGenerator, value: Any, **attributes: str) -> None:
    xml.startElement("attribute", xml_attributes(attributes))
    xml.characters(xml_text(text(value)))
    xml.endElement("attribute")


def _relations(xml: XMLGenerator, relations: Iterable[Relation]) -> None:
    with _element(xml, "objects"):
        for target, qualifier in relations:
            with _element(xml, "relationship", object_id=target, qualifier=qualifier):
                pass
