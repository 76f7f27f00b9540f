"""The node as a managed one: it waits for others, goes where they say, and says where it is."""

import os
import shutil
import signal
import time

import pytest
from harness import LEVEL, VALIDITY, road
from lifecycle_msgs.msg import State, Transition, TransitionEvent
from lifecycle_msgs.srv import ChangeState, GetAvailableStates, GetAvailableTransitions, GetState
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from std_srvs.srv import Trigger

COUNTS = ("frames_processed", "frames_dropped", "frames_invalid", "frames_unmatched")
CALM = {"threshold.caution": 1.0, "threshold.failure": 1.0, "threshold.anomaly_area": 1.0, "release_frames": 2}


class Manager:
    """Whoever asks the node for its transitions, as nav2_lifecycle_manager does."""

    def __init__(self, peer):
        self.peer, self.events = peer, []
        peer.node.create_subscription(
            TransitionEvent, "monitor/transition_event", self.events.append, QoSProfile(depth=100)
        )
        self.changing = peer.node.create_client(ChangeState, "monitor/change_state")

    def ask(self, label="", number=0):
        """Asks for a transition; gives the future answer."""
        self.peer.wait(self.changing.service_is_ready, "change_state")
        request = ChangeState.Request(transition=Transition(id=number, label=label))
        return self.changing.call_async(request)

    def change(self, label="", number=0):
        """Asks for a transition and waits; whether it was done."""
        future = self.ask(label, number)
        self.peer.wait(future.done, f"an answer to {label or number}")
        return future.result().success

    def state(self):
        """Where the node says it is."""
        return self.peer.call(GetState, "get_state", GetState.Request()).current_state.label

    def available(self):
        """What may be asked for now."""
        answer = self.peer.call(GetAvailableTransitions, "get_available_transitions", GetAvailableTransitions.Request())
        return {described.transition.label for described in answer.available_transitions}

    def passed(self):
        """The states that were told of, in their order."""
        return [(event.start_state.label, event.goal_state.label) for event in self.events]


def stream(peer, seconds):
    """Sends pictures for a while; gives the reports that came meanwhile."""
    before, end = len(peer.reports), time.monotonic() + seconds
    while time.monotonic() < end:
        peer.send_picture(road(seed=len(peer.sent) % 5))
        peer.spin(0.1)
    return peer.reports[before:]


def counts_hold(report):
    """Whether every image is accounted for."""
    return report.frames_received == sum(getattr(report, name) for name in COUNTS)


def is_idle(reports, state):
    """Whether they say that nothing is assessed, and why, and come often enough."""
    assert reports
    for report in reports:
        said = (VALIDITY[report.validity], LEVEL[report.level], LEVEL[report.raw_level])
        assert said == ("STARTING", "FAILURE", "FAILURE"), (said, report.reason)
        assert report.reason.startswith(f"{state}: "), report.reason
        assert not report.classes and report.failure_score != report.failure_score
    return True


def listening(peer, monitor):
    """Until pictures reach a node that is not ready yet."""
    peer.wait(lambda: peer.camera.get_subscription_count() and peer.reports, f"the monitor\n{monitor.log}")
    peer.parameter_names()


def test_by_itself_it_becomes_active_and_is_a_managed_node_all_the_same(start, peer, namespace):
    manager = Manager(peer)
    with start(namespace) as monitor:
        peer.wait_for_monitor(monitor)
        assert VALIDITY[peer.ask(road()).validity] == "OK"
        assert manager.state() == "active" and manager.available() == {"deactivate", "shutdown"}
        services = dict(peer.node.get_service_names_and_types())
        assert services[f"/{namespace}/monitor/get_state"] == ["lifecycle_msgs/srv/GetState"]
        status = peer.wait(lambda: peer.diagnostics, "diagnostics")[-1]["inference"]
        assert ("lifecycle", "active") in [(item.key, item.value) for item in status.values]


def test_states_transitions_and_labels_are_those_of_the_client_libraries(shared, context):
    theirs = LifecycleNode("theirs", namespace=shared.node.get_namespace(), context=context)
    shared.executor.add_node(theirs)

    def ask(kind, name):
        answers = []
        for node in ("monitor", "theirs"):
            client = shared.node.create_client(kind, f"{node}/{name}")
            shared.wait(client.service_is_ready, name)
            future = client.call_async(kind.Request())
            shared.wait(future.done, name)
            answers.append(future.result())
        return answers

    try:
        described = [
            {
                (d.transition.id, d.transition.label, d.start_state.id, d.start_state.label, d.goal_state.id, d.goal_state.label)
                for d in answer.available_transitions
            }
            for answer in ask(GetAvailableTransitions, "get_transition_graph")
        ]
        assert len(described[0]) == 25 and described[0] == described[1]
        states = [{(s.id, s.label) for s in a.available_states} for a in ask(GetAvailableStates, "get_available_states")]
        assert len(states[0]) == 11 and states[0] == states[1]
        topics = [
            shared.node.get_publishers_info_by_topic(f"{shared.node.get_namespace()}/{node}/transition_event")[0]
            for node in ("monitor", "theirs")
        ]
        assert topics[0].topic_type == topics[1].topic_type
        assert topics[0].qos_profile.reliability == topics[1].qos_profile.reliability
        assert topics[0].qos_profile.durability == topics[1].qos_profile.durability
    finally:
        shared.executor.remove_node(theirs)
        theirs.destroy_node()


