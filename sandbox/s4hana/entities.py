"""The entity types of the services: a selection of SAP's own properties, spelled as in its metadata."""

from typing import Any

from sandbox.s4hana.wire import DAYS, DECIMALS, MOMENTS, TIMES, EntityType, Nav

ORDERS = "API_PURCHASEORDER_PROCESS_SRV"
REQUISITIONS = "API_PURCHASEREQ_PROCESS_SRV"
RECEIPTS = "API_MATERIAL_DOCUMENT_SRV"
INVOICES = "API_SUPPLIERINVOICE_PROCESS_SRV"

ACTUAL, COMMITMENT = "0L", "0E"
"""Ledgers: what has happened, and what is only committed."""


def fields(names: str, **defaults: Any) -> dict[str, Any]:
    """Properties with the value they have when nothing is said: `defaults`, no date, zero, or an empty text."""
    empty = {
        name: None if name in DAYS | MOMENTS | TIMES else "0" if name in DECIMALS else "" for name in names.split()
    }
    return {**empty, **defaults}


COST_CENTRE = EntityType(
    "API_COSTCENTER_SRV",
    "A_CostCenter",
    ("ControllingArea", "CostCenter", "ValidityEndDate"),
    fields(
        "ControllingArea CostCenter ValidityEndDate ValidityStartDate CompanyCode CostCenterCurrency "
        "ProfitCenter Department CostCenterStandardHierArea IsBlkdForPrimaryCostsPosting "
        "IsBlkdForSecondaryCostsPosting IsBlockedForCommitmentPosting IsBlockedForPlanPrimaryCosts "
        "CostCenterCreationDate",
        CostCenterCategory="F",
        IsBlockedForRevenuePosting="X",
        Language="EN",
    ),
)

SUPPLIER_COMPANY = EntityType(
    "API_BUSINESS_PARTNER",
    "A_SupplierCompany",
    ("Supplier", "CompanyCode"),
    fields(
        "Supplier CompanyCode PaymentBlockingReason PaymentTerms",
        SupplierIsBlockedForPosting=False,
        PaymentMethodsList="T",
        ReconciliationAccount="21100000",
        DeletionIndicator=False,
        IsToBeCheckedForDuplicates=False,
    ),
)

SUPPLIER_PURCHASING_ORG = EntityType(
    "API_BUSINESS_PARTNER",
    "A_SupplierPurchasingOrg",
    ("Supplier", "PurchasingOrganization"),
    fields(
        "Supplier PurchasingOrganization PaymentTerms PurchaseOrderCurrency PurchasingGroup",
        DeletionIndicator=False,
        InvoiceIsGoodsReceiptBased=False,
        PurchasingIsBlockedForSupplier=False,
    ),
)

SUPPLIER = EntityType(
    "API_BUSINESS_PARTNER",
    "A_Supplier",
    ("Supplier",),
    fields(
        "Supplier CreatedByUser CreationDate SupplierFullName SupplierName VATRegistration "
        "SupplierProcurementBlock TaxNumber1",
        PaymentIsBlockedForSupplier=False,
        PostingIsBlocked=False,
        PurchasingIsBlocked=False,
        SupplierAccountGroup="SUPL",
        DeletionIndicator=False,
    ),
    {
        "to_SupplierCompany": Nav("A_SupplierCompany", lambda row: list(row["_companies"])),
        "to_SupplierPurchasingOrg": Nav("A_SupplierPurchasingOrg", lambda row: list(row["_organizations"])),
    },
)

BUSINESS_PARTNER = EntityType(
    "API_BUSINESS_PARTNER",
    "A_BusinessPartner",
    ("BusinessPartner",),
    fields(
        "BusinessPartner Supplier BusinessPartnerFullName BusinessPartnerName CreatedByUser CreationDate "
        "CreationTime LastChangeDate LastChangeTime OrganizationBPName1 SearchTerm1 "
        "BusinessPartnerIDByExtSystem",
        BusinessPartnerCategory="2",
        BusinessPartnerIsBlocked=False,
        IsMarkedForArchiving=False,
    ),
    {"to_Supplier": Nav("A_Supplier", lambda row: [row], many=False)},
)

