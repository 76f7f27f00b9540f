"""Launch files and configuration against the package, without a launch tool: everything they name
exists, and the command line they amount to runs."""

import functools
import itertools
import json
import pathlib
import re
import runpy
import sys
import types
import xml.etree.ElementTree as ElementTree

import pytest
import yaml
from PIL import Image as Picture
from harness import IMAGE_TOPICS, ROOT, VALIDITY, MonitorProcess, Peer, binary, road, running

NUMBERS = itertools.count()
INPUTS = {"image", "image/compressed", "camera_info"}
OTHER_PACKAGES = {"rviz2": {"rviz2"}}
XML = sorted((ROOT / "launch").glob("*.launch.xml"))


def executables():
    """What `ros2 run synthcp_monitor` finds, by what CMake installs."""
    text = (ROOT / "cmake/node.cmake").read_text()
    assert "install(PROGRAMS ${programs} " in text
    lists = re.findall(r"set\(programs ([^)]*)\)", text)
    return set(max(lists, key=len).split())


def installed_folders():
    """Folders of the checkout that are installed to share/synthcp_monitor."""
    return set(re.search(r"foreach\(folder ([^)]*)\)", (ROOT / "cmake/node.cmake").read_text()).group(1).split())


def share(path):
    """The file in the checkout that a path with $(find-pkg-share) stands for."""
    relative = re.fullmatch(r"\$\(find-pkg-share synthcp_monitor\)/(.+)", path).group(1)
    assert relative.split("/")[0] in installed_folders(), f"{relative} is not installed"
    return ROOT / relative


def arguments_of(root):
    """The launch file's own arguments with their defaults."""
    return {arg.get("name"): arg.get("default") for arg in root.findall("arg")}


@pytest.mark.parametrize("path", XML, ids=lambda path: path.name)
def test_everything_a_launch_file_names_exists(path, monkeypatch, shared):
    root = ElementTree.parse(path).getroot()
    declared = arguments_of(root)
    for arg in root.findall("arg"):
        assert arg.get("description"), f"{arg.get('name')} has no description"
    text = path.read_text()
    assert set(re.findall(r"\$\(var (\w+)\)", text)) <= set(declared), "a variable that is no argument"
    unused = set(declared) - set(re.findall(r"\$\(var (\w+)\)", text))
    assert not unused, f"arguments that nothing uses: {unused}"
    for file in re.findall(r"\$\(find-pkg-share synthcp_monitor\)/[\w./]+", text):
        assert share(file).is_file(), file
    for node in root.iter("node"):
        package, executable = node.get("pkg"), node.get("exec")
        known = executables() if package == "synthcp_monitor" else OTHER_PACKAGES[package]
        assert executable in known, f"{package} has no {executable}"
        if executable == "monitor_node":
            assert {param.get("name") for param in node.findall("param")} - {None} <= shared.parameter_names()
            assert {remap.get("from") for remap in node.findall("remap")} == INPUTS
    for include in root.iter("include"):
        given = {arg.get("name"): arg.get("value") for arg in include.findall("arg")}
        # Fails on an argument that the included file has not.
        nodes_of(share(include.get("file")), monkeypatch, **(given | {"use_sim_time": "true"}))


class Stub(types.SimpleNamespace):
    """Whatever a launch file makes, with what it was made of."""

    def __init__(self, kind, *made_of, **named):
        super().__init__(kind=kind, made_of=made_of, **named)

    def perform(self, arguments):
        """The text that it stands for."""
        parts = [part.perform(arguments) if isinstance(part, Stub) else part for part in self.made_of]
        match self.kind:
            case "LaunchConfiguration":
                return arguments[parts[0]]
            case "FindPackageShare":
                return str(ROOT)
            case "PathJoinSubstitution":
                return "/".join(part.perform(arguments) if isinstance(part, Stub) else part for part in self.made_of[0])
        raise AssertionError(f"{self.kind} has no text")


def nodes_of(path, monkeypatch, **arguments):
    """The nodes that a Python launch file starts when given these arguments, without the launch tool."""
    names = {
        "launch": ["LaunchDescription"],
        "launch.actions": ["DeclareLaunchArgument", "EmitEvent", "LogInfo", "OpaqueFunction"],
        "launch.conditions": ["IfCondition"],
        "launch.events": ["matches_action"],
        "launch.events.process": ["ShutdownProcess"],
        "launch.substitutions": ["LaunchConfiguration", "PathJoinSubstitution"],
        "launch_ros": [],
        "launch_ros.actions": ["Node"],
        "launch_ros.substitutions": ["FindPackageShare"],
    }
    for module, kinds in names.items():
        stubs = {kind: functools.partial(Stub, kind) for kind in kinds}
        monkeypatch.setitem(sys.modules, module, types.SimpleNamespace(**stubs))
    (description,) = runpy.run_path(str(path))["generate_launch_description"]().made_of
    values = {}
    for entity in description[:-1]:
        assert entity.description, entity
        default = entity.default_value
        values[entity.made_of[0]] = default.perform({}) if isinstance(default, Stub) else default
    assert set(arguments) <= set(values), "an argument that the file has not"
    values |= arguments
    return values, [node for node in description[-1].function(values) if node.kind == "Node"]


