"""A steer as the file that a page downloads."""

from __future__ import annotations

from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder

from lmsteer_core.exchange import archive
from lmsteer_core.steers.steer import Steer


def steer_file(steer: Steer) -> str:
    """Return the path of a zip of the steer, where Gradio serves and later deletes it."""
    path: str = save_bytes_to_cache(archive.pack(steer), f"{steer.name}.zip", get_upload_folder())
    return path
