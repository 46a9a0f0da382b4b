"""Running many jobs at once, with Dask: on this machine's cores or on a cluster's workers.

A worker only starts boxes and reads what comes out of them; a student's code never runs in a worker.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import dask
from distributed import Client, KilledWorker, LocalCluster, as_completed

from llmlabs.errors import CourseError
from llmlabs.grade.jobs import Job, Record, run_job

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@contextmanager
def cluster_client(workers: int, scheduler: str = "") -> Iterator[Client]:
    """A Dask client: of `scheduler`, or of a cluster of processes on this machine that only this machine can reach.

    Args:
        workers: processes on this machine, if there is no scheduler.
        scheduler: the address of a running scheduler: tls://HOST:PORT, or tcp:// on this machine.

    Raises:
        CourseError: if the address is neither on this machine nor TLS, or nobody answers there. Dask's plain TCP has no
            password, and whoever reaches it can run code as the grader.
    """
    if scheduler:
        address = urlsplit(scheduler if "://" in scheduler else f"tcp://{scheduler}")
        if address.scheme != "tls" and address.hostname not in LOOPBACK:
            raise CourseError(
                f"{scheduler} is neither tls:// nor on this machine, so others could read and forge grades on the way.",
                "Start the scheduler and workers with TLS (see docs/engine.md) and name it as tls://HOST:PORT.",
            )
        try:
            with Client(scheduler, timeout=10) as client:
                yield client
        except (OSError, TimeoutError) as error:
            raise CourseError(
                f"No Dask scheduler answers at {scheduler}.", "Start one, or leave --scheduler out."
            ) from error
        return
    with (
        tempfile.TemporaryDirectory(prefix="llmlabs-dask-") as folder,
        # a worker waits for the kernels it started; its own memory stays small
        dask.config.set({"distributed.worker.memory.terminate": False}),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            local_directory=folder,
            silence_logs=50,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def run_in_pool(
    jobs: list[Job],
    done: Callable[[Job, Record], None],
    failed: Callable[[Job, str], None],
    *,
    workers: int | None = None,
    scheduler: str = "",
) -> None:
    """Run jobs on a pool of workers.

    Args:
        jobs: what to run.
        done: called in this process with each job and its record, as they arrive.
        failed: called with a job that could not be run through no fault of the student, and why; it has no score.
        workers: processes on this machine; default: one per core.
        scheduler: the address of a Dask scheduler; default: a cluster on this machine.
    """
    workers = max(1, min(workers or os.cpu_count() or 1, len(jobs)))
    with cluster_client(workers, scheduler) as client:
        futures = {}
        for job in jobs:
            # pure=False: two students may hand in the same bytes
            resources = {"GPU": 1} if job.settings.gpu else None
            futures[client.submit(run_job, job, pure=False, resources=resources, retries=1)] = job
        for future in as_completed(futures):
            job = futures.pop(future)
            try:
                record = future.result()
            except KilledWorker:
                failed(job, "the worker that ran it died several times")
            except Exception as error:
                failed(job, f"the grader failed: {type(error).__name__}: {error}")
            else:
                done(job, record)
