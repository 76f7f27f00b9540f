"""Every fault that the campaign tries: how it is made, what must be said of it, and within which time.

A fault is a context: inside it, the fault is there; after it, it is gone. It gives when the fault began, or nothing
where that is when the first spoilt image was sent.
"""

import contextlib
import copy
import dataclasses
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
from rcl_interfaces.msg import Parameter
from rcl_interfaces.srv import SetParameters
from sensor_msgs.msg import Image
from synthcp_monitor.msg import MonitorReport

from harness import IMAGE_TOPICS, LEVEL, VALIDITY, parameter_value, raw_image
from stage import PARAMETERS, PATIENCE, is_usable, told

# What a consumer waits for before it takes the safe side by itself, as MonitorReport.msg says.
SILENCE = 2 * PARAMETERS["report_period"]

# Beyond the parameter that a promise names: a tick of the timer, and what a report takes on its way.
SLACK = 0.1


@dataclasses.dataclass(frozen=True)
class Fault:
    """One row of the table."""

    name: str
    expected: str
    inject: Callable
    # Number of the first report after the fault -> the time and the words by which it was found, or None.
    find: Callable
    # Seconds within which it must be found; None where a frame's own report says it.
    limit: float | None = None
    # What the node is started with besides.
    parameters: tuple = ()
    # Which pictures the camera shows: road (anything goes) or street (the street bundle's own).
    scene: str = "road"
    form: str = "raw"
    rate: float = 5.0
    # A fault that must change nothing.
    is_borne: bool = False
    # One that ends the node, which is then started again.
    ends: bool = False
    # One that comes and goes by itself: it may be told more often than once.
    returns: bool = False
    # One that takes more than ten seconds a time.
    is_slow: bool = False
    needs_root: bool = False


CATALOGUE = []


def fault(name, expected, find, **more):
    """Puts a context into the catalogue."""

    def put(inject):
        @contextlib.contextmanager
        def undone(stage):
            steps = inject(stage)
            began = next(steps)
            try:
                yield began
            finally:
                # Whatever happens meanwhile: no fault outlives its trial.
                next(steps, None)

        CATALOGUE.append(Fault(name, expected, undone, find, **more))
        return inject

    return put


# --- How it is found ---


def says(*validities, level=None, word=""):
    """By the first report of one of these validities, with this level at least, whose reason has this word."""

    def find(stage, number):
        for at, report in stage.since(number):
            fits = VALIDITY[report.validity] in validities and word in report.reason
            if fits and (level is None or report.level >= getattr(MonitorReport, f"LEVEL_{level}")):
                return at, told(report)
        return None

    return find


def level_rises(stage, number):
    """By the level, whatever the validity."""
    for at, report in stage.since(number):
        if LEVEL[report.level] != "NOMINAL":
            return at, told(report)
    return None


def falls_silent(stage, number):
    """By the consumer's own clock: no report for as long as it is to wait."""
    last = stage.peer.heard_at[-1]
    return (last + SILENCE, "no report") if time.monotonic() - last > SILENCE else None


def is_diagnosed(task, word):
    """By a status in diagnostics."""

    def find(stage, _number):
        status = stage.peer.diagnostics[-1].get(task) if stage.peer.diagnostics else None
        found = status is not None and word in status.message
        return (time.monotonic(), f"diagnostics: {task} WARN") if found else None

    return find


def goes_on(seconds=1.0, also=lambda report: True):
    """By nothing: every report allows its labels to be used, and three on frames of the fault are there."""

    def find(stage, number):
        before = time.monotonic()

        def judged():
            reports = [report for _, report in stage.since(number) if VALIDITY[report.validity] != "PENDING"]
            bad = [report for report in reports if not is_usable(report)]
            if bad:
                raise TimeoutError(f"not to be used: {told(bad[0])} {bad[0].reason}")
            return time.monotonic() - before > seconds and sum(map(also, reports)) >= 3

        stage.until(judged, "three reports on the fault's frames")
        return time.monotonic(), "OK NOMINAL"

    return find


# --- The camera ---


