"""What scripts/bench_bags runs: writes bags with rosbags, and times both readers in turns."""

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

HEIGHT, WIDTH = 540, 960
STORE = get_typestore(Stores.ROS2_JAZZY)
IMAGE = STORE.types["sensor_msgs/msg/Image"]
HEADER = STORE.types["std_msgs/msg/Header"]
TIME = STORE.types["builtin_interfaces/msg/Time"]
FORMS = {
    "mcap": (StoragePlugin.MCAP, None),
    "mcap, chunks in zstd": (StoragePlugin.MCAP, CompressionMode.STORAGE),
    "db3": (StoragePlugin.SQLITE3, None),
}


def write(bag: Path, plugin: StoragePlugin, mode: CompressionMode | None, count: int):
    """Noisy grey frames, which compress as badly as a camera's."""
    noise = np.random.default_rng(0)
    frames = [np.clip(noise.normal(120, 9, (HEIGHT, WIDTH, 3)), 0, 255).astype(np.uint8) for _ in range(20)]
    writer = Writer(bag, version=9, storage_plugin=plugin)
    if mode:
        writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection("/image", IMAGE.__msgtype__, typestore=STORE)
        for number in range(count):
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


def ours(program: str, bag: Path) -> tuple[int, int, float, float]:
    """The same, and the most memory that it held, in MB."""
    child = subprocess.Popen([program, bag], stdout=subprocess.PIPE, text=True)
    frames, total, seconds = child.stdout.read().split()
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{program} {bag} ended with {child.returncode}")
    return int(frames), int(total), float(seconds), used.ru_maxrss / 1000


def main():
    """A line a form of bag."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--turns", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as there:
        for name, (plugin, mode) in FORMS.items():
            bag = Path(there) / name.split(",")[0] / str(bool(mode))
            bag.parent.mkdir(exist_ok=True)
            write(bag, plugin, mode, arguments.frames)
            size = sum(file.stat().st_size for file in bag.glob("*")) / 1e9
            times, most = [], 0.0
            # The first turn brings the files into memory.
            for _ in range(arguments.turns + 1):
                mine, theirs = ours(arguments.program, bag), rosbags(bag)
                assert mine[:2] == theirs[:2], f"{name}: {mine} and {theirs}"
                times.append((mine[2], theirs[2]))
                most = max(most, mine[3])
            mine, theirs = (statistics.median(column) for column in zip(*times[1:], strict=True))
            rates = f"{arguments.frames / mine:7.0f} frames/s, rosbags {arguments.frames / theirs:6.0f}"
            print(f"{name:22} {size:.1f} GB {rates}, {theirs / mine:.1f} times; {most:.0f} MB held at most")
            for file in sorted(bag.glob("*")):
                file.unlink()


if __name__ == "__main__":
    main()
