"""Text that XML 1.0 can carry."""

import re
from collections.abc import Mapping
from xml.sax.xmlreader import AttributesImpl

_FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def xml_text(value: object) -> str:
    """The text, with what XML has no sign for replaced visibly."""
    return _FORBIDDEN.sub("\ufffd", str(value))


def xml_attributes(attributes: Mapping[str, object]) -> "AttributesImpl[str]":
    """Attributes of an element."""
    return AttributesImpl({name: xml_text(value) for name, value in attributes.items()})
