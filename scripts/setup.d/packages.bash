# shellcheck shell=bash
# Sourced by scripts/setup: the Debian packages that a build needs.
# shellcheck disable=SC2154  # the variables are set there

# Names the Debian packages whose files are missing, one a line.
missing_packages() {
    command -v c++ >/dev/null || echo g++
    command -v make >/dev/null || echo make
    command -v cmake >/dev/null || echo cmake
    command -v clang >/dev/null || echo clang
    compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null || [ -n "${LIBCLANG_PATH:-}" ] || echo libclang-dev
    if [ "$ros" = wheels ] && ! ros_is_whole; then
        # A Python built from source carries these itself; Debian's needs three packages.
        "$python" - <<'PY'
import importlib.util
import os
import sysconfig

var = sysconfig.get_config_var
folders = [var("LIBDIR"), os.path.join(var("LIBDIR"), var("MULTIARCH") or "")]
if not importlib.util.find_spec("ensurepip"):
    print("python3.11-venv")
if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
    print("python3.11-dev")
if not any(os.path.exists(os.path.join(folder, "libpython3.11.so.1.0")) for folder in folders):
    print("libpython3.11")
PY
    elif [ "$ros" = sourced ] && [ "$torch" != own ] && ! python3 -c 'import ensurepip' 2>/dev/null; then
        echo python3-venv
    fi
}

install_packages() {
    local packages as_root=()
    packages=$(missing_packages | xargs)
    [ -n "$packages" ] || return 0
    command -v apt-get >/dev/null || die "please install what Debian calls: $packages"
    if [ "$(id -u)" != 0 ]; then
        sudo -n true 2>/dev/null || die "please install, as root: apt-get install $packages"
        as_root=(sudo -n)
    fi
    say "installing Debian packages: $packages"
    "${as_root[@]}" apt-get -qq -o DPkg::Lock::Timeout=600 update >&2
    # shellcheck disable=SC2086  # one word a package
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
        -o DPkg::Lock::Timeout=600 install $packages >&2
}
