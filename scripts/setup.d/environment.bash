# shellcheck shell=bash
# Sourced by scripts/setup: the variables that a build and a run need.
# Uses root, prefix, ros, ros_prefix, libtorch, checkout, stage.
# shellcheck disable=SC2154  # they are set there

names=()
set_variable() { export "$1=$2"; names+=("$1"); }

# Puts folders in front of a path variable; what an earlier call put there goes.
put_first() {
    local name=$1 path entry rest
    path=$(printf '%s:' "${@:2}")
    IFS=: read -ra rest <<<"${!name:-}"
    for entry in "${rest[@]}"; do
        case $entry in
        "" | "$root"/build/stage-* | "$prefix"/ros-* | "$prefix"/libtorch-*) ;;
        *) [[ :$path == *":$entry:"* ]] || path+=$entry: ;;
        esac
    done
    set_variable "$name" "${path%:}"
}

use_ros() {
    local python_version=python3.11
    if [ "$ros" = wheels ]; then
        put_first PATH "$ros_prefix/bin"
        set_variable SYNTHCP_ROS wheels # so that a nested call does not take it for a sourced one
        set_variable ROS_DISTRO jazzy
        set_variable ROS_VERSION 2
        set_variable ROS_PYTHON_VERSION 3
        # CMake, colcon and pip take this Python rather than the machine's newest.
        set_variable VIRTUAL_ENV "$ros_prefix"
        # Else rclpy starts Python a second time to set LD_LIBRARY_PATH.
        set_variable _ROS_WHEELS_BOOTSTRAP_COMPLETE 1
        unset AMENT_PREFIX_PATH CMAKE_PREFIX_PATH
        put_first LD_LIBRARY_PATH "$stage/lib" "$ros_prefix/lib" "$libtorch/lib"
        put_first AMENT_PREFIX_PATH "$stage" "$ros_prefix"
        put_first CMAKE_PREFIX_PATH "$stage" "$ros_prefix"
    else
        python_version=$(python3 -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
        put_first LD_LIBRARY_PATH "$stage/lib" "$libtorch/lib"
        put_first AMENT_PREFIX_PATH "$stage"
        put_first CMAKE_PREFIX_PATH "$stage"
    fi
    # Debian's Python installs under local/ unless it is in a virtual environment.
    put_first PYTHONPATH "$stage/lib/$python_version/site-packages" "$stage/local/lib/$python_version/dist-packages"
}

set_environment() {
    set_variable LIBTORCH "$libtorch"
    set_variable SYNTHCP_CHECKOUT "$checkout"
    use_ros
    # cargo sets it only when it is started inside the checkout.
    set_variable IDL_PACKAGE_FILTER "$(sed -n 's/^IDL_PACKAGE_FILTER = "\(.*\)"/\1/p' "$root/.cargo/config.toml")"
    # libtorch's threads, waiting for work, spin for a millisecond and take the core from the one that has some.
    set_variable GOMP_SPINCOUNT "${GOMP_SPINCOUNT:-10000}"
    # Pictures larger than Fast DDS' own shared memory are lost whole on a busy machine.
    set_variable FASTRTPS_DEFAULT_PROFILES_FILE "${FASTRTPS_DEFAULT_PROFILES_FILE:-$root/config/fastdds.xml}"
    # A developer's machine and its tests stay out of other robots' networks.
    set_variable ROS_AUTOMATIC_DISCOVERY_RANGE "${ROS_AUTOMATIC_DISCOVERY_RANGE:-LOCALHOST}"
}

print_environment() {
    local name
    echo "unset LIBTORCH_USE_PYTORCH"
    for name in "${names[@]}"; do
        printf 'export %s=%q\n' "$name" "${!name}"
    done
}
