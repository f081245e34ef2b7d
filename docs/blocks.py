"""Run what the documentation shows: every fenced block of a Markdown page, in a folder of its own.

    python docs/blocks.py README.md docs/tutorial.md     runs the pages, pastes the output where it changed

| block | what is done with it |
|---|---|
| console | each `$ command` is run, its output compared; `…` stands for anything in a line, alone for any lines |
| bash | run as one script; `make` and `pip install` lines are checked, not run |
| python | run as a script |
| yaml | read as a recipe |
| json | parsed |
| text | nothing: figures and layouts |

A bash, python or yaml block whose first line is `# examples/…` shows that file, and must be equal to it. A block
after the line `<!-- not run: the reason -->` is only looked at.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LANGUAGES = ("console", "bash", "python", "yaml", "json", "text")
DEMO = "out/demo"  # blocks that name it look at the run of the demo, which takes minutes
DEMO_COMMAND = f"curate run pipelines/demo.yaml -o {DEMO}"
NOT_RUN = re.compile(r"<!-- not run: (.+) -->")
# What a slow machine says besides: that kernels are compiled, and once a minute how far it is.
PROGRESS = re.compile(r"^(compiling, once on this machine …|.+: \d+/\d+(, .+)?)\n", re.MULTILINE)
SHOWS_FILE = re.compile(r"# (examples/\S+|pipelines/\S+)\n")


@dataclass(frozen=True)
class Block:
    """A fenced block: where it stands (line of its first fence, 1-based), its language and text."""

    file: Path
    line: int
    language: str
    text: str
    not_run: str = ""  # the reason, if it is not

    @property
    def where(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line}"

    @property
    def needs_demo(self) -> bool:
        return DEMO in self.text and not self.not_run


def blocks_of(file: Path) -> list[Block]:
    """Return the fenced blocks of a page. Raises ValueError for a fence that is not closed."""
    found: list[Block] = []
    before, start, language = "", 0, ""
    lines: list[str] = []
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        if line.startswith("```"):
            if start:
                reason = NOT_RUN.fullmatch(before)
                text = "".join(f"{held}\n" for held in lines)
                found.append(Block(file, start, language, text, reason[1] if reason else ""))
                before, start, lines = "", 0, []
            else:
                start, language = number, line[3:].strip()
        elif start:
            lines.append(line)
        elif line.strip():
            before = line.strip()
    if start:
        raise ValueError(f"{file}:{start}: this block is not closed")
    return found


class Workspace:
    """A folder with `examples/` and `pipelines/` in which blocks run, with `curate` and `python` on the path."""

    def __init__(self, folder: Path) -> None:
        import curate

        self.folder = folder
        for name in ("examples", "pipelines"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
        tools = folder / ".tools"
        tools.mkdir()
        for name, words in (("curate", "-m curate.cli"), ("python", "")):
            (tools / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
            (tools / name).chmod(0o755)
        self.environment = {
            **os.environ,
            "PATH": f"{tools}{os.pathsep}{os.environ.get('PATH', '')}",
            "PYTHONPATH": str(Path(curate.__file__).resolve().parents[1]),
            "COLUMNS": "100",
        }
        self._demo: str | None = None

    def demo(self) -> str:
        """Run the demo, once; return what it said."""
        if self._demo is None:
            self._demo = self._output(DEMO_COMMAND)
        return self._demo

    def shell(self, command: str) -> str:
        """Run a script with bash; return its output, stdout and stderr together. Raises AssertionError on failure."""
        return self.demo() if command.strip() == DEMO_COMMAND else self._output(command)

    def _output(self, script: str) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder, env=self.environment, text=True, timeout=1800,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"exit code {done.returncode} from:\n{script}\n{done.stdout}"
        return PROGRESS.sub("", done.stdout)


def check(block: Block, workspace: Workspace) -> None:
    """Do with a block what its language asks for. Raises AssertionError that says what is wrong."""
    assert block.language in LANGUAGES, f"language {block.language!r}; known: {', '.join(LANGUAGES)}"
    if block.language == "json":
        json.loads(block.text)
        return
    if shown := SHOWS_FILE.match(block.text):
        content = (ROOT / shown[1]).read_text("utf-8")
        assert block.text.removeprefix(shown[0]) == content, f"differs from {shown[1]}"
        return
    if block.language == "yaml":
        from curate.recipe import parse_recipe

        parse_recipe(block.text, file=block.where, folder=str(workspace.folder))
    if block.not_run:
        return
    if block.needs_demo:
        workspace.demo()
    if block.language == "console":
        for command, expected in commands_of(block):
            got = workspace.shell(command)
            assert matches(expected, got), f"$ {command}\nshown:\n{expected}\nbut it says:\n{got}"
    elif block.language == "bash":
        workspace.shell(runnable(block.text))
    elif block.language == "python":
        script = workspace.folder / "block.py"
        script.write_text(block.text, "utf-8")
        workspace.shell("python block.py")


def commands_of(block: Block) -> list[tuple[str, str]]:
    """Return (command, output) of a console block; a command goes on in lines that begin with `> `."""
    found: list[tuple[str, str]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], ""))
        elif line.startswith("> ") and found and not found[-1][1]:
            found[-1] = (f"{found[-1][0]}\n{line[2:]}", "")
        else:
            assert found, f"a console block begins with `$ `, not {line!r}"
            found[-1] = (found[-1][0], f"{found[-1][1]}{line}\n")
    return found


def matches(shown: str, got: str) -> bool:
    """Say whether output is as shown, but for white space at the ends of lines and what `…` stands for."""
    pattern = ""
    for line in shown.strip("\n").splitlines():
        if line.strip() == "…":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += ".*".join(re.escape(piece) for piece in line.rstrip().split("…")) + r"\n"
    text = "".join(f"{line.rstrip()}\n" for line in got.strip("\n").splitlines())
    return re.fullmatch(pattern, text) is not None


def runnable(script: str) -> str:
    """Return a script without its `make` and `pip install` lines, which are checked here. Raises AssertionError."""
    kept = []
    for line in script.splitlines():
        words = line.split("#")[0].split()
        if words[:1] == ["make"]:
            targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
            for word in words[1:]:
                assert "=" in word or word in targets, f"the Makefile has no target {word!r}"
        elif words[:2] == ["pip", "install"]:
            extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
            for named in re.findall(r"\[([a-z,0-9]+)\]", line):
                assert set(named.split(",")) <= set(extras), f"no such extra: {named}"
        else:
            kept.append(line)
    return "\n".join(kept)


# --- pasting output ---------------------------------------------------------------------------------


def refresh(file: Path, workspace: Workspace) -> None:
    """Run a page; put what its commands say now in place of what it shows, where the two do not match."""
    text = file.read_text("utf-8")
    for block in blocks_of(file):
        if block.language != "console" or block.not_run:
            check(block, workspace)
            continue
        if block.needs_demo:
            workspace.demo()
        made = ""
        for command, shown in commands_of(block):
            got = workspace.shell(command)
            if not matches(shown, got):
                print(f"{block.where}: changed{', and has … to cut again' if '…' in shown else ''}: {command}")
                shown = "".join(f"{line.rstrip()}\n" for line in got.strip("\n").splitlines())
            made += "$ " + command.replace("\n", "\n> ") + f"\n{shown}"
        text = text.replace(f"```console\n{block.text}```", f"```console\n{made}```")
    file.write_text(text, "utf-8")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="curate-docs-") as folder:
        shared = Workspace(Path(folder))
        for name in sys.argv[1:]:
            refresh(Path(name).resolve(), shared)


if __name__ == "__main__":
    main()
