"""`fleet run` and `fleet reduce`."""

import argparse
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from . import bag as task
from . import cluster, plan, reduce, store
from .errors import Interrupted, Wrong

_RETRIES = 3


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fleet", description="Many recordings through synthcp replay.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="replays what is not yet replayed, then reduces")
    run.add_argument("bags", nargs="*", help="paths or URLs, patterns too: 's3://bucket/drives/*'")
    run.add_argument("--list", type=Path, help="a file that names one more bag a line")
    run.add_argument("--out", required=True, help="folder or URL of the results; a run goes on where one was stopped")
    run.add_argument("--bundle", required=True, help="folder of the bundle, at the same place on every machine")
    run.add_argument("--synthcp", default="synthcp", help="the program, at the same place on every machine")
    run.add_argument("--address", help="a Ray cluster, such as auto or ray://head:10001; without, this machine alone")
    run.add_argument("--serial", action="store_true", help="one after the other in this process, without Ray")
    run.add_argument("--workers", type=int, default=2, help="bags at once on this machine (2)")
    run.add_argument("--cpus", type=int, default=1, help="cores, and threads of the networks, for each bag (1)")
    run.add_argument("--gpus", type=float, default=0, help="GPUs for each bag, 0.25 for four bags on one (0)")
    run.add_argument("--retries", type=int, default=_RETRIES, help=f"more attempts for a bag whose worker died ({_RETRIES})")
    run.add_argument("--timeout", type=float, help="seconds for a bag, after which it has failed; without, no limit")
    run.add_argument("--keep", action="store_true", help="keeps what synthcp replay wrote of each bag")
    run.add_argument("--topic", help="the camera's topic; needed where a bag has several")
    run.add_argument("--every", type=int, default=1, help="assesses one frame of so many (1)")
    run.add_argument("--device", default="auto", help="auto, cpu or cuda")
    run.add_argument("--precision", default="auto", help="auto, fp32, bf16 or fp16")
    one = commands.add_parser("reduce", help="one report of all bags: fleet.json, timing.json, fleet.md")
    one.add_argument("out", help="folder or URL of the results")
    return parser


def _version(synthcp: str) -> str:
    try:
        answer = subprocess.run([synthcp, "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Wrong(f"{synthcp} does not run: {error}; --synthcp names the program") from error
    return answer.stdout.strip()


def _patterns(arguments: argparse.Namespace) -> list[str]:
    if arguments.list is None:
        return arguments.bags
    try:
        listed = arguments.list.read_text().splitlines()
    except OSError as error:
        raise Wrong(f"--list: {error}") from error
    return [*arguments.bags, *(line.strip() for line in listed if line.strip())]


def _serial(bags: list[plan.Bag], how: task.How) -> Iterator[task.Done | task.Failed]:
    for bag in bags:
        try:
            yield task.replay(bag, how)
        except (Interrupted, OSError) as error:
            yield task.Failed(bag, str(error))


def _run(arguments: argparse.Namespace) -> int:
    for name in ("workers", "cpus", "every"):
        if getattr(arguments, name) < 1:
            raise Wrong(f"--{name} is {getattr(arguments, name)}, at least 1 is needed")
    if arguments.retries < 0 or arguments.gpus < 0:
        raise Wrong("--retries and --gpus are not negative")
    topic = ["--topic", arguments.topic] if arguments.topic else []
    options = {"every": arguments.every, "device": arguments.device, "precision": arguments.precision}
    replay = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    replay += ["--threads", str(arguments.cpus), *topic]
    out = store.absolute(arguments.out)
    settings = plan.Settings(_version(arguments.synthcp), plan.bundle_sha256(arguments.bundle), replay)
    planned = plan.make(out, settings, _patterns(arguments))
    planned.write(out)
    todo = reduce.missing(out, planned)

    synthcp, bundle = arguments.synthcp, str(Path(arguments.bundle).absolute())
    synthcp = str(Path(synthcp).absolute()) if "/" in synthcp else synthcp
    how = task.How(synthcp, bundle, replay, out, arguments.timeout, arguments.keep)
    workers = cluster.Workers(
        arguments.address, arguments.workers, arguments.cpus, arguments.gpus, arguments.retries
    )
    results = _serial(todo, how) if arguments.serial else cluster.run(todo, how, workers)
    frames, failed = 0, 0
    with tqdm(total=len(planned.bags), initial=len(planned.bags) - len(todo), unit="bag") as bar:
        for result in results if todo else ():
            match result:
                case task.Done(lost=lost):
                    frames += result.frames
                    if lost:
                        bar.write(f"{result.bag.url}: {lost} parts could not be read", file=sys.stderr)
                case task.Failed(bag, why):
                    failed += 1
                    bar.write(f"{bag.url}: {why}", file=sys.stderr)
            bar.update()
            bar.set_postfix(frames=frames, failed=failed)
    return _reduce(out)


def _reduce(out: str) -> int:
    planned = plan.read(out)
    if planned is None:
        raise Wrong(f"{out} has no {plan.PLAN}: it is no result of fleet run")
    fleet = reduce.write(out, planned)
    undone = len(fleet.failed) + len(fleet.missing)
    print(f"bags       {len(fleet.facts)} replayed of {len(planned.bags)}")
    print(f"frames     {sum(facts.frames for facts in fleet.facts)}")
    print(f"level      {', '.join(f'{count} {name}' for name, count in fleet.figures.totals('level').items())}")
    print(f"report     {store.join(out, reduce.REPORT)}, {store.join(out, reduce.PAGE)}")
    if undone:
        print(f"fleet: {undone} bags are not in the figures, see {reduce.PAGE}", file=sys.stderr)
        return 1
    if fleet.lost:
        print(f"fleet: done; {fleet.lost} parts of recordings could not be read", file=sys.stderr)
        return 3
    return 0


def _stop(*_) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Exit codes: 0 done; 1 bags failed; 2 wrong arguments; 3 done, but data were lost; 130 stopped."""
    arguments = _arguments().parse_args()
    signal.signal(signal.SIGTERM, _stop)
    try:
        return _run(arguments) if arguments.command == "run" else _reduce(store.absolute(arguments.out))
    except Wrong as error:
        print(f"fleet: {error}", file=sys.stderr)
        return 2
    except (OSError, ValueError) as error:
        print(f"fleet: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("fleet: stopped; the same command goes on from here", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
