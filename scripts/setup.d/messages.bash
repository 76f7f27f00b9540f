# shellcheck shell=bash
# Sourced by scripts/setup: the package's own messages, in a staged ament prefix, so that
# cargo and rclpy find them outside colcon. Sets stage, its folder.
# shellcheck disable=SC2034,SC2154  # shared with scripts/setup

# The name carries the contents: r2r watches the paths in its environment, not the
# files behind them, and so makes its bindings anew when a message changes.
choose_stage() {
    stage=$root/build/stage-$(fingerprint "$ros_prefix" "$root"/msg/*.msg "$root/cmake/interfaces.cmake")
}

build_messages() {
    local build=$stage.build log=$stage.log
    say "building the package's messages (about a minute)"
    rm -rf "$build"
    {
        cmake -S "$root" -B "$build" -DSYNTHCP_NODE=OFF -DCMAKE_BUILD_TYPE=Release \
            -DCMAKE_INSTALL_PREFIX="$stage" -DBUILD_TESTING=OFF &&
            cmake --build "$build" --parallel "$(nproc)" &&
            cmake --install "$build"
    } >"$log" 2>&1 || { cat "$log" >&2; die "the messages do not build"; }
    rm -rf "$build" "$log"
}
