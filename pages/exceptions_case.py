"""One exception: what stands in the way, in business words; what to do about it; what was done. Part of the exceptions page.

Every action's command id is worked out from what it is about (case, version, action, person): a second click, a refresh or
a second tab asks for the same thing once. Only after an answer that changed nothing does another attempt count as new.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid5

import streamlit as st

from pages.context import Context
from pages.format import (
    CATEGORIES,
    DOCUMENT_TYPES,
    count,
    day,
    due_words,
    duration,
    money,
    plain,
    system,
    visible,
    when,
    words,
)
from pages.tables import copyable
from sync_engine.control.commands import NotAllowed
from sync_engine.control.roles import ACCEPTABLE, Action, sees
from sync_engine.insight.reports import exceptions as ask
from sync_engine.insight.reports.exceptions import Case
from sync_engine.model.exceptions import Retryable, kind_of

COMMANDS = UUID("0c6dcd0c-4f3b-5a5d-8f43-6a2f3b9d0a10")
_OUTCOME = "exceptions.outcome"

HISTORY = {
    "raised": "Came up", "claim": "Taken on", "assign": "Given to somebody", "comment": "Comment", "reprocess": "Reprocessing asked for", "closed": "Closed", "reopened": "Came up again",
    "seen_again": "Seen again", "accept": "Accepted", "abandon": "Given up",
}  # fmt: skip
CLOSE_REASONS = {
    "accepted_risk": "Accepted as it is",
    "duplicate": "Duplicate of another exception",
    "false_alarm": "False alarm",
    "fixed": "Repaired elsewhere",
}


def draw(ctx: Context, case_id: UUID) -> None:
    """The panel of one exception."""
    case = ask.case(ctx.reports, case_id)
    if case is None:
        st.info("There is no such exception among those you may see.", icon=":material/lock:")
        ctx.link("exceptions", "To the queue", icon=":material/arrow_back:")
        return
    with st.container(border=True):
        _head(ctx, case)
        _outcome(case)
        left, right = st.columns([3, 2], gap="large")
        with left:
            _facts(ctx, case)
            _history(ctx, case)
        with right:
            _actions(ctx, case)


def _head(ctx: Context, case: Case) -> None:
    kind = kind_of(case.code)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.badge(CATEGORIES[case.category], color="gray")
        if case.closed_at is not None:
            st.badge(f"Closed: {words(case.close_reason)}", color="green")
        elif case.is_under_repair:
            st.badge("Being reprocessed", color="blue")
        elif case.blocks:
            st.badge("Cannot go on", color="red")
        else:
            st.badge("Goes on meanwhile", color="orange")
        ctx.link("exceptions", "Close", icon=":material/close:")
    st.subheader(f"{plain(case.number)}: {kind.title}", anchor=False)
    st.text(visible(case.message))
    st.markdown(f"**Next step:** {plain(kind.next_step)}", anchors=False)


def _outcome(case: Case) -> None:
    """What became of the last thing this reader asked for on this case."""
    told: dict[str, str] | None = st.session_state.get(_OUTCOME)
    if not told or told["case_id"] != str(case.case_id):
        return
    if told["status"] == "done":
        st.success(told["sentence"], icon=":material/check_circle:")
    elif told["status"] == "asked":
        st.info(told["sentence"], icon=":material/hourglass_top:")
    else:
        st.warning(told["sentence"], icon=":material/block:")


def _conflict(case: Case) -> dict[str, str]:
    """What stands in the other system under our reference, and each field in which it differs from ours (D01)."""
    if case.code != "effect_conflict":
        return {}
    differing = {f"Differs: {words(name)}": str(said) for name, said in case.facts.items() if name != "found"}
    return {"Holds there": str(case.facts.get("found", "unknown")), **differing}


def _facts(ctx: Context, case: Case) -> None:
    now = ctx.moment.as_of
    days = (case.due_on - now.date()).days if case.due_on else None
    facts = {
        "Document": f"{DOCUMENT_TYPES.get(case.document_type, words(case.document_type))} {case.number}",
        "Value": money(case.amount, case.currency)
        if case.currency == "EUR" or case.amount is None
        else f"{money(case.amount, case.currency)} = {money(case.group_amount)}",
        "Business unit": case.business_unit or "none known",
        "Nearest date": f"{day(case.due_on)}, {due_words(days)}" if case.due_on else "none",
        "Open for": f"{duration(((case.closed_at or now) - case.raised_at).total_seconds())}, since {when(case.raised_at, ctx.zone)}",
        "Supplier": case.supplier_name or "–",  # noqa: RUF001
        "Requester": case.requester or "–",  # noqa: RUF001
        "Stands at": f"{words(case.state)}; agreed: {words(case.approval_status)}; ledger: {words(case.posting_status)}"
        if case.state
        else "not a document yet",
        "Where": f"{system(case.system)}, step {words(case.step)}" if case.step else system(case.system),
        "Owner": f"{case.owner_team}{f', taken on by {case.owner}' if case.owner else ', taken on by nobody'}",
        **_conflict(case),
        "Seen": count(case.occurrences, "time"),
        "Repeating": {
            Retryable.AUTO: "the engine repeats it by itself",
            Retryable.AFTER_FIX: "helps once the cause is repaired",
            Retryable.NEVER: "does not help",
        }[Retryable(case.retryable)],
    }
    with st.container(gap="xxsmall"):
        for label, value in facts.items():
            with st.container(horizontal=True, gap="small", vertical_alignment="center"):
                st.caption(label, width=110)
                st.text(visible(value), width="stretch")
    with st.container(horizontal=True, vertical_alignment="center"):
        if case.document_id is not None:
            ctx.link(
                "trace",
                "Timeline of the document in all systems",
                icon=":material/timeline:",
                document=str(case.document_id),
            )
    copyable("Exception", case.case_id)


def _history(ctx: Context, case: Case) -> None:
    st.markdown("**What was done**", anchors=False)
    events = ask.history(ctx.reports, case.case_id)
    if not events:
        st.caption("Nothing yet.")
    with st.container(gap="xxsmall"):
        for event in events[-30:]:
            comment = f": {visible(event['comment'])}" if event["comment"] else ""
            given = (
                f" to {event['details'].get('owner')}"
                if event["action"] == "assign" and event["details"].get("owner")
                else ""
            )
            st.text(
                f"{when(event['happened_at'], ctx.zone)}  {HISTORY.get(event['action'], words(event['action']))}{given}, {visible(event['actor'])}{comment}"
            )


# -- actions -----------------------------------------------------------------------------------------------------------------------


def _actions(ctx: Context, case: Case) -> None:
    if case.closed_at is not None:
        st.caption(f"Closed {when(case.closed_at, ctx.zone)} by {plain(case.closed_by)}.")
        return
    refused: list[str] = []
    _repair(ctx, case, refused)
    _ownership(ctx, case, refused)
    _comment(ctx, case, refused)
    _decide(ctx, case, refused)
    for sentence in dict.fromkeys(refused):
        st.caption(sentence)


def _repair(ctx: Context, case: Case, refused: list[str]) -> None:
    if not ctx.may(Action.REPROCESS):
        refused.append(ctx.why_not(Action.REPROCESS))
    elif case.is_under_repair:
        st.caption("It is being reprocessed; its result appears under “Reprocessings” below.")
    elif case.retryable == Retryable.NEVER:
        refused.append("Repeating does not help here: it needs a different decision.")
    else:
        ctx.link(
            "exceptions",
            f"Reprocess {visible(case.number)}",
            icon=":material/replay:",
            case=str(case.case_id),
            scope="case",
        )


def _ownership(ctx: Context, case: Case, refused: list[str]) -> None:
    if not ctx.may(Action.CLAIM):
        refused.append(ctx.why_not(Action.CLAIM))
        return
    if case.owner is None:
        st.button(
            "Take it on",
            key=_key(case, "claim"),
            icon=":material/front_hand:",
            on_click=_do,
            args=(ctx, case, Action.CLAIM),
            width="stretch",
        )
    able = [
        person
        for person in ctx.people()
        if person.may(Action.CLAIM) and sees(person.units, case.business_unit) and person.user_id != case.owner
    ]
    names = {person.user_id: person.name for person in able}
    if names:
        with st.popover("Give it to …", icon=":material/person_add:", width="stretch"):
            st.selectbox(
                "To",
                list(names),
                format_func=names.__getitem__,
                key=_key(case, "assignee"),
                index=None,
                placeholder="Somebody who sees this unit",
            )
            st.button("Give it to them", key=_key(case, "assign"), on_click=_assign, args=(ctx, case))


def _comment(ctx: Context, case: Case, refused: list[str]) -> None:
    if not ctx.may(Action.COMMENT):
        refused.append(ctx.why_not(Action.COMMENT))
        return
    with st.popover("Comment", icon=":material/comment:", width="stretch"):
        st.text_area("Comment", key=_key(case, "comment"), max_chars=2000, placeholder="What did you find out?")
        st.button("Keep the comment", key=_key(case, "keep"), on_click=_keep_comment, args=(ctx, case))


def _decide(ctx: Context, case: Case, refused: list[str]) -> None:
    """The three decisions that end an exception otherwise than by repair; each wants a reason."""
    offered: list[tuple[Action, str, str]] = []
    if case.code in ACCEPTABLE:
        offered.append(
            (Action.ACCEPT, "Accept it and go on", "The rule's objection is set aside; the document goes on.")
        )
    if case.document_id is not None and case.blocks:
        offered.append(
            (
                Action.ABANDON,
                f"Give {visible(case.number)} up",
                "Nothing more is done for it; its budget is free again.",
            )
        )
    if not case.blocks:
        offered.append((Action.CLOSE, "Close the exception", "The document goes on anyway."))
    for action, label, effect in offered:
        if not ctx.may(action):
            refused.append(ctx.why_not(action))
            continue
        with st.popover(label, icon=":material/gavel:", width="stretch"):
            st.caption(effect)
            if action is Action.CLOSE:
                st.selectbox(
                    "As", list(CLOSE_REASONS), format_func=CLOSE_REASONS.__getitem__, key=_key(case, "close_reason")
                )
            st.text_input("Why (required)", key=_key(case, f"{action}.reason"), max_chars=500)
            st.button(label, key=_key(case, action), type="primary", on_click=_decided, args=(ctx, case, action))


def _key(case: Case, name: str) -> str:
    return f"exceptions.case.{case.case_id}.{case.version}.{name}"


def _tell(case_id: UUID, status: str, sentence: str) -> None:
    st.session_state[_OUTCOME] = {"case_id": str(case_id), "status": status, "sentence": plain(sentence)}


def command_id(ctx: Context, *about: object) -> UUID:
    """The one id under which this person asks for this; the same for every click until an answer changed nothing."""
    name = " ".join(str(part) for part in (ctx.person.user_id, *about))
    return uuid5(COMMANDS, f"{name} {st.session_state.get(f'{_OUTCOME}.{name}', 0)}")


def _do(ctx: Context, case: Case, action: Action, reason: str = "", **arguments: Any) -> None:
    about = (action, case.case_id, case.version, sorted(arguments.items()))
    try:
        answered = ctx.ask(
            action,
            command_id(ctx, *about),
            reason=reason,
            cases=[{"case_id": str(case.case_id), "version": case.version}],
            **arguments,
        )
    except NotAllowed as refusal:
        _tell(case.case_id, "denied", str(refusal))
        return
    if answered is None:
        return
    _tell(case.case_id, answered.status, answered.sentence)
    if answered.status not in {"done", "asked"}:
        name = " ".join(str(part) for part in (ctx.person.user_id, *about))
        st.session_state[f"{_OUTCOME}.{name}"] = st.session_state.get(f"{_OUTCOME}.{name}", 0) + 1


def _assign(ctx: Context, case: Case) -> None:
    to = st.session_state.get(_key(case, "assignee"))
    if to is None:
        _tell(case.case_id, "denied", "Choose somebody first.")
        return
    _do(ctx, case, Action.ASSIGN, owner=to)


def _keep_comment(ctx: Context, case: Case) -> None:
    text = (st.session_state.get(_key(case, "comment")) or "").strip()
    if not text:
        _tell(case.case_id, "denied", "The comment is empty.")
        return
    _do(ctx, case, Action.COMMENT, comment=text)
    st.session_state[_key(case, "comment")] = ""


def _decided(ctx: Context, case: Case, action: Action) -> None:
    reason = (st.session_state.get(_key(case, f"{action}.reason")) or "").strip()
    more = (
        {"close_reason": st.session_state.get(_key(case, "close_reason"), "accepted_risk")}
        if action is Action.CLOSE
        else {}
    )
    _do(ctx, case, action, reason, **more)


def claim_many(ctx: Context, cases: Sequence[tuple[UUID, int, str]]) -> None:
    """Take several on; says by number which could not be."""
    told, failed = 0, []
    for case_id, version, number in cases:
        answered = ctx.ask(
            Action.CLAIM,
            command_id(ctx, Action.CLAIM, case_id, version),
            cases=[{"case_id": str(case_id), "version": version}],
            wait_s=0,
        )
        if answered is not None and answered.status in {"conflict", "denied", "failed"}:
            failed.append(f"{number}: {answered.sentence}")
        else:
            told += 1
    st.toast(plain(f"{count(told, 'exception')} taken on.") if not failed else plain("; ".join(failed)))
