"""What the node adds to a frame over Monitor::process: scripts/bench_node. Nothing is asserted.

A camera of 640x480, somebody who reads the report and two masks. Paced: each image is sent once all of the one
before has come; what counts is the time from the image's arrival in the node to its report. Flooded: images come
faster than they can be judged; what counts is the time from report to report. Monitor::process is what the report
calls the total without decoding.
"""

import argparse
import statistics
import tempfile
import time

import numpy as np
import rclpy

from harness import MonitorProcess, Peer, road, running

SIZE = (640, 480)
MASKS = ("error_mask", "anomaly_mask")


def pictures():
    """A road that moves."""
    while True:
        for shift in range(0, SIZE[0], 8):
            yield np.roll(road(*SIZE), shift, axis=1)


def paced(peer, send, frames):
    """Milliseconds of Monitor::process and from arrival to report, of each frame; the first is left out."""
    picture = pictures()
    for _ in range(frames + 1):
        count = [len(peer.images[topic]) for topic in MASKS]
        peer.report_on(send(next(picture)))
        peer.wait(lambda: all(len(peer.images[t]) > n for t, n in zip(MASKS, count)), "both masks")
    reports = peer.on_images()[-frames:]
    return [(r.latency_total_ms - r.latency_decode_ms, r.since_arrival_ms, r.latency_decode_ms) for r in reports]


def flooded(peer, send, frames):
    """Milliseconds of Monitor::process and from report to report: means over the same reports."""
    picture, times, seen = pictures(), [], len(peer.on_images())
    while len(times) < frames + 2:
        send(next(picture))
        peer.spin(0.015)
        found = len(peer.on_images())
        if found > seen:
            times.append((found, time.monotonic()))
            seen = found
    # A report that comes while another is read is counted with it.
    (first, begin), (last, end) = times[1], times[-1]
    period = 1e3 * (end - begin) / (last - first)
    reports = peer.on_images()[first:last]
    process = statistics.mean(r.latency_total_ms - r.latency_decode_ms for r in reports)
    decode = statistics.mean(r.latency_decode_ms for r in reports)
    return [(process, period, decode)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("frames", type=int, nargs="?", default=50)
    parser.add_argument("--bundle", default="street")
    arguments = parser.parse_args()
    context = rclpy.Context()
    rclpy.init(context=context)
    # Best effort may lose one of the large images, and each is waited for.
    parameters = {"bundle": arguments.bundle, "source_timeout": 0.0, "input_qos": "default"}
    with tempfile.TemporaryDirectory() as folder, running(MonitorProcess("bench", folder, parameters)) as monitor:
        peer = Peer(context, "bench")
        peer.wait_for_monitor(monitor)
        peer.watch(*MASKS)
        print(f"{'':<18} {'process':>9} {'decode':>9} {'frame':>9} {'added':>9}   (ms; medians, means where flooded)")
        for way, run in (("paced", paced), ("flooded", flooded)):
            for kind, send in (("rgb8", peer.send_picture), ("jpeg", peer.send_jpeg)):
                rows = run(peer, send, arguments.frames)
                process, frame, decode = (statistics.median(column) for column in zip(*rows))
                added = statistics.median(frame - process for process, frame, _ in rows)
                print(f"{way + ', ' + kind:<18} {process:>9.2f} {decode:>9.2f} {frame:>9.2f} {added:>9.2f}")
        peer.close()
        monitor.stop()
    rclpy.shutdown(context=context)


if __name__ == "__main__":
    main()
