"""SAP S/4HANA, the ERP, as a stand-in."""

from sandbox.s4hana.messages import Rejected
from sandbox.s4hana.system import S4Hana

__all__ = ["Rejected", "S4Hana"]
