"""The node dies, and DDS tells whoever asked to be told."""

import signal

import pytest
from rclpy.duration import Duration
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.qos import LivelinessPolicy, QoSProfile

from synthcp_monitor.msg import MonitorReport

SILENCE = Duration(seconds=1.0)


class Reader:
    """A reader of the reports that holds the node to its contract."""

    def __init__(self, peer):
        self.reports, self.missed, self.alive, self.gone = [], 0, 0, 0
        qos = QoSProfile(
            depth=10,
            deadline=SILENCE,
            liveliness=LivelinessPolicy.MANUAL_BY_TOPIC,
            liveliness_lease_duration=SILENCE,
        )
        events = SubscriptionEventCallbacks(deadline=self.on_missed, liveliness=self.on_liveliness)
        peer.node.create_subscription(MonitorReport, "monitor/report", self.reports.append, qos, event_callbacks=events)

    def on_missed(self, event):
        self.missed = event.total_count

    def on_liveliness(self, event):
        self.alive = event.alive_count
        self.gone += event.alive_count == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_node_that_is_killed_or_stopped_misses_its_deadline_and_its_lease(start, peer, namespace, number):
    with start(namespace) as monitor:
        peer.wait_for_monitor(monitor)
        reader = Reader(peer)
        peer.wait(lambda: len(reader.reports) >= 3 and reader.alive, "reports, and a sign of life")
        missed, gone = reader.missed, reader.gone
        monitor.process.send_signal(number)
        peer.wait(lambda: reader.missed > missed and reader.gone > gone, "a missed deadline and a lost lease")
        if number == signal.SIGSTOP:
            monitor.process.send_signal(signal.SIGCONT)
            peer.wait(lambda: reader.alive, "a sign of life again")


def test_while_no_image_comes_and_none_is_due_no_deadline_is_missed(start, peer, namespace):
    # Neither of these hangs; the reader hears one of them at least every half second.
    with start(namespace, source_timeout=0.0) as monitor:
        peer.wait_for_monitor(monitor)
        reader = Reader(peer)
        peer.wait(lambda: len(reader.reports) >= 8, "a report every half second")
        times = [report.header.stamp.sec + report.header.stamp.nanosec * 1e-9 for report in reader.reports]
        gaps = [after - before for before, after in zip(times, times[1:])]
        # The machine may be busy, and then a deadline is missed by right.
        assert reader.gone == 0 or max(gaps) > 1.0, gaps
