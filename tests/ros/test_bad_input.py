"""What a driver must never send, and some day does."""

import math

import numpy as np
import pytest
from harness import VALIDITY, compressed_image, jpeg, raw_image, road
from sensor_msgs.msg import Image


def announced(width, height, data, encoding="rgb8", step=None):
    """An image message that need not be true."""
    message = Image(width=width, height=height, encoding=encoding, step=3 * width if step is None else step)
    message.data = data
    return message


def cut(message, missing):
    """The message without its last bytes."""
    message.data = message.data[:-missing]
    return message


BAD = {
    "unknown encoding": (lambda: raw_image(road(), "rgb9"), ["rgb9", "rgb8", "mono8", "bayer"]),
    "no encoding": (lambda: raw_image(road(), ""), ['""', "rgb8"]),
    "step too small": (lambda: raw_image(road(), step=96), ["step", "96", "288"]),
    "data too short": (lambda: cut(raw_image(road()), 100), ["18332", "18432"]),
    "no data": (lambda: announced(96, 64, []), ["0", "18432"]),
    "0x0": (lambda: announced(0, 0, []), ["0x0"]),
    "0 wide": (lambda: announced(0, 64, []), ["0x64"]),
    "huge": (lambda: announced(20000, 20000, [0] * 10), ["20000x20000"]),
    "huge step": (lambda: announced(4, 4, [0] * 48, step=0xFFFFFFFF), ["4294967295"]),
    "huge numbers": (lambda: announced(0xFFFFFFFF, 0xFFFFFFFF, [0] * 10, step=0xFFFFFFFF), ["4294967295x4294967295"]),
    "garbage JPEG": (lambda: compressed_image(b"\x00" * 1000), ["JPEG", "PNG"]),
    "empty JPEG": (lambda: compressed_image(b""), ["JPEG", "PNG"]),
    "JPEG that breaks off": (lambda: compressed_image(jpeg(road())[:40]), ["jpeg"]),
    "half a JPEG": (lambda: compressed_image(jpeg(road())[: len(jpeg(road())) // 2]), ["JPEG", "ends early"]),
    "half a JPEG, closed": (
        lambda: compressed_image(jpeg(road())[: len(jpeg(road())) // 2] + b"\xff\xd9"),
        ["JPEG", "ends early"],
    ),
    "PNG in name only": (lambda: compressed_image(b"\x89PNG\r\n\x1a\n" + bytes(50), "png"), ["png"]),
    "raw depth": (lambda: announced(2, 2, [128] * 8, encoding="16UC1", step=4), ["16UC1", "depth", "mono16"]),
    "12 bits in 16": (lambda: announced(2, 2, [255, 15] * 4, encoding="mono16", step=4), ["4095", "12 bits"]),
    "depth": (lambda: compressed_image(bytes(60), "16UC1; compressedDepth png"), ["compressedDepth"]),
}


@pytest.mark.parametrize("name", BAD)
def test_it_is_named_and_the_next_good_frame_is_ok(shared, name):
    make, words = BAD[name]
    before = shared.ask(road())
    report = shared.report_on(shared.send(shared.stamp(make())))
    assert VALIDITY[report.validity] == "INVALID_INPUT"
    assert report.header == shared.sent[-1]
    for word in words:
        assert word.lower() in report.reason.lower(), report.reason
    assert "\n" not in report.reason
    for number in (report.failure_score, report.predicted_miou, report.error_area, report.anomaly_area):
        assert math.isnan(number)
    assert not report.classes and not report.regions
    after = shared.ask(road())
    assert VALIDITY[after.validity] == "OK", after.reason
    assert after.frames_invalid == before.frames_invalid + 1
    assert after.frames_received == after.frames_processed + after.frames_dropped + after.frames_invalid
    assert shared.monitor.is_running()


def test_a_rejected_image_shows_in_diagnostics(shared):
    shared.diagnostics.clear()
    shared.report_on(shared.send(shared.stamp(raw_image(road(), "rgb9"))))
    status = shared.wait(
        lambda: next((d["camera"] for d in shared.diagnostics if "rgb9" in d["camera"].message), None),
        "the rejection in diagnostics",
    )
    assert status.level == status.ERROR
    assert {v.key: v.value for v in status.values}["state"] == "rejected"
    shared.ask(road())


def test_bad_frames_alone_raise_the_level(start, peer, namespace):
    limits = {"threshold__caution": 1.0, "threshold__failure": 1.0, "threshold__anomaly_area": 1.0}
    with start(namespace, trigger_frames=2, release_frames=1, **limits) as monitor:
        peer.wait_for_monitor(monitor)
        assert peer.ask(road()).level == 0
        levels = [peer.report_on(peer.send(peer.stamp(raw_image(road(), "rgb9")))).level for _ in range(2)]
        assert levels == [0, 2]


def test_odd_but_valid_pictures_are_judged(shared):
    rng = np.random.default_rng(1)
    for pixels in (
        np.zeros((64, 96, 3), np.uint8),
        np.full((64, 96, 3), 255, np.uint8),
        rng.integers(0, 256, (64, 96, 3), dtype=np.uint8),
        np.zeros((1, 1, 3), np.uint8),
        np.zeros((3, 500, 3), np.uint8),
        np.zeros((500, 3, 3), np.uint8),
    ):
        report = shared.ask(pixels)
        assert VALIDITY[report.validity] == "OK", (pixels.shape, report.reason)
