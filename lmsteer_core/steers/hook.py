"""The one hook that applies steers to any causal language model.

A forward pre-hook on `model.get_output_embeddings()` sees the hidden state after the final norm
and before any logit scale or softcap, whatever the architecture, and tied weights stay untouched.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from types import TracebackType

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from lmsteer_core.errors import ModelError, SteerError
from lmsteer_core.steers.card import check_epsilon
from lmsteer_core.steers.steer import Steer, steer_hidden

_LOCK = threading.Lock()

_ENTERED: ContextVar[tuple[Steering, ...]] = ContextVar("entered", default=())
"""The contexts that the running thread or task is in."""


class Steering:
    """Context manager under which the model's output embeddings are steered.

    ε belongs to the row: row i of every batch that enters the output embedding is steered by
    `epsilons[i]`. Beams and `num_return_sequences` multiply the batch in blocks, and each block
    keeps its row's ε. Only whoever entered the context is steered: its thread or task, and the
    threads started inside, to their end, such as the one that writes a streamer's text. So several
    threads and tasks may steer one model at once, each in its own way.

    Attributes:
        base_logits: With `keep_base=True`, the unsteered logits of the last forward pass,
            same shape as the steered ones; otherwise None.

    Example:
        with Steering(model, [sentiment], [[0.0], [3.0]]):
            model.generate(...)  # row 0 unsteered, row 1 at ε = 3
    """

    def __init__(
        self,
        model: PreTrainedModel,
        steers: Sequence[Steer],
        epsilons: Sequence[Sequence[float]] | Tensor,
        *,
        keep_base: bool = False,
    ) -> None:
        """Prepare the factors; nothing is hooked before `__enter__`.

        Args:
            model: Any Hugging Face causal language model.
            steers: The steers, n_steers of them.
            epsilons: ε per row and steer, (n_rows, n_steers); one row applies to any batch.
            keep_base: Also compute the unsteered logits (one wider matrix product).

        Raises:
            ModelError: If the model has no output embedding.
            SteerError: If a steer has another width than the model.
            InputError: If an ε is NaN or out of range.
        """
        head = model.get_output_embeddings()
        if head is None:
            raise ModelError(f"{type(model).__name__} has no output embedding to steer.")
        self._model = model
        self._head: nn.Module = head
        weight = head.weight
        assert isinstance(weight, Tensor)
        for steer in steers:
            if steer.d_model != weight.shape[1]:
                raise SteerError(
                    f"Steer '{steer.name}' acts on {steer.d_model} dimensions, "
                    f"the model has {weight.shape[1]}."
                )
        rows = epsilons.tolist() if isinstance(epsilons, Tensor) else epsilons
        if not rows or any(len(row) != len(steers) for row in rows):
            raise SteerError(f"Every row needs one ε per steer, {len(steers)} here.")
        values = [
            [check_epsilon(e, s.name) for e, s in zip(row, steers, strict=True)] for row in rows
        ]
        used = [i for i in range(len(steers)) if any(row[i] for row in values)]
        # fp32 factors: rank is small, and a half-precision ε W h would round the knob itself.
        left, right = (
            [steers[i].left.float() for i in used],
            [steers[i].right.float() for i in used],
        )
        self._left = torch.cat(left, dim=1).to(weight.device) if used else None
        self._right = torch.cat(right, dim=0).to(weight.device) if used else None
        per_rank = [[row[i] for i in used for _ in range(steers[i].rank)] for row in values]
        self._epsilon = torch.tensor(per_rank, dtype=torch.float32, device=weight.device)
        self._n_rows = len(values)
        self._keep_base = keep_base
        self.base_logits: Tensor | None = None

    def __enter__(self) -> Steering:
        """Hook the output embedding for whoever enters."""
        _let_threads_inherit()
        _ENTERED.set((*_ENTERED.get(), self))
        self._n_threads = 1
        self._hooks = []
        if self._left is not None:
            self._hooks.append(self._head.register_forward_pre_hook(self._before_head))
        if self._keep_base:
            # On the model, not the head: softcaps and logit scales must act on both halves.
            self._hooks.append(self._model.register_forward_hook(self._after_model))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Unhook; the model is exactly what it was, once the threads started inside have ended."""
        _ENTERED.set(tuple(each for each in _ENTERED.get() if each is not self))
        self._count_threads(-1)

    def _count_threads(self, change: int) -> None:
        """Keep the hooks as long as there is a thread inside."""
        with _LOCK:
            self._n_threads += change
            if self._n_threads == 0:
                for hook in self._hooks:
                    hook.remove()

    def _before_head(self, _head: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if self not in _ENTERED.get() or self._left is None or self._right is None:
            return None
        hidden = args[0]
        epsilon = self._epsilon
        if self._n_rows > 1:
            if hidden.shape[0] % self._n_rows:
                raise SteerError(
                    f"The batch has {hidden.shape[0]} rows; ε was given for {self._n_rows}."
                )
            epsilon = epsilon.repeat_interleave(hidden.shape[0] // self._n_rows, dim=0)
        epsilon = epsilon.reshape(-1, *[1] * (hidden.ndim - 2), epsilon.shape[-1])
        steered = steer_hidden(hidden.float(), self._left, self._right, epsilon).to(hidden.dtype)
        # One product for both: reading E once more would cost more than the wider batch.
        return (torch.cat([steered, hidden]) if self._keep_base else steered,)

    def _after_model(
        self, _model: nn.Module, _args: object, output: CausalLMOutput
    ) -> CausalLMOutput | None:
        if self not in _ENTERED.get():
            return None
        logits = output.logits
        if self._left is None or logits is None:
            self.base_logits = logits
            return None
        steered, self.base_logits = logits.chunk(2)
        output.logits = steered
        return output


def _let_threads_inherit() -> None:
    """Let new threads be in the contexts that they are started in, as new tasks are by themselves.

    Python 3.14 can do so itself, and does in its free-threaded build.
    """
    start = threading.Thread.start
    if hasattr(start, "inherits_steering"):
        return

    @functools.wraps(start)
    def start_inside(thread: threading.Thread) -> None:
        if entered := _ENTERED.get():
            thread.run = _inside(entered, thread.run)  # type: ignore[method-assign]
        start(thread)

    start_inside.inherits_steering = True  # type: ignore[attr-defined]
    threading.Thread.start = start_inside  # type: ignore[method-assign, assignment]


def _inside(entered: tuple[Steering, ...], run: Callable[[], None]) -> Callable[[], None]:
    """Return a thread's work as it is done within some contexts, which stay open for it."""
    for steering in entered:
        steering._count_threads(+1)

    def run_inside() -> None:
        _ENTERED.set(entered)
        try:
            run()
        finally:
            for steering in entered:
                steering._count_threads(-1)

    return run_inside
