"""The canonical documents as they stand, each with both its statuses; one path per type, so that the schema says what comes."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field

from sync_engine.api.asking import ByCaller
from sync_engine.api.finding import find_one
from sync_engine.api.problems import Problem, told
from sync_engine.control.roles import RULES, Action
from sync_engine.model.documents import DOCUMENTS, ApprovalStatus, Document, DocumentType, PostingStatus

D = TypeVar("D", bound=Document)

router = APIRouter(tags=["documents"])


class Standing(BaseModel, Generic[D]):
    """A document and where it stands."""

    schema_version: Literal["1.0"] = "1.0"
    as_of: datetime
    document_id: UUID
    document_type: DocumentType
    document_version: int = Field(description="Rises with every change.")
    number: str
    business_unit: str
    state: str
    state_since: datetime
    approval_status: ApprovalStatus = Field(description="Business status: what the business agreed.")
    posting_status: PostingStatus = Field(description="Financial status: what the ledger accepted.")
    payload_version: int = Field(
        description="Which version of the content this is; 0 when nothing readable has arrived yet."
    )
    payload_hash: str | None = Field(description="SHA-256 of the content: what approvals are bound to.")
    mapping_version: str | None = Field(description="The mappings it was read with.")
    document: D | None


def _getter(kind: type[Document]) -> Callable[[str, ByCaller], Standing[Any]]:
    def get_document(number: str, caller: ByCaller) -> Standing[Any]:
        with caller.asking() as asked:
            if not asked.person.may(Action.VIEW_PAYLOAD):
                raise Problem(
                    403,
                    "forbidden",
                    f"Your role does not allow you to {RULES[Action.VIEW_PAYLOAD].says}.",
                    next_step="Ask whoever gives out roles for finance operations, integration support or auditor.",
                )
            row = find_one(asked, kind.type, number)
        return Standing[kind](  # type: ignore[valid-type]
            as_of=asked.as_of,
            document_version=row["version"],
            document=kind.model_validate_json(row["canonical"]) if row["canonical"] else None,
            **{name: row[name] for name in _AS_IN_ROW},
        )

    return get_document


_AS_IN_ROW = (
    "document_id", "document_type", "number", "business_unit", "state", "state_since", "approval_status", "posting_status",
    "payload_version", "payload_hash", "mapping_version",
)  # fmt: skip

for _kind in DOCUMENTS.values():
    _words = _kind.type.value.replace("_", " ")
    router.add_api_route(
        f"/v1/documents/{_kind.type.value}/{{number:path}}",
        _getter(_kind),
        methods=["GET"],
        operation_id="get" + "".join(word.title() for word in _words.split()),
        summary=f"One {_words}, whole",
        response_model=Standing[_kind],  # type: ignore[valid-type]
        responses=told(403, 404, 409),
    )


@router.get("/v1/documents/{document_type}/{number:path}", include_in_schema=False)
def get_unknown(document_type: str, number: str) -> None:  # noqa: ARG001 - the path has it
    """A type nobody has heard of."""
    raise Problem(
        404,
        "not_found",
        f"{document_type[:50]!r} is not a type of document.",
        next_step=f"There are: {', '.join(DocumentType)}.",
    )
