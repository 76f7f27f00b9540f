"""Labels that another node publishes are judged in place of the bundle's own segmenter's."""

import contextlib
import io
import random
import struct
import time

import numpy as np
import pytest
from harness import VALIDITY, compressed_image, jpeg, raw_image, road
from PIL import Image as Picture
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CompressedImage, Image
from synthcp_monitor.msg import LabelInfo


class Segmenter:
    """Another node's segmenter, as far as the monitor sees it."""

    def __init__(self, peer):
        self.peer = peer
        self.raw = peer.node.create_publisher(Image, "labels", QoSProfile(depth=200))
        self.compressed = peer.node.create_publisher(CompressedImage, "labels/compressed", QoSProfile(depth=200))
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.info = peer.node.create_publisher(LabelInfo, "label_info", latched)

    def wait(self):
        """Until the monitor listens."""
        self.peer.wait(self.raw.get_subscription_count, "somebody who hears labels")
        self.peer.wait(self.compressed.get_subscription_count, "somebody who hears compressed labels")
        self.peer.parameter_names()

    def send(self, message, header):
        """Publishes labels with this header."""
        message.header = header
        (self.compressed if isinstance(message, CompressedImage) else self.raw).publish(message)


def one_class(number, kind=np.uint8, size=(48, 64)):
    """Labels that are the same everywhere."""
    return np.full(size, number, kind)


def run_lengths(ids):
    """A mask as Autoware packs it: the encoding says mono8, the data are label bytes and 32-bit counts."""
    height, width = ids.shape
    flat = ids.ravel()
    starts = np.flatnonzero(np.r_[True, flat[1:] != flat[:-1]])
    lengths = np.diff(np.r_[starts, flat.size])
    data = b"".join(struct.pack("<BI", int(flat[start]), int(length)) for start, length in zip(starts, lengths))
    message = Image(height=height, width=width, encoding="mono8", step=width)
    message.data = data
    return message


def png(pixels):
    """Labels as a PNG."""
    file = io.BytesIO()
    Picture.fromarray(pixels).save(file, "png")
    return compressed_image(file.getvalue(), "png")


def shares(report):
    """Classes in view with their share of what is labelled."""
    return {score.class_id: round(score.pixel_share, 2) for score in report.classes if score.pixel_share > 0}


def counts_add_up(report):
    """Every image is accounted for, but those that are on their way."""
    known = report.frames_processed + report.frames_dropped + report.frames_invalid + report.frames_unmatched
    return known <= report.frames_received and report.labels_unmatched <= report.labels_received


@pytest.fixture
def judged(start, peer, namespace):
    """Starts a monitor that judges labels by topic: `with judged(labels__match="exact") as segmenter`."""
    @contextlib.contextmanager
    def judged(**parameters):
        segmenter = Segmenter(peer)
        with start(namespace, segmentation="topic", **parameters) as monitor:
            peer.wait_for_monitor(monitor)
            segmenter.wait()
            segmenter.monitor = monitor
            yield segmenter

    return judged


def ask(segmenter, labels):
    """The report on an image with these labels."""
    peer = segmenter.peer
    frame = peer.send_picture(road())
    segmenter.send(labels, peer.sent[-1])
    return peer.report_on(frame)


def test_every_form_is_read(judged, peer):
    with judged() as segmenter:
        info = peer.label_info()
        color = [np.array([c >> 16 & 255, c >> 8 & 255, c & 255], np.uint8) for c in info.colors]
        painted = [np.broadcast_to(c, (48, 64, 3)).copy() for c in color]
        alpha = np.full((48, 64, 1), 255, np.uint8)
        forms = [
            raw_image(one_class(0), "mono8"),
            raw_image(one_class(1), "8UC1"),
            raw_image(one_class(2, np.uint16), "mono16"),
            raw_image(one_class(3, np.uint16), "16UC1"),
            raw_image(one_class(4, np.int16), "16SC1"),
            raw_image(one_class(5, np.int32), "32SC1"),
            raw_image(painted[6], "rgb8"),
            raw_image(painted[7][..., ::-1].copy(), "bgr8"),
            raw_image(np.concatenate([painted[8][..., ::-1], alpha], 2), "bgra8"),
            run_lengths(one_class(9)),
            png(one_class(10)),
        ]
        for number, message in enumerate(forms):
            report = ask(segmenter, message)
            assert VALIDITY[report.validity] == "OK", (number, report.reason)
            assert shares(report) == {number: 1.0}, number
            assert report.unlabelled_area == 0.0 and report.labels_age_ms >= 0.0
            assert report.guarantee == "", "the bundle's promise is for its own segmenter"
        # A quarter of the image has no label, by the id that says so; another has one that nobody knows.
        ids = one_class(3)
        ids[:24, :32], ids[24:, :32] = 255, 200
        report = ask(segmenter, raw_image(ids, "mono8"))
        assert shares(report) == {3: 1.0} and abs(report.unlabelled_area - 0.5) < 0.02
        assert report.labels_unmatched == 0 and report.frames_unmatched == 0
        assert report.labels_received == len(forms) + 1
        # Names in place of numbers, from now on.
        info = LabelInfo(class_ids=[70, 71], class_names=[info.class_names[5], "dragon"], ignore_id=9)
        segmenter.info.publish(info)
        peer.spin(1)
        report = ask(segmenter, raw_image(one_class(70), "mono8"))
        assert shares(report) == {5: 1.0}