@fault("camera stops", "STALE FAILURE", says("STALE", level="FAILURE"), limit=PARAMETERS["source_timeout"] + SLACK)
def camera_stops(stage):
    stage.shooting = False
    yield stage.last_sent


@fault("rate falls to a tenth", "STALE FAILURE", says("STALE", level="FAILURE"),
       limit=PARAMETERS["source_timeout"] + SLACK, rate=10.0)
def rate_falls(stage):
    # From a frame on, so that the next one is a whole long period away.
    stage.frames_sent, stage.every = 0, 10
    yield stage.last_sent


@fault("images freeze, with new stamps", "OUTDATED", says("OUTDATED", word="same in every pixel"),
       limit=PARAMETERS["max_repeat_time"] + 0.2 + SLACK)
def images_freeze(stage):
    kept = []

    def freeze(message):
        kept.append(message)
        message.data = kept[0].data
        return message

    stage.spoil(freeze)
    yield None


@fault("stamps freeze", "OUTDATED", says("OUTDATED", word="stamp of the one before"))
def stamps_freeze(stage):
    kept = []

    def freeze(message):
        kept.append(message.header.stamp)
        message.header.stamp = kept[0]
        # The first of them is news.
        stage.altered_at = time.monotonic() if len(kept) <= 2 else stage.altered_at
        return message

    stage.spoil(freeze)
    yield None


def shifted(seconds):
    """Stamps that are off by so much."""

    def shift(message):
        message.header.stamp.sec += seconds
        return message

    return shift


def shift_stamps(seconds):
    def inject(stage):
        stage.spoil(shifted(seconds))
        yield None

    return inject


fault("stamps 10 s ahead", "judged; image_age_ms is negative",
      goes_on(also=lambda report: report.image_age_ms < -9000), is_borne=True)(shift_stamps(10))
fault("stamps jump back by 10 s", "OUTDATED", says("OUTDATED", word="old by its stamp"))(shift_stamps(-10))
fault("stamps jump ahead by a day", "judged: clocks disagree", goes_on(), is_borne=True)(shift_stamps(86400))


@fault("stamps are zero", "judged; image_age_ms is NaN", goes_on(also=lambda report: np.isnan(report.image_age_ms)),
       is_borne=True)
def stamps_zero(stage):
    def zero(message):
        message.header.stamp.sec = message.header.stamp.nanosec = 0
        return message

    stage.spoil(zero)
    yield None


@fault("frame_id changes", "judged; the report bears it",
       goes_on(also=lambda report: report.header.frame_id == "another"), is_borne=True)
def frame_id_changes(stage):
    def rename(message):
        message.header.frame_id = "another"
        return message

    stage.spoil(rename)
    yield None


def replaced(make):
    """Images that keep the header only."""

    def replace(message):
        new = make(message)
        new.header = message.header
        return new

    return replace


def pixels_of(message):
    """The pixels of a raw RGB image."""
    return np.frombuffer(bytes(message.data), np.uint8).reshape(message.height, message.width, 3)


def replace_images(make):
    def inject(stage):
        stage.spoil(replaced(make))
        yield None

    return inject


fault("size changes", "judged at the new size", goes_on(), is_borne=True)(
    replace_images(lambda message: raw_image(np.kron(pixels_of(message), np.ones((2, 2, 1), np.uint8)))))
fault("encoding changes to bgr8", "judged", goes_on(), is_borne=True)(
    replace_images(lambda message: raw_image(np.ascontiguousarray(pixels_of(message)[..., ::-1]), "bgr8")))
fault("encoding changes to one unknown", "INVALID_INPUT", says("INVALID_INPUT", word="rgb9"))(
    replace_images(lambda message: raw_image(pixels_of(message), "rgb9")))
fault("frames of NaN (32FC1)", "INVALID_INPUT", says("INVALID_INPUT", word="32FC1"))(
    replace_images(lambda message: raw_image(np.full((64, 96), np.nan, np.float32), "32FC1")))


