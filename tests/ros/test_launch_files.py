"""Launch files and configuration against the package, without a launch tool: everything they name
exists, and the command line they amount to runs."""

import ast
import itertools
import pathlib
import re
import xml.etree.ElementTree as ElementTree

import pytest
import yaml
from harness import IMAGE_TOPICS, ROOT, VALIDITY, MonitorProcess, Peer, binary, road, running

NUMBERS = itertools.count()
INPUTS = {"image", "image/compressed", "camera_info"}
OTHER_PACKAGES = {"rviz2": {"rviz2"}}
XML = sorted((ROOT / "launch").glob("*.launch.xml"))


def executables():
    """What `ros2 run synthcp_monitor` finds, by what CMake installs."""
    text = (ROOT / "cmake/node.cmake").read_text()
    programs = " ".join(re.findall(r"install\(PROGRAMS(.*?)DESTINATION", text, re.S))
    return {pathlib.PurePath(path.strip('"')).name for path in programs.split()}


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


def substitute(text, values):
    """Replaces $(var ...) and $(find-pkg-share ...)."""
    while "$(var " in text:
        text = re.sub(r"\$\(var (\w+)\)", lambda match: values[match.group(1)], text)
    return re.sub(r"\$\(find-pkg-share synthcp_monitor\)", str(ROOT), text)


@pytest.mark.parametrize("path", XML, ids=lambda path: path.name)
def test_everything_a_launch_file_names_exists(path, shared):
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
        included = ElementTree.parse(share(include.get("file"))).getroot()
        given = {arg.get("name") for arg in include.findall("arg")}
        assert given <= set(arguments_of(included)), "an argument that the included file has not"


def test_the_command_line_of_monitor_launch_runs(context, bundle, tmp_path):
    root = ElementTree.parse(ROOT / "launch/monitor.launch.xml").getroot()
    namespace = f"launched_{next(NUMBERS)}"
    given = {"namespace": namespace, "image_topic": "front/image_raw", "bundle": str(bundle)}
    values = arguments_of(root) | given
    node = next(node for node in root.iter("node") if node.get("exec") == "monitor_node")
    arguments = substitute(node.get("ros_args"), values).split()
    arguments += ["-r", f"__node:={node.get('name')}"]
    for param in node.findall("param"):
        if param.get("from"):
            arguments += ["--params-file", substitute(param.get("from"), values)]
        else:
            arguments += ["-p", f"{param.get('name')}:={substitute(param.get('value'), values)}"]
    for remap in node.findall("remap"):
        arguments += ["-r", f"{remap.get('from')}:={substitute(remap.get('to'), values)}"]
    peer = Peer(context, namespace)
    with running(MonitorProcess(namespace, tmp_path, arguments=arguments)) as monitor:
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


def test_the_cameras_launch_file_names_what_exists(shared):
    source = (ROOT / "launch/cameras.launch.py").read_text()
    tree = ast.parse(source)
    (call,) = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Node"
    ]
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    assert ast.literal_eval(keywords["package"]) == "synthcp_monitor"
    assert ast.literal_eval(keywords["executable"]) in executables()
    set_here = next(node for node in keywords["parameters"].elts if isinstance(node, ast.Dict))
    assert {ast.literal_eval(key) for key in set_here.keys} <= shared.parameter_names()
    remapped = {ast.literal_eval(pair.elts[0]) for pair in keywords["remappings"].elts}
    assert remapped <= INPUTS
    assert '"config", "monitor.yaml"' in source
    constants = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert {"config", "monitor.yaml"} <= constants and (ROOT / "config/monitor.yaml").is_file()


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
