"""Replicas on Ray Serve: streams at once through the HTTP API, and one replica killed in mid-run.

    python -m benchmarks.serve [--replicas N] [--streams N] [--tokens N] [--port N]
        [--address HOST:PORT]

Starts `python -m lmsteer_core serve` in a process of its own. Each stream is OpenAI's own client
with a prompt's ε and seed of its own. The replica is killed once every stream has its first tokens.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import openai
import psutil

from benchmarks.measure import wait_for

PROMPT = "The old man by the river"


@dataclass
class Stream:
    """One client's text, as far as it came."""

    seed: int
    n_tokens: int
    pieces: list[str] = field(default_factory=list)
    error: str = ""
    is_whole: bool = False

    def read(self, url: str) -> None:
        """Read to the end, or to the error."""
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=600)
        try:
            for event in client.completions.create(
                model="embedded",
                prompt=PROMPT,
                max_tokens=self.n_tokens,
                seed=self.seed,
                stream=True,
                temperature=0.9,
                top_p=0.95,
                extra_body={"steer": {"sentiment": -2 + self.seed % 5}},
            ):
                self.pieces.append(event.choices[0].text)
                self.is_whole |= event.choices[0].finish_reason is not None
        except openai.APIError as error:
            self.error = error.message


def main() -> None:
    """Print which streams worked before, during and after a replica's death."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--streams", type=int, default=6)
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--port", type=int, default=7897)
    parser.add_argument("--address", help="a running Ray cluster of this machine")
    options = parser.parse_args()
    with serving(options) as url:
        print(f"before: {summary(*start(url, options))}")
        threads, streams = begin(url, options)
        while not all(len(stream.pieces) > 2 or stream.error for stream in streams):
            time.sleep(0.05)
        old = running()
        old[0].kill()
        print(
            f"one of {len(old)} replicas killed; the streams under way: "
            f"{summary(*wait(threads, streams))}"
        )
        print(f"asked for at once after it: {summary(*start(url, options))}")
        while not set(running()) - set(old):
            time.sleep(0.2)
        print(f"with a new replica: {summary(*start(url, options))}")


def begin(url: str, options: argparse.Namespace) -> tuple[list[threading.Thread], list[Stream]]:
    """Begin all streams at once."""
    streams = [Stream(seed, options.tokens) for seed in range(options.streams)]
    threads = [threading.Thread(target=stream.read, args=(url,)) for stream in streams]
    for thread in threads:
        thread.start()
    return threads, streams


def start(url: str, options: argparse.Namespace) -> tuple[list[Stream], float]:
    """Run all streams at once to their ends."""
    return wait(*begin(url, options))


def wait(threads: list[threading.Thread], streams: list[Stream]) -> tuple[list[Stream], float]:
    """Return the streams once all have ended, and how long that took."""
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    return streams, time.perf_counter() - began


def summary(streams: list[Stream], seconds: float) -> str:
    """Return how many streams came to their end, and what the others were told."""
    n_pieces = sum(len(stream.pieces) for stream in streams)
    text = (
        f"{sum(s.is_whole for s in streams)} of {len(streams)} whole, "
        f"{n_pieces / seconds:.1f} tokens/s"
    )
    for error, n in Counter(stream.error for stream in streams if stream.error).items():
        text += f"; {n} lost: “{error}”"
    return text


def running() -> list[psutil.Process]:
    """Return the replicas' processes on this machine."""
    found = psutil.process_iter(["cmdline"])
    return [
        process for process in found if "ServeReplica" in " ".join(process.info["cmdline"] or [])
    ]


@contextmanager
def serving(options: argparse.Namespace) -> Iterator[str]:
    """Serve the app over replicas in a process of its own and return its address."""
    url = f"http://127.0.0.1:{options.port}"
    command = ["serve", "--replicas", str(options.replicas), "--port", str(options.port)]
    command += ["--address", options.address] if options.address else []
    served = subprocess.Popen(
        [sys.executable, "-m", "lmsteer_core", *command], stdout=subprocess.DEVNULL
    )
    try:
        wait_for(f"{url}/v1/models", served)
        yield url
    finally:
        served.send_signal(signal.SIGINT)
        served.wait()


if __name__ == "__main__":
    main()
