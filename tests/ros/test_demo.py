"""scripts/demo, as a user runs it."""

import os
import re
import signal
import subprocess

from harness import PATIENCE, ROOT


def demo(bundle, *arguments):
    """Starts the demo with its output in a pipe."""
    # It asks cargo to build; where cargo builds is the environment's business.
    return subprocess.Popen(
        [ROOT / "scripts/demo", "--bundle", str(bundle), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env=os.environ | {"ROS_DOMAIN_ID": "99"},
    )


def finish(process):
    """Its output and exit code; ends what a failure leaves behind."""
    try:
        return process.communicate(timeout=10 * PATIENCE)[0], process.returncode
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def test_it_prints_a_line_a_frame_and_leaves_nothing_behind(bundle):
    process = demo(bundle, "--frames", "5")
    output, code = finish(process)
    assert code == 0, output
    lines = re.findall(r"^ +\d+  OK +(?:NOMINAL|CAUTION|FAILURE) +\d\.\d{3} .* ms +\d+$", output, re.M)
    assert len(lines) == 5, output
    assert re.search(r"received = \d+ processed \+ \d+ dropped", output), output
    try:
        os.killpg(process.pid, 0)
        left = True
    except ProcessLookupError:
        left = False
    assert not left, "processes that outlive the demo"


def test_ctrl_c_ends_it_cleanly(bundle):
    process = demo(bundle, "--frames", "0")
    try:
        for line in process.stdout:
            if re.match(r" +\d+  OK ", line):
                break
        # What a terminal does: the whole group gets it.
        os.killpg(process.pid, signal.SIGINT)
    finally:
        output, code = finish(process)
    assert code == 0, output
    assert "Traceback" not in output


def test_a_bundle_that_is_not_there_ends_it(tmp_path):
    output, code = finish(demo(tmp_path / "none"))
    assert code == 2, output
    assert "bundle.yaml" in output