def command_line(node, values):
    """The arguments that launch_ros gives a node."""
    text = lambda part: part.perform(values) if isinstance(part, Stub) else part  # noqa: E731
    line = [*map(text, getattr(node, "ros_arguments", [])), "-r", f"__node:={node.name}"]
    for parameters in node.parameters:
        if isinstance(parameters, dict):
            for name, value in parameters.items():
                line += ["-p", f"{name}:={str(value).lower() if isinstance(value, bool) else value}"]
        else:
            line += ["--params-file", text(parameters)]
    for old, new in node.remappings:
        line += ["-r", f"{old}:={new}"]
    return line


PYTHON = sorted((ROOT / "launch").glob("*.launch.py"))


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: path.name)
def test_a_python_launch_file_names_what_exists(path, monkeypatch, shared):
    values, nodes = nodes_of(path, monkeypatch, bundle="some", use_sim_time="true")
    assert pathlib.Path(values["params_file"]) == ROOT / "config/monitor.yaml"
    monitors = [node for node in nodes if node.package == "synthcp_monitor"]
    assert monitors
    for node in monitors:
        assert node.executable in executables()
        assert node.parameters[1:] == [{"bundle": "some", "use_sim_time": True}]
        assert set(node.parameters[1]) <= shared.parameter_names()
        assert {old for old, _ in node.remappings} <= INPUTS
    for node in nodes:
        if node not in monitors:
            assert node.executable in OTHER_PACKAGES[node.package]


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: path.name)
def test_an_argument_counts_only_when_given(path, monkeypatch):
    for given, expected in [
        ({}, []),
        ({"bundle": "cityscapes"}, [{"bundle": "cityscapes"}]),
        ({"use_sim_time": "false"}, [{"use_sim_time": False}]),
    ]:
        node = nodes_of(path, monkeypatch, **given)[1][0]
        assert node.parameters[1:] == expected


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: path.name)
def test_a_node_that_dies_is_started_again_but_not_after_a_mistake_of_its_user(path, monkeypatch):
    _, nodes = nodes_of(path, monkeypatch)
    (node,) = [node for node in nodes if node.package == "synthcp_monitor"]
    assert node.respawn is True
    # The end of the waiting is what keeps it from being started again.
    assert node.respawn_delay > 0
    exited = lambda code: node.on_exit(types.SimpleNamespace(returncode=code, action=node), None)  # noqa: E731
    for code in (-9, -11, 0, 1):
        assert exited(code) is None
    # tests/ros/test_lifetime.py holds the node to that code.
    said, ended = exited(2)
    assert (said.kind, ended.kind, ended.event.kind) == ("LogInfo", "EmitEvent", "ShutdownProcess")
    matcher = ended.event.process_matcher
    assert (matcher.kind, matcher.made_of) == ("matches_action", (node,))


# Each differs from the default.
OTHERS = {
    # Without it nothing would be loaded here.
    "autostart": True,
    "device": "cpu",
    "precision": "fp32",
    "threads": 2,
    "anomaly": False,
    "memoise": False,
    "cameras": ["front"],
    "image_transport": "raw",
    "input_qos": "default",
    "output_qos": "sensor_data",
    "source_timeout": 30.0,
    "trigger_frames": 4,
    "release_frames": 6,
    "latch_level": "failure",
    "threshold.caution": 0.25,
    "threshold.failure": 0.75,
    "threshold.error": 0.625,
    "threshold.anomaly": 0.375,
    "threshold.anomaly_area": 0.125,
    "min_region_area": 0.25,
    "max_regions": 3,
    "degraded.deadline": 7.0,
    "max_processing_time": 8.0,
    "max_consecutive_delay": 9.0,
    "report_period": 0.75,
    "record.seconds": 2.0,
    "record.max_bytes": 10_000_000,
    "record.max_events": 3,
    "report_timeout": 20.0,
    "max_image_age": 21.0,
    "max_repeat_time": 22.0,
    "segmentation": "topic",
    "labels.match": "nearest",
    "labels.tolerance": 0.0625,
    "labels.timeout": 1.5,
    "labels.fit": "crop",
    "labels.names": "cityscapes",
    "labels.coding": "raw_ids",
    "labels.channel": "red",
    "labels.max_unknown": 0.25,
    "diagnostics.period": 0.25,
    "use_sim_time": True,
}


