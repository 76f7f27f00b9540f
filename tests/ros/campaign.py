"""The real node through every fault of faults.py, many times each: scripts/fault_campaign.

For each trial the labels may be used at first; the fault is made; it is found when the consumer has the report (or
the silence) that was expected; it is mended; and the node has recovered when the labels may be used again. Times are
the consumer's, so transport is within them. A fault is told once: between the time that it was made and half a second
after the recovery, labels that may be used turn into labels that may not once. PENDING says that the last report
still holds, and counts as neither.

Prints a Markdown table, and exits with 1 if a fault was missed, found too late or told twice, or took the node down.
"""

import argparse
import collections
import contextlib
import dataclasses
import functools
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import rclpy
from PIL import Image as Picture

from faults import CATALOGUE, Fault
from harness import VALIDITY, binary
from stage import PATIENCE, Stage, is_usable, random_bundle

class NotUsable(TimeoutError):
    """Labels may not be used although nothing is wrong: the fault before is not over, or the machine too busy."""


COLUMNS = ["fault", "expected", "seen", "found", "to detect, s", "at most", "to recover, s", "told twice", "node"]


@dataclasses.dataclass
class Row:
    """What became of one fault."""

    fault: Fault
    tried: int = 0
    seen: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    detect: list = dataclasses.field(default_factory=list)
    recover: list = dataclasses.field(default_factory=list)
    twice: int = 0
    deaths: int = 0
    # How often labels could not be used again in time, before a fault or after one.
    unrecovered: int = 0
    misses: list = dataclasses.field(default_factory=list)

    @property
    def late(self):
        """Trials in which it took longer than was promised."""
        return sum(seconds > self.fault.limit for seconds in self.detect) if self.fault.limit else 0

    def is_good(self):
        """Whether everything was as it must be."""
        return self.tried > 0 and not (self.misses or self.late or self.twice or self.deaths or self.unrecovered)

    def cells(self):
        """The row of the table."""
        found = max(0, self.tried - len(self.misses))
        late = f" ({self.late} late)" if self.late else ""
        limit = "" if self.fault.limit is None else f"{self.fault.limit:.1f}{late}"
        return [
            self.fault.name,
            self.fault.expected,
            ", ".join(self.seen) or "nothing",
            f"{found} of {self.tried}",
            span(self.detect),
            limit,
            span(self.recover) + (f" ({self.unrecovered} not)" if self.unrecovered else ""),
            "" if self.fault.is_borne or self.fault.returns else str(self.twice),
            f"died {self.deaths} times" if self.deaths else "ends" if self.fault.ends else "lives",
        ]


def span(seconds):
    """Median and worst."""
    return f"{statistics.median(seconds):.2f}, {max(seconds):.2f}" if seconds else ""


def trial(stage, fault, row):
    """Makes the fault once, and books what is seen of it."""
    until_usable(stage, stage.is_usable)
    row.tried += 1
    stage.latest = 0.0
    number = len(stage.peer.reports)
    with contextlib.ExitStack() as undo:
        # Whatever happens inside, the camera is a good one afterwards.
        undo.callback(stage.restore_camera)
        made = time.monotonic()
        with fault.inject(stage) as began:
            patience = (4 if fault.is_slow else 1) * PATIENCE
            at, words = stage.until(lambda: fault.find(stage, number), fault.expected, patience)
    mended, after = time.monotonic(), len(stage.peer.reports)
    row.seen[words] += 1
    if not fault.is_borne:
        # The first spoilt image, where there is one.
        spoilt = stage.altered_at if stage.altered_at > made else made
        row.detect.append(at - (spoilt if began is None else began))
    if not stage.is_alive():
        if not fault.ends:
            row.deaths += 1
        stage.monitor = stage.process()
    if fault.is_borne:
        return

    def recovered():
        if fault.ends and not stage.is_alive():
            # It outlived the fault for a moment only.
            stage.monitor = stage.process()
        return next((at for at, report in stage.since(after) if is_usable(report)), None)

    row.recover.append(until_usable(stage, recovered) - mended)
    stage.run(0.5)
    if not fault.returns and times_told(report for _, report in stage.since(number)) > 1:
        row.twice += 1


def until_usable(stage, condition):
    """Lets time pass until the labels may be used."""
    try:
        return stage.until(condition, "labels that may be used", 2 * PATIENCE)
    except TimeoutError as error:
        raise NotUsable(str(error)) from error


def attempt(stage, fault, row):
    """A trial that is booked however it ends; gives whether it ended well."""
    try:
        trial(stage, fault, row)
        return True
    except NotUsable as error:
        row.unrecovered += 1
        missed = error
    except (TimeoutError, AssertionError, subprocess.SubprocessError) as error:
        row.misses.append(str(error))
        missed = error
    row.deaths += not (stage.is_alive() or fault.ends)
    received = stage.peer.reports[-1].frames_received if stage.peer.reports else 0
    print(f"  {fault.name}, trial {row.tried}: {str(missed)[:300]} (a frame was {stage.latest:.2f} s late here; "
          f"{stage.published} sent in all, {received} received by this node)", file=sys.stderr)
    stage.injector.set("nothing")
    return False


