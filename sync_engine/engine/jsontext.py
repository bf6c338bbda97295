"""Text and JSON as PostgreSQL can hold them: without the character NUL, which no text of it may contain."""

import json
from typing import Any

_encode = json.JSONEncoder(ensure_ascii=False, default=str, check_circular=False).encode


def without_nul(value: Any) -> Any:
    """The value with every NUL in its texts replaced by the mark of an unreadable character. What only speaks of one, a backslash
    and "u0000" written out, stays as it is: what is hashed has to be what is stored."""
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd") if "\x00" in value else value
    if isinstance(value, dict):
        return {without_nul(name): without_nul(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_nul(inner) for inner in value]
    return value


def json_text(value: Any) -> str:
    """The value as JSON; of nothing, an empty object."""
    if not value:
        return "{}"
    text = _encode(value)
    return _encode(without_nul(value)) if "\\u0000" in text else text


def clean(text: str) -> str:
    """Text that PostgreSQL can hold: without NUL and without halves of characters."""
    text = text.replace("\x00", "\ufffd")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
