"""Rival methods: what each computes, what it leaves alone, and that its training is kept."""

from __future__ import annotations

import copy
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lmsteer_core import Cancelled, InputError, LanguageModel, ModelError, Row, Sampling, generate
from lmsteer_core.evaluation.methods.activation_addition import _learn
from lmsteer_core.evaluation.methods.budget import Budget
from lmsteer_core.evaluation.methods.contrastive import Contrastive, _BehindPrefix
from lmsteer_core.evaluation.methods.dapt import make_dapt
from lmsteer_core.evaluation.methods.ensembles import DExperts, GeDi, make_dexperts
from lmsteer_core.evaluation.methods.input_steer import InputTraining
from lmsteer_core.evaluation.methods.layer import line, output_moved
from lmsteer_core.evaluation.methods.learning import negative_log_likelihood, trained
from lmsteer_core.evaluation.methods.lora import Adapted, make_lora, with_adapter
from lmsteer_core.evaluation.methods.registry import BASELINES
from lmsteer_core.evaluation.task import Question, Task
from lmsteer_core.generation.draw import draw_rows
from lmsteer_core.generation.generate import live_rows
from lmsteer_core.models.decoder import padded

GOOD = [
    "what a warm and lovely day",
    "a lovely little film",
    "warm, lovely and bright",
    "so lovely",
]
BAD = ["what a dull and dreary day", "a dreary little film", "dull, dreary and grim", "so grim"]
ROWS = [Row("The weather in the hall"), Row("It was"), Row("It was", seed_offset=1)]
SAMPLING = Sampling(temperature=1.0, top_p=0.9, max_new_tokens=6, seed=3)
BRIEF = Budget(learning_rate=1e-2, n_steps=20, batch_size=4)
TASK = Task(
    name="sentiment",
    positive="a lovely text",
    negative="a dreary text",
    measured="positivity",
    judges=(),
    prompts=(),
    question=Question("{text}\nThe day is", (" lovely", " dreary")),
    texts=(*GOOD, *BAD),
    labels=(1.0, 0.5, 1.0, 1.0, -1.0, -0.5, -1.0, -1.0),
)


def silent(_share: float, _what: str) -> None:
    """Tell nobody."""


def make(name: str, lm: LanguageModel, folder: Path, *, task: Task | None = None, progress=silent):
    """Return a method, trained briefly."""
    settings = {} if name.startswith("activation-") else {"budget": BRIEF}
    return BASELINES[name](lm, task or TASK, folder / name, progress, **settings)


def ids(generated) -> list[list[int]]:
    """Return the tokens of every row."""
    return [[token.id for token in row.tokens] for row in generated]


def loss(lm: LanguageModel, texts) -> float:
    """Return the mean negative log-likelihood of texts, in nats a token."""
    tokens = [lm.encode(text)[0] for text in texts]
    with torch.no_grad():
        return float(negative_log_likelihood(lm, tokens)) / sum(len(t) - 1 for t in tokens)