def test_names_of_ids_are_taken_from_vision_msgs_too(judged, peer):
    messages = pytest.importorskip("vision_msgs.msg", reason="the node hears it where vision_msgs is")
    with judged() as segmenter:
        ours = peer.label_info()
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        info = peer.node.create_publisher(messages.LabelInfo, "vision_label_info", latched)
        named = [(70, ours.class_names[5].upper()), (9, "unlabeled")]
        classes = [messages.VisionClass(class_id=id, class_name=name) for id, name in named]
        info.publish(messages.LabelInfo(class_map=classes))
        peer.wait(info.get_subscription_count, "somebody who hears names")
        peer.spin(1)
        ids = one_class(70)
        ids[:24] = 9
        report = ask(segmenter, raw_image(ids, "mono8"))
        assert shares(report) == {5: 1.0} and abs(report.unlabelled_area - 0.5) < 0.02
        assert not any("label_info names no" in line for line in segmenter.monitor.log.splitlines())


def test_a_wrong_form_is_named_in_one_line(judged, peer):
    with judged(labels__max_unknown=0.25) as segmenter:
        wrong = [
            (raw_image(np.zeros((48, 64), np.float32), "32FC1"), ["32FC1", "16UC1"]),
            (compressed_image(jpeg(road())), ["PNG"]),
            (raw_image(one_class(99), "mono8"), ["id 99", "100.0 %", "labels.max_unknown"]),
            (Image(height=4, width=4, encoding="mono8", step=4, data=[1, 2, 3]), ["run lengths", "3 bytes"]),
        ]
        for message, words in wrong:
            report = ask(segmenter, message)
            assert VALIDITY[report.validity] == "INVALID_INPUT", report.reason
            assert "\n" not in report.reason and report.reason.startswith("labels: ")
            for word in words:
                assert word in report.reason, report.reason
        report = ask(segmenter, raw_image(one_class(1), "mono8"))
        assert VALIDITY[report.validity] == "OK" and report.frames_invalid == len(wrong)


def drive(segmenter, frames, period, latest, stamped):
    """A camera and a segmenter at work, one in twenty lost on either side: which class belongs to which frame."""
    peer, draw = segmenter.peer, random.Random(7)
    events, headers, expected = [], {}, {}
    for number in range(frames):
        taken = number * period
        late = draw.random() * latest
        events.append((taken, "image" if draw.random() > 0.05 else "lost", number))
        if draw.random() > 0.05:
            events.append((taken + late, "labels", number))
    start = time.monotonic()
    for at, what, number in sorted(events):
        peer.spin(max(0.001, start + at - time.monotonic()))
        if what != "labels":
            # Taken at this time, whoever hears of it.
            image = peer.stamp(raw_image(road()))
            headers[number] = image.header
            expected[image.header.frame_id] = number % 10
            if what == "image":
                peer.send(image)
        else:
            header = headers[number]
            if stamped == "now":
                header = type(header)(stamp=peer.node.get_clock().now().to_msg(), frame_id="segmenter")
            segmenter.send(raw_image(one_class(number % 10), "mono8"), header)
    peer.spin(2.5)
    return expected, sum(what == "image" for _, what, _ in events), sum(what == "labels" for _, what, _ in events)


@pytest.mark.parametrize("match", ["exact", "nearest", "arrival"])
def test_labels_belong_to_their_image_however_late(judged, peer, match):
    # What is stamped when it is done can be told only where images come more seldom than it takes.
    period, latest, tolerance, stamped = {
        "exact": (0.1, 0.3, 0.0, "copied"),
        "nearest": (0.1, 0.3, 0.03, "copied"),
        "arrival": (0.5, 0.3, 0.4, "now"),
    }[match]
    frames = 15 if match == "arrival" else 60
    with judged(labels__match=match, labels__tolerance=tolerance, labels__timeout=1.0) as segmenter:
        expected, images, labels = drive(segmenter, frames, period, latest, stamped)
        reports = peer.on_images()
        assert len(reports) >= frames // 5, f"{len(reports)} of {frames}"
        for report in reports:
            assert VALIDITY[report.validity] == "OK", report.reason
            assert shares(report) == {expected[report.header.frame_id]: 1.0}, "labels of another image"
            assert counts_add_up(report)
        last = peer.reports[-1]
        assert last.labels_received == labels and last.frames_received == images
        matched = last.frames_processed + last.frames_dropped
        assert images == matched + last.frames_unmatched and labels == matched + last.labels_unmatched


def test_labels_that_stop_and_a_camera_that_stops_are_told_apart(judged, peer):
    with judged(labels__timeout=0.5, source_timeout=1.0) as segmenter:

        def until(validity, with_image, with_labels):
            def said():
                header = peer.stamp(raw_image(road())).header
                if with_image:
                    image = raw_image(road())
                    image.header = header
                    peer.send(image)
                if with_labels:
                    segmenter.send(raw_image(one_class(0), "mono8"), header)
                peer.spin(0.1)
                found = [r for r in peer.reports[seen:] if VALIDITY[r.validity] == validity]
                return found[-1] if found else None

            seen = len(peer.reports)
            return peer.wait(said, validity)

        until("OK", True, True)
        report = until("UNLABELLED", True, False)
        assert "images arrive without labels" in report.reason and report.level == report.LEVEL_FAILURE
        until("OK", True, True)
        report = until("STALE", False, True)
        peer.wait(lambda: "labels" in (peer.diagnostics[-1] if peer.diagnostics else {}), "the status of labels")
        report = until("STALE", False, True)
        assert report.reason.endswith("labels still arrive"), report.reason
        assert "no images come" in peer.diagnostics[-1]["labels"].message
