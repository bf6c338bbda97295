"""What a run notes while it happens, for invariants that no ledger could answer afterwards."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sandbox.simulation.findings import Finding


@dataclass
class Notes:
    """What a run notes for the invariants, beside what can be read from the ledgers and the database.

    Attributes:
        claims: (work item, token): the engine that was given it.
        claimed_at: When each work item was claimed last, by the database's time.
        keys: The payload of which each idempotency key was first seen.
        buckets: What each system's rate limit still allowed at its last claim, and when that was.
        newest: The highest token each work item was claimed under.
        left_alone_until: Until when a system has asked to be left alone, by the database's time.
        reads: Histories of documents as they were read during the run, by document.
        findings: What was seen to be wrong while it happened.
        crashes: How often an engine was killed at each boundary.
        steps: How often each flow step was asked or decided.
    """

    claims: dict[tuple[UUID, int], str] = field(default_factory=dict)
    claimed_at: dict[UUID, datetime] = field(default_factory=dict)
    keys: dict[str, bytes] = field(default_factory=dict)
    buckets: dict[str, tuple[float, datetime]] = field(default_factory=dict)
    newest: dict[UUID, int] = field(default_factory=dict)
    left_alone_until: dict[str, datetime] = field(default_factory=dict)
    reads: list[dict[UUID, list[tuple[int, str]]]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    crashes: Counter[str] = field(default_factory=Counter)
    steps: Counter[str] = field(default_factory=Counter)
