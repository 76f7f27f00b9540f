"""A node under test on a stage: a camera that can go wrong before it, a consumer that notes when it heard what."""

import functools
import os
import pathlib
import resource
import signal
import subprocess
import time

import numpy as np
from builtin_interfaces.msg import Time
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image

from harness import LEVEL, VALIDITY, MonitorProcess, Peer, binary, compressed_image, jpeg, raw_image, road

# Promises are in these units; more often than by default so that a campaign ends. config/monitor.yaml has the defaults.
PARAMETERS = {
    # Threads that wait for each other take seconds a frame where others use the machine as well.
    "threads": 1,
    "precision": "fp32",
    "source_timeout": 0.5,
    "report_period": 0.5,
    "report_timeout": 1.5,
    "max_image_age": 2.0,
    "max_repeat_time": 1.0,
    "trigger_frames": 3,
    "release_frames": 2,
    # Every score is below, so that the level is NOMINAL unless something is wrong.
    "threshold.caution": 1.0,
    "threshold.failure": 1.0,
    "threshold.anomaly_area": 1.0,
}

# Seconds that a trial waits for what should take one or two; a machine may be busy.
PATIENCE = float(os.environ.get("SYNTHCP_CAMPAIGN_PATIENCE", "30"))


class Stage:
    """One monitor_node with its camera and its consumer. Whatever a fault changes is an attribute."""

    def __init__(self, context, folder, namespace, bundle, parameters=(), *, rate=5.0, pictures=None, form="raw"):
        self.folder = pathlib.Path(folder)
        self.namespace = namespace
        self.parameters = {"bundle": str(bundle)} | PARAMETERS | dict(parameters)
        self.peer = Peer(context, namespace)
        self.form = form
        self.period = 1 / rate
        self.pictures = pictures or moving_road()
        self.injector = Injector(self.folder / f"{namespace}.mode")
        self.monitor = None
        self.restore_camera()
        self.frames_sent = self.published = 0
        self.last_sent = self.altered_at = -1.0
        self._next = time.monotonic()
        self._next_tick = 0.0
        # Seconds by which a frame was late, because this process had no time.
        self.latest = 0.0
        self.clock = None
        self.labels = None
        self.log_folder = self.folder
        if self.parameters.get("use_sim_time"):
            self.clock = self.peer.node.create_publisher(Clock, "/clock", QoSProfile(depth=10))
            self.clock_base, self.clock_from, self.clock_runs = 1000.0, time.monotonic(), True
        if self.parameters.get("segmentation") == "topic":
            self.labels = self.peer.node.create_publisher(Image, "labels", QoSProfile(depth=200))

    def restore_camera(self):
        """The camera, and the labels beside it, as they are when nothing is wrong."""
        self.shooting = True
        self.alter = lambda message: message
        self.is_altered = False
        self.alter_labels = lambda message: message
        self.every = 1

    def spoil(self, alter):
        """From the next frame on, images are as `alter` makes them of good ones."""
        self.alter, self.is_altered, self.altered_at = alter, True, -1.0

    # --- The node ---

    def start(self):
        """Starts the node, and waits until the labels of a frame may be used."""
        self.monitor = self.process()
        self.until(lambda: "ready: bundle" in self.monitor.log, "a node that is ready", 4 * PATIENCE)
        self.until(self.is_usable, "labels that may be used", 4 * PATIENCE)

    def process(self):
        """One more process of the node."""
        launcher = ("env", f"LD_PRELOAD={injection_library()}", f"SYNTHCP_INJECTION={self.injector.path}")
        return MonitorProcess(self.namespace, self.log_folder, self.parameters, launcher=launcher)

    def kill(self):
        """Ends the node at once."""
        self.monitor.process.kill()
        self.monitor.process.wait()

    def is_alive(self):
        """Whether the node runs."""
        return self.monitor is not None and self.monitor.is_running()

    def rss(self):
        """The node's resident memory in bytes."""
        pages = pathlib.Path(f"/proc/{self.monitor.process.pid}/statm").read_text().split()[1]
        return int(pages) * resource.getpagesize()

    def close(self):
        """Ends the node and leaves the graph."""
        if self.is_alive():
            self.injector.set("nothing")
            self.monitor.process.send_signal(signal.SIGCONT)
            self.monitor.process.terminate()
            try:
                self.monitor.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.kill()
        self.peer.close()

    # --- Time goes on ---

    def step(self):
        """A frame if one is due, the clock if there is one, and what has been heard meanwhile."""
        now = time.monotonic()
        if self.clock and now >= self._next_tick:
            self._next_tick = now + 0.02
            if self.clock_runs:
                self.clock.publish(Clock(clock=time_message(self.simulated())))
        if now >= self._next:
            self.latest = max(self.latest, now - self._next)
            self._next = max(self._next + self.period, now)
            self.shoot()
        self.peer.spin(max(0.001, min(0.01, self._next - time.monotonic())))

    def shoot(self):
        """Sends a frame, unless the camera has stopped."""
        pixels = next(self.pictures)
        self.frames_sent += 1
        if not self.shooting or self.frames_sent % self.every:
            return
        message = raw_image(pixels) if self.form == "raw" else compressed_image(jpeg(pixels))
        message.header.stamp = self.now()
        message.header.frame_id = "camera"
        message = self.alter(message)
        camera = self.peer.camera if isinstance(message, Image) else self.peer.compressed_camera
        camera.publish(message)
        self.published += 1
        self.last_sent = time.monotonic()
        if self.is_altered and self.altered_at < 0:
            self.altered_at = self.last_sent
        if self.labels:
            labels = raw_image(bands(*pixels.shape[:2]), "mono8")
            labels.header = message.header
            labels = self.alter_labels(labels)
            if labels is not None:
                self.labels.publish(labels)

    def simulated(self):
        """What /clock shows, in seconds."""
        return self.clock_base + (time.monotonic() - self.clock_from)

    def now(self):
        """The time that images bear."""
        return time_message(self.simulated()) if self.clock else self.peer.node.get_clock().now().to_msg()

    def run(self, seconds):
        """Lets time pass."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.step()

    def until(self, condition, what, patience=PATIENCE):
        """Lets time pass until `condition()` gives something, and gives that."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            found = condition()
            if found:
                return found
            self.step()
        raise TimeoutError(f"waited {patience:.0f} s in vain for {what}; the last report: {self.last()}")

    # --- What was heard ---

    def since(self, number):
        """Reports from that number on, with their times, without copying what came before."""
        return list(zip(self.peer.heard_at[number:], self.peer.reports[number:]))

    def last(self):
        """The last report in words."""
        report = self.peer.reports[-1] if self.peer.reports else None
        return f"{told(report)} {report.reason}" if report else "none"

    def is_usable(self):
        """Whether the last report allows its labels to be used."""
        return bool(self.peer.reports) and is_usable(self.peer.reports[-1])


