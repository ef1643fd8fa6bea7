"""What several benchmarks measure with: the time of a call, and a server that has come up."""

from __future__ import annotations

import subprocess
import time
import urllib.request
from collections.abc import Callable


def seconds(work: Callable[[], object]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def wait_for(url: str, served: subprocess.Popen[bytes]) -> None:
    """Return once the address answers; SystemExit if its process ends before."""
    while served.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5) as page:
                page.read()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"the app ended with status {served.returncode}")
