"""OData V2 as SAP Gateway writes and reads it: dates, keys, entities with their envelope.

A ledger row keeps days as "2025-11-22", times as "09:20:00", moments as "2025-11-22T09:20:00.123Z", decimals as text
and numbers of documents without leading zeros. What goes over the wire is made from that here, and read back here.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import quote, unquote

from sandbox.ledger import Row
from sandbox.s4hana.messages import Rejected, message

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = EPOCH.date().toordinal()

# fmt: off
DAYS = frozenset({
    "ClearingDate", "CostCenterCreationDate", "CreationDate", "DeliveryDate", "DocumentDate", "DueCalculationBaseDate",
    "LastChangeDate", "PerformancePeriodEndDate", "PerformancePeriodStartDate", "PostingDate", "PurchaseOrderDate",
    "ScheduleLineDeliveryDate", "ValidityEndDate", "ValidityStartDate",
})
MOMENTS = frozenset({"CreationDateTime", "LastChangeDateTime"})
TIMES = frozenset({"CreationTime", "LastChangeTime"})
DECIMALS = frozenset({
    "AmountInCompanyCodeCurrency", "AmountInTransactionCurrency", "InvoiceGrossAmount",
    "MultipleAcctAssgmtDistrPercent", "NetPaymentDays", "NetPriceAmount", "NetPriceQuantity", "OrderQuantity",
    "OverdelivTolrtdLmtRatioInPct", "PurReqnNetAmount", "PurReqnPriceQuantity", "PurchaseRequisitionPrice",
    "PurgDocNetAmount", "Quantity", "QuantityInBaseUnit", "QuantityInEntryUnit", "QuantityInPurchaseOrderUnit",
    "RequestedQuantity", "ScheduleLineOrderQuantity", "SuplrInvcAcctAssignmentAmount", "SupplierInvoiceItemAmount",
    "TaxAmount",
})
ZERO_FILLED = frozenset({
    "AccountAssignmentNumber", "AccountingDocument", "BusinessPartner", "ClearingAccountingDocument", "CostCenter",
    "FixedSupplier", "GLAccount", "InvoicingParty", "LedgerGLLineItem", "MaterialDocument", "MaterialDocumentItem",
    "PurchaseOrder", "PurchaseOrderItem", "PurchaseReqnAcctAssgmtNumber", "PurchaseRequisition",
    "PurchaseRequisitionItem", "PurchasingDocument", "PurchasingDocumentItem", "ReferenceDocument", "ReverseDocument",
    "ReversedMaterialDocument", "ReversedMaterialDocumentItem", "ScheduleLine", "Supplier", "SupplierInvoice",
    "SupplierInvoiceItem",
})
"""Fields whose leading zeros mean nothing: "00010" and "10" are the same item."""
LENGTHS = {
    "AssignmentReference": 18, "CorrespncExternalReference": 12, "CorrespncInternalReference": 12, "CostCenter": 10,
    "DocumentHeaderText": 25, "GLAccount": 10, "PaymentReference": 30, "PaymentTerms": 4, "PurReqnDescription": 40,
    "PurchaseOrderItemText": 40, "PurchaseOrderQuantityUnit": 3, "PurchaseRequisitionItemText": 40,
    "RequisitionerName": 12, "SupplierInvoiceIDByInvcgParty": 16, "SupplierInvoiceItemText": 50, "TaxCode": 2,
}
UPPER_CASE = frozenset({
    "PaymentReference", "PurchasingDocumentDeletionCode", "SupplierInvoiceIDByInvcgParty", "TaxCode",
})
"""Fields that SAP turns to upper case when they come in (`sap:display-format="UpperCase"`)."""
# fmt: on

_DATE = re.compile(r"/Date\((-?\d+)(?:[+-]\d{4})?\)/")
_QUOTED = re.compile(r"(datetimeoffset|datetime|time|guid)'([^']*)'")
_TIME = re.compile(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.\d+)?S)?")


def bare(text: str) -> str:
    """A document number without its leading zeros; any other text as it is.

    >>> bare("00010"), bare("K010"), bare("000")
    ('10', 'K010', '0')
    """
    return text.lstrip("0") or "0" if text.isdigit() else text


def moment_text(at: datetime) -> str:
    """A moment as rows keep it, to the millisecond."""
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def day_shown(text: str | None) -> str | None:
    """Edm.DateTime in JSON.

    >>> day_shown("2019-03-18")
    '/Date(1552867200000)/'
    """
    return f"/Date({(date.fromisoformat(text).toordinal() - _EPOCH_DAY) * 86_400_000})/" if text else None


def moment_shown(text: str | None) -> str | None:
    """Edm.DateTimeOffset in JSON.

    >>> moment_shown("2019-03-18T07:59:57.855Z")
    '/Date(1552895997855+0000)/'
    """
    return f"/Date({(datetime.fromisoformat(text) - EPOCH) // timedelta(milliseconds=1)}+0000)/" if text else None


def time_shown(text: str | None) -> str | None:
    """Edm.Time in JSON.

    >>> time_shown("09:20:00")
    'PT09H20M00S'
    """
    return f"PT{text[:2]}H{text[3:5]}M{text[6:8]}S" if text else None


def stored(name: str, value: Any) -> Any:
    """What a row keeps of an incoming `value` for the property `name`.

    Raises:
        Rejected: the value cannot be that property's.
    """
    try:
        return _stored(name, value)
    except (ValueError, TypeError, InvalidOperation, OverflowError):
        raise Rejected(message("/IWBEP/CM_MGW_RT/021", name, json.dumps(value), target=name)) from None


def _stored(name: str, value: Any) -> Any:
    if value is None or (value == "" and name not in DECIMALS):
        return None if name in DAYS | MOMENTS | TIMES else value
    if name in DAYS or name in MOMENTS:
        at = _instant(str(value))
        return at.date().isoformat() if name in DAYS else moment_text(at)
    if name in TIMES:
        found = _TIME.fullmatch(value)
        hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found else (99, 0, 0)
        return datetime(2000, 1, 1, hours, minutes, seconds, tzinfo=UTC).strftime("%H:%M:%S")
    if name in DECIMALS:
        if not isinstance(value, str):
            # The vendor's trap: in OData V2 a decimal is a JSON string, and a JSON number is refused.
            raise ValueError(value)
        return format(Decimal(value), "f")
    if isinstance(value, str):
        if len(value) > LENGTHS.get(name, 1000):
            raise ValueError(value)
        value = value.upper() if name in UPPER_CASE else value
        return bare(value) if name in ZERO_FILLED else value
    return value


def _instant(text: str) -> datetime:
    found = _DATE.fullmatch(text)
    if found:
        return EPOCH + timedelta(milliseconds=int(found[1]))
    quoted = _QUOTED.fullmatch(text)
    at = datetime.fromisoformat(quoted[2] if quoted else text)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


@dataclass(frozen=True)
class Nav:
    """A navigation property: the set it leads to, and how to get there from a row."""

    target: str
    rows: Callable[[Row], list[Row]]
    many: bool = True


@dataclass(frozen=True)
class EntityType:
    """One entity type of a service: what it is called, what it shows, where it leads."""

    service: str
    name: str
    """The entity set; the type is called the same with "Type" behind it."""
    keys: tuple[str, ...]
    fields: Mapping[str, Any]
    """Property to the value it has when a row does not say."""
    navs: Mapping[str, Nav] = field(default_factory=dict)
    etag: str = ""
    """The moment whose change changes the ETag; empty: none is given."""
    namespace: str = ""
    padded: Mapping[str, int] = field(default_factory=dict)
    """Properties this service shows with leading zeros, although others do not."""
    unfilterable: frozenset[str] = frozenset()

    def key(self, row: Row) -> str:
        """The key predicate with its parentheses."""
        if len(self.keys) == 1:
            return f"({_key_literal(self.keys[0], row[self.keys[0]])})"
        return "(" + ",".join(f"{name}={_key_literal(name, row[name])}" for name in self.keys) + ")"

    def etag_of(self, row: Row) -> str:
        """The weak ETag of a row, in SAP's spelling; empty when the type has none."""
        if not self.etag:
            return ""
        return f"W/\"datetimeoffset'{quote(str(row[self.etag])[:-1], safe='')}0000Z'\""

    def shown(self, row: Row, host: str, types: Mapping[str, "EntityType"], tree: "Tree") -> dict[str, Any]:
        """The entity as JSON: metadata, properties, and what `tree` says to expand."""
        uri = f"{host}/sap/opu/odata/sap/{self.service}/{self.name}{self.key(row)}"
        entity: dict[str, Any] = {
            "__metadata": {"id": uri, "uri": uri, "type": f"{self.namespace or self.service}.{self.name}Type"}
        }
        if self.etag:
            entity["__metadata"]["etag"] = self.etag_of(row)
        for name, default in self.fields.items():
            if tree.select and name not in tree.select:
                continue
            value = row.get(name, default)
            convert = _SHOWN.get(name)
            if convert is not None:
                value = convert(value)
            elif name in self.padded and str(value).isdigit():
                value = str(value).zfill(self.padded[name])
            entity[name] = value
        for name, nav in self.navs.items():
            if name in tree.expand:
                target = types[nav.target]
                children = [target.shown(child, host, types, tree.expand[name]) for child in nav.rows(row)]
                entity[name] = {"results": children} if nav.many else next(iter(children), None)
            elif not tree.select or name in tree.select:
                entity[name] = {"__deferred": {"uri": f"{uri}/{name}"}}
        return entity


