"""What is checked on a machine with a GPU; `run` starts it. See README.md."""

import argparse
import json
import os
import pathlib
import platform
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import threading
import time

from compare import compare
from harness import Absent, Harness, OutOfTime, kill

HERE = pathlib.Path(__file__).resolve().parent
PRECISIONS = ("fp16", "bf16", "fp32")


class Pack:
    """What was sent, unpacked, and what was asked for."""

    def __init__(self, arguments, folder):
        self.device, self.short, self.folder = arguments.device, arguments.short, folder
        self.gpu = self.device != "cpu"
        self.program = folder / "synthcp"
        beside = (folder / "models", HERE.parents[1] / "models")
        self.models = next((models for models in beside if models.is_dir()), None)
        self.frames = sorted((folder / "frames/images").glob("*"))
        if self.short:
            self.frames = self.frames[:2]

    def bundles(self):
        """The bundles; the one of the paper's data set first."""
        if self.models is None:
            raise Absent("no models: neither models.tar.xz nor ../../models is there")
        names = ("cityscapes",) if self.short else ("cityscapes", "street")
        return {name: self.models / name for name in names if (self.models / name).is_dir()}

    def synthcp(self, *arguments):
        """A command line of the program."""
        return [self.program, *arguments]

    def data(self):
        """The arguments for as many frames as are used."""
        if not self.frames:
            raise Absent("the pack has no frames")
        return ["--data", self.folder / "frames", "--slice", f"0..{len(self.frames)}"]