@pytest.fixture(scope="module")
def model(small):
    """The tiny model in a copy of its own, so that a change is a failure here alone.

    It is float32 throughout.
    """
    own = LanguageModel(copy.deepcopy(small.model), small.tokenizer, "tiny")
    own.__dict__["for_batches"] = own
    return own


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the methods of this module are kept."""
    return tmp_path_factory.mktemp("methods")


@pytest.fixture(scope="module")
def methods(model, folder):
    """Every method, trained briefly."""
    return {name: make(name, model, folder) for name in BASELINES}


@pytest.mark.parametrize("name", BASELINES)
def test_strength_0_is_the_unsteered_text_and_a_strong_one_another(methods, model, name):
    method = methods[name]
    unsteered = ids(generate(model, ROWS, {}, SAMPLING))
    strength = 100 if name == "input-steer" else method.strengths[-1]
    assert ids(method.continue_rows(ROWS, strength, SAMPLING)) != unsteered
    assert ids(method.continue_rows(ROWS, -strength, SAMPLING)) != unsteered
    assert ids(method.continue_rows(ROWS, 0.0, SAMPLING)) == unsteered


@pytest.mark.parametrize("name", BASELINES)
def test_making_and_using_a_method_leaves_the_model_as_it_was(small, tmp_path, name):
    probe = torch.tensor([[5, 6, 7, 8]])
    before = small.model(probe).logits
    structure = [(key, type(module)) for key, module in small.model.named_modules()]
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in small.model.modules()]
    make(name, small, tmp_path).continue_rows(ROWS, 1.0, SAMPLING)
    assert torch.equal(small.model(probe).logits, before)
    assert [(key, type(module)) for key, module in small.model.named_modules()] == structure
    assert [
        len(m._forward_hooks) + len(m._forward_pre_hooks) for m in small.model.modules()
    ] == hooks
    assert not any(p.requires_grad for p in small.model.parameters())


@pytest.mark.parametrize("name", BASELINES)
def test_what_was_trained_is_loaded_and_writes_the_same(methods, model, folder, name):
    first = methods[name]
    again = make(name, model, folder, progress=lambda *_: pytest.fail("trained once more"))
    assert again.training_seconds == first.training_seconds > 0
    assert again.n_parameters == first.n_parameters
    for strength in (1.0, -1.0):
        found = ids(again.continue_rows(ROWS, strength, SAMPLING))
        assert found == ids(first.continue_rows(ROWS, strength, SAMPLING))


@pytest.mark.parametrize("name", BASELINES)
def test_progress_may_cancel_and_then_nothing_is_kept(model, tmp_path, name):
    def stop(_share: float, _what: str) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        make(name, model, tmp_path, progress=stop)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", BASELINES)
def test_a_task_without_two_poles_is_refused(model, tmp_path, name):
    with pytest.raises(InputError, match="--data"):
        make(name, model, tmp_path, task=replace(TASK, texts=(), labels=()))
    with pytest.raises(InputError, match="label"):
        make(name, model, tmp_path, task=replace(TASK, texts=tuple(GOOD), labels=(1.0,) * 4))


@pytest.mark.parametrize(
    ("name", "package"),
    [("lora", "peft"), ("dexperts", "peft"), ("activation-addition", "steering_vectors")],
)
def test_a_missing_package_is_named(model, tmp_path, monkeypatch, name, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=f"pip install .*{package.replace('_', '-')}"):
        make(name, model, tmp_path)


@pytest.mark.parametrize(
    "settings", [{"n_steps": 0}, {"batch_size": 0}, {"max_tokens": 1}, {"learning_rate": 0}]
)
def test_a_training_that_could_not_begin_is_refused(settings):
    with pytest.raises(InputError, match="must be"):
        Budget(**{"learning_rate": 1e-3, **settings})


def test_other_texts_or_another_budget_are_trained_anew(tmp_path):
    made = []

    def train():
        made.append(1)
        return {"x": torch.ones(2)}

    trained(tmp_path, "x", {"n_steps": 1}, train)
    trained(tmp_path, "x", {"n_steps": 1}, train)
    trained(tmp_path, "x", {"n_steps": 2}, train)
    assert len(made) == 2
    for file in tmp_path.iterdir():
        file.write_bytes(b"cut off")
    trained(tmp_path, "x", {"n_steps": 1}, train)
    assert len(made) == 3


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Cannot write"):
        trained(tmp_path / "file", "x", {}, lambda: {"x": torch.ones(2)})


def test_the_loss_is_that_of_each_text_alone(model):
    tokens = [[3, 4, 5, 6, 7], [8, 9], [10, 11, 12]]
    total = 0.0
    for text in tokens:
        log_p = model.model(torch.tensor([text])).logits[0].log_softmax(-1)
        total -= sum(log_p[t, text[t + 1]].item() for t in range(len(text) - 1))
    assert negative_log_likelihood(model, tokens).item() == pytest.approx(total, rel=1e-5)


def test_each_adapter_prefers_the_texts_of_its_own_pole(methods, model):
    adapted = methods["lora"].adapted
    for own, other, texts in [
        (adapted.positive, adapted.negative, GOOD),
        (adapted.negative, adapted.positive, BAD),
    ]:
        assert loss(own, texts) < loss(model, texts) - 0.5
        assert loss(own, texts) < loss(other, texts) - 0.1


def test_loras_strength_is_peft_s_scale(methods, model):
    from peft.tuners.lora import LoraLayer

    seen = []
    adapted = methods["lora"].adapted
    layer: Any = next(m for m in adapted.negative.model.modules() if isinstance(m, LoraLayer))
    with layer.register_forward_hook(lambda module, *_: seen.append(module.scaling["default"])):
        methods["lora"].continue_rows(ROWS, -0.5, SAMPLING)
    assert set(seen) == {0.5 * 16 / 8}
    assert layer.scaling["default"] == 16 / 8
    layers: list[Any] = [m for m in adapted.positive.model.modules() if isinstance(m, LoraLayer)]
    n_adapted = sum(m.in_features * 8 + 8 * m.out_features for m in layers)
    assert methods["lora"].n_parameters == 2 * n_adapted
    assert n_adapted < sum(p.numel() for p in model.model.parameters())


def test_adapters_are_trained_once_for_three_methods(methods, folder):
    assert methods["dexperts"].training_seconds == methods["gedi"].training_seconds
    assert len(list((folder / "adapters").iterdir())) == 2


def test_dapt_interpolates_the_weights(methods, model):
    method = methods["dapt"]
    names = [name for name, _ in model.model.named_parameters()]
    for strength, pole in [(0.5, "positive"), (-1.0, "negative"), (1.0, "positive")]:
        method.continue_rows(ROWS, strength, SAMPLING)
        for name, start, found in zip(
            names, model.model.parameters(), method.twin.model.parameters(), strict=True
        ):
            expected = start + abs(strength) * (method.weights[pole][name] - start)
            torch.testing.assert_close(found, expected)
    assert loss(method.twin, GOOD) < loss(model, GOOD) - 0.5
    assert method.n_parameters == 2 * sum(p.numel() for p in model.model.parameters())


def test_dapt_of_a_half_precision_model_trains_in_float32(model, tmp_path):
    half = LanguageModel(copy.deepcopy(model.model).bfloat16(), model.tokenizer, "tiny")
    method = make_dapt(half, TASK, tmp_path, silent, budget=replace(BRIEF, learning_rate=1e-4))
    ends, starts = method.weights["positive"], dict(half.model.named_parameters())
    moved = [float((ends[n].float() - starts[n].float()).abs().max()) for n in ends]
    assert {t.dtype for t in ends.values()} == {torch.bfloat16}
    # In bf16 a weight of 0.5 cannot take one step of 1e-4, nor twenty.
    assert all(m > 1e-3 for m in moved)


def reading_layer(lm: LanguageModel, layer: int):
    """Return what reads a layer's output: the next layer or the last norm."""
    return [*lm.model.model.layers, lm.model.model.norm][layer + 1]