_SHOWN: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(DAYS, day_shown),
    **dict.fromkeys(MOMENTS, moment_shown),
    **dict.fromkeys(TIMES, time_shown),
}


@dataclass(frozen=True)
class Tree:
    """$select and $expand, level by level. An empty `select` means everything."""

    select: frozenset[str] = frozenset()
    expand: Mapping[str, "Tree"] = field(default_factory=dict)

    @classmethod
    def of(cls, select: Sequence[Sequence[str]], expand: Sequence[Sequence[str]]) -> "Tree":
        """The tree of paths that are already split at their slashes."""
        here = frozenset(path[0] for path in select)
        return cls(
            frozenset() if "*" in here else here,
            {
                name: cls.of(
                    [path[1:] for path in select if len(path) > 1 and path[0] == name],
                    [path[1:] for path in expand if len(path) > 1 and path[0] == name],
                )
                for name in dict.fromkeys(path[0] for path in expand)
            },
        )


def paths(text: str) -> list[list[str]]:
    """The paths in "a,b/c", split at their slashes."""
    return [part.strip().split("/") for part in text.split(",") if part.strip()]


def _key_literal(name: str, value: str) -> str:
    return f"datetime'{value}T00%3A00%3A00'" if name in DAYS else f"'{quote(value, safe='')}'"


_SEGMENT = re.compile(r"(\w+)(?:\((.*)\))?", re.DOTALL)
_KEY_PART = re.compile(r"\s*(?:(\w+)=)?((?:datetime)?'(?:[^']|'')*')\s*(?:,|$)")


def segment(text: str, keys: tuple[str, ...] = ()) -> tuple[str, dict[str, Any] | None]:
    """A path segment as (name, key values); None for the key when there are no parentheses.

    >>> segment("A_PurchaseOrderItem(PurchaseOrder='45',PurchaseOrderItem='00010')")
    ('A_PurchaseOrderItem', {'PurchaseOrder': '45', 'PurchaseOrderItem': '10'})
    """
    found = _SEGMENT.fullmatch(unquote(text))
    if found is None:
        raise Rejected(message("/IWBEP/CM_MGW_RT/020", text), status=404)
    if found[2] is None:
        return found[1], None
    values = {}
    for part in _KEY_PART.finditer(found[2]):
        name = part[1] or (keys[0] if keys else "")
        text = part[2]
        value = text if text.startswith("datetime") else text[1:-1].replace("''", "'")
        values[name] = stored(name, value)
    return found[1], values
