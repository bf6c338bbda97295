"""Basware's way of answering: a redirect to a prepared file, and one shape of error.

Every GET of the accounting documents is answered with 302. The file it leads to has to be fetched without our token:
the vendor's contract says so, and on a foreign host it would be given away.
"""

import json
from collections.abc import Generator, Mapping
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

from collectors.http import ClientCredentials, Reply, Session, excerpt
from sync_engine.model.errors import BusinessRejection, ConfigurationError, TransientError
from sync_engine.model.ports import Json

NAME = "basware"
PATH = "/v1/accountingDocuments"
WITHOUT_TOKEN = "X-Without-Token"  # noqa: S105 - a mark for our own auth, never sent
REDIRECTS = (301, 302, 303, 307, 308)

# fmt: off
ERROR_CODES = {
    # errors[].code                  code of exceptions.KINDS
    "SCHEMA_VALIDATION_ERROR":       "contract_change",
    "PARAMETER_VALIDATION_ERROR":    "contract_change",
    "DATA_ORIGIN_VALIDATION_ERROR":  "refused",
    "DATA_VALIDATION_FAILED":        "refused",
    "EXTERNAL_CODE_MISMATCH":        "effect_conflict",
    "CONFLICT_IN_POST":              "effect_conflict",
    "ENTITY_NOT_FOUND":              "refused",
    "METHOD_NOT_ALLOWED":            "refused",
}
"""The other codes come with 401 or 5xx, which `http` has judged by then."""
# fmt: on


class ApiToken(ClientCredentials):
    """Our token, for the API itself: where a redirect leads it must not be shown (the vendor's rule, and ours)."""

    def auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        """Leave requests marked for a redirect's target as they are."""
        if WITHOUT_TOKEN in request.headers:
            del request.headers[WITHOUT_TOKEN]
            yield request
            return
        yield from super().auth_flow(request)


def get(
    session: Session,
    path: str,
    *,
    params: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    allow: set[int],
) -> Reply:
    """The answer to a GET, fetched from wherever Basware has put it.

    Raises:
        ConfigurationError: it was put on a host we were not told to trust.
        TransientError: it is not there any more.
    """
    reply = session.get(path, params=params, headers=headers, allow=frozenset(allow))
    for _ in range(3):
        if reply.status not in REDIRECTS:
            return reply
        address = urljoin(reply.url, reply.headers.get("Location", ""))
        _check_trusted(session, address)
        reply = session.get(address, headers={WITHOUT_TOKEN: "1"}, allow=frozenset({400, 401, 403, 404, 410}))
        if reply.status >= 400:
            message = f"The file Basware prepared cannot be fetched ({reply.status}): {excerpt(reply.text)}"
            raise TransientError(message, system=NAME)
    raise TransientError("Basware redirects in a circle.", system=NAME)


def _check_trusted(session: Session, address: str) -> None:
    target, home = urlsplit(address), urlsplit(session.state["base_url"])
    if _origin(target) == _origin(home):
        return
    if target.scheme != "https" or target.hostname not in session.state["redirect_hosts"]:
        raise ConfigurationError(
            f"Basware sends us to {target.scheme}://{target.hostname} for its answer, and we were not told to trust it. "
            f"If it is Basware's, name the host in the option redirect_hosts.",
            system=NAME,
            facts={"host": target.hostname},
        )


def _origin(address: SplitResult) -> tuple[str, str | None, int | None]:
    return address.scheme, address.hostname, address.port or {"https": 443, "http": 80}.get(address.scheme)


def invoice_now(session: Session, invoice_id: str) -> Json:
    """The accounting document as it now stands.

    Raises:
        BusinessRejection: it is not there.
    """
    documents = documents_in(get(session, f"{PATH}/{invoice_id}", allow={404}))
    for document in documents:
        if document.get("invoiceId") == invoice_id:
            return document
    raise BusinessRejection(
        f"Basware has no invoice {invoice_id} any more.", system=NAME, facts={"invoice": invoice_id}
    )


def said(reply: Reply) -> tuple[str, str]:
    """The first error's code and the vendor's own words."""
    try:
        error = json.loads(reply.text)["errors"][0]
        return str(error["code"]), excerpt(str(error["message"]))
    except (ValueError, LookupError, TypeError):
        return "", excerpt(reply.text)


def refusal(reply: Reply, doing: str) -> BusinessRejection:
    """The error that a refused request is; `doing` says to people what was tried."""
    code, words = said(reply)
    return BusinessRejection(
        f"Basware refused {doing}: {words or f'status {reply.status}'}",
        system=NAME,
        code=ERROR_CODES.get(code, "refused"),
        facts={"status": reply.status, "vendor_code": code},
    )


def documents_in(reply: Reply) -> list[Json]:
    """The documents in a list's or a single document's answer.

    Raises:
        TransientError: it holds none where it should.
    """
    if reply.status == 404:
        return []
    answer = reply.json(NAME)
    documents = answer.get("accountingDocuments") if isinstance(answer, dict) else None
    if not isinstance(documents, list) or not all(isinstance(document, dict) for document in documents):
        raise TransientError(f"Basware's answer holds no documents: {excerpt(reply.text)}", system=NAME)
    return documents
