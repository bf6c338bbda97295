"""The people of `people.toml`: who may use the application in evaluation, where no identity provider vouches for anybody.

In production this file is not read: people come from the identity provider's claims (`from_claims`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sync_engine.configuration import BadConfiguration, read_toml
from sync_engine.control.access import Person
from sync_engine.control.roles import Role

UNIT_PREFIX = "unit:"
"""Application roles that name a business unit begin so: "unit:DE-SOUTH", or "unit:*" for every one."""


class MissingClaims(Exception):
    """The identity provider vouches for somebody and does not say what they may do; the sentence says what is missing."""


class _Entry(BaseModel):
    """One person as the file has them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    user_id: str = Field(min_length=1)
    name: str = Field(min_length=1)
    roles: tuple[Role, ...] = Field(min_length=1)
    units: tuple[str, ...] = Field(min_length=1)


class _File(BaseModel):
    """`people.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    people: tuple[_Entry, ...] = ()


def load_people(folder: Path) -> list[Person]:
    """The people of `folder`/people.toml, in the order of the file.

    Raises:
        BadConfiguration: the file is missing or wrong: an unknown role, no unit, the same person twice.
    """
    path = folder / "people.toml"
    try:
        entries = _File.model_validate(read_toml(path)).people
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BadConfiguration(f"{path}: {place}: {first['msg']} (value {str(first.get('input'))[:100]!r})") from None
    seen: set[str] = set()
    for entry in entries:
        if entry.user_id in seen:
            raise BadConfiguration(f"{path}: {entry.user_id} is there twice")
        seen.add(entry.user_id)
    return [Person(entry.user_id, entry.name, frozenset(entry.roles), entry.units) for entry in entries]


def from_claims(claims: Mapping[str, Any], *, domain: str = "") -> Person:
    """Somebody by the claims of the identity provider: `roles` holds our role names and "unit:<code>" entries.

    Args:
        claims: As the identity token carries them.
        domain: When given, only addresses of this domain are let in; a hosted-domain claim (`hd`) has to agree with it.

    Raises:
        MissingClaims: no address, an unverified or foreign one, no role of ours, or no unit. What is missing denies.
    """
    email = str(claims.get("email") or claims.get("preferred_username") or "").strip().lower()
    if "@" not in email:
        raise MissingClaims("Your identity provider does not tell us your e-mail address (claim: email).")
    if claims.get("email_verified") is False:
        raise MissingClaims("Your identity provider says that your e-mail address has not been verified.")
    hosted = str(claims.get("hd") or "").lower()
    if domain and (email.rpartition("@")[2] != domain.lower() or (hosted and hosted != domain.lower())):
        raise MissingClaims(f"Only people of {domain} may use this application.")
    given = claims.get("roles") or ()
    names = {given} if isinstance(given, str) else {str(one) for one in given}
    roles = frozenset(Role(name) for name in names if name in set(Role))
    units = tuple(sorted(name.removeprefix(UNIT_PREFIX) for name in names if name.startswith(UNIT_PREFIX)))
    if not roles:
        raise MissingClaims(f"None of the application's roles has been assigned to you. There are: {', '.join(Role)}.")
    if not units:
        raise MissingClaims(
            f'No business unit has been assigned to you. Units are application roles such as "{UNIT_PREFIX}DE-SOUTH" or "{UNIT_PREFIX}*".'
        )
    return Person(email, str(claims.get("name") or email), roles, units)
