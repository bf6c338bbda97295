"""Coupa: telling a requester what happened to a requisition and what comes next, once, in a comment that carries our reference."""

from urllib.parse import quote

from collectors import coupa_api
from collectors.coupa_api import NAME, REFUSED, Part
from collectors.http import Session, excerpt
from sync_engine.model.documents import PurchaseOrder, Requisition
from sync_engine.model.errors import BusinessRejection
from sync_engine.model.ports import Answer, Ask

MAX_CUSTOM_TEXT = 255


def requisition_id_of(ask: Ask) -> str | None:
    """Coupa's id of the requisition that a document is, or came from."""
    if isinstance(ask.document, Requisition):
        return ask.identifiers.get("coupa.requisition", ask.document.number)
    return ask.document.requisition_source_id if isinstance(ask.document, PurchaseOrder) else None


def tell_procurement(session: Session, ask: Ask) -> Answer:
    """Tell the requester in a comment on the requisition what happened and what comes next; its status says so too.

    The status is set first and the comment written last, so that the comment being there means that all is done.
    """
    requisition_id = requisition_id_of(ask)
    if requisition_id is None:
        return Answer(facts={"skipped": "no requisition"})
    path, title = f"/api/requisitions/{quote(requisition_id, safe='')}", str(ask.subject.get("title", ""))
    status = {"custom-fields": {session.state["status_field"]: title[:MAX_CUSTOM_TEXT]}}
    coupa_api.put(session, path, status, f"Coupa refuses the status of requisition {requisition_id}")
    reply = session.request("POST", f"{path}/comments", json_body={"comments": _comment(ask)}, allow=REFUSED)
    return _told(coupa_api.answered(reply, "comment", f"Coupa refuses a comment on requisition {requisition_id}"))


def find_told(session: Session, ask: Ask) -> Answer | None:
    """Our comment on the requisition, by our reference in it; None when there is none. Who quotes it is not us.

    Raises:
        BusinessRejection: our reference stands in a comment of ours about something else.
    """
    requisition_id = requisition_id_of(ask)
    if requisition_id is None:
        return None
    mark, title = f"[ref {ask.reference(12)}]", str(ask.subject.get("title", ""))
    for comment in coupa_api.every(session, f"/api/requisitions/{quote(requisition_id, safe='')}/comments", {}):
        text = comment.text_or_empty("comments")
        if mark not in text or comment.part("created-by").text("login") != session.state["login"]:
            continue
        if title.replace("@[", "@ [") not in text:
            raise BusinessRejection(
                f"Requisition {requisition_id} carries another comment of ours under the reference {mark}.",
                system=NAME,
                code="effect_conflict",
                facts={"title": title, "comment": excerpt(text)},
            )
        return _told(comment)
    return None


def _comment(ask: Ask) -> str:
    said = ask.subject
    parts = [said.get("title"), said.get("message")]
    parts += [
        f"{label}: {said[name]}" for label, name in (("Next", "next_step"), ("With", "owner_team")) if said.get(name)
    ]
    text = "\n".join(str(part) for part in [*filter(None, parts), f"[ref {ask.reference(12)}]"])
    # "@[User:2]" would mention somebody; what other systems say must not.
    return text.replace("@[", "@ [")


def _told(comment: Part) -> Answer:
    at = comment.moment("created-at")
    return Answer(facts={"procurement_comment_id": str(comment.number("id")), "told_at": at.isoformat()}, at=at)
