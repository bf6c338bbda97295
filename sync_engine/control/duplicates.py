"""What somebody says of two invoices that look alike: kept for good, and used from then on. A pair that is called distinct stops nothing any
more (the check is repeated without it) and is not shown again; one that is called a duplicate always stops the later invoice where it is checked; and what was said of a
pattern is how sure the next pair of it is (R082, PRODUCT.md 4.11).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError

from sync_engine.control import reprocess
from sync_engine.control.asked import Asked, Doing, Refusal, cases
from sync_engine.control.roles import Action, sees
from sync_engine.engine import store


class _Said(BaseModel):
    model_config = ConfigDict(extra="forbid")

    document_id: UUID
    other_id: UUID
    pattern: Literal["exact", "reference", "date", "value", "vendor"]
    verdict: Literal["duplicate", "distinct"]


def judge(asked: Asked, doing: Doing) -> dict[str, Any]:
    """A verdict on a pair of invoices; the newest of a pair holds."""
    try:
        said = _Said.model_validate(asked.arguments)
    except ValidationError:
        raise Refusal("failed", "The command does not say which two invoices it is about, or what they are.") from None
    found = store.rows(doing.connection, "command.pair_of_invoices", document_id=[said.document_id, said.other_id])
    units = {row["document_id"]: row["business_unit"] for row in found if sees(asked.units, row["business_unit"])}
    if len(units) < 2:
        raise Refusal("denied", "These are not two invoices you may see.")
    if any(row["document_id"] == said.document_id and row["state"] in {"cleared", "paid", "rejected"} for row in found):
        raise Refusal("conflict", "The invoice has been paid or given up meanwhile.")
    doing.business_units.add(units[said.document_id])
    store.run(
        doing.connection, "command.put_verdict", verdict_id=doing.setup.new_id(doing.now), business_unit=units[said.document_id], reason=asked.reason, author=asked.actor, now=doing.now,
        **said.model_dump(),
    )  # fmt: skip
    stopped = store.rows(
        doing.connection, "command.duplicate_case", document_id=said.document_id, other_id=said.other_id
    )
    for case in stopped:
        doing.recording.case_event(case["case_id"], asked.actor, "verdict", asked.reason, {"verdict": said.verdict, "other": str(said.other_id)}, units[said.document_id])  # fmt: skip
    if said.verdict == "duplicate":
        return {"sentence": "Kept: the same bill twice. Give it up on its exception, or block it where it is already posted."}  # fmt: skip
    return {"sentence": f"Kept: two different bills. {_checked_again(asked, doing, stopped)}".rstrip()}


def _checked_again(asked: Asked, doing: Doing, stopped: Sequence[Mapping[str, Any]]) -> str:
    """The check that stopped the invoice is repeated, and finds this pair no more."""
    if not stopped:
        return ""
    named = [{"case_id": str(case["case_id"]), "version": case["version"]} for case in stopped]
    repeating = replace(asked, action=Action.REPROCESS, arguments={"cases": named})
    return " ".join(said for case in cases(repeating, doing) if (said := reprocess.go_on(repeating, doing, case)))
