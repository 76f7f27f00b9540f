"""What is counted of reports: a table of (figure, class, bin) and how often.

    report.jsonl --line by line--> Figures --add--> Figures of a fleet
"""

import json
import math
from collections import Counter
from collections.abc import Iterable

from .histogram import share_bin, time_bin

# Of every report on an image, one value in [0, 1] each.
SHARES = ("failure_score", "predicted_miou", "error_area", "anomaly_area")
# Depends on the machine; kept apart from what does not.
TIME = "latency_total_ms"
# Of a report that there is no image, and of nothing else: those of `Validity::is_on_an_image` in src/watch.
WITHOUT_IMAGE = ("STALE", "STARTING", "UNLABELLED", "PENDING")


class Figures:
    """Counts by (figure, class, bin). Where a figure has no bins the bin is 0."""

    def __init__(self):
        self.counts: Counter[tuple[str, str, int]] = Counter()

    def line(self, line: dict) -> None:
        """Counts one line of report.jsonl."""
        validity, level, report = line["validity"], line["level"], line["report"]
        self.counts["validity", validity, 0] += 1
        if validity in WITHOUT_IMAGE:
            return
        self.counts["level", level, 0] += 1
        for name in SHARES:
            self._share(name, "", report[name])
        if (time := number(report[TIME])) is not None and time > 0:
            self.counts[TIME, "", time_bin(time)] += 1
        for seen in report["classes"]:
            if seen["present"]:
                self.counts["present", seen["class_name"], 0] += 1
                self._share("predicted_iou", seen["class_name"], seen["predicted_iou"])
        for region in report["regions"]:
            self.counts["anomaly_regions", region["class_name"], 0] += 1

    def _share(self, figure: str, group: str, value) -> None:
        value = number(value)
        if value is None:
            self.counts[f"{figure}_none", group, 0] += 1
        else:
            self.counts[figure, group, share_bin(value)] += 1

    def add(self, other: "Figures") -> None:
        self.counts.update(other.counts)

    def of(self, figure: str, group: str = "") -> Counter:
        """The histogram of a figure: bin to count."""
        return self.by_group(figure).get(group, Counter())

    def by_group(self, figure: str) -> dict[str, Counter]:
        """The histograms of a figure, by class."""
        groups: dict[str, Counter] = {}
        for (name, group, place), count in self.counts.items():
            if name == figure:
                groups.setdefault(group, Counter())[place] += count
        return groups

    def totals(self, figure: str) -> dict[str, int]:
        """How often a figure was counted, by class."""
        return {group: sum(counts.values()) for group, counts in sorted(self.by_group(figure).items())}


def number(value) -> float | None:
    """A value of a report; what is no number has none."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def figures_of(lines: Iterable[bytes]) -> tuple[Figures, int | None, int | None]:
    """The figures of a report.jsonl, and the times of its first and last report."""
    figures, first, last = Figures(), None, None
    for text in lines:
        line = json.loads(text)
        figures.line(line)
        first, last = (line["time"] if first is None else first), line["time"]
    return figures, first, last
