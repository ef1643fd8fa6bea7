"""Which widgets a link restores, and by what."""

from __future__ import annotations

from functools import partial

import gradio as gr
import pytest
from support.blocks import inside_blocks
from support.models import make_steer

from lmsteer_core import LanguageModel
from lmsteer_core.ui.page.link import Choice
from lmsteer_core.ui.page.links import Links


@pytest.fixture
def links() -> Links:
    return Links()


def restored(links: Links, fragment: str, *own) -> dict:
    """Return the updates by widget on a page with steers in its slots."""
    steers = {steer.name: steer for steer in own}
    slots = [*own, *[None] * (len(links.components) and 1 - len(own))]
    return links.read(fragment, steers, slots, "tiny", {"tab": Choice({"words": "words"})})[1]


def test_what_a_widget_may_hold_is_told_by_the_widget(links) -> None:
    def build(links: Links, _demo: gr.Blocks) -> dict:
        widgets = {
            "text": gr.Textbox("a", max_length=5),
            "flag": gr.Checkbox(False),
            "kind": gr.Radio(["x", "y"], value="x"),
            "axis": gr.Dropdown([1, 2, 3], value=1),
            "words": gr.Dropdown([], multiselect=True, max_choices=2),
            "level": gr.Slider(0, 1, 0.5, step=0.05),
            "seed": gr.Number(3, precision=0),
        }
        links.keep("view.", **widgets)
        links.keep_sliders([], [gr.Slider(-5, 5, 0, step=0.1)])
        return widgets

    widgets = inside_blocks(partial(build, links))
    fragment = "view.text=bcd&view.flag=1&view.kind=y&view.axis=3&view.words=p&view.words=q"
    updates = restored(links, f"{fragment}&view.level=0.25&view.seed=4294967295")
    assert {name: updates[widget] for name, widget in widgets.items()} == {
        "text": "bcd",
        "flag": True,
        "kind": "y",
        "axis": 3,
        "words": ["p", "q"],
        "level": 0.25,
        "seed": 2**32 - 1,
    }
    assert not restored(links, "view.text=abcdef&view.kind=z&view.axis=4&view.seed=4294967296")
    assert not restored(links, "tab=words")


def test_a_chooser_is_offered_the_steer_before_it_holds_it(links, small: LanguageModel) -> None:
    def build(_demo: gr.Blocks) -> tuple:
        chooser, slider, slot = gr.Dropdown([]), gr.Slider(-3, 3, 1), gr.Slider(-5, 5, 0, step=0.1)
        links.keep_steer("axis", chooser, lambda names: ["none", *names], none="none")
        links.keep_epsilon("e", slider, "axis")
        links.keep_sliders([], [slot])
        return chooser, slot

    chooser, slot = inside_blocks(build)
    joy = make_steer(small.output_embedding, name="joy")
    updates = restored(links, "axis=joy&steer.joy=1.5", joy)
    assert updates[chooser]["choices"] == ["none", "joy"]
    assert updates[chooser]["value"] == "joy"
    assert updates[slot] == 1.5
    assert restored(links, "axis=joy&steer.joy=1.5") == {}


def test_a_whole_tab_is_set_and_no_other(links, small: LanguageModel) -> None:
    def build(_demo: gr.Blocks) -> tuple:
        prompt, seed, slot = gr.Textbox("a"), gr.Number(3, precision=0), gr.Slider(-5, 5, 0)
        typed, other = gr.Textbox("b"), gr.Textbox("c")
        links.keep(prompt=prompt, seed=seed)
        links.keep("words.", typed=typed)
        links.keep("compose.", other=other)
        links.keep_sliders([], [slot])
        return prompt, seed, slot, typed

    prompt, seed, slot, typed = inside_blocks(build)
    joy = make_steer(small.output_embedding, name="joy")

    def whole(fragment: str, tab: str) -> dict:
        return links.read(fragment, {"joy": joy}, [joy], "tiny", {}, whole=tab)[1]

    assert whole("prompt=x&words.typed=y&compose.other=z", "words") == {typed: "y"}
    assert whole("seed=9", "steer") == {prompt: "a", seed: 9, slot: 0.0}
    assert set(links.of_tab("steer")) == {prompt, seed, slot}
    assert links.of_tab("words") == [typed]


def test_a_widget_that_no_link_can_hold_is_refused(links) -> None:
    with pytest.raises(TypeError, match="File"):
        inside_blocks(lambda _demo: links.keep(file=gr.File()))
