"""scripts/demo, as a user runs it."""

import html.parser
import os
import re
import signal
import subprocess

import yaml
from harness import PATIENCE, ROOT
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from PIL import Image as Picture

FILES = ("overlay.gif", "report.html", "demo.mcap")
LINE = re.compile(r"^ +\d+  OK +(?:NOMINAL|CAUTION|FAILURE) +\d\.\d{3} .* ms +\d+$", re.M)


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


def is_running(process):
    """Whether anything is left of what the demo started."""
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


class References(html.parser.HTMLParser):
    """Everything that a browser would load or run for a page."""

    LOADING = {"src", "srcset", "href", "data", "poster", "action", "background"}

    def __init__(self, page):
        super().__init__()
        self.found, self.tags, self.pictures = [], set(), 0
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        """Notes what the tag loads."""
        self.tags.add(tag)
        for name, value in attributes:
            if name in self.LOADING or name.endswith(":href"):
                self.pictures += value.startswith("data:image/jpeg;base64,")
                self.found += [] if value.startswith(("data:", "#")) else [value]

    def handle_data(self, text):
        """Notes what a style sheet loads."""
        self.found += re.findall(r"@import|url\([^)]*\)|https?://\S*", text)


def recorded(folder):
    """The bag's messages by topic."""
    found = {}
    with (folder / "demo.mcap").open("rb") as file:
        for _, channel, _, message in make_reader(file, decoder_factories=[DecoderFactory()]).iter_decoded_messages():
            found.setdefault(channel.topic, []).append(message)
    return found


def judged(reports):
    """The reports on an image."""
    return [report for report in reports if report.validity == 0]


def test_it_prints_a_line_a_frame_and_leaves_its_files_and_nothing_else(bundle, tmp_path):
    process = demo(bundle, "--frames", "5", "--out", str(tmp_path / "made"))
    output, code = finish(process)
    assert code == 0, output
    assert len(LINE.findall(output)) == 5, output
    assert re.search(r"received = \d+ processed \+ \d+ dropped", output), output
    assert not is_running(process), "processes that outlive the demo"

    folder = tmp_path / "made"
    assert sorted(file.name for file in folder.iterdir()) == sorted(FILES)
    assert all(str(folder / name) in output for name in FILES), output
    messages = recorded(folder)
    assert len(judged(messages["/monitor/report"])) == 5
    assert len(messages["/monitor/label_info"]) == len(messages["/monitor/model_info"]) == 1
    stamps = [report.header.stamp for report in judged(messages["/monitor/report"])]
    assert {str(message.header.stamp) for message in messages["/monitor/overlay/compressed"]} >= set(map(str, stamps[1:]))
    pictures = {topic.removesuffix("/compressed") for topic in messages if topic.endswith("/compressed")}
    display = yaml.safe_load((ROOT / "config/monitor.rviz").read_text())["Visualization Manager"]["Displays"]
    assert pictures <= {item["Topic"]["Value"] for item in display}, "RViz shows what the bag holds"
    with Picture.open(folder / "overlay.gif") as film:
        assert film.size == (512, 256) and 1 <= film.n_frames <= 5


def test_the_page_needs_no_network(bundle, tmp_path):
    output, code = finish(demo(bundle, "--frames", "3", "--out", str(tmp_path)))
    assert code == 0, output
    page = (tmp_path / "report.html").read_text()
    references = References(page)
    assert not references.found
    assert not references.tags & {"script", "link", "iframe", "object", "embed"}
    assert {"svg", "table", "img", "style"} <= references.tags and references.pictures >= 1
    assert 'name="viewport"' in page and "prefers-color-scheme: dark" in page
    (report, *_) = judged(recorded(tmp_path)["/monitor/report"])
    assert report.bundle_hash in page and report.guarantee in page.replace("&quot;", '"')


def test_ctrl_c_ends_it_cleanly_and_its_files_are_whole(bundle, tmp_path):
    process = demo(bundle, "--frames", "0", "--out", str(tmp_path))
    before = []
    try:
        for line in process.stdout:
            before.append(line)
            if re.match(r" +2  OK ", line):
                break
        # What a terminal does: the whole group gets it.
        os.killpg(process.pid, signal.SIGINT)
    finally:
        output, code = finish(process)
    output = "".join(before) + output
    assert code == 0, output
    assert "Traceback" not in output and "panicked" not in output
    assert not is_running(process), "processes that outlive the demo"
    assert all((tmp_path / name).stat().st_size > 0 for name in FILES), output
    assert len(judged(recorded(tmp_path)["/monitor/report"])) == len(LINE.findall(output)), output


def test_a_bundle_that_is_not_there_ends_it(tmp_path):
    output, code = finish(demo(tmp_path / "none", "--out", str(tmp_path / "made")))
    assert code == 2, output
    assert "bundle.yaml" in output
