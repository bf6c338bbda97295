"""What SAP tells us by itself: goods receipts and postings, page by page.

Both feeds go by a place in an order of fields, never by a count. A round reads from a little before the newest record
it has seen, so that one which became visible late is not missed; the engine tells what it has seen already.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from collectors import odata
from collectors.http import Session
from collectors.odata_values import Entity, Literal, bare, from_position, key, literal
from collectors.sap_s4hana_bodies import SYSTEM
from collectors.sap_s4hana_news import goods_receipt, posting, sketch_posting, sketch_receipt
from sync_engine.model.errors import MappingError, TransientError
from sync_engine.model.ports import Feed, Json, Page, Record

MATERIAL_DOCUMENTS = "API_MATERIAL_DOCUMENT_SRV"
LINE_ITEMS = "API_GLACCOUNTLINEITEM"

PAGE_SIZE = 100
LATE_S = 20
"""The longest a document was seen to become visible after its own time."""
POSTING_OVERLAP = timedelta(minutes=2)
RECEIPT_OVERLAP = timedelta(minutes=70)
"""Documents are stamped in SAP's local time: the hour that comes twice in autumn, and ten minutes."""

# fmt: off
LINE_FIELDS = (
    "CompanyCode", "FiscalYear", "AccountingDocument", "LedgerGLLineItem", "ReferenceDocument",
    "ReferenceDocumentContext", "IsReversal", "IsReversed", "TransactionCurrency", "AmountInTransactionCurrency",
    "PostingDate", "LastChangeDateTime", "CreationDateTime", "Supplier", "ClearingDate", "ClearingAccountingDocument",
)
"""What is asked for of the 230 properties a line has."""
# fmt: on


class Place(NamedTuple):
    """Where a round stands: the place of the newest record it has seen, and whether more is to be read of it."""

    values: tuple[str, ...] = ()
    more: bool = False

    @classmethod
    def of(cls, cursor: Json) -> "Place":
        """The place a cursor tells of; an empty cursor is the beginning."""
        return cls(tuple(cursor.get("at", ())), bool(cursor.get("more", False)))

    @property
    def cursor(self) -> Json:
        """The place as it is kept."""
        return {"at": list(self.values), "more": self.more} if self.values else {}


def _compact(values: Any) -> bytes:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()


def _hash(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:8]


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    return value if isinstance(value, str) else ""


def _plain(values: Any) -> Any:
    """An entity without the addresses SAP puts around it, which change with the host that is asked."""
    if isinstance(values, dict):
        return {name: _plain(value) for name, value in values.items() if name != "__metadata" and not _deferred(value)}
    return [_plain(value) for value in values] if isinstance(values, list) else values


def _deferred(value: Any) -> bool:
    return isinstance(value, dict) and "__deferred" in value


def _next_place(before: Place, seen: Iterable[tuple[str, ...]], *, full: bool, feed: str) -> Place:
    """Where to go on: behind the page while more follows, else at the newest record of all.

    Raises:
        TransientError: more is to come, and it would be asked for with the same place again.
    """
    if not full:
        return Place(max([*seen, before.values]))
    last = max(seen, default=())
    if not last or (before.more and last <= before.values):
        said = f"A full page of {feed} does not get further than {', '.join(before.values) or 'its beginning'}"
        raise TransientError(said, system=SYSTEM, facts={"place": before.values})
    return Place(last, more=True)


def read_goods_receipts(session: Session, cursor: Json, now: datetime) -> Page:
    """Material documents in the order they were entered.

    They have no time of change and need none: a document never changes, a reversal is a document of its own.
    """
    place = Place.of(cursor)
    zone = ZoneInfo(session.state["options"].get("time_zone", "UTC"))
    query = {
        "$expand": "to_MaterialDocumentItem",
        "$orderby": "CreationDate,CreationTime,MaterialDocument",
        "$top": str(PAGE_SIZE),
    }
    if place.values:
        query["$filter"] = from_position(_receipt_position(place))
    listed = odata.read_set(session, MATERIAL_DOCUMENTS, "A_MaterialDocumentHeader", query)
    records, seen = [], []
    for values in listed.entities:
        record, at = _receipt_record(_plain(values), zone)
        records.append(record)
        if at is not None:
            seen.append((at.isoformat(), _text(values, "MaterialDocument").zfill(10)))
    full = listed.cut or len(listed.entities) >= PAGE_SIZE
    after = _next_place(place, seen, full=full, feed="goods receipts")
    return Page(tuple(records), after.cursor, full, None if full else now - timedelta(seconds=LATE_S))


def _receipt_position(place: Place) -> list[tuple[str, Literal]]:
    at = datetime.fromisoformat(place.values[0])
    if place.more:
        return [("CreationDate", at.date()), ("CreationTime", at.time()), ("MaterialDocument", place.values[1])]
    at -= RECEIPT_OVERLAP
    return [("CreationDate", at.date()), ("CreationTime", at.time())]


def _receipt_record(values: Any, zone: ZoneInfo) -> tuple[Record, datetime | None]:
    """The record, and the wall-clock time by which SAP orders it; None where it does not say."""
    body = _compact(values)
    document = Entity(values, system=SYSTEM, what="material document")
    number, year = bare(_text(document.values, "MaterialDocument")), _text(document.values, "MaterialDocumentYear")
    external_id = f"{number}/{year}" if number and year else ""
    try:
        day = document.day("CreationDate")
        at = None if day is None else datetime.combine(day, document.clock("CreationTime"))
    except MappingError:
        at = None
    source_at = None if at is None else at.replace(tzinfo=zone).astimezone(UTC)
    return Record("material_document", external_id, "1" if external_id else _hash(body), source_at, body), at