def is_usable(report):
    """The rule of MonitorReport.msg."""
    return VALIDITY[report.validity] == "OK" and LEVEL[report.level] == "NOMINAL"


def told(report):
    """A report in two words."""
    return f"{VALIDITY[report.validity]} {LEVEL[report.level]}"


def time_message(seconds):
    """Seconds as a stamp."""
    whole, rest = divmod(round(seconds * 1e9), 10**9)
    return Time(sec=whole, nanosec=rest)


def moving_road(width=96, height=64):
    """A road that never looks the same twice in a row."""
    shift = 0
    while True:
        shift += 1
        yield np.roll(road(width, height), shift, axis=1)


def bands(height, width):
    """Labels of eight classes, one below the other: of a single one, the random bundle thinks the worst."""
    return np.repeat((np.arange(height) * 8 // height).astype(np.uint8)[:, None], width, axis=1)


@functools.cache
def injection_library():
    """The library that makes inference fail on demand, compiled once."""
    source = pathlib.Path(__file__).with_name("injection.c")
    library = source.parents[2] / "build" / "injection.so"
    library.parent.mkdir(exist_ok=True)
    if not library.exists() or library.stat().st_mtime < source.stat().st_mtime:
        part = library.with_suffix(f".{os.getpid()}")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-Wall", "-o", part, source, "-ldl"], check=True)
        part.rename(library)
    return library


class Injector:
    """Tells the preloaded library what to do."""

    MODES = {"nothing": b"0", "fail": b"1", "hang": b"2"}

    def __init__(self, path):
        self.path = path
        path.write_bytes(b"0")

    def set(self, mode):
        """From now on."""
        with self.path.open("r+b") as file:
            file.write(self.MODES[mode])


def random_bundle(folder):
    """A small bundle with random weights."""
    path = pathlib.Path(folder) / "random"
    if not path.exists():
        subprocess.run([binary("synthcp"), "bundle", "random", "--out", path], check=True)
    return path
