"""Images in, reports and pictures out."""

import io
import math

import numpy as np
import pytest
import yaml
from PIL import Image as Picture
from harness import IMAGE_TOPICS, LEVEL, VALIDITY, array_of, compressed_image, jpeg, raw_image, road
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo


def test_a_report_carries_the_header_and_the_numbers(shared):
    report = shared.ask(road())
    assert VALIDITY[report.validity] == "OK", report.reason
    assert report.header == shared.sent[-1]
    assert report.reason == ""
    assert 0 <= report.failure_score <= 1
    assert 0 <= report.predicted_miou <= 1
    assert math.isclose(report.failure_score, 1 - report.predicted_miou, abs_tol=1e-5)
    assert 0 <= report.error_area <= 1
    assert 0 <= report.anomaly_area <= 1
    for limit in ("caution", "failure", "error", "anomaly", "anomaly_area"):
        # Those of the level are not known: nobody calibrated this bundle.
        known = limit in ("error", "anomaly")
        value = getattr(report, f"threshold_{limit}")
        assert 0 <= value <= 1 if known else math.isnan(value)
    for stage in ("decode", "segment", "synthesize", "compare", "total"):
        assert getattr(report, f"latency_{stage}_ms") > 0, stage
    assert report.since_arrival_ms >= report.latency_total_ms
    assert report.image_age_ms > 0
    assert len(report.bundle_hash) == 64


def test_classes_are_those_of_label_info(shared):
    report = shared.ask(road())
    info = shared.label_info()
    assert [c.class_id for c in report.classes] == list(info.class_ids) == list(range(len(info.class_ids)))
    assert [c.class_name for c in report.classes] == list(info.class_names)
    assert len(info.colors) == len(info.class_ids)
    assert info.ignore_id == 255
    assert math.isclose(sum(c.pixel_share for c in report.classes), 1, abs_tol=1e-4)
    for score in report.classes:
        assert 0 <= score.predicted_iou <= 1 if score.present else math.isnan(score.predicted_iou)
        assert 0 <= score.presence <= 1


def test_vision_msgs_is_told_the_same_names_and_one_for_pixels_without_a_label(shared):
    messages = pytest.importorskip("vision_msgs.msg", reason="the node publishes it where vision_msgs is")
    told = shared.latched(messages.LabelInfo, "vision_label_info")
    ours = shared.label_info()
    named = [*zip(ours.class_ids, ours.class_names), (ours.ignore_id, "UNLABELED")]
    assert [(one.class_id, one.class_name) for one in told.class_map] == named
    assert told.threshold == 0


def test_model_info_is_latched_and_names_the_bundle(shared):
    report = shared.ask(road())
    info = yaml.safe_load(shared.model_info())
    assert info["bundle"] == report.bundle
    assert info["bundle_hash"] == report.bundle_hash
    assert info["networks"]


def test_jpeg_and_raw_are_judged_alike(shared):
    # Flat blocks on JPEG's own grid: two decoders then agree to one step of 255.
    blocks = np.random.default_rng(3).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    message = compressed_image(jpeg(np.kron(blocks, np.ones((8, 8, 1), np.uint8)), quality=100, subsampling=0), "jpeg")
    raw = shared.ask(np.array(Picture.open(io.BytesIO(bytes(message.data)))))
    compressed = shared.report_on(shared.send(shared.stamp(message)))
    assert VALIDITY[compressed.validity] == "OK", compressed.reason
    assert compressed.failure_score == pytest.approx(raw.failure_score, abs=0.02)


def test_encodings_of_one_picture_are_judged_alike(shared):
    pixels = road()
    reference = shared.ask(pixels)
    padded = np.zeros((pixels.shape[0], pixels.shape[1] + 5, 3), np.uint8)
    padded[:, :-5] = pixels
    padded_message = raw_image(padded)
    padded_message.width = pixels.shape[1]
    alpha = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
    for message in (
        raw_image(np.ascontiguousarray(pixels[..., ::-1]), "bgr8"),
        raw_image(alpha, "rgba8"),
        padded_message,
    ):
        report = shared.report_on(shared.send(shared.stamp(message)))
        assert VALIDITY[report.validity] == "OK", report.reason
        assert report.failure_score == pytest.approx(reference.failure_score, abs=1e-5)


