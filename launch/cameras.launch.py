"""One monitor a camera, each in the camera's namespace.

    ros2 launch synthcp_monitor cameras.launch.py cameras:=front,left,right

Camera `front` is expected to publish /front/image (or /front/image/compressed) and
/front/camera_info; `image:=image_raw` names the topic otherwise. Its monitor's outputs
are /front/monitor/report and so on, its diagnostics "front/monitor: camera" and so on.
"""

import os

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, EmitEvent, LogInfo, OpaqueFunction
from launch.events import matches_action
from launch.events.process import ShutdownProcess
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

ARGUMENTS = {
    "cameras": ("front", "Namespaces of the cameras, separated by commas"),
    "image": ("image", "Name of the image topic in a camera's namespace"),
    "bundle": ("", "Model bundle, a name or a path; if not given, as params_file says"),
    "use_sim_time": ("", "Take the time from /clock: true or false; if not given, as params_file says"),
    "respawn": ("true", "Start a node again when it dies, but not after a mistake of its user (exit code 2)"),
}

# The exit code of monitor_node where its user has something to mend, such as a bundle that is not there.
USERS_MISTAKE = 2


def give_up_on_mistakes(event, context):
    """As in monitor.launch.py."""
    if event.returncode != USERS_MISTAKE:
        return None
    return [
        LogInfo(msg="monitor_node is not started again: its last error says what to mend"),
        # While a node waits to be started again, this ends the waiting.
        EmitEvent(event=ShutdownProcess(process_matcher=matches_action(event.action))),
    ]


def truth(name, value):
    """As in monitor.launch.py."""
    words = {"true": True, "1": True, "false": False, "0": False}
    if value.lower() not in words:
        raise RuntimeError(f"{name} is {value!r}; true or false is needed")
    return words[value.lower()]


def monitors(context):
    """The node of every camera."""
    value = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    cameras = [camera.strip() for camera in value["cameras"].split(",") if camera.strip()]
    if not cameras:
        raise RuntimeError("cameras is empty; name at least one, as in cameras:=front,left")
    profiles = PathJoinSubstitution([FindPackageShare("synthcp_monitor"), "config", "fastdds.xml"])
    given = {"bundle": value["bundle"]} if value["bundle"] else {}
    if value["use_sim_time"]:
        given["use_sim_time"] = truth("use_sim_time", value["use_sim_time"])
    return [
        Node(
            package="synthcp_monitor",
            executable="monitor_node",
            name="monitor",
            namespace=camera,
            output="screen",
            respawn=truth("respawn", value["respawn"]),
            respawn_delay=2.0,
            on_exit=give_up_on_mistakes,
            # As in monitor.launch.py.
            additional_env={
                "GOMP_SPINCOUNT": os.environ.get("GOMP_SPINCOUNT", "10000"),
                "FASTRTPS_DEFAULT_PROFILES_FILE": os.environ.get("FASTRTPS_DEFAULT_PROFILES_FILE", profiles),
            },
            parameters=[LaunchConfiguration("params_file"), *([given] if given else [])],
            remappings=[("image", value["image"]), ("image/compressed", value["image"] + "/compressed")],
        )
        for camera in cameras
    ]


def generate_launch_description():
    """What `ros2 launch` calls."""
    config = PathJoinSubstitution([FindPackageShare("synthcp_monitor"), "config", "monitor.yaml"])
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    arguments.append(DeclareLaunchArgument("params_file", default_value=config, description="Parameters"))
    return LaunchDescription([*arguments, OpaqueFunction(function=monitors)])
