"""What many schedules came to, for people and programs."""

from typing import Any

from sandbox.simulation.coverage import Coverage
from sandbox.simulation.simulate import Result


class Report:
    """Adds up results."""

    def __init__(self) -> None:
        self.failed: list[Result] = []
        self._coverage = Coverage()
        self._documents: list[int] = []
        self._seeds: list[int] = []
        self._faults = 0

    def add(self, result: Result) -> None:
        """One more."""
        self._seeds.append(result.plan.seed)
        self._documents.append(result.documents)
        self._faults += result.faults
        self._coverage.add(result.coverage)
        if result.findings:
            self.failed.append(result)

    def as_json(self, *, seconds: float) -> dict[str, Any]:
        """Everything; `seconds` from the first result to the last."""
        many = len(self._seeds)
        return {
            "schedules": many,
            "failed": len(self.failed),
            "first_seed": min(self._seeds),
            "last_seed": max(self._seeds),
            "documents": sum(self._documents),
            "documents_fewest": min(self._documents),
            "faults": self._faults,
            "seconds": round(seconds, 1),
            "schedules_per_minute": round((many - 1) / seconds * 60) if many > 1 else 0,
            "failures": [result.as_json() for result in self.failed],
            "coverage": self._coverage.as_json(),
        }
