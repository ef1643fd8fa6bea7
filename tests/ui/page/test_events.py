import inspect
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import gradio as gr
import pytest

from lmsteer_core.ui.page.events import LOOK, Inputs


@dataclass(frozen=True)
class Settings:
    prompt: str
    epsilons: tuple[float, ...]
    unlocked: bool


@pytest.fixture
def widgets() -> dict:
    return {
        "epsilons": [gr.Slider(), gr.Slider()],
        "prompt": gr.Textbox(),
        "unlocked": gr.Checkbox(),
    }


def answer(_: gr.Request, settings: Settings) -> Settings:
    return settings


def stream(_: gr.Request, settings: Settings) -> Iterator[Settings]:
    yield settings


async def stream_async(_: gr.Request, settings: Settings) -> AsyncIterator[Settings]:
    yield settings


def test_a_handler_gets_the_values_of_widgets_by_name(widgets) -> None:
    event = Inputs(Settings, **widgets).event(answer, [widgets["prompt"]], **LOOK)
    assert event["inputs"] == [*widgets["epsilons"], widgets["prompt"], widgets["unlocked"]]
    assert event["concurrency_id"] == "look"
    found = event["fn"](gr.Request(), 1.5, -2.0, "My life", True)
    assert found == Settings("My life", (1.5, -2.0), True)


def test_a_handler_that_streams_still_streams(widgets) -> None:
    inputs, values = Inputs(Settings, **widgets), (0.0, 1.0, "My life", False)
    fn = inputs.event(stream, [])["fn"]
    assert inspect.isgeneratorfunction(fn)
    assert [*fn(gr.Request(), *values)] == [Settings("My life", (0.0, 1.0), False)]
    assert inspect.isasyncgenfunction(inputs.event(stream_async, [])["fn"])


def test_a_widget_without_a_field_and_a_field_without_a_widget_are_refused(widgets) -> None:
    with pytest.raises(TypeError, match="prompt, seed"):
        Inputs(Settings, seed=widgets.pop("prompt"), **widgets)
