"""The arithmetic of one item of an order: net value, distribution over account assignments, commitment.

An order is one row with its items inside ("_items"), an item has its account assignments ("_accounts") and schedule
lines ("_schedule") inside. Names that begin with an underscore are never shown.
"""

from decimal import Decimal

from sandbox.ledger import Row
from sandbox.s4hana.journal import in_minor_units, shares
from sandbox.s4hana.master import ZERO
from sandbox.s4hana.messages import Message, message

BY_QUANTITY, BY_PERCENT, BY_AMOUNT = "1", "2", "3"
"""Words of MultipleAcctAssgmtDistribution; empty for a single account assignment (recalled, not in the EDMX)."""

COST_OBJECT = ("GLAccount", "CostCenter")


def net_value(item: Row) -> Decimal:
    """What an item of an order is worth, in its currency."""
    price = Decimal(item["NetPriceAmount"]) / Decimal(item.get("NetPriceQuantity") or 1)
    return in_minor_units(Decimal(item["OrderQuantity"]) * price, item["DocumentCurrency"])


def distribute(item: Row, *, fitted: bool) -> list[Message]:
    """Work out the amount of every account assignment of an item; says what does not add up.

    Args:
        item: Its accounts are changed in place.
        fitted: Scale quantities or amounts that were made for another quantity or price of the item.
    """
    accounts, net, currency = item["_accounts"], net_value(item), item["DocumentCurrency"]
    kind = item.get("MultipleAcctAssgmtDistribution") or ""
    if not accounts:
        return []
    if len(accounts) == 1:
        accounts[0] |= {"Quantity": item["OrderQuantity"], "PurgDocNetAmount": str(net)}
        return []
    name, whole = {
        BY_QUANTITY: ("Quantity", Decimal(item["OrderQuantity"])),
        BY_PERCENT: ("MultipleAcctAssgmtDistrPercent", Decimal(100)),
        BY_AMOUNT: ("PurgDocNetAmount", net),
    }.get(kind, ("", ZERO))
    if not name:
        return [message("ME/801", "a distribution indicator", target="MultipleAcctAssgmtDistribution")]
    weights = [Decimal(account.get(name) or 0) for account in accounts]
    if sum(weights, ZERO) != whole:
        if not fitted:
            return [message("ME/806", item["PurchaseOrderItem"], sum(weights, ZERO), whole, target=name)]
        total = sum(weights, ZERO)
        weights = [weight * whole / total for weight in weights] if total else weights
    for account, weight, amount in zip(accounts, weights, shares(net, weights, currency), strict=True):
        if kind == BY_QUANTITY:
            account["Quantity"] = format(weight.quantize(Decimal("0.001")), "f")
        account["PurgDocNetAmount"] = str(amount)
    return []


def open_commitment(account: Row) -> Decimal:
    """What an account assignment still has to be committed for: its amount less what was received or invoiced."""
    return max(ZERO, Decimal(account["PurgDocNetAmount"]) - Decimal(account.get("_consumed", "0")))


def moved_elsewhere(account: Row) -> bool:
    """Whether what is committed stands on another account or cost centre than the assignment names now."""
    stands = account.get("_committed_on", {})
    return any(account.get(name, "") != value for name, value in stands.items())


def find_item(order: Row, number: str) -> Row | None:
    """The item of an order that is not deleted."""
    for item in order["_items"]:
        if item["PurchaseOrderItem"] == number and not item.get("PurchasingDocumentDeletionCode"):
            found: Row = item
            return found
    return None
