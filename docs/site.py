"""Hooks of MkDocs: add the pages that are made from other files, and show the API the modules as they are imported."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files

from jpegfreq.cli import COMMANDS, command_parsers

ROOT = Path(__file__).parents[1]

# Pages that are files elsewhere in the repository.
COPIES = {"benchmarks.md": "bench/README.md", "changelog.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md"}

# Where a link of the repository leads on the site. Links to other files of the repository become plain text.
LINKS = {
    "../bench/README.md": "benchmarks.md",
    "docs/architecture.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "docs/pretrained.md": "pretrained.md",
}


@event_priority(100)  # before mkdocstrings reads where the package lies
def on_config(config: Any) -> Any:
    """Copy the package to one folder, with models/ where it is imported from; mkdocstrings follows no links."""
    (ROOT / "build").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="docs-", dir=ROOT / "build"))  # two builds at once do not meet
    atexit.register(shutil.rmtree, folder)
    config.plugins["mkdocstrings"].config["handlers"]["python"]["paths"] = [str(folder)]
    package = folder / "jpegfreq"
    without = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "jpegfreq", package, ignore=without)
    shutil.copytree(ROOT / "models", package / "models", ignore=without)
    for module in package.rglob("*.py"):
        text = module.read_text(encoding="utf-8")
        module.write_text(
            re.sub(r"^( +)(>>> .*(?:\n\1(?!\"\"\")\S.*)*)", _examples, text, flags=re.MULTILINE), encoding="utf-8"
        )
    return config


def _examples(match: re.Match[str]) -> str:
    """Put a docstring's example into the section that mkdocstrings shows as code."""
    indent, lines = match[1], match[2]
    return f"{indent}Examples:\n{indent}    " + lines.replace("\n", "\n    ")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are copies, the pictures of the benchmarks, and the help of every command."""
    for name, source in COPIES.items():
        files.append(File.generated(config, name, content=(ROOT / source).read_text(encoding="utf-8")))
    for picture in sorted((ROOT / "bench" / "results").glob("*.png")):
        files.append(File.generated(config, f"results/{picture.name}", abs_src_path=str(picture)))
    files.append(File.generated(config, "command-line.md", content=command_line()))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Lead links that are right in the repository to the site's pages."""

    def replaced(match: re.Match[str]) -> str:
        text, target = match.groups()
        path, hash_sign, anchor = target.partition("#")
        path = LINKS.get(path, path)
        leads_outside = path.startswith("../") or (path and not path.endswith((".md", ".png")) and ":" not in path)
        return text if leads_outside else f"[{text}]({path}{hash_sign}{anchor})"

    return re.sub(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)", replaced, markdown)


def command_line() -> str:
    """Return the help of every command as a page."""
    os.environ["COLUMNS"] = "100"  # argparse wraps at the terminal's width
    parsers = command_parsers()
    parts = [
        "# Command line",
        "This page is what `jpegfreq --help` and `jpegfreq COMMAND --help` print.",
        _fenced(parsers[""].format_help()),
    ]
    for name in COMMANDS:
        parts += [f"## jpegfreq {name}", _fenced(parsers[name].format_help())]
    return "\n\n".join(parts) + "\n"


def _fenced(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```"
