# shellcheck shell=bash
# Sourced by scripts/setup: which libtorch, where it comes from, and the tch that fits it.
# Sets torch (own, cpu or cuda), torch_version, pins, libtorch, its folder, tch_version, and checkout.
# shellcheck disable=SC2034,SC2154  # shared with scripts/setup

choose_torch() {
    if [ -n "${LIBTORCH_USE_PYTORCH:-}" ]; then
        LIBTORCH=$(python3 -c 'from importlib.util import find_spec; print(find_spec("torch").submodule_search_locations[0])' 2>/dev/null) ||
            die "LIBTORCH_USE_PYTORCH is set but python3 has no torch"
    fi
    if [ -n "${LIBTORCH:-}" ] && [[ $LIBTORCH != "$prefix"/libtorch-* ]]; then
        torch=own libtorch=$LIBTORCH
        [ -d "$libtorch/lib" ] || die "LIBTORCH is $libtorch, which has no folder lib"
        torch_version=$(version_of "$libtorch")
        choose_tch
        chosen "libtorch ${torch_version:-of unknown version} as given, $libtorch"
        return
    fi
    torch=${SYNTHCP_TORCH:-$(nvidia-smi -L >/dev/null 2>&1 && echo cuda || echo cpu)}
    [[ $torch =~ ^(cpu|cuda)$ ]] || die "SYNTHCP_TORCH is $torch: should be cpu or cuda"
    pins=$scripts/requirements-torch-${SYNTHCP_TORCH_VERSION:-2.13}-$torch.txt
    [ -f "$pins" ] || die "SYNTHCP_TORCH_VERSION is $SYNTHCP_TORCH_VERSION: should be 2.11 or 2.13"
    torch_version=$(sed -n 's/^torch==//p' "$pins")
    torch_folder=$prefix/libtorch-$torch_version-$torch-$(fingerprint "$(declare -f install_torch)" "$pins")
    libtorch=$torch_folder/torch
    choose_tch
    chosen "libtorch $torch_version for $torch, $libtorch"
}

# The version of the libtorch in a folder: an archive of libtorch says it in one file, Python's package in
# another. Empty where neither is there.
version_of() {
    if [ -f "$1/build-version" ]; then
        cut -d+ -f1 "$1/build-version"
    elif [ -f "$1/version.py" ]; then
        sed -n "s/^__version__ = '\([0-9.]*\).*/\1/p" "$1/version.py"
    fi
}

# Each version of tch is made for one of libtorch. There is none for 2.12 on the registry.
choose_tch() {
    local locked
    locked=$(sed -n '/^name = "tch"$/{n;s/^version = "\(.*\)"$/\1/p}' "$root/Cargo.lock")
    case $torch_version in
    2.11.*) tch_version=0.24.0 ;;
    2.13.*) tch_version=0.26.0 ;;
    "") tch_version=$locked ;;
    *)
        [ -n "${LIBTORCH_BYPASS_VERSION_CHECK:-}" ] ||
            die "libtorch is $torch_version: tch is made for 2.11 and 2.13; LIBTORCH_BYPASS_VERSION_CHECK=1 tries the nearest"
        # Sorted as versions: whether it is older than 2.12.
        tch_version=0.26.0
        [ "$(printf '%s\n' 2.12 "$torch_version" | sort -V | head -1)" = 2.12 ] || tch_version=0.24.0
        ;;
    esac
    choose_checkout "$locked"
}

# Where cargo runs: in the checkout, or, for another tch than the lock file's, in a folder of links to all of it
# with a lock file and a target folder of its own, so that the checkout's stay as they are.
choose_checkout() {
    checkout=$root
    [ "$tch_version" != "$1" ] || return 0
    checkout=$root/build/tch-$tch_version
    chosen "tch $tch_version for libtorch $torch_version: cargo runs in $checkout"
}

make_checkout() {
    [ "$checkout" != "$root" ] || return 0
    local entry state
    mkdir -p "$checkout"
    for entry in "$root"/* "$root"/.cargo; do
        case ${entry##*/} in
        Cargo.lock | target | build | install | log | work | results | demo) ;;
        *) ln -sfn "$entry" "$checkout/${entry##*/}" ;;
        esac
    done
    state=$(fingerprint "$tch_version" "$root/Cargo.lock" "$root/Cargo.toml")
    [ "$(cat "$checkout/.lock-of" 2>/dev/null)" != "$state" ] || return 0
    cp "$root/Cargo.lock" "$checkout"
    (cd "$checkout" && cargo update --quiet --package tch --precise "$tch_version") ||
        die "cargo could not choose tch $tch_version; Cargo.toml accepts $(sed -n 's/^tch = "\(.*\)"/\1/p' "$root/Cargo.toml")"
    echo "$state" >"$checkout/.lock-of"
}

install_torch() {
    local wheels=$torch_folder/wheels from
    say "installing libtorch for $torch (1 to 10 minutes)"
    "${python:-python3}" -m venv "$torch_folder/venv"
    "$torch_folder/venv/bin/python3" -m pip install --quiet --disable-pip-version-check --no-deps \
        --target "$wheels" -r "$1"
    if [ "$torch" = cuda ]; then
        # Side by side as pip lays them: the libraries find each other by relative paths.
        mv "$wheels/torch" "$wheels/nvidia" "$torch_folder"
    else
        from=$wheels/torch/lib
        mkdir -p "$libtorch/lib"
        mv "$wheels/torch/include" "$libtorch"
        mv "$from/libtorch_cpu.so" "$from/libc10.so" "$from/libgomp.so.1" \
            "$wheels"/nvidia/cu13/lib/{libcudart.so.13,libcupti.so.13} "$libtorch/lib"
        # In place of the library that would pull in libtorch_cuda.so.
        echo 'INPUT(-ltorch_cpu)' >"$libtorch/lib/libtorch.so"
    fi
    echo "$torch_version" >"$libtorch/build-version"
    rm -rf "$wheels" "$torch_folder/venv"
}
