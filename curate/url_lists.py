"""Lists of domains, hosts and URLs: read from files and folders, and held so that millions fit into memory."""

from __future__ import annotations

import functools
import gzip
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from curate.errors import InputError
from curate.registry import nearest
from curate.sites import host_of, is_ip
from curate.urls import split_url

UT1_NAMES = ("domains", "domains.gz", "urls", "urls.gz")  # of a category's folder
BLOCK_LINES = 1 << 16
GZIP_MAGIC = b"\x1f\x8b"
# A line that is a host already, as `host_of` would return it; nearly all lines of a list are.
_HOST = re.compile(rb"(?:[a-z0-9_][a-z0-9_-]{0,62}\.)+[a-z]{2,63}")
_BEGINS = re.compile(r"\A(?:\*?\.|\|\|)")  # *.a.com, .a.com and ||a.com^ stand for a.com and all below it


class PackedSet:
    """A set of byte strings, 12 bytes each and their own length. CRCs find the place, the strings decide."""

    def __init__(self, entries: Iterable[Sequence[bytes]]) -> None:
        blob, lengths, crcs = bytearray(), [], []
        for block in entries:
            blob += b"".join(block)
            lengths.append(np.fromiter(map(len, block), np.uint32, len(block)))
            crcs.append(np.fromiter(map(zlib.crc32, block), np.uint32, len(block)))
        if len(blob) >= 1 << 32:
            raise InputError(f"URL lists of {len(blob):,} bytes; up to 4 GiB can be held")
        self._blob = blob
        ends = np.cumsum(np.concatenate([np.zeros(1, np.uint32), *lengths]), dtype=np.uint32)
        found = np.concatenate([np.empty(0, np.uint32), *crcs])
        order = np.argsort(found, kind="stable")
        self._crc: npt.NDArray[np.uint32] = found[order]
        self._start: npt.NDArray[np.uint32] = ends[:-1][order]
        self._end: npt.NDArray[np.uint32] = ends[1:][order]

    def __len__(self) -> int:
        return len(self._crc)

    def found(self, keys: Sequence[bytes]) -> list[bool]:
        """Return for each key whether it is in the set."""
        if not len(self) or not keys:
            return [False] * len(keys)
        wanted = np.fromiter(map(zlib.crc32, keys), np.uint32, len(keys))
        first = np.searchsorted(self._crc, wanted)
        maybe = self._crc[np.minimum(first, len(self) - 1)] == wanted
        answer = [False] * len(keys)
        for k in np.flatnonzero(maybe).tolist():
            at = int(first[k])
            while at < len(self) and self._crc[at] == wanted[k] and not answer[k]:
                answer[k] = self._blob[self._start[at] : self._end[at]] == keys[k]
                at += 1
        return answer


class UrlSet:
    """What a list names: hosts with all below them, and beginnings of URLs on a host."""

    def __init__(self, files: Iterable[Path]) -> None:
        beginnings: dict[bytes, None] = {}
        self.hosts = PackedSet(_host_blocks(files, beginnings))
        self.beginnings = PackedSet([list(beginnings)])
        self.hosts_of_beginnings = frozenset(b.partition(b"/")[0] for b in beginnings)
        self.max_bytes = max(map(len, beginnings), default=0)  # of a beginning

    def __len__(self) -> int:
        return len(self.hosts) + len(self.beginnings)

    def match(self, urls: Sequence[str | None], hosts: Sequence[str | None]) -> list[str | None]:
        """Return for each URL "domain" or "url" where the set names its host or its beginning, else None.

        `hosts` are those of the URLs, see `host_of`; a URL without one is never named.
        """
        keys: list[bytes] = []
        rows: list[int] = []
        for row, host in enumerate(hosts):
            if host is not None:
                ends = domains_above(host)
                keys += ends
                rows += [row] * len(ends)
        answer: list[str | None] = [None] * len(urls)
        for row, is_in in zip(rows, self.hosts.found(keys), strict=True):
            if is_in:
                answer[row] = "domain"
        if self.hosts_of_beginnings:
            for row, host in enumerate(hosts):
                if host is not None and answer[row] is None and self._begins(urls[row], host):
                    answer[row] = "url"
        return answer

    def _begins(self, url: str | None, host: str) -> bool:
        name = host.removeprefix("www.").encode("utf-8", "surrogatepass")
        if name not in self.hosts_of_beginnings or (parts := split_url(url)) is None:
            return False
        whole = name + parts.rest.encode()
        longest = whole[: self.max_bytes + 1]
        ends = [k for k in range(len(name) + 1, len(longest)) if longest[k] in b"/?" or longest[k - 1] in b"/?="]
        if len(whole) == len(longest) <= self.max_bytes:
            ends.append(len(whole))
        return any(self.beginnings.found([whole[:end] for end in ends]))


