"""Which files the inputs of a recipe stand for, and what each is called wherever it lies."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from curate.errors import InputError
from curate.sources.lists import is_list, paths_in
from curate.sources.remote import bare, is_remote
from curate.sources.remote.retry import Patience, RemoteError

HIDDEN = (".", "_")  # files and folders that begin so are skipped inside folders, as Spark and Arrow do
_GLOB = re.compile(r"[*?\[]")


def expand(text: str, folder: str, base: str | None = None) -> list[str]:
    """Return the files that a path, glob, folder, earlier run, URL or list file stands for.

    Relative paths start at `folder`, relative lines of a list file at `base` (see `lists.paths_in`). Local paths
    come out absolute, URLs bare. Raises InputError.
    """
    named = _remote(text) if is_remote(text) else _local(text, folder)
    if len(named) == 1 and is_list(named[0]):
        return list(paths_in(named[0], base))
    return named


def names_of(paths: Sequence[str]) -> list[str]:
    """Return each path relative to the common root of all; raises InputError where files and URLs are mixed."""
    remote = [is_remote(path) for path in paths]
    if not any(remote):
        root = os.path.commonpath([os.path.dirname(path) for path in paths]) if paths else ""
        return [os.path.relpath(path, root) for path in paths]
    if not all(remote):
        local = paths[remote.index(False)]
        raise InputError(
            f"{local} is a local file and {paths[remote.index(True)]} is not: their docs would have no common root to "
            "be named by; read them in two runs"
        )
    parts = [path.partition("://")[2].split("/") for path in paths]
    first, last = min(part[:-1] for part in parts), max(part[:-1] for part in parts)  # all others are between them
    n_common = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return ["/".join(part[n_common:]) for part in parts]


def _local(text: str, folder: str) -> list[str]:
    path = text if os.path.isabs(text) else os.path.join(folder, text)
    if os.path.isdir(path):
        if os.path.isfile(os.path.join(path, "run.json")):
            path = os.path.join(path, "documents")
            if not os.path.isdir(path):
                raise InputError(f"{text} is a run that has no documents yet; finish it with `curate run`")
        found = sorted(_files_below(path))
    elif os.path.exists(path):
        if not os.path.isfile(path):
            raise InputError(f"{text} is not a regular file")
        found = [path]
    else:
        found = sorted(p for p in glob.glob(path, recursive=True) if os.path.isfile(p))
        if not found:
            raise InputError(f"no such file: {text}")
    if not found:
        raise InputError(f"no files in {text}")
    return [os.path.abspath(p) for p in found]


def _files_below(folder: str) -> list[str]:
    """Return all files below a folder but hidden ones and those of runs: `curate run R . -o out` can be run again.

    Linked folders are read once, wherever links lead. Raises InputError for what is there and is no file.
    """
    found, seen = [], set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        if (place := os.path.realpath(parent)) in seen:
            folders.clear()  # a link back up, or a second way to the same files
            continue
        seen.add(place)
        folders[:] = sorted(
            d for d in folders if not d.startswith(HIDDEN) and not Path(parent, d, "run.json").is_file()
        )
        for name in files:
            path = os.path.join(parent, name)
            if name.startswith(HIDDEN):
                continue
            if not os.path.isfile(path):
                what = "a link that leads nowhere" if os.path.islink(path) else "not a regular file"
                raise InputError(f"{path}: {what}; remove it, or name the inputs by a glob")
            found.append(path)
    return found


def _remote(text: str) -> list[str]:
    url = bare(text)
    if url.startswith("s3://"):
        return _objects(url)
    if url.endswith("/") or url.count("/") < 3:
        raise InputError(f"{url}: web servers list no folders; name the files, or give a list file")
    if "*" in url:
        raise InputError(f"{url}: globs work on local paths and s3:// only; name the files, or give a list file")
    return [url]


def _objects(url: str) -> list[str]:
    """Return the objects that a key, a prefix that ends with a slash, or a glob stands for."""
    is_folder = url.endswith("/") or url.count("/") == 2
    first = _GLOB.search(url)
    if not is_folder and first is None:
        return [url]
    prefix = url if first is None else url[: first.start()]
    wanted = None if first is None else _pattern(url)
    found = []
    for key, _ in _listed(prefix if prefix.count("/") > 2 else prefix + "/"):
        below = key[len(prefix) :].split("/")
        if wanted is not None:
            if wanted.fullmatch(key) and not key.endswith("/"):
                found.append(key)
        elif below[-1] and not any(part.startswith(HIDDEN) for part in below):
            found.append(key)
    if not found and first is not None:
        return [url]  # a key may hold these characters; if there is none, the request says so
    if not found:
        raise InputError(f"no files in {url}")
    return found


def _listed(prefix: str) -> Iterator[tuple[str, int]]:
    from curate.sources.remote import s3

    try:
        yield from s3.listed(prefix, Patience.from_environment())
    except RemoteError as error:
        raise InputError(str(error)) from error


def _pattern(text: str) -> re.Pattern[str]:
    """Return a glob as a regular expression: `*` and `?` stop at slashes, `**/` goes through folders.

    As with local globs, none of them matches a dot at the start of a name.
    """
    made: list[str] = []
    for token in re.split(r"(\*\*/|\*+|\?|\[!?\]?[^\]]*\])", text):
        at_start = "(?!\\.)" if not made or made[-1].endswith(("/", "/)*")) else ""
        if token == "**/":
            made.append("(?:(?!\\.)[^/]+/)*")
        elif token.startswith("*"):
            made.append(f"{at_start}[^/]*")
        elif token == "?":
            made.append(f"{at_start}[^/]")
        elif token.startswith("[") and token.endswith("]") and len(token) > 2:
            inner = token[1:-1].replace("\\", "\\\\").replace("[", "\\[")
            made.append(f"[{'^' + inner[1:] if inner.startswith('!') else inner.replace('^', chr(92) + '^')}]")
        elif token:
            made.append(re.escape(token))
    try:
        return re.compile("".join(made))
    except re.error as error:
        raise InputError(f"{text}: not a glob: {error}") from error


def left_out(path: str, named: Sequence[str]) -> str:
    """Return how a file can be left out that a folder brought along; empty where it was named itself."""
    for text in named:
        folder = text if is_remote(text) else os.path.abspath(text)
        if path.startswith(folder.rstrip("/") + "/") and (is_remote(text) or os.path.isdir(text)):
            return f"; to leave it out, name the inputs by a glob such as '{text.rstrip('/')}/*.warc.gz'"
    return ""
