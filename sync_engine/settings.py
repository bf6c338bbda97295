"""The environment, typed: where the program keeps its state, which database, which mode. Secrets are never printed."""

import os
from enum import StrEnum
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from config import FOLDER


class Mode(StrEnum):
    """How seriously the program takes what it is given."""

    EVALUATION = "evaluation"  # embedded database, person switcher, loopback systems
    PRODUCTION = "production"  # refuses to start half configured


def default_home() -> Path:
    """Where state is kept when FINSYNC_HOME does not say: the user's state folder, or a system one for root (whose home
    nobody else may enter, not even the user the embedded PostgreSQL has to run as)."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/finsync")
    return Path(os.environ.get("XDG_STATE_HOME", "~/.local/state")).expanduser() / "finsync"


class Settings(BaseSettings):
    """Everything the environment says. Names in the environment have FINSYNC_ before them, but for DATABASE_URL."""

    model_config = SettingsConfigDict(env_prefix="FINSYNC_", extra="ignore")

    home: Path = Field(default_factory=default_home)
    cell: str = Field(default="public", pattern=r"^[a-z_][a-z0-9_]{0,62}$")
    mode: Mode = Mode.EVALUATION
    config: Path = FOLDER
    database_url: SecretStr | None = Field(default=None, validation_alias="DATABASE_URL")
    """The owner's address: migrations, and everything else where no narrower one is given."""
    engine_database_url: SecretStr | None = None
    app_database_url: SecretStr | None = None
    gate_database_url: SecretStr | None = None
    app_url: str = "http://127.0.0.1:8501"
    app_port: int = 8501
    session_hours: float = 12.0

    @field_validator("home", "config")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return path.expanduser().resolve()

    @property
    def is_production(self) -> bool:
        """Whether half measures are refused."""
        return self.mode is Mode.PRODUCTION


@cache
def release() -> str:
    """The program's version, noted beside what it did."""
    try:
        return version("finance-workflow-sync")
    except PackageNotFoundError:
        return "0.0.0+source"


def secret(name: str) -> str:
    """A secret by its name in the environment, or the content of the file that <name>_FILE names; read anew every time, so
    that a rotated one is picked up. Empty when neither is there."""
    path = os.environ.get(f"{name}_FILE")
    if path:
        return Path(path).read_text(encoding="utf-8").strip()
    return os.environ.get(name, "")
