"""What is reported is what was replayed, and what could not be is named."""

import json
import math
import random
import re
import shutil
from collections import Counter

import fsspec
import pytest
from conftest import BAGS, ROOT, Journal, fleet, frames, options
from fsspec.implementations.memory import MemoryFileSystem
from synthcp_fleet import bag as task
from synthcp_fleet import main, plan, reduce, table
from synthcp_fleet.figures import WITHOUT_IMAGE, Figures
from synthcp_fleet.histogram import quantiles, share_bin, share_of, time_bin, time_of
from synthcp_fleet.scratch import PREFIX, scratch


def report(out) -> dict:
    return json.loads((out / "fleet.json").read_text())


def test_the_report_holds_what_all_lines_say(yard, single):
    lines = [json.loads(line) for file in single.glob("results/*/report.jsonl") for line in file.open()]
    told = report(single)
    on_images = [line for line in lines if line["validity"] not in WITHOUT_IMAGE]
    assert told["bags"] == told["replayed"] == BAGS and told["failed"] == told["missing"] == []
    assert told["frames"] == len(on_images) == sum(map(frames, range(BAGS)))
    assert told["level"] == Counter(line["level"] for line in on_images)
    assert told["validity"] == Counter(line["validity"] for line in lines)
    present = Counter(
        seen["class_name"] for line in on_images for seen in line["report"]["classes"] if seen["present"]
    )
    assert {name: seen["frames"] for name, seen in told["classes"].items()} == present and present
    scores = sorted(line["report"]["failure_score"] for line in on_images)
    found = told["scores"]["failure_score"]
    assert found["mean"] == pytest.approx(sum(scores) / len(scores), abs=2**-16)
    for name, share in {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}.items():
        assert found[name] == pytest.approx(scores[math.ceil(share * len(scores)) - 1], abs=2**-16)
    times = json.loads((single / "timing.json").read_text())
    assert times["latency_ms"]["p50"] > 0 and len(times["of_bags"]) == BAGS
    page = (single / "fleet.md").read_text()
    assert f"{BAGS} of {BAGS} bags, {len(on_images)} frames" in page and str(yard.bags[7]) in page


def test_reports_without_an_image_are_those_of_the_monitor():
    source = (ROOT / "src/watch/validity.rs").read_text()
    listed = re.search(r"fn is_on_an_image.*?!matches!\(self, (.*?)\)", source, re.DOTALL).group(1)
    assert {name.upper() for name in re.findall(r"Self::(\w+)", listed)} == set(WITHOUT_IMAGE)


def test_what_was_listed_before_the_bags_were_replayed_is_not_believed(monkeypatch):
    settings = plan.Settings("synthcp 0", "00", [])
    planned = plan.Plan(settings, [plan.Bag("memory://drives/a.mcap")])
    out, told, exists = "memory://listed", {}, MemoryFileSystem.exists

    def as_listed(self, path, **more):
        return told.setdefault(path, exists(self, path, **more))

    # As file systems of object stores do.
    monkeypatch.setattr(MemoryFileSystem, "exists", as_listed)
    monkeypatch.setattr(MemoryFileSystem, "invalidate_cache", lambda self, path=None: told.clear())
    assert reduce.gather(out, planned).missing == ["memory://drives/a.mcap"]
    facts = table.Facts("memory://drives/a.mcap", 1, "/image", 1, 1, 0, 0, [], 0, None, None, None)
    fsspec.filesystem("memory").pipe_file(
        task.table_url("/listed", planned.bags[0]), table.pack(facts, Figures())
    )
    assert reduce.gather(out, planned).missing == []


def test_bins_are_exact_and_quantiles_within_them():
    dice = random.Random(18)
    values = [dice.random() ** 3 for _ in range(5000)] + [0.0, 1.0, 2**-16]
    whole, parts = Counter(map(share_bin, values)), Counter()
    for begin in range(0, len(values), 37):
        parts.update(Counter(map(share_bin, values[begin : begin + 37])))
    assert parts == whole
    values.sort()
    for share in (0.001, 0.5, 0.99, 1.0):
        (found,) = quantiles(whole, [share], share_of)
        assert abs(found - values[math.ceil(share * len(values)) - 1]) <= 2**-17
    for value in (0.3, 1.0, 63.9, 64.0, 12345.6):
        assert abs(time_of(time_bin(value)) / value - 1) < 0.016
        assert time_bin(value) < time_bin(value * 1.04)
    assert quantiles(Counter(), [0.5], share_of) is None


