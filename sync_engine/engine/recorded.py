"""Which rows a recording can write, and in which order their values are given: a set of rows for each statement of `record.sql`."""

from sync_engine.engine.rows import Rows


class RecordedRows:
    """Plain rows on their way to the database, one set for each statement."""

    def __init__(self) -> None:
        self.payloads = Rows(
            "record.insert_payloads",
            "document_id",
            "payload_version",
            "canonical",
            "payload_hash",
            "schema_version",
            "mapping_version",
            "message_id",
            "author",
            "business_unit",
        )
        self.identifiers = Rows(
            "record.insert_identifiers", "system", "kind", "external_id", "document_id", "business_unit"
        )
        self.links = Rows("record.insert_links", "from_document_id", "to_document_id", "relation", "business_unit")
        self.wanted_links = Rows(
            "record.insert_wanted_links",
            "from_document_id",
            "relation",
            "system",
            "kind",
            "external_id",
            "business_unit",
        )
        self.event_objects = Rows("record.insert_event_objects", "ordinal", "document_id", "qualifier", "business_unit")
        self.work = Rows(
            "record.settle_work",
            "work_item_id",
            "fencing_token",
            "wakes",
            "status",
            "step",
            "system",
            "business_unit",
            "due_at",
            "step_since",
            "objective_at",
            "tries",
            "ask_first",
            "unknown_since",
            "waiting_for",
            "facts",
            "redrive_id",
            "knows_anew",
        )
        self.new_work = Rows(
            "record.insert_work",
            "work_item_id",
            "document_id",
            "subject_id",
            "business_unit",
            "flow",
            "step",
            "system",
            "due_at",
            "objective_at",
            "priority",
            "facts",
        )
        self.restarts = Rows(
            "record.restart_work",
            "work_item_id",
            "document_id",
            "subject_id",
            "business_unit",
            "flow",
            "step",
            "system",
            "objective_at",
        )
        self.intents = Rows(
            "record.insert_intents",
            "idempotency_key",
            "work_item_id",
            "document_id",
            "business_unit",
            "flow",
            "step",
            "system",
            "operation",
            "payload_hash",
            "fencing_token",
        )
        self.settled_intents = Rows("record.settle_intents", "document_id", "idempotency_key", "outcome")
        self.earlier_intents = Rows(
            "record.settle_earlier_intents", "idempotency_key", "document_id", "work_item_id", "step", "outcome"
        )
        self.attempts = Rows(
            "record.insert_attempts",
            "attempt_id",
            "system",
            "operation",
            "effect",
            "flow",
            "step",
            "document_id",
            "work_item_id",
            "correlation_id",
            "business_unit",
            "idempotency_key",
            "try_number",
            "started_at",
            "duration_ms",
            "outcome",
            "error_code",
            "message",
            "http_status",
            "http_calls",
            "records",
            "request_bytes",
            "response_bytes",
            "trace_id",
            "calls",
        )
        self.attempt_bodies = Rows(
            "record.insert_attempt_bodies", "attempt_id", "position", "sent", "answered", "business_unit"
        )
        self.cases = Rows(
            "record.open_cases",
            "case_id",
            "document_id",
            "message_id",
            "work_item_id",
            "flow",
            "step",
            "system",
            "category",
            "code",
            "origin",
            "retryable",
            "fingerprint",
            "message",
            "facts",
            "number",
            "document_type",
            "business_unit",
            "currency",
            "amount",
            "group_amount",
            "due_on",
            "blocks",
            "owner_team",
        )
        self.closed_cases = Rows("record.close_cases", "case_id", "close_reason", "closed_by")
        self.case_statuses = Rows("record.set_case_status", "case_id", "status")
        self.case_events = Rows(
            "record.insert_case_events",
            "case_id",
            "case_event_id",
            "actor",
            "action",
            "comment",
            "details",
            "business_unit",
        )
        self.redrive_items = Rows("record.settle_redrive_items", "redrive_id", "case_id", "status", "result")
        self.movements = Rows(
            "record.insert_movements",
            "source_document_id",
            "source_line",
            "kind",
            "order_document_id",
            "order_line",
            "quantity",
            "amount",
            "moved_on",
            "business_unit",
        )
        self.budgets = Rows(
            "record.insert_budgets",
            "cost_centre",
            "period",
            "currency",
            "amount",
            "opening_used",
            "source",
            "business_unit",
        )
        self.reservations = Rows(
            "record.insert_reservations", "document_id", "cost_centre", "period", "amount", "business_unit"
        )
        self.dispositions = Rows(
            "record.insert_dispositions", "message_id", "outcome", "reason", "document_id", "business_unit"
        )

    def tables(self) -> list[Rows]:
        """Every plain set of rows."""
        return [value for value in vars(self).values() if isinstance(value, Rows)]
