"""The real node as a process, and a peer that talks to it over ROS."""

import array
import contextlib
import functools
import io
import json
import math
import os
import pathlib
import signal
import subprocess
import time

import numpy as np
from PIL import Image as Picture
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import (
    DescribeParameters,
    GetParameters,
    GetParameterTypes,
    ListParameters,
    SetParameters,
    SetParametersAtomically,
)
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from synthcp_monitor.msg import LabelInfo, MonitorReport

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Generous, because a test machine may be busy with other things; nothing here measures speed.
PATIENCE = float(os.environ.get("SYNTHCP_TEST_PATIENCE", "60"))

# Seconds after which the monitor surely misses raw images: it does after one.
RAW_IS_MISSED = 2.0

IMAGE_TOPICS = {
    "error_mask": "mono8",
    "error_probability": "32FC1",
    "confidence": "mono8",
    "anomaly_mask": "mono8",
    "anomaly_score": "32FC1",
    "labels": "mono8",
    "trusted_labels": "mono8",
    "labels_color": "rgb8",
    "reconstruction": "rgb8",
    "overlay": "rgb8",
}

VALIDITY = {
    getattr(MonitorReport, name): name.removeprefix("VALIDITY_")
    for name in dir(MonitorReport)
    if name.startswith("VALIDITY_")
}
LEVEL = {
    getattr(MonitorReport, name): name.removeprefix("LEVEL_")
    for name in dir(MonitorReport)
    if name.startswith("LEVEL_")
}

# Reports on an image, as against those that say there is none.
ON_AN_IMAGE = {"OK", "DEGRADED", "FAILED", "INVALID_INPUT", "OUTDATED"}


def binary(name):
    """Path of a release binary of this package: $MONITOR_NODE, $SYNTHCP, or where cargo put it."""
    given = os.environ.get(name.upper())
    if given:
        return pathlib.Path(given)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    path = ROOT / target / "release" / name
    if not path.exists():
        raise FileNotFoundError(f"{path}: build it with `scripts/env cargo build --release --features ros --bins`")
    return path


def wait_until(condition, what, spin, patience=None):
    """Spins until `condition()` gives something true, and returns that. `what` is text, or makes it when it failed."""
    end = time.monotonic() + (patience or PATIENCE)
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        spin()
    raise AssertionError(f"waited {patience or PATIENCE:.0f} s in vain for {what() if callable(what) else what}")


class MonitorProcess:
    """A running monitor_node in a namespace of its own. Its log goes to a file."""

    def __init__(self, namespace, folder, parameters=(), arguments=(), launcher=()):
        command = [*launcher, str(binary("monitor_node")), "--ros-args"]
        if namespace:
            command += ["-r", f"__ns:=/{namespace}"]
        for name, value in dict(parameters).items():
            command += ["-p", f"{name}:={json.dumps(value) if not isinstance(value, str) else value}"]
        self.command = command + list(arguments)
        self.log_file = pathlib.Path(folder) / f"monitor_{namespace or 'root'}_{time.monotonic_ns()}.log"
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

    @property
    def log(self):
        """What it has printed so far."""
        return self.log_file.read_text(errors="replace")

    def is_running(self):
        """Whether the process is there."""
        return self.process.poll() is None

    def wait(self, patience=None):
        """Its exit code, once it has ended by itself."""
        return self.process.wait(timeout=patience or PATIENCE)

    def stop(self, number=signal.SIGTERM, patience=None):
        """Asks it to end; gives exit code and seconds taken."""
        start = time.monotonic()
        if self.is_running():
            self.process.send_signal(number)
        try:
            code = self.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"did not end on signal {number}\n{self.log}") from None
        return code, time.monotonic() - start