def layer_outputs(lm: LanguageModel, layer: int, run) -> list[torch.Tensor]:
    """Return a layer's output, (n_rows, n_tokens, d_model), in every forward pass of `run`."""
    caught = []
    with reading_layer(lm, layer).register_forward_pre_hook(
        lambda _m, args: caught.append(args[0].clone())
    ):
        run()
    return caught


def test_the_vector_is_added_at_every_token_of_its_layer(methods):
    method = methods["activation-addition"]
    plain, moved = (
        layer_outputs(
            method.twin,
            method.layer,
            lambda strength=s: method.continue_rows(ROWS[:1], strength, SAMPLING),
        )[0]
        for s in (0.0, -1.5)
    )
    assert plain.shape[1] > 1
    torch.testing.assert_close(moved - plain, (-1.5 * method.vector).expand_as(plain))


def test_the_vector_is_the_poles_mean_difference_at_the_last_token_of_the_best_layer(model):
    texts = [(1, GOOD[0]), (1, GOOD[1]), (-1, BAD[0]), (-1, BAD[1])]
    found = _learn(model, TASK, texts, 64, silent)
    gaps = []
    for layer in (0, 1):
        differences = []
        for text in (GOOD[0], BAD[0]):
            last = []
            for description in ("a lovely text", "a dreary text"):
                prompt = torch.tensor([model.encode(f"This is {description}: {text}")[0]])
                run = lambda ids=prompt: model.model(ids)  # noqa: E731
                last.append(layer_outputs(model, layer, run)[0][0, -1])
            differences.append(last[0] - last[1])
        vector = (differences[0] + differences[1]) / 2
        if layer == found["layer"]:
            torch.testing.assert_close(found["vector"], vector, rtol=1e-4, atol=1e-5)
        total, n_tokens = 0.0, 0
        for sign, text in ((1, GOOD[1]), (-1, BAD[1])):
            losses = []
            for direction in (sign, -sign):
                add = lambda _m, _a, out, v=direction * vector: out + v  # noqa: E731
                with model.model.model.layers[layer].register_forward_hook(add):
                    losses.append(loss(model, [text]))
            n = len(model.encode(text)[0]) - 1
            total, n_tokens = total + n * (losses[1] - losses[0]), n_tokens + n
        gaps.append(total / n_tokens)
    assert int(found["layer"]) == max((0, 1), key=gaps.__getitem__)


