"""What stands in the way of a document before it is a case, and what cases with one cause have in common."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that stands in the way, before it is a case. `code` is a key of `exceptions.KINDS`."""

    code: str
    message: str
    system: str
    facts: dict[str, str] = field(default_factory=dict)
    blocks: bool = True


def fingerprint(code: str, system: str, facts: dict[str, str]) -> str:
    """What cases with the same cause have in common: the kind, the system and the master data behind it (Q30, D05).

    Only values that name a master-data object count, so that noise in a message never splits a group; where there is none, the order that
    something is missing for.

    >>> fingerprint("receipt_missing", "finsync", {"order": "4500000020"})
    'receipt_missing|finsync|order=4500000020'
    """
    keys = [f"{name}={facts[name]}" for name in _CAUSE_FACTS if facts.get(name)]
    if not keys and facts.get("order"):
        keys = [f"order={facts['order']}"]
    return "|".join([code, system, *keys])


_CAUSE_FACTS = (
    "cost_centre",
    "supplier",
    "table",
    "value",
    "field",
    "period",
    "company_code",
    "message_code",
    "account",
)
