"""Several cameras in one process: what happens to one is not seen on another."""

import collections
import itertools
import time

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from harness import (
    LEVEL, PATIENCE, VALIDITY, MonitorProcess, array_of, compressed_image, raw_image, road, running, wait_until
)
from PIL import Image as Picture
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, Image
from std_srvs.srv import Trigger
from synthcp_monitor.msg import MonitorReport
from test_alarm import CALM
from test_recorder import read

CAMERAS = {"cameras": ["front", "left"]}

COUNTS = ("frames_received", "frames_processed", "frames_dropped", "frames_invalid", "frames_unmatched")


class Camera:
    """One of the cameras, and what is said of it."""

    def __init__(self, peer, name):
        self.peer, self.name, self.sent, self.reports, self.diagnostics = peer, name, 0, [], {}
        qos = QoSProfile(depth=200)
        self.raw = peer.node.create_publisher(Image, f"{name}/image", qos)
        self.compressed = peer.node.create_publisher(CompressedImage, f"{name}/image/compressed", qos)
        peer.node.create_subscription(MonitorReport, f"monitor/{name}/report", self.reports.append, qos)
        peer.node.create_subscription(DiagnosticArray, "/diagnostics", self.diagnosed, qos)

    def diagnosed(self, message):
        """Keeps the statuses of this camera."""
        before = f"{self.peer.name}/{self.name}: "
        self.diagnostics |= {s.name.removeprefix(before): s for s in message.status if s.name.startswith(before)}

    def send(self, pixels=None, message=None):
        """Publishes a picture; gives its frame_id."""
        message = message or raw_image(road(seed=self.sent % 7) if pixels is None else pixels)
        self.sent += 1
        message.header.stamp = self.peer.node.get_clock().now().to_msg()
        message.header.frame_id = f"{self.name}_{self.sent}"
        (self.raw if isinstance(message, Image) else self.compressed).publish(message)
        return message.header.frame_id

    def ask(self, **what):
        """The report on the next picture."""
        frame_id = self.send(**what)
        found = lambda: [r for r in self.reports if r.header.frame_id == frame_id and VALIDITY[r.validity] != "PENDING"]  # noqa: E731
        return self.peer.wait(found, lambda: f"a report on {frame_id}, and not {self.reports[-1:]}")[0]

    def validities(self):
        """How many reports say what."""
        return collections.Counter(VALIDITY[report.validity] for report in self.reports)


def cameras(peer, monitor):
    """The two of them, heard and ready."""
    found = [Camera(peer, name) for name in CAMERAS["cameras"]]

    def ready():
        assert monitor.is_running(), f"the monitor ended\n{monitor.log}"
        heard = all(
            camera.raw.get_subscription_count() and camera.reports and camera.diagnostics for camera in found
        )
        return heard and "ready: bundle" in monitor.log

    peer.wait(ready, f"the monitor\n{monitor.command}")
    peer.parameter_names()
    return found


def test_a_wrong_parameter_is_told_of_each_camera(peer, namespace, tmp_path):
    found = [Camera(peer, name) for name in CAMERAS["cameras"]]
    with running(MonitorProcess(namespace, tmp_path, {**CAMERAS, "trigger_frames": 0})) as monitor:
        for camera in found:
            report = peer.wait(
                lambda camera=camera: [r for r in camera.reports if VALIDITY[r.validity] == "FAILED"], "FAILED"
            )[0]
            assert "trigger_frames" in report.reason
        assert monitor.wait() == 2


def test_a_camera_that_stops_is_stale_and_the_other_goes_on(start, peer, namespace):
    with start(namespace, **CAMERAS, **CALM, source_timeout=2.0) as monitor:
        front, left = cameras(peer, monitor)
        # At different rates: three of the one to one of the other.
        start, steps = time.monotonic(), itertools.count()
        while min(camera.validities()["OK"] for camera in (front, left)) < 4:
            front.send()
            if next(steps) % 3 == 0:
                left.send()
            peer.spin(0.1)
            assert time.monotonic() - start < PATIENCE, (front.validities(), left.validities())
        for camera in (front, left):
            on_images = [r for r in camera.reports if VALIDITY[r.validity] == "OK"]
            assert {r.header.frame_id.split("_")[0] for r in on_images} == {camera.name}
            assert LEVEL[on_images[-1].level] == "NOMINAL"
        # One stops.
        stopped = time.monotonic()
        for camera in (front, left):
            camera.reports.clear()
        while not left.validities()["STALE"]:
            front.send()
            peer.spin(0.1)
            assert time.monotonic() - stopped < PATIENCE, left.validities()
        (stale,) = [report for report in left.reports if VALIDITY[report.validity] == "STALE"][:1]
        assert "no image for" in stale.reason and LEVEL[stale.level] == "FAILURE"
        front.send()
        peer.spin(1.0)
        said = front.validities()
        assert set(said) <= {"OK", "PENDING"} and said["OK"], said
        assert "left: no image for longer than source_timeout" in monitor.log and "front: no image" not in monitor.log
        peer.wait(lambda: left.diagnostics and left.diagnostics["camera"].level == b"\2", "a status of the silent camera")
        # It comes back; counts add up.
        assert VALIDITY[left.ask().validity] == "OK"
        for camera in (front, left):
            report = camera.ask()
            counts = {name: getattr(report, name) for name in COUNTS}
            received = counts.pop("frames_received")
            assert received == sum(counts.values()) <= camera.sent, (received, counts, camera.sent)


