"""Compose: two steers at once, as a plane of (ε₁, ε₂)."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

import gradio as gr

from lmsteer_core.compose import Plane, plane, styles
from lmsteer_core.decoding import Sampling, Token
from lmsteer_core.errors import InputError, LMSteerError
from lmsteer_core.generation import Row, growing
from lmsteer_core.plots.look import signed
from lmsteer_core.plots.plane import EXTENT, Heat, colour_bar
from lmsteer_core.steer import Steer, SteerCard, check_epsilon
from lmsteer_core.ui import live, render
from lmsteer_core.ui.compose_render import (
    COARSE_GRID,
    PROMPT_CHARACTERS,
    Setting,
    StyleMap,
    by_first_token,
    lowest,
    map_note,
    numbers_table,
    overlap_text,
    pad_html,
    style_heat,
    word_heat,
)
from lmsteer_core.ui.examples import EXAMPLE_PROMPTS, PLANE_EXAMPLES, PlaneExample
from lmsteer_core.ui.runs import Runs, Wanted
from lmsteer_core.ui.session import SessionSteers, asked_at, check_unlocked, session_of
from lmsteer_core.ui.theme import DEBOUNCE_JS, LOOK, QUIET, STREAMING, told_js
from lmsteer_core.workbench import Workbench

NOTHING, WORD, STYLE = "None", "Probability of a word", "Style of the text"
NOBODY = "none"
_TEXT = Sampling(temperature=0.9, top_p=0.95, max_new_tokens=32, seed=3)
_SCORED = Sampling(temperature=0.9, top_p=0.95, max_new_tokens=16, seed=3)
_SEEN = (
    "Drag the point, or use the two sliders: moves add in the logits, so the two styles combine without "
    "training anything."
)
_JUDGE = (
    "The judge is the steer's own likelihood ratio, log P(token | ε = 1) − log P(token | ε = −1), with the "
    "text read unsteered, one short text a cell. It is not an outside judge: it weighs words, so “not bad at "
    "all” counts as negative."
)
_SATURATION = (
    "A third steer adds its move to the other two, and fluency is spent by the sum: a steer's useful range "
    "holds for that steer alone. Measured on SmolLM2-135M, as perplexity of its text under the unsteered "
    "model: 12 without steering, 17 with one steer at the end of its useful range, 25 with three, which is "
    "what one steer costs at 1.7 times its useful end. Three at 0.6 of their ranges cost about what one "
    "costs at its end."
)
_SHOW_POINT = "watch('value', () => window.lmsteerCompose.show()); window.lmsteerCompose.show();"


def create_compose_tab(workbench: Workbench, own: SessionSteers, changed: gr.State, demo: gr.Blocks) -> None:
    """Add the tab's widgets and events to the open Blocks; arguments as for the Steer tab."""
    names = workbench.names
    presets = [p for p in PLANE_EXAMPLES if {p.across, p.up} <= set(names)]
    start = presets[0] if presets else PlaneExample("", EXAMPLE_PROMPTS[0], *_two(names), (1.0, 1.0), "good")
    text_runs, map_runs = Runs(), Runs()
    being_scored: dict[str, Setting] = {}  # by session: what its last style map was asked for

    def setting_of(
        request: gr.Request, prompt: str, across: str | None, up: str | None, third: str | None,
        held: float, unlocked: bool,
    ) -> Setting:  # fmt: skip
        session = session_of(request)
        used = [across, up] if third in (None, NOBODY) else [across, up, third]
        if len(set(used)) < len(used) and None not in used:
            raise InputError("Choose different steers: each can be used once.")
        a, b, *others = (own.steer(session, name) for name in used)
        kept = [(steer, check_epsilon(held, steer.name)) for steer in others]
        for steer, epsilon in kept:
            check_unlocked(steer, epsilon, unlocked)
        return Setting(prompt[-PROMPT_CHARACTERS:], a, b, tuple((s, e) for s, e in kept if e), unlocked)

    def write_text(
        request: gr.Request, prompt: str, across: str | None, up: str | None, third: str | None,
        held: float, unlocked: bool, at_across: float, at_up: float, seed: float | None,
    ) -> Iterator[tuple[Any, ...]]:  # fmt: skip
        def write(is_wanted: Wanted) -> Iterator[tuple[Any, ...]]:
            setting = setting_of(request, prompt, across, up, third, held, unlocked)
            point = check_epsilon(at_across, setting.across.name), check_epsilon(at_up, setting.up.name)
            for steer, epsilon in zip((setting.across, setting.up), point, strict=True):
                check_unlocked(steer, epsilon, unlocked)
            mine = own.own(session_of(request))
            dice = _with_seed(_TEXT, seed)
            yield from live.side_by_side(
                workbench, setting.prompt, setting.epsilons(*point), dice, is_wanted, mine
            )

        yield from text_runs.follow(request, 2, write)

    def write_map(
        request: gr.Request, prompt: str, across: str | None, up: str | None, third: str | None,
        held: float, unlocked: bool, at_across: float, at_up: float, seed: float | None, judge: str,
    ) -> Iterator[tuple[Any, ...]]:  # fmt: skip
        def write(is_wanted: Wanted) -> Iterator[tuple[Any, ...]]:
            setting = setting_of(request, prompt, across, up, third, held, unlocked)
            being_scored[session_of(request)] = setting
            keep = [gr.skip()] * 4
            for done in _score_texts(
                workbench, setting, _with_seed(_SCORED, seed), own.own(session_of(request)), is_wanted
            ):
                if isinstance(done, StyleMap):
                    shown = drawn(setting, (at_across, at_up), style_heat(done, judge == "up"))
                    yield *shown, done, map_note(prompt, _JUDGE)
                else:
                    yield *keep, render.progress(done)

        yield from map_runs.follow(request, 4, write)

    @functools.lru_cache(maxsize=64)
    def word_plane(setting: Setting, word: str) -> Plane:
        return workbench.engine.call(
            lambda: plane(workbench.lm, setting.prompt, setting.across, setting.up, word, held=setting.third)
        )

    def drawn(setting: Setting, point: tuple[float, float], heat: Heat | None) -> tuple[str, str, str]:
        """Return the pad, the colour bar and the table."""
        pad = pad_html(setting, point, heat)
        if heat is None:
            return pad, "", ""
        ends = (
            (signed(-heat.bound), signed(heat.bound)) if heat.is_signed else ("0", render.percent(heat.bound))
        )
        return pad, colour_bar(heat, *ends), numbers_table(setting, heat)

    def end_map(request: gr.Request) -> None:
        """End the map being written without a word: what ends it tells what is next."""
        map_runs.start(session_of(request), asked_at(request))

    def draw(
        request: gr.Request, prompt: str, across: str | None, up: str | None, third: str | None,
        held: float, unlocked: bool, at_across: float, at_up: float,
        kind: str, word: str, judge: str, scored: StyleMap | None,
    ) -> tuple[Any, ...]:  # fmt: skip
        try:
            setting = setting_of(request, prompt, across, up, third, held, unlocked)
            point = (at_across or 0.0, at_up or 0.0)
            heat, told = None, ""
            if kind == WORD:
                found = word_plane(setting, word)
                heat, told = word_heat(setting, found), by_first_token(found, word)
            elif kind == STYLE and scored and scored.setting == setting:
                heat, told = style_heat(scored, judge == "up"), _JUDGE
            elif kind == STYLE:
                if being_scored.get(session_of(request)) != setting:
                    end_map(request)
                told = "Press the button: short texts are written and scored, which takes some seconds."
            return *drawn(setting, point, heat), map_note(prompt, told)
        except LMSteerError as error:
            return gr.skip(), gr.skip(), gr.skip(), render.note(str(error), "error")

    def settle(
        request: gr.Request, across: str | None, up: str | None, third: str | None, unlocked: bool,
        at_across: float, at_up: float, held: float,
    ) -> tuple[Any, ...]:  # fmt: skip
        """Fit sliders, lock and notice to the chosen steers; what was drawn is out of date."""
        end_map(request)
        sliders, notices = [], []
        for name, epsilon in ((across, at_across), (up, at_up), (third, held)):
            known = own.steer(session_of(request), name) if name in own.names(session_of(request)) else None
            low = lowest(known, unlocked) if known else -EXTENT
            shown = gr.update(minimum=low, value=max(low, epsilon or 0.0), visible=known is not None)
            sliders.append({**shown, "label": _slider_label(known.card)} if known else shown)
            notices += [known.card.notice] if known and known.card.notice else []
        notice = render.note(" ".join(dict.fromkeys(notices)), "warning")
        try:
            setting = setting_of(request, "", across, up, NOBODY, 0.0, unlocked)
            pad, about = pad_html(setting, (sliders[0]["value"], sliders[1]["value"])), overlap_text(setting)
        except LMSteerError:
            pad, about = gr.skip(), ""
        return *sliders, gr.update(visible=bool(notices)), notice, about, pad

    def offer(
        request: gr.Request, across: str | None, up: str | None, third: str | None
    ) -> tuple[dict[str, Any], ...]:
        offered = own.names(session_of(request))
        first, second = _two(list(dict.fromkeys([n for n in (across, up) if n in offered] + offered)))
        return (
            gr.update(choices=offered, value=first),
            gr.update(choices=offered, value=second),
            gr.update(choices=[NOBODY, *offered], value=third if third in offered else NOBODY),
        )

    def show_kind(request: gr.Request, kind: str, across: str | None, up: str | None) -> tuple[Any, ...]:
        if kind != STYLE:
            end_map(request)
        judges = [(across or "first", "across"), (up or "second", "up")]
        is_style = kind == STYLE
        return (
            gr.update(visible=kind == WORD),
            gr.update(visible=is_style),
            gr.update(visible=is_style, choices=judges),
        )

    def stop(request: gr.Request) -> None:
        text_runs.stop(session_of(request), asked_at(request))
        map_runs.stop(session_of(request), asked_at(request))

    def forget(request: gr.Request) -> None:
        text_runs.forget(session_of(request))
        map_runs.forget(session_of(request))
        being_scored.pop(session_of(request), None)

    first = None
    if start.across and start.up:
        first = Setting(start.prompt, workbench.steers[start.across], workbench.steers[start.up], (), False)
    else:
        gr.HTML(render.note("Composing takes two steers: make them on the New steer tab.", "warning"))
    with gr.Row(elem_classes="examples"):
        buttons = [gr.Button(p.label, size="sm", elem_classes="compose-preset") for p in presets]
    about_preset = gr.HTML(_told(start.told), elem_id="compose-told")
    with gr.Row():
        with gr.Column(scale=2, min_width=320):
            pad = gr.HTML(
                pad_html(first, start.point) if first else "", elem_id="compose-pad",
                js_on_load=_SHOW_POINT,
            )  # fmt: skip
            key = gr.HTML(elem_id="compose-key")
            with gr.Row():
                across = _chooser(names, start.across, "Across: ε₁", "compose-first")
                at_across = _axis(first.across if first else None, start.point[0], "compose-across")
            with gr.Row():
                up = _chooser(names, start.up, "Up: ε₂", "compose-second")
                at_up = _axis(first.up if first else None, start.point[1], "compose-up")
            unlock = gr.Checkbox(
                False, label="Unlock poles that produce offensive text (for research)", visible=False,
                elem_id="compose-unlock",
            )  # fmt: skip
            notice = gr.HTML(elem_id="compose-notice")
        with gr.Column(scale=3, min_width=320):
            prompt = gr.Textbox(
                start.prompt, label="Prompt", placeholder="Write a few words to continue …",
                lines=1, max_lines=4, elem_id="compose-prompt",
            )  # fmt: skip
            with gr.Row():
                go = gr.Button("Generate", variant="primary", elem_id="compose-go")
                halt = gr.Button("Stop", variant="stop", elem_id="compose-stop")
            with gr.Row(elem_classes="columns"):
                baseline = live.panel("Baseline", "the model as it is", "baseline", "compose-baseline")
                steered = live.panel(
                    "Steered", "both moves added, the same dice", "steered", "compose-steered"
                )
            status = gr.HTML(elem_id="compose-status")
            with gr.Column(elem_classes="card"):
                kind = gr.Radio([WORD, STYLE, NOTHING], value=WORD, label="Map under the point",
                                elem_id="compose-kind")  # fmt: skip
                word = gr.Textbox(start.word, label="Word that may come next", max_lines=1, max_length=60,
                                  elem_id="compose-word")  # fmt: skip
                with gr.Row():
                    judge = gr.Radio(
                        [(start.across or "first", "across"), (start.up or "second", "up")], value="across",
                        visible=False, label="Scored by", elem_id="compose-judge",
                    )  # fmt: skip
                    score = gr.Button("Write and score 25 texts", visible=False, elem_id="compose-score")
                map_status = gr.HTML(elem_id="compose-map-status")
                with gr.Accordion("The map's numbers as a table", open=False):
                    table = gr.HTML(elem_id="compose-table")
            about = gr.HTML(overlap_text(first) if first else "", elem_id="compose-overlap")
            with gr.Accordion("A third steer, and the dice", open=False, elem_id="compose-more"):
                with gr.Row():
                    third = gr.Dropdown([NOBODY, *names], value=NOBODY, label="Third steer, held",
                                        elem_id="compose-third")  # fmt: skip
                    seed = gr.Number(_TEXT.seed, precision=0, label="Seed (names the dice)",
                                     elem_id="compose-seed")  # fmt: skip
                held = gr.Slider(
                    -EXTENT, EXTENT, 0, step=0.1, label="ε of the third steer", visible=False, buttons=[],
                    elem_id="compose-held", elem_classes="epsilon",
                )  # fmt: skip
                gr.HTML(f'<p class="limits">{escape(_SATURATION)}</p>')
    gr.HTML(
        render.equation(
            "logits(ε₁, ε₂) = E (h + ε₁ W₁ᵀ h + ε₂ W₂ᵀ h)",
            "h is the model's last hidden state, which no steer changes, E the output embeddings: three "
            "tables of logits give P(word) = softmax at every point of the plane. The map tells about the "
            "next word only; what follows depends on what was written before it.",
            "compose.py",
        )
    )

    scored = gr.State(None)
    who: list[Any] = [prompt, across, up, third, held, unlock]
    point: list[Any] = [at_across, at_up]
    texts: dict[str, Any] = {
        "fn": write_text, "inputs": [*who, *point, seed], "outputs": [baseline, steered, status],
        **STREAMING,
    }  # fmt: skip
    shown = [pad, key, table]
    maps: dict[str, Any] = {
        "fn": draw, "inputs": [*who, *point, kind, word, judge, scored], "outputs": [*shown, map_status],
        **LOOK,
    }  # fmt: skip
    fitted: dict[str, Any] = {
        "fn": settle, "inputs": [across, up, third, unlock, *point, held],
        "outputs": [*point, held, unlock, notice, about, pad], **QUIET,
    }  # fmt: skip
    kinds: dict[str, Any] = {
        "fn": show_kind,
        "inputs": [kind, across, up],
        "outputs": [word, score, judge],
        **QUIET,
    }
    gr.on([go.click, prompt.submit], **maps).then(**texts)
    for slider in (at_across, at_up):
        slider.input(js=DEBOUNCE_JS, **texts)
        slider.change(None, point, None, js="(a, b) => window.lmsteerCompose.place(a, b)")
    held.input(js=DEBOUNCE_JS, **maps).then(**texts)
    chosen = gr.on([across.input, up.input, third.input, unlock.input], **fitted)
    chosen.then(**kinds).then(**maps).then(**texts)
    kind.input(**kinds).then(**maps)
    gr.on([word.submit, word.blur, judge.input], **maps)
    score.click(write_map, [*who, *point, seed, judge], [*shown, scored, map_status], **STREAMING)
    taught = {(p.prompt, p.across or "", p.up or ""): _told(p.told) for p in presets}
    teach: dict[str, Any] = {
        "fn": None, "inputs": [prompt, across, up], "outputs": about_preset, "js": told_js(taught, _told()),
    }  # fmt: skip
    gr.on([prompt.change, across.change, up.change], **teach)
    for button, preset in zip(buttons, presets, strict=True):
        values = (
            preset.prompt, preset.across, preset.up, *preset.point, preset.word, WORD, NOBODY, 0.0,
        )  # fmt: skip
        outputs = [prompt, across, up, *point, word, kind, third, held]
        pressed = button.click(lambda values=values: values, None, outputs, **QUIET)
        pressed.then(**teach).then(**fitted).then(**kinds).then(**maps).then(**texts)
    halt.click(stop, None, None, **QUIET)
    changed.change(offer, [across, up, third], [across, up, third], **QUIET).then(**fitted).then(
        **kinds
    ).then(**maps)
    if first:
        demo.load(**maps)
        example = live.finished_example(workbench, first.prompt, first.epsilons(*start.point), _TEXT)
        demo.load(example.result, None, [baseline, steered, status], **QUIET)
    demo.unload(forget)


