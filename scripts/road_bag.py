"""A bag of a video's frames, raw, at the video's rate, with a gap: scripts/lock_step makes its drive with this."""

import argparse
from pathlib import Path

import cv2
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

STORE = get_typestore(Stores.ROS2_JAZZY)
IMAGE = STORE.types["sensor_msgs/msg/Image"]
HEADER = STORE.types["std_msgs/msg/Header"]
TIME = STORE.types["builtin_interfaces/msg/Time"]
BEGIN = 1_700_000_000 * 10**9


def frames(video: Path):
    """Number and pixels (height x width x BGR) of each frame."""
    capture = cv2.VideoCapture(str(video))
    number = 0
    while True:
        good, pixels = capture.read()
        if not good:
            return
        yield number, pixels
        number += 1


def main():
    """Writes the bag, and says what is in it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("bag", type=Path)
    parser.add_argument("--rate", type=float, default=25.0, help="frames a second")
    parser.add_argument("--gap", type=float, default=2.0, help="seconds without a frame")
    parser.add_argument("--after", type=int, default=110, help="frames before the gap")
    arguments = parser.parse_args()
    count = 0
    with Writer(arguments.bag, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/front/image", IMAGE.__msgtype__, typestore=STORE)
        for number, pixels in frames(arguments.video):
            later = arguments.gap if number >= arguments.after else 0.0
            at = BEGIN + round((number / arguments.rate + later) * 10**9)
            height, width, _ = pixels.shape
            image = IMAGE(
                header=HEADER(stamp=TIME(sec=at // 10**9, nanosec=at % 10**9), frame_id="front"),
                height=height, width=width, encoding="bgr8", is_bigendian=0, step=3 * width, data=pixels.reshape(-1),
            )
            writer.write(connection, at, STORE.serialize_cdr(image, IMAGE.__msgtype__))
            count += 1
    if count == 0:
        raise SystemExit(f"{arguments.video}: no frame of it can be read")
    print(f"{count} frames of {arguments.video.name}, {arguments.gap:g} s without one after {arguments.after}")


if __name__ == "__main__":
    main()
