"""Bugs in what is on record, in who may see it, and in what people ask for."""

from sandbox.simulation.mutants import profiles
from sandbox.simulation.mutants.mutant import Mutant
from sandbox.simulation.mutants.patches import Schema, code, statement

RECORDING = "sync_engine.engine.recording:Recording"
REPROCESS = "sync_engine.control.reprocess"

RECORDS = (
    Mutant(
        "event_left_out",
        "audit",
        "Every change of state has its event, also on the way of a retry",
        ("audit",),
        profiles.LOST,
        (
            code(
                f"{RECORDING}._event",
                (
                    "ordinal = len(self.events)",
                    'ordinal = len(self.events)\n    if attributes and attributes.get("adopted"):\n        return ordinal',
                ),
            ),
        ),
    ),
    Mutant(
        "root_of_other_events",
        "audit",
        "The Merkle root of a recording is over all of its events",
        ("audit",),
        profiles.CALM,
        (code(f"{RECORDING}.merkle_root", ("for event in self.events]", "for event in self.events[:2]]")),),
    ),
    Mutant(
        "hashed_otherwise_than_stored",
        "audit",
        "What is hashed is what is stored",
        ("audit",),
        profiles.CALM,
        (
            code(
                f"{RECORDING}._event",
                ('"actor": actor or self.engine_id', '"actor": (actor or self.engine_id).upper()'),
            ),
            statement("record.insert_events", ("u.system, u.actor, u.flow", "u.system, lower(u.actor), u.flow")),
        ),
    ),
    Mutant(
        "half_a_move",
        "audit",
        "A move changes what the business agreed and what the ledger accepted with the state",
        ("legal_states",),
        profiles.CALM,
        (
            code(
                f"{RECORDING}.move",
                (
                    "head.state, head.approval_status, head.posting_status = after",
                    "head.state, head.approval_status, _ = after",
                ),
            ),
        ),
    ),
    Mutant(
        "less_than_no_time",
        "audit",
        "What a call took is its end less its beginning, by a clock that only grows",
        ("time_is_sane",),
        profiles.SLOW,
        (
            code(
                "sync_engine.engine.lanes:Lane.ask",
                ("(self._timer() - started) * 1000", "(started - self._timer()) * 1000"),
            ),
        ),
    ),
    Mutant(
        "moved_on_meanwhile",
        "audit",
        "What comes of a step when the document has moved on is kept as evidence, and moves nothing",
        ("poison", "no_step_raises", "legal_states"),
        profiles.TAKEN_BACK,
        (
            code(
                "sync_engine.engine.settling:settle",
                ("if item.is_overtaken and", "if False and"),
                ("except IllegalMove as error:\n", "except IllegalMove as error:\n        raise\n"),
            ),
        ),
    ),
    Mutant(
        "secret_on_record",
        "access",
        "No credential stands in what people read",
        ("secrecy",),
        profiles.CALM,
        (
            code(
                "collectors.http:Session._note",
                (
                    "sent = request.content",
                    'sent = request.content + str(request.headers.get("authorization")).encode()',
                ),
            ),
        ),
    ),
    Mutant(
        "told_of_its_neighbours",
        "access",
        "An exception says nothing of another business unit's documents",
        ("secrecy",),
        profiles.REFUSED,
        (
            code(
                f"{RECORDING}.case",
                (
                    "clean(trouble.message),\n",
                    'clean(trouble.message + " beside " + ", ".join(one.title for one in self.heads.values())),\n',
                ),
            ),
        ),
    ),
    Mutant(
        "policy_for_everybody",
        "access",
        "A session reads the rows of its own business units",
        ("isolation",),
        profiles.CALM,
        (Schema("simulate.plant_open_policy", "simulate.undo_open_policy"),),
    ),
    Mutant(
        "no_row_security",
        "access",
        "Every table with a business unit is guarded by the database",
        ("isolation",),
        profiles.REFUSED,
        (Schema("simulate.plant_unguarded_table", "simulate.undo_unguarded_table"),),
    ),
    Mutant(
        "view_of_its_owner",
        "access",
        "A view shows what its reader may see, not what its owner may",
        ("isolation",),
        profiles.CALM,
        (Schema("simulate.plant_owners_view", "simulate.undo_owners_view"),),
    ),
    Mutant(
        "session_outlives_its_transaction",
        "access",
        "A session ends with its transaction: the next user of the connection is nobody",
        ("isolation",),
        profiles.CALM,
        (
            code(
                "sync_engine.control.access:acting",
                ("set_config('finsync.session', %s, true)", "set_config('finsync.session', %s, false)"),
            ),
        ),
    ),
    Mutant(
        "trespass",
        "access",
        "Whoever asks about a document they may not see is denied",
        ("isolation",),
        profiles.CROWDED,
        (code("sync_engine.control.asked:cases", ('if sees(asked.units, row["business_unit"])]', "]")),),
    ),
    Mutant(
        "two_winners",
        "people",
        "Of several people who reprocess the same exception one wins",
        ("once",),
        profiles.CROWDED,
        (
            code(
                f"{REPROCESS}:_why_not",
                ('if case["being_reprocessed_by"]:', "if False:"),
                ('if case["version"] != case["seen_version"]:', "if False:"),
                ('case["work_status"] not in {"parked", "due"}', "False"),
            ),
        ),
    ),
    Mutant(
        "rights_of_yesterday",
        "people",
        "Rights are those the asker has when it is carried out",
        ("four_eyes",),
        profiles.CROWDED,
        (
            code(
                "sync_engine.control.execute:_check",
                ("not asked.is_active or not may(asked.roles, asked.action)", "False"),
            ),
        ),
    ),
)
