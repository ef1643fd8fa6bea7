"""Compose: two steers at once, as a plane of (ε₁, ε₂)."""

from __future__ import annotations

import gradio as gr

from lmsteer_core.ui.session import SessionSteers
from lmsteer_core.workbench import Workbench


def create_compose_tab(workbench: Workbench, own: SessionSteers, changed: gr.State, demo: gr.Blocks) -> None:
    """Add the tab's widgets and events to the open Blocks; arguments as for the Steer tab."""