def test_a_params_file_that_differs_from_every_default_holds(context, bundle, tmp_path, monkeypatch):
    mask = tmp_path / "mask.png"
    Picture.new("L", (96, 64), 255).save(mask)
    wanted = OTHERS | {"bundle": str(bundle), "valid_mask": str(mask), "record.dir": str(tmp_path / "events")}
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({"/**": {"ros__parameters": wanted}}))
    namespace = f"launched_{next(NUMBERS)}"
    path = ROOT / "launch/monitor.launch.py"
    values, nodes = nodes_of(path, monkeypatch, namespace=namespace, params_file=str(file))
    peer = Peer(context, namespace)
    with running(MonitorProcess(namespace, tmp_path, arguments=command_line(nodes[0], values))) as monitor:
        peer.wait(lambda: not monitor.is_running() or "ready: bundle" in monitor.log, "the monitor")
        assert monitor.is_running(), monitor.log
        # Beside what a camera may have for itself.
        own = tuple(f"{camera}." for camera in wanted["cameras"])
        assert set(wanted) == {name for name in peer.parameter_names() if not name.startswith(own)}
        assert {name: peer.get_parameter(name) for name in wanted} == wanted
    peer.close()


def test_the_command_line_of_monitor_launch_runs(context, bundle, tmp_path, monkeypatch):
    namespace = f"launched_{next(NUMBERS)}"
    given = {"namespace": namespace, "image_topic": "front/image_raw", "bundle": str(bundle)}
    values, nodes = nodes_of(ROOT / "launch/monitor.launch.py", monkeypatch, **given)
    peer = Peer(context, namespace)
    with running(MonitorProcess(namespace, tmp_path, arguments=command_line(nodes[0], values))) as monitor:
        from sensor_msgs.msg import CompressedImage, Image

        peer.camera = peer.node.create_publisher(Image, "front/image_raw", 10)
        peer.compressed_camera = peer.node.create_publisher(CompressedImage, "front/image_raw/compressed", 10)
        peer.wait_for_monitor(monitor)
        peer.wait(peer.compressed_camera.get_subscription_count, "the compressed topic")
        assert VALIDITY[peer.ask(road()).validity] == "OK"
        assert VALIDITY[peer.report_on(peer.send_jpeg(road())).validity] == "OK"
        assert "does not exist" not in monitor.log, "config/monitor.yaml names an unknown parameter"
        assert peer.get_parameter("bundle") == str(bundle)
    peer.close()


def test_the_display_shows_topics_that_exist(shared):
    display = yaml.safe_load((ROOT / "config/monitor.rviz").read_text())["Visualization Manager"]
    published = dict(shared.node.get_topic_names_and_types())
    topics = [item["Topic"]["Value"] for item in display["Displays"]]
    assert topics.count("/image") == 1, "the camera's"
    topics.remove("/image")
    assert topics
    for topic in topics:
        name = topic.removeprefix("/monitor/")
        assert name in IMAGE_TOPICS
        assert published[f"/{shared.name}/{name}"] == ["sensor_msgs/msg/Image"]


def texts(value):
    """Every text in some JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts(item)


def test_the_foxglove_layout_shows_topics_that_exist(shared):
    panels = json.loads((ROOT / "config/foxglove.json").read_text())["configById"]
    published = dict(shared.node.get_topic_names_and_types())
    topics = {text.split(".")[0] for text in texts(panels) if text.startswith("/")}
    # tests/replay.rs looks after those that a replay writes.
    topics = {topic for topic in topics if not topic.endswith("/compressed")}
    assert {"/image", "/diagnostics", "/monitor/report", "/monitor/overlay"} <= topics
    kinds = {"/diagnostics": "diagnostic_msgs/msg/DiagnosticArray", "/monitor/report": "synthcp_monitor/msg/MonitorReport"}
    for topic in topics - {"/image"}:
        name = topic.replace("/monitor/", f"/{shared.name}/")
        assert published[name] == [kinds.get(topic, "sensor_msgs/msg/Image")], topic


def test_the_aggregator_knows_every_status(shared):
    analyzers = yaml.safe_load((ROOT / "config/diagnostics.yaml").read_text())["analyzers"]["ros__parameters"]
    group = analyzers["segmentation_monitor"]["analyzers"].values()
    patterns = {pattern for analyzer in group for pattern in analyzer["contains"]}
    found = shared.wait(lambda: shared.diagnostics, "diagnostics")[-1]
    assert patterns == {f"monitor: {task}" for task in found}


def test_the_demo_runs_from_programs_that_are_installed():
    demo = (ROOT / "scripts/demo").read_text()
    started = set(re.findall(r'"\$programs/(\w+)"', demo)) | {"monitor_node"}
    assert {"street_camera", "demo_view"} <= started <= executables()
    for name in started:
        assert binary(name).is_file(), name