def test_bad_images_of_one_camera_leave_the_other_judged(start, peer, namespace):
    with start(namespace, **CAMERAS, **CALM) as monitor:
        front, left = cameras(peer, monitor)
        for _ in range(5):
            bad = left.ask(message=compressed_image(b"no picture"))
            assert VALIDITY[bad.validity] == "INVALID_INPUT" and LEVEL[bad.level] == "FAILURE"
            good = front.ask()
            assert VALIDITY[good.validity] == "OK" and LEVEL[good.raw_level] == "NOMINAL"
        assert (good.frames_invalid, bad.frames_invalid) == (0, 5)
        peer.wait(lambda: left.diagnostics["camera"].level == b"\2", "the status of the camera with bad images")
        assert left.diagnostics["camera"].message == bad.reason
        assert front.diagnostics["camera"].level == b"\0", front.diagnostics["camera"]
        assert ("topics", "front/image, front/image/compressed") in [
            (item.key, item.value) for item in front.diagnostics["camera"].values
        ]


def test_an_alarm_of_one_camera_is_recorded_and_acknowledged_alone(start, peer, namespace, tmp_path):
    folder = tmp_path / "events"
    record = {"record.dir": str(folder), "record.seconds": 1.0, "latch_level": "failure", "trigger_frames": 1}
    with start(namespace, **CAMERAS, **CALM, **record) as monitor:
        front, left = cameras(peer, monitor)
        for camera in (front, left):
            assert LEVEL[camera.ask().latched_level] == "FAILURE"
        answer = peer.call(Trigger, "front/acknowledge", Trigger.Request())
        assert answer.success, answer.message
        assert [LEVEL[camera.ask().latched_level] for camera in (front, left)] == ["NOMINAL", "FAILURE"]
        # Pictures that cannot be read raise the level of their camera at once.
        frame_id = left.send(message=compressed_image(b"no picture"))
        front_id = front.send()
        (path,) = wait_until(lambda: sorted(folder.glob("*.mcap")) if folder.exists() else [], monitor.log, peer.spin)
        assert path.name.startswith("left.event_")
        # One self-test is told on both.
        told = peer.call(Trigger, "self_test", Trigger.Request()).message
        peer.wait(lambda: all(c.diagnostics["self test"].message == told for c in (front, left)), "the self-test's status")
    messages, metadata = read(path)
    assert metadata["camera"] == "left"
    (images,) = [found for topic, found in messages.items() if topic == f"/{namespace}/left/image/compressed"]
    assert [image.header.frame_id for image in images] == [frame_id]
    recorded = [m.header.frame_id for found in messages.values() for m in found]
    assert frame_id in recorded and front_id not in recorded


def test_each_camera_has_limits_and_a_mask_of_its_own(start, peer, namespace, tmp_path):
    # Half of what the one sees does not count.
    mask = tmp_path / "left.png"
    height, width, _ = road().shape
    half = np.vstack([np.zeros((height // 2, width), np.uint8), np.full((height - height // 2, width), 255, np.uint8)])
    Picture.fromarray(half).save(mask)
    own = {"left.threshold.error": 0.0, "left.valid_mask": str(mask), "front.source_timeout": 30.0}
    with start(namespace, **CAMERAS, **CALM, **own, source_timeout=2.0) as monitor:
        front, left = cameras(peer, monitor)
        pixels, masks = road(), []
        peer.node.create_subscription(Image, "monitor/left/error_mask", masks.append, 10)
        peer.wait(lambda: left.ask(pixels=pixels) and masks, "an error mask")
        calm, all_wrong = front.ask(pixels=pixels), left.ask(pixels=pixels)
        # Of the pixels that count, a limit of 0 doubts all.
        assert all_wrong.error_area == 1 and all_wrong.threshold_error == 0
        assert (array_of(masks[-1]) > 0).tolist() == (half > 0).tolist()
        assert calm.error_area < 1 and calm.threshold_error > 0
        assert "left.valid_mask" in peer.parameter_names() and "front.bundle" not in peer.parameter_names()
        # What is set for all holds for those that have nothing of their own; what is set for one, for that one.
        for name, value, expected in (("threshold.error", 1.0, (1, 0)), ("front.threshold.error", 0.0, (0, 0))):
            assert peer.set_parameter(name, value)[0]
            limits = tuple(camera.ask(pixels=pixels).threshold_error for camera in (front, left))
            assert limits == expected, (name, limits)
        successful, reason = peer.set_parameter("left.threshold.failure", 1.5)
        assert not successful and "left.threshold.failure is 1.5" in reason
        # Silence has its own limit as well.
        for camera in (front, left):
            camera.reports.clear()
        peer.wait(lambda: left.validities()["STALE"], lambda: f"STALE, and not {left.validities()}")
        assert not front.validities()["STALE"]


def test_a_limit_for_a_camera_that_there_is_not_is_refused(start, namespace):
    for name, words in (("rear.threshold.failure", "without rear"), ("left.threshold.failur", "likely meant")):
        with start(namespace, **CAMERAS, **{name: 0.5}) as monitor:
            assert monitor.wait() == 2
            assert f"parameter {name} does not exist" in monitor.log and words in monitor.log


def test_names_that_no_camera_can_have_are_refused(start, namespace):
    for names, words in ((["front", "front"], "different names"), (["front left"], "letters, digits")):
        with start(namespace, cameras=names) as monitor:
            assert monitor.wait() == 2
            assert "parameter cameras is [" in monitor.log and words in monitor.log


def test_an_empty_list_is_one_camera(start, peer, namespace):
    with start(namespace, arguments=["-p", "cameras:=[]"]) as monitor:
        peer.wait_for_monitor(monitor)
        assert VALIDITY[peer.ask(road()).validity] == "OK"
