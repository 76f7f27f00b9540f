"""Real road video through the real node: 101 frames of CamVid at 2 Hz, as images and as JPEGs.

As a script it prints a line a report and a summary:
    scripts/env python3 tests/ros/test_camvid.py [--bundle NAME_OR_PATH] [--rate HZ] [--frames N]
The frames are not part of this repository: $SYNTHCP_DATA names the folder that holds
camvid/val/*.jpg (default: ../shared/data beside the checkout).
"""

import argparse
import math
import os
import pathlib
import sys
import tempfile
import time

import numpy as np
import pytest
import rclpy
from harness import LEVEL, ROOT, VALIDITY, MonitorProcess, Peer, compressed_image, raw_image, running
from PIL import Image as Picture

MASKS = ("error_mask", "anomaly_mask")


def frames_of(folder):
    """The frames, in the order of the drive."""
    return sorted((folder / "camvid" / "val").glob("*.jpg"))


def data_folder():
    """Where the data sets are."""
    return pathlib.Path(os.environ.get("SYNTHCP_DATA", ROOT.parent / "shared" / "data"))


def show(report):
    """One report as one line."""
    return (
        f"{report.header.frame_id:>12}  {VALIDITY[report.validity]:<8} {LEVEL[report.level]:<8} "
        f"failure {report.failure_score:.3f}  mIoU {report.predicted_miou:.3f}  "
        f"error {100 * report.error_area:5.1f} %  anomaly {100 * report.anomaly_area:5.1f} %  "
        f"{report.latency_total_ms:5.0f} ms  age {report.image_age_ms:5.0f} ms  dropped {report.frames_dropped}"
    )


def drive(peer, frames, messages, rate, listener=lambda report: None):
    """Publishes messages at a rate; gives the reports on them, once all have been answered for."""
    sent = []
    heard = len(peer.on_images())
    before = peer.on_images()[-1].frames_received if heard else 0
    start = time.monotonic()

    def listen(known=[heard]):
        for report in peer.on_images()[known[0] :]:
            listener(report)
            known[0] += 1

    for number, frame in enumerate(frames):
        while time.monotonic() < start + number / rate:
            peer.spin(max(0.001, min(0.02, start + number / rate - time.monotonic())))
            listen()
        sent.append(peer.send(peer.stamp(messages(frame))))

    def settled():
        listen()
        reports = peer.on_images()
        if not reports:
            return False
        last = reports[-1]
        handled = last.frames_processed + last.frames_dropped + last.frames_invalid
        return last.frames_received - before == len(sent) and last.frames_received == handled

    peer.wait(settled, "the report on the last frame")
    return sent, peer.on_images()[heard:]


def as_image(path):
    """A frame as sensor_msgs/Image."""
    return raw_image(np.asarray(Picture.open(path).convert("RGB")))


def as_jpeg(path):
    """A frame's own file as sensor_msgs/CompressedImage."""
    return compressed_image(path.read_bytes())


def check(sent, reports, peer, size):
    """What must hold of every drive."""
    headers = {header.frame_id: header for header in peer.sent}
    named = [report.header.frame_id for report in reports]
    assert set(named) <= set(sent), "a report on an image that was not sent"
    assert len(named) == len(set(named)), "two reports on one image"
    for report in reports:
        assert report.header == headers[report.header.frame_id]
        assert VALIDITY[report.validity] == "OK", report.reason
        assert 0 <= report.failure_score <= 1 and 0 <= report.predicted_miou <= 1
        assert not math.isnan(report.error_area) and not math.isnan(report.anomaly_area)
    last = reports[-1]
    assert last.header.frame_id == sent[-1], "the newest image is never the one dropped"
    assert last.frames_received == last.frames_processed + last.frames_dropped
    assert last.frames_invalid == 0
    for topic in MASKS:
        assert peer.images[topic], topic
        for mask in peer.images[topic]:
            assert mask.header == headers[mask.header.frame_id], topic
            assert (mask.width, mask.height, mask.encoding) == (*size, "mono8"), topic
            assert len(mask.data) == size[0] * size[1], topic


@pytest.mark.timeout(600)
def test_every_frame_of_the_drive_is_answered_for(start, peer, namespace):
    frames = frames_of(data_folder())
    if not frames:
        pytest.skip(f"no frames in {data_folder() / 'camvid' / 'val'}; SYNTHCP_DATA names another folder")
    rate = float(os.environ.get("SYNTHCP_CAMVID_RATE", "2"))
    size = Picture.open(frames[0]).size
    with start(namespace) as monitor:
        peer.wait_for_monitor(monitor)
        peer.watch(*MASKS)
        for messages in (as_image, as_jpeg):
            sent, reports = drive(peer, frames, messages, rate)
            assert len(sent) == len(frames)
            check(sent, reports, peer, size)
            for topic in MASKS:
                peer.images[topic].clear()
        assert monitor.is_running()


def main():
    """Runs the drive and prints what comes back."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", default="cityscapes", help="name or path of the model bundle")
    parser.add_argument("--rate", type=float, default=2.0, help="images a second")
    parser.add_argument("--frames", type=int, help="only the first of them")
    arguments = parser.parse_args()
    frames = frames_of(data_folder())[: arguments.frames]
    if not frames:
        sys.exit(f"no frames in {data_folder() / 'camvid' / 'val'}; SYNTHCP_DATA names another folder")
    size = Picture.open(frames[0]).size
    context = rclpy.Context()
    rclpy.init(context=context)
    namespace = f"camvid_{os.getpid()}"
    peer = Peer(context, namespace)
    parameters = {"bundle": arguments.bundle, "source_timeout": 0.0}
    with tempfile.TemporaryDirectory() as logs, running(MonitorProcess(namespace, logs, parameters)) as monitor:
        peer.wait_for_monitor(monitor)
        peer.watch(*MASKS)
        for name, messages in (("sensor_msgs/Image", as_image), ("JPEG CompressedImage", as_jpeg)):
            print(f"{len(frames)} frames as {name} at {arguments.rate} Hz")
            sent, reports = drive(peer, frames, messages, arguments.rate, lambda report: print(show(report), flush=True))
            check(sent, reports, peer, size)
            last, latency = reports[-1], [report.latency_total_ms for report in reports]
            print(
                f"{len(sent)} sent, {len(reports)} reports, each with the header of an image sent, none twice; since the "
                f"start {last.frames_received} received = {last.frames_processed} processed + {last.frames_dropped} "
                f"dropped; masks {size[0]}x{size[1]}; latency median {np.median(latency):.0f} ms, highest "
                f"{max(latency):.0f} ms; failure score median {np.median([r.failure_score for r in reports]):.3f}"
            )
            for topic in MASKS:
                peer.images[topic].clear()
        code, seconds = monitor.stop()
        print(f"the node ended with {code} {seconds:.1f} s after SIGTERM")
    peer.close()
    rclpy.shutdown(context=context)


if __name__ == "__main__":
    main()
