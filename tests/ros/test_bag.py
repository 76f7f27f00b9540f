"""What Rust calls a message and a bag, against readers that others wrote."""

import io
import itertools
import math
import pathlib
import signal
import subprocess

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from harness import LEVEL, ROOT, Peer, binary, raw_image, road
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from PIL import Image as Picture
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from sensor_msgs.msg import Image
from std_msgs.msg import Header, String

from synthcp_monitor.msg import AnomalyRegion, ClassScore, LabelInfo, MonitorReport

PACKAGE = "synthcp_monitor/msg"
NESTED = {"synthcp_monitor/ClassScore": ClassScore, "synthcp_monitor/AnomalyRegion": AnomalyRegion}


def typestore():
    """ROS's own types and this package's."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for file in sorted((ROOT / "msg").glob("*.msg")):
        store.register(get_types_from_msg(file.read_text(), f"{PACKAGE}/{file.stem}"))
    return store


def numbered(message, numbers):
    """Fills every field of an rclpy message with the next number, or a text that holds it."""
    for field, kind in message.get_fields_and_field_types().items():
        number, plain = next(numbers), kind.removeprefix("sequence<").removesuffix(">")
        if plain in NESTED:
            value = [numbered(NESTED[plain](), numbers) for _ in range(2)]
        elif plain == "std_msgs/Header":
            value = Header(stamp=Time(sec=number, nanosec=next(numbers)), frame_id=f"camera {number}")
        else:
            value = {"string": f"text {number}", "boolean": number % 2 == 1, "float": number + 0.5}.get(plain, number)
            value = value if plain == kind else [value, value]
        setattr(message, field, value)
    return message


def numbered_report():
    """A report whose every field has a value of its own."""
    report = numbered(MonitorReport(), itertools.count(1))
    report.validity, report.level, report.failure_score = 0, MonitorReport.LEVEL_CAUTION, math.nan
    return report


def numbered_labels():
    """A label_info whose every field has a value of its own."""
    return numbered(LabelInfo(), itertools.count(1))


def assert_same(theirs, ours, path="message"):
    """Compares another reader's message with one of rclpy's, field by field."""
    if hasattr(ours, "get_fields_and_field_types"):
        for field in ours.get_fields_and_field_types():
            assert_same(getattr(theirs, field), getattr(ours, field), f"{path}.{field}")
    elif isinstance(ours, (str, bytes)):
        assert theirs == ours, path
    elif hasattr(ours, "__len__"):
        assert len(theirs) == len(ours), path
        for place, (left, right) in enumerate(zip(theirs, ours)):
            assert_same(left, right, f"{path}[{place}]")
    else:
        assert theirs == ours or (math.isnan(theirs) and math.isnan(ours)), path


def to_rosbags(store, message, kind):
    """The same message as one of rosbags'."""
    values = {}
    for field, (node, detail) in store.get_msgdef(kind).fields:
        value = getattr(message, field)
        if node.name == "NAME":
            value = to_rosbags(store, value, detail)
        elif node.name in ("ARRAY", "SEQUENCE"):
            (inner, inner_detail), _ = detail
            if inner.name == "NAME":
                value = [to_rosbags(store, item, inner_detail) for item in value]
            elif inner_detail[0] == "string":
                value = list(value)
            else:
                value = np.array(value, inner_detail[0])
        values[field] = value
    return store.types[kind](**values)


@pytest.mark.parametrize("make", [numbered_report, numbered_labels])
def test_the_bytes_that_rust_is_tested_with_are_those_of_rosbags(make):
    store, message = typestore(), make()
    kind = f"{PACKAGE}/{type(message).__name__}"
    made = bytes(store.serialize_cdr(to_rosbags(store, message, kind), kind))
    file = ROOT / "tests/cdr" / f"{type(message).__name__}.cdr"
    assert file.read_bytes() == made, "made anew by running this file"