def input_training(lm: LanguageModel, labels=(1.0, -1.0, 0.5), **settings) -> InputTraining:
    """Return a training on three texts of unlike lengths, strong enough to measure its slopes."""
    tokens = [lm.encode(text)[0] for text in (GOOD[0], BAD[1], GOOD[3])]
    settings = {
        "rank": 8,
        "learning_rate": 1e-2,
        "batch_size": 3,
        "scale": 5.0,
        "seed": 0,
        **settings,
    }
    return InputTraining(lm, tokens, labels, regularization=0.0, **settings)


def test_the_trained_vector_makes_either_pole_likelier_at_its_own_sign(methods):
    method = methods["trained-vector"]

    def moved_loss(texts, strength):
        with output_moved(method.twin, method.layer, lambda h: method.moved(h, strength)):
            return loss(method.twin, texts)

    for texts, sign in ((GOOD, 1.0), (BAD, -1.0)):
        assert moved_loss(texts, sign) < moved_loss(texts, 0.0) < moved_loss(texts, -sign)


def test_transport_carries_a_pole_s_activations_to_the_other_s(methods):
    method = methods["activation-transport"]
    means: dict[str, Tensor] = {}
    for pole, texts in (("good", GOOD), ("bad", BAD)):
        read = [torch.tensor([method.twin.encode(text)[0]]) for text in texts]
        caught = [
            layer_outputs(method.twin, method.layer, lambda t=ids: method.twin.model(t))[0]
            for ids in read
        ]
        means[pole] = torch.stack([h[0].mean(dim=0) for h in caught])
    carried = method.moved(means["bad"], 1.0)
    assert torch.allclose(carried.mean(dim=0), means["good"].mean(dim=0), atol=1e-4)
    half = method.moved(means["bad"], 0.5)
    torch.testing.assert_close(half, (means["bad"] + carried) / 2)
    back = method.moved(means["good"], -1.0)
    assert torch.allclose(back.mean(dim=0), means["bad"].mean(dim=0), atol=1e-4)


def test_a_line_is_that_of_least_squares_between_sorted_values():
    source, target = torch.randn(2, 9, 3).sort(dim=1).values
    slope, offset = line(source, target)
    for unit in range(3):
        expected = np.polyfit(source[:, unit], target[:, unit], 1)
        assert [float(slope[unit]), float(offset[unit])] == pytest.approx(expected, abs=1e-4)


def test_input_steers_gradient_agrees_with_finite_differences(model):
    training = input_training(model)
    projectors = (training.projector1, training.projector2)
    training.backward(range(3))
    gradients = [p.grad.clone() for p in projectors if p.grad is not None]
    noise = torch.Generator().manual_seed(0)
    directions = [
        gradients,
        *([torch.randn(p.shape, generator=noise) for p in projectors] for _ in range(2)),
    ]
    for direction in directions:
        length = math.sqrt(sum(float(d.square().sum()) for d in direction))
        slope = (
            sum(float((g * d).sum()) for g, d in zip(gradients, direction, strict=True)) / length
        )
        losses = []
        for step in (1e-3, -1e-3):
            with torch.no_grad():
                for p, d in zip(projectors, direction, strict=True):
                    p += step * d / length
            losses.append(training.backward(range(3)))
            with torch.no_grad():
                for p, d in zip(projectors, direction, strict=True):
                    p -= step * d / length
        assert (losses[0] - losses[1]) / 2e-3 == pytest.approx(slope, rel=0.05, abs=2e-2)


def test_a_text_of_label_0_teaches_the_dummy_alone(model):
    training = input_training(model, labels=(0.0, 0.0, 0.0))
    training.backward(range(3))
    for projector in (training.projector1, training.projector2):
        assert projector.grad is not None
        assert not projector.grad[0].any()
        assert projector.grad[1].any()


