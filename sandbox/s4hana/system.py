"""SAP S/4HANA: purchasing, goods receipts, supplier invoices and the journal, over OData V2 with $batch.

What it speaks is SAP Gateway's protocol with the released services' own names (version 0001, see `entities`); what it
decides is a small but consistent part of SAP's business: checks, commitments, budgets, variances, clearing. Each layer
is one file, from the way in (`logon`) through the protocol (`gateway`) up to payments (`payments`).

    service                            what it can be asked
    API_PURCHASEORDER_PROCESS_SRV      create, read, change, delete orders
    API_PURCHASEREQ_PROCESS_SRV        validate a requisition; none is kept
    API_MATERIAL_DOCUMENT_SRV          create, read, cancel goods receipts
    API_SUPPLIERINVOICE_PROCESS_SRV    create, read, post, release, cancel invoices
    API_BUSINESS_PARTNER               read suppliers
    API_COSTCENTER_SRV                 read cost centres
    API_GLACCOUNTLINEITEM              read postings, clearing and commitments

Left out: OData V4, SOAP and IDocs, properties that `entities` does not list, release strategies of orders, stock and
service entry sheets, tax procedures (tax is what the gross leaves above the net), cash discount, partial payment,
creating suppliers over the API, and every message whose number nobody publishes: those marked "own" in `messages`.
"""

from sandbox.s4hana.payments import Payments


class S4Hana(Payments):
    """The stand-in, all layers together.

    Constructor arguments are those of the layers: `page_size`, `client`, `token_lifetime_s`, `session_lifetime_s`,
    `tolerance_pct`. Screen methods raise `messages.Rejected` with SAP's messages when SAP would not do it.
    """