class Peer:
    """A ROS node beside the monitor: the camera, and whoever reads the reports."""

    def __init__(self, context, namespace):
        self.node = Node("peer", namespace=f"/{namespace}", context=context, start_parameter_services=False)
        self.executor = SingleThreadedExecutor(context=context)
        self.executor.add_node(self.node)
        self.name = f"{namespace}/monitor"
        self.reports, self.heard_at = [], []
        self.diagnostics = []
        self.images = {topic: [] for topic in IMAGE_TOPICS}
        self.sent = []
        self._frame = 0
        self._raw_since = self._raw_last = -math.inf
        self._subscriptions = {}
        reliable = QoSProfile(depth=200)
        self.camera = self.node.create_publisher(Image, "image", reliable)
        self.compressed_camera = self.node.create_publisher(CompressedImage, "image/compressed", reliable)
        self.node.create_subscription(MonitorReport, "monitor/report", self._reported, reliable)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._diagnosed, reliable)

    def close(self):
        """Leaves the graph."""
        self.executor.remove_node(self.node)
        self.node.destroy_node()
        self.executor.shutdown()

    def spin(self, seconds=0.02):
        """Takes in what has arrived."""
        end = time.monotonic() + seconds
        self.executor.spin_once(timeout_sec=seconds)
        while time.monotonic() < end:
            self.executor.spin_once(timeout_sec=max(0.0, end - time.monotonic()))

    def wait(self, condition, what, patience=None):
        """Spins until `condition()` holds."""
        return wait_until(condition, what, self.spin, patience)

    def wait_for_monitor(self, monitor):
        """Until the monitor listens to the camera and its reports reach this peer."""

        def ready():
            assert monitor.is_running(), f"the monitor ended\n{monitor.log}"
            listens = self.camera.get_subscription_count() or self.compressed_camera.get_subscription_count()
            return listens and "ready: bundle" in monitor.log and self.reports

        self.wait(ready, f"the monitor\n{monitor.command}")
        # The camera may know of the monitor before the monitor knows of the camera, and what a
        # best-effort reader does not know of is lost. Endpoints are announced in the order of their
        # making, so an answer to a client made now says that the cameras made before it are known.
        self.parameter_names()

    def _reported(self, message):
        self.heard_at.append(time.monotonic())
        self.reports.append(message)

    def _diagnosed(self, message):
        mine = {
            status.name.removeprefix(f"{self.name}: "): status
            for status in message.status
            if status.name.startswith(f"{self.name}: ")
        }
        if mine:
            self.diagnostics.append(mine)

    def watch(self, *topics):
        """Subscribes to image topics, and waits until the monitor knows."""
        for topic in topics:
            self._subscriptions[topic] = self.node.create_subscription(
                Image, f"monitor/{topic}", self.images[topic].append, QoSProfile(depth=20)
            )
        for topic in topics:
            name = f"/{self.name}/{topic}"
            self.wait(lambda name=name: self.node.count_publishers(name), name)
        # This peer knows of the monitor's topics before the monitor knows of these subscriptions; an answer to a
        # client made after them says that it does.
        self.parameter_names()

    def latched(self, kind, topic):
        """The message that a late subscriber gets."""
        found = []
        qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        subscription = self.node.create_subscription(kind, f"monitor/{topic}", found.append, qos)
        self.wait(lambda: found, topic)
        self.node.destroy_subscription(subscription)
        return found[0]

    def label_info(self):
        """The latched label_info."""
        return self.latched(LabelInfo, "label_info")

    def model_info(self):
        """The latched model_info."""
        return self.latched(String, "model_info").data

    # --- The camera ---

    def stamp(self, message):
        """Gives the message a header that no other frame has."""
        self._frame += 1
        message.header.stamp = self.node.get_clock().now().to_msg()
        message.header.frame_id = f"camera_{self._frame}"
        return message

    def send(self, message):
        """Publishes an image message; gives its frame_id."""
        if isinstance(message, CompressedImage):
            publisher = self.compressed_camera
            is_twin = self.sent and self.sent[-1] == message.header
            if not is_twin:
                self._let_raw_images_be_missed()
        else:
            publisher = self.camera
            now = time.monotonic()
            if now - self._raw_last > RAW_IS_MISSED:
                self._raw_since = now
            self._raw_last = now
        self.sent.append(message.header)
        publisher.publish(message)
        return message.header.frame_id

    def _let_raw_images_be_missed(self):
        """The monitor gives the compressed topic up after 2 s of raw images, and hears it again when they have
        not come for one."""
        if self._raw_last - self._raw_since > 1:
            self.spin(max(0.001, self._raw_last + RAW_IS_MISSED - time.monotonic()))
            self._raw_since = self._raw_last
            self.wait(self.compressed_camera.get_subscription_count, "somebody who hears compressed images")

    def send_picture(self, pixels):
        """Publishes RGB pixels as an rgb8 image."""
        return self.send(self.stamp(raw_image(pixels)))

    def send_jpeg(self, pixels, form="jpeg"):
        """Publishes RGB pixels as a JPEG."""
        return self.send(self.stamp(compressed_image(jpeg(pixels), form)))

    def report_on(self, frame_id, patience=None):
        """The one report on that image."""

        def found():
            return [r for r in self.on_images() if r.header.frame_id == frame_id]

        reports = self.wait(found, f"a report on {frame_id}", patience)
        assert len(reports) == 1, f"{len(reports)} reports on {frame_id}"
        return reports[0]

    def ask_until_reported(self, pixels, monitor):
        """Publishes a picture, again and again if the transport loses it, and gives the first report on one."""
        frame_ids = set()

        def reported():
            assert monitor.is_running(), f"the monitor ended with {monitor.process.poll()}\n{monitor.log}"
            frame_ids.add(self.send_picture(pixels))
            self.spin(1)
            return [report for report in self.on_images() if report.header.frame_id in frame_ids]

        return self.wait(reported, lambda: f"a report on any of {len(frame_ids)} pictures; {self.account()}")[0]

    def account(self):
        """What became of the pictures, as far as this peer knows."""
        reports = self.on_images()
        diagnosed = {
            name: f"{status.message} {({item.key: item.value for item in status.values})}"
            for name, status in (self.diagnostics[-1] if self.diagnostics else {}).items()
        }
        return f"{len(self.sent)} were sent, {len(reports)} reported, the last as {reports[-1:]}; diagnostics {diagnosed}"

    def ask(self, pixels):
        """Publishes a picture and gives its report."""
        return self.report_on(self.send_picture(pixels))

    def on_images(self):
        """The reports that judge an image."""
        return [report for report in self.reports if VALIDITY[report.validity] in ON_AN_IMAGE]

    # --- Parameters ---

    def call(self, kind, service, request):
        """Calls a service of the monitor."""
        client = self.node.create_client(kind, f"monitor/{service}")
        self.wait(client.service_is_ready, service)
        future = client.call_async(request)
        self.wait(future.done, f"an answer from {service}")
        self.node.destroy_client(client)
        return future.result()

    def set_parameter(self, name, value, atomically=False):
        """Sets a parameter: (successful, reason)."""
        if atomically:
            return self.set_parameters_atomically({name: value})
        request = SetParameters.Request(parameters=[Parameter(name=name, value=parameter_value(value))])
        result = self.call(SetParameters, "set_parameters", request).results[0]
        return result.successful, result.reason

    def set_parameters_atomically(self, values):
        """Sets all of them or none: (successful, reason)."""
        parameters = [Parameter(name=name, value=parameter_value(value)) for name, value in values.items()]
        request = SetParametersAtomically.Request(parameters=parameters)
        result = self.call(SetParametersAtomically, "set_parameters_atomically", request).result
        return result.successful, result.reason

    def get_parameter(self, name):
        """Value of a parameter."""
        value = self.call(GetParameters, "get_parameters", GetParameters.Request(names=[name])).values[0]
        return {
            ParameterType.PARAMETER_BOOL: value.bool_value,
            ParameterType.PARAMETER_INTEGER: value.integer_value,
            ParameterType.PARAMETER_DOUBLE: value.double_value,
            ParameterType.PARAMETER_STRING: value.string_value,
            ParameterType.PARAMETER_STRING_ARRAY: list(value.string_array_value),
        }.get(value.type)

    def type_of(self, name):
        """Type of a parameter."""
        request = GetParameterTypes.Request(names=[name])
        return self.call(GetParameterTypes, "get_parameter_types", request).types[0]

    def parameter_names(self, *prefixes):
        """Names of all parameters, or of those below the prefixes."""
        request = ListParameters.Request(prefixes=prefixes)
        return set(self.call(ListParameters, "list_parameters", request).result.names)

    def describe(self, name):
        """Descriptor of a parameter."""
        request = DescribeParameters.Request(names=[name])
        return self.call(DescribeParameters, "describe_parameters", request).descriptors[0]


