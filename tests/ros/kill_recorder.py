"""Kills a node (-9) while its event recorder writes, and looks whether every recording is whole: scripts/kill_writes."""

import argparse
import pathlib
import random
import sys
import tempfile
import time

import rclpy

from soak import messages_of
from stage import PATIENCE, Stage, moving_road, random_bundle

# Large and many enough that writing takes a while: some 90 MB a recording.
SIZE = 1280, 960


def part(events):
    """A recording that is being written."""
    return next(events.glob("event_*.part"), None) if events.exists() else None


def killed_in_mid_write(stage, events, delay):
    """Starts the node, makes its level rise, and kills it so long after a recording was begun. Whether it still was."""
    stage.restore_camera()
    stage.start()
    left = part(events)
    stage.run(3)
    # No image is a FAILURE, and what led to it is written two seconds later.
    stage.shooting = False
    end = time.monotonic() + PATIENCE
    while not part(events):
        # Without a pause for the peer: a recording is written in a moment.
        time.sleep(0.0005)
        if time.monotonic() > end:
            raise TimeoutError(f"no recording was begun in {PATIENCE:.0f} s")
    time.sleep(delay)
    writes = part(events) is not None
    stage.kill()
    return writes, left


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    context = rclpy.Context()
    rclpy.init(context=context)
    killed, wrong = 0, []
    with tempfile.TemporaryDirectory() as folder:
        events = pathlib.Path(folder) / "events"
        record = {"record.dir": str(events), "record.seconds": 2.0, "record.max_events": arguments.times + 1}
        # None of the large images is to be lost on the way.
        record["input_qos"] = "default"
        stage = Stage(context, folder, "kill", random_bundle(folder), record, rate=10, pictures=moving_road(*SIZE))
        for _ in range(arguments.times):
            writes, left = killed_in_mid_write(stage, events, draw.uniform(0, 0.05))
            killed += writes
            wrong += [f"{left.name} was still there after the next start"] if left else []
            for path in sorted(events.glob("event_*.mcap")):
                found = messages_of(path)
                if not isinstance(found, int) or not found:
                    wrong.append(f"{path.name}: {found}")
        stage.restore_camera()
        stage.start()
        left = sorted(path.name for path in events.glob("*.part"))
        kept = len(list(events.glob("event_*.mcap")))
        stage.close()
    rclpy.shutdown(context=context)
    for what in wrong:
        print(f"  recordings: {what}", file=sys.stderr)
    print(f"recordings  killed {killed} of {arguments.times} in mid-write, {kept} whole, {len(wrong)} wrong, left after "
          f"the next start: {', '.join(left) or 'nothing'}", flush=True)
    return 1 if wrong or left else 0


if __name__ == "__main__":
    sys.exit(main())