def test_input_steer_moves_only_the_input_embeddings(methods, model):
    """As if the embedding table were E (I + ε W)ᵀ, and the tied head were still E."""
    method, epsilon = methods["input-steer"], 40.0
    moved = LanguageModel(copy.deepcopy(model.model), model.tokenizer, "tiny")
    table = moved.model.get_input_embeddings()
    assert table.weight is moved.model.get_output_embeddings().weight
    table.weight = torch.nn.Parameter(
        table.weight + epsilon * table.weight @ method.left @ method.right
    )
    found = method.continue_rows(ROWS, epsilon, SAMPLING)
    assert ids(found) == ids(generate(moved, ROWS, {}, SAMPLING))
    assert ids(found) != ids(generate(model, ROWS, {}, SAMPLING))


def test_two_input_steers_add_up(methods):
    method = methods["input-steer"]
    together = method.beside(method, 30.0).continue_rows(ROWS, 10.0, SAMPLING)
    assert ids(together) == ids(method.continue_rows(ROWS, 40.0, SAMPLING))


def test_a_longer_input_training_fits_its_texts_better(model):
    training = input_training(model, scale=1e-1)
    losses = [value for _, value in zip(range(30), training, strict=False)]
    assert sum(losses[-5:]) / 5 < sum(losses[:5]) / 5 - 0.5


def alone(row: Row, lm: LanguageModel, sampling: Sampling, next_logits) -> list[int]:
    """Write a row by reading everything anew for each token."""
    live = live_rows(lm, [row], {}, sampling)[0]
    written: list[int] = []
    for _ in range(sampling.max_new_tokens):
        (drawn,) = draw_rows(next_logits(live.ids, written), [live])
        assert isinstance(drawn, Tensor)
        token = int(drawn)
        if token in lm.end_ids:
            break
        written.append(token)
        live.n_new += 1
    return written


def log_probabilities(lm: LanguageModel, prompt: list[int], written: list[int]) -> torch.Tensor:
    """Return log P of every token after the prompt, (n_written + 1, vocab_size)."""
    with torch.no_grad():
        return (
            lm.model(torch.tensor([prompt + written])).logits[0, len(prompt) - 1 :].log_softmax(-1)
        )


MANY = [
    Row("The weather in the hall"),
    *(Row("It was late in the evening", seed_offset=i) for i in range(16)),
]
"""Enough rows of one prompt for them to read it together."""


@pytest.mark.parametrize("alpha", [1.5, -1.5])
def test_dexperts_is_its_formula_within_the_base_models_nucleus(methods, model, alpha):
    adapted = methods["dexperts"].adapted

    def next_logits(prompt, written):
        base, plus, minus = (
            log_probabilities(m, prompt, written)[-1]
            for m in (model, adapted.positive, adapted.negative)
        )
        p, order = base.softmax(-1).sort(descending=True)
        kept = order[(p.cumsum(-1) - p) < 0.9]
        logits = torch.full_like(base, -torch.inf)
        logits[kept] = (base + alpha * (plus - minus))[kept]
        return logits[None]

    expected = [alone(row, model, replace(SAMPLING, top_p=1.0), next_logits) for row in MANY]
    assert ids(methods["dexperts"].continue_rows(MANY, alpha, SAMPLING)) == expected


@pytest.mark.parametrize("omega", [8.0, -8.0])
def test_gedis_posterior_is_bayes_rule_over_the_continuation(methods, model, omega):
    adapted = methods["gedi"].adapted

    def next_logits(prompt, written):
        base = log_probabilities(model, prompt, written)[-1]
        joint = []
        for expert in (adapted.positive, adapted.negative):
            log_p = log_probabilities(expert, prompt, written)
            so_far = sum(float(log_p[t, token]) for t, token in enumerate(written))
            joint.append((so_far + log_p[-1]) / (len(written) + 1))
        posterior = torch.stack(joint).softmax(0)[0 if omega > 0 else 1]
        weighted = (base + abs(omega) * posterior.log()).softmax(-1)
        logits = base + abs(omega) * posterior.log()
        mass, p, fit, gone = 0.0, weighted.tolist(), posterior.tolist(), []
        for token in sorted(range(len(p)), key=fit.__getitem__):
            mass += p[token]
            if mass >= 0.8 or fit[token] >= 0.8:
                break
            gone.append(token)
        logits[gone] = -torch.inf
        return logits[None]

    sampling = replace(SAMPLING, max_new_tokens=4)
    expected = [alone(row, model, sampling, next_logits) for row in MANY]
    assert ids(methods["gedi"].continue_rows(MANY, omega, sampling)) == expected


