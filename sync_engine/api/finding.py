"""Finding the one document that a number means."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sync_engine.api.asking import Asked, Row
from sync_engine.api.problems import Problem
from sync_engine.model.documents import DocumentType

CANDIDATES_MAX = 20
NUMBER_CHARS_MAX = 255
"""No name of a document is longer."""


def find_one(asked: Asked, document_type: DocumentType, number: str) -> Row:
    """The row of the document that `number` means to the caller.

    Raises:
        Problem: 404, there is none among what the caller may see; 409, there are several.
    """
    text = number.strip().lower()
    what = document_type.value.replace("_", " ")
    found: list[Row] = []
    if text and len(text) <= NUMBER_CHARS_MAX and "\x00" not in text:
        found = asked.rows(
            "documents_called",
            document_type=document_type.value,
            text=text,
            prefix=f"{text}/",
            document_id=_as_id(text),
        )
    if not found:
        raise Problem(
            404,
            "not_found",
            f"No {what} is called {number[:NUMBER_CHARS_MAX]!r} among those you may see.",
            next_step="Check the number and the business units of your token.",
        )
    if len(found) > 1:
        raise Problem(
            409,
            "ambiguous",
            f"{number!r} is the number of {len(found) if len(found) <= CANDIDATES_MAX else f'more than {CANDIDATES_MAX}'} documents of this type.",
            next_step="Ask again with the document_id of the one you mean.",
            candidates=_candidates(found),
        )
    return found[0]


def _as_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _candidates(found: Sequence[Row]) -> list[dict[str, Any]]:
    shown = ("document_id", "document_type", "number", "business_unit", "supplier_name", "state")
    return [{name: row[name] for name in shown} for row in found[:CANDIDATES_MAX]]
