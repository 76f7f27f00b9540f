"""Parameters: what is allowed, what changes, what is refused."""

import subprocess
import sys

import pytest
import yaml
from harness import PATIENCE, ROOT, MonitorProcess, road, running
from rcl_interfaces.msg import ParameterType


def defaults():
    """Names and values in config/monitor.yaml."""

    def flatten(prefix, value):
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from flatten(f"{prefix}{key}.", inner)
        else:
            yield prefix[:-1], value

    text = (ROOT / "config/monitor.yaml").read_text()
    return dict(flatten("", yaml.safe_load(text)["/**"]["ros__parameters"]))


def test_the_node_has_the_parameters_of_the_file(shared):
    assert shared.parameter_names() == set(defaults())
    for name, value in defaults().items():
        if name not in ("bundle", "source_timeout", "max_image_age", "max_repeat_time"):
            assert shared.get_parameter(name) == value, name
        described = shared.describe(name)
        assert described.description and described.additional_constraints, name
        assert described.type == shared.type_of(name) != ParameterType.PARAMETER_NOT_SET, name
    assert shared.describe("bundle").read_only and not shared.describe("trigger_frames").read_only
    (allowed,) = shared.describe("trigger_frames").integer_range
    assert (allowed.from_value, allowed.to_value) == (1, 1000)


def test_of_a_parameter_that_does_not_exist_nothing_is_known(shared):
    assert shared.get_parameter("no_such_parameter") is None
    assert shared.type_of("no_such_parameter") == ParameterType.PARAMETER_NOT_SET
    assert shared.parameter_names("threshold", "device", "no_such_parameter") == {
        name for name in defaults() if name.startswith("threshold.") or name == "device"
    }


@pytest.mark.parametrize("atomically", [False, True])
@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("threshold.failure", 1.7, ["threshold.failure", "1.7", "[0.0, 1.0]"]),
        ("source_timeout", -1.0, ["source_timeout", "-1.0", "[0.0, 3600.0]"]),
        ("trigger_frames", 0, ["trigger_frames", "0", "[1, 1000]"]),
        ("trigger_frames", "three", ["trigger_frames", "three", "integer"]),
        ("bundle", "other", ["bundle", "start"]),
        ("use_sim_time", True, ["use_sim_time", "start"]),
        ("no_such_parameter", 1, ["no_such_parameter"]),
    ],
)
def test_a_wrong_value_is_refused_with_a_reason(shared, name, value, words, atomically):
    before = shared.get_parameter(name)
    successful, reason = shared.set_parameter(name, value, atomically)
    assert not successful
    for word in words:
        assert word in reason, reason
    assert shared.get_parameter(name) == before


def test_a_live_parameter_changes(start, peer, namespace):
    with start(namespace) as monitor:
        peer.wait_for_monitor(monitor)
        bundled = peer.ask(road()).threshold_error
        assert peer.set_parameter("threshold.error", 0.125) == (True, "")
        assert peer.get_parameter("threshold.error") == 0.125
        assert peer.ask(road()).threshold_error == 0.125
        assert peer.set_parameter("threshold.error", -1.0, atomically=True) == (True, "")
        assert peer.ask(road()).threshold_error == bundled


def test_limits_that_are_in_order_only_together_are_set_together(start, peer, namespace):
    with start(namespace, threshold__caution=0.1, threshold__failure=0.2) as monitor:
        peer.wait_for_monitor(monitor)
        assert not peer.set_parameter("threshold.caution", 0.5)[0]
        both = {"threshold.caution": 0.5, "threshold.failure": 0.75}
        assert peer.set_parameters_atomically(both) == (True, "")
        assert {name: peer.get_parameter(name) for name in both} == both
        successful, reason = peer.set_parameters_atomically({"threshold.caution": 0.25, "trigger_frames": 0})
        assert not successful and "trigger_frames" in reason
        assert peer.get_parameter("threshold.caution") == 0.5, "none or all"


# Asks with thirty clients, and is gone before the answers come.
DEPARTED = """
import os, sys, rclpy
from rcl_interfaces.srv import ListParameters
rclpy.init()
node = rclpy.create_node("departed", namespace=sys.argv[1], start_parameter_services=False)
clients = [node.create_client(ListParameters, "monitor/list_parameters") for _ in range(30)]
assert clients[0].wait_for_service(timeout_sec=float(sys.argv[2]))
for client in clients:
    client.call_async(ListParameters.Request())
os._exit(0)
"""