def read_postings(session: Session, cursor: Json, now: datetime) -> Page:
    """Supplier lines of invoices by their time of change, one record per accounting document.

    A page may end within a document: its last document is left for the next page, which begins with it.
    """
    place = Place.of(cursor)
    wanted = _supplier_lines(session)
    query = {
        "$select": ",".join(LINE_FIELDS),
        "$orderby": "LastChangeDateTime,AccountingDocument",
        "$top": str(PAGE_SIZE),
        "$filter": f"{wanted} and {from_position(_posting_position(place))}" if place.values else wanted,
    }
    listed = odata.read_set(session, LINE_ITEMS, "GLAccountLineItem", query)
    documents: dict[str, list[dict[str, Any]]] = {}
    places: dict[str, tuple[str, ...]] = {}
    for position, line in enumerate(map(_plain, listed.entities)):
        # A line that does not say which document it is of becomes a record of its own, to be parked.
        name = _document_of(line) or f"line {position}"
        documents.setdefault(name, []).append(line)
        changed_at = _changed_at(line)
        if changed_at is not None:
            at = (changed_at.isoformat(), _text(line, "AccountingDocument"))
            places[name] = max(at, places.get(name, at))
    full = listed.cut or len(listed.entities) >= PAGE_SIZE
    after = _next_place(place, places.values(), full=full, feed="postings")
    if full and len(places) > 1:
        documents.pop(max(places, key=lambda name: places[name]))
    records = tuple(_posting_record(lines) for lines in documents.values())
    return Page(records, after.cursor, full, None if full else now - timedelta(seconds=LATE_S))


def _supplier_lines(session: Session) -> str:
    """The filter for invoices' supplier lines: payments have such lines too, and every parallel ledger repeats them all."""
    ledger = session.state["options"].get("ledger", "0L")
    return f"FinancialAccountType eq 'K' and ReferenceDocumentType eq 'RMRP' and Ledger eq '{ledger}'"


def _posting_position(place: Place) -> list[tuple[str, Literal]]:
    at = datetime.fromisoformat(place.values[0])
    if place.more:
        return [("LastChangeDateTime", at), ("AccountingDocument", place.values[1])]
    return [("LastChangeDateTime", at - POSTING_OVERLAP)]


def _changed_at(line: Mapping[str, Any]) -> datetime | None:
    try:
        return Entity(line, system=SYSTEM, what="supplier line").moment("LastChangeDateTime")
    except MappingError:
        return None


def _document_of(line: Mapping[str, Any]) -> str:
    """The accounting document of a line; empty when the line does not say."""
    parts = (_text(line, "CompanyCode"), bare(_text(line, "AccountingDocument")), _text(line, "FiscalYear"))
    return "/".join(parts) if all(parts) else ""


def _posting_record(lines: list[dict[str, Any]]) -> Record:
    """One record. SAP stamps changes to the second, and two may fall into one: the version tells contents apart too."""
    told = sorted(_newest(lines), key=lambda line: _text(line, "LedgerGLLineItem"))
    unique = [line for position, line in enumerate(told) if line not in told[:position]]
    body = _compact({"results": unique})
    changed = [at for at in map(_changed_at, unique) if at is not None]
    source_at = max(changed) if changed else None
    external_id = _document_of(unique[0])
    version = f"{source_at.isoformat()}-{_hash(body)}" if source_at and external_id else _hash(body)
    return Record("accounting_document", external_id, version, source_at, body)


def _newest(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines without what they were before: a line that changes while it is being read, or was told late, may stand in one page
    as it was and as it is."""
    newest: dict[str, datetime] = {}
    for line in lines:
        at, number = _changed_at(line), _text(line, "LedgerGLLineItem")
        if at is not None:
            newest[number] = max(at, newest.get(number, at))
    return [line for line in lines if _changed_at(line) in {None, newest.get(_text(line, "LedgerGLLineItem"))}]


def read_receipt_again(session: Session, record: Record) -> Record | None:
    """One material document as it is now; None when SAP does not have it."""
    number, _, year = record.external_id.partition("/")
    zone = ZoneInfo(session.state["options"].get("time_zone", "UTC"))
    path = key("A_MaterialDocumentHeader", MaterialDocumentYear=year, MaterialDocument=number)
    query = {"$expand": "to_MaterialDocumentItem"}
    found = odata.read_one(session, MATERIAL_DOCUMENTS, path, query, what="material document")
    return None if found is None else _receipt_record(_plain(found.values), zone)[0]


def read_posting_again(session: Session, record: Record) -> Record | None:
    """The supplier lines of one accounting document as they are now; None when SAP has none."""
    company, number, year = record.external_id.split("/")
    query = {
        "$select": ",".join(LINE_FIELDS),
        "$top": str(PAGE_SIZE),
        "$filter": (
            f"{_supplier_lines(session)} and CompanyCode eq {literal(company)} and "
            f"AccountingDocument eq {literal(number)} and FiscalYear eq {literal(year)}"
        ),
    }
    listed = odata.read_set(session, LINE_ITEMS, "GLAccountLineItem", query)
    return _posting_record([_plain(line) for line in listed.entities]) if listed.entities else None


FEEDS = (
    Feed("goods_receipts", 300, 7_200, read_goods_receipts, goods_receipt, sketch_receipt, read_receipt_again),
    Feed("postings", 300, 7_200, read_postings, posting, sketch_posting, read_posting_again),
)
