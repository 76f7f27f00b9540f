"""Bags by writers that are not ours, rosbags and mcap, through `examples/read_bag`."""

import hashlib
import itertools
import os
import pathlib
import subprocess

import numpy as np
import pytest
from mcap.writer import CompressionType, IndexType, Writer as McapWriter
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

BINARY = pathlib.Path(
    os.environ.get("READ_BAG", pathlib.Path(__file__).parents[2] / "target/release/examples/read_bag")
)
STORE = get_typestore(Stores.ROS2_JAZZY)
IMAGE = STORE.types["sensor_msgs/msg/Image"]
COMPRESSED = STORE.types["sensor_msgs/msg/CompressedImage"]
HEADER = STORE.types["std_msgs/msg/Header"]
TIME = STORE.types["builtin_interfaces/msg/Time"]
HEIGHT, WIDTH = 24, 32
ENCODINGS = {"rgb8": 3, "bgr8": 3, "mono8": 1, "bayer_rggb8": 1, "yuv422": 2}


def digest(data):
    return hashlib.sha256(bytes(data)).hexdigest()[:16]


def drive(frames, little_endian=True):
    """(topic, type, stamp, bytes, pixels that are to come out or None)"""
    rng = np.random.default_rng(5)
    for number in range(frames):
        header = HEADER(stamp=TIME(sec=number, nanosec=7), frame_id="front")
        for place, (encoding, channels) in enumerate(ENCODINGS.items()):
            stamp = 1_700_000_000_000_000_000 + number * 40_000_000 + place
            pixels = rng.integers(0, 256, (HEIGHT, WIDTH, channels), dtype=np.uint8)
            message = IMAGE(
                header=header, height=HEIGHT, width=WIDTH, encoding=encoding, is_bigendian=0,
                step=WIDTH * channels, data=pixels.reshape(-1),
            )
            data = bytes(STORE.serialize_cdr(message, IMAGE.__msgtype__, little_endian=little_endian))
            shown = {"rgb8": pixels, "bgr8": pixels[..., ::-1], "mono8": pixels.repeat(3, axis=2)}.get(encoding)
            yield f"/{encoding}", IMAGE.__msgtype__, stamp, data, shown


def expected(messages):
    for topic, _, stamp, data, shown in messages:
        shown = None if shown is None else digest(np.ascontiguousarray(shown))
        yield topic, str(stamp), digest(data), shown


def assert_read(bags, messages):
    run = subprocess.run([BINARY, *bags], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    lines = [line.split() for line in run.stdout.splitlines()]
    wanted = list(expected(messages))
    assert len(lines) == len(wanted)
    for (topic, stamp, data, size, pixels), (*said, shown) in zip(lines, wanted, strict=True):
        assert [topic, stamp, data] == said
        assert size == f"{WIDTH}x{HEIGHT}" and shown in (None, pixels), topic


@pytest.mark.parametrize("little_endian", [True, False])
@pytest.mark.parametrize("version", [8, 9])
@pytest.mark.parametrize("mode", list(CompressionMode))
@pytest.mark.parametrize("plugin", list(StoragePlugin))
def test_a_bag_of_rosbags_is_read_whole(tmp_path, plugin, mode, version, little_endian):
    if mode == CompressionMode.STORAGE and plugin != StoragePlugin.MCAP:
        pytest.skip("only mcap compresses within its storage")
    messages = list(drive(9, little_endian))
    writer = Writer(tmp_path / "bag", version=version, storage_plugin=plugin)
    if mode != CompressionMode.NONE:
        writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        connections = {}
        for topic, kind, stamp, data, _ in messages:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=STORE)
            writer.write(connections[topic], stamp, data)
    assert_read([tmp_path / "bag"], messages)
    (tmp_path / "bag/metadata.yaml").unlink()
    assert_read([tmp_path / "bag"], messages)


def write_mcap(path, messages, **options):
    with path.open("wb") as file:
        writer = McapWriter(file, **options)
        writer.start(profile="ros2")
        channels = {}
        for topic, kind, stamp, data, _ in messages:
            if topic not in channels:
                schema = writer.register_schema(kind, "ros2msg", b"")
                channels[topic] = writer.register_channel(topic, "cdr", schema)
            writer.add_message(channels[topic], stamp, data, stamp)
        writer.finish()


FORMS = [
    {"compression": compression, "use_chunking": chunks, "index_types": index}
    for compression, chunks, index in itertools.product(
        CompressionType, [True, False], [IndexType.ALL, IndexType.NONE]
    )
]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_files_of_mcap_are_read_whole_alone_and_in_three_parts(tmp_path, form):
    messages = list(drive(9))
    write_mcap(tmp_path / "alone.mcap", messages, chunk_size=9000, **form)
    assert_read([tmp_path / "alone.mcap"], messages)
    bag = tmp_path / "bag"
    bag.mkdir()
    for part in range(3):
        write_mcap(bag / f"bag_{part}.mcap", messages[15 * part : 15 * part + 15], chunk_size=9000, **form)
    assert_read([bag], messages)


def test_bags_of_one_topic_each_are_merged_by_stamp(tmp_path):
    messages = list(drive(9))
    bags = []
    for topic in sorted({topic for topic, *_ in messages}):
        bags.append(tmp_path / f"{topic[1:]}.mcap")
        write_mcap(bags[-1], [message for message in messages if message[0] == topic])
    assert_read(bags, messages)