def test_every_picture_has_the_size_and_header_of_the_image(start, peer, namespace):
    with start(namespace) as monitor:
        peer.wait_for_monitor(monitor)
        peer.watch(*IMAGE_TOPICS)
        pixels = road(150, 70)
        report = peer.ask(pixels)
        peer.wait(lambda: all(peer.images.values()), "every picture")
        for topic, encoding in IMAGE_TOPICS.items():
            (message,) = peer.images[topic]
            assert message.header == report.header == peer.sent[-1], topic
            assert (message.width, message.height) == (150, 70), topic
            assert message.encoding == encoding, topic
            assert len(message.data) == message.step * message.height, topic
        picture = {topic: array_of(messages[0]) for topic, messages in peer.images.items()}
        for mask, score, area, limit in (
            ("error_mask", "error_probability", report.error_area, report.threshold_error),
            ("anomaly_mask", "anomaly_score", report.anomaly_area, report.threshold_anomaly),
        ):
            assert set(np.unique(picture[mask])) <= {0, 255}, mask
            assert 0 <= picture[score].min() <= picture[score].max() <= 1, score
            # The area is counted at the networks' size, the picture has the camera's.
            assert (picture[mask] == 255).mean() == pytest.approx(area, abs=0.05), mask
            clear = np.abs(picture[score] - limit) > 1e-6
            assert ((picture[score] >= limit) == (picture[mask] == 255))[clear].all(), mask
        assert np.abs(picture["confidence"] - (1 - picture["error_probability"]) * 255).max() <= 0.5 + 1e-4
        info = peer.label_info()
        assert set(np.unique(picture["labels"])) <= set(info.class_ids)
        trusted = np.where(picture["error_mask"] == 255, info.ignore_id, picture["labels"])
        assert (picture["trusted_labels"] == trusted).all()
        colors = np.array([[c >> 16, c >> 8 & 255, c & 255] for c in info.colors], np.uint8)
        assert (colors[picture["labels"]] == picture["labels_color"]).all()
        assert (picture["overlay"] != pixels).any()
        shares = np.bincount(picture["labels"].ravel(), minlength=len(report.classes)) / picture["labels"].size
        assert np.allclose(shares, [c.pixel_share for c in report.classes], atol=0.02)


def test_pictures_are_sent_only_while_somebody_listens(shared):
    shared.watch("labels")
    shared.ask(road())
    shared.wait(lambda: shared.images["labels"], "labels")
    assert len(shared.images["labels"]) == 1
    # A topic that nobody listens to has sent nothing for a late listener to find.
    shared.watch("overlay")
    shared.spin(0.5)
    assert not shared.images["overlay"]
    for topic in ("labels", "overlay"):
        shared.node.destroy_subscription(shared._subscriptions.pop(topic))
    shared.images["labels"].clear()
    shared.spin(0.5)
    shared.ask(road())
    shared.spin(0.5)
    assert not shared.images["labels"]


def test_the_newest_image_wins_and_every_image_is_accounted_for(start, peer, namespace):
    with start(namespace) as monitor:
        peer.wait_for_monitor(monitor)
        pixels = road(320, 240)

        def after_a_burst():
            # Best effort means that it may swallow some, the last among them.
            for _ in range(60):
                peer.send_picture(pixels)
            report = peer.ask_until_reported(pixels, monitor)
            return report if report.frames_dropped else None

        peer.wait(after_a_burst, "a burst faster than the networks")

        def settled():
            last = peer.on_images()[-1]
            return last if last.frames_received == last.frames_processed + last.frames_dropped else None

        report = peer.wait(settled, lambda: f"every image to be accounted for; {peer.account()}")
        assert report.frames_invalid == 0
        judged = [r.header.frame_id for r in peer.on_images()]
        assert len(judged) == len(set(judged)), "at most one report a frame"
        assert set(judged) <= {header.frame_id for header in peer.sent}
        order = [int(name.removeprefix("camera_")) for name in judged]
        assert order == sorted(order)
        # The last ten reports are kept for a reader that is late, no more.
        assert len(judged) <= report.frames_processed


def test_an_image_by_both_transports_gives_one_report(start, peer, namespace):
    with start(namespace) as monitor:
        peer.wait_for_monitor(monitor)
        for _ in range(5):
            message = peer.stamp(raw_image(road()))
            twin = compressed_image(jpeg(road()))
            twin.header = message.header
            peer.send(message)
            peer.send(twin)
            peer.report_on(message.header.frame_id)
        peer.spin(0.5)
        last = peer.on_images()[-1]
        assert len(peer.on_images()) == 5
        assert (last.frames_received, last.frames_processed) == (5, 5)


def test_a_garbage_compressed_twin_displaces_no_raw_image(start, peer, namespace):
    with start(namespace) as monitor:
        peer.wait_for_monitor(monitor)
        for _ in range(10):
            message = peer.stamp(raw_image(road()))
            twin = compressed_image(b"\xff\xd8\xff garbage")
            twin.header = message.header
            peer.send(twin)
            frame_id = peer.send(message)

            def is_judged(frame_id=frame_id):
                # The first twin may have a report of its own, before this one or behind it.
                found = [report for report in peer.on_images() if report.header.frame_id == frame_id]
                return any(VALIDITY[report.validity] == "OK" for report in found)

            peer.wait(is_judged, f"a good report on {frame_id}")
        peer.spin(0.5)
        verdicts = {}
        for report in peer.on_images():
            verdicts.setdefault(report.header.frame_id, set()).add(VALIDITY[report.validity])
        assert len(verdicts) == 10
        assert sum("INVALID_INPUT" in found for found in verdicts.values()) <= 1, "learnt from the first"