@pytest.fixture(scope="module")
def drive(context, tmp_path_factory):
    """What was sent to a demo_view, and the folder that it wrote."""
    folder = tmp_path_factory.mktemp("drive")
    peer = Peer(context, "bagged")
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    reports = peer.node.create_publisher(MonitorReport, "monitor/report", 10)
    labels = peer.node.create_publisher(LabelInfo, "monitor/label_info", latched)
    model = peer.node.create_publisher(String, "monitor/model_info", latched)
    kinds = {"overlay": "rgb8", "error_probability": "32FC1", "anomaly_mask": "mono8"}
    pictures = {topic: peer.node.create_publisher(Image, f"monitor/{topic}", 10) for topic in kinds}
    sent = {"/bagged/monitor/label_info": [numbered_labels()], "/bagged/monitor/model_info": [String(data="bundle: \u00e9")]}
    labels.publish(sent["/bagged/monitor/label_info"][0])
    model.publish(sent["/bagged/monitor/model_info"][0])
    command = [binary("demo_view"), "--frames", "0", "--out", folder, "--ros-args", "-r", "__ns:=/bagged"]
    view = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        publishers = [reports, *pictures.values(), peer.camera]
        peer.wait(lambda: all(publisher.get_subscription_count() for publisher in publishers), "the view")
        peer.wait(lambda: labels.get_subscription_count() and model.get_subscription_count(), "the view")
        # The view may know of the peer later than the peer of the view.
        peer.spin(1.0)
        sent["/bagged/monitor/report"], sent_pictures = [], []
        for number in range(3):
            report = numbered_report()
            report.header.stamp.nanosec = number
            maps = {
                "overlay": road(64, 32, number),
                "error_probability": np.linspace(0, 1, 64 * 32, dtype=np.float32).reshape(32, 64),
                "anomaly_mask": road(64, 32, number)[..., 0],
            }
            reports.publish(report)
            for topic, encoding in kinds.items():
                message = raw_image(maps[topic], encoding)
                message.header = report.header
                pictures[topic].publish(message)
            sent["/bagged/monitor/report"].append(report)
            sent_pictures.append(maps)
            peer.spin(0.3)
        # A report on no image is recorded, and is no frame.
        stale = numbered_report()
        stale.validity, stale.reason = MonitorReport.VALIDITY_STALE, "silent"
        reports.publish(stale)
        sent["/bagged/monitor/report"].append(stale)
        peer.spin(0.5)
        view.send_signal(signal.SIGINT)
        output = view.communicate(timeout=60)[0]
    finally:
        view.kill()
        peer.close()
    assert view.returncode == 0, output
    return folder, sent, sent_pictures, output


def compressed(topic):
    """Full name of a picture's topic in the bag."""
    return f"/bagged/monitor/{topic}/compressed"


def test_a_line_a_frame_is_printed_and_the_files_are_named(drive):
    folder, _, _, output = drive
    lines = [line for line in output.splitlines() if f" OK       {LEVEL[MonitorReport.LEVEL_CAUTION]}" in line]
    assert len(lines) == 3, output
    assert "    -  STALE: silent" in output
    named = {pathlib.Path(line) for line in output.splitlines() if line.startswith("/")}
    assert named == {folder / name for name in ("overlay.gif", "report.html", "demo.mcap")}
    assert all(file.is_file() for file in named)
    assert "\x1b[" not in output, "colour where there is no terminal"


def test_mcap_reads_every_message_as_it_was_sent(drive):
    folder, sent, _, _ = drive
    found = {}
    with (folder / "demo.mcap").open("rb") as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()])
        assert reader.get_header().profile == "ros2"
        for schema, channel, message, decoded in reader.iter_decoded_messages():
            assert schema.encoding == "ros2msg" and channel.message_encoding == "cdr"
            assert message.log_time > 1_700_000_000_000_000_000
            found.setdefault(channel.topic, []).append(decoded)
    for topic, messages in sent.items():
        assert_same(found[topic], messages, topic)


def test_rosbags_reads_every_message_as_it_was_sent(drive):
    folder, sent, sent_pictures, _ = drive
    store = get_typestore(Stores.ROS2_JAZZY)
    found = {}
    with Reader(folder / "demo.mcap") as reader:
        for connection in reader.connections:
            # From the definitions in the bag alone.
            store.register(get_types_from_msg(connection.msgdef.data, connection.msgtype))
            (qos,) = connection.ext.offered_qos_profiles
            assert (qos.durability.name == "TRANSIENT_LOCAL") == connection.topic.endswith("_info"), connection.topic
        for connection, _, data in reader.messages():
            found.setdefault(connection.topic, []).append(store.deserialize_cdr(data, connection.msgtype))
    for topic, messages in sent.items():
        assert_same(found[topic], messages, topic)
    reports = sent["/bagged/monitor/report"]
    for topic in ("overlay", "error_probability", "anomaly_mask"):
        assert len(found[compressed(topic)]) == len(sent_pictures), topic
        for message, report, maps in zip(found[compressed(topic)], reports, sent_pictures):
            assert_same(message.header, report.header)
            picture = np.array(Picture.open(io.BytesIO(message.data.tobytes())))
            if topic == "overlay":
                assert message.format == "jpeg"
                assert np.abs(picture.astype(int) - maps[topic]).mean() < 10
            elif topic == "anomaly_mask":
                assert (picture == maps[topic]).all() and message.format == "png"
            else:
                assert np.abs(picture / 255 - maps[topic]).max() <= 0.5 / 255 + 1e-6


def write_fixtures():
    """Makes tests/cdr anew."""
    store = typestore()
    for message in (numbered_report(), numbered_labels()):
        kind = f"{PACKAGE}/{type(message).__name__}"
        data = bytes(store.serialize_cdr(to_rosbags(store, message, kind), kind))
        (ROOT / "tests/cdr" / f"{type(message).__name__}.cdr").write_bytes(data)


if __name__ == "__main__":
    write_fixtures()
