"""Bugs in what is sent out: what would be ordered twice, or taken for something else."""

from sandbox.simulation.mutants import profiles
from sandbox.simulation.mutants.mutant import Mutant
from sandbox.simulation.mutants.patches import code, statement

OUTCOME = "sync_engine.engine.lanes:Lane._outcome"
ORDERS = "collectors.sap_s4hana_orders"

SENDING = (
    Mutant(
        "send_again_without_looking",
        "sending",
        "Before anything is sent again the system is asked whether it is there",
        ("one_live_order",),
        profiles.LOST,
        (code(OUTCOME, ("if item.ask_first and operation.look_up is not None:", "if False:")),),
    ),
    Mutant(
        "lost_answer_taken_for_not_sent",
        "sending",
        "A lost answer is no refusal: nobody knows, so it is not simply sent again",
        ("one_live_order",),
        profiles.LOST,
        (
            code(
                OUTCOME,
                (
                    'return Outcome(Kind.UNKNOWN, trouble=_trouble(error)), "unknown", effect',
                    'return Outcome(Kind.NOT_SENT, trouble=_trouble(error)), "not_sent", effect',
                ),
            ),
        ),
    ),
    Mutant(
        "unknown_is_not_remembered",
        "sending",
        "That an answer was lost stays with the work until it is known",
        ("one_live_order",),
        profiles.LOST,
        (code("sync_engine.engine.settling:_settle_unknown", ("ask_first=True", "ask_first=False")),),
    ),
    Mutant(
        "killed_engine_taken_for_idle",
        "sending",
        "Whoever takes over from a killed engine looks first, because it may have sent",
        ("one_live_order",),
        profiles.KILLED,
        (
            statement(
                "work.claim_calls", ("ask_first = w.ask_first OR w.status = 'in_call'", "ask_first = w.ask_first")
            ),
        ),
    ),
    Mutant(
        "no_quiet_period",
        "sending",
        "What is not there yet may still appear: nothing is sent before the quiet period is over",
        ("one_live_order",),
        profiles.LATE_EFFECTS,
        (
            code(
                "sync_engine.engine.lanes:Lane._may_still_appear",
                ("item.unknown_since is not None", "item.unknown_since is None"),
            ),
            code("sync_engine.engine.settling:_settle_unknown", ("max(_quiet_s(item, setup), ", "max(0.0, ")),
        ),
    ),
    Mutant(
        "looked_up_by_amount",
        "sending",
        "What was sent is looked up by our own reference, not by what it looks like",
        ("confluence", "totals", "one_live_order"),
        profiles.LOST,
        (
            code(
                f"{ORDERS}:find_purchase_order",
                (
                    'f"CorrespncExternalReference eq {literal(reference)}"',
                    'f"Supplier eq {literal(bare(order.supplier))}"',
                ),
                ("if len(live) > 1:", "if False:"),
                ("if differing:", "if False:"),
            ),
        ),
    ),
    Mutant(
        "reference_of_the_moment",
        "sending",
        "Our reference depends on the document and the step, never on when or by whom it is asked",
        ("one_live_order",),
        profiles.LOST,
        (
            code(
                "sync_engine.model.ports:Ask.reference",
                (
                    "ids.reference(self.document_id, self.purpose, length)",
                    'ids.reference(self.document_id, f"{self.purpose} {self.now}", length)',
                ),
            ),
        ),
    ),
    Mutant(
        "key_without_payload",
        "sending",
        "An idempotency key is of one payload: another version of a document has another key",
        ("once",),
        profiles.EDITED,
        (code("sync_engine.engine.results:_key", ("parts.encode() + item.payload_hash", "parts.encode()")),),
    ),
    Mutant(
        "sent_without_intent",
        "sending",
        "What is about to be done outside is on record before it is done",
        ("audit",),
        profiles.CALM,
        (
            code(
                "sync_engine.engine.store:write_claims",
                ("pipeline.send_rows(recording.intents, engine_id=recording.engine_id)", "pass"),
            ),
        ),
    ),
    Mutant(
        "price_rounded_away",
        "sending",
        "What the ERP is asked for has the price that was approved, to the minor unit",
        ("totals", "confluence"),
        profiles.CALM,
        (
            code(
                "collectors.sap_s4hana_bodies:price",
                ("decimals = minor_units(currency)", "return str(round(line.unit_price)), '1'"),
            ),
        ),
    ),
    Mutant(
        "half_an_order",
        "sending",
        "Every line of a requisition is in an order",
        ("confluence", "liveness"),
        profiles.SLOW,
        (
            code(
                "sync_engine.engine.decisions.drafting:_drafted",
                (
                    "by_supplier[line.supplier].append(line)",
                    "by_supplier.setdefault(requisition.lines[0].supplier, [line])",
                ),
            ),
        ),
    ),
)
