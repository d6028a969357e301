"""Memory that is kept needs no new pages; an environment that settles the allocator is left alone."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

COUNT_PAGES = """
import resource, torch
from graphpose.engine.allocator import keep_freed_memory
print(keep_freed_memory())
def pages():
    start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.empty(64 * 2**20, dtype=torch.uint8).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - start
pages()
print(pages())
"""


def run(environment: dict[str, str]) -> tuple[bool, int]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD"))}
    done = subprocess.run(
        [sys.executable, "-c", COUNT_PAGES], capture_output=True, text=True, check=True, env=clean | environment
    )
    kept, pages = done.stdout.split()
    return kept == "True", int(pages)


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="this C library is not glibc; its allocator is left alone"
)
def test_kept_memory_is_used_again() -> None:
    kept, pages = run({})
    assert kept
    assert pages < 1000, "one 64 MiB block has 16,384 pages"


def test_an_environment_that_settles_the_allocator_is_left_alone() -> None:
    kept, pages = run({"MALLOC_TRIM_THRESHOLD_": "131072"})
    assert not kept
    if platform.libc_ver()[0] == "glibc":
        assert pages >= 20 * 64 * 2**20 / 2**21, "64 MiB blocks go back to the system each time (huge pages at best)"
