"""How far reprocessings have come: the one in the address with each of its items, and all of them in one place (Q07-Q10). Nothing
here has to stay open for it to go on."""

from uuid import UUID, uuid4

import pandas as pd
import streamlit as st

from pages.context import Context
from pages.format import count, duration, money_short, plain, visible, when, words
from pages.tables import Column, work_table
from sync_engine.control.commands import NotAllowed
from sync_engine.control.roles import Action
from sync_engine.control.waves import spoken
from sync_engine.insight.reports import Unanswered
from sync_engine.insight.reports import exceptions as ask
from sync_engine.insight.reports.exceptions import Redrive

POLL_EVERY_S = 2
REASONS = {
    "cause_repaired": "The cause is repaired",
    "outage_over": "The outage is over",
    "period_open": "The posting period is open",
    "master_data_corrected": "Master data is corrected",
    "other": "Other",
}
UNDER_WAY = ("queued", "sent", "accepted")
STATUS = {
    "waiting": "not sent yet",
    "queued": "queued",
    "sent": "sent",
    "accepted": "accepted by the system",
    "verified": "verified: done and seen in the system",
    "refused": "refused again",
    "skipped": "left out",
}
STATES = {
    "awaiting_confirmation": ("waits for a second person", "orange"),
    "running": ("running", "blue"),
    "paused": ("paused", "orange"),
    "halted": ("stopped by itself", "red"),
    "cancelled": ("cancelled", "gray"),
    "finished": ("finished", "green"),
}
SHOWN = 15

ITEMS = (
    Column("number", "Document", "id"),
    Column("business_unit", "Unit"),
    Column("group_amount", "Value (EUR)", "group_money", on_card=True),
    Column("standing", "Result", width=240, on_card=True),
    Column("result", "Why", width=420, on_card=True),
    Column("wave", "Wave", "count"),
    Column("updated_at", "At", "time"),
    Column("trace", "", "link", display="Trace"),
)


def draw(ctx: Context, redrive_id: UUID) -> None:
    """One reprocessing, and what can be told to it."""
    redrive = ask.redrive(ctx.reports, redrive_id)
    if redrive is None:
        st.info("There is no such reprocessing among those you may see.", icon=":material/lock:")
        return
    with st.container(border=True, key="exceptions.redrive"):
        word, colour = STATES[redrive.state]
        with st.container(horizontal=True, vertical_alignment="center"):
            st.subheader(
                f"Reprocessing of {count(redrive.item_count, 'document')} worth {money_short(redrive.group_amount)}",
                anchor=False,
                width="content",
            )
            st.badge(word, color=colour)  # type: ignore[arg-type]
            ctx.link("exceptions", "Show its exceptions that are open", redrive=str(redrive_id), only="redrive")
            ctx.link("exceptions", "Close", icon=":material/close:")
        _said(ctx, redrive)
        _steer(ctx, redrive)
        _progress(ctx, redrive)


def _said(ctx: Context, redrive: Redrive) -> None:
    st.caption(
        f"Asked for by {plain(redrive.asked_by)} on {when(redrive.asked_at, ctx.zone)}: {plain(REASONS.get(redrive.reason_code, words(redrive.reason_code)))}. {plain(redrive.reason)} ({plain(redrive.scope)})"
    )
    if redrive.confirmed_by and redrive.confirmed_at:
        st.caption(f"Confirmed by {plain(redrive.confirmed_by)} on {when(redrive.confirmed_at, ctx.zone)}.")
    if redrive.state in {"paused", "halted", "cancelled"} and redrive.state_at:
        by = "" if redrive.state == "halted" else f" by {plain(redrive.state_by)}"
        st.warning(
            f"{STATES[redrive.state][0].capitalize()}{by} on {when(redrive.state_at, ctx.zone)}"
            + (f": {plain(redrive.state_because)}" if redrive.state_because else "."),
            icon=":material/pause_circle:",
        )


# -- telling it something --------------------------------------------------------------------------------------------------------

OFFERED = {
    # state: (what can be told to it, on its button)
    "running": (("pause", "Pause"), ("cancel", "Cancel the rest")),
    "paused": (("resume", "Go on"), ("cancel", "Cancel the rest")),
    "halted": (("resume", "Go on with the rest"), ("cancel", "Cancel the rest")),
    "awaiting_confirmation": (("cancel", "Do not reprocess"),),
}
ICONS = {"pause": ":material/pause:", "resume": ":material/play_arrow:", "cancel": ":material/stop:"}


def _steer(ctx: Context, redrive: Redrive) -> None:
    offered = OFFERED.get(redrive.state, ()) if redrive.finished_at is None else ()
    error = st.session_state.pop("exceptions.redrive.error", None)
    if error:
        st.error(plain(error), icon=":material/error:")
    if not offered:
        return
    prefix = f"exceptions.redrive.{redrive.redrive_id}.{redrive.state}"
    if redrive.state == "awaiting_confirmation":
        _confirm(ctx, redrive, prefix)
    if not ctx.may(Action.STEER):
        st.caption(ctx.why_not(Action.STEER))
        return
    with st.container(horizontal=True):
        for to, label in offered:
            # One id for each thing that can be told to it as it stands now: a second click is the same command.
            command_id = st.session_state.setdefault(f"{prefix}.{to}.command", uuid4())
            st.button(
                label,
                key=f"{prefix}.{to}",
                icon=ICONS[to],
                on_click=_tell,
                args=(ctx, Action.STEER, command_id, redrive.redrive_id, {"to": to}, ""),
            )


