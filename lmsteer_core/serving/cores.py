"""How replicas share the cores of machines; apart from Ray, which takes seconds to import."""

from __future__ import annotations

from collections.abc import Sequence

from lmsteer_core.errors import InputError


def share_of_cores(nodes: Sequence[float], n: int) -> int:
    """Return how many cores each of n replicas can have, whole and on one machine.

    Args:
        nodes: Cores of each machine.
        n: Replicas.

    Raises:
        InputError: If there is not one core for each.
    """
    for share in range(int(max(nodes, default=0)), 0, -1):
        if sum(int(cores) // share for cores in nodes) >= n:
            return share
    raise InputError(f"{n} replicas need a core each, and there are {sum(nodes):g}; ask for fewer.")
