"""Attribute values: as JSON keeps them, and as a declared type reads them.

Text, whole numbers, plain decimals and truth values are themselves. Anything else, a date of XES or a list of attributes
for instance, is `{"type": ..., "value": ...}`, so that an export can say it again with its type.
"""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

TRUE = {"true": True, "1": True, "false": False, "0": False}


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True, check_circular=False)


def _canonical() -> Callable[[Any], str]:
    """JSONEncoder.encode makes its C encoder anew at every call, which is most of its time on small values; this keeps one."""
    make = json.encoder.c_make_encoder  # type: ignore[attr-defined]
    if make is None:
        return _encode.encode
    parts = make(None, _encode.default, json.encoder.encode_basestring, None, ":", ",", True, False, True)
    return lambda value: "".join(parts(value, 0))


canonical = _canonical()
"""A value as JSON with sorted keys and no blanks: the form that is hashed."""


def typed(value: Any, declared: str) -> Any:
    """`value` (text or already a scalar) as the OCEL or XES type says; as it stands where it does not fit.

    >>> typed("5", "integer"), typed("yes", "boolean"), typed("0.50", "float")
    (5, 'yes', 0.5)
    """
    if declared == "boolean" and value in {0, 1}:
        return bool(value)
    if not isinstance(value, str):
        return plain(value)
    try:
        match declared:
            case "integer" | "int":
                return int(value)
            case "float":
                return plain(float(value))
            case "boolean":
                return TRUE.get(value.strip().lower(), value)
    except ValueError:
        return value
    return value


def plain(value: Any) -> Any:
    """A scalar that JSON and PostgreSQL give back as it was; a float they would turn into something else is tagged."""
    if isinstance(value, float) and (not math.isfinite(value) or "e" in repr(value)):
        return {"type": "float", "value": repr(value)}
    return value


def text(value: Any) -> str:
    """How a value reads where a format has only text.

    >>> text(True), text({"type": "date", "value": "2026-01-01T00:00:00+00:00"}), text(1.5)
    ('true', '2026-01-01T00:00:00+00:00', '1.5')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return text(value.get("value", ""))
    return str(value)


def native(value: Any) -> Any:
    """A value as JSON writes it where tags are not understood."""
    if isinstance(value, Mapping):
        return float(value["value"]) if value.get("type") == "float" else text(value)
    return value