def test_only_the_transport_asked_for_is_heard(start, peer, namespace):
    with start(namespace, image_transport="compressed") as monitor:
        peer.wait_for_monitor(monitor)
        assert peer.camera.get_subscription_count() == 0
        assert VALIDITY[peer.report_on(peer.send_jpeg(road())).validity] == "OK"


def test_the_level_needs_good_frames_to_fall_and_bad_ones_to_rise(start, peer, namespace):
    # With these limits every score is a failure, then none is.
    limits = {"threshold__caution": 1.0, "threshold__failure": 1.0, "threshold__anomaly_area": 1.0}
    with start(namespace, trigger_frames=2, release_frames=3, **limits) as monitor:
        peer.wait_for_monitor(monitor)
        levels = [LEVEL[peer.ask(road()).level] for _ in range(4)]
        assert levels == ["FAILURE", "FAILURE", "NOMINAL", "NOMINAL"]
        # Caution is never above failure.
        assert peer.set_parameter("threshold.caution", 0.0) == (True, "")
        assert peer.set_parameter("threshold.failure", 0.0) == (True, "")
        levels = [LEVEL[peer.ask(road()).level] for _ in range(2)]
        assert levels == ["NOMINAL", "FAILURE"]
        report = peer.reports[-1]
        assert (report.threshold_failure, report.guarantee) == (0.0, "")


def test_a_deadline_that_cannot_be_met_degrades(start, peer, namespace):
    with start(namespace, degraded__deadline=0.000001) as monitor:
        peer.wait_for_monitor(monitor)
        reports = [peer.ask(road()) for _ in range(4)]
        assert [VALIDITY[r.validity] for r in reports] == ["OK", "OK", "OK", "DEGRADED"]
        assert "degraded.deadline" in reports[-1].reason
        assert math.isnan(reports[-1].latency_synthesize_ms)


def test_stamps_that_jump_back_start_afresh(start, peer, namespace):
    with start(namespace) as monitor:
        peer.wait_for_monitor(monitor)
        # A jump is one when three stamps have stayed in the new time.
        for second in (100, 101, 50, 51, 52, 10, 11, 12):
            message = peer.stamp(raw_image(road()))
            message.header.stamp.sec = second
            assert VALIDITY[peer.report_on(peer.send(message)).validity] == "OK"
        assert monitor.log.count("jumped back") == 1, "logged once"


def test_a_valid_mask_leaves_pixels_out(start, peer, namespace, tmp_path):
    mask = np.full((64, 96), 255, np.uint8)
    mask[32:] = 0
    Picture.fromarray(mask).save(tmp_path / "mask.png")
    with start(namespace, valid_mask=str(tmp_path / "mask.png")) as monitor:
        peer.wait_for_monitor(monitor)
        outside = {"error_mask": 0, "anomaly_mask": 0, "confidence": 0, "trusted_labels": 255}
        peer.watch("labels", *outside)
        assert VALIDITY[peer.ask(road()).validity] == "OK"
        peer.wait(lambda: all(peer.images[topic] for topic in ("labels", *outside)), "the masks")
        for topic, value in outside.items():
            assert (array_of(peer.images[topic][0])[32:] == value).all(), topic
        assert (array_of(peer.images["labels"][0]) != 255).all(), "M's own labels stay as they are"
        assert array_of(peer.images["confidence"][0])[:32].any()
        report = peer.ask(road(32, 32))
        assert VALIDITY[report.validity] == "FAILED"
        assert "96x64" in report.reason and "32x32" in report.reason
        assert VALIDITY[peer.ask(road()).validity] == "OK"


def test_a_calibration_for_another_size_is_noticed(start, peer, namespace):
    with start(namespace) as monitor:
        peer.wait_for_monitor(monitor)
        publisher = peer.node.create_publisher(CameraInfo, "camera_info", QoSProfile(depth=1))
        peer.wait(publisher.get_subscription_count, "camera_info")
        peer.ask(road())

        def noticed():
            # As a camera does, again and again: the first may go out before the node has found this peer.
            publisher.publish(CameraInfo(width=640, height=480))
            return next((d["camera"] for d in peer.diagnostics if "640x480" in d["camera"].message), None)

        found = peer.wait(noticed, "the mismatch in diagnostics")
        assert found.level == found.WARN