LINE_ITEM = EntityType(
    "API_GLACCOUNTLINEITEM",
    "GLAccountLineItem",
    ("ID",),
    fields(
        "ID CompanyCode FiscalYear AccountingDocument LedgerGLLineItem LedgerFiscalYear ControllingArea "
        "GLAccount ReferenceDocumentType ReferenceDocumentContext ReferenceDocument ReferenceDocumentItem "
        "ReversalReferenceDocument CostCenter ProfitCenter TransactionCurrency AmountInTransactionCurrency "
        "CompanyCodeCurrency AmountInCompanyCodeCurrency FiscalPeriod PostingDate DocumentDate "
        "AccountingDocumentType AccountingDocumentItem AssignmentReference PostingKey "
        "AccountingDocCreatedByUser LastChangeDateTime CreationDateTime CreationDate PurchasingDocument "
        "PurchasingDocumentItem AccountAssignmentNumber DocumentItemText Supplier TaxCode ClearingDate "
        "ClearingAccountingDocument",
        SourceLedger=ACTUAL,
        Ledger=ACTUAL,
        ChartOfAccounts="YCOA",
        IsReversal=False,
        IsReversed=False,
        IsCommitment=False,
        DebitCreditCode="S",
        FinancialAccountType="S",
        ClearingDocFiscalYear="0000",
    ),
    namespace="cds_api_glaccountlineitem",
    padded={
        "AccountAssignmentNumber": 2,
        "CostCenter": 10,
        "GLAccount": 10,
        "LedgerGLLineItem": 6,
        "PurchasingDocumentItem": 5,
        "ReferenceDocument": 10,
        "Supplier": 10,
    },
    unfilterable=frozenset({"ID", "AmountInTransactionCurrency", "AmountInCompanyCodeCurrency"}),
)

ORDER = EntityType(
    ORDERS,
    "A_PurchaseOrder",
    ("PurchaseOrder",),
    fields(
        "PurchaseOrder CompanyCode PurchaseOrderType PurchasingDocumentDeletionCode CreatedByUser "
        "CreationDate LastChangeDateTime Supplier PaymentTerms PurchasingOrganization PurchasingGroup "
        "PurchaseOrderDate DocumentCurrency CorrespncExternalReference CorrespncInternalReference "
        "InvoicingParty",
        PurchasingProcessingStatus="02",
        Language="EN",
        ExchangeRate="1.00000",
        ReleaseIsNotCompleted=False,
        PurchasingCompletenessStatus=True,
    ),
    {"to_PurchaseOrderItem": Nav("A_PurchaseOrderItem", lambda row: list(row["_items"]))},
    etag="LastChangeDateTime",
)

ITEM = EntityType(
    ORDERS,
    "A_PurchaseOrderItem",
    ("PurchaseOrder", "PurchaseOrderItem"),
    fields(
        "PurchaseOrder PurchaseOrderItem PurchasingDocumentDeletionCode PurchaseOrderItemText Plant "
        "MaterialGroup OrderQuantity OrderPriceUnit DocumentCurrency NetPriceAmount TaxCode "
        "OverdelivTolrtdLmtRatioInPct AccountAssignmentCategory MultipleAcctAssgmtDistribution "
        "PartialInvoiceDistribution PurchaseContract PurchaseRequisition RequisitionerName Material "
        "ProductType",
        PurchaseOrderQuantityUnit="EA",
        NetPriceQuantity="1",
        UnlimitedOverdeliveryIsAllowed=False,
        IsCompletelyDelivered=False,
        IsFinallyInvoiced=False,
        PurchaseOrderItemCategory="0",
        GoodsReceiptIsExpected=True,
        InvoiceIsExpected=True,
        InvoiceIsGoodsReceiptBased=False,
    ),
    {
        "to_AccountAssignment": Nav("A_PurOrdAccountAssignment", lambda row: list(row["_accounts"])),
        "to_ScheduleLine": Nav("A_PurchaseOrderScheduleLine", lambda row: list(row["_schedule"])),
    },
    etag="_changed_at",
)

ACCOUNT = EntityType(
    ORDERS,
    "A_PurOrdAccountAssignment",
    ("PurchaseOrder", "PurchaseOrderItem", "AccountAssignmentNumber"),
    fields(
        "PurchaseOrder PurchaseOrderItem AccountAssignmentNumber Quantity MultipleAcctAssgmtDistrPercent "
        "DocumentCurrency PurgDocNetAmount GLAccount CostCenter ControllingArea OrderID ProfitCenter "
        "WBSElement TaxCode",
        IsDeleted=False,
    ),
    etag="_changed_at",
)

SCHEDULE = EntityType(
    ORDERS,
    "A_PurchaseOrderScheduleLine",
    ("PurchasingDocument", "PurchasingDocumentItem", "ScheduleLine"),
    fields(
        "PurchasingDocument PurchasingDocumentItem ScheduleLine ScheduleLineDeliveryDate "
        "PurchaseOrderQuantityUnit ScheduleLineOrderQuantity PerformancePeriodStartDate "
        "PerformancePeriodEndDate",
    ),
    etag="_changed_at",
)

REQUISITION = EntityType(
    REQUISITIONS,
    "A_PurchaseRequisitionHeader",
    ("PurchaseRequisition",),
    fields(
        "PurchaseRequisition PurchaseRequisitionType PurReqnDescription",
        SourceDetermination=False,
        PurReqnDoOnlyValidation=False,
    ),
    {"to_PurchaseReqnItem": Nav("A_PurchaseRequisitionItem", lambda row: list(row.get("to_PurchaseReqnItem", ())))},
)

