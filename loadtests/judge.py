"""The judge: counts what customers were promised, and says when it was more than there is.

A promise counts when its answer came, a return when its request left: so what is counted as promised at any
moment is at most what the service has promised then, and a complaint is never a false one.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

EXAMPLES_MAX = 20
SERVER_ERROR = 500


@dataclass
class Judge:
    """Of one load generator; `units` is the stock of each SKU, empty where nobody knows it."""

    units: Mapping[str, int]
    promised: dict[str, int] = field(default_factory=dict)
    oversold: list[str] = field(default_factory=list)
    server_errors: list[str] = field(default_factory=list)
    wrong_answers: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def promise(self, lines: Mapping[str, int]) -> None:
        """A lock was answered with 201."""
        for sku, quantity in lines.items():
            held = self.promised[sku] = self.promised.get(sku, 0) + quantity
            if sku in self.units and held > self.units[sku]:
                self._complain("oversold", self.oversold, f"{sku}: {held} promised of {self.units[sku]}")

    def give_back(self, lines: Mapping[str, int]) -> None:
        """An unlock is about to be sent."""
        for sku, quantity in lines.items():
            self.promised[sku] -= quantity

    def server_error(self, what: str) -> None:
        """An answer of 500 or more, or none at all."""
        self._complain("server_errors", self.server_errors, what)

    def wrong(self, what: str) -> None:
        """An answer that contradicts the contract."""
        self._complain("wrong_answers", self.wrong_answers, what)

    def refusal_fault(self, lines: Mapping[str, int], problem: Mapping[str, object]) -> str:
        """What is wrong with a 409 to these lines; empty if its shortages are right."""
        shortages = problem.get("shortages")
        if problem.get("code") != "insufficient_stock" or not isinstance(shortages, list) or not shortages:
            return f"a refusal without shortages: {problem}"
        for shortage in shortages:
            asked, left = lines.get(shortage.get("sku")), shortage.get("sellable")
            if asked is None or shortage.get("requested") != asked:
                return f"a shortage of what nobody asked for: {shortage}"
            if not isinstance(left, int) or not 0 <= left < asked:
                return f"a refusal though it is there: {shortage}"
        return ""

    @property
    def is_content(self) -> bool:
        """Whether there is nothing to complain of."""
        return not (self.oversold or self.server_errors or self.wrong_answers)

    def write(self, path: Path, flash_sku: str) -> None:
        """Leave the verdict for whoever started the test."""
        told = {
            "content": self.is_content,
            "oversold": self.oversold,
            "server_errors": self.server_errors,
            "wrong_answers": self.wrong_answers,
            "counts": self.counts,
            "units_promised": sum(self.promised.values()),
            "flash": {"units": self.units.get(flash_sku), "promised": self.promised.get(flash_sku, 0)},
        }
        path.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")

    def _complain(self, kind: str, complaints: list[str], what: str) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if len(complaints) < EXAMPLES_MAX:
            complaints.append(what)
