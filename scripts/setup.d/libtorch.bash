# shellcheck shell=bash
# Sourced by scripts/setup: which libtorch, and where it comes from.
# Sets torch (own, cpu or cuda) and libtorch, its folder.
# shellcheck disable=SC2034,SC2154  # shared with scripts/setup

choose_torch() {
    if [ -n "${LIBTORCH_USE_PYTORCH:-}" ]; then
        LIBTORCH=$(python3 -c 'from importlib.util import find_spec; print(find_spec("torch").submodule_search_locations[0])' 2>/dev/null) ||
            die "LIBTORCH_USE_PYTORCH is set but python3 has no torch"
    fi
    if [ -n "${LIBTORCH:-}" ] && [[ $LIBTORCH != "$prefix"/libtorch-* ]]; then
        torch=own libtorch=$LIBTORCH
        [ -d "$libtorch/lib" ] || die "LIBTORCH is $libtorch, which has no folder lib"
        chosen "libtorch as given, $libtorch"
        return
    fi
    torch=${SYNTHCP_TORCH:-$(nvidia-smi -L >/dev/null 2>&1 && echo cuda || echo cpu)}
    [[ $torch =~ ^(cpu|cuda)$ ]] || die "SYNTHCP_TORCH is $torch: should be cpu or cuda"
    local pins=$scripts/requirements-torch-$torch.txt
    torch_version=$(sed -n 's/^torch==//p' "$pins")
    torch_folder=$prefix/libtorch-$torch_version-$torch-$(fingerprint "$(declare -f install_torch)" "$pins")
    libtorch=$torch_folder/torch
    chosen "libtorch $torch_version for $torch, $libtorch"
}

install_torch() {
    local wheels=$torch_folder/wheels from
    say "installing libtorch for $torch (1 to 10 minutes)"
    "${python:-python3}" -m venv "$torch_folder/venv"
    "$torch_folder/venv/bin/python3" -m pip install --quiet --disable-pip-version-check --no-deps \
        --target "$wheels" -r "$scripts/requirements-torch-$torch.txt"
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