def test_it_goes_where_it_is_told_and_every_image_is_accounted_for(start, peer, namespace):
    manager = Manager(peer)
    calm = {name.replace(".", "__"): value for name, value in CALM.items()}
    with start(namespace, autostart=False, **calm) as monitor:
        listening(peer, monitor)
        peer.wait(lambda: manager.changing.service_is_ready(), "change_state")

        # Unconfigured.
        assert manager.state() == "unconfigured" and manager.available() == {"configure", "shutdown"}
        reports = stream(peer, 1.5)
        assert len(reports) >= 2 and is_idle(reports, "unconfigured")
        assert not reports[-1].bundle and reports[-1].frames_received > 5
        for refused in ("activate", "deactivate", "cleanup", "no_such_transition"):
            assert not manager.change(refused)
        assert not manager.change(number=Transition.TRANSITION_ACTIVATE)
        assert manager.state() == "unconfigured" and not manager.events
        passed = peer.call(Trigger, "self_test", Trigger.Request())
        assert not passed.success and "unconfigured" in passed.message

        # Inactive.
        assert manager.change(number=Transition.TRANSITION_CONFIGURE), monitor.log
        assert manager.state() == "inactive" and manager.available() == {"cleanup", "activate", "shutdown"}
        peer.spin(0.2)
        reports = stream(peer, 1.5)
        assert is_idle(reports, "inactive") and reports[-1].bundle
        # A camera that stops now is no fault.
        assert peer.set_parameter("source_timeout", 0.5) == (True, "")
        before = len(peer.reports)
        peer.diagnostics.clear()
        peer.spin(2.0)
        assert is_idle(peer.reports[before:], "inactive")
        idle = peer.reports[-1]
        assert counts_hold(idle) and idle.frames_dropped == idle.frames_received
        statuses = peer.diagnostics[-1]
        assert statuses["camera"].level == b"\0" and "inactive" in statuses["camera"].message
        assert statuses["inference"].level == b"\1" and "inactive" in statuses["inference"].message

        assert peer.set_parameter("source_timeout", 0.0) == (True, "")

        # Active: nothing of before counts.
        assert manager.change("activate")
        peer.wait(lambda: "since the activation" in peer.reports[-1].reason, "the first report")
        assert VALIDITY[peer.reports[-1].validity] == "STARTING"
        levels = [LEVEL[peer.ask(road()).level] for _ in range(3)]
        assert levels == ["FAILURE", "NOMINAL", "NOMINAL"]
        active = peer.reports[-1]
        assert active.frames_processed == 3 and active.frames_dropped == idle.frames_dropped

        # In full flow back to inactive, and no label may be used from then on.
        stream(peer, 1.0)
        peer.send_picture(road())
        assert manager.change("deactivate")
        assert manager.state() == "inactive"
        peer.spin(0.2)
        reports = stream(peer, 1.0)
        assert is_idle(reports, "inactive")
        peer.spin(0.7)
        assert counts_hold(peer.reports[-1]), peer.reports[-1]
        processed = peer.reports[-1].frames_processed
        assert len([r for r in peer.on_images() if VALIDITY[r.validity] == "OK"]) == processed >= 4
        # Again: the level starts as at a start.
        assert manager.change("activate")
        levels = [LEVEL[peer.ask(road()).level] for _ in range(2)]
        assert levels == ["FAILURE", "NOMINAL"]
        assert manager.change("deactivate")

        # The networks go and come.
        assert manager.change("cleanup") and manager.state() == "unconfigured"
        peer.spin(0.2)
        reports = stream(peer, 0.7)
        assert is_idle(reports, "unconfigured") and not reports[-1].bundle
        assert manager.change("configure") and manager.change("activate")
        assert VALIDITY[peer.ask(road()).validity] == "OK"

        # The end.
        assert manager.change("shutdown") and manager.state() == "finalized"
        assert monitor.wait() == 0, monitor.log
        last = peer.wait(lambda: next((r for r in peer.reports if "shutting down" in r.reason), None), "the last report")
        assert counts_hold(last)

    def through(start, middle, goal):
        return [(start, middle), (middle, goal)]

    on = through("inactive", "activating", "active")
    off = through("active", "deactivating", "inactive")
    configured = through("unconfigured", "configuring", "inactive")
    assert manager.passed() == [
        *configured, *on, *off, *on, *off,
        *through("inactive", "cleaningup", "unconfigured"),
        *configured, *on,
        *through("active", "shuttingdown", "finalized"),
    ]
    first = manager.events[0]
    assert (first.transition.id, first.transition.label, first.goal_state.id) == (1, "configure", State.TRANSITION_STATE_CONFIGURING)
    assert abs(first.timestamp * 1e-9 - time.time()) < 3600


