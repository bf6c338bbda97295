"""ServiceNow, the approval tool, as a stand-in."""

from sandbox.servicenow.api import ServiceNow

__all__ = ["ServiceNow"]
