"""Fixtures: one ROS context for all tests, a namespace for each."""

import itertools
import os
import pathlib
import subprocess
import sys

import pytest
import rclpy

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import MonitorProcess, Peer, binary, running  # noqa: E402

numbers = itertools.count(1)


@pytest.fixture(scope="session")
def context():
    """A ROS context, in the domain that the environment names."""
    context = rclpy.Context()
    rclpy.init(context=context)
    yield context
    rclpy.shutdown(context=context)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    """A small bundle with random weights, or the one that $MONITOR_BUNDLE names."""
    given = os.environ.get("MONITOR_BUNDLE")
    if given:
        return pathlib.Path(given).resolve()
    folder = tmp_path_factory.mktemp("models") / "random"
    subprocess.run([binary("synthcp"), "bundle", "random", "--out", folder], check=True)
    return folder


@pytest.fixture(scope="session")
def start(bundle, tmp_path_factory):
    """Starts monitors: `with start(namespace, source_timeout=0.0) as monitor`."""
    folder = tmp_path_factory.mktemp("logs")

    def start(namespace, arguments=(), **parameters):
        # Two underscores stand for the dot in a parameter's name.
        named = {name.replace("__", "."): value for name, value in parameters.items()}
        # A test machine may stall for longer than a camera may, and most tests show one picture all along.
        patient = {"source_timeout": 0.0, "max_image_age": 0.0, "max_repeat_time": 0.0}
        values = {"bundle": str(bundle)} | patient | named
        return running(MonitorProcess(namespace, folder, values, arguments))

    return start


def namespace_of(name):
    """A namespace that no other test uses."""
    return f"t{os.getpid()}_{next(numbers)}_{name}"


@pytest.fixture
def namespace(request):
    """A namespace of the test's own."""
    return namespace_of(request.function.__name__)


@pytest.fixture
def peer(context, namespace):
    """A peer in the test's namespace."""
    peer = Peer(context, namespace)
    yield peer
    peer.close()


@pytest.fixture(scope="module")
def shared(context, start):
    """One monitor with its peer for all tests of a module that change nothing lasting."""
    namespace = namespace_of("shared")
    peer = Peer(context, namespace)
    with start(namespace) as monitor:
        peer.wait_for_monitor(monitor)
        peer.monitor = monitor
        yield peer
    peer.close()
