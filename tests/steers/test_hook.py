"""Steering is e' = (I + εW) e, per row, per thread, and gone without a trace afterwards."""

from __future__ import annotations

import asyncio
import copy
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from support.models import VOCAB_SIZE, make_steer
from torch import Tensor, nn
from transformers import TextIteratorStreamer

from lmsteer_core import InputError, LanguageModel, ModelError, SteerError, Steering
from lmsteer_core.progress import finished

IDS = torch.randint(3, VOCAB_SIZE, (3, 7), generator=torch.Generator().manual_seed(5))


def logits_of(model, ids=IDS):
    with torch.no_grad():
        return model(ids, use_cache=False).logits


def base_logits(steering: Steering) -> Tensor:
    assert steering.base_logits is not None
    return steering.base_logits


def with_moved_embeddings(model, steers, epsilons):
    """Return a copy of `model` whose untied output embedding has every e moved to (I + Σ εW) e."""
    moved = copy.deepcopy(model)
    head = moved.get_output_embeddings()
    identity = torch.eye(head.weight.shape[1], dtype=torch.float64)
    operator = identity + sum(
        epsilon * (steer.left.double() @ steer.right.double())
        for steer, epsilon in zip(steers, epsilons, strict=True)
    )
    head.weight = nn.Parameter((operator @ head.weight.double().T).T.float(), requires_grad=False)
    return moved


def state_of(model):
    hooks = [(len(m._forward_pre_hooks), len(m._forward_hooks)) for m in model.modules()]
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}, hooks


@pytest.mark.parametrize("epsilon", [-3.0, 0.5, 2.0])
def test_steered_logits_equal_those_of_an_explicitly_moved_output_embedding(
    tiny, steer_for, epsilon
):
    steer = steer_for(tiny)
    expected = logits_of(with_moved_embeddings(tiny, [steer], [epsilon]))
    with Steering(tiny, [steer], [[epsilon]]):
        steered = logits_of(tiny)
    torch.testing.assert_close(steered, expected, atol=1e-4, rtol=1e-4)
    assert (steered - logits_of(tiny)).abs().max() > 1e-2


def test_steering_does_not_move_tied_input_embeddings(llama, steer_for):
    assert llama.get_input_embeddings().weight is llama.get_output_embeddings().weight
    before = llama(IDS, output_hidden_states=True).hidden_states[-1]
    with Steering(llama, [steer_for(llama)], [[3.0]]):
        assert torch.equal(llama(IDS, output_hidden_states=True).hidden_states[-1], before)


def test_zero_epsilon_gives_the_base_logits_bit_for_bit(tiny, steer_for):
    base = logits_of(tiny)
    with Steering(tiny, [steer_for(tiny)], [[0.0]]):
        assert torch.equal(logits_of(tiny), base)


def test_zero_row_beside_steered_rows_gives_the_base_logits(tiny, steer_for):
    base = logits_of(tiny)
    with Steering(tiny, [steer_for(tiny)], [[2.0], [0.0], [-2.0]]):
        steered = logits_of(tiny)
    assert torch.equal(steered[1], base[1])
    assert not torch.equal(steered[0], base[0])


def test_zero_epsilon_gives_the_base_logits_bit_for_bit_on_the_embedded_model(lm, steer):
    ids = torch.tensor([lm.encode("The weather today is")[0]] * 2)
    base = logits_of(lm.model, ids)
    with Steering(lm.model, [steer], [[0.0]]):
        assert torch.equal(logits_of(lm.model, ids), base)
    with Steering(lm.model, [steer], [[0.0], [3.0]]):
        mixed = logits_of(lm.model, ids)
    assert torch.equal(mixed[0], base[0])
    assert not torch.equal(mixed[1], base[1])


