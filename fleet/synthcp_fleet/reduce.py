"""One report of all tables.

fleet.json holds what is the same wherever the bags were replayed; timing.json what is not.
"""

import json
from dataclasses import asdict, dataclass, field

from . import bag as task
from . import store, table
from .figures import SHARES, TIME, Figures
from .histogram import mean, quantiles, share_of, time_of
from .page import page
from .plan import TABLES, Bag, Plan

REPORT, TIMING, PAGE = "fleet.json", "timing.json", "fleet.md"
_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
_HOUR = 3600e9


@dataclass
class Fleet:
    """Everything, added up."""

    plan: Plan
    figures: Figures = field(default_factory=Figures)
    facts: list[table.Facts] = field(default_factory=list)
    failed: list[dict] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def lost(self) -> int:
        return sum(facts.lost for facts in self.facts)


def gather(out: str, plan: Plan) -> Fleet:
    """Reads the tables one by one; what is held grows with the bins, not with the frames."""
    fleet = Fleet(plan)
    store.forget(out)
    for bag in sorted(plan.bags, key=lambda bag: bag.url):
        if store.exists(url := task.table_url(out, bag)):
            facts, figures = table.unpack(store.read(url))
            fleet.facts.append(facts)
            fleet.figures.add(figures)
        elif store.exists(url := task.failed_url(out, bag)):
            fleet.failed.append(json.loads(store.read(url)))
        else:
            fleet.missing.append(bag.url)
    return fleet


def _shares(histogram) -> dict | None:
    found = quantiles(histogram, _QUANTILES.values(), share_of)
    return found and {"mean": mean(histogram), **dict(zip(_QUANTILES, found, strict=True))}


def _rate(count: int, nanoseconds: int) -> float | None:
    return count * _HOUR / nanoseconds if nanoseconds > 0 else None


def _recorded(facts: table.Facts) -> int:
    return facts.last - facts.first if facts.first is not None else 0


def report(fleet: Fleet) -> dict:
    """What fleet.json holds."""
    figures = fleet.figures
    total = lambda name: sum(getattr(facts, name) for facts in fleet.facts)  # noqa: E731
    recorded = sum(_recorded(facts) for facts in fleet.facts)
    present = figures.totals("present")
    iou = figures.by_group("predicted_iou")
    without = {"latency_ms", "losses"}
    return {
        "format": 1,
        "settings": asdict(fleet.plan.settings),
        "bags": len(fleet.plan.bags),
        "replayed": len(fleet.facts),
        "failed": fleet.failed,
        "missing": fleet.missing,
        "hours": recorded / _HOUR,
        "met": total("met"),
        "frames": total("frames"),
        "doubtful": total("doubtful"),
        "lost": fleet.lost,
        "validity": figures.totals("validity"),
        "level": figures.totals("level"),
        "failures_begun": total("failures_begun"),
        "failures_begun_an_hour": _rate(total("failures_begun"), recorded),
        "scores": {name: _shares(figures.of(name)) for name in SHARES},
        "without_score": {name: figures.totals(f"{name}_none").get("", 0) for name in SHARES},
        "classes": {
            name: {"frames": count, "predicted_iou": _shares(iou.get(name, {}))} for name, count in present.items()
        },
        "anomaly_regions": figures.totals("anomaly_regions"),
        "of_bags": [
            {name: value for name, value in asdict(facts).items() if name not in without}
            | {"losses": facts.losses[:10], "failures_begun_an_hour": _rate(facts.failures_begun, _recorded(facts))}
            for facts in fleet.facts
        ],
    }


def timing(fleet: Fleet) -> dict:
    """What timing.json holds: latencies, right within 1.6 %."""
    found = quantiles(fleet.figures.of(TIME), _QUANTILES.values(), time_of)
    return {
        "latency_ms": found and dict(zip(_QUANTILES, found, strict=True)),
        "of_bags": {facts.bag: facts.latency_ms for facts in fleet.facts},
    }


def write(out: str, plan: Plan) -> Fleet:
    """Writes the three files."""
    fleet = gather(out, plan)
    told, times = report(fleet), timing(fleet)
    store.write(store.join(out, REPORT), _text(told))
    store.write(store.join(out, TIMING), _text(times))
    store.write(store.join(out, PAGE), page(told).encode())
    return fleet


def _text(content: dict) -> bytes:
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()


def missing(out: str, plan: Plan) -> list[Bag]:
    """What is still to be done: bags without a table. A bag of another size than was read is another bag: its table
    goes."""
    there = store.names(store.join(out, TABLES), ".parquet")
    for bag in plan.bags:
        if bag.key in there and _changed(out, bag):
            store.remove(task.table_url(out, bag))
            there.remove(bag.key)
    return [bag for bag in plan.bags if bag.key not in there]


def _changed(out: str, bag: Bag) -> bool:
    try:
        size = store.size(bag.url)
    except FileNotFoundError:
        # It was read, and moved away.
        return False
    return table.facts_of(store.read(task.table_url(out, bag))).size != size
