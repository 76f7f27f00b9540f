"""What scripts/bench_bags runs: writes bags with rosbags, and times both readers in turns."""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

FRAMES, HEIGHT, WIDTH, TURNS = 1000, 540, 960, 5
STORE = get_typestore(Stores.ROS2_JAZZY)
IMAGE = STORE.types["sensor_msgs/msg/Image"]
HEADER = STORE.types["std_msgs/msg/Header"]
TIME = STORE.types["builtin_interfaces/msg/Time"]
FORMS = {
    "mcap": (StoragePlugin.MCAP, None),
    "mcap, chunks in zstd": (StoragePlugin.MCAP, CompressionMode.STORAGE),
    "db3": (StoragePlugin.SQLITE3, None),
}


def write(bag: Path, plugin: StoragePlugin, mode: CompressionMode | None):
    """Noisy grey frames, which compress as badly as a camera's."""
    noise = np.random.default_rng(0)
    frames = [np.clip(noise.normal(120, 9, (HEIGHT, WIDTH, 3)), 0, 255).astype(np.uint8) for _ in range(20)]
    writer = Writer(bag, version=9, storage_plugin=plugin)
    if mode:
        writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection("/image", IMAGE.__msgtype__, typestore=STORE)
        for number in range(FRAMES):
            stamp = TIME(sec=number // 25, nanosec=number % 25 * 40_000_000)
            image = IMAGE(
                header=HEADER(stamp=stamp, frame_id="camera"),
                height=HEIGHT,
                width=WIDTH,
                encoding="bgr8",
                is_bigendian=0,
                step=3 * WIDTH,
                data=frames[number % len(frames)].reshape(-1),
            )
            at = 1_700_000_000_000_000_000 + number * 40_000_000
            writer.write(connection, at, STORE.serialize_cdr(image, IMAGE.__msgtype__))


def rosbags(bag: Path) -> tuple[int, int, float]:
    """Frames, a sum over some of their bytes, seconds."""
    start, frames, total = time.perf_counter(), 0, 0
    with Reader(bag) as reader:
        for connection, _, data in reader.messages():
            image = STORE.deserialize_cdr(data, connection.msgtype)
            picture = np.ascontiguousarray(image.data.reshape(image.height, image.width, 3)[..., ::-1])
            total += int(picture.reshape(-1)[::9973].sum())
            frames += 1
    return frames, total, time.perf_counter() - start


def ours(program: str, bag: Path) -> tuple[int, int, float]:
    """The same."""
    frames, total, seconds = subprocess.run(
        [program, bag], check=True, capture_output=True, text=True
    ).stdout.split()
    return int(frames), int(total), float(seconds)


def main():
    """A line a form of bag."""
    program, *folder = sys.argv[1:]
    with tempfile.TemporaryDirectory(dir=folder[0] if folder else None) as there:
        for name, (plugin, mode) in FORMS.items():
            bag = Path(there) / name.split(",")[0] / str(bool(mode))
            bag.parent.mkdir(exist_ok=True)
            write(bag, plugin, mode)
            times = []
            # The first turn brings the files into memory.
            for _ in range(TURNS + 1):
                mine, theirs = ours(program, bag), rosbags(bag)
                assert mine[:2] == theirs[:2], f"{name}: {mine} and {theirs}"
                times.append((mine[2], theirs[2]))
            mine, theirs = (statistics.median(column) for column in zip(*times[1:], strict=True))
            print(f"{name:22} {FRAMES / mine:7.0f} frames/s, rosbags {FRAMES / theirs:6.0f}, {theirs / mine:.1f} times")
            for file in sorted(bag.glob("*")):
                file.unlink()


if __name__ == "__main__":
    main()