REQUISITION_ITEM = EntityType(
    REQUISITIONS,
    "A_PurchaseRequisitionItem",
    ("PurchaseRequisition", "PurchaseRequisitionItem"),
    fields(
        "PurchaseRequisition PurchaseRequisitionItem PurchaseRequisitionItemText AccountAssignmentCategory "
        "MaterialGroup RequestedQuantity PurchaseRequisitionPrice PurReqnItemCurrency Plant CompanyCode "
        "PurchasingOrganization PurchasingGroup DeliveryDate RequisitionerName Supplier FixedSupplier "
        "MultipleAcctAssgmtDistribution TaxCode PurReqnExternalReference",
        BaseUnit="EA",
        PurReqnPriceQuantity="1",
    ),
    {
        "to_PurchaseReqnAcctAssgmt": Nav(
            "A_PurReqnAcctAssgmt", lambda row: list(row.get("to_PurchaseReqnAcctAssgmt", ()))
        )
    },
)

REQUISITION_ACCOUNT = EntityType(
    REQUISITIONS,
    "A_PurReqnAcctAssgmt",
    ("PurchaseRequisition", "PurchaseRequisitionItem", "PurchaseReqnAcctAssgmtNumber"),
    fields(
        "PurchaseRequisition PurchaseRequisitionItem PurchaseReqnAcctAssgmtNumber CostCenter Quantity "
        "MultipleAcctAssgmtDistrPercent PurReqnNetAmount GLAccount OrderID ProfitCenter WBSElement",
    ),
)

RECEIPT_ITEM = EntityType(
    RECEIPTS,
    "A_MaterialDocumentItem",
    ("MaterialDocumentYear", "MaterialDocument", "MaterialDocumentItem"),
    fields(
        "MaterialDocumentYear MaterialDocument MaterialDocumentItem Material Plant GoodsMovementType Supplier "
        "PurchaseOrder PurchaseOrderItem GoodsMovementRefDocType CostCenter GLAccount MaterialBaseUnit "
        "QuantityInBaseUnit EntryUnit QuantityInEntryUnit MaterialDocumentItemText ReversedMaterialDocumentYear "
        "ReversedMaterialDocument ReversedMaterialDocumentItem",
        IsCompletelyDelivered=False,
        GoodsMovementIsCancelled=False,
        DebitCreditCode="S",
    ),
)

INVOICE = EntityType(
    INVOICES,
    "A_SupplierInvoice",
    ("SupplierInvoice", "FiscalYear"),
    fields(
        "SupplierInvoice FiscalYear CompanyCode DocumentDate PostingDate CreationDate SupplierInvoiceIDByInvcgParty "
        "InvoicingParty DocumentCurrency InvoiceGrossAmount DocumentHeaderText PaymentTerms DueCalculationBaseDate "
        "NetPaymentDays PaymentBlockingReason AccountingDocumentType PaymentReference AssignmentReference "
        "ReverseDocument ReverseDocumentFiscalYear",
        SupplierInvoiceStatus="5",
        TaxIsCalculatedAutomatically=False,
        SupplierInvoiceIsCreditMemo="",
        IsReversal=False,
        IsReversed=False,
    ),
    {
        "to_SuplrInvcItemPurOrdRef": Nav("A_SuplrInvcItemPurOrdRef", lambda row: list(row["_items"])),
        "to_SupplierInvoiceTax": Nav("A_SupplierInvoiceTax", lambda row: list(row["_taxes"])),
    },
    unfilterable=frozenset({"IsReversal", "IsReversed"}),
)

INVOICE_ITEM = EntityType(
    INVOICES,
    "A_SuplrInvcItemPurOrdRef",
    ("SupplierInvoice", "FiscalYear", "SupplierInvoiceItem"),
    fields(
        "SupplierInvoice FiscalYear SupplierInvoiceItem PurchaseOrder PurchaseOrderItem Plant ReferenceDocument "
        "ReferenceDocumentFiscalYear ReferenceDocumentItem TaxCode DocumentCurrency SupplierInvoiceItemAmount "
        "PurchaseOrderQuantityUnit QuantityInPurchaseOrderUnit SupplierInvoiceItemText",
        IsFinallyInvoiced=False,
    ),
)

INVOICE_TAX = EntityType(
    INVOICES,
    "A_SupplierInvoiceTax",
    ("SupplierInvoice", "FiscalYear", "TaxCode", "SupplierInvoiceTaxCounter"),
    fields("SupplierInvoice FiscalYear TaxCode SupplierInvoiceTaxCounter DocumentCurrency TaxAmount"),
)
