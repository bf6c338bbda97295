"""The company that works in the stand-ins: people, troubles, and what can be broken by hand."""

from sandbox.company.company import CLIENT, Company
from sandbox.company.levers import BREAKABLE
from sandbox.company.troubles import KINDS

__all__ = ["BREAKABLE", "CLIENT", "KINDS", "Company"]
