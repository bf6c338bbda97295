"""What SAP says when it refuses, warns or does not understand: message class, number, text and the OData error body.

Class and number are SAP's own where the public catalogues name them. The numbers marked "own" are the stand-in's
choice for refusals whose real number is not published; nothing should depend on those.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

GATEWAY_DETAIL = "/IWBEP/CX_MGW_BUSI_EXCEPTION"
"""The code of a last error detail that SAP Gateway adds of its own and that says nothing useful."""

# fmt: off
TEXTS: dict[str, str] = {
    # code                        text
    "F5/201":                     "Posting period {} is not open",
    "M7/053":                     "Posting only possible in periods {} in company code {}",
    "KI/260":                     "Cost center {}/{} blocked against direct postings on {}",
    "KI/265":                     "Cost center {}/{} does not exist on {}",
    "KI/235":                     "Account {} requires an assignment to a CO object",
    "BP/603":                     "Item {} budget nearly exceeded",
    "BP/604":                     "Item {} budget exceeded",
    "06/027":                     "Vendor {} has not been created for purch. organization {}",
    "M8/462":                     "Check if invoice already entered under accounting document no. {}",
    "M8/534":                     "Balance not zero: {} debits: {} credits: {}",
    "M7/022":                     "PU Ordered quantity exceeded by {} {}",
    "MMPUR_INTEGRATION_PO/002":   "Purchase Order {} is locked in another session",
    "SG/105":                     "Enter rate {} / {} rate type M for {} in the system settings",
    "F5/800":                     "Company code {} is not defined",                                        # own
    "ME/801":                     "Enter {}",                                                              # own
    "ME/802":                     "Supplier {} is blocked for {}",                                         # own
    "ME/803":                     "Item {} of purchase order {} does not exist",                           # own
    "ME/804":                     "Purchase order {} has follow-on documents and cannot be deleted",       # own
    "ME/805":                     "Item {}: {} is less than what has been received ({})",                  # own
    "ME/806":                     "Item {}: the account assignments add up to {}, the item to {}",         # own
    "ME/807":                     "Plant {} is not defined",                                               # own
    "ME/808":                     "Purchase order {} has been deleted",                                    # own
    "ME/809":                     "Purchase order {} does not exist",                                      # own
    "ME/810":                     "Supplier {} is marked for deletion",                                   # own
    "M8/801":                     "Supplier {} is not set up in company code {}",                          # own
    "M8/802":                     "Invoice {} cannot be changed: {}",                                      # own
    "M8/803":                     "Terms of payment {} are not defined",                                  # own
    "M7/801":                     "Material document {} cannot be reversed: {}",                           # own
    "/IWBEP/CM_MGW_RT/004":       "Metadata not found: {}",                                                # own
    "/IWBEP/CM_MGW_RT/020":       "Resource not found for segment '{}'",                                   # own
    "/IWBEP/CM_MGW_RT/021":       "Property {} has invalid value {}",                                      # own
    "/IWBEP/CM_MGW_RT/022":       "{} not found in type {}",                                               # own
    "/IWBEP/CM_MGW_RT/023":       "Invalid query: {}",                                                     # own
    "/IWBEP/CM_MGW_RT/024":       "Method {} not supported for {}",                                        # own
    "/IWFND/MED/170":             "No service found for namespace '', name '{}', version '0001'",
    "/IWFND/CM_MGW/412":          "Precondition failed: the entity was changed by somebody else",          # own
    "/IWFND/CM_MGW/428":          "Precondition required: send If-Match",                                  # own
    "/IWFND/CM_MGW/409":          "RequestID {} was used with another RepeatabilityCreation",              # own
}
# fmt: on


class Message(NamedTuple):
    """One line of SAP's return table."""

    code: str
    text: str
    severity: str = "error"
    target: str = ""


def message(code: str, *values: object, severity: str = "error", target: str = "") -> Message:
    """The message called `code` with its places filled."""
    return Message(code, TEXTS[code].format(*values), severity, target)


class Rejected(Exception):
    """SAP does not do it; `messages` say why. Screen methods raise it, the gateway turns it into an answer."""

    def __init__(self, *messages: Message, status: int = 400) -> None:
        super().__init__("; ".join(f"{told.code} {told.text}" for told in messages))
        self.messages = messages
        self.status = status


def german_day(day: str) -> str:
    """An ISO day as SAP prints it in messages."""
    return f"{day[8:10]}.{day[5:7]}.{day[:4]}"


def error_body(messages: Sequence[Message], *, service: str, transaction_id: str, at: datetime) -> dict[str, Any]:
    """The OData V2 error body: the first error is the main message, all are details, and a useless one is last."""
    main = next((told for told in messages if told.severity == "error"), messages[0])
    details = [
        {
            "code": told.code,
            "message": told.text,
            "propertyref": "",
            "severity": told.severity,
            "transition": False,
            "target": told.target,
        }
        for told in (*messages, Message(GATEWAY_DETAIL, "An exception was raised"))
    ]
    return {
        "error": {
            "code": main.code,
            "message": {"lang": "en", "value": main.text},
            "innererror": {
                "application": {
                    "component_id": "",
                    "service_namespace": "/SAP/",
                    "service_id": service,
                    "service_version": "0001",
                },
                "transactionid": transaction_id,
                "timestamp": f"{at:%Y%m%d%H%M%S}.{at.microsecond:06d}0",
                "Error_Resolution": {"SAP_Transaction": "", "SAP_Note": "", "Additional_SAP_Note": ""},
                "errordetails": details,
            },
        }
    }


def warning_header(messages: Sequence[Message]) -> str:
    """The value of the `sap-message` header for a success with warnings."""

    def one(told: Message) -> dict[str, Any]:
        return {"code": told.code, "message": told.text, "severity": told.severity, "target": told.target}

    first, *others = messages
    return json.dumps({**one(first), "details": [one(told) for told in others]}, separators=(",", ":"))
