"""What is to be done, written down in `OUT/plan.json`: a later run goes on with it, and with nothing else."""

import hashlib
import json
import re
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from . import store
from .errors import Wrong

PLAN = "plan.json"
TABLES, FAILED, RESULTS = "bags", "failed", "results"


@dataclass(frozen=True)
class Settings:
    """What the figures depend on."""

    synthcp: str  # its version
    bundle_sha256: str  # of bundle.yaml, which has those of the networks
    arguments: list[str] = field(default_factory=list)  # for synthcp replay


@dataclass(frozen=True)
class Bag:
    """A recording by its URL or path."""

    url: str

    @property
    def key(self) -> str:
        """Names its results: readable, and of this URL alone."""
        name = re.sub(r"[^A-Za-z0-9_.]+", "_", self.url.rstrip("/").rsplit("/", 1)[-1])[:60]
        return f"{name}-{hashlib.sha256(self.url.encode()).hexdigest()[:12]}"


@dataclass(frozen=True)
class Plan:
    settings: Settings
    bags: list[Bag]

    def write(self, out: str) -> None:
        content = {"format": 1, "settings": asdict(self.settings), "bags": [bag.url for bag in self.bags]}
        store.write(store.join(out, PLAN), json.dumps(content, indent=1).encode())


def read(out: str) -> Plan | None:
    """The plan of an earlier run."""
    url = store.join(out, PLAN)
    if not store.exists(url):
        return None
    try:
        content = json.loads(store.read(url))
        if content["format"] != 1:
            raise Wrong(f"{url} is of format {content['format']}; 1 is known")
        return Plan(Settings(**content["settings"]), [Bag(bag) for bag in content["bags"]])
    except (ValueError, KeyError, TypeError) as error:
        raise Wrong(f"{url} is no plan of a fleet: {error}") from error


def make(out: str, settings: Settings, patterns: list[str]) -> Plan:
    """The plan for these bags, after those of an earlier run with the same settings."""
    bags = [Bag(url) for pattern in patterns for url in _matches(pattern)]
    if twice := [url for url, count in Counter(bag.url for bag in bags).items() if count > 1]:
        raise Wrong(f"{twice[0]} is given twice; it would count twice")
    earlier = read(out)
    if earlier is not None:
        for name, theirs in asdict(earlier.settings).items():
            if (ours := asdict(settings)[name]) != theirs:
                raise Wrong(f"{out} was begun with {name} {theirs}, not {ours}; take another --out, or the same")
        bags = [*earlier.bags, *(bag for bag in bags if bag not in earlier.bags)]
    if not bags:
        raise Wrong("no bags are given")
    return Plan(settings, bags)


def _matches(pattern: str) -> list[str]:
    if not (found := store.expand(pattern)):
        raise Wrong(f"{pattern} matches no bag")
    return found


def bundle_sha256(bundle: str) -> str:
    try:
        return hashlib.sha256((Path(bundle) / "bundle.yaml").read_bytes()).hexdigest()
    except OSError as error:
        raise Wrong(f"{bundle} is no bundle: {error}") from error
