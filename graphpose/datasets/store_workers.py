"""Jobs shared out among processes that die with the one that started them, however that one dies.

Each worker watches a pipe whose other end only the parent holds: when the parent is gone, kill -9 included, the pipe ends and
the worker leaves at once, so that nobody goes on writing and no lock outlives the work.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar, cast

import torch

from graphpose.errors import DataError

__all__ = ["run_jobs"]

Job = TypeVar("Job")
Result = TypeVar("Result")


def run_jobs(do: Callable[[Job], Result], jobs: Sequence[Job], workers: int) -> Iterator[Result]:
    """`do(job)` of every job, as they are done; in this process where `workers` is 1.

    `do` and the results have to be picklable. An exception of a job is raised here, and ends all workers.

    Raises:
        DataError: fewer than 1 worker, or a worker that was killed (by the system, when memory is short).
    """
    if workers < 1:
        raise DataError(f"expected at least 1 worker (got {workers})")
    if workers == 1 or len(jobs) <= 1:
        for job in jobs:
            yield do(job)
        return
    waiting = list(reversed(jobs))
    with _Crew(do, min(workers, len(jobs))) as crew:
        for link in crew.links:
            link.send(waiting.pop())
        busy = list(crew.links)
        while busy:
            for ready in wait(busy):
                link = cast(Connection, ready)
                try:
                    fine, result = link.recv()
                except (EOFError, ConnectionResetError):
                    raise DataError(
                        "a worker process was killed, perhaps because memory was short: run the same command again with "
                        "--workers 1; what is finished is kept"
                    ) from None
                if not fine:
                    raise result
                if waiting:
                    link.send(waiting.pop())
                else:
                    busy.remove(link)
                yield result


class _Crew:
    """The workers of one call; leaving the block ends them."""

    def __init__(self, do: Callable[[Any], Any], count: int) -> None:
        context = multiprocessing.get_context()
        self._watched, self._leash = context.Pipe(duplex=False)
        self.links: list[Connection] = []
        self._processes: list[BaseProcess] = []
        for _ in range(count):
            mine, theirs = context.Pipe()
            self.links.append(mine)
            # all that a fork would inherit of this process's ends is closed in the worker, or no pipe would ever end
            process = context.Process(
                target=_work, args=(do, theirs, self._watched, [self._leash, *self.links]), daemon=True
            )
            process.start()
            theirs.close()
            self._processes.append(process)

    def __enter__(self) -> _Crew:
        return self

    def __exit__(self, *exception: object) -> None:
        self._leash.close()  # ends all that still work
        for link in self.links:
            link.close()
        self._watched.close()
        for process in self._processes:
            process.join()


def _work(do: Callable[[Any], Any], link: Connection, watched: Connection, foreign: Sequence[Connection]) -> None:
    for connection in foreign:
        connection.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which ends the workers
    threading.Thread(target=_leave_with_parent, args=(watched,), daemon=True).start()
    torch.set_num_threads(1)
    while True:
        try:
            job = link.recv()
        except EOFError:
            return
        try:
            reply = True, do(job)
        except (OSError, MemoryError) as fault:
            reply = False, fault
        except Exception:
            reply = False, RuntimeError(f"in a worker process:\n{traceback.format_exc()}")
        link.send(reply)


def _leave_with_parent(watched: Connection) -> None:
    wait([watched])  # nothing is ever sent: it is ready when its other end is closed
    os._exit(1)
