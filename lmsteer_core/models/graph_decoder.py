"""Writing on a CPU with OpenVINO: a model as a graph, with a cache in blocks that rows take.

Attention reads each row's own blocks, so no row is padded and none sees another's. Products round
the same for any number of tokens but one, so a token that is alone is read with a second one, which
nobody looks at. Attention rounds one token of a text otherwise than several, so a prompt is read in
pieces of several, and its last token singly as all that follow: a row's text does not depend on its
company.

Several threads may use one decoder: an engine writes texts while a training writes others.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lmsteer_core.models.decoder import Output
from lmsteer_core.models.graph import GRAPH_FILE
from lmsteer_core.models.probe import positions

_BLOCK = 32
"""Tokens of a block; OpenVINO's on CPUs."""

_FIRST_BLOCKS = 32

_EXACTNESS = {
    "INFERENCE_PRECISION_HINT": "f32",
    "KV_CACHE_PRECISION": "f32",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": "32",
    "PERFORMANCE_HINT": "LATENCY",
}


class _Line:
    """A row's blocks, which are free again when nobody holds it any more."""

    def __init__(self, pool: _Pool) -> None:
        self.blocks: list[int] = []
        self.n_tokens = 0
        weakref.finalize(self, pool.free.extend, self.blocks)


class _Pool:
    """All rows' keys and values, in tensors of n blocks that grow; its lock is held by its users.

    Attributes:
        free: The blocks that belong to no line.
        lock: Held by whoever takes blocks or computes with them.
    """

    def __init__(self, compiled: Any, request: Any) -> None:
        self._request = request
        self.lock = threading.RLock()
        self._inputs = [
            (
                port.get_any_name(),
                port.element_type,
                [d.get_length() for d in port.partial_shape[1:]],
            )
            for port in compiled.inputs
            if "cache." in port.get_any_name()
        ]
        self._tensors: list[Any] = []
        self.free: list[int] = []
        self._grow(_FIRST_BLOCKS)

    def extend(self, line: _Line, n_tokens: int) -> None:
        """Let a line have room for some tokens."""
        n_missing = -(-n_tokens // _BLOCK) - len(line.blocks)
        if n_missing > len(self.free):
            n_blocks = self._tensors[0].shape[0]
            self._grow(max(n_blocks + n_missing, n_blocks * 3 // 2))
        for _ in range(n_missing):
            line.blocks.append(self.free.pop())

    def copied(self, line: _Line) -> _Line:
        """Return a line with the same keys and values in blocks of its own."""
        twin = _Line(self)
        self.extend(twin, line.n_tokens)
        twin.n_tokens = line.n_tokens
        for tensor in self._tensors:
            tensor.data[twin.blocks] = tensor.data[line.blocks[: len(twin.blocks)]]
        return twin

    def _grow(self, n_blocks: int) -> None:
        import openvino as ov

        n_old = self._tensors[0].shape[0] if self._tensors else 0
        for i, (name, kind, shape) in enumerate(self._inputs):
            tensor = ov.Tensor(kind, [n_blocks, *shape])
            tensor.data[n_old:] = 0
            if n_old:
                tensor.data[:n_old] = self._tensors[i].data
            self._tensors[i : i + 1] = [tensor]
            self._request.set_tensor(name, tensor)
        self.free.extend(range(n_old, n_blocks))


class GraphCache:
    """Lines of a pool."""

    can_be_joined = True

    def __init__(self, pool: _Pool, lines: list[_Line]) -> None:
        """Hold some lines of a pool."""
        self.lines = lines
        self._pool = pool

    def select(self, index: Sequence[int]) -> None:
        """Keep some lines; one that is named again is copied."""
        taken: set[int] = set()
        lines = []
        with self._pool.lock:
            for i in index:
                lines.append(self._pool.copied(self.lines[i]) if i in taken else self.lines[i])
                taken.add(i)
        self.lines = lines

    def crop(self, n_columns: int) -> None:
        """Do nothing: no padding is kept."""

    def absorb(self, others: Sequence[GraphCache], n_columns: int) -> None:  # noqa: ARG002
        """Take in the lines of others."""
        self.lines += [line for other in others for line in other.lines]


class GraphDecoder:
    """Runs a model's graph on the CPU, in float32 with 8-bit activations."""

    pads = False
    rounds_singly = True

    def __init__(self, folder: Path) -> None:
        """Load a graph, for as many threads as torch has.

        Args:
            folder: What `graph_folder` returned.
        """
        import openvino as ov

        core = ov.Core()
        graph = _paged(core.read_model(folder / GRAPH_FILE))
        threads = {"INFERENCE_NUM_THREADS": str(torch.get_num_threads())}
        compiled = core.compile_model(graph, "CPU", {**_EXACTNESS, **threads})
        self._request = compiled.create_infer_request()
        self._pool = _Pool(compiled, self._request)

    def read(self, ids: Tensor, mask: Tensor, cache: GraphCache | None) -> Output:
        """Read tokens on from a cache; arguments as for `Decoder.read`."""
        n_rows, n_new = ids.shape
        lines = cache.lines if cache else [_Line(self._pool) for _ in range(n_rows)]
        is_new = mask[:, -n_new:].bool()
        places = positions(mask)[:, -n_new:]
        reads = [
            (line, ids[i][is_new[i]].tolist(), places[i][is_new[i]].tolist())
            for i, line in enumerate(lines)
        ]
        if sum(len(tokens) for _, tokens, _ in reads) == 1:
            reads.append((_Line(self._pool), [0], [0]))
        with self._pool.lock:
            outputs = self._infer(reads)
            product, hidden = (torch.from_numpy(each[:n_rows].copy()) for each in outputs)
        for line, tokens, _ in reads[:n_rows]:
            line.n_tokens += len(tokens)
        return Output(product, hidden, cache or GraphCache(self._pool, lines))

    def _infer(self, reads: Sequence[tuple[_Line, list[int], list[int]]]) -> tuple[Any, Any]:
        """Return E h and h of each line's last token; of a line that reads none, anything."""
        ids, places, past, blocks = [], [], [], []  # type: list[int], list[int], list[int], list[int]
        begins, block_begins, wanted, longest = [0], [0], [], 1
        for line, tokens, at in reads:
            wanted.append(max(0, len(ids) + len(tokens) - 1))
            if not tokens:
                continue
            self._pool.extend(line, line.n_tokens + len(tokens))
            ids += tokens
            places += at
            past.append(line.n_tokens)
            begins.append(len(ids))
            blocks += line.blocks
            block_begins.append(len(blocks))
            longest = max(longest, line.n_tokens + len(tokens))
        inputs = {"input_ids": ids, "position_ids": places, "wanted": wanted}
        small = {
            "past_lens": past,
            "subsequence_begins": begins,
            "block_indices": blocks,
            "block_indices_begins": block_begins,
            "max_context_len": longest,
        }
        self._request.infer(
            {
                **{name: np.array(values, np.int64) for name, values in inputs.items()},
                **{name: np.array(values, np.int32) for name, values in small.items()},
            }
        )
        return self._request.get_tensor("product").data, self._request.get_tensor("hidden").data


def _paged(graph: Any) -> Any:
    """Return a graph that reads many rows' tokens one behind the other, its cache in blocks."""
    from openvino import opset13 as op
    from openvino._offline_transformations import paged_attention_transformation

    paged_attention_transformation(graph)
    # Only the last tokens of rows reach the output embedding.
    result = graph.output("hidden").get_node().input(0)
    hidden = result.get_source_output()
    wanted = op.parameter([-1], np.int64, name="wanted")
    wanted.output(0).get_tensor().set_names({"wanted"})
    users = list(hidden.get_target_inputs())
    chosen = op.gather(hidden, wanted, op.constant(0))
    for user in users:
        user.replace_source_output(chosen.output(0))
    graph.add_parameters([wanted])
    graph.validate_nodes_and_infer_types()
    return graph