def test_a_bundle_that_is_not_there_can_be_loaded_once_it_is(start, peer, namespace, bundle, tmp_path):
    manager = Manager(peer)
    missing = tmp_path / "later"
    with start(namespace, autostart=False, bundle=str(missing)) as monitor:
        listening(peer, monitor)
        assert not manager.change("configure")
        assert manager.state() == "unconfigured" and monitor.is_running()
        assert manager.passed() == [("unconfigured", "configuring"), ("configuring", "unconfigured")]
        assert manager.events[1].transition.label == "transition_failure"
        report = peer.wait(lambda: [r for r in peer.reports if str(missing) in r.reason], "the reason")[-1]
        assert is_idle([report], "unconfigured")
        assert str(missing) in monitor.log
        shutil.copytree(bundle, missing)
        assert manager.change("configure"), monitor.log
        assert manager.change("activate")
        assert VALIDITY[peer.ask(road()).validity] == "OK"


def test_what_takes_long_is_answered_when_it_is_done_and_another_is_refused_meanwhile(
    start, peer, namespace, tmp_path
):
    # Reading does not return before somebody has written into it.
    mask = tmp_path / "mask.png"
    os.mkfifo(mask)
    manager = Manager(peer)
    with start(namespace, autostart=False, valid_mask=str(mask)) as monitor:
        listening(peer, monitor)
        answer = manager.ask("configure")
        peer.wait(lambda: manager.state() == "configuring", "configuring")
        assert not manager.change("shutdown") and not manager.available()
        peer.wait(lambda: "the bundle is loading" in peer.reports[-1].reason, "STARTING")
        assert not answer.done()
        mask.write_bytes(b"no picture")
        peer.wait(answer.done, "an answer")
        assert not answer.result().success and manager.state() == "unconfigured"
        assert "valid_mask" in monitor.log


@pytest.mark.parametrize("steps", [[], ["configure"], ["configure", "activate"], ["configure", "activate", "deactivate"]])
def test_a_signal_ends_it_wherever_it_is(start, peer, namespace, steps):
    manager = Manager(peer)
    with start(namespace, autostart=False) as monitor:
        listening(peer, monitor)
        for step in steps:
            assert manager.change(step), monitor.log
        before = manager.state()
        code, seconds = monitor.stop(signal.SIGTERM)
        assert code == 0 and seconds < 5, (seconds, monitor.log)
        peer.wait(lambda: [r for r in peer.reports if "shutting down" in r.reason], "the last report")
        assert manager.passed()[-2:] == [(before, "shuttingdown"), ("shuttingdown", "finalized")]


def test_one_lifecycle_serves_all_cameras(start, peer, namespace):
    from test_cameras import CAMERAS, Camera

    manager = Manager(peer)
    with start(namespace, autostart=False, **CAMERAS) as monitor:
        cameras = [Camera(peer, name) for name in CAMERAS["cameras"]]
        peer.wait(lambda: all(c.raw.get_subscription_count() and c.reports for c in cameras), f"the monitor\n{monitor.log}")
        peer.parameter_names()

        def flow(seconds):
            end = time.monotonic() + seconds
            for camera in cameras:
                camera.reports.clear()
            while time.monotonic() < end:
                for camera in cameras:
                    camera.send()
                peer.spin(0.1)

        flow(1.0)
        for camera in cameras:
            assert is_idle(camera.reports, "unconfigured") and camera.reports[-1].frames_dropped > 3
        assert manager.change("configure") and manager.change("activate")
        assert [VALIDITY[camera.ask().validity] for camera in cameras] == ["OK", "OK"]
        flow(1.0)
        assert manager.change("deactivate")
        peer.spin(0.3)
        flow(1.0)
        peer.spin(0.7)
        for camera in cameras:
            assert is_idle(camera.reports, "inactive") and counts_hold(camera.reports[-1])
        assert manager.change("activate")
        assert [VALIDITY[camera.ask().validity] for camera in cameras] == ["OK", "OK"]