def device(pack):
    """Whether the device asked for is found, and what the machine is."""

    def work(harness, result):
        code, out, err = harness.command(pack.synthcp("devices", "--json"))
        if code != 0:
            raise RuntimeError(err.strip()[-300:])
        found = json.loads(out)
        result["devices"] = found
        gpus = [f"{gpu['device']} {gpu['name']}, {gpu['memory'] / 2**30:.0f} GiB" for gpu in found["gpus"]]
        harness.results["machine"] = {
            "GPU": ", ".join(gpus) or f"none: {found['no_gpu']}",
            "driver": found["driver"],
            "CPU": f"{found['cpu']['name']}, {found['cpu']['cores']} cores, {' '.join(found['cpu']['features'])}",
            "libtorch": f"{found['libtorch']['version']} {found['libtorch']['cuda']}",
            "auto takes": f"{found['auto']['device']} in {found['auto']['precision']}",
            "built": " / ".join((pack.folder / "built.txt").read_text().splitlines()),
            "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        }
        return bool(gpus) == (found["no_gpu"] is None) and (bool(gpus) or not pack.gpu)

    return work


def parity(pack):
    """The golden outputs of the public networks, in fp32 and as the monitor runs them."""

    def work(harness, result):
        precisions = PRECISIONS if pack.gpu else ("fp32", "bf16")
        fixtures = pack.folder / "parity"
        if not fixtures.is_dir():
            raise Absent("the pack has no fixtures")
        rows, ways = {}, [("fp32", True)]
        ways += [(precision, False) for precision in precisions if not pack.short]
        for precision, exact in ways:
            # By default libtorch's convolutions round fp32 to TF32 on a GPU.
            env = {"NVIDIA_TF32_OVERRIDE": "0"} if exact else {}
            arguments = ("weights", "verify", "--fixtures", fixtures, "--device", pack.device, "--json")
            _code, out, err = harness.command(pack.synthcp(*arguments, "--precision", precision), env)
            lines = [json.loads(line) for line in out.splitlines()]
            if not lines:
                raise RuntimeError(err.strip()[-300:])
            title = f"{precision}, no TF32" if exact and pack.gpu else precision
            for line in lines:
                row = rows.setdefault(line["fixture"], {"fixture": line["fixture"]})
                row[title] = line["reason"] or f"{line['difference']:.1e}{'' if line['passes'] else ' FAIL'}"
            passed = sum(line["passes"] for line in lines)
            result.setdefault("passed_of_12", {})[title] = passed
            # What comes as it is run is kept also if the next is cut short.
            result["tables"] = {"difference, as a share of the largest output": list(rows.values())}
            harness.write()
        counts = result["passed_of_12"]
        # fp32 with TF32 is for information.
        return all(count == 12 for title, count in counts.items() if not (pack.gpu and title == "fp32"))

    return work


def same_as_cpu(pack):
    """Both bundles on the frames: the device against the CPU in fp32."""

    def work(harness, result):
        rows, passed = [], True
        result["tables"] = {"against the CPU in fp32": rows}
        if not pack.frames:
            raise Absent("the pack has no frames")
        for name, bundle in pack.bundles().items():

            def monitor(device, precision):
                out = pack.folder / "out" / f"{name}-{device.replace(':', '')}-{precision}"
                arguments = ("--device", device, "--precision", precision, "--maps", "--out", out)
                code, _out, err = harness.command(
                    pack.synthcp("monitor", "--bundle", bundle, *arguments, *pack.frames)
                )
                if code != 0:
                    raise RuntimeError(f"{device} {precision}: {err.strip()[-300:]}")
                return out

            reference = monitor("cpu", "fp32")
            for precision in PRECISIONS if pack.gpu else ("bf16",):
                row = {"bundle": name, "precision": precision}
                try:
                    row.update(compare(monitor(pack.device, precision), reference))
                    # fp32 is held to the aim; what fewer bits cost is told.
                    if precision == "fp32" or precision == "fp16":
                        passed &= row["equal labels %"] >= 99.9
                    passed &= row["same levels"] >= row["frames"] - 1
                except (RuntimeError, ValueError, KeyError) as reason:
                    row["failed"], passed = str(reason), False
                rows.append(row)
                harness.write()
        return passed

    return work


def faults(pack):
    """What cannot be had is said in a line, and what went wrong once is tried again."""

    def work(harness, result):
        rows, passed = [], True
        result["tables"] = {"faults": rows}
        if not pack.frames:
            raise Absent("the pack has no frames")
        bundle = next(iter(pack.bundles().values()))

        def monitor(out, *arguments):
            return pack.synthcp("monitor", "--bundle", bundle, "--out", pack.folder / "out" / out, *arguments)

        def told(what, fine, line):
            nonlocal passed
            rows.append({"fault": what, "as it should": "yes" if fine else "NO", "said": line[-300:]})
            passed &= bool(fine)

        # Auto takes the CPU, and says why if there is a GPU it could have taken.
        code, _, err = harness.command(
            monitor("hidden", "--device", "auto", pack.frames[0]), {"CUDA_VISIBLE_DEVICES": ""}
        )
        line = next((line for line in err.splitlines() if "on Cpu" in line), err.strip())
        is_said = "CUDA_VISIBLE_DEVICES is ''" in line if pack.gpu else True
        told("CUDA_VISIBLE_DEVICES= with auto", code == 0 and "on Cpu" in line and is_said, line)
        code, _, err = harness.command(
            monitor("refused", "--device", "cuda", pack.frames[0]), {"CUDA_VISIBLE_DEVICES": ""}
        )
        told("CUDA_VISIBLE_DEVICES= with cuda", code == 2 and "cannot be had" in err, err.strip())
        code, _, err = harness.command(monitor("many", "--device", "cuda:77", pack.frames[0]))
        told("cuda:77", code == 2 and "cuda:77" in err, err.strip())
        if pack.gpu:
            harness.write()
            told("another process takes the memory in mid-run", *without_memory(harness, pack, monitor))
        return passed

    return work


HOG = """
import sys, time, torch
held, size = [], 1 << 32
while size >= 1 << 20:
    try:
        held.append(torch.empty(size, dtype=torch.uint8, device="cuda"))
    except torch.OutOfMemoryError:
        size //= 2
print("full", flush=True)
time.sleep(float(sys.argv[1]))
"""


def without_memory(harness, pack, monitor):
    """Takes all memory of the GPU while frames are assessed. Without the allocator's own store, a frame asks the
    driver for every tensor, and so notices."""
    frames = pack.frames * (100 if len(pack.frames) > 10 else 5)
    arguments = monitor("memory", "--device", pack.device, *frames)
    env = {**os.environ, "PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
    errors = open(pack.folder / "memory.err", "w+")
    child = subprocess.Popen(
        list(map(str, arguments)), stdout=subprocess.PIPE, stderr=errors, text=True, env=env, start_new_session=True
    )
    # The hog has its imports done before it is wanted.
    states, hog, began = [], None, None
    watchdog = threading.Timer(max(harness.left() - 3, 1), kill, [child])
    watchdog.start()
    try:
        for line in child.stdout:
            line = json.loads(line)
            states.append((line["validity"], line.get("reason")))
            if len(states) == 3:
                hog = subprocess.Popen([sys.executable, "-c", HOG, "4"], env=plain_environment(), start_new_session=True)
                began = time.monotonic()
            # Enough of the frames after it are seen.
            failed = sum(state != "OK" for state, _ in states)
            if failed and hog.poll() is not None and [state for state, _ in states[-5:]] == ["OK"] * 5:
                break
            if began and time.monotonic() - began > 40:
                break
    finally:
        watchdog.cancel()
        kill(child)
        child.wait()
        if hog and hog.poll() is None:
            kill(hog)
    words = [state for state, _ in states]
    reasons = {reason for state, reason in states if state == "FAILED"}
    harness.log.write(f"{len(words)} frames: {words}\n{reasons}\n{errors.read()[-2000:]}\n")
    line = next(iter(reasons), "no frame failed")
    fine = "FAILED" in words and words[-1] == "OK" and all("\n" not in reason for reason in reasons)
    return fine, f"{words.count('FAILED')} of {len(words)} frames FAILED, the last is {words[-1] if words else '-'}: {line}"


def plain_environment():
    """The environment as it was before `run` put libtorch's libraries into it."""
    env = dict(os.environ)
    env["LD_LIBRARY_PATH"] = env.pop("SYNTHCP_PLAIN_LD_LIBRARY_PATH", "")
    if not env["LD_LIBRARY_PATH"]:
        del env["LD_LIBRARY_PATH"]
    return env


def python_of(pack, seconds):
    """An interpreter for `bench --against`: Python in its own environment, which gives up after that time."""
    path = pack.folder / "python"
    plain = plain_environment().get("LD_LIBRARY_PATH", "")
    path.write_text(
        f'#!/bin/sh\nLD_LIBRARY_PATH="{plain}" exec "{sys.executable}" "$@" --seconds {seconds:.0f}\n'
    )
    path.chmod(0o755)
    return path


def bench_rows(subject, precision, benchmark):
    """A row of a benchmark: what a frame costs, and its stages."""
    by_stage = {stage["stage"]: stage["millis"] for stage in benchmark["stages"]}
    t = by_stage["segment_dense"]
    row = {"subject": subject, "precision": precision}
    for name, share in zip(("dense", "memoised, first", "memoised, next"), benchmark["anomaly_frame_t"]):
        row[f"frame {name}, ms"] = share * t
    row.update({stage: millis for stage, millis in by_stage.items()})
    row["difference of G memoised"] = f"{benchmark['difference']:.1e}"
    return row


def speed(pack):
    """What a frame costs, stage by stage, beside PyTorch with the same weights in the same run."""

    def work(harness, result):
        rows, ways, batches, streams = [], [], [], []
        result["tables"] = {
            "stages, ms (each waits for the GPU)": rows,
            "PyTorch, ms": ways,
            "whole frames as they come, with every map drawn": streams,
            "batches, ms": batches,
        }

        def bench(subject, precision, *arguments, limit=None):
            command = pack.synthcp("bench", "--device", pack.device, "--precision", precision, "--json", *arguments)
            code, out, err = harness.command(command, limit=limit)
            if code != 0:
                raise RuntimeError(f"{subject} {precision}: {err.strip()[-300:]}")
            found = json.loads(out)
            rows.append(bench_rows(subject, precision, found["benchmark"]))
            harness.write()
            return found["against"]

        first = "fp16" if pack.gpu else "auto"
        others = ("bf16", "fp32") if pack.gpu and not pack.short else ()
        reference = ("--reference", *pack.data())
        if pack.short:
            for name, bundle in pack.bundles().items():
                bench(name, first, "--bundle", bundle, *pack.data())
            return True
        # The most wanted first: a frame of the reference in fp16, and of each bundle.
        bench("reference", first, *reference)
        for name, bundle in pack.bundles().items():
            bench(name, first, "--bundle", bundle, *pack.data())
            code, out, _ = harness.command(
                pack.synthcp("bench", "--bundle", bundle, "--device", pack.device, "--soak", "100", "--json", *pack.data())
            )
            if code == 0:
                streams.append({"subject": name, "ms": json.loads(out)["soak"]["millis"]})
        python = python_of(pack, max(min(harness.left() - 50, 110), 5))
        one = ("--reference", "--data", pack.folder / "frames", "--slice", "0..4", "--against", python)
        try:
            for way in bench("reference, beside PyTorch", first, *one):
                m, g, f = way["millis"]
                frame = 2 * m + g + f
                ways.append({"way": way["way"], "M": m, "G": g, "F": f, "frame, M twice": frame,
                             "difference": f"{max(way['difference']):.1e}"})
        except (RuntimeError, OutOfTime) as reason:
            result.setdefault("notes", []).append(f"beside PyTorch: {reason}")
        for precision in others:
            bench("reference", precision, *reference)
            for name, bundle in pack.bundles().items():
                bench(name, precision, "--bundle", bundle, *pack.data())
        code, out, err = harness.command(
            pack.synthcp("bench", "--sweep", "1", "--device", pack.device, "--precision", first, "--json", *pack.data())
        )
        if code != 0:
            raise RuntimeError(f"batches: {err.strip()[-300:]}")
        for point in json.loads(out):
            height, width = point["size"]
            batches.append({"size": f"{width}x{height}", "classes": point["classes"], "batch": point["cameras"],
                            "M": point["segment"], "G": point["synthesize"], "F": point["compare"]})
        return True

    return work


CALLS = {
    "kernels started": re.compile(r"^cu(LaunchKernel|LaunchKernelEx|LaunchCooperativeKernel|GraphLaunch)"),
    "copies to the host": re.compile(r"^cuMemcpyDtoH"),
    "copies to the device": re.compile(r"^cuMemcpyHtoD"),
    "other copies": re.compile(r"^cuMemcpy(?!DtoH|HtoD)"),
    "memory set": re.compile(r"^cuMemset"),
    "waits": re.compile(r"^cu(StreamSynchronize|EventSynchronize|CtxSynchronize)"),
    "memory taken": re.compile(r"^cuMem(Alloc|Create)"),
}


def calls(pack):
    """Calls into the driver for a frame: the difference of two runs of different lengths."""

    def work(harness, result):
        rows = []
        result["tables"] = {"calls of CUDA's driver a frame": rows}
        if not pack.gpu:
            raise Absent("a CPU has no driver to call")
        for name, bundle in pack.bundles().items():

            def counted(frames):
                path = pack.folder / "calls.txt"
                path.unlink(missing_ok=True)
                env = {"CUDA_INJECTION64_PATH": str(pack.folder / "count_calls.so"), "SYNTHCP_CALLS": str(path)}
                code, out, err = harness.command(
                    pack.synthcp("bench", "--bundle", bundle, "--device", pack.device, "--soak", frames, "--json",
                                 *pack.data()), env
                )
                if code != 0 or not path.exists():
                    raise RuntimeError(f"no calls were counted: {err.strip()[-300:]}")
                counts = dict(line.rsplit(" ", 1) for line in path.read_text().splitlines())
                return json.loads(out)["soak"]["frames"], {call: int(count) for call, count in counts.items()}

            (few, before), (many, after) = counted("50"), counted("150")
            each = {call: (count - before.get(call, 0)) / (many - few) for call, count in after.items()}
            row = {"bundle": name}
            for what, pattern in CALLS.items():
                row[what] = round(sum(count for call, count in each.items() if pattern.match(call)), 2)
            rows.append(row)
            result.setdefault("calls", {})[name] = {call: round(count, 2) for call, count in each.items() if count}
            harness.write()
        return True

    return work


def memory(pack):
    """Many frames in a row: the host's memory and the GPU's stay as they are."""

    def work(harness, result):
        frames = {True: "20", False: "2000"}[pack.short]
        name, bundle = next(iter(pack.bundles().items()))
        used, done = [], threading.Event()

        def watch():
            ask = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
            while not done.wait(1):
                answer = subprocess.run(ask, capture_output=True, text=True, timeout=20)
                used.append(int(answer.stdout.split()[0]))

        watcher = threading.Thread(target=watch, daemon=True)
        if pack.gpu and shutil.which("nvidia-smi"):
            watcher.start()
        try:
            code, out, err = harness.command(
                pack.synthcp("bench", "--bundle", bundle, "--device", pack.device, "--soak", frames, "--json", *pack.data())
            )
        finally:
            done.set()
        if code != 0:
            raise RuntimeError(err.strip()[-300:])
        soak = json.loads(out)
        host = soak["soak"]["memory"]
        row = {"bundle": name, "frames": soak["soak"]["frames"], "ms each": soak["soak"]["millis"],
               "host, MB": f"{host[0]:.0f} to {host[-1]:.0f}", "growth, MB": soak["growth"]}
        # The second half: by then all that is kept is there.
        late = [value for value in used if value][len(used) // 2 : -1]
        if late:
            row["GPU, MiB"] = f"{late[0]} to {late[-1]}"
        result["gpu_memory"] = used
        result["tables"] = {"memory": [row]}
        flat = soak["growth"] < 50 and (not late or late[-1] - late[0] <= 64)
        if pack.short:
            raise Absent(f"ran, not judged: {frames} frames are too few to say that memory is flat")
        return flat

    return work


def metadata(path):
    """What a safetensors file says beside its tensors."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        return json.loads(file.read(length))["__metadata__"]


def training(pack):
    """Steps a second of M, G and F, on the device and on the CPU, and a checkpoint that goes from one to the other."""

    def work(harness, result):
        rows = []
        result["tables"] = {"training, steps a second": rows}
        if not any((pack.folder / "frames/labels").glob("*")):
            raise Absent("the pack has no labelled frames")
        size, batch = ("[64, 128]", 2) if pack.short else ("[256, 512]", 16)
        recipe = (pack.folder / "recipe.yaml").read_text()
        for name, value in {
            "working_size": size, "segmentation_crop": size, "fold_steps": 2, "folds": 2, "degraded": "false",
            "batch": [batch] * 3,
        }.items():
            recipe, changed = re.subn(rf"(?m)^{name}: .*$", f"{name}: {value}", recipe)
            if changed != 1:
                raise ValueError(f"the recipe has no line for {name}")
        # Frames that were packed may all be of one drive.
        recipe = re.sub(r"(?m)^folds_along: .*\n", "", recipe)
        # Nor is a second look trained, whose rows may be more than a small size has.
        recipe = re.sub(r"(?m)^  fovea:\n(?:    .*\n)+", "", recipe)
        path = pack.folder / "training.yaml"
        path.write_text(recipe.split("baselines:")[0])
        data = ["--data", pack.folder / "frames", "--recipe", path]

        def train(work, device, stage, steps, *arguments):
            folder = pack.folder / work
            code, _, err = harness.command(
                pack.synthcp("train", stage, *data, "--work", folder, "--device", device, "--steps", steps, *arguments)
            )
            if code != 0:
                raise RuntimeError(f"{stage} on {device}: {err.strip()[-300:]}")
            said = metadata(folder / stage / "checkpoint.safetensors")
            return int(said["step"]), float(said["seconds"])

        devices = [pack.device] if pack.device == "cpu" else [pack.device, "cpu"]
        for device in devices:
            row = {"device": device, "size": size, "batch": batch}
            rows.append(row)
            for stage in ("segmentation", "synthesis", "comparison"):
                on_gpu = device != "cpu"
                few, many = ("2", "4") if pack.short else ("10", "60") if on_gpu else ("1", "3")
                # From the difference of two lengths: the first steps choose algorithms and fill memory.
                step, seconds = train(f"work-{device.replace(':', '')}", device, stage, few)
                again, longer = train(f"work-{device.replace(':', '')}", device, stage, many)
                row[stage] = (again - step) / (longer - seconds) if longer > seconds else "nan"
                harness.write()
            if len(rows) == 1:
                step, _ = train(f"work-{device.replace(':', '')}", "cpu", "segmentation", str(again + 1), "--resume")
                there = step == again + 1
                step, _ = train(f"work-{device.replace(':', '')}", device, "segmentation", str(again + 2), "--resume")
                result["moves"] = there and step == again + 2
                result.setdefault("notes", []).append(
                    f"a checkpoint of {device} goes on on the CPU and back: {'yes' if result['moves'] else 'NO'}"
                )
        return result["moves"]

    return work


# Most valuable first, with the seconds that each may take.
PARTS = {
    "device": ("the device is found, or why not", 40, device),
    "parity": ("golden outputs of the public networks", 90, parity),
    "same": ("both bundles as on the CPU", 80, same_as_cpu),
    "speed": ("what a frame costs, beside PyTorch", 190, speed),
    "calls": ("kernels, copies and waits a frame", 40, calls),
    "faults": ("faults are told in a line and got over", 60, faults),
    "memory": ("2,000 frames, memory flat", 70, memory),
    "training": ("steps a second of training", 90, training),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu")
    parser.add_argument("--short", action="store_true", help="little of everything: a check of the checks")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("gpu-results"))
    parser.add_argument("--only", help=f"some of {','.join(PARTS)}")
    parser.add_argument("--seconds", type=float, default=480)
    arguments = parser.parse_args()
    wanted = arguments.only.split(",") if arguments.only else list(PARTS)
    for name in wanted:
        if name not in PARTS:
            parser.error(f"--only has {name}; {', '.join(PARTS)} are known")
    harness = Harness(arguments.out, arguments.seconds)
    with tempfile.TemporaryDirectory(prefix="synthcp-gpu-") as folder:
        folder = pathlib.Path(folder)
        for archive in ("load.tar.xz", "models.tar.xz"):
            if (HERE / archive).exists():
                # Newer versions of Python want to be told that nothing may be written elsewhere.
                careful = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
                with tarfile.open(HERE / archive) as packed:
                    packed.extractall(folder, **careful)
        pack = Pack(arguments, folder)
        for name in wanted:
            title, limit, work = PARTS[name]
            # A CPU takes longer for everything.
            harness.part(name, title, limit if pack.gpu else 4 * limit, work(pack))
    print((arguments.out / "results.md").read_text())
    parts = harness.results["parts"]
    absent = [name for name, part in parts.items() if part["status"] == "left out"]
    failed = [name for name, part in parts.items() if name not in absent and not part.get("passed")]
    print(f"{len(parts) - len(absent) - len(failed)} passed, {len(failed)} failed, {len(absent)} skipped")
    for word, names in (("failed", failed), ("skipped", absent)):
        if names:
            print(f"{word}: {', '.join(names)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
