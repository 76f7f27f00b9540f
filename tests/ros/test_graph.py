"""What the ROS graph and a simulated clock change: publishers that come and go, bags that are played slowly."""

import time

from harness import VALIDITY, compressed_image, jpeg, raw_image, road
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image


def test_the_compressed_topic_is_given_up_while_raw_images_come(start, peer, namespace):
    with start(namespace) as monitor:
        peer.wait_for_monitor(monitor)
        peer.wait(peer.compressed_camera.get_subscription_count, "the compressed topic")

        def twins():
            message = peer.stamp(raw_image(road()))
            peer.send(message)
            # As image_transport does it: only for somebody who listens.
            if not peer.compressed_camera.get_subscription_count():
                return True
            twin = compressed_image(jpeg(road()))
            twin.header = message.header
            peer.send(twin)
            peer.spin(0.1)
            return False

        peer.wait(twins, "the compressed topic to be given up")
        assert peer.camera.get_subscription_count() == 1
        # The raw publisher goes.
        peer.node.destroy_publisher(peer.camera)
        peer.wait(peer.compressed_camera.get_subscription_count, "the compressed topic to be heard again")

        def judged():
            sent.add(peer.send_jpeg(road()))
            peer.spin(0.2)
            return [report for report in peer.on_images() if report.header.frame_id in sent]

        sent = set()
        assert VALIDITY[peer.wait(judged, "a report on a JPEG")[0].validity] == "OK"
        peer.camera = peer.node.create_publisher(Image, "image", 10)


def test_no_publisher_is_told_apart_from_one_that_sends_nothing(start, peer, namespace):
    peer.node.destroy_publisher(peer.camera)
    peer.node.destroy_publisher(peer.compressed_camera)
    with start(namespace) as monitor:

        def said(text):
            in_report = peer.reports and text in peer.reports[-1].reason
            return in_report and peer.diagnostics and text in peer.diagnostics[-1]["camera"].message

        peer.wait(lambda: said("there is no publisher"), "no publisher")
        assert monitor.is_running()
        peer.camera = peer.node.create_publisher(Image, "image", 10)
        peer.wait(lambda: said("1 publisher matched, no data: QoS, shared memory or fragments"), "no data")
        peer.compressed_camera = peer.node.create_publisher(Image, "unused", 10)


def test_a_slow_bag_is_not_stale_and_a_paused_one_is(start, peer, namespace):
    clock = peer.node.create_publisher(Clock, "/clock", QoSProfile(depth=1))
    begin = time.monotonic()

    def tick():
        message = Clock()
        simulated = int((1000 + (time.monotonic() - begin) / 10) * 1e9)
        message.clock.sec, message.clock.nanosec = divmod(simulated, 10**9)
        clock.publish(message)
        peer.spin(0.02)

    with start(namespace, use_sim_time=True, source_timeout=1.0) as monitor:
        peer.wait_for_monitor(monitor)
        peer.wait(clock.get_subscription_count, "the monitor's clock")
        for _ in range(25):
            tick()
        peer.ask(road())
        end = time.monotonic() + 3
        while time.monotonic() < end:
            tick()
        stale = [report for report in peer.reports if VALIDITY[report.validity] == "STALE"]
        assert not stale, "0.3 s by the bag's clock"
        # The bag is paused.
        peer.wait(lambda: [r for r in peer.reports if VALIDITY[r.validity] == "STALE"], "STALE")
