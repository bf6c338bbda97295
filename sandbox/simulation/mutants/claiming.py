"""Bugs between engines, and in how work is taken, waits and comes back."""

from sandbox.simulation.mutants import profiles
from sandbox.simulation.mutants.mutant import Mutant
from sandbox.simulation.mutants.patches import code, statement

CLAIM = "work.claim_calls"

CLAIMING = (
    Mutant(
        "no_fencing",
        "claims",
        "Whoever lost a claim writes nothing under it",
        ("fencing",),
        profiles.HELD_TOO_LONG,
        (statement("record.settle_work", ("AND w.fencing_token = u.fencing_token AND", "AND")),),
    ),
    Mutant(
        "token_stands_still",
        "claims",
        "Every claim has a higher token than the one before",
        ("fencing",),
        profiles.KILLED,
        (statement(CLAIM, ("fencing_token = w.fencing_token + 1", "fencing_token = w.fencing_token")),),
    ),
    Mutant(
        "lease_by_local_clock",
        "claims",
        "A lease is as long as it says, by the time that all engines share",
        ("fencing",),
        profiles.SLOW,
        (
            code(
                "sync_engine.engine.lanes:Lane.claim",
                ("timedelta(seconds=LEASE_S)", "timedelta(seconds=LEASE_S - 3_600)"),
            ),
        ),
    ),
    Mutant(
        "claims_what_is_held",
        "claims",
        "What another engine holds is left to it until its lease is over",
        ("fencing",),
        profiles.SLOW,
        (statement(CLAIM, ("w.status = 'in_call' AND w.lease_until < :now", "w.status = 'in_call'")),),
    ),
    Mutant(
        "abandoned_for_ever",
        "claims",
        "What a killed engine held is taken up when its lease is over",
        ("liveness",),
        profiles.KILLED,
        (
            statement(
                CLAIM,
                (
                    "w.status = 'in_call' AND w.lease_until < :now",
                    "w.status = 'in_call' AND w.lease_until < '2000-01-01'",
                ),
            ),
        ),
    ),
    Mutant(
        "begins_too_late",
        "claims",
        "No call begins when half of its lease is over",
        ("fencing",),
        profiles.SLOW,
        (code("sync_engine.engine.lanes:Lane.may_begin", ("LEASE_S / 2", "LEASE_S * 500")),),
    ),
    Mutant(
        "never_tried_again",
        "claims",
        "What was not sent is tried again",
        ("liveness",),
        profiles.DOWN,
        (
            code(
                "sync_engine.engine.settling:_again_at",
                ("later = recording.now + timedelta(", "later = recording.now + timedelta(days=400) + timedelta("),
            ),
        ),
    ),
    Mutant(
        "news_while_away_is_missed",
        "claims",
        "News that comes while an item is being worked on makes it look again",
        ("liveness", "confluence"),
        profiles.SLOW,
        (
            statement("record.settle_work", ("AND w.wakes <> u.wakes", "AND w.wakes < 0")),
            statement("record.wake_work", ("AND w.status IN ('due', 'in_call')", "AND w.status = 'in_call'")),
        ),
    ),
    Mutant(
        "breaker_never_half_opens",
        "claims",
        "After its pause an open breaker lets one call through to see",
        ("liveness",),
        profiles.DOWN,
        (statement(CLAIM, ("WHEN s.breaker = 'open' THEN 1", "WHEN s.breaker = 'open' THEN 0")),),
    ),
    Mutant(
        "retry_after_not_obeyed",
        "restraint",
        "A system that asks to be left alone is left alone for as long as it asks",
        ("restraint",),
        profiles.STORMY,
        (code("collectors.http:_retry_after_s", ('value = headers.get("Retry-After", "").strip()', "return None")),),
    ),
    Mutant(
        "pause_not_shared",
        "restraint",
        "What one engine was told, to wait, holds for all of them",
        ("restraint",),
        profiles.STORMY,
        (
            statement(CLAIM, ("WHEN s.paused_until > :now THEN 0", "WHEN false THEN 0")),
            statement("work.pulse", ("CASE WHEN paused_until > :now THEN paused_until END", "NULL::timestamptz")),
        ),
    ),
    Mutant(
        "no_backoff",
        "restraint",
        "Whoever was turned away waits longer each time",
        ("restraint", "comes_to_rest"),
        profiles.DOWN,
        (
            code("sync_engine.engine.backoff:backoff_s", ("BACKOFF_BASE_S * 2 ** min(tries, 20)", "0.5")),
            statement(
                "record.note_systems",
                ("s.consecutive_failures + u.failed >= :breaker_failures THEN 'open'", "false THEN 'open'"),
            ),
            statement("work.pulse", ("CASE WHEN paused_until > :now THEN paused_until END", "NULL::timestamptz")),
            statement(CLAIM, ("WHEN s.paused_until > :now THEN 0", "WHEN false THEN 0")),
        ),
    ),
    Mutant(
        "limit_of_each_engine",
        "restraint",
        "The rate limit is one for all engines together",
        ("restraint",),
        profiles.STORMY,
        (statement(CLAIM, ("- (SELECT count(*) FROM taken)", "- 0")),),
        setting=(
            code(
                "sandbox.simulation.landscape:Landscape.connect",
                (
                    "requests_per_s=blocks.systems[name].requests_per_s or system.requests_per_s",
                    "requests_per_s=0.05, burst=4",
                ),
            ),
        ),
    ),
)
