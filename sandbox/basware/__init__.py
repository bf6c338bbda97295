"""Basware, AP automation, as a stand-in."""

from sandbox.basware.api import Basware
from sandbox.basware.tenant import NOT_POSTED

__all__ = ["NOT_POSTED", "Basware"]