@fault("raw frames are truncated", "INVALID_INPUT", says("INVALID_INPUT", word="bytes"))
def frames_truncated(stage):
    def cut(message):
        message.data = message.data[: len(message.data) // 2]
        return message

    stage.spoil(cut)
    yield None


@fault("JPEG frames are truncated", "INVALID_INPUT", says("INVALID_INPUT", word="ends early"), form="jpeg")
def jpegs_truncated(stage):
    def cut(message):
        message.data = message.data[: len(message.data) // 2]
        return message

    stage.spoil(cut)
    yield None


@fault("frames announce 20000x20000", "INVALID_INPUT", says("INVALID_INPUT", word="20000x20000"))
def frames_oversized(stage):
    def announce(message):
        message.width = message.height = 20000
        message.step = 60000
        return message

    stage.spoil(announce)
    yield None


# --- Inside ---


@fault("inference hangs for 5 s", "PENDING, then FAILED", says("PENDING", word="in hand"),
       limit=PARAMETERS["report_period"] + SLACK, returns=True)
def inference_hangs(stage):
    stage.injector.set("hang")
    # What counts is the last report before it.
    stage.run(0.3)
    since = stage.peer.heard_at[-1]
    yield since
    stage.run(max(0.0, since + 5 - time.monotonic()))
    stage.injector.set("nothing")


@fault("inference hangs for ever", "FAILED FAILURE", says("FAILED", level="FAILURE", word="none has been assessed"),
       limit=PARAMETERS["report_timeout"] + SLACK, returns=True)
def inference_hangs_for_ever(stage):
    stage.injector.set("hang")
    # What counts is the image that is owed, which is the next one.
    stage.spoil(lambda message: message)
    yield None
    stage.injector.set("nothing")


@fault("an error in inference", "FAILED", says("FAILED", word="96x64"), parameters=(("valid_mask", "mask"),))
def error_inside(stage):
    make = replaced(lambda message: raw_image(np.ascontiguousarray(pixels_of(message)[:32])))
    stage.spoil(make)
    yield None


@fault("no memory for inference", "FAILED", says("FAILED", word="allocate memory"))
def no_memory_for_inference(stage):
    stage.injector.set("fail")
    yield time.monotonic()
    stage.injector.set("nothing")


def fails_or_falls_silent(stage, number):
    """By a report, or by the consumer's own clock where the process could not even say so."""
    return says("FAILED")(stage, number) or falls_silent(stage, number)


@fault("memory of the whole process runs out", "FAILED, or it ends: silence", fails_or_falls_silent, ends=True,
       returns=True)
def memory_exhausted(stage):
    limit = ["prlimit", "--pid", str(stage.monitor.process.pid)]
    subprocess.run([*limit, f"--as={1 << 20}:unlimited"], check=True)
    # Each image larger than the one before, until there is no room.
    sizes = iter(range(8, 10_000, 4))

    def grow(message):
        times = min(next(sizes), 40)
        return raw_image(np.kron(pixels_of(message), np.ones((times, times, 1), np.uint8)))

    stage.spoil(replaced(grow))
    yield time.monotonic()
    # It may end yet, over the images that wait.
    stage.restore_camera()
    stage.run(1)
    if stage.is_alive():
        subprocess.run([*limit, "--as=unlimited:unlimited"], check=True)


@fault("the bundle is deleted under it", "goes on", goes_on(), parameters=(("bundle", "own copy"),), is_borne=True)
def bundle_deleted(stage):
    folder = stage.parameters["bundle"]
    shutil.move(folder, f"{folder}.away")
    yield None
    shutil.move(f"{folder}.away", folder)


@fault("it starts without its bundle", "FAILED, exit 2", says("FAILED", word="bundle"), ends=True,
       parameters=(("bundle", "own copy"),))
def starts_without_bundle(stage):
    folder = stage.parameters["bundle"]
    shutil.move(folder, f"{folder}.away")
    stage.monitor.stop()
    since = time.monotonic()
    stage.monitor = stage.process()
    yield since
    code = stage.monitor.wait(PATIENCE)
    shutil.move(f"{folder}.away", folder)
    assert code == 2, f"exit code {code}"


@fault("the disk is full", "goes on", goes_on(), needs_root=True, is_borne=True, parameters=(("log", "small disk"),))
def disk_full(stage):
    filler = stage.log_folder / "filler"
    with contextlib.suppress(OSError), filler.open("wb") as file:
        while True:
            file.write(bytes(4096))
            file.flush()
    # Each refusal is a line in the log, which the disk no longer takes.
    yield None
    filler.unlink()


# --- Around it ---


# In a process of its own: the camera is not to wait for it.
CROWD = """
import sys, time, rclpy
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node("crowd", namespace=sys.argv[1], start_parameter_services=False)
for _ in range(2):
    made = [node.create_subscription(Image, f"monitor/{topic}", lambda _: None, 1) for topic in 5 * sys.argv[2:]]
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        rclpy.spin_once(node, timeout_sec=0.05)
    for subscription in made:
        node.destroy_subscription(subscription)
"""


@fault("50 subscribers come and go", "goes on", goes_on(), is_borne=True)
def subscribers_come_and_go(stage):
    crowd = subprocess.Popen([sys.executable, "-c", CROWD, f"/{stage.namespace}", *IMAGE_TOPICS])
    stage.until(lambda: crowd.poll() is not None, "the crowd to have gone")
    assert crowd.returncode == 0, f"the crowd ended with {crowd.returncode}"
    yield None


def set_often(stage, values):
    """Sends a request to set a parameter every 5 ms for a second; gives the answers."""
    client = stage.peer.node.create_client(SetParameters, "monitor/set_parameters")
    stage.until(client.service_is_ready, "the parameter service")
    futures = []
    for number in range(200):
        name, value = values[number % len(values)]
        request = SetParameters.Request(parameters=[Parameter(name=name, value=parameter_value(value))])
        futures.append(client.call_async(request))
        stage.step()
    stage.until(lambda: all(future.done() for future in futures), "answers to 200 requests")
    stage.peer.node.destroy_client(client)
    return [future.result().results[0].successful for future in futures]


@fault("parameters out of range", "each refused, goes on", goes_on(), is_borne=True)
def parameters_out_of_range(stage):
    answers = set_often(stage, [("source_timeout", -1.0), ("threshold.failure", 2.0), ("trigger_frames", 0)])
    assert not any(answers), "one was accepted"
    yield None


@fault("200 parameters are set in a second", "goes on", goes_on(), is_borne=True)
def parameters_flood(stage):
    answers = set_often(stage, [("trigger_frames", 4), ("trigger_frames", 3)])
    assert all(answers), "one was refused"
    yield None


@fault("SIGTERM in mid-frame", "STALE, exit 0", says("STALE", word="shutting down"), ends=True)
def terminated(stage):
    stage.shoot()
    stage.monitor.process.send_signal(signal.SIGTERM)
    yield time.monotonic()
    code = stage.monitor.wait(PATIENCE)
    assert code == 0, f"exit code {code}"


@fault("SIGTERM while inference hangs", "STALE, exit 0", says("STALE", word="shutting down"), ends=True)
def terminated_in_a_hang(stage):
    stage.injector.set("hang")
    stage.run(0.3)
    stage.monitor.process.send_signal(signal.SIGTERM)
    yield time.monotonic()
    code = stage.monitor.wait(PATIENCE)
    stage.injector.set("nothing")
    assert code == 0, f"exit code {code}"


@fault("kill -9", "silence: the consumer's own clock", falls_silent, ends=True, limit=SILENCE + SLACK)
def killed(stage):
    stage.kill()
    yield time.monotonic()


@fault("SIGSTOP, then SIGCONT", "silence: the consumer's own clock", falls_silent, limit=SILENCE + SLACK, returns=True)
def stopped(stage):
    stage.monitor.process.send_signal(signal.SIGSTOP)
    yield time.monotonic()
    stage.monitor.process.send_signal(signal.SIGCONT)


@fault("two nodes of one name", "diagnostics: camera WARN", is_diagnosed("camera", "another node has this node's name"),
       is_slow=True, returns=True)
def namesake(stage):
    other = stage.process()
    yield time.monotonic()
    other.stop()


@fault("/clock stops", "goes on", goes_on(), is_borne=True, parameters=(("use_sim_time", True),))
def clock_stops(stage):
    stage.clock_runs = False
    yield None
    stage.clock_runs = True


@fault("/clock stops, then the camera", "STALE FAILURE", says("STALE", level="FAILURE"),
       limit=PARAMETERS["source_timeout"] + SLACK, parameters=(("use_sim_time", True),))
def clock_and_camera_stop(stage):
    stage.clock_runs = stage.shooting = False
    # While /clock went on, it was not silent by that clock.
    yield time.monotonic()
    stage.clock_runs = True


@fault("/clock jumps 100 s ahead, images do not", "OUTDATED", says("OUTDATED", word="old by its stamp"),
       parameters=(("use_sim_time", True),))
def clock_jumps(stage):
    stage.clock_base += 100
    stage.spoil(shifted(-100))
    yield None
    stage.clock_base -= 100


@fault("/clock jumps back by 500 s, and images with it", "goes on", goes_on(), is_borne=True,
       parameters=(("use_sim_time", True),))
def clock_jumps_back(stage):
    stage.clock_base -= 500
    yield None


# --- The labels of another node ---


LABELS = {"parameters": (("segmentation", "topic"), ("labels.timeout", 0.5))}


def spoil_labels(change):
    def inject(stage):
        stage.alter_labels = change
        yield time.monotonic()

    return inject


def of_another_time(labels):
    """A stamp that no image has."""
    labels = copy.deepcopy(labels)
    labels.header.stamp.sec -= 1
    return labels


def relabelled(pixels, encoding):
    """Labels that keep their header only."""
    return replaced(lambda labels: raw_image(pixels, encoding))


fault("labels stop", "UNLABELLED FAILURE", says("UNLABELLED", level="FAILURE"), limit=0.5 + 0.2 + SLACK, **LABELS)(
    spoil_labels(lambda labels: None))
fault("labels bear other stamps", "UNLABELLED FAILURE", says("UNLABELLED", level="FAILURE"), limit=0.5 + 0.2 + SLACK,
      **LABELS)(spoil_labels(of_another_time))
fault("labels have unknown ids", "INVALID_INPUT", says("INVALID_INPUT", word="id 99"), **LABELS)(
    spoil_labels(relabelled(np.full((64, 96), 99, np.uint8), "mono8")))
fault("labels have an unknown encoding", "INVALID_INPUT", says("INVALID_INPUT", word="32FC1"), **LABELS)(
    spoil_labels(relabelled(np.zeros((64, 96), np.float32), "32FC1")))
fault("labels are truncated", "INVALID_INPUT", says("INVALID_INPUT", word="labels: "), **LABELS)(
    spoil_labels(replaced(lambda labels: Image(height=64, width=96, encoding="mono8", step=96, data=[1, 2, 3]))))


# --- What the camera sees: judged by the street bundle, on its own street ---


def seen(change):
    """The pixels of each frame changed, with a little noise as every camera has: none repeats."""
    noise = np.random.default_rng(0)

    def make(message):
        pixels = change(pixels_of(message).astype(np.float32))
        return raw_image(np.clip(pixels + noise.normal(0, 1.5, pixels.shape), 0, 255).astype(np.uint8))

    return replace_images(make)


def covered(pixels):
    """Something brown and near before the lens, out of focus, with some light at one side."""
    light = np.linspace(0.2, 0.6, pixels.shape[1])[None, :, None]
    return light * np.array([90, 70, 60], np.float32) + 0.02 * pixels


# Frames of these networks take long where others use the machine as well.
STREET = {
    "scene": "street",
    # The level may rise by the street's own things as well.
    "returns": True,
    "rate": 2.0,
    "parameters": (("source_timeout", 5.0), ("report_timeout", 10.0)),
}
fault("frames are black", "the level rises", level_rises, **STREET)(seen(lambda pixels: 0 * pixels))
fault("frames are white", "the level rises", level_rises, **STREET)(seen(lambda pixels: 0 * pixels + 255))
fault("the lens is covered", "the level rises", level_rises, **STREET)(seen(covered))
