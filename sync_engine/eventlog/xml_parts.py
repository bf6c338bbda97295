"""XML read piece by piece, and only XML that brings no definitions of its own.

A document type can define entities that unfold to gigabytes or name files of this machine; no event log needs one, so a
file with one is refused before it is read.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET
from xml.parsers import expat

from sync_engine.eventlog.opening import unpacked
from sync_engine.eventlog.records import BadLog

BLOCK = 65_536
"""Bytes read at once."""


class _SeenEnough(Exception):
    """The root has begun; nothing before it can come any more."""


def refuse_definitions(path: Path) -> None:
    """Look at everything before the root element.

    Raises:
        BadLog: there is a document type, or no XML.
    """

    def doctype(*_: object) -> None:
        raise BadLog(f"{path.name} brings a document type definition; remove its <!DOCTYPE ...> to import it.")

    def root(*_: object) -> None:
        raise _SeenEnough

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler, parser.StartElementHandler = doctype, root
    with unpacked(path) as (content, _):
        try:
            while block := content.read(BLOCK):
                parser.Parse(block)
        except _SeenEnough:
            return
        except expat.ExpatError as error:
            raise BadLog(f"{path.name} is no XML: {error}.") from error


def elements(path: Path, tell: Callable[[int], None], *, deepest: int) -> Iterator[tuple[str, ET.Element, int]]:
    """("start" or "end", element, depth) of every element down to depth `deepest`; what lies deeper is in those when they end. Whoever
    reads an element clears it.

    Raises:
        BadLog: the XML is broken; says where.
    """
    depth = 0
    with unpacked(path) as (content, raw):
        parser: Any = ET.XMLPullParser(("start", "end"))
        try:
            while block := content.read(BLOCK):
                parser.feed(block)
                tell(raw.tell())
                for what, element in parser.read_events():
                    if what == "start":
                        depth += 1
                        if depth <= deepest:
                            yield what, element, depth
                    else:
                        if depth <= deepest:
                            yield what, element, depth
                        depth -= 1
            parser.close()
        except ET.ParseError as error:
            raise BadLog(f"{path.name} cannot be read as XML: {error}.") from error


def local(element: ET.Element) -> str:
    """The name of an element without its namespace."""
    tag = element.tag
    return tag.rpartition("}")[2] if tag.startswith("{") else tag
