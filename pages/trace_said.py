"""The views of the trace: what was said in which call, what came in, and under which names it is known. Part of the document trace
page, as `trace_views` is; payloads are opened by a click that stands in the audit trail.
"""

import json
from typing import Any
from uuid import UUID

import pandas as pd
import streamlit as st

from pages import frame
from pages.context import Context
from pages.format import count, plain, shortened, system, visible, when, words
from pages.grids import grid
from pages.tables import Column, work_table
from pages.trace_views import FAILED, title
from sync_engine.control.roles import Action
from sync_engine.insight.reports import trace as ask
from sync_engine.insight.reports.trace import Family

LONGEST_BODY = 200_000

CALLS = (
    Column("started_at", "When", "time"),
    Column("system", "System"),
    Column("operation", "Operation", "words", on_card=True),
    Column("number", "Document", "id"),
    Column("outcome", "Outcome", "words", on_card=True),
    Column("http_status", "HTTP", "count"),
    Column("duration_ms", "ms", "count"),
    Column("try_number", "Try", "count"),
    Column("message", "Message", width=320, on_card=True),
    Column("idempotency_key", "Idempotency key", "id"),
    Column("trace_id", "Trace id", "id"),
)
INTENTS = (
    Column("first_sent_at", "Written", "time"),
    Column("system", "System"),
    Column("operation", "Operation", "words", on_card=True),
    Column("outcome", "Became", "words", on_card=True),
    Column("sends", "Sent", "count"),
    Column("settled_at", "Settled", "time", on_card=True),
    Column("idempotency_key", "Idempotency key", "id"),
)
NAMES = (
    Column("number", "Document", "id"),
    Column("system_name", "System", on_card=True),
    Column("kind", "Kind", "words", on_card=True),
    Column("external_id", "Called", "id", on_card=True),
    Column("recorded_at", "Since", "time"),
)


# -- calls -----------------------------------------------------------------------------------------------------------------------------


def calls(ctx: Context, document: dict[str, Any], family: Family) -> None:
    """Every call made for the family, what was meant before it, and what was said."""
    del document
    attempts = ask.attempts(ctx.reports, family.document_ids)
    failed = int(attempts["outcome"].isin(FAILED).sum())
    st.subheader(f"{count(len(attempts), 'call')}, {failed} failed", anchor=False)
    if len(attempts):
        work_table(
            ctx,
            attempts.iloc[::-1],
            CALLS,
            key="trace.calls",
            row_id="attempt_id",
            noun="call",
            title=title,
            height=380,
        )
        _bodies(ctx, attempts)
    intents = ask.intents(ctx.reports, family.document_ids)
    if len(intents):
        st.subheader(f"{count(len(intents), 'intent')}, written before anything was sent", anchor=False)
        names = {row["document_id"]: row["number"] for row in family.documents}
        work_table(
            ctx,
            intents.assign(number=[names.get(document_id, "") for document_id in intents["document_id"]]),
            INTENTS,
            key="trace.intents",
            row_id="idempotency_key",
            noun="intent",
            title=title,
        )


def _may_open(ctx: Context, what: str, about: str) -> bool:
    """Whether payloads are open; opening them is a click that stands in the audit trail."""
    if not ctx.may(Action.VIEW_PAYLOAD):
        frame.no_permission(ctx.why_not(Action.VIEW_PAYLOAD))
        return False
    key = f"trace.opened.{about}"
    if st.session_state.get(key):
        return True
    st.button(
        f"Open {what} (it is noted that you did)",
        key=f"{key}.button",
        icon=":material/lock_open:",
        on_click=_open,
        args=(ctx, key, what, about),
    )
    return False


def _open(ctx: Context, key: str, what: str, about: str) -> None:
    ctx.note(Action.VIEW_PAYLOAD, what=what, about=about)
    st.session_state[key] = True


