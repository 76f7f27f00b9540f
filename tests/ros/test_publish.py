"""`synthcp bag publish`: what was recorded reaches the node as it was, and the node makes of it what replay does."""

import json
import os
import shlex
import subprocess
import xml.etree.ElementTree as ElementTree

import pytest
from harness import LEVEL, ON_AN_IMAGE, PATIENCE, ROOT, VALIDITY, binary
from mcap.reader import make_reader
from mcap.writer import Writer
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.serialization import serialize_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import String
from test_camvid import data_folder, frames_of

from synthcp_monitor.msg import MonitorReport

SECOND = 10**9
BEGIN = 1_700_000_000 * SECOND
TYPES = {kind: f"sensor_msgs/msg/{kind.__name__}" for kind in (Image, CompressedImage, CameraInfo)}


def record(path, messages):
    """A bag of (topic, time in ns, message)."""
    with path.open("wb") as file:
        writer = Writer(file)
        writer.start(profile="ros2")
        channels = {}
        for topic, at, message in messages:
            if topic not in channels:
                kind = TYPES[type(message)] if not isinstance(message, bytes) else TYPES[Image]
                schema = writer.register_schema(kind, "ros2msg", b"")
                channels[topic] = writer.register_channel(topic, "cdr", schema)
            data = message if isinstance(message, bytes) else serialize_message(message)
            writer.add_message(channels[topic], log_time=at, publish_time=at, data=data)
        writer.finish()


def stamped(message, at):
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(at, SECOND)
    message.header.frame_id = "front"
    return message


def rendered(folder, frames, times=None):
    """Frames of the street as recorded messages; at these milliseconds."""
    bag = folder / "street.mcap"
    arguments = ["--town", "test", "--seed", "4", "--anomalies", "--frames", str(frames), "--bag", bag]
    subprocess.run([binary("synthcp"), "street", "render", *arguments], check=True, capture_output=True)
    messages = []
    with bag.open("rb") as file:
        for number, (_, _, message) in enumerate(make_reader(file).iter_messages(topics=["/image"])):
            at = BEGIN + (times[number] if times else 100 * number) * 10**6
            sec, nanosec = divmod(at, SECOND)
            # The stamp stands behind the four bytes that tell the byte order.
            data = message.data[:4] + sec.to_bytes(4, "little") + nanosec.to_bytes(4, "little") + message.data[12:]
            messages.append(("/front/image", at, data))
    return messages


def publish(bag, namespace, *more, topic="/front/image", **options):
    """Plays into the namespace's `image`."""
    there = f"/{namespace}/image" + ("/compressed" if topic.endswith("/compressed") else "")
    remap = ["--ros-args", "-r", f"{topic}:={there}", "-r", f"/front/camera_info:=/{namespace}/camera_info"]
    command = [binary("synthcp"), "bag", "publish", bag, "--report", f"/{namespace}/monitor/report", *more, *remap]
    return subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def ended(peer, playing, patience=None):
    """Spins until it has ended: exit code, output, errors."""
    peer.wait(lambda: playing.poll() is not None, "the end of bag publish", patience)
    output, errors = playing.communicate()
    # What was published last may still be on its way.
    peer.spin(0.5)
    return playing.returncode, output, errors


def replayed(bag, bundle, out):
    """The lines of a replay."""
    command = [binary("synthcp"), "replay", bag, "--bundle", bundle, "--out", out]
    subprocess.run(command, check=True, capture_output=True)
    return [json.loads(line) for line in (out / "report.jsonl").open()]


def of_lines(lines):
    """Stamp, validity, level and score of each frame."""
    stamp = lambda report: (report["header"]["stamp"]["sec"], report["header"]["stamp"]["nanosec"])  # noqa: E731
    return [
        (stamp(line["report"]), line["validity"], line["level"], pytest.approx(line["report"]["failure_score"], abs=1e-5))
        for line in lines
        if line["validity"] in ON_AN_IMAGE
    ]


def of_reports(reports):
    """The same of messages."""
    stamp = lambda report: (report.header.stamp.sec, report.header.stamp.nanosec)  # noqa: E731
    return [
        (stamp(report), VALIDITY[report.validity], LEVEL[report.level], report.failure_score) for report in reports
    ]


