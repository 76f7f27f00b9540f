"""Forty short recordings of rendered streets, a bundle of random weights, and `fleet` as its users run it."""

import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SYNTHCP = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release/synthcp"
FLEET = Path(sys.executable).parent / "fleet"
BAGS = 40
# Every so many of them have the same frames: they are told apart by their names.
DRIVES = 8


def frames(number: int) -> int:
    """Frames in a bag."""
    return 1 + number % DRIVES % 3


@dataclass
class Yard:
    """A folder with bags and a bundle."""

    folder: Path
    bundle: Path = field(init=False)
    bags: list[Path] = field(init=False)

    def __post_init__(self):
        self.bundle = self.folder / "bundle"
        synthcp("bundle", "random", "--out", self.bundle)
        self.bags = [self.folder / f"bags/drive_{number:02}.mcap" for number in range(BAGS)]
        self.bags[0].parent.mkdir()
        for number, bag in enumerate(self.bags):
            if number < DRIVES:
                drive = ["--town", "test", "--seed", str(number), "--frames", str(frames(number))]
                synthcp("street", "render", *drive, "--bag", bag)
            else:
                shutil.copy(self.bags[number % DRIVES], bag)


def synthcp(*arguments) -> None:
    subprocess.run([SYNTHCP, *arguments], check=True, stdout=subprocess.DEVNULL)


def options(yard: Yard, program: Path = SYNTHCP) -> list[str]:
    return ["--bundle", str(yard.bundle), "--synthcp", str(program), "--topic", "/image", "--device", "cpu"]


def fleet(*arguments, **more) -> subprocess.CompletedProcess:
    command = [FLEET, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=150, **more)


class Journal:
    """A program that stands before synthcp and writes down each replay: its process, its parent, its bag. The
    first replay of the bag `held` waits to be killed."""

    def __init__(self, folder: Path, held: str = ""):
        folder.mkdir(exist_ok=True)
        self.program, self.file = folder / "synthcp", folder / "journal"
        self.file.touch()
        lines = [
            "#!/bin/bash",
            f'[ "$1" = replay ] || exec {shlex.quote(str(SYNTHCP))} "$@"',
            f"grep -q {held or '^$'} {self.file}; seen=$?",
            f'echo "$$ $PPID $(basename "$2")" >> {self.file}',
            f'if [ "$(basename "$2")" = "{held}" ] && [ $seen != 0 ]; then exec sleep 100; fi',
            f'exec {shlex.quote(str(SYNTHCP))} "$@"',
        ]
        self.program.write_text("\n".join(lines) + "\n")
        self.program.chmod(0o755)

    def runs(self) -> list[tuple[int, int, str]]:
        rows = (line.split() for line in self.file.read_text().splitlines())
        return [(int(pid), int(parent), bag) for pid, parent, bag in rows]


@pytest.fixture(scope="session")
def yard(tmp_path_factory) -> Yard:
    return Yard(tmp_path_factory.mktemp("yard"))


@pytest.fixture(scope="session")
def single(yard) -> Path:
    """What one machine makes of all bags, one after the other, without Ray."""
    out = yard.folder / "single"
    ended = fleet("run", *yard.bags, "--out", out, "--serial", "--keep", *options(yard))
    assert ended.returncode == 0, ended.stderr
    return out
