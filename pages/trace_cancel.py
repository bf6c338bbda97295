"""Taking an order back from its trace: what that does, why it is wanted, and the order's number typed before it is asked for (R088)."""

from typing import Any
from uuid import UUID, uuid4

import streamlit as st

from pages.context import Context
from pages.format import money_short, plain, visible
from sync_engine.control.commands import NotAllowed
from sync_engine.control.roles import Action


def draw(ctx: Context, document: dict[str, Any]) -> None:
    """The offer to cancel, where the document is an order that is still at large and the person may ask for it."""
    if document["document_type"] != "purchase_order" or document["closed_at"] or not ctx.may(Action.CANCEL_ORDER):
        return
    if document["flow"] == "order_cancellation" and document["work_status"] in {"due", "in_call"}:
        st.info("It is being cancelled; the events below show how far that has come.", icon=":material/undo:")
        return
    number, prefix = visible(document["number"]), f"trace.cancel.{document['document_id']}.{document['version']}"
    command_id = st.session_state.setdefault(f"{prefix}.command", uuid4())
    with st.expander("Cancel this order in the ERP", icon=":material/undo:"):
        st.markdown(
            f"Order {plain(number)} worth {money_short(document['group_amount'])} is deleted in the ERP and cancelled in procurement; its budget is free again. "
            "A requisition none of whose orders is left ends with it. Before anything is sent, the ERP is asked how the order stands. "
            "An order that goods have come for, or that has been invoiced, is not cancelled.",
            anchors=False,
        )
        st.text_input("Why (required; it stands in the audit trail)", key=f"{prefix}.reason", max_chars=500)
        st.text_input(f"Type {plain(number)} to confirm", key=f"{prefix}.typed", width=360)
        error = st.session_state.pop(f"{prefix}.error", None)
        if error:
            st.error(plain(error), icon=":material/error:")
        st.button(
            f"Cancel order {number}",
            key=f"{prefix}.go",
            type="primary",
            icon=":material/undo:",
            wrap=True,
            on_click=_go,
            args=(ctx, command_id, document, prefix),
        )


def _go(ctx: Context, command_id: UUID, document: dict[str, Any], prefix: str) -> None:
    reason = (st.session_state.get(f"{prefix}.reason") or "").strip()
    if not reason:
        st.session_state[f"{prefix}.error"] = "Say why: the reason stands in the audit trail."
        return
    if (st.session_state.get(f"{prefix}.typed") or "").strip() != visible(document["number"]):
        st.session_state[f"{prefix}.error"] = f"Type {visible(document['number'])} to confirm that this order is meant."
        return
    try:
        answered = ctx.ask(
            Action.CANCEL_ORDER,
            command_id,
            reason=reason,
            document_id=str(document["document_id"]),
            version=document["version"],
        )
    except NotAllowed as refusal:
        st.session_state[f"{prefix}.error"] = str(refusal)
        return
    if answered is None or answered.status in {"asked", "done"}:
        st.toast(plain(answered.sentence) if answered else "Asked for.")
        return
    st.session_state[f"{prefix}.error"] = answered.sentence
    del st.session_state[f"{prefix}.command"]  # another try is another command
