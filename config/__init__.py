"""Versioned configuration: what differs between companies and changes without a release.

`finsync migrate` and every engine's start promote what they find here into `config_version`, so that each document says
under which version it was read and decided.
"""

from pathlib import Path

FOLDER = Path(__file__).parent