def test_askers_that_do_not_wait_for_the_answer_do_no_harm(start, peer, namespace):
    with start(namespace) as monitor:
        peer.wait_for_monitor(monitor)
        for _ in range(3):
            subprocess.run([sys.executable, "-c", DEPARTED, f"/{namespace}", str(PATIENCE)], check=True)
        assert peer.parameter_names() == set(defaults())
        assert peer.ask(road())
        assert "panicked" not in monitor.log


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("source_timeout", "-1.0", ["source_timeout", "-1.0", "[0.0, 3600.0]"]),
        ("input_qos", "best", ["input_qos", "best", "sensor_data, default"]),
        ("threshold.caution", "2.0", ["threshold.caution", "2.0", "[0.0, 1.0]"]),
        ("device", "tpu", ["device", "tpu", "cuda:N"]),
        ("anomaly", "3", ["anomaly", "3", "true or false"]),
        ("max_regions", "[1, 2]", ["max_regions", "integer array", "[0, 1000]"]),
        ("valid_mask", "/no/such.png", ["valid_mask", "/no/such.png", "PNG"]),
        ("source_timeuot", "1.0", ["source_timeuot", "source_timeout"]),
        ("report_timeout", "0.0", ["report_timeout", "0.0", "[0.1, 3600.0]"]),
    ],
)
def test_a_wrong_value_stops_the_start(namespace, tmp_path, bundle, name, value, words):
    with running(MonitorProcess(namespace, tmp_path, {"bundle": str(bundle), name: value})) as monitor:
        assert monitor.wait() == 2
        said = [line for line in monitor.log.splitlines() if line.startswith("monitor_node: ")]
        assert len(said) == 1, monitor.log
        for word in words:
            assert word in said[0], said[0]
        assert "panicked" not in monitor.log


def test_caution_above_failure_stops_the_start_and_is_refused_later(start, peer, namespace, tmp_path, bundle):
    values = {"bundle": str(bundle), "threshold.caution": 0.9, "threshold.failure": 0.2}
    with running(MonitorProcess(namespace, tmp_path, values)) as monitor:
        assert monitor.wait() == 2
        assert "caution must not be above failure" in monitor.log
    with start(namespace, threshold__caution=0.5, threshold__failure=0.5) as monitor:
        peer.wait_for_monitor(monitor)
        successful, reason = peer.set_parameter("threshold.failure", 0.25)
        assert not successful and "caution must not be above failure" in reason


def test_a_params_file_by_pattern_is_read_and_one_for_nobody_is_a_warning(start, peer, namespace, tmp_path):
    ours, nobodys = tmp_path / "ours.yaml", tmp_path / "nobodys.yaml"
    ours.write_text("/**/monitor:\n  ros__parameters: {trigger_frames: 7, release_frames: 8, threshold: {caution: 0.125}}\n")
    nobodys.write_text("/elsewhere/monitr:\n  ros__parameters: {trigger_frames: 9}\n")
    files = ["--params-file", str(ours), "--params-file", str(nobodys)]
    with start(namespace, files, release_frames=3) as monitor:
        peer.wait_for_monitor(monitor)
        assert [peer.get_parameter(name) for name in ("trigger_frames", "release_frames")] == [7, 3]
        assert peer.get_parameter("threshold.caution") == 0.125
        (line,) = [line for line in monitor.log.splitlines() if "nobodys.yaml" in line]
        assert "WARN" in line and "/elsewhere/monitr" in line


def test_a_parameter_of_another_node_is_loud(start, peer, namespace):
    with start(namespace, frame_id=1.0) as monitor:
        peer.wait_for_monitor(monitor)
        (line,) = [line for line in monitor.log.splitlines() if "frame_id" in line]
        assert "WARN" in line


def test_a_command_line_ros_does_not_understand_is_one_line(namespace, tmp_path):
    with running(MonitorProcess(namespace, tmp_path, arguments=["-p", "nonsense"])) as monitor:
        assert monitor.wait() == 2
        assert len([line for line in monitor.log.splitlines() if line.startswith("monitor_node: ")]) == 1
        assert "panicked" not in monitor.log