def _score_texts(
    workbench: Workbench, setting: Setting, sampling: Sampling, own: Mapping[str, Steer], is_wanted: Wanted
) -> Iterator[str | StyleMap]:
    """Yield what is being done, then the texts over the coarse grid and their scores."""
    points = [(x, y) for y in COARSE_GRID for x in COARSE_GRID if not setting.is_locked(x, y)]
    rows = [Row(setting.prompt, setting.epsilons(*point)) for point in points]
    tokens: list[list[Token]] = [[] for _ in rows]
    yield "Waiting …"
    for tokens in growing(workbench.stream(rows, sampling, extra=own, is_wanted=is_wanted), len(rows)):
        yield f"Writing {len(rows)} texts: token {max(map(len, tokens))} of {sampling.max_new_tokens} …"
    if not is_wanted():
        return
    yield "Scoring …"
    judges = [setting.across, setting.up]
    scores = workbench.engine.call(lambda: styles(workbench.lm, setting.prompt, tokens, judges))
    texts = ["".join(token.text for token in each) for each in tokens]
    found = dict(zip(points, zip(texts, scores, strict=True), strict=True))
    grid = [[found.get((x, y), ("", None)) for x in COARSE_GRID] for y in COARSE_GRID]
    yield StyleMap(setting, [[t for t, _ in row] for row in grid], [[s for _, s in row] for row in grid])


def _two(names: Sequence[str]) -> tuple[str | None, str | None]:
    """Return the first two names, None for those that are not there."""
    return names[0] if names else None, names[1] if len(names) > 1 else None


def _told(preset: str = "") -> str:
    return f"<p>{escape(f'{preset} {_SEEN}'.strip())}</p>"


def _with_seed(sampling: Sampling, seed: float | None) -> Sampling:
    if seed is None:
        raise InputError("The seed is empty; give it a whole number.")
    return dataclasses.replace(sampling, seed=int(seed))


def _slider_label(card: SteerCard) -> str:
    return f"ε of {card.name}"


def _chooser(names: list[str], value: str | None, label: str, elem_id: str) -> gr.Dropdown:
    return gr.Dropdown(names, value=value, label=label, min_width=170, elem_id=elem_id)


def _axis(steer: Steer | None, value: float, elem_id: str) -> gr.Slider:
    low = lowest(steer, False) if steer else -EXTENT
    label = _slider_label(steer.card) if steer else "ε"
    return gr.Slider(
        low, EXTENT, max(low, value), step=0.1, label=label, min_width=170, buttons=[],
        elem_id=elem_id, elem_classes="epsilon",
    )  # fmt: skip
