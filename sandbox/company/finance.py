"""The finance calendar: posting periods that open late, payment runs, budgets of a new year, SAP's maintenance window."""

from datetime import UTC, date, datetime, time, timedelta

from sandbox.company import odds
from sandbox.company.agenda import action
from sandbox.company.conditions import MAINTENANCE, Conditions
from sandbox.company.founding import set_budgets
from sandbox.company.office import Office, month_after

# fmt: off
OPENING_DAY = {            # by company code: on which working day of a month, and between which local hours, it is opened
    "1010": (0, time(9, 30), 240), "1110": (0, time(8, 40), 60), "1710": (1, time(10, 0), 150), "1510": (0, time(9, 10), 60),
}
# fmt: on
OLD_PERIOD_DAYS = 2
"""The old month stays open for so many working days beside the new one."""
PAYMENT_TIME = time(10, 0)
MAINTENANCE_BEGINS, MAINTENANCE_LASTS = time(2, 0), timedelta(hours=4)
"""SAP's weekly window, on Sundays in UTC."""


class Finance:
    """What comes round by the calendar."""

    def __init__(self, office: Office, conditions: Conditions) -> None:
        self._office = office
        self._conditions = conditions

    def begin(self) -> None:
        """Plan the first round of everything."""
        for company_code in self._office.company_codes:
            unit = self._office.unit_of_company(company_code)
            today = unit.calendar.day(self._office.start)
            self._plan_month(company_code, month_after(today))
            self._plan_payment(company_code, today)
        self._plan_maintenance(self._office.start)

    # Posting periods

    def _plan_month(self, company_code: str, first: date) -> None:
        unit, month = self._office.unit_of_company(company_code), first.isoformat()
        self._office.agenda.add(
            unit.calendar.at(first, time(0)), self.miss_period, company_code=company_code, month=month
        )

    @action
    def miss_period(self, *, company_code: str, month: str) -> None:
        """A month has begun and its period is not open yet."""
        office, first = self._office, date.fromisoformat(month)
        unit = office.unit_of_company(company_code)
        nth, earliest, minutes = OPENING_DAY[company_code]
        day = unit.calendar.working_day(first, nth)
        opens_at = unit.calendar.at(day, earliest) + timedelta(
            minutes=office.luck("period", company_code, month).uniform(0, minutes)
        )
        episode = office.begin(
            "period_late", "s4hana", f"Period {first:%m/%Y} of company {company_code} is not open yet."
        )
        office.agenda.add(opens_at, self.open_period, company_code=company_code, month=month, episode=episode)
        if month.endswith("-01-01") and company_code == office.company_codes[0]:
            set_budgets(office, first.year + 1)  # this year's are there; the next one's come in good time

    @action
    def open_period(self, *, company_code: str, month: str, episode: int) -> None:
        """Open a month; close the next one, which would be open otherwise, and plan the end of the last."""
        office, first = self._office, date.fromisoformat(month)
        following, last = month_after(first), first - timedelta(days=1)
        calendar = office.unit_of_company(company_code).calendar
        office.s4hana.open_period(company_code=company_code, year=first.year, month=first.month)
        office.s4hana.close_period(company_code=company_code, year=following.year, month=following.month)
        office.end(episode)
        day = calendar.working_day(calendar.day(office.now), OLD_PERIOD_DAYS)
        office.agenda.add(
            calendar.at(day, time(12, 30)),
            self.close_period,
            company_code=company_code,
            year=last.year,
            month=last.month,
        )
        self._plan_month(company_code, following)

    @action
    def close_period(self, *, company_code: str, year: int, month: int) -> None:
        """Nothing more is posted in the old month."""
        self._office.s4hana.close_period(company_code=company_code, year=year, month=month)

    # Payments

    def _plan_payment(self, company_code: str, after: date) -> None:
        calendar = self._office.unit_of_company(company_code).calendar
        following = after + timedelta(days=(odds.PAYMENT_WEEKDAY - after.weekday() - 1) % 7 + 1)
        at = calendar.at(calendar.working_day(following), PAYMENT_TIME)
        self._office.agenda.add(at, self.pay, company_code=company_code, planned=following.isoformat())

    @action
    def pay(self, *, company_code: str, planned: str) -> None:
        """The weekly payment run: what is due, posted and not blocked."""
        calendar = self._office.unit_of_company(company_code).calendar
        today = calendar.day(self._office.now)
        self._office.s4hana.run_payment(company_code=company_code, on=today)
        # A run that was put off by a holiday does not put off the next one.
        self._plan_payment(company_code, max(date.fromisoformat(planned), today - timedelta(days=6)))

    # Maintenance

    def _plan_maintenance(self, after: datetime) -> None:
        day = after.astimezone(UTC).date()
        sunday = day + timedelta(days=(6 - day.weekday()) % 7)
        at = datetime.combine(sunday, MAINTENANCE_BEGINS, UTC)
        if at <= after:
            at += timedelta(days=7)
        self._office.agenda.add(at, self.begin_maintenance, ends=(at + MAINTENANCE_LASTS).isoformat())

    @action
    def begin_maintenance(self, *, ends: str) -> None:
        """SAP goes down for its weekly window."""
        office, ends_at = self._office, datetime.fromisoformat(ends)
        if office.now < ends_at:
            self._conditions.disturb("s4hana", MAINTENANCE, {"outage": True}, at=office.now)
            episode = office.begin("sap_maintenance", "s4hana", "The weekly maintenance window.")
            office.agenda.add(ends_at, self.end_maintenance, episode=episode)
        self._plan_maintenance(max(ends_at, office.now))

    @action
    def end_maintenance(self, *, episode: int) -> None:
        """SAP is back."""
        self._conditions.calm("s4hana", MAINTENANCE, at=self._office.now)
        self._office.end(episode)
