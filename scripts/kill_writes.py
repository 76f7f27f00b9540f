"""What scripts/kill_writes runs. Each writer is started, killed at a moment that the seed tells, and looked after:
what is under a final name must be whole, and the next start must go on to the end."""

import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
SYNTHCP = os.environ.get("SYNTHCP", ROOT / "target" / "release" / "synthcp")
RECIPE = """
working_size: [64, 128]
segmentation: {architecture: deeplab, encoder: {name: resnet, width: 4, blocks: [1, 1, 1, 1]}, pyramid: 8, rates: [1, 2, 3]}
segmentation_steps: 1000000
folds: 2
fold_steps: 2
degraded: false
synthesis: {architecture: spade, ngf: 2, hidden: 4, upsampling: normal}
discriminator_width: 4
synthesis_steps: 2
comparison: {architecture: joint, width: 4, squeeze: 4, prior: true}
comparison_steps: 2
batch: [2, 4, 2]
rate: [0.001, 0.0004, 0.001]
seed: 1
"""

# The node writes as well, and needs ROS beside it.
RECORDINGS = "recordings"

# The writer that is killed, and the start after it where that is another one.
WRITERS = {
    "bundle": ("bundle calibrate --bundle bundle --data data", None),
    "checkpoint": (
        "train segmentation --recipe recipe.yaml --data data --slice 0..12 --device cpu --precision fp32 --resume "
        "--steps 40",
        "train segmentation --recipe recipe.yaml --data data --slice 0..12 --device cpu --precision fp32 --resume "
        "--steps 41",
    ),
    "results": ("evaluate --bundle bundle --data data --device cpu --out results", None),
    "replay": ("replay drive.mcap --topic /image --bundle bundle --device cpu --out replayed --resume", None),
}


def start(folder, arguments):
    """A process of synthcp."""
    return subprocess.Popen([SYNTHCP, *arguments.split()], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def done(folder, arguments):
    """A process that must end well; gives the seconds that it took."""
    begin = time.monotonic()
    process = start(folder, arguments)
    said = process.communicate()[1].decode()
    if process.returncode:
        raise AssertionError(f"synthcp {arguments}: exit {process.returncode}: {said[-500:]}")
    return time.monotonic() - begin


def half_written(folder):
    """Files under a final name that are not whole. A journal and lines that are still written end where they end."""
    found = []
    for file in folder.rglob("*"):
        try:
            if file.suffix == ".json":
                json.loads(file.read_bytes())
            elif file.suffix == ".safetensors":
                data = file.read_bytes()
                header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
                end = max(tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__")
                assert 8 + int.from_bytes(data[:8], "little") + end == len(data)
            elif file.suffix == ".html":
                assert file.read_text().rstrip().endswith("</html>")
            elif file.suffix == ".png" and file.is_file():
                assert file.read_bytes().endswith(b"IEND\xaeB`\x82")
        except (ValueError, AssertionError) as error:
            found.append(f"{file.relative_to(folder)}: {error}")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("writers", nargs="*", metavar="WRITER", help=f"only these: {', '.join([*WRITERS, RECORDINGS])}")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    draw, bad = random.Random(arguments.seed), 0
    chosen = arguments.writers or [*WRITERS, RECORDINGS]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "recipe.yaml").write_text(RECIPE)
        done(folder, "street render --size 128x64 --frames 110 --rate 5 --out data --bag drive.mcap")
        done(folder, "bundle random --out bundle")
        for writer in [writer for writer in chosen if writer != RECORDINGS]:
            kill, after = WRITERS[writer]
            took = done(folder, kill)
            killed = unhurt = 0
            for _ in range(arguments.times):
                process = start(folder, kill)
                time.sleep(draw.uniform(0, took))
                ended = process.poll() is not None
                process.kill()
                process.communicate()
                killed += not ended
                wrong = half_written(folder)
                try:
                    done(folder, after or kill)
                except AssertionError as error:
                    wrong.append(str(error))
                unhurt += not wrong
                for what in wrong:
                    print(f"  {writer}: {what}", file=sys.stderr)
                # A checkpoint or a replay that is complete would not be written again.
                for rest in ("work", "replayed"):
                    subprocess.run(["rm", "-rf", folder / rest], check=True)
            left = sorted(file.name for file in folder.rglob("*.part"))
            print(f"{writer:<11} killed {killed} of {arguments.times}, whole {unhurt}, {took:.1f} s undisturbed, left: "
                  f"{', '.join(left) or 'nothing'}", flush=True)
            bad += arguments.times - unhurt
    if RECORDINGS in chosen:
        times = ["--times", str(arguments.times), "--seed", str(arguments.seed)]
        bad += subprocess.run([sys.executable, ROOT / "tests/ros/kill_recorder.py", *times]).returncode
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
