"""One bag through replay and, played in lock-step, through the real node: what each told. scripts/lock_step runs it."""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import rclpy
from harness import LEVEL, ON_AN_IMAGE, VALIDITY, MonitorProcess, Peer, binary, running

# A frame takes as long as it takes: time stands still meanwhile.
PATIENCE = 600


def replayed(bag, bundle, out):
    """What replay told, in order: (validity, stamp, level, failure score)."""
    command = [binary("synthcp"), "replay", bag, "--bundle", bundle, "--out", out]
    print(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout, end="")
    told = []
    for line in (out / "report.jsonl").open():
        line = json.loads(line)
        stamp = line["report"]["header"]["stamp"]
        told.append((line["validity"], (stamp["sec"], stamp["nanosec"]), line["level"], line["report"]["failure_score"]))
    return told


def played(bag, bundle, folder):
    """What the node told of the same, its parameters at their defaults but for the clock."""
    context = rclpy.Context()
    rclpy.init(context=context)
    namespace = "lock_step"
    parameters = {"bundle": str(bundle), "use_sim_time": True}
    with running(MonitorProcess(namespace, folder, parameters)) as monitor:
        peer = Peer(context, namespace)
        peer.wait_for_monitor(monitor)
        remap = ["--ros-args", "-r", f"/front/image:=/{namespace}/image"]
        command = [binary("synthcp"), "bag", "publish", bag, "--report", f"/{namespace}/monitor/report"]
        command += ["--lock-step", "--max-delay", "60", *remap]
        playing = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True)
        peer.wait(lambda: playing.poll() is not None, "the end of bag publish", PATIENCE)
        print(playing.communicate()[0], end="")
        peer.spin(0.5)
        reports = list(peer.reports)
        peer.close()
        monitor.stop()
    rclpy.shutdown(context=context)
    if playing.returncode:
        sys.exit(f"bag publish ended with {playing.returncode}")
    stamp = lambda report: (report.header.stamp.sec, report.header.stamp.nanosec)  # noqa: E731
    return [(VALIDITY[r.validity], stamp(r), LEVEL[r.level], r.failure_score) for r in reports]


def stale_after(told):
    """Where STALE stands: how often, after how many reports on an image."""
    images, places = 0, {}
    for validity, *_ in told:
        images += validity in ON_AN_IMAGE
        if validity == "STALE":
            places[images] = places.get(images, 0) + 1
    return places


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bag", type=pathlib.Path)
    parser.add_argument("--bundle", type=pathlib.Path, default=pathlib.Path("models/cityscapes"))
    arguments = parser.parse_args()
    bundle = arguments.bundle.resolve()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        replay = replayed(arguments.bag, bundle, folder / "replay")
        node = played(arguments.bag, bundle, folder)
    ours, theirs = ([told for told in which if told[0] in ON_AN_IMAGE] for which in (replay, node))
    pairs = list(zip(ours, theirs))
    same = sum(a[:3] == b[:3] and abs(a[3] - b[3]) <= 1e-5 for a, b in pairs)
    largest = max((abs(a[3] - b[3]) for a, b in pairs), default=0.0)
    print(f"frames     {len(ours)} in replay, {len(theirs)} in the node")
    print(f"the same   stamp, validity, level and failure score of {same}; the score differs by at most {largest:.1e}")
    before = {name: stale_after(told) for name, told in (("replay", replay), ("node", node))}
    # Before the first image and after the last the node waits for a camera, and replay for nobody.
    within = {name: {n: k for n, k in places.items() if 0 < n < len(ours)} for name, places in before.items()}
    for name, places in within.items():
        found = ", ".join(f"{count} times after frame {number}" for number, count in places.items()) or "never"
        print(f"STALE      in {name:<6} {found}")
    agree = same == len(ours) == len(theirs) and within["replay"].keys() == within["node"].keys()
    print("they agree" if agree else "THEY DO NOT AGREE")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
