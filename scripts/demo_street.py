#!/usr/bin/env python3
"""A camera on a street that is drawn: publishes sensor_msgs/Image on `image`.

The car drives between houses and trees behind another car. For a part of each round a
thing that belongs on no street lies on the road.
"""

import argparse
import array
import sys

import numpy as np
import rclpy
from rclpy._rclpy_pybind11 import RCLError
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

SKY, ROAD, PAVEMENT, LINE = (170, 195, 215), (92, 88, 94), (140, 130, 132), (215, 215, 210)
HOUSES = [(122, 96, 84), (150, 132, 112), (104, 104, 110), (134, 110, 98)]
TREE, TRUNK, CAR, GLASS, TYRE = (72, 98, 58), (78, 62, 50), (126, 34, 38), (40, 48, 58), (26, 26, 28)
# The part of a round, in frames, with the strange thing on the road.
ROUND, STRANGE = 40, range(12, 20)


def box(picture, left, top, right, bottom, color):
    """Fills a rectangle given in shares of the picture, cut at its borders."""
    height, width, _ = picture.shape
    rows = slice(max(0, round(top * height)), max(0, round(bottom * height)))
    columns = slice(max(0, round(left * width)), max(0, round(right * width)))
    picture[rows, columns] = color


def street(frame, width=512, height=256):
    """The picture of one frame, RGB."""
    rng = np.random.default_rng(7)
    picture = np.empty((height, width, 3), np.uint8)
    rows, columns = np.mgrid[0:height, 0:width]
    y, x = rows / height, columns / width - 0.5
    depth = np.clip(y - 0.45, 0, None)
    picture[:] = np.array(SKY) - (30 * (1 - y[..., None])).astype(int)
    picture[y > 0.45] = PAVEMENT
    picture[(y > 0.45) & (np.abs(x) < 0.03 + 1.1 * depth)] = ROAD
    dashes = np.sin(6 / np.maximum(depth, 0.01) + frame * 1.2) > 0
    picture[(y > 0.45) & (np.abs(x) < 0.025 * depth / 0.55) & dashes] = LINE

    # Houses and trees on both sides come nearer, the far ones drawn first.
    for number in range(8, 0, -1):
        near = 1 / (number - (frame * 0.125) % 1 + 0.2)
        kind = (number + int(frame * 0.125)) % 4
        for side in (-1, 1):
            middle, half, foot = 0.5 + side * 0.75 * near, 0.28 * near, 0.45 + 0.3 * near
            if (kind + side) % 4 == 0:
                box(picture, middle - 0.04 * near, foot - 0.4 * near, middle + 0.04 * near, foot, TRUNK)
                box(picture, middle - half * 0.7, foot - 1.1 * near, middle + half * 0.7, foot - 0.35 * near, TREE)
            else:
                box(picture, middle - half, foot - 1.4 * near, middle + half, foot, HOUSES[kind])
                for floor in (1.1, 0.7):
                    top = foot - floor * near
                    box(picture, middle - half * 0.6, top, middle - half * 0.1, top + 0.18 * near, GLASS)
                    box(picture, middle + half * 0.1, top, middle + half * 0.6, top + 0.18 * near, GLASS)

    sway = 0.51 + 0.02 * np.sin(frame / 9)
    box(picture, sway - 0.06, 0.52, sway + 0.06, 0.66, CAR)
    box(picture, sway - 0.045, 0.5, sway + 0.045, 0.57, GLASS)
    for wheel in (-0.05, 0.035):
        box(picture, sway + wheel, 0.64, sway + wheel + 0.015, 0.68, TYRE)
    if frame % ROUND in STRANGE:
        top, left, size = int(0.7 * height), int(0.28 * width), int(0.18 * height)
        checks = (rows // 6 + columns // 6) % 2 == 0
        area = (slice(top, top + size), slice(left, left + 2 * size))
        picture[area] = np.where(checks[area][..., None], (250, 40, 220), (20, 240, 90))
    noise = rng.normal(0, 4, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


class Camera(Node):
    """Publishes one picture a tick."""

    def __init__(self, rate):
        super().__init__("camera")
        self.publisher = self.create_publisher(Image, "image", qos_profile_sensor_data)
        self.frame = 0
        self.create_timer(1 / rate, self.tick)

    def tick(self):
        """Draws and publishes the next picture."""
        # Nobody there yet: keep the first picture for whoever comes.
        if self.publisher.get_subscription_count() == 0:
            return
        picture = street(self.frame)
        message = Image()
        message.header.stamp = self.get_clock().now().to_msg()
        message.header.frame_id = "camera_optical"
        message.height, message.width, _ = picture.shape
        message.encoding = "rgb8"
        message.step = 3 * message.width
        message.data = array.array("B", picture.tobytes())
        self.publisher.publish(message)
        self.frame += 1


def main():
    """Publishes until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=5.0, help="images a second")
    arguments = parser.parse_args(rclpy.utilities.remove_ros_args(sys.argv)[1:])
    rclpy.init(args=sys.argv)
    camera = Camera(arguments.rate)
    try:
        rclpy.spin(camera)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except RCLError:
        # The signal came between two steps of one tick.
        if rclpy.ok():
            raise


if __name__ == "__main__":
    main()