def domains_above(host: str) -> list[bytes]:
    """Return a host and every domain it lies in, as UTF-8: `a.b.com` → a.b.com, b.com, com; an address stands alone."""
    name = host.encode("utf-8", "surrogatepass")
    if not host[-1].isalpha() and is_ip(host):
        return [name]
    found = [name]
    while b"." in name:
        name = name.partition(b".")[2]
        found.append(name)
    return found


@functools.cache
def load_url_set(paths: tuple[Path, ...], categories: tuple[str, ...] = ()) -> UrlSet:
    """Return what files and folders list: one domain, host or URL a line, gzip-compressed or not.

    A file may be a plain list, a table whose last column is the domain, in the hosts format (`0.0.0.0 a.com`),
    or of names as ad blockers write them (`||a.com^`, `*.a.com`). `#` and `!` begin a comment. A folder is one
    of UT1's: a category with `domains` and `urls` in it, or the folder of all categories, of which
    `categories` picks some. About 40 bytes of memory an entry. Raises InputError where a path or a category is
    missing, a file is no UTF-8 text, or a path lists nothing.
    """
    files = [file for path in paths for file in _files_of(path, categories)]
    known = {name for path in paths if path.is_dir() for name in _categories(path)}
    for name in categories:
        if name not in known:
            raise InputError(f"url_filter: no category {name!r} in a folder of the list{nearest(name, known)}")
    made = UrlSet(files)
    if paths and not len(made):
        listed = ", ".join(repr(str(path)) for path in paths)
        raise InputError(f"URL list {listed} names nothing; one domain, host or URL a line is expected")
    return made


def _files_of(path: Path, categories: Sequence[str]) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    if not path.is_dir():
        raise InputError(f"URL list {str(path)!r} is not a file or folder")
    own = [path / name for name in UT1_NAMES if (path / name).is_file()]
    yield from own
    if own:
        return
    known = _categories(path)
    if not known:
        raise InputError(f"URL list {str(path)!r} is a folder without files called domains or urls")
    if not categories:
        raise InputError(f"{str(path)!r} has {len(known)} categories, name some as `categories`: {', '.join(known)}")
    for category in known:
        if category in categories:
            yield from (path / category / name for name in UT1_NAMES if (path / category / name).is_file())


def _categories(path: Path) -> list[str]:
    return sorted(folder.name for folder in path.iterdir() if any((folder / name).is_file() for name in UT1_NAMES))


def _host_blocks(files: Iterable[Path], beginnings: dict[bytes, None]) -> Iterator[list[bytes]]:
    """Yield the hosts of files, many at a time; add the URLs to `beginnings`."""
    hosts: list[bytes] = []
    for file in files:
        with _opened(file) as lines:
            first = True
            try:
                for line in lines:
                    line = line.strip()
                    if first:
                        line, first = line.removeprefix(b"\xef\xbb\xbf"), False
                    if _HOST.fullmatch(line) and b"xn--" not in line:
                        hosts.append(line.removeprefix(b"www."))
                    else:
                        _add_entries(line.decode(), hosts, beginnings)
                    if len(hosts) >= BLOCK_LINES:
                        yield hosts
                        hosts = []
            except UnicodeDecodeError as error:
                raise InputError(f"URL list {str(file)!r} is not UTF-8 text: {error}") from error
            except (EOFError, OSError, zlib.error) as error:
                raise InputError(f"URL list {str(file)!r} cannot be read: {error}") from error
    yield hosts


def _opened(file: Path) -> IO[bytes]:
    with file.open("rb") as opened:
        magic = opened.read(2)
    return gzip.open(file) if magic == GZIP_MAGIC else file.open("rb")  # type: ignore[return-value]


def _add_entries(line: str, hosts: list[bytes], beginnings: dict[bytes, None]) -> None:
    """Add what one line names; a line of another kind, such as a header, names nothing."""
    fields = line.partition("#")[0].split()
    if not fields or fields[0].startswith("!"):
        return
    for entry in fields[1:] if len(fields) > 1 and is_ip(fields[0]) else fields[-1:]:
        entry = _BEGINS.sub("", entry).removesuffix("^")
        url = entry if "://" in entry or entry.startswith("//") else f"http://{entry}"
        host = host_of(url)
        parts = split_url(url)
        if host is None or parts is None:
            continue
        name = host.removeprefix("www.").encode()
        if parts.rest == "/":
            hosts.append(name)
        else:
            beginnings[name + parts.rest.encode()] = None