def test_steered_embedded_model_equals_a_moved_output_embedding(lm, steer):
    ids = torch.tensor([lm.encode("The weather today is")[0]])
    with torch.no_grad():
        hidden = lm.model(ids, output_hidden_states=True).hidden_states[-1].double()
    e = lm.output_embedding.double()
    expected = hidden @ (e + 2.0 * e @ (steer.left.double() @ steer.right.double()).T).T
    with Steering(lm.model, [steer], [[2.0]]):
        torch.testing.assert_close(
            logits_of(lm.model, ids).double(), expected, atol=2e-3, rtol=1e-4
        )


def test_exit_restores_the_model_bit_for_bit(tiny, steer_for):
    base, (weights, hooks) = logits_of(tiny), state_of(tiny)
    with Steering(tiny, [steer_for(tiny)], [[3.0]], keep_base=True):
        assert not torch.equal(logits_of(tiny), base)
    after, hooks_after = state_of(tiny)
    assert all(torch.equal(after[name], weights[name]) for name in weights)
    assert hooks_after == hooks
    assert torch.equal(logits_of(tiny), base)


def test_exit_restores_the_model_after_an_exception_and_lets_it_through(tiny, steer_for):
    base, (_, hooks) = logits_of(tiny), state_of(tiny)
    with (
        pytest.raises(ZeroDivisionError),
        Steering(tiny, [steer_for(tiny)], [[3.0]], keep_base=True),
    ):
        logits_of(tiny)
        raise ZeroDivisionError
    assert state_of(tiny)[1] == hooks
    assert torch.equal(logits_of(tiny), base)


def test_one_steering_can_be_entered_again(llama, steer_for):
    steering = Steering(llama, [steer_for(llama)], [[2.0]])
    with steering:
        first = logits_of(llama)
    with steering:
        assert torch.equal(logits_of(llama), first)


def test_nested_steerings_compose_and_leave_one_by_one(llama, steer_for):
    outer, inner = steer_for(llama), steer_for(llama, seed=1)
    with Steering(llama, [outer], [[3.0]]):
        expected = logits_of(llama)
        with Steering(llama, [inner], [[1.0]]):
            both = logits_of(llama)
        assert torch.equal(logits_of(llama), expected)
    moved = with_moved_embeddings(with_moved_embeddings(llama, [inner], [1.0]), [outer], [3.0])
    torch.testing.assert_close(both, logits_of(moved), atol=1e-4, rtol=1e-4)


