"""A model as an OpenVINO graph whose weights have 4 bits where 4 bits say all, and 8 elsewhere.

The graph is traced from the model of transformers, with one output more: the last hidden state.
What a GGUF file keeps as `d · q + m`, with q from 0 to 15 for each 32 weights, can be read off the
weights exactly, so nothing is rounded anew. Its zero −m / d is no whole number, though, which the
integer kernels need: it is rounded, and what that changes is added back as a product with the sums
of 32 activations, one thirty-second of the arithmetic.

    python -m lmsteer_core.models.graph MODEL FOLDER DIGEST

converts in a process of its own, so that the one that serves does not wait for it.
"""

from __future__ import annotations

import copy
import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.cache_utils import DynamicCache, DynamicLayer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from lmsteer_core.errors import ModelError
from lmsteer_core.files import cache_folder

GRAPH_FILE = "graph.xml"
_VERSION = 1
_KEPT_DAYS = 30
_GROUP = 32
_EXACT = 1e-6
"""Relative error of weights that lie on 16 evenly spaced values."""
_LARGE = 1_000_000
"""Entries of an embedding that is worth 8 bits."""
_ATTENTION = "lmsteer_plain"


def digest(model: PreTrainedModel) -> str:
    """Return what names a model's weights, as bfloat16, its config, and the graph's makers."""
    config = {k: v for k, v in model.config.to_dict().items() if not k.startswith("_")}
    for key in ("dtype", "torch_dtype"):
        config.pop(key, None)
    versions = [importlib.metadata.version(name) for name in ("openvino", "torch", "transformers")]
    hashed = hashlib.sha256(json.dumps([config, versions, _VERSION], default=str).encode())
    for name, weight in model.named_parameters():
        hashed.update(name.encode())
        rounded = weight.detach().cpu().bfloat16().contiguous()
        hashed.update(rounded.view(torch.uint8).numpy().data)
    return hashed.hexdigest()[:20]


def graph_folder(model: PreTrainedModel) -> Path:
    """Return where a model's graph is kept, converting it at most once.

    Raises:
        ModelError: If it cannot be converted.
    """
    name = digest(model)
    folder = cache_folder() / "graphs" / name
    if (folder / GRAPH_FILE).exists():
        with suppress(OSError):  # a read-only cache
            os.utime(folder)
        return folder
    _remove_old(folder.parent)
    source = model.name_or_path
    if not source:
        _write(copy.deepcopy(model).float(), folder)
        return folder
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}  # what is loaded here is on this machine
    command = [sys.executable, "-m", __name__, source, str(folder), name]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if run.returncode:
        lines = run.stderr.strip().splitlines() or ["it ended without a word"]
        raise ModelError(f"The model cannot be made a graph: {lines[-1]}")
    return folder