def _confirm(ctx: Context, redrive: Redrive, prefix: str) -> None:
    st.info(
        "It is worth more than one person may send, or takes over what differs: somebody who neither asked for it nor requested or approved one of its documents has to confirm it.",
        icon=":material/group:",
    )
    if not ctx.may(Action.CONFIRM):
        st.caption(ctx.why_not(Action.CONFIRM))
        return
    command_id = st.session_state.setdefault(f"{prefix}.confirm.command", uuid4())
    st.text_input("Why you agree (required; it stands in the audit trail)", key=f"{prefix}.why", max_chars=500)
    st.button(
        f"Confirm and send {count(redrive.item_count, 'document')} ({money_short(redrive.group_amount)})",
        key=f"{prefix}.confirm",
        type="primary",
        icon=":material/check:",
        wrap=True,
        on_click=_tell,
        args=(ctx, Action.CONFIRM, command_id, redrive.redrive_id, {}, f"{prefix}.why"),
    )


def _tell(
    ctx: Context, action: Action, command_id: UUID, redrive_id: UUID, arguments: dict[str, str], why_key: str
) -> None:
    reason = (st.session_state.get(why_key) or "").strip() if why_key else ""
    try:
        answered = ctx.ask(action, command_id, reason=reason, redrive_id=str(redrive_id), **arguments)
    except NotAllowed as refusal:
        st.session_state["exceptions.redrive.error"] = str(refusal)
        return
    if answered is not None and answered.status in {"denied", "conflict", "failed"}:
        st.session_state["exceptions.redrive.error"] = answered.sentence
        for name in [name for name in st.session_state if str(name).endswith(".command")]:
            if st.session_state[name] == command_id:
                del st.session_state[name]  # another try is another command
    elif answered is not None:
        st.toast(plain(answered.sentence))


# -- how far it has come -----------------------------------------------------------------------------------------------------------


def _progress(ctx: Context, redrive: Redrive) -> None:
    is_finished = redrive.finished_at is not None

    @st.fragment(run_every=None if is_finished else POLL_EVERY_S, key="exceptions.redrive.progress")
    def progress() -> None:
        try:
            items = ask.redrive_items(ctx.reports, redrive.redrive_id)
            now = ask.redrive(ctx.reports, redrive.redrive_id)
        except Unanswered as error:
            st.warning(str(error))
            return
        left = items["status"].isin([*UNDER_WAY, "waiting"])
        st.progress(1.0 - float(left.mean()) if len(items) else 1.0, text=_sentence(ctx, now or redrive, items))
        _held_back(now or redrive, items)
        _errors(items)
        _items(ctx, items)
        if now is not None and (now.state, now.finished_at) != (redrive.state, redrive.finished_at):
            st.rerun()

    progress()


def _sentence(ctx: Context, redrive: Redrive, items: pd.DataFrame) -> str:
    counts = items["status"].value_counts()
    said = (
        ", ".join(f"{counts[status]} {name.split(':')[0]}" for status, name in STATUS.items() if status in counts)
        or "nothing in it"
    )
    seconds = redrive.seconds_left(items, ctx.moment.as_of)
    return f"{said}; about {duration(seconds)} left" if seconds else said


def _held_back(redrive: Redrive, items: pd.DataFrame) -> None:
    """What is not sent any more while the rest goes on."""
    for one in redrive.held_back(items):
        st.warning(
            f"Held back while the others go on: {plain(spoken(one.cause))}. {one.refused:,} of {one.ended:,} were refused, {count(one.waiting, 'document')} of it not sent.",
            icon=":material/pause_circle:",
        )


def _errors(items: pd.DataFrame) -> None:
    """What was refused or left out, by reason."""
    why = items[items["status"].isin(["refused", "skipped"])]["result"].value_counts()
    for reason, times in why.head(5).items():
        st.text(f"{times} x {visible(reason)}")
    if len(why) > 5:
        st.caption(f"and {count(len(why) - 5, 'more reason')}, each beside its item.")


def _items(ctx: Context, items: pd.DataFrame) -> None:
    shown = items.assign(
        standing=[STATUS.get(status, status) for status in items["status"]],
        wave=[wave or None for wave in items["wave"]],
        trace=[
            ctx.href("trace", document=str(document_id)) if document_id else None
            for document_id in items["document_id"]
        ],
    )
    work_table(
        ctx,
        shown,
        ITEMS,
        key="exceptions.redrive.items",
        row_id="case_id",
        noun="item",
        title=lambda row: f"**{plain(row['number'])}** · {plain(row['business_unit'])}",
    )


def past(ctx: Context) -> None:
    """Every reprocessing, running ones and past ones, in one place."""
    found = ask.redrives(ctx.reports, limit=SHOWN)
    running = [row for row in found if row["finished_at"] is None]
    with st.expander(
        f"Reprocessings ({count(len(running), 'not finished', 'not finished')})" if running else "Reprocessings",
        icon=":material/replay:",
    ):
        if not found:
            st.caption("Nothing has been reprocessed yet.")
        for row in found:
            word, colour = STATES[row["state"]]
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                ctx.link("exceptions", when(row["asked_at"], ctx.zone), redrive=str(row["redrive_id"]))
                st.badge(word, color=colour)  # type: ignore[arg-type]
                waiting = f", {row['waiting']} not sent" if row["waiting"] else ""
                st.caption(
                    f"{count(row['item_count'], 'document')}, {money_short(row['group_amount'])}: {row['verified']} verified, {row['under_way']} under way{waiting}, {row['refused']} refused, "
                    f"{row['skipped']} left out. {plain(row['asked_by'])}: {plain(row['reason'])}",
                    width="stretch",
                )
