"""When which fault happens. Each class draws from a stream of its own, so that leaving one class out does not reshuffle the
others, and a failing plan can be shrunk class by class."""

from collections import Counter
from random import Random

from sandbox.simulation.plan import FAULTS, Plan
from sandbox.simulation.trace import Trace


class Faults:
    """The faults of one schedule.

    Args:
        plan: Their rates, and how many there may be at most.
        trace: Where each is taken down.
    """

    def __init__(self, plan: Plan, trace: Trace) -> None:
        self._plan = plan
        self._trace = trace
        self._streams = {name: Random(f"{plan.seed} fault {name}") for name in FAULTS}
        self.are_on = True
        self.struck: Counter[tuple[str, str]] = Counter()
        """How often each class struck, by where."""

    def strikes(self, name: str, where: str = "", *, factor: float = 1.0) -> bool:
        """Whether a fault of a class happens here and now. `factor` makes heavy ones rarer than their rate."""
        rate = self._plan.rates.get(name, 0.0) * factor
        if not self.are_on or not rate or self._streams[name].random() >= rate:
            return False
        if self._plan.faults_max is not None and self.count >= self._plan.faults_max:
            self.are_on = False
            return False
        self.struck[name, where] += 1
        self._trace.say("fault", name, where)
        return True

    def chance(self, name: str) -> Random:
        """The stream of a class, for what such a fault is like."""
        return self._streams[name]

    @property
    def count(self) -> int:
        """How many faults have happened."""
        return self.struck.total()
