"""One camera, one monitor.

    ros2 launch synthcp_monitor monitor.launch.py image_topic:=/front/image_raw

Parameters come from params_file; bundle and use_sim_time replace what it says only when they are given.
"""

import os

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, EmitEvent, LogInfo, OpaqueFunction
from launch.conditions import IfCondition
from launch.events import matches_action
from launch.events.process import ShutdownProcess
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

ARGUMENTS = {
    "namespace": ("", "Namespace of the node; its outputs are /NAMESPACE/monitor/..."),
    "image_topic": ("image", "sensor_msgs/Image"),
    "compressed_topic": ("", "sensor_msgs/CompressedImage; if not given, image_topic/compressed"),
    "camera_info_topic": ("camera_info", "sensor_msgs/CameraInfo"),
    "bundle": ("", "Model bundle, a name or a path; if not given, as params_file says"),
    "use_sim_time": ("", "Take the time from /clock: true or false; if not given, as params_file says"),
    "log_level": ("info", "debug, info, warn, error or fatal"),
    "respawn": ("true", "Start the node again when it dies, but not after a mistake of its user (exit code 2)"),
}

# The exit code of monitor_node where its user has something to mend, such as a bundle that is not there.
USERS_MISTAKE = 2


def give_up_on_mistakes(event, context):
    """A node that dies is started again, but not for the same mistake again and again."""
    if event.returncode != USERS_MISTAKE:
        return None
    return [
        LogInfo(msg="monitor_node is not started again: its last error says what to mend"),
        # While a node waits to be started again, this ends the waiting.
        EmitEvent(event=ShutdownProcess(process_matcher=matches_action(event.action))),
    ]


def truth(name, value):
    """Whether a word of the command line says yes."""
    words = {"true": True, "1": True, "false": False, "0": False}
    if value.lower() not in words:
        raise RuntimeError(f"{name} is {value!r}; true or false is needed")
    return words[value.lower()]


def given(value):
    """The parameters that were given as arguments."""
    parameters = {"bundle": value["bundle"]} if value["bundle"] else {}
    if value["use_sim_time"]:
        parameters["use_sim_time"] = truth("use_sim_time", value["use_sim_time"])
    return [parameters] if parameters else []


def monitor(context):
    """The node, and RViz where it is wanted."""
    value = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    share = FindPackageShare("synthcp_monitor")
    profiles = PathJoinSubstitution([share, "config", "fastdds.xml"])
    # Of libtorch, whose threads, waiting for work, else spin for a millisecond and take the core from one that has
    # some; and for Fast DDS, room in shared memory for the pictures of a frame.
    environment = {
        "GOMP_SPINCOUNT": os.environ.get("GOMP_SPINCOUNT", "10000"),
        "FASTRTPS_DEFAULT_PROFILES_FILE": os.environ.get("FASTRTPS_DEFAULT_PROFILES_FILE", profiles),
    }
    node = Node(
        package="synthcp_monitor",
        executable="monitor_node",
        name="monitor",
        namespace=value["namespace"],
        output="screen",
        respawn=truth("respawn", value["respawn"]),
        respawn_delay=2.0,
        on_exit=give_up_on_mistakes,
        ros_arguments=["--log-level", value["log_level"]],
        additional_env=environment,
        parameters=[LaunchConfiguration("params_file"), *given(value)],
        remappings=[
            ("image", value["image_topic"]),
            ("image/compressed", value["compressed_topic"] or value["image_topic"] + "/compressed"),
            ("camera_info", value["camera_info_topic"]),
        ],
    )
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        name="rviz",
        arguments=["-d", PathJoinSubstitution([share, "config", "monitor.rviz"])],
        condition=IfCondition(LaunchConfiguration("rviz")),
    )
    return [node, rviz]


def generate_launch_description():
    """What `ros2 launch` calls."""
    config = PathJoinSubstitution([FindPackageShare("synthcp_monitor"), "config", "monitor.yaml"])
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    arguments.append(DeclareLaunchArgument("params_file", default_value=config, description="Parameters"))
    arguments.append(DeclareLaunchArgument("rviz", default_value="false", description="Show the outputs in RViz"))
    return LaunchDescription([*arguments, OpaqueFunction(function=monitor)])
