"""Coupa, the procurement system, as a stand-in."""

from sandbox.coupa.api import Coupa
from sandbox.coupa.records import Wanted, stamp
from sandbox.coupa.screen import OPEN_STATUSES

__all__ = ["OPEN_STATUSES", "Coupa", "Wanted", "stamp"]
