"""One task: a bag is fetched, replayed, counted, and its table written.

The table is written last, whole, to a name that is the bag's own. A task that is killed anywhere leaves no table;
one that runs twice writes the same counts to the same place. So a bag counts once, whatever happens.
"""

import ctypes
import json
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import store, table
from .errors import Interrupted
from .figures import WITHOUT_IMAGE, figures_of
from .plan import FAILED, RESULTS, TABLES, Bag
from .scratch import scratch

# synthcp replay: done; done, though parts of the recording could not be read.
_DONE = (0, 3)
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


@dataclass(frozen=True)
class How:
    """How each bag is replayed, on whatever machine."""

    synthcp: str
    bundle: str
    arguments: list[str]
    out: str
    timeout: float | None  # seconds for a bag
    keep: bool  # what synthcp replay wrote


@dataclass(frozen=True)
class Done:
    bag: Bag
    frames: int
    lost: int


@dataclass(frozen=True)
class Failed:
    """No other attempt would help: wrong arguments, no such topic, not a frame in it."""

    bag: Bag
    why: str


def table_url(out: str, bag: Bag) -> str:
    return store.join(out, TABLES, f"{bag.key}.parquet")


def failed_url(out: str, bag: Bag) -> str:
    return store.join(out, FAILED, f"{bag.key}.json")


def replay(bag: Bag, how: How) -> Done | Failed:
    """Does it all. Raises what is worth another attempt."""
    url = table_url(how.out, bag)
    try:
        size = store.size(bag.url)
    except FileNotFoundError:
        return _failed(bag, how, "it is not there")
    if store.exists(url):
        # An attempt that was believed lost has come to its end meanwhile.
        facts = table.facts_of(store.read(url))
        if facts.size == size:
            return Done(bag, facts.frames, facts.lost)
    with scratch() as folder:
        (folder / "bag").mkdir()
        recording = store.fetch(bag.url, folder / "bag")
        result = folder / "result"
        code, said = _synthcp(how, recording, result, folder)
        said = said.replace(str(recording), bag.url)
        if code < 0 or code == 130:
            raise Interrupted(f"the replay of {bag.url} was killed by signal {-code}")
        if code not in _DONE:
            return _failed(bag, how, f"synthcp replay ended with {code}: {said}")
        facts, figures = _read(result, bag, recording, size)
        if how.keep:
            store.keep(result, store.join(how.out, RESULTS, bag.key))
        store.write(url, table.pack(facts, figures))
        return Done(bag, facts.frames, facts.lost)


def _failed(bag: Bag, how: How, why: str) -> Failed:
    store.write(failed_url(how.out, bag), json.dumps({"bag": bag.url, "why": why}, indent=1).encode())
    return Failed(bag, why)


def _synthcp(how: How, recording: Path, result: Path, folder: Path) -> tuple[int, str]:
    """The exit code, and the last line that was said."""
    command = [how.synthcp, "replay", str(recording), "--bundle", how.bundle, "--out", str(result), *how.arguments]
    log = folder / "stderr"
    with log.open("wb") as errors:
        try:
            code = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                timeout=how.timeout,
                preexec_fn=_die_with_the_worker,
            ).returncode
        except subprocess.TimeoutExpired:
            return 1, f"it took longer than {how.timeout:g} s"
    lines = log.read_bytes()[-4000:].decode(errors="replace").strip().splitlines()
    return code, lines[-1] if lines else "it said nothing"


def _die_with_the_worker() -> None:
    """A worker that is killed leaves no replay behind, which would take the processor from the next attempt."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _read(result: Path, bag: Bag, recording: Path, size: int) -> tuple[table.Facts, "table.Figures"]:
    """The figures of a result that is complete, and agrees with itself."""
    summary = json.loads((result / "summary.json").read_bytes())
    with (result / "report.jsonl").open("rb") as lines:
        figures, first, last = figures_of(lines)
    if not summary["complete"]:
        raise Interrupted(f"the replay of {bag.url} was stopped")
    said = figures.totals("validity")
    counted = sum(count for validity, count in said.items() if validity not in WITHOUT_IMAGE)
    if counted != summary["frames"] or said != summary["validity"]:
        raise Interrupted(f"report.jsonl of {bag.url} has {counted} frames, summary.json {summary['frames']}")
    facts = table.Facts(
        bag=bag.url,
        size=size,
        topic=summary["topic"],
        met=summary["met"],
        frames=summary["frames"],
        doubtful=summary["doubtful"],
        lost=summary["lost"],
        losses=[loss.replace(str(recording), bag.url) for loss in summary["losses"]],
        failures_begun=summary["failures_begun"],
        first=first,
        last=last,
        latency_ms=summary["latency_ms"],
    )
    return facts, figures
