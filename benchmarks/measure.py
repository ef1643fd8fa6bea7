"""What several benchmarks measure with: the time of a call, and a server that has come up."""

from __future__ import annotations

import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any


def seconds(work: Callable[[], object]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def wait_for(url: str, served: subprocess.Popen[Any], *, or_starting: bool = False) -> None:
    """Return once the address answers, or only says that the app is starting.

    Raises:
        SystemExit: If its process ends before.
    """
    while served.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5) as page:
                page.read()
            return
        except OSError as error:
            if or_starting and isinstance(error, urllib.error.HTTPError):
                return
            time.sleep(0.1)
    raise SystemExit(f"the app ended with status {served.returncode}")