def test_rows_keep_their_own_epsilon(tiny, steer_for):
    steer, epsilons = steer_for(tiny), [2.0, -1.0, 0.25]
    with Steering(tiny, [steer], [[e] for e in epsilons]):
        together = logits_of(tiny)
    for i, epsilon in enumerate(epsilons):
        with Steering(tiny, [steer], [[epsilon]]):
            alone = logits_of(tiny, IDS[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-4, rtol=1e-4)


def test_a_row_does_not_change_when_other_rows_change_their_epsilon(tiny, steer_for):
    steer = steer_for(tiny)
    with Steering(tiny, [steer], [[1.0], [1.0], [1.0]]):
        calm = logits_of(tiny)
    with Steering(tiny, [steer], [[9.0], [1.0], [-9.0]]):
        wild = logits_of(tiny)
    assert torch.equal(calm[1], wild[1])
    assert not torch.equal(calm[0], wild[0])


def test_epsilon_may_be_a_tensor(llama, steer_for):
    steer = steer_for(llama)
    with Steering(llama, [steer], [[1.0], [2.0], [3.0]]):
        expected = logits_of(llama)
    with Steering(llama, [steer], torch.tensor([[1.0], [2.0], [3.0]])):
        assert torch.equal(logits_of(llama), expected)


@pytest.mark.parametrize(
    "multiple", [{"num_beams": 3}, {"num_return_sequences": 3, "num_beams": 3}]
)
def test_beams_keep_the_epsilon_of_their_row(llama, steer_for, multiple):
    steer, ids = steer_for(llama, norm=1.0), IDS[:2]
    settings = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": None, **multiple}
    n = settings.get("num_return_sequences", 1)
    with Steering(llama, [steer], [[-2.0], [2.0]]):
        together = llama.generate(ids, attention_mask=torch.ones_like(ids), **settings)
    alone = []
    for row, epsilon in zip(ids, (-2.0, 2.0), strict=True):
        with Steering(llama, [steer], [[epsilon]]):
            alone.append(
                llama.generate(row[None], attention_mask=torch.ones(1, 7).long(), **settings)
            )
    assert together.shape[0] == 2 * n
    assert torch.equal(together, torch.cat(alone))
    swapped = with_moved_embeddings(llama, [steer], [2.0]).generate(
        ids[:1], attention_mask=torch.ones(1, 7).long(), **settings
    )
    assert not torch.equal(together[:n], swapped)


def test_sampled_return_sequences_keep_the_epsilon_of_their_row(llama, steer_for):
    steer, ids = steer_for(llama), IDS[:2]
    seen = []
    head = llama.get_output_embeddings()
    settings = {"max_new_tokens": 1, "do_sample": True, "num_return_sequences": 4}
    with (
        Steering(llama, [steer], [[0.0], [5.0]]),
        head.register_forward_hook(lambda _m, _a, out: seen.append(out[:, -1])),
    ):
        llama.generate(ids, attention_mask=torch.ones_like(ids), **settings)
    base = logits_of(llama, ids)[:, -1]
    moved = logits_of(with_moved_embeddings(llama, [steer], [5.0]), ids)[:, -1]
    expected = torch.stack([base[0]] * 4 + [moved[1]] * 4)
    torch.testing.assert_close(seen[0], expected, atol=1e-4, rtol=1e-4)


def test_two_threads_steering_one_model_do_not_see_each_other(llama, steer_for):
    steer = steer_for(llama)
    expected = {}
    for epsilon in (-4.0, 4.0):
        with Steering(llama, [steer], [[epsilon]]):
            expected[epsilon] = logits_of(llama)
    base = logits_of(llama)
    both_inside = threading.Barrier(3, timeout=30)
    agreements: dict[float, list[bool]] = {-4.0: [], 4.0: []}

    def work(epsilon):
        with Steering(llama, [steer], [[epsilon]], keep_base=True) as steering:
            both_inside.wait()
            for _ in range(20):
                same = torch.allclose(logits_of(llama), expected[epsilon], atol=1e-4)
                agreements[epsilon].append(
                    same and torch.allclose(base_logits(steering), base, atol=1e-4)
                )
            both_inside.wait()

    threads = [threading.Thread(target=work, args=(epsilon,)) for epsilon in agreements]
    for thread in threads:
        thread.start()
    both_inside.wait()
    outside = [torch.equal(logits_of(llama), base) for _ in range(20)]
    both_inside.wait()
    for thread in threads:
        thread.join()
    assert agreements == {-4.0: [True] * 20, 4.0: [True] * 20}
    assert all(outside)


def test_a_thread_started_inside_is_steered_as_a_streamer_needs_it(llama, steer_for):
    steer, ids = steer_for(llama, norm=1.0), IDS[:1]
    mask = torch.ones_like(ids)
    settings = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": None}
    base = llama.generate(ids, attention_mask=mask, **settings)[0].tolist()
    tokenizer: Any = Spelled()
    streamer = TextIteratorStreamer(tokenizer, timeout=30)
    arguments = {"inputs": ids, "attention_mask": mask, "streamer": streamer, **settings}
    with Steering(llama, [steer], [[4.0]]):
        expected = llama.generate(ids, attention_mask=mask, **settings)[0].tolist()
        writer = threading.Thread(target=llama.generate, kwargs=arguments)
        writer.start()
        written = "".join(streamer).split()
    writer.join()
    assert written == [str(i) for i in expected]
    assert expected != base


class Spelled:
    """A tokenizer of which a streamer sees the ids."""

    def decode(self, ids, **_):
        return "".join(f"{int(i)} " for i in ids)


def test_a_thread_started_inside_stays_steered_after_its_parent_has_left(llama, steer_for):
    steer, before = steer_for(llama), state_of(llama)
    base, found, left = logits_of(llama), [], threading.Event()

    def work():
        left.wait(30)
        found.append(logits_of(llama))

    with Steering(llama, [steer], [[3.0]]):
        expected = logits_of(llama)
        thread = threading.Thread(target=work)
        thread.start()
    assert torch.equal(logits_of(llama), base)
    left.set()
    thread.join()
    assert torch.equal(found[0], expected)
    assert state_of(llama)[1] == before[1]


def test_threads_started_inside_keep_both_of_two_contexts_and_their_own(llama, steer_for):
    outer, inner = steer_for(llama, seed=0), steer_for(llama, seed=1, name="inner")
    expected, found = [], []

    def work():
        found.append(logits_of(llama))
        with Steering(llama, [inner], [[1.0]]):
            found.append(logits_of(llama))

    with Steering(llama, [outer], [[2.0]]):
        expected.append(logits_of(llama))
        with Steering(llama, [inner], [[1.0]]):
            expected.append(logits_of(llama))
        with ThreadPoolExecutor(1) as pool:
            pool.submit(work).result()
    assert all(map(torch.equal, found, expected))


def test_threads_that_others_start_meanwhile_are_not_steered(llama, steer_for):
    base, found = logits_of(llama), []
    inside, may_leave = threading.Event(), threading.Event()

    def steer_and_wait():
        with Steering(llama, [steer_for(llama)], [[5.0]]):
            inside.set()
            may_leave.wait(30)

    steering = threading.Thread(target=steer_and_wait)
    steering.start()
    inside.wait(30)
    other = threading.Thread(target=lambda: found.append(logits_of(llama)))
    other.start()
    other.join()
    may_leave.set()
    steering.join()
    assert torch.equal(found[0], base)


def test_tasks_of_one_thread_do_not_steer_each_other(llama, steer_for):
    steer, base = steer_for(llama), logits_of(llama)
    expected = {}
    for epsilon in (-4.0, 4.0):
        with Steering(llama, [steer], [[epsilon]]):
            expected[epsilon] = logits_of(llama)

    async def steered(epsilon):
        with Steering(llama, [steer], [[epsilon]]):
            await asyncio.sleep(0)  # the other tasks enter theirs
            child = await asyncio.to_thread(logits_of, llama)
            return torch.equal(logits_of(llama), expected[epsilon]) and torch.equal(
                child, expected[epsilon]
            )

    async def unsteered():
        await asyncio.sleep(0)
        return torch.equal(logits_of(llama), base)

    async def together():
        return await asyncio.gather(steered(-4.0), unsteered(), steered(4.0), unsteered())

    assert asyncio.run(together()) == [True] * 4


def test_hidden_states_read_inside_are_not_steered(llama, steer_for, lm):
    small = LanguageModel(llama, lm.tokenizer, "tiny")
    (expected,) = small.hidden_states([[5, 6, 7]])
    with Steering(llama, [steer_for(llama)], [[3.0]], keep_base=True):
        assert torch.equal(small.hidden_states([[5, 6, 7]])[0], expected)
        assert torch.equal(finished(small.next_state([5, 6, 7])), expected[-1:])


def test_several_steers_add(tiny, steer_for):
    steers = [steer_for(tiny, seed=0, name="a"), steer_for(tiny, seed=1, rank=2, name="b")]
    expected = logits_of(with_moved_embeddings(tiny, steers, [2.0, -1.5]))
    with Steering(tiny, steers, [[2.0, -1.5]]):
        torch.testing.assert_close(logits_of(tiny), expected, atol=1e-4, rtol=1e-4)


def test_several_steers_keep_their_own_epsilon_in_every_row(llama, steer_for):
    steers = [steer_for(llama, seed=0, name="a"), steer_for(llama, seed=1, rank=2, name="b")]
    rows = [[2.0, 0.0], [0.0, 3.0], [-1.0, 1.0]]
    with Steering(llama, steers, rows):
        together = logits_of(llama)
    for i, row in enumerate(rows):
        expected = logits_of(with_moved_embeddings(llama, steers, row), IDS[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], expected, atol=1e-4, rtol=1e-4)


def test_sum_of_steers_equals_both_at_once(llama, steer_for):
    a, b = steer_for(llama, seed=0, name="a"), steer_for(llama, seed=1, rank=2, name="b")
    with Steering(llama, [a, b], [[1.5, 1.5]]):
        both = logits_of(llama)
    with Steering(llama, [a + b], [[1.5]]):
        torch.testing.assert_close(logits_of(llama), both, atol=1e-4, rtol=1e-4)


def test_scaling_a_steer_equals_scaling_epsilon(llama, steer_for):
    steer = steer_for(llama)
    with Steering(llama, [steer.scaled(2.0)], [[1.5]]):
        scaled = logits_of(llama)
    with Steering(llama, [steer], [[3.0]]):
        torch.testing.assert_close(scaled, logits_of(llama), atol=1e-4, rtol=1e-4)


def test_keep_base_gives_the_unsteered_logits_without_changing_the_steered(tiny, steer_for):
    base, steer = logits_of(tiny), steer_for(tiny)
    with Steering(tiny, [steer], [[2.0]]):
        steered = logits_of(tiny)
    with Steering(tiny, [steer], [[2.0]], keep_base=True) as steering:
        torch.testing.assert_close(logits_of(tiny), steered, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(steering.base_logits, base, atol=1e-5, rtol=1e-5)


def test_keep_base_with_every_epsilon_zero_keeps_the_same_logits(llama, steer_for):
    with Steering(llama, [steer_for(llama)], [[0.0]], keep_base=True) as steering:
        assert torch.equal(logits_of(llama), base_logits(steering))


def test_keep_base_needs_no_steer(llama):
    with Steering(llama, [], [[], [], []], keep_base=True) as steering:
        assert torch.equal(logits_of(llama), base_logits(steering))


def test_batch_that_is_not_a_multiple_of_the_rows_raises(llama, steer_for):
    with (
        Steering(llama, [steer_for(llama)], [[1.0], [2.0]]),
        pytest.raises(SteerError, match="3 rows; ε was given for 2"),
    ):
        logits_of(llama)


def test_steer_of_another_width_raises_with_both_widths(llama):
    wide = make_steer(torch.randn(VOCAB_SIZE, 40, generator=torch.Generator().manual_seed(0)))
    with pytest.raises(SteerError, match="40 dimensions, the model has 32"):
        Steering(llama, [wide], [[1.0]])


@pytest.mark.parametrize("rows", [[], [[]], [[1.0, 2.0]], [[1.0], []]])
def test_rows_that_do_not_give_one_epsilon_per_steer_raise(llama, steer_for, rows):
    with pytest.raises(SteerError, match="one ε per steer, 1 here"):
        Steering(llama, [steer_for(llama)], rows)


@pytest.mark.parametrize("epsilon", [math.nan, math.inf, -math.inf, 1e9, 10.001, "strong", None])
def test_impossible_epsilon_raises_with_the_allowed_range(llama, steer_for, epsilon):
    with pytest.raises(InputError, match="ε for 'style' must be a number between −10 and 10"):
        Steering(llama, [steer_for(llama)], [[epsilon]])


@pytest.mark.parametrize("epsilon", [-10.0, 10.0])
def test_the_ends_of_the_allowed_range_are_allowed(llama, steer_for, epsilon):
    with Steering(llama, [steer_for(llama)], [[epsilon]]):
        assert logits_of(llama).isfinite().all()


def test_model_without_an_output_embedding_raises(llama, steer_for):
    with pytest.raises(ModelError, match="LlamaModel has no output embedding"):
        Steering(llama.model, [steer_for(llama)], [[1.0]])
