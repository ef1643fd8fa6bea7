"""Steers as repositories of the Hugging Face hub: pushed, pulled, with a model card."""

from __future__ import annotations

import tempfile
from pathlib import Path

from huggingface_hub import HfApi, ModelCardData
from huggingface_hub.errors import RepositoryNotFoundError

from lmsteer_core.errors import SteerError, first_line
from lmsteer_core.steers.card import CARD_FILE
from lmsteer_core.steers.reader import READER_FILE
from lmsteer_core.steers.steer import WEIGHTS_FILE, Steer

_HUB_IDS = {
    "SmolLM2-135M-Instruct": "HuggingFaceTB/SmolLM2-135M-Instruct",
    "gemma-3-270m": "google/gemma-3-270m",
}
"""Where the models that come as packages live on the hub."""

README_FILE = "README.md"


def model_card(steer: Steer) -> str:
    """Return the README.md that makes a steer's folder a model repository of the hub."""
    card = steer.card
    low, high = card.epsilon_range
    lines = [
        f"# {card.name}: {card.negative} ↔ {card.positive}",
        f"> {card.notice}" if card.notice else "",
        (
            f"A steer of rank {steer.rank} for {card.model_id}: a matrix W that moves every output "
            f"word embedding e to (I + εW) e. Useful from ε = {low:g} ({card.negative}) to ε = "
            f"{high:g} ({card.positive})."
        ),
        f"Method: {card.method or 'not told'}. Made from: {card.data or 'not told'}.",
        f"It reads with factors of its own, fitted on {card.reading}." if card.reading else "",
        f"`{WEIGHTS_FILE}` holds the factors W = left @ right, `{CARD_FILE}` what was measured.",
        (
            "```python\nfrom lmsteer_core import Steering, load_model\nfrom lmsteer_core.interop "
            "import pull\n\n"
            f'lm = load_model("{hub_id(card.model_id)}")\nsteer = pull("OWNER/NAME")  # this '
            "repository\n"
            f"with Steering(lm.model, [steer], [[{high:g}]]):\n    lm.model.generate(...)\n```"
        ),
    ]
    return front_matter(card.model_id, "lmsteer") + "\n\n".join(filter(None, lines)) + "\n"


def save_repository(steer: Steer, folder: Path | str) -> Path:
    """Write a steer's folder with its README.md, ready for the hub; errors as for `Steer.save`."""
    folder = steer.save(folder)
    try:
        (folder / README_FILE).write_text(model_card(steer), encoding="utf-8")
    except OSError as error:
        raise SteerError(f"Cannot write the steer to {folder}: {error}.") from error
    return folder


def push(steer: Steer, repo_id: str, token: str, *, private: bool = False) -> str:
    """Upload a steer to the hub as the model repository OWNER/NAME and return its address.

    Args:
        steer: The steer.
        repo_id: OWNER/NAME; made where it does not exist yet.
        token: The user's own token with the right to write.
        private: Whether a new repository is private.

    Raises:
        SteerError: If the hub cannot be reached or refuses.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = save_repository(steer, Path(scratch) / steer.name)
        try:
            api = HfApi(token=token)
            url = api.create_repo(repo_id, private=private, exist_ok=True)
            api.upload_folder(
                repo_id=repo_id, folder_path=folder, commit_message=f"Add steer {steer.name}"
            )
        except Exception as error:  # the hub's client raises its own, the network's and ValueError
            raise SteerError(
                f"Cannot push '{steer.name}' to {repo_id}: {first_line(error)}."
            ) from error
    return str(url)


def pull(repo_id: str, *, revision: str | None = None, token: str | None = None) -> Steer:
    """Return the steer of a hub repository, downloaded at most once; only its own files are read.

    Raises:
        SteerError: If the hub cannot be reached, has no such repository, or it holds no steer.
    """
    try:
        folder = HfApi(token=token).snapshot_download(
            repo_id, revision=revision, allow_patterns=[CARD_FILE, WEIGHTS_FILE, READER_FILE]
        )
    except RepositoryNotFoundError as error:
        raise SteerError(
            f"The hub has no repository {repo_id}, or none that this token may read."
        ) from error
    except Exception as error:  # the hub's client raises its own, the network's and ValueError
        raise SteerError(f"Cannot fetch the steer {repo_id}: {first_line(error)}.") from error
    return Steer.load(folder)


def hub_id(model_id: str) -> str:
    """Return the hub's id of a model that comes as a package; any other id as it is."""
    return _HUB_IDS.get(model_id, model_id)


def front_matter(model_id: str, library: str) -> str:
    """Return the block that the hub reads; a local folder's name is no base model there."""
    base = hub_id(model_id)
    data = ModelCardData(
        base_model=base if "/" in base else None,
        library_name=library,
        tags=["lm-steer", "steering"],
    )
    return f"---\n{data.to_yaml()}\n---\n\n"