def times_told(reports):
    """How often labels that may be used turned into labels that may not."""
    usable = [is_usable(report) for report in reports if VALIDITY[report.validity] != "PENDING"]
    return sum(before and not after for before, after in zip([True, *usable], usable))


def campaign(fault, times, stage):
    """All trials of a fault, on one node where it lives."""
    row = Row(fault)
    for _ in range(times):
        if not attempt(stage, fault, row):
            # Whatever state it is in, the next trial begins with a good one.
            if stage.is_alive():
                stage.kill()
            number = len(stage.peer.reports)
            stage.monitor = stage.process()
            # What the one before said last is no word of this one.
            stage.until(lambda: len(stage.peer.reports) > number, "a report of the next node", PATIENCE)
    return row


@functools.cache
def street(folder):
    """Frames of a rendered street that the street bundle has not learned from, without anything unknown."""
    path = pathlib.Path(folder) / "street"
    subprocess.run([binary("synthcp"), "street", "render", "--town", "test", "--frames", "40", "--out", path],
                   check=True, stdout=subprocess.DEVNULL)
    found = sorted(file for file in path.rglob("*.png") if "label" not in str(file.relative_to(path)))
    return [np.asarray(Picture.open(file).convert("RGB")) for file in found]


def back_and_forth(pictures):
    """A drive without an end and without a jump, by a camera that is as noisy as they are: a rendered street that
    stands still would be an image that repeats."""
    noise = np.random.default_rng(0)
    while True:
        for pixels in [*pictures, *pictures[-2:0:-1]]:
            yield np.clip(pixels + noise.normal(0, 1.5, pixels.shape), 0, 255).astype(np.uint8)


@contextlib.contextmanager
def small_disk(folder):
    """A file system of half a megabyte."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextlib.contextmanager
def staged(context, folder, number, fault):
    """A stage with what the fault needs."""
    with contextlib.ExitStack() as undo:
        parameters, bundle, pictures = dict(fault.parameters), random_bundle(folder), None
        if fault.scene == "street":
            bundle, pictures = "street", back_and_forth(street(folder))
            # As it was calibrated.
            parameters |= {f"threshold.{name}": -1.0 for name in ("caution", "failure", "anomaly_area")}
        own = pathlib.Path(folder) / f"fault_{number}"
        own.mkdir()
        if parameters.pop("log", None):
            own = undo.enter_context(small_disk(own / "disk"))
        if parameters.get("valid_mask") == "mask":
            parameters["valid_mask"] = str(own / "mask.png")
            Picture.fromarray(np.full((64, 96), 255, np.uint8)).save(parameters["valid_mask"])
        if parameters.pop("bundle", None):
            bundle = shutil.copytree(bundle, own / "bundle")
        stage = Stage(context, own, f"campaign_{number}", bundle, parameters,
                      rate=fault.rate, pictures=pictures, form=fault.form)
        undo.callback(stage.close)
        stage.start()
        yield stage


def table(rows):
    """All rows as Markdown."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row.cells()) + " |" for row in rows])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20, help="how often each fault is made (default 20)")
    parser.add_argument("--slow", type=int,
                        help="how often each fault is made that takes half a minute (default: 3, or --times if less)")
    parser.add_argument("--only", action="append", default=[], help="only faults with this in their name; repeatable")
    parser.add_argument("--out", type=pathlib.Path, help="where the table is written as well")
    parser.add_argument("--list", action="store_true", help="names the faults")
    arguments = parser.parse_args()
    chosen = [fault for fault in CATALOGUE
              if not arguments.only or any(word in fault.name for word in arguments.only)]
    if arguments.list or not chosen:
        print("\n".join(fault.name for fault in CATALOGUE))
        return 0 if arguments.list else 2
    slow = min(arguments.times, 3) if arguments.slow is None else arguments.slow
    context = rclpy.Context()
    rclpy.init(context=context)
    rows, begin = [], time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for number, fault in enumerate(chosen):
            if fault.needs_root and os.geteuid():
                print(f"  left out, as it needs root: {fault.name}", file=sys.stderr)
                continue
            try:
                with staged(context, folder, number, fault) as stage:
                    rows.append(campaign(fault, slow if fault.is_slow else arguments.times, stage))
            except (TimeoutError, subprocess.SubprocessError) as error:
                rows.append(Row(fault, misses=[str(error)]))
                print(f"  {fault.name}: {str(error)[:300]}", file=sys.stderr)
            print(f"{time.monotonic() - begin:6.0f} s  {' | '.join(rows[-1].cells())}", file=sys.stderr, flush=True)
            if arguments.out:
                arguments.out.write_text(table(rows) + "\n")
    rclpy.shutdown(context=context)
    print(table(rows))
    bad = [row.fault.name for row in rows if not row.is_good()]
    print(f"\n{len(rows)} faults, {sum(row.tried for row in rows)} trials, {len(bad)} faults not as they should be"
          + "".join(f"\n- {name}" for name in bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
