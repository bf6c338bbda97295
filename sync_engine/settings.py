"""The environment, typed: where the program keeps its state, which database, which mode. Secrets are never printed."""

import os
from enum import StrEnum
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator
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
    app_url: str = ""
    """What people type to open the application; remediation tasks link to it. By default the host and port it listens on."""
    app_host: str = "127.0.0.1"
    app_port: int = 8501
    one_core: bool = True
    """Each process of ours stays on one core of its own; false where somebody else decides what runs where."""
    api_host: str = "127.0.0.1"
    api_port: int = 8510
    smtp_host: str = ""
    """Where mail is handed in. Who we are there stands in the secrets FINSYNC_SMTP_USER and FINSYNC_SMTP_PASSWORD, if it asks."""
    smtp_port: int = 587
    smtp_sender: str = ""
    smtp_starttls: bool = True
    session_hours: float = Field(default=12.0, gt=0, le=24 * 7)
    oidc_metadata_url: str = ""
    """The identity provider's `.well-known/openid-configuration`."""
    oidc_client_id: str = ""
    oidc_client_secret: SecretStr = SecretStr("")
    oidc_domain: str = ""
    """Only accounts of this domain (their `hd` claim, or their verified e-mail address) are let in; empty: every account that
    the provider vouches for and has given a role."""
    cookie_secret: SecretStr = SecretStr("")
    """Signs the cookie of people who have logged in; at least 32 characters."""

    @field_validator("home", "config")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return path.expanduser().resolve()

    @model_validator(mode="after")
    def _address(self) -> Self:
        if not self.app_url:
            self.app_url = f"http://{self.app_host}:{self.app_port}"
        return self

    @property
    def is_production(self) -> bool:
        """Whether half measures are refused."""
        return self.mode is Mode.PRODUCTION

    @property
    def has_identity_provider(self) -> bool:
        """Whether people can log in."""
        return bool(
            self.oidc_metadata_url
            and self.oidc_client_id
            and self.oidc_client_secret.get_secret_value()
            and self.cookie_secret.get_secret_value()
        )


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