def test_what_cannot_be_replayed_is_named_and_tried_again(yard, tmp_path):
    good, cut, none = (tmp_path / name for name in ("good.mcap", "cut.mcap", "none.mcap"))
    shutil.copy(yard.bags[0], good)
    cut.write_bytes(yard.bags[1].read_bytes()[:-40])
    none.write_bytes(b"no bag at all")
    journal = Journal(tmp_path / "program")
    arguments = ["--out", tmp_path / "out", "--serial", *options(yard, journal.program)]
    ended = fleet("run", good, cut, none, tmp_path / "gone.mcap", *arguments)
    assert ended.returncode == 1, ended.stderr
    told = report(tmp_path / "out")
    why = {failed["bag"].rsplit("/", 1)[-1]: failed["why"] for failed in told["failed"]}
    assert why.keys() == {"none.mcap", "gone.mcap"} and "no topic" in why["none.mcap"]
    assert "not there" in why["gone.mcap"]
    assert told["replayed"] == 2 and told["lost"] > 0
    assert "Not in the figures" in (tmp_path / "out/fleet.md").read_text()

    shutil.copy(yard.bags[4], none)
    shutil.copy(yard.bags[7], tmp_path / "gone.mcap")
    shutil.copy(yard.bags[5], good)
    before = len(journal.runs())
    ended = fleet("run", *arguments)
    assert ended.returncode == 3, ended.stderr
    # One of another size is another bag.
    assert {bag for _, _, bag in journal.runs()[before:]} == {"good.mcap", "none.mcap", "gone.mcap"}
    told = report(tmp_path / "out")
    assert told["replayed"] == 4 and told["failed"] == []
    assert told["frames"] == sum(map(frames, (5, 1, 4, 7)))


def test_wrong_arguments_end_with_2(yard, single, tmp_path):
    bag, out = yard.bags[0], ["--out", tmp_path / "out"]
    for arguments, what in [
        (["run", bag, bag, *out, *options(yard)], "twice"),
        (["run", *out, *options(yard)], "no bags"),
        (["run", bag, bag.parent / "none_*.mcap", *out, *options(yard)], "none_*.mcap matches no bag"),
        (["run", bag, *out, *options(yard, tmp_path / "nowhere")], "--synthcp"),
        (["run", bag, *out, *options(yard), "--bundle", tmp_path], "is no bundle"),
        (["run", bag, *out, *options(yard), "--workers", "0"], "--workers"),
        (["run", bag, "--out", single, *options(yard), "--every", "2"], "was begun with arguments"),
        (["reduce", tmp_path], "no result of fleet run"),
    ]:
        ended = fleet(*arguments)
        assert ended.returncode == 2 and what in ended.stderr, ended.stderr
    assert not (tmp_path / "out").exists()


def test_bags_and_results_lie_wherever_a_url_leads(yard, single, monkeypatch):
    bucket = fsspec.filesystem("memory")
    for bag in yard.bags[:3]:
        bucket.put_file(str(bag), f"/drives/{bag.name}")
    # A folder is a bag too.
    bucket.put_file(str(yard.bags[3]), "/drives/drive_03/part_0.mcap")
    arguments = ["run", "memory://drives/*", "--out", "memory://results", "--serial", "--keep", *options(yard)]
    monkeypatch.setattr("sys.argv", ["fleet", *arguments])
    assert main.main() == 0
    told = json.loads(bucket.cat_file("/results/fleet.json"))
    assert [bag["bag"] for bag in told["of_bags"]] == [
        *(f"memory:///drives/{name}" for name in ("drive_00.mcap", "drive_01.mcap", "drive_02.mcap", "drive_03"))
    ]
    of_single = {bag["bag"].rsplit("/", 1)[-1].removesuffix(".mcap"): bag for bag in report(single)["of_bags"]}
    for bag in told["of_bags"]:
        name = bag.pop("bag").rsplit("/", 1)[-1].removesuffix(".mcap")
        assert bag == {key: value for key, value in of_single[name].items() if key != "bag"}
    assert len(bucket.glob("/results/results/*/result.mcap")) == 4


def test_what_a_killed_task_left_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / f"{PREFIX}left").mkdir()
    with scratch() as mine:
        (mine / "file").write_text("mine")
        with scratch() as other:
            assert {folder for folder in tmp_path.iterdir()} == {mine, other}
            assert (mine / "file").exists()
    assert not list(tmp_path.iterdir())
