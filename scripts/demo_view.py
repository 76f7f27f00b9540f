#!/usr/bin/env python3
"""Prints a line for every report of a monitor."""

import argparse
import sys

import rclpy
from rclpy._rclpy_pybind11 import RCLError
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.task import Future

from synthcp_monitor.msg import MonitorReport

VALIDITY = {
    value: name.removeprefix("VALIDITY_")
    for name in dir(MonitorReport)
    if name.startswith("VALIDITY_")
    for value in [getattr(MonitorReport, name)]
}
LEVEL = {
    MonitorReport.LEVEL_NOMINAL: "NOMINAL",
    MonitorReport.LEVEL_CAUTION: "CAUTION",
    MonitorReport.LEVEL_FAILURE: "FAILURE",
}
JUDGED = (
    MonitorReport.VALIDITY_OK,
    MonitorReport.VALIDITY_DEGRADED,
    MonitorReport.VALIDITY_FAILED,
    MonitorReport.VALIDITY_INVALID_INPUT,
)
HEAD = f"{'frame':>5}  {'validity':<8} {'level':<8} {'failure':>7} {'mIoU':>6} {'anomaly':>8} {'latency':>9} {'dropped':>7}"


def line(number, report):
    """One report as one line."""
    text = (
        f"{number:>5}  {VALIDITY[report.validity]:<8} {LEVEL[report.level]:<8} {report.failure_score:>7.3f} "
        f"{report.predicted_miou:>6.3f} {100 * report.anomaly_area:>6.2f} % {report.latency_total_ms:>6.0f} ms "
        f"{report.frames_dropped:>7}"
    )
    return f"{text}  {report.reason}" if report.reason else text


class View(Node):
    """Prints reports, up to a number of frames; 0 is no end."""

    def __init__(self, frames):
        super().__init__("view")
        self.frames = frames
        self.judged = 0
        self.last = None
        self.told = None
        self.enough = Future()
        self.create_subscription(MonitorReport, "monitor/report", self.show, 10)

    def show(self, report):
        """Prints one report."""
        if report.validity not in JUDGED:
            # Repeated while it lasts; said once.
            if self.told != report.validity:
                print(f"    -  {VALIDITY[report.validity]}: {report.reason}", flush=True)
            self.told = report.validity
            return
        if self.enough.done():
            return
        self.told = None
        if self.judged == 0:
            print(HEAD, flush=True)
        self.judged += 1
        self.last = report
        print(line(self.judged, report), flush=True)
        if self.frames and self.judged >= self.frames:
            self.enough.set_result(True)


def main():
    """Prints until enough frames have been judged, or SIGINT."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=20, help="frames until the end; 0 for none")
    arguments = parser.parse_args(rclpy.utilities.remove_ros_args(sys.argv)[1:])
    rclpy.init(args=sys.argv)
    view = View(arguments.frames)
    try:
        rclpy.spin_until_future_complete(view, view.enough)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except RCLError:
        # The signal came between two steps of one turn.
        if rclpy.ok():
            raise
    if view.last:
        last = view.last
        print(
            f"{last.frames_received} images received = {last.frames_processed} processed + {last.frames_dropped} dropped"
            f" + {last.frames_invalid} invalid (+ at most one in hand and one waiting); bundle {last.bundle} {last.bundle_hash[:12]}"
        )


if __name__ == "__main__":
    main()
