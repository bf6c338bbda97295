"""One file per outside system, both directions: what is collected from it and what is asked of it.

A system's file declares it (`SYSTEM`); where it has grown, its parts stand beside it under the same prefix. Only `http.py`
touches the network, only a system's own files know its words, and none knows another system (PRODUCT.md R014).
"""

from collectors import basware, coupa, sap_s4hana, servicenow
from sync_engine.model.ports import System

SYSTEMS: dict[str, System] = {system.SYSTEM.name: system.SYSTEM for system in (coupa, servicenow, sap_s4hana, basware)}
"""Every system by name."""
