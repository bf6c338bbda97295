"""SAP S/4HANA: purchasing, goods receipts, supplier invoices and the journal, over OData V2.

What it speaks is SAP Gateway's protocol with the released services' own names (see `s4hana_entities`); what it decides
is a small but consistent part of SAP's business: checks, commitments, budgets, variances, clearing. Each layer is one
file, from the way in (`s4hana_logon`) through the protocol (`s4hana_gateway`) up to payments (`s4hana_payments`).

    service                            what it can be asked
    API_PURCHASEORDER_PROCESS_SRV      create, read, change, delete orders
    API_PURCHASEREQ_PROCESS_SRV        validate a requisition; none is kept
    API_MATERIAL_DOCUMENT_SRV          create, read, cancel goods receipts
    API_SUPPLIERINVOICE_PROCESS_SRV    create, read, post, release, cancel invoices
    API_BUSINESS_PARTNER               read suppliers
    API_COSTCENTER_SRV                 read cost centres
    API_GLACCOUNTLINEITEM              read postings, clearing and commitments
"""

from sandbox.s4hana_payments import Payments


class S4Hana(Payments):
    """The stand-in, all layers together.

    Constructor arguments are those of the layers: `page_size`, `client`, `token_lifetime_s`, `session_lifetime_s`,
    `tolerance_pct`. Screen methods raise `s4hana_messages.Rejected` with SAP's messages when SAP would not do it.
    """
