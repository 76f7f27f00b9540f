"""One node for long, with faults at random moments: scripts/soak.

The faults are those of the campaign that leave the node alive, in an order that the seed tells. At the end: was every
fault found and the STALE among them in time, is every image accounted for, has memory stopped growing, are the recordings
whole and no more than were to be kept?
"""

import argparse
import pathlib
import random
import statistics
import sys
import tempfile
import time

import rclpy

from campaign import Row, attempt
from faults import CATALOGUE
from harness import ON_AN_IMAGE, VALIDITY
from mcap.exceptions import McapError
from mcap.reader import make_reader
from stage import Stage, random_bundle

# Faults that one node, a road and no other preparation suffice for. Without memory a process may end.
FITTING = [
    fault for fault in CATALOGUE
    if not (fault.parameters or fault.ends or fault.is_slow or fault.needs_root)
    and fault.scene == "road" and fault.form == "raw" and "whole process" not in fault.name
]

# Share of the time after which memory is expected to stay.
WARM = 0.25

# Bytes by which it may grow afterwards.
GROWTH = 5e6

# Images that may be on their way: one waiting, one decoded, one in inference.
IN_HAND = 3


def on_an_image(report):
    """Whether it is the report on an image, and not one that says that there is none."""
    return VALIDITY[report.validity] in ON_AN_IMAGE and "none has been assessed" not in report.reason


# Most recordings that are kept.
KEPT = 5


def messages_of(path):
    """How many messages a recording holds, or why it is none."""
    try:
        with path.open("rb") as file:
            return sum(1 for _ in make_reader(file).iter_messages())
    except McapError as error:
        return str(error)


def soak(stage, minutes, seed):
    """Drives, with a fault now and then; gives a row for each fault, and memory over time."""
    draw, rows, memory = random.Random(seed), {}, []
    begin = time.monotonic()
    end = begin + 60 * minutes
    while time.monotonic() < end:
        stage.run(draw.uniform(1, 5))
        fault = draw.choice(FITTING)
        row = rows.setdefault(fault.name, Row(fault))
        attempt(stage, fault, row)
        if not stage.is_alive():
            break
        memory.append((time.monotonic() - begin, stage.rss()))
    return rows, memory


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=5.0, help="images a second (default 5)")
    parser.add_argument("--seed", type=int, default=1, help="of the order of the faults (default 1)")
    arguments = parser.parse_args()
    context = rclpy.Context()
    rclpy.init(context=context)
    with tempfile.TemporaryDirectory() as folder:
        events = pathlib.Path(folder) / "events"
        record = {"record.dir": str(events), "record.seconds": 2.0, "record.max_events": KEPT}
        stage = Stage(context, folder, "soak", random_bundle(folder), record, rate=arguments.rate)
        stage.start()
        rows, memory = soak(stage, arguments.minutes, arguments.seed)
        stage.restore_camera()
        stage.run(2)
        stage.shooting = False
        stage.run(2)
        alive = stage.is_alive()
        last = stage.peer.reports[-1]
        recorder = {item.key: item.value for item in stage.peer.diagnostics[-1]["event recorder"].values}
        stage.close()
        recorded = {path.name: messages_of(path) for path in sorted(events.glob("*.mcap*"))}
    rclpy.shutdown(context=context)

    settled = memory[int(len(memory) * WARM):]
    part = max(1, len(settled) // 4)
    growth = statistics.median(m for _, m in settled[-part:]) - statistics.median(m for _, m in settled[:part])
    heard = sum(map(on_an_image, stage.peer.reports))
    counted = last.frames_processed + last.frames_dropped + last.frames_invalid + last.frames_unmatched
    stale = [row for row in rows.values() if "STALE" in row.fault.expected]
    checks = {
        "the node is alive": alive,
        f"{last.frames_received} images received, {counted} accounted for ({last.frames_dropped} dropped)":
            0 <= last.frames_received - counted <= IN_HAND,
        f"{heard} reports on images, {last.frames_processed + last.frames_invalid} images judged":
            heard == last.frames_processed + last.frames_invalid,
        f"memory {settled[0][1] / 1e6:.1f} MB when warm, {settled[-1][1] / 1e6:.1f} MB at the end, grown by "
        f"{growth / 1e6:.1f} MB": growth < GROWTH,
        f"{sum(row.tried for row in stale)} times STALE, {sum(len(row.misses) for row in stale)} missed, "
        f"{sum(row.late for row in stale)} late, the latest after "
        f"{max((s for row in stale for s in row.detect), default=0):.2f} s":
            not any(row.misses or row.late for row in stale),
        f"{sum(row.tried for row in rows.values())} faults, {sum(len(row.misses) for row in rows.values())} not found":
            not any(row.misses for row in rows.values()),
        f"{sum(row.unrecovered for row in rows.values())} times no labels that may be used, though nothing was wrong":
            not any(row.unrecovered for row in rows.values()),
    }
    checks[f"recordings kept, with their messages: {recorded}; the recorder says {recorder}"] = (
        0 < len(recorded) <= KEPT
        and all(name.endswith(".mcap") and isinstance(found, int) and found for name, found in recorded.items())
    )
    print(f"{arguments.minutes:g} minutes at {arguments.rate:g} Hz, seed {arguments.seed}: {stage.published} images sent")
    for what, holds in checks.items():
        print(f"{'ok ' if holds else 'BAD'} {what}")
    return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