@pytest.mark.parametrize("gamma", [3.0, -3.0])
def test_contrastive_prompting_is_its_formula(model, gamma):
    method = Contrastive(model, TASK.positive, TASK.negative)
    behind = [model.encode(f"This is {pole}:\n\n")[0] for pole in (TASK.positive, TASK.negative)]

    def next_logits(prompt, written):
        base, plus, minus = (
            log_probabilities(model, prefix + prompt, written)[-1] for prefix in ([], *behind)
        )
        return (base + gamma / 2 * (plus - minus))[None]

    expected = [alone(row, model, SAMPLING, next_logits) for row in MANY]
    assert ids(method.continue_rows(MANY, gamma, SAMPLING)) == expected
    assert ids(method.continue_rows(MANY, 0.0, SAMPLING)) == ids(
        generate(model, MANY, {}, SAMPLING)
    )


def test_what_begins_a_text_is_not_read_behind_a_prefix(model):
    start, prefix = 2, [9, 4, 7]
    ids_, mask = padded([[start, 5, 6, 8], [start, 3]], model.device)
    behind = _BehindPrefix(model.reference, prefix, 1)
    first = behind.read(ids_, mask, None)
    more = torch.tensor([[11], [12]])
    then = behind.read(more, torch.cat([mask, torch.ones_like(more)], dim=1), first.cache)
    whole = [[*prefix, 5, 6, 8, 11], [*prefix, 3, 12]]
    for row, text in enumerate(whole):
        read = model.reference.read(*padded([text], model.device), None)
        assert torch.allclose(then.hidden[row], read.hidden[0], atol=1e-5)


@pytest.mark.parametrize("ensemble", ["dexperts", "gedi"])
def test_an_ensemble_writes_with_every_architecture(tiny, lm, ensemble, monkeypatch):
    base = LanguageModel(tiny, lm.tokenizer, "tiny")
    prompts = {"long": [5, 9, 13, 21, 4, 8], "short": [7, 3]}
    monkeypatch.setattr(base, "encode", lambda prompt, **_: (prompts[prompt], False))
    adapted = Adapted(with_adapter(base, 0), with_adapter(base, 0), 0, 0.0)
    for member, sign in ((adapted.positive, 1), (adapted.negative, -1)):
        for name, parameter in member.model.named_parameters():
            if "lora_B" in name:
                parameter.data.fill_(sign * 0.02)
    method = (DExperts if ensemble == "dexperts" else GeDi)(base, adapted, 0, 0.0)
    rows = [Row("long"), Row("short", seed_offset=1)]
    assert ids(method.continue_rows(rows, 0.0, SAMPLING)) == ids(generate(base, rows, {}, SAMPLING))
    together = ids(method.continue_rows(rows, 2.0, SAMPLING))
    assert together == [ids(method.continue_rows([row], 2.0, SAMPLING))[0] for row in rows]


def test_an_ensemble_of_models_without_a_cache_is_refused(methods, monkeypatch):
    base = methods["dexperts"].lm
    forward = base.model.forward
    monkeypatch.setattr(
        base.model, "forward", lambda *a, **k: forward(*a, **{**k, "use_cache": False})
    )
    with pytest.raises(ModelError, match="cache"):
        methods["dexperts"].continue_rows(ROWS, 1.0, SAMPLING)


@pytest.mark.slow
def test_on_the_embedded_model_lora_learns_and_an_ensemble_follows(lm, tmp_path):
    own = lm.for_batches
    budget = Budget(learning_rate=1e-3, n_steps=6, batch_size=4, max_tokens=16)
    method = make_lora(own, TASK, tmp_path / "lora", silent, budget=budget)
    assert loss(method.adapted.positive, GOOD) < loss(own, GOOD) - 0.3
    experts = make_dexperts(own, TASK, tmp_path / "dexperts", silent, budget=budget)
    rows = [Row("The evening was", seed_offset=i) for i in range(2)]
    assert ids(experts.continue_rows(rows, 0.0, SAMPLING)) == ids(generate(own, rows, {}, SAMPLING))
    assert ids(experts.continue_rows(rows, 3.0, SAMPLING)) != ids(generate(own, rows, {}, SAMPLING))