def _remove_old(graphs: Path) -> None:
    """Remove the graphs that nobody has loaded for long: of other versions, of models now gone."""
    for folder in graphs.glob("*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > _KEPT_DAYS * 86_400:
                shutil.rmtree(folder)


def convert(model: PreTrainedModel) -> Any:
    """Return a model in float32 as a stateful OpenVINO graph.

    Inputs: `input_ids`, `attention_mask`, `position_ids`, `beam_idx`; outputs: `product`, E h of
    the last token, and `hidden`, its h.

    Raises:
        ModelError: If its cache or its attention is of another kind.
    """
    import openvino as ov
    from openvino._offline_transformations import apply_moc_transformations
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with torch.no_grad():
        output: Any = model(torch.ones(1, 2, dtype=torch.long), use_cache=True)
        cache = output.past_key_values
        layers: list[Any] = getattr(cache, "layers", [])
        if type(cache) is not DynamicCache or {type(layer) for layer in layers} != {DynamicLayer}:
            raise ModelError("its cache is not one of plain keys and values")
        ALL_ATTENTION_FUNCTIONS.register(_ATTENTION, _attend)
        model.set_attn_implementation(_ATTENTION)
        shapes = [x.shape for layer in layers for x in (layer.keys, layer.values)]
        past = [torch.rand(2, shape[1], 3, shape[3]) for shape in shapes]
        ids, mask = torch.ones(2, 4, dtype=torch.long), torch.ones(2, 7, dtype=torch.long)
        example = (ids, mask, torch.arange(3, 7).expand(2, 4), torch.arange(2).int(), *past)
        # Not `openvino.convert_model`, which reports to its makers that it was called.
        frontend = FrontEndManager().load_by_framework("pytorch")
        traced = TorchScriptPythonDecoder(_Step(model).eval(), example_input=example)
        graph = frontend.convert(frontend.load(traced))
    steps = [f"{i}" for i in range(len(past))]
    names = [
        "input_ids",
        "attention_mask",
        "position_ids",
        "beam_idx",
        *(f"past.{i}" for i in steps),
    ]
    free = [[-1, -1]] * 3 + [[-1]] + [[-1, shape[1], -1, shape[3]] for shape in shapes]
    for parameter, name, shape in zip(graph.get_parameters(), names, free, strict=True):
        parameter.set_friendly_name(name)
        parameter.output(0).get_tensor().set_names({name})
        parameter.set_partial_shape(ov.PartialShape(shape))
        parameter.set_element_type(
            ov.Type.f32 if "past" in name else ov.Type.i32 if name == "beam_idx" else ov.Type.i64
        )
    for output, name in zip(
        graph.outputs, ["product", "hidden", *(f"present.{i}" for i in steps)], strict=True
    ):
        output.get_tensor().set_names({name})
    graph.validate_nodes_and_infer_types()
    apply_moc_transformations(graph, cf=False, smart_reshape=True)
    _keep_state(graph, steps)
    _compress(graph)
    return graph


class _Step(nn.Module):
    """A step as it is traced: its keys and values come in and go out."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.body, self.head = model.base_model, model.get_output_embeddings()

    def forward(
        self, ids: Tensor, mask: Tensor, positions: Tensor, lines: Tensor, *past: Tensor
    ) -> tuple[Tensor, ...]:
        past = tuple(each.index_select(0, lines) for each in past)
        cache = _Past(past)
        n_all, n_new = mask.shape[1], ids.shape[1]
        rows = torch.arange(n_new) + (n_all - n_new)
        seen = (torch.arange(n_all)[None] <= rows[:, None])[None, None] & (mask[:, None, None] > 0)
        hidden = self.body(
            input_ids=ids,
            attention_mask=torch.where(seen, 0.0, -1e9),
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state[:, -1]
        return self.head(hidden), hidden, *cache.kept


class _Past:
    """Stands in for a transformers cache while a step is traced."""

    is_compileable = False

    def __init__(self, past: Sequence[Tensor]) -> None:
        self.kept = list(past)

    def update(
        self, keys: Tensor, values: Tensor, layer: int, *_: object, **__: object
    ) -> tuple[Tensor, Tensor]:
        for i, new in ((2 * layer, keys), (2 * layer + 1, values)):
            self.kept[i] = torch.cat([self.kept[i], new], dim=-2)
        return self.kept[2 * layer], self.kept[2 * layer + 1]

    def get_seq_length(self, *_: object) -> int:
        return 0


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scaling: float | None = None,
    **_: object,
) -> tuple[Tensor, None]:
    """Attend in the one way that OpenVINO knows again."""
    groups = getattr(module, "num_key_value_groups", 1)

    def repeated(kept: Tensor) -> Tensor:
        n_rows, n_heads, length, width = kept.shape
        if groups == 1:
            return kept
        each = kept[:, :, None].expand(n_rows, n_heads, groups, length, width)
        return each.reshape(n_rows, n_heads * groups, length, width)

    attended = nn.functional.scaled_dot_product_attention(
        query, repeated(key), repeated(value), attn_mask=mask, scale=scaling
    )
    return attended.transpose(1, 2).contiguous(), None


def _keep_state(graph: Any, steps: Sequence[str]) -> None:
    """Let the graph keep its keys and values, which begin empty."""
    from openvino import opset13 as op
    from openvino._offline_transformations import apply_make_stateful_transformation

    apply_make_stateful_transformation(graph, {f"past.{i}": f"present.{i}" for i in steps})
    zero = op.constant(0)
    shape = op.shape_of(graph.input("input_ids"), output_type="i64")
    n_rows = op.gather(shape, op.constant(np.array([0])), zero)
    for node in graph.get_ops():
        if node.get_type_name() == "ReadValue":
            sizes = [d.get_length() if d.is_static else 0 for d in node.get_output_partial_shape(0)]
            rest = op.constant(np.array(sizes[1:], np.int64))
            empty = op.broadcast(op.constant(np.float32(0)), op.concat([n_rows, rest], 0))
            node.set_arguments([empty])
    graph.validate_nodes_and_infer_types()


def _compress(graph: Any) -> None:
    """Give the weights of every linear layer, and large embeddings, 4 or 8 bits."""
    sums: dict[tuple[str, int], Any] = {}
    for node in graph.get_ops():
        kind = node.get_type_name()
        if kind not in ("MatMul", "Gather"):
            continue
        weight = node.input_value(kind == "MatMul").get_node()
        if weight.get_type_name() != "Constant" or len(weight.shape) != 2:
            continue
        if weight.shape[1] % _GROUP:
            continue
        groups = weight.data.astype(np.float32).reshape(weight.shape[0], -1, _GROUP)
        if kind == "Gather" and groups.size > _LARGE:
            _compress_embedding(node, groups)
        elif kind == "MatMul" and node.get_attributes()["transpose_b"]:
            _compress_linear(node, groups, sums)
    graph.validate_nodes_and_infer_types()


def _compress_embedding(node: Any, groups: np.ndarray) -> None:
    from openvino import opset13 as op

    numbers, scale = _eight_bits(groups)
    ids, axis = node.input_value(1), op.constant(0)
    rows = op.convert(op.gather(op.constant(numbers), ids, axis), np.float32)
    scales = op.gather(op.constant(scale), ids, axis)
    shape = op.constant(np.array([0, 0, groups.shape[1] * _GROUP], np.int64))
    whole = op.reshape(op.multiply(rows, scales), shape, True)
    for target in list(node.output(0).get_target_inputs()):
        target.replace_source_output(whole.output(0))


def _compress_linear(node: Any, groups: np.ndarray, sums: dict[tuple[str, int], Any]) -> None:
    from openvino import opset13 as op

    low = groups.min(axis=-1, keepdims=True)
    scale = (groups.max(axis=-1, keepdims=True) - low) / 15
    scale[scale == 0] = 1
    whole = np.rint((groups - low) / scale)
    if np.abs(low + scale * whole - groups).max() > _EXACT * np.abs(groups).max():
        weight, scale = _eight_bits(groups)
        half = op.convert(op.constant(weight), np.float16)
    else:
        zero = np.clip(np.rint(-low / scale), 0, 15)
        half = op.subtract(
            op.convert(_four_bits(whole), np.float16), op.convert(_four_bits(zero), np.float16)
        )
        _add_back(node, (low + scale * zero)[..., 0], sums)
    product = op.multiply(half, op.constant(scale.astype(np.float16)))
    shape = op.constant(np.array([groups.shape[0], groups.shape[1] * _GROUP], np.int64))
    full = op.convert(op.reshape(product, shape, False), np.float32)
    node.input(1).replace_source_output(full.output(0))


def _add_back(node: Any, missing: np.ndarray, sums: dict[tuple[str, int], Any]) -> None:
    """Add what a whole zero leaves out of each group of 32 weights, (n_out, n_groups)."""
    from openvino import opset13 as op

    source = node.input_value(0)
    key = source.get_node().get_friendly_name(), source.get_index()
    if key not in sums:
        rank = len(source.partial_shape)
        shape = op.constant(np.array([0] * (rank - 1) + [missing.shape[1], _GROUP], np.int64))
        sums[key] = op.reduce_sum(
            op.reshape(source, shape, True), op.constant(np.array([-1], np.int64)), False
        )
    targets = list(node.output(0).get_target_inputs())
    rest = op.matmul(sums[key], op.constant(missing.astype(np.float32)), False, True)
    whole = op.add(node.output(0), rest)
    for target in targets:
        target.replace_source_output(whole.output(0))


def _eight_bits(groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return whole numbers from −127 to 127 and what to multiply each group of them by."""
    scale = np.abs(groups).max(axis=-1, keepdims=True) / 127
    scale[scale == 0] = 1
    return np.rint(groups / scale).astype(np.int8), scale


def _four_bits(whole: np.ndarray) -> Any:
    """Return numbers from 0 to 15 as a constant, two to a byte, the earlier in the lower half."""
    import openvino as ov
    from openvino import opset13 as op

    flat = whole.astype(np.uint8).reshape(-1)
    packed = ov.Tensor(ov.Type.u4, list(whole.shape))
    packed.data.reshape(-1)[:] = flat[0::2] | (flat[1::2] << 4)
    return op.constant(packed)


def _write(model: PreTrainedModel, folder: Path) -> None:
    import openvino as ov

    # Tracing touches every shape and attribute, deprecated ones too, and warns of each.
    with warnings.catch_warnings(action="ignore"):
        graph = convert(model)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".converting-", dir=folder.parent) as scratch:
        partial = Path(scratch) / folder.name
        ov.save_model(graph, partial / GRAPH_FILE, compress_to_fp16=False)
        if not folder.exists():  # another process may have finished first
            partial.rename(folder)


def _main(source: str, folder: str, expected: str) -> None:
    if hasattr(os, "nice"):
        os.nice(10)  # whoever is served comes first
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32).eval()
    if digest(model) != expected:
        raise SystemExit("its weights are not those of the files that it was loaded from")
    _write(model, Path(folder))


if __name__ == "__main__":
    _main(*sys.argv[1:])
