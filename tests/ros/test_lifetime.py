"""Before the first image, after the last, and the end."""

import math
import os
import signal
import time

import pytest
from harness import LEVEL, VALIDITY, MonitorProcess, road, running
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock


def since(peer, validity):
    """The reports of that validity."""
    return [report for report in peer.reports if VALIDITY[report.validity] == validity]


def test_before_the_first_image_it_is_starting(start, peer, namespace):
    with start(namespace) as monitor:
        peer.wait_for_monitor(monitor)
        peer.wait(lambda: len(since(peer, "STARTING")) >= 3, "STARTING, repeated")
        report = peer.reports[-1]
        assert LEVEL[report.level] == "FAILURE"
        assert math.isnan(report.failure_score) and math.isnan(report.image_age_ms)
        assert (report.header.frame_id, report.frames_received) == ("", 0)
        assert "no image" in report.reason


def test_a_silent_camera_is_stale_and_the_next_image_is_not(start, peer, namespace):
    with start(namespace, source_timeout=0.5, release_frames=2) as monitor:
        peer.wait_for_monitor(monitor)
        peer.ask(road())
        peer.wait(lambda: len(since(peer, "STALE")) >= 3, "STALE, repeated")
        stale = peer.reports[-1]
        assert stale.header.frame_id == "camera_1", "the camera that fell silent"
        assert stale.header.stamp != peer.sent[-1].stamp, "the time of the report, not of an image"
        assert LEVEL[stale.level] == "FAILURE"
        assert math.isnan(stale.failure_score) and not stale.classes
        assert "source_timeout" in stale.reason
        assert stale.since_arrival_ms > 500
        status = peer.wait(lambda: [d for d in peer.diagnostics if "no image for" in d["camera"].message], "diagnostics")[-1]
        assert status["camera"].level == status["camera"].ERROR
        assert status["segmentation"].level == status["segmentation"].STALE
        report = peer.ask(road())
        assert VALIDITY[report.validity] == "OK"
        assert LEVEL[report.level] == "FAILURE", "one good frame is not enough"


def test_a_time_out_of_zero_is_none(start, peer, namespace):
    with start(namespace, source_timeout=0) as monitor:
        peer.wait_for_monitor(monitor)
        peer.ask(road())
        peer.spin(2)
        assert not since(peer, "STALE")


def test_a_load_that_hangs_is_starting_and_ends_on_a_signal(start, peer, namespace, tmp_path):
    # Nobody ever writes into it, so that reading never returns.
    mask = tmp_path / "mask.png"
    os.mkfifo(mask)
    with start(namespace, valid_mask=str(mask)) as monitor:
        peer.wait(lambda: len(since(peer, "STARTING")) >= 3, "STARTING, repeated")
        assert "loading" in peer.reports[-1].reason and monitor.is_running()
        found = peer.wait(lambda: peer.diagnostics, "diagnostics")[-1]
        assert "loading" in found["inference"].message
        code, seconds = monitor.stop()
        assert code == 0, monitor.log
        assert seconds < 5, seconds
        peer.wait(lambda: since(peer, "STALE"), "the last report")


def test_a_node_that_cannot_start_says_why_in_a_report(peer, namespace, tmp_path):
    with running(MonitorProcess(namespace, tmp_path, {"bundle": "no_such_bundle"})) as monitor:
        report = peer.wait(lambda: since(peer, "FAILED"), "FAILED")[0]
        assert "no_such_bundle" in report.reason and LEVEL[report.level] == "FAILURE"
        assert monitor.wait() == 2


def test_a_late_report_does_not_clear_a_dead_camera(start, peer, namespace):
    # No frame is assessed within a thousandth of a second of its arrival.
    with start(namespace, source_timeout=0.001, release_frames=1) as monitor:
        peer.wait_for_monitor(monitor)
        for _ in range(3):
            report = peer.ask(road(640, 480))
            assert (VALIDITY[report.validity], LEVEL[report.level]) == ("OK", "FAILURE")
            assert report.since_arrival_ms > 1


def test_diagnostics_have_stable_names_and_keys(start, peer, namespace):
    with start(namespace) as monitor:
        peer.wait_for_monitor(monitor)
        peer.ask(road())
        peer.diagnostics.clear()
        found = peer.wait(lambda: peer.diagnostics, "diagnostics")[-1]
        image = {"image exposure", "image blur", "image noise", "image cover"}
        assert set(found) == image | {
            "camera", "inference", "processing time", "segmentation", "calibration", "self test"
        }
        keys = {task: {v.key: v.value for v in status.values} for task, status in found.items()}
        assert keys["camera"]["state"] == "active"
        assert {"image_age_ms", "frames_dropped", "encoding"} <= set(keys["camera"])
        assert keys["inference"]["mode"] == "full"
        assert {"processing_time_ms", "output_latency_ms", "last_frame_timestamp"} <= set(keys["processing time"])
        assert {"failure_score", "predicted_miou", "level"} <= set(keys["segmentation"])
        assert all(status.hardware_id == "camera_1" for status in found.values())


def test_slow_frames_warn(start, peer, namespace):
    with start(namespace, max_processing_time=0.000001, max_consecutive_delay=0.0) as monitor:
        peer.wait_for_monitor(monitor)
        peer.ask(road())
        warnings = peer.wait(
            lambda: [t for d in peer.diagnostics if (t := d["processing time"]).level != t.OK], "a warning"
        )
        assert "max_processing_time" in warnings[0].message


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_a_last_word(start, peer, namespace, number):
    with start(namespace) as monitor:
        peer.wait_for_monitor(monitor)
        peer.ask(road())
        code, seconds = monitor.stop(number)
        assert code == 0, monitor.log
        assert seconds < 5, seconds
        last = peer.wait(lambda: next((r for r in peer.reports if "shutting down" in r.reason), None), "the last report")
        assert VALIDITY[last.validity] == "STALE"
        peer.wait(lambda: [d for d in peer.diagnostics if d["camera"].level == d["camera"].STALE], "last diagnostics")


def test_a_signal_ends_it_before_any_image(start, peer, namespace):
    with start(namespace) as monitor:
        peer.wait_for_monitor(monitor)
        assert monitor.stop(signal.SIGINT)[0] == 0


def test_a_simulated_clock_that_has_not_started_is_not_an_age(start, peer, namespace):
    with start(namespace, use_sim_time=True, source_timeout=0.5) as monitor:
        peer.wait_for_monitor(monitor)
        report = peer.ask(road())
        assert VALIDITY[report.validity] == "OK"
        assert math.isnan(report.image_age_ms)
        # The watchdog does not run on that clock.
        peer.wait(lambda: since(peer, "STALE"), "STALE")
        clock = peer.node.create_publisher(Clock, "/clock", QoSProfile(depth=1))
        peer.wait(clock.get_subscription_count, "the monitor's clock")
        message = Clock()
        message.clock.sec = int(time.time()) + 1000

        def aged():
            clock.publish(message)
            age = peer.ask(road()).image_age_ms
            return age if not math.isnan(age) else None

        assert 0.9e6 < peer.wait(aged, "an age") <= 1.0e6
