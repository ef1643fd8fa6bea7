"""Pages that mkdocs makes while it builds: the API reference, one page per package of the tree."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "lmsteer_core"
NOT_A_LIBRARY = {"cli", "ui"}
"""Packages that nobody imports: the command line and the app."""

_PACKAGE_HEAD = (
    "::: {}\n    options: {{heading_level: 1, members: false, show_root_full_path: true}}"
)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the reference's pages into the navigation."""
    assert config.nav is not None
    pages = [{name: _address(name)} for name, _ in _packages()]
    config.nav.append({"API reference": ["reference/index.md", *pages]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the reference's pages, and the README's screenshot to the pages' images."""
    for name, modules in _packages():
        blocks = "\n\n".join([_PACKAGE_HEAD.format(name), *(f"::: {module}" for module in modules)])
        files.append(File.generated(config, _address(name), content=blocks))
    screenshot = ROOT / "assets/screenshot.png"
    files.append(File.generated(config, "images/steer.png", abs_src_path=str(screenshot)))
    return files


def _packages() -> Iterator[tuple[str, list[str]]]:
    """Yield every package of the library with its public modules, the root first."""
    for folder in [PACKAGE, *sorted(path.parent for path in PACKAGE.rglob("*/__init__.py"))]:
        relative = folder.relative_to(ROOT)
        if NOT_A_LIBRARY.isdisjoint(relative.parts):
            modules = [m for m in sorted(folder.glob("*.py")) if not m.stem.startswith("_")]
            name = ".".join(relative.parts)
            yield name, [f"{name}.{module.stem}" for module in modules]


def _address(package: str) -> str:
    return f"reference/{package.removeprefix('lmsteer_core').strip('.') or 'lmsteer_core'}.md"
