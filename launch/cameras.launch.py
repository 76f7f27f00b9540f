"""One monitor a camera, each in the camera's namespace.

    ros2 launch synthcp_monitor cameras.launch.py cameras:=front,left,right

Camera `front` is expected to publish /front/image (or /front/image/compressed) and
/front/camera_info; `image:=image_raw` names the topic otherwise. Its monitor's outputs
are /front/monitor/report and so on, its diagnostics "front/monitor: camera" and so on.
"""

import os

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

ARGUMENTS = {
    "cameras": ("front", "Namespaces of the cameras, separated by commas"),
    "image": ("image", "Name of the image topic in a camera's namespace"),
    "bundle": ("", "Model bundle, a name or a path; if not given, as params_file says"),
    "use_sim_time": ("", "Take the time from /clock: true or false; if not given, as params_file says"),
}


def monitors(context):
    """The node of every camera."""
    value = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    cameras = [camera.strip() for camera in value["cameras"].split(",") if camera.strip()]
    if not cameras:
        raise RuntimeError("cameras is empty; name at least one, as in cameras:=front,left")
    given = {"bundle": value["bundle"]} if value["bundle"] else {}
    if value["use_sim_time"]:
        given["use_sim_time"] = value["use_sim_time"].lower() in ("true", "1")
    return [
        Node(
            package="synthcp_monitor",
            executable="monitor_node",
            name="monitor",
            namespace=camera,
            output="screen",
            respawn=True,
            respawn_delay=2.0,
            # As in monitor.launch.py.
            additional_env={"GOMP_SPINCOUNT": os.environ.get("GOMP_SPINCOUNT", "10000")},
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
