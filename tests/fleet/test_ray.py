"""On Ray with two workers: nothing is lost or counted twice, whatever is killed."""

import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from conftest import BAGS, FLEET, Journal, fleet, options

PATIENCE = 120


def until(holds, what: str):
    end = time.monotonic() + PATIENCE
    while not (found := holds()):
        assert time.monotonic() < end, what
        time.sleep(0.05)
    return found


def alive(pid: int) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def tables(out: Path) -> set[str]:
    return {table.name.rsplit("-", 1)[0] for table in (out / "bags").glob("*.parquet")}


@pytest.fixture
def start():
    started = []

    def begin(*arguments) -> subprocess.Popen:
        command = [FLEET, "run", *map(str, arguments)]
        run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        started.append(run)
        return run

    yield begin
    for run in started:
        if run.poll() is None:
            run.terminate()
        run.communicate(timeout=PATIENCE)


def assert_same(out: Path, single: Path):
    for name in ("fleet.json", "fleet.md"):
        assert (out / name).read_bytes() == (single / name).read_bytes(), name


def test_a_worker_killed_half_way_changes_nothing(yard, single, start, tmp_path):
    out, held = tmp_path / "out", yard.bags[BAGS // 2].name
    journal = Journal(tmp_path / "program", held)
    run = start(*yard.bags, "--out", out, *options(yard, journal.program))
    replay, worker, _ = until(
        lambda: next((row for row in journal.runs() if row[2] == held), None), "the bag in the middle is not begun"
    )
    until(lambda: len(tables(out)) >= BAGS // 4, "the other worker does nothing")
    assert alive(replay) and held not in tables(out)
    os.kill(worker, signal.SIGKILL)
    until(lambda: not alive(replay), "the replay outlives its worker")
    _, said = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0, said
    assert_same(out, single)
    times = Counter(bag for _, _, bag in journal.runs())
    assert times.pop(held) == 2
    assert times == Counter(bag.name for bag in yard.bags if bag.name != held)


def test_what_is_stopped_goes_on_with_what_is_missing(yard, single, start, tmp_path):
    out, held = tmp_path / "out", yard.bags[BAGS // 2].name
    journal = Journal(tmp_path / "program", held)
    arguments = [*yard.bags, "--out", out, *options(yard, journal.program)]
    run = start(*arguments)
    until(lambda: any(bag == held for _, _, bag in journal.runs()), "the bag in the middle is not begun")
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=PATIENCE)
    assert run.returncode == 130 and "goes on" in said, said
    until(lambda: not any(alive(pid) for pid, _, _ in journal.runs()), "a replay goes on by itself")
    done, before = tables(out), len(journal.runs())
    assert 0 < len(done) < BAGS and held not in done
    reduced = fleet("reduce", out)
    assert reduced.returncode == 1 and f"{BAGS - len(done)} bags" in reduced.stderr, reduced.stderr

    ended = fleet("run", *arguments)
    assert ended.returncode == 0, ended.stderr
    assert sorted(bag for _, _, bag in journal.runs()[before:]) == sorted(
        bag.name for bag in yard.bags if bag.name not in done
    )
    assert_same(out, single)
    # Nothing is left to do.
    before = len(journal.runs())
    assert fleet("run", *arguments).returncode == 0
    assert len(journal.runs()) == before
