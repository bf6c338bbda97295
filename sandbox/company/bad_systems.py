"""Outages, storms and releases of the systems themselves. What happens is the vendor's; that it ends, too."""

from dataclasses import dataclass
from datetime import timedelta

from sandbox.company.agenda import action
from sandbox.company.conditions import Conditions, Values
from sandbox.company.office import Office


@dataclass(frozen=True, slots=True)
class Disturbance:
    """One kind of it: which system, how long, in words, and the faults it brings."""

    system: str
    minutes: int
    what: str
    faults: Values


# fmt: off
DISTURBANCES = {
    #                                  system        minutes  what                                        faults
    "servicenow_outage": Disturbance("servicenow",     40, "ServiceNow does not answer.",              {"outage": True}),
    "sap_outage":        Disturbance("s4hana",        180, "SAP is down on a working day.",            {"outage": True}),
    "coupa_throttled":   Disturbance("coupa",          20, "Coupa asks callers to slow down.",         {"throttle_share": 0.4, "retry_after_s": 30.0}),
    "basware_errors":    Disturbance("basware",        30, "Basware answers with errors.",             {"error_share": 0.9, "error_status": 502}),
    "replies_lost":      Disturbance("s4hana",         60, "SAP's answers get lost on the way.",       {"reply_lost_share": 0.2}),
    "drift_added":       Disturbance("coupa",        1440, "Coupa sends a field nobody has asked for.", {"schema_drift": "added"}),
    "drift_removed":     Disturbance("coupa",          60, "Coupa leaves out a field.",                {"schema_drift": "removed"}),
}
# fmt: on


class BadSystems:
    """Disturbances that come and go."""

    def __init__(self, office: Office, conditions: Conditions) -> None:
        self._office = office
        self._conditions = conditions

    @action
    def disturb(self, *, kind: str, nth: int) -> None:
        """Begin a disturbance, and plan its end."""
        office, disturbance = self._office, DISTURBANCES[kind]
        key = f"{kind} {nth}"
        ends_at = office.now + timedelta(minutes=disturbance.minutes)
        self._conditions.disturb(disturbance.system, key, disturbance.faults, at=office.now)
        episode = office.begin(kind, disturbance.system, disturbance.what)
        office.agenda.add(ends_at, self.calm, system=disturbance.system, key=key, episode=episode)

    @action
    def calm(self, *, system: str, key: str, episode: int) -> None:
        """It is over."""
        self._conditions.calm(system, key, at=self._office.now)
        self._office.end(episode)
