"""What the invariants say when something is not as it must be."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not be: which invariant says so, of which document, and what it saw."""

    invariant: str
    document: str
    says: str
