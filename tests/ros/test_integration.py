"""What docs/integration.md says to other nodes, tried."""

import re
import subprocess
import sys

from harness import ROOT, road


def example():
    """The Python program in the document."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/integration.md").read_text(), re.DOTALL)
    (program,) = [block for block in blocks if "rclpy.init" in block]
    return program


def test_the_python_subscriber_takes_labels_only_while_the_monitor_lets_it(start, peer, namespace, tmp_path):
    program, log = tmp_path / "planner.py", tmp_path / "planner.log"
    program.write_text(example())
    ask = {topic: f"/{peer.name}/{topic}" for topic in ("report", "trusted_labels")}
    remappings = [word for topic, name in ask.items() for word in ("-r", f"monitor/{topic}:={name}")]
    # Nobody calibrated this bundle; by these limits no frame is a failure.
    limits = {"threshold__caution": 1.0, "threshold__failure": 1.0, "source_timeout": 1.0}
    with start(namespace, **limits) as monitor, log.open("wb") as output:
        peer.wait_for_monitor(monitor)
        command = [sys.executable, str(program), "--ros-args", *remappings]
        planner = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        try:
            def said(text):
                assert planner.poll() is None, log.read_text()
                return text in log.read_text()

            def sent(text):
                peer.send_picture(road())
                peer.spin(0.1)
                return said(text)

            peer.wait(lambda: said("no labels: "), "no labels before the first image")
            peer.wait(lambda: sent("% of the labels may be used"), "labels while all is well")
            # The camera is silent.
            before = log.read_text().count("no image for")
            peer.wait(lambda: log.read_text().count("no image for") > before, lambda: f"STALE\n{log.read_text()}")
            monitor.stop()
            peer.wait(lambda: said("no report for a second"), "a monitor that is gone")
        finally:
            planner.kill()
            planner.wait()


def test_outputs_can_be_given_the_names_that_others_expect(start, peer, namespace):
    names = {f"~/{topic}": f"/{namespace}/segmentation/{topic}" for topic in ("trusted_labels", "confidence")}
    renamed = [word for ours, theirs in names.items() for word in ("-r", f"{ours}:={theirs}")]
    with start(namespace, arguments=renamed) as monitor:
        peer.wait_for_monitor(monitor)
        for theirs in names.values():
            peer.wait(lambda theirs=theirs: peer.node.count_publishers(theirs) == 1, theirs)
