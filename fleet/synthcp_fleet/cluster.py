"""The tasks on Ray: on this machine, or on a cluster."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

from . import bag as task
from .errors import Interrupted
from .plan import Bag


@dataclass(frozen=True)
class Workers:
    address: str | None  # None is this machine alone
    count: int
    cpus: int  # a task
    gpus: float  # a task
    retries: int  # of a task, after its worker died, or its bag could not be fetched


def run(bags: list[Bag], how: task.How, workers: Workers) -> Iterator[task.Done | task.Failed]:
    """Replays all of them, in whatever order they end."""
    # Nothing is told to anybody unless the user says so.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    if workers.address is None:
        ray.init(
            address="local",
            num_cpus=workers.count * workers.cpus,
            include_dashboard=False,
            # Results are a few bytes.
            object_store_memory=100 << 20,
            log_to_driver=False,
            logging_level="ERROR",
        )
    else:
        ray.init(address=workers.address, log_to_driver=False, logging_level="ERROR")
    try:
        replay = ray.remote(task.replay).options(
            num_cpus=workers.cpus,
            num_gpus=workers.gpus,
            max_retries=workers.retries,
            retry_exceptions=[Interrupted, OSError],
        )
        waiting = {replay.remote(bag, how): bag for bag in bags}
        while waiting:
            ready, _ = ray.wait(list(waiting), timeout=1.0)
            for reference in ready:
                bag = waiting.pop(reference)
                try:
                    yield ray.get(reference)
                except ray.exceptions.RayError as error:
                    why = str(error).strip().splitlines()[-1]
                    yield task.Failed(bag, f"no attempt of {workers.retries + 1} came to its end: {why}")
    finally:
        ray.shutdown()
