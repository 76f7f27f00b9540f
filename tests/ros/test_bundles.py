"""A bundle that is not right stops the start with one line that says what and where."""

import hashlib
import json
import os
import shutil
import struct

import pytest
import yaml
from harness import MonitorProcess, running


def weights_of(folder):
    """The first weights file of a bundle, and its path in bundle.yaml's text."""
    return sorted(folder.glob("*.safetensors"))[0]


def rewrite(path, change):
    """Lets `change` alter the header of a safetensors file: {name: {dtype, shape, data_offsets}}."""
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header, body = json.loads(data[8 : 8 + size]), data[8 + size :]
    body = change(header, body) or body
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def rehash(folder):
    """Makes bundle.yaml's hashes true again."""
    file = folder / "bundle.yaml"
    text = file.read_text()
    for weights, old in HASHES.items():
        text = text.replace(old, hashlib.sha256((folder / weights).read_bytes()).hexdigest())
    file.write_text(text)


HASHES = {}


@pytest.fixture
def copy(bundle, tmp_path):
    """A copy of the bundle to spoil."""
    HASHES.clear()
    for weights in bundle.glob("*.safetensors"):
        HASHES[weights.name] = hashlib.sha256(weights.read_bytes()).hexdigest()
    return shutil.copytree(bundle, tmp_path / "spoilt")


def tensor_names(header):
    return sorted(name for name in header if name != "__metadata__")


def drop_tensor(header, body):
    name = tensor_names(header)[0]
    start, end = header.pop(name)["data_offsets"]
    for entry in header.values():
        if "data_offsets" in entry and entry["data_offsets"][0] >= end:
            entry["data_offsets"] = [offset - (end - start) for offset in entry["data_offsets"]]
    return body[:start] + body[end:]


def add_tensor(header, body):
    end = max(header[name]["data_offsets"][1] for name in tensor_names(header))
    header["one_too_many"] = {"dtype": "F32", "shape": [1], "data_offsets": [end, end + 4]}
    return body + bytes(4)


def flatten_tensor(header, body):
    name = next(name for name in tensor_names(header) if len(header[name]["shape"]) > 1)
    shape = header[name]["shape"]
    header[name]["shape"] = [shape[0] * shape[1], *shape[2:]]


def spoil_weights(change):
    def spoil(folder):
        path = weights_of(folder)
        rewrite(path, change)
        rehash(folder)
        return path.name

    return spoil


def remove_weights(folder):
    path = weights_of(folder)
    path.unlink()
    return path.name


def flip_a_byte(folder):
    path = weights_of(folder)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    return path.name


def change_yaml(change):
    def spoil(folder):
        file = folder / "bundle.yaml"
        content = yaml.safe_load(file.read_text())
        change(content)
        file.write_text(yaml.safe_dump(content))
        return "bundle.yaml"

    return spoil


def unknown_labels(content):
    key = next(key for key in content if "label" in key)
    content[key] = "martian"


def misspelt_key(content):
    content["calibratoin"] = 1


def remove_yaml(folder):
    (folder / "bundle.yaml").unlink()
    return "bundle.yaml"


def break_yaml(folder):
    (folder / "bundle.yaml").write_text("networks: [")
    return "bundle.yaml"


SPOILT = {
    "missing weights": (remove_weights, []),
    "wrong hash": (flip_a_byte, ["sha"]),
    "missing tensor": (spoil_weights(drop_tensor), []),
    "extra tensor": (spoil_weights(add_tensor), ["one_too_many"]),
    "misshapen tensor": (spoil_weights(flatten_tensor), ["shape"]),
    "unknown label set": (change_yaml(unknown_labels), ["martian"]),
    "unknown key": (change_yaml(misspelt_key), ["calibratoin"]),
    "no bundle.yaml": (remove_yaml, []),
    "no YAML": (break_yaml, []),
}


@pytest.mark.parametrize("name", SPOILT)
def test_it_is_named_in_one_line(copy, namespace, tmp_path, name):
    spoil, words = SPOILT[name]
    file = spoil(copy)
    with running(MonitorProcess(namespace, tmp_path, {"bundle": str(copy)})) as monitor:
        assert monitor.wait() == 2
        said = [line for line in monitor.log.splitlines() if line.startswith("monitor_node: ")]
        assert len(said) == 1, monitor.log
        for word in [file, *words]:
            assert word.lower() in said[0].lower(), said[0]
        assert "panicked" not in monitor.log


def test_a_name_that_nobody_has(namespace, tmp_path):
    with running(MonitorProcess(namespace, tmp_path, {"bundle": "no_such_bundle"})) as monitor:
        assert monitor.wait() == 2
        assert "no_such_bundle" in monitor.log and "bundle.yaml" in monitor.log


def test_a_name_is_found_in_the_ros_prefix(bundle, start, peer, namespace, tmp_path, monkeypatch):
    shutil.copytree(bundle, tmp_path / "share/synthcp_monitor/models/installed")
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{tmp_path}:{os.environ['AMENT_PREFIX_PATH']}")
    with start(namespace, bundle="installed") as monitor:
        peer.wait_for_monitor(monitor)
