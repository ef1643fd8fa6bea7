import dataclasses
import json
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from lmsteer_core.errors import SteerError
from lmsteer_core.exchange.archive import pack, unpack
from lmsteer_core.steers.card import CARD_FILE, SteerCard
from lmsteer_core.steers.steer import WEIGHTS_FILE, Steer

ROWS = torch.randn(16, 8, generator=torch.Generator().manual_seed(0)).half()
MODEL: Any = SimpleNamespace(output_embedding=ROWS, model_id="tiny")


@pytest.fixture
def steer() -> Steer:
    return Steer(
        torch.randn(8, 2), torch.randn(2, 8), ROWS, SteerCard("cosy", "dry", "warm", "tiny", rank=2)
    )


@pytest.fixture
def parcel(steer: Steer, tmp_path: Path) -> Path:
    path = tmp_path / "cosy.zip"
    path.write_bytes(pack(steer))
    return path


def zipped(path: Path, **parts: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name.replace("__", "."), content)
    return path


def parts_of(parcel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(parcel) as archive:
        return {name.replace(".", "__"): archive.read(name) for name in archive.namelist()}


def test_a_packed_steer_comes_back(steer: Steer, parcel: Path) -> None:
    back = unpack([parcel], MODEL)
    assert torch.equal(back.left, steer.left)
    assert back.card == steer.card


def test_its_two_files_do_as_well(parcel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(parcel) as archive:
        archive.extractall(tmp_path)
    assert unpack([tmp_path / WEIGHTS_FILE, tmp_path / CARD_FILE], MODEL).name == "cosy"
    with pytest.raises(SteerError, match="not a zip"):
        unpack([tmp_path / CARD_FILE], MODEL)


def refuse(path: Path, why: str) -> None:
    with pytest.raises(SteerError, match=why) as refused:
        unpack([path], MODEL)
    assert "/" not in str(refused.value)
    assert str(refused.value).endswith(".")


def test_what_is_no_zip_or_cut_is_refused(parcel: Path, tmp_path: Path) -> None:
    text = tmp_path / "notes.zip"
    text.write_text("just a note")
    refuse(text, "not a zip")
    text.write_bytes(parcel.read_bytes()[:-300])
    refuse(text, "not a zip")


def test_truncated_weights_are_refused(parcel: Path, tmp_path: Path) -> None:
    parts = parts_of(parcel)
    parts["steer__safetensors"] = parts["steer__safetensors"][:-40]
    refuse(zipped(tmp_path / "cut.zip", **parts), "truncated")


def test_nan_is_refused(parcel: Path, tmp_path: Path) -> None:
    save_file(
        {
            "left": torch.full((8, 2), torch.nan),
            "right": torch.ones(2, 8),
            "fingerprint_rows": ROWS,
        },
        tmp_path / "w",
    )
    parts = {**parts_of(parcel), "steer__safetensors": (tmp_path / "w").read_bytes()}
    refuse(zipped(tmp_path / "nan.zip", **parts), "NaN")


def test_another_models_steer_is_refused_by_name(steer: Steer, tmp_path: Path) -> None:
    card = dataclasses.replace(steer.card, model_id="giant")
    other = dataclasses.replace(steer, fingerprint_rows=-ROWS, card=card)
    (tmp_path / "other.zip").write_bytes(pack(other))
    refuse(tmp_path / "other.zip", "giant")


def test_other_files_and_paths_in_the_zip_are_refused(parcel: Path, tmp_path: Path) -> None:
    parts = parts_of(parcel)
    refuse(zipped(tmp_path / "more.zip", **parts, readme__md=b"hello"), "other things")
    refuse(zipped(tmp_path / "path.zip", **{**parts, "x": b""}), "other things")


def test_a_zip_bomb_is_refused_by_its_declared_size(parcel: Path, tmp_path: Path) -> None:
    parts = {**parts_of(parcel), "steer__safetensors": bytes(50_000_000)}
    bomb = zipped(tmp_path / "bomb.zip", **parts)
    assert bomb.stat().st_size < 100_000
    refuse(bomb, "unpacks to more than 5 MB")


def test_a_part_is_not_inflated_beyond_what_it_declares(parcel: Path, tmp_path: Path) -> None:
    parts = parts_of(parcel) | {"card__json": b" " * 3_000_000}
    bomb = zipped(tmp_path / "lies.zip", **parts)
    declared = (3_000_000).to_bytes(4, "little")
    bomb.write_bytes(bomb.read_bytes().replace(declared, (10).to_bytes(4, "little")))
    refuse(bomb, "card")


def test_only_ordinary_compression_is_unpacked(parcel: Path, tmp_path: Path) -> None:
    path = tmp_path / "rare.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        for name, content in parts_of(parcel).items():
            archive.writestr(name.replace("__", "."), content)
    refuse(path, "unusual way")


def test_a_large_file_is_not_even_opened(tmp_path: Path) -> None:
    (tmp_path / "large.zip").write_bytes(bytes(6_000_000))
    refuse(tmp_path / "large.zip", "larger than 5 MB")


@pytest.mark.parametrize("card", [b"\xff\xfe", b"[]", b"{}", b"null", b"{" * 3000, b" " * 200_000])
def test_a_bad_card_is_refused(parcel: Path, tmp_path: Path, card: bytes) -> None:
    refuse(zipped(tmp_path / "card.zip", **{**parts_of(parcel), "card__json": card}), "card")


def test_endless_poles_are_shortened(steer: Steer, parcel: Path, tmp_path: Path) -> None:
    card = {**json.loads(steer.card.to_json()), "positive": "endless " * 1000}
    path = zipped(
        tmp_path / "long.zip", **{**parts_of(parcel), "card__json": json.dumps(card).encode()}
    )
    assert len(unpack([path], MODEL).card.positive) < 40