def _bodies(ctx: Context, attempts: pd.DataFrame) -> None:
    with st.expander("What was sent and answered", icon=":material/data_object:"):
        labels = {
            str(
                row.attempt_id
            ): f"{when(row.started_at, ctx.zone)} {words(row.operation)}: {words(row.outcome)} ({visible(row.number)})"
            for row in attempts.iloc[::-1].itertuples()
        }
        chosen = st.selectbox("Call", list(labels), format_func=labels.__getitem__, key="trace.attempt")
        if chosen and _may_open(ctx, "what was said in this call", chosen):
            bodies = ask.bodies(ctx.reports, UUID(chosen))
            if not bodies:
                st.caption("Nothing is kept of a call that only read and went well.")
            for body in bodies:
                st.caption("Sent")
                _code(body["sent"])
                st.caption("Answered")
                _code(body["answered"])


def _code(text: str) -> None:
    try:
        shown = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        shown = text
    st.code(
        shown[:LONGEST_BODY] or "(empty)",
        language="json" if shown[:1] in "{[" else None,
        wrap_lines=True,
        height=min(420, 60 + 22 * (shown.count("\n") + 1)),
    )


# -- payloads ----------------------------------------------------------------------------------------------------------------------------


def payloads(ctx: Context, document: dict[str, Any], family: Family) -> None:
    """The document as we read it and as it came, with what changed between two versions."""
    del family
    if not _may_open(ctx, f"the payloads of {visible(document['number'])}", str(document["document_id"])):
        return
    versions = ask.payloads(ctx.reports, document["document_id"])
    if not versions:
        st.info("Nothing readable has arrived for it yet.", icon=":material/inbox:")
    else:
        _versions(ctx, versions)
    messages = ask.messages(ctx.reports, document["document_id"])
    if messages:
        st.subheader(f"{count(len(messages), 'message')} as they came", anchor=False)
        labels = {
            str(
                row["message_id"]
            ): f"{when(row['received_at'], ctx.zone)} {system(row['system'])} {words(row['kind'])}: {words(row['outcome'])}"
            for row in messages
        }
        chosen = st.selectbox("Message", list(labels), format_func=labels.__getitem__, key="trace.message")
        row = next(row for row in messages if str(row["message_id"]) == chosen)
        st.caption(f"SHA-256 {bytes(row['body_hash']).hex()}{'. ' + plain(row['reason']) if row['reason'] else ''}")
        _code(bytes(row["body"]).decode(errors="replace"))


def _versions(ctx: Context, versions: list[dict[str, Any]]) -> None:
    by_number = {row["payload_version"]: row for row in versions}
    label = {
        number: f"Version {number}, {when(row['recorded_at'], ctx.zone)}, {visible(row['author'])}"
        for number, row in by_number.items()
    }
    st.subheader(f"{count(len(versions), 'version')} of the canonical document", anchor=False)
    left, right = st.columns(2)
    newer = left.selectbox("Version", list(by_number), format_func=label.__getitem__, key="trace.version")
    row = by_number[newer]
    older = [number for number in by_number if number < newer]
    if older:
        against = right.selectbox("Compared with", older, format_func=label.__getitem__, key="trace.against")
        changes = ask.differences(by_number[against]["canonical"], row["canonical"])
        st.markdown(f"**{count(len(changes), 'field')} changed**", anchors=False)
        if changes:
            shown = [
                {"Field": visible(change.field), "Before": _short(change.before), "After": _short(change.after)}
                for change in changes
            ]
            grid(pd.DataFrame(shown), key="trace.diff")
    st.caption(
        f"Schema {plain(row['schema_version'])}, mapping {plain(row['mapping_version'])}, SHA-256 {bytes(row['payload_hash']).hex()}"
    )
    _code(json.dumps(row["canonical"], default=str))


def _short(value: Any) -> str:
    return "" if value is None else shortened(value if isinstance(value, str) else json.dumps(value, default=str), 500)


# -- names -------------------------------------------------------------------------------------------------------------------------------


def identifiers(ctx: Context, document: dict[str, Any], family: Family) -> None:
    """Every name of the family in every system."""
    del document
    names = ask.identifiers(ctx.reports, family.document_ids)
    names = names.assign(
        system_name=[system(name) for name in names["system"]],
        row_id=[f"{row.system} {row.kind} {row.external_id}" for row in names.itertuples()],
    )
    st.subheader(f"{count(len(names), 'identifier')} in {count(names['system'].nunique(), 'system')}", anchor=False)
    work_table(ctx, names, NAMES, key="trace.names", row_id="row_id", noun="identifier", title=title)