@pytest.mark.timeout(600)
def test_the_node_in_lock_step_agrees_with_replay_frame_by_frame(start, peer, namespace, tmp_path):
    files = frames_of(data_folder())[:60]
    if files:
        bundle, topic = ROOT / "models/cityscapes", "/front/image/compressed"
        message = lambda file: CompressedImage(format="jpeg", data=file.read_bytes())  # noqa: E731
        times = [BEGIN + number * SECOND // 10 for number in range(len(files))]
        messages = [(topic, at, stamped(message(file), at)) for at, file in zip(times, files, strict=True)]
    else:
        bundle, topic = ROOT / "models/street", "/front/image"
        messages = rendered(tmp_path, 60)
    bag = tmp_path / "drive.mcap"
    record(bag, messages)
    lines = replayed(bag, bundle, tmp_path / "replay")
    with start(namespace, bundle=str(bundle), use_sim_time=True, report_timeout=60.0) as monitor:
        # The first report must find this peer listening, too.
        peer.wait_for_monitor(monitor)
        playing = publish(bag, namespace, "--lock-step", "--max-delay", PATIENCE, topic=topic)
        code, output, errors = ended(peer, playing, 500)
        assert code == 0, errors
        assert f"answered   {len(messages)}, not 0" in output
        assert of_reports(peer.on_images()) == of_lines(lines)
        assert len({line["level"] for line in lines}) > 1, "a drive on which nothing happens"
        last = peer.on_images()[-1]
        assert (last.frames_received, last.frames_dropped) == (len(messages), 0)


@pytest.mark.timeout(300)
def test_a_gap_of_the_recording_is_stale_in_the_node_as_in_replay(start, peer, namespace, tmp_path):
    before, gap = 12, 2000
    times = [100 * number + (gap if number >= before else 0) for number in range(2 * before)]
    messages = rendered(tmp_path, len(times), times)
    bag, bundle = tmp_path / "drive.mcap", ROOT / "models/street"
    record(bag, messages)
    lines = replayed(bag, bundle, tmp_path / "replay")
    # Longer than a busy machine stalls; shorter than the gap.
    limits = {"source_timeout": 1.5, "report_timeout": 60.0}
    with start(namespace, bundle=str(bundle), use_sim_time=True, **limits) as monitor:
        peer.wait_for_monitor(monitor)
        code, _, errors = ended(peer, publish(bag, namespace, "--lock-step", "--max-delay", PATIENCE), 200)
        assert code == 0, errors
    heard = [VALIDITY[report.validity] for report in peer.reports]
    first = heard.index("OK")
    last = len(heard) - heard[::-1].index("OK")
    # That nothing new is said for a moment, a busy node says of its own frames, too.
    validity = [told for told in heard[first:last] if told != "PENDING"]
    said = [line["validity"] for line in lines if line["validity"] != "PENDING"]
    for told in (validity, said):
        assert told[:before] == ["OK"] * before and told[-before:] == ["OK"] * before
        assert set(told[before:-before]) == {"STALE"}
    assert of_reports(peer.on_images()) == of_lines(lines)


class Stand:
    """Stands in for a monitor: says that it is ready, and reports on the images that `answers` picks by number."""

    def __init__(self, peer, answers):
        self.peer, self.answers = peer, answers
        self.images, self.calibrations, self.clocks = [], [], []
        node = peer.node
        self.report = node.create_publisher(MonitorReport, "monitor/report", 10)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.model_info = node.create_publisher(String, "monitor/model_info", latched)
        self.model_info.publish(String(data="bundle: stand\nnetworks: none"))
        node.create_subscription(Image, "image", self.heard, 10)
        node.create_subscription(CameraInfo, "camera_info", self.calibrations.append, 10)
        node.create_subscription(Clock, "/clock", self.clocks.append, 10)
        node.create_timer(0.1, self.wait)

    def wait(self):
        self.report.publish(MonitorReport(validity=MonitorReport.VALIDITY_STARTING))

    def heard(self, image):
        self.images.append(image)
        if self.answers(len(self.images)):
            self.report.publish(MonitorReport(header=image.header, validity=MonitorReport.VALIDITY_OK))


def small(path, count):
    """A bag of small images, a tenth of a second apart, with a calibration."""
    image = lambda number: Image(  # noqa: E731
        height=2, width=4, encoding="mono8", step=4, data=bytes(range(number, number + 8))
    )
    info = stamped(CameraInfo(width=4, height=2), BEGIN)
    messages = [("/front/camera_info", BEGIN, info)]
    for number in range(count):
        at = BEGIN + number * SECOND // 10
        messages.append(("/front/image", at, stamped(image(number), at)))
    record(path, messages)
    return [message for topic, _, message in messages if topic == "/front/image"]


def test_messages_arrive_as_they_were_recorded_and_those_not_answered_are_counted(peer, namespace, tmp_path):
    bag = tmp_path / "small.mcap"
    recorded = small(bag, 10)
    stand = Stand(peer, lambda number: number not in (4, 7))
    code, output, errors = ended(peer, publish(bag, namespace, "--lock-step", "--max-delay", "0.5", "--rate", "20"))
    assert code == 1 and "2 of 10 images were not answered within 0.5 s" in errors, errors
    assert "answered   8, not 2" in output
    assert stand.images == recorded
    assert [info.width for info in stand.calibrations] == [4]
    clocks = [clock.clock.sec * SECOND + clock.clock.nanosec for clock in stand.clocks]
    assert clocks == sorted(clocks) and clocks[0] == BEGIN and clocks[-1] == BEGIN + 9 * SECOND // 10


def test_a_part_is_played_with_the_calibration_from_before_it(peer, namespace, tmp_path):
    bag = tmp_path / "small.mcap"
    recorded = small(bag, 20)
    stand = Stand(peer, lambda number: True)
    part = ["--start", "0.45", "--duration", "0.5"]
    code, output, errors = ended(peer, publish(bag, namespace, "--rate", "2", *part))
    assert code == 0, errors
    assert "answered   5, not 0" in output
    assert stand.images == recorded[5:10]
    assert len(stand.calibrations) == 1


def test_the_highest_rate_is_found_and_told_with_the_machine(peer, namespace, tmp_path):
    bag = tmp_path / "small.mcap"
    small(bag, 5)
    Stand(peer, lambda number: True)
    rates = ["--peak", "--rates", "5..20", "--trial", "1"]
    code, output, errors = ended(peer, publish(bag, namespace, *rates))
    assert code == 0 and "peak       at least 20.00 Hz, 0.0 % lost" in output, output + errors
    assert "cores" in output and "  bundle: stand" in output
    assert "5.00 Hz: 0.0 % lost" in errors


def test_a_rate_at_which_every_other_image_is_lost_is_none(peer, namespace, tmp_path):
    bag = tmp_path / "small.mcap"
    small(bag, 5)
    Stand(peer, lambda number: number % 2)
    code, _, errors = ended(peer, publish(bag, namespace, "--peak", "--rates", "20..50", "--trial", "1"))
    assert code == 1 and "at 20 Hz more than 5 % of the images are lost" in errors, errors


def test_without_a_monitor_it_ends_and_says_so(peer, namespace, tmp_path):
    bag = tmp_path / "small.mcap"
    small(bag, 2)
    for more, code, what in [
        (["--wait", "0.5"], 1, "nobody subscribed to /front/image"),
        (["--topic", "/rear/image"], 2, "/front/image (sensor_msgs/msg/Image)"),
        (["--rate", "0"], 2, "a factor above 0"),
        (["--max-delay", "2"], 2, "--lock-step"),
    ]:
        got, _, errors = ended(peer, publish(bag, namespace, *more))
        assert got == code and what in errors, errors
    peer.node.create_subscription(Image, "image", lambda image: None, 10)
    got, _, errors = ended(peer, publish(bag, namespace, "--lock-step", "--wait", "10"))
    assert got == 1 and "no monitor was ready" in errors, errors


def launched(tmp_path, bag):
    """The command line that replay.launch.xml starts beside the monitor."""
    prefix = tmp_path / "prefix/lib/synthcp_monitor"
    prefix.mkdir(parents=True, exist_ok=True)
    synthcp = prefix / "synthcp"
    if not synthcp.exists():
        synthcp.symlink_to(binary("synthcp"))
    root = ElementTree.parse(ROOT / "launch/replay.launch.xml").getroot()
    values = {arg.get("name"): arg.get("default") for arg in root.findall("arg")}
    values |= {"bag": str(bag), "rate": "20.0", "image_topic": "/front/image"}
    (line,) = [entity.get("cmd") for entity in root.findall("executable")]
    line = line.replace("$(find-pkg-prefix synthcp_monitor)", str(tmp_path / "prefix"))
    for name, value in values.items():
        line = line.replace(f"$(var {name})", value or "")
    return line


def test_the_launch_file_plays_with_rosbag2_where_there_is_one_and_without_else(peer, tmp_path):
    bag = tmp_path / "small.mcap"
    small(bag, 4)
    line = launched(tmp_path, bag)
    tools = tmp_path / "tools"
    tools.mkdir()
    # No ros2 at all, and one without rosbag2.
    for program in (None, "#!/bin/sh\nexit 1\n"):
        if program:
            (tools / "ros2").write_text(program)
            (tools / "ros2").chmod(0o755)
        path = f"{tools}:/usr/bin:/bin"
        heard = []
        subscription = peer.node.create_subscription(Image, "/front/image", heard.append, 10)
        environment = os.environ | {"PATH": path}
        playing = subprocess.Popen(
            shlex.split(line), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        code, _, errors = ended(peer, playing)
        assert code == 0 and len(heard) == 4, errors
        assert heard[0].data[0] == 0
        peer.node.destroy_subscription(subscription)
    # One with rosbag2 is given the bag.
    (tools / "ros2").write_text('#!/bin/sh\necho "$@"\n')
    environment = os.environ | {"PATH": f"{tools}:/usr/bin:/bin"}
    output = subprocess.run(shlex.split(line), capture_output=True, text=True, env=environment, check=True).stdout
    assert output.strip() == f"bag play {bag} --clock --rate 20.0"
