"""SAP S/4HANA, the ERP: takes orders with their commitment, tells receipts and postings, posts invoices.

Spoken to over OData V2 with the released services of S/4HANA. Services and fields are those of SAP's own EDMX files;
what the values of its status fields mean is recalled where the tables say so, and an unknown one is refused.

- Every write needs a CSRF token, every change the ETag of what was read: `odata` knows how.
- A create is found again by our own reference (orders, CorrespncExternalReference) or the supplier's number (invoices).
  SAP keeps neither unique, so that a look-up comes before anything is sent a second time.
- SAP refuses by message class and number: `sap_s4hana_messages` has the one table of them.
- Services do not agree on leading zeros: numbers are compared and kept without.

The parts: `sap_s4hana_bodies` our documents as SAP's bodies; `sap_s4hana_feeds` what SAP tells by itself;
`sap_s4hana_orders`, `sap_s4hana_changes`, `sap_s4hana_invoices` what it is asked.

Options of an instance, with what holds when they are not given:

    sap_client               the client, as a header                                           none
    purchase_order_type      NB
    requisition_type         NB
    invoice_document_type    RE
    material_group           of every order item, where SAP insists on one                     none
    ledger                   the leading one, whose postings are read                          0L
    time_zone                where SAP's system clock stands: entry times of goods receipts    UTC
"""

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from collectors import sap_s4hana_holdings
from collectors.http import ClientCredentials, Session
from collectors.sap_s4hana_bodies import SYSTEM as NAME
from collectors.sap_s4hana_changes import cancel_purchase_order, find_cancelled, update_purchase_order
from collectors.sap_s4hana_feeds import FEEDS, LATE_S
from collectors.sap_s4hana_invoices import (
    cancel_supplier_invoice,
    create_supplier_invoice,
    find_supplier_invoice,
    read_payment_readiness,
    read_supplier,
)
from collectors.sap_s4hana_orders import (
    create_purchase_order,
    find_purchase_order,
    read_budget_context,
    read_commitment,
)
from sync_engine.model.errors import ConfigurationError
from sync_engine.model.flows import Role
from sync_engine.model.ports import Access, Effect, Operation, System, operations

TOKEN_PATH = "/sap/bc/sec/oauth2/token"  # noqa: S105 - an address, not a secret


def connect(access: Access, *, timer: Callable[[], float], transport: Any = None) -> Session:
    """Open a session as the communication user, by OAuth 2.0 client credentials.

    Args:
        access: Where SAP is; the token address is SAP's own unless given. Mind that the API host of a cloud system is
            another one than the one people log on to.
        timer: Seconds that only grow.
        transport: Instead of the network.

    Raises:
        ConfigurationError: the time zone is none.
    """
    zone = access.options.get("time_zone", "UTC")
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise ConfigurationError(f"{zone!r} is not a time zone (option time_zone)", system=NAME) from None
    token_url = access.token_url or access.base_url.rstrip("/") + TOKEN_PATH
    auth = ClientCredentials(
        token_url, access.credentials, scope=access.options.get("scope", ""), in_body=False, timer=timer
    )
    client = access.options.get("sap_client", "")
    headers = {"sap-language": "EN", **({"sap-client": client} if client else {})}
    session = Session(NAME, access.base_url, auth=auth, timer=timer, transport=transport, headers=headers)
    session.state["options"] = dict(access.options)
    return session


# fmt: off
OPERATIONS = operations(
    #         name                       effect         run                      look-up                HTTP calls
    Operation("read_budget_context",     Effect.READ,   read_budget_context,                            calls=2),
    Operation("create_purchase_order",   Effect.CREATE, create_purchase_order,   find_purchase_order,   calls=1),
    Operation("read_commitment",         Effect.READ,   read_commitment,                                calls=2),
    Operation("update_purchase_order",   Effect.SET,    update_purchase_order,                          calls=3),
    Operation("cancel_purchase_order",   Effect.SET,    cancel_purchase_order,   find_cancelled,        calls=3),
    Operation("create_supplier_invoice", Effect.CREATE, create_supplier_invoice, find_supplier_invoice, calls=2),
    Operation("cancel_supplier_invoice", Effect.SET,    cancel_supplier_invoice,                        calls=3),
    Operation("read_payment_readiness",  Effect.READ,   read_payment_readiness,                         calls=1),
    Operation("read_supplier",           Effect.READ,   read_supplier,                                  calls=1),
)
# fmt: on

SYSTEM = System(
    name=NAME,
    title="SAP S/4HANA",
    role=Role.ERP,
    api_version="OData V2, released services of S/4HANA (API_PURCHASEORDER_PROCESS_SRV and others)",
    feeds=FEEDS,
    operations=OPERATIONS,
    requests_per_s=15,
    burst=15,
    max_in_flight=6,
    quiet_period_s=LATE_S,
    idempotency=(
        "An order carries our reference in CorrespncExternalReference; an invoice is known by company, supplier and the "
        "supplier's number. Where a service has it switched on, RequestID makes SAP repeat its first answer."
    ),
    connect=connect,
    holdings={
        "purchase_order": sap_s4hana_holdings.purchase_orders,
        "supplier_invoice": sap_s4hana_holdings.supplier_invoices,
    },
)