def parameter_value(value):
    """A ROS parameter value of the matching type."""
    if isinstance(value, bool):
        return ParameterValue(type=ParameterType.PARAMETER_BOOL, bool_value=value)
    if isinstance(value, int):
        return ParameterValue(type=ParameterType.PARAMETER_INTEGER, integer_value=value)
    if isinstance(value, float):
        return ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=value)
    return ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=value)


def raw_image(pixels, encoding="rgb8", step=None):
    """An image message without header."""
    height, width = pixels.shape[:2]
    message = Image(height=height, width=width, encoding=encoding)
    message.step = pixels.nbytes // height if step is None else step
    message.data = array.array("B", pixels.tobytes())
    return message


def compressed_image(data, form="jpeg"):
    """A compressed image message without header."""
    message = CompressedImage(format=form)
    message.data = array.array("B", data)
    return message


def jpeg(pixels, **options):
    """RGB pixels as a JPEG file."""
    file = io.BytesIO()
    Picture.fromarray(pixels).save(file, "jpeg", **{"quality": 95, **options})
    return file.getvalue()


@functools.cache
def road(width=96, height=64, seed=0):
    """A picture with a horizon: sky above, road below, a few boxes."""
    rng = np.random.default_rng(seed)
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[: height // 2] = (150, 180, 210)
    pixels[height // 2 :] = (90, 90, 95)
    for _ in range(4):
        x, y = rng.integers(0, width - 12), rng.integers(height // 4, height - 12)
        pixels[y : y + 12, x : x + 12] = rng.integers(0, 256, 3)
    return pixels


def array_of(message):
    """The pixels of an image message."""
    kinds = {"mono8": (np.uint8, 1), "rgb8": (np.uint8, 3), "32FC1": (np.dtype("<f4"), 1)}
    kind, channels = kinds[message.encoding]
    pixels = np.frombuffer(bytes(message.data), kind)
    return pixels.reshape(message.height, message.width, channels).squeeze()


@contextlib.contextmanager
def running(monitor):
    """Ends the monitor whatever happens, and shows its log if something did."""
    try:
        yield monitor
    except BaseException:
        print(f"--- {' '.join(monitor.command)}\nexit code so far: {monitor.process.poll()}\n{monitor.log}")
        raise
    finally:
        # In order, where it can: a node that is killed leaves its shared memory behind.
        if monitor.is_running():
            monitor.process.terminate()
            try:
                monitor.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                monitor.process.kill()
                monitor.process.wait()
