"""Goods receipts and their reversals: material documents with their accounting.

A material document never changes: a reversal is a new document with movement type 102. Only the flag
GoodsMovementIsCancelled on the items of the first one is set, which SAP works out when it is read.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from random import Random
from typing import Any, NamedTuple

from sandbox.ledger import Ledger, Row
from sandbox.s4hana.changes import OrderChanges
from sandbox.s4hana.entities import RECEIPT_ITEM, RECEIPTS, fields
from sandbox.s4hana.gateway import Created
from sandbox.s4hana.journal import GR_IR_ACCOUNT, in_minor_units
from sandbox.s4hana.master import ZERO
from sandbox.s4hana.messages import Message, Rejected, message
from sandbox.s4hana.orders import net_value
from sandbox.s4hana.query import EntitySet
from sandbox.s4hana.wire import EntityType, Nav, bare

RECEIPT, RECEIPT_REVERSAL = "101", "102"


class _Move(NamedTuple):
    order: Row
    item: Row
    quantity: Decimal
    more: dict[str, Any]


class GoodsReceipts(OrderChanges):
    """Receiving goods; see the module."""

    def __init__(self, ledger: Ledger, clock: Callable[[], datetime], rng: Random, **settings: Any) -> None:
        super().__init__(ledger, clock, rng, **settings)
        self._documents = ledger.table("material_document", ("MaterialDocument",))
        self._moved = ledger.table("material_document_item", ("_document", "PurchaseOrder", "MaterialDocument"))
        header = EntityType(
            RECEIPTS,
            "A_MaterialDocumentHeader",
            ("MaterialDocumentYear", "MaterialDocument"),
            fields(
                "MaterialDocumentYear MaterialDocument DocumentDate PostingDate CreationDate CreationTime "
                "CreatedByUser MaterialDocumentHeaderText ReferenceDocument",
                InventoryTransactionType="WE",
                GoodsMovementCode="01",
            ),
            {"to_MaterialDocumentItem": Nav(RECEIPT_ITEM.name, self._items_of)},
        )
        self._receipt_type = header
        by_number = {"MaterialDocument": "MaterialDocument"}
        self.register(
            EntitySet(header, self._documents, by_number, ("CreationDate", "CreationTime"), is_feed=True),
            EntitySet(RECEIPT_ITEM, self._moved, {"PurchaseOrder": "PurchaseOrder", **by_number}),
        )
        self.creates[RECEIPTS, header.name] = self._create_receipt
        self.functions[RECEIPTS, "Cancel"] = self._cancel_receipt

    def post_goods_receipt(
        self, *, order: str, lines: Iterable[tuple[int, Decimal]], by: str, posted_on: date | None = None
    ) -> tuple[str, str]:
        """Receive (item, quantity) of an order; returns number and year of the material document.

        Raises:
            Rejected: no such item, more than was ordered, or the period is closed.
        """
        with self.lock:
            day = posted_on.isoformat() if posted_on else self.today()
            wanted = [(bare(order), str(item), Decimal(quantity)) for item, quantity in lines]
            document = self._receive(wanted, day, by, {})
            return str(document["MaterialDocument"]), str(document["MaterialDocumentYear"])

    def reverse_goods_receipt(self, *, number: str, year: str, by: str) -> tuple[str, str]:
        """Take a receipt back; returns number and year of the reversing document.

        Raises:
            Rejected: there is none, it is reversed already, or what it brought has been invoiced.
        """
        with self.lock:
            document = self._reverse(bare(number), str(year), self.today(), by)
            return str(document["MaterialDocument"]), str(document["MaterialDocumentYear"])

    def received(self, *, order: str, item: int) -> Decimal:
        """The quantity received of an item, reversals taken off."""
        with self.lock:
            return Decimal(self.item_of(self.order(order), str(item)).get("_received", "0"))

    @property
    def material_documents(self) -> dict[str, Row]:
        """Every material document by "year/number". For reading only."""
        return self._documents.rows

    def _items_of(self, document: Row) -> list[Row]:
        return self._moved.find("_document", f"{document['MaterialDocumentYear']}/{document['MaterialDocument']}")

    def check_stock_period(self, company_code: str, day: str) -> list[Message]:
        """Whether goods can be moved on a day: the materials ledger has a message of its own for a closed period."""
        if not self.check_period(company_code, day):
            return []
        period = f"{day[:4]}/{day[5:7]}"
        return [message("M7/053", f"other than {period}", company_code, target="PostingDate")]

    def _receive(self, lines: Sequence[tuple[str, str, Decimal]], day: str, by: str, head: dict[str, Any]) -> Row:
        said: list[Message] = []
        moves: list[_Move] = []
        coming: dict[tuple[str, str], Decimal] = {}
        for number, item_number, quantity in lines:
            order = self.order(number)
            item = self.item_of(order, item_number)
            said += self.check_stock_period(order["CompanyCode"], day)
            tolerated = (
                Decimal(item["OrderQuantity"]) * (100 + Decimal(item.get("OverdelivTolrtdLmtRatioInPct") or 0)) / 100
            )
            coming[number, item_number] = coming.get((number, item_number), ZERO) + quantity
            over = Decimal(item.get("_received", "0")) + coming[number, item_number] - tolerated
            if quantity <= 0:
                said.append(message("ME/801", f"a quantity for item {item_number}", target="QuantityInEntryUnit"))
            if over > 0 and not item.get("UnlimitedOverdeliveryIsAllowed"):
                said.append(message("M7/022", over, item["PurchaseOrderQuantityUnit"], target="QuantityInEntryUnit"))
            moves.append(_Move(order, item, quantity, {}))
        if said:
            raise Rejected(*dict.fromkeys(said))
        return self._write_document(moves, RECEIPT, day, by, head)

    def _reverse(self, number: str, year: str, day: str, by: str) -> Row:
        document = self._documents.get(f"{year}/{number}")
        if document is None:
            raise Rejected(message("M7/801", number, "it does not exist"))
        items = self._items_of(document)
        if items[0]["GoodsMovementType"] != RECEIPT or items[0].get("GoodsMovementIsCancelled"):
            raise Rejected(message("M7/801", number, "it is a reversal or reversed already"))
        moves = []
        for row in items:
            order = self.order(row["PurchaseOrder"])
            item = self.item_of(order, row["PurchaseOrderItem"])
            said = self.check_stock_period(order["CompanyCode"], day)
            left = Decimal(item.get("_received", "0")) - Decimal(row["QuantityInEntryUnit"])
            if left < Decimal(item.get("_invoiced", "0")):
                said.append(message("M7/801", number, "it has been invoiced"))
            if said:
                raise Rejected(*said)
            reversed_item = {
                "ReversedMaterialDocumentYear": year,
                "ReversedMaterialDocument": number,
                "ReversedMaterialDocumentItem": row["MaterialDocumentItem"],
            }
            moves.append(_Move(order, item, -Decimal(row["QuantityInEntryUnit"]), reversed_item))
        for row in items:
            row["GoodsMovementIsCancelled"] = True
            self._moved.put(row["_key"], row, self.now_to_the_second())
        return self._write_document(moves, RECEIPT_REVERSAL, day, by, {})

    def _write_document(
        self,
        moves: Sequence[_Move],
        movement: str,
        day: str,
        by: str,
        head: dict[str, Any],
    ) -> Row:
        at = self.now_to_the_second()
        year = day[:4]
        number = str(self.ledger.number(f"material_document {year}", 5_000_000_001))
        key = f"{year}/{number}"
        document = {
            "DocumentDate": day,
            **head,
            "MaterialDocumentYear": year,
            "MaterialDocument": number,
            "PostingDate": day,
            "CreationDate": at.date().isoformat(),
            "CreationTime": f"{at:%H:%M:%S}",
            "CreatedByUser": by.upper()[:12],
        }
        for position, (order, item, quantity, more) in enumerate(moves, start=1):
            row = {
                "MaterialDocumentYear": year,
                "MaterialDocument": number,
                "MaterialDocumentItem": str(position),
                "Material": item.get("Material", ""),
                "Plant": item.get("Plant", ""),
                "GoodsMovementType": movement,
                "Supplier": order["Supplier"],
                "PurchaseOrder": order["PurchaseOrder"],
                "PurchaseOrderItem": item["PurchaseOrderItem"],
                "GoodsMovementRefDocType": "B",
                "EntryUnit": item["PurchaseOrderQuantityUnit"],
                "MaterialBaseUnit": item["PurchaseOrderQuantityUnit"],
                "QuantityInEntryUnit": str(abs(quantity)),
                "QuantityInBaseUnit": str(abs(quantity)),
                "DebitCreditCode": "S" if quantity > 0 else "H",
                **more,
                "_document": key,
                "_key": f"{key}/{position}",
            }
            self._moved.put(row["_key"], row, at)
            self._account(order, item, quantity, document)
        self._documents.put(key, document, at)
        return document

    def _account(self, order: Row, item: Row, quantity: Decimal, document: Row) -> None:
        """Cost against goods received and not invoiced; the commitment becomes cost."""
        value = in_minor_units(net_value(item) * quantity / Decimal(item["OrderQuantity"]), item["DocumentCurrency"])
        item["_received"] = str(Decimal(item.get("_received", "0")) + quantity)
        head = {
            "CompanyCode": order["CompanyCode"],
            "FiscalYear": document["MaterialDocumentYear"],
            "TransactionCurrency": order["DocumentCurrency"],
            "PostingDate": document["PostingDate"],
            "DocumentDate": document["DocumentDate"],
            "AccountingDocumentType": "WE",
            "AccountingDocCreatedByUser": document["CreatedByUser"],
            "ReferenceDocumentType": "MKPF",
            "ReferenceDocument": document["MaterialDocument"],
            "ReferenceDocumentContext": document["MaterialDocumentYear"],
        }
        clearing = {"amount": -value, "GLAccount": GR_IR_ACCOUNT, "PostingKey": "96" if value >= 0 else "86"}
        rate = self.rate(order["DocumentCurrency"], order["CompanyCode"], document["PostingDate"])
        self.post(head, [*self.cost_lines(item, value), clearing], rate=rate)
        self.consume(order, item, value)
        self._orders.put(order["PurchaseOrder"], order, datetime.fromisoformat(order["LastChangeDateTime"]))

    def _create_receipt(self, body: dict[str, Any], user: str) -> Created:
        given = self.read_in(self._receipt_type, body)
        items = given.pop("to_MaterialDocumentItem", [])
        if not items:
            raise Rejected(message("ME/801", "items", target="to_MaterialDocumentItem"))
        lines = [
            (
                item.get("PurchaseOrder", ""),
                item.get("PurchaseOrderItem", ""),
                Decimal(item.get("QuantityInEntryUnit", "0")),
            )
            for item in items
        ]
        day = given.get("PostingDate") or self.today()
        return Created(self._receipt_type, self._receive(lines, day, user, given), (), "to_MaterialDocumentItem")

    def _cancel_receipt(self, given: dict[str, Any], user: str) -> dict[str, Any]:
        day = given.get("PostingDate") or self.today()
        document = self._reverse(given.get("MaterialDocument", ""), given.get("MaterialDocumentYear", ""), day, user)
        return {name: document[name] for name in ("MaterialDocumentYear", "MaterialDocument")}
