"""Addresses of remote inputs: what may be shown of them, and where the secret rest of one is kept."""

from __future__ import annotations

import atexit
import json
import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from curate.errors import InputError, printable

SCHEMES = ("s3", "https", "http")
_SECRETS_FILE = "CURATE_URL_SECRETS"  # names a file of this user's that worker processes read
_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_NOTHING_SECRET = re.compile(r"https?://[a-z0-9.-]+(?::\d{1,4})?/[^\x00-\x20\x7f?#@]*")
_BAD = re.compile(r"[\x00-\x20\x7f]")
_full: dict[str, str] = {}  # bare address → the address as it was given


def is_remote(path: str) -> bool:
    """Say whether an input is named by a URL."""
    return _REMOTE.match(path) is not None


def bare(url: str) -> str:
    """Return the address without user, password, query and fragment, and remember those for `full`.

    What is left may stand in names, plans, logs and errors. A key on S3 has no such parts: it is taken as it is.
    Raises InputError for another scheme, for no host, and for characters that no URL has.
    """
    if _NOTHING_SECRET.fullmatch(url):  # as nearly all are, and lists have 90,000 of them
        return url
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    shown = printable(rest.partition("?")[0].rpartition("@")[2])
    if scheme not in SCHEMES:
        raise InputError(f"{scheme}://{shown}: inputs are local files, or {', '.join(s + '://' for s in SCHEMES)} URLs")
    if scheme == "s3":
        bucket, _, key = rest.partition("/")
        if not bucket or _BAD.search(bucket) or "\x00" in key:
            raise InputError(f"s3://{shown}: not an address of the form s3://bucket/key")
        return f"s3://{bucket}/{key}"
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        port = parts.port
    except ValueError as error:
        raise InputError(f"{scheme}://{shown}: not a URL") from error
    if not parts.hostname or _BAD.search(rest):
        raise InputError(f"{scheme}://{shown}: not a URL: {'a character' if parts.hostname else 'no host'}")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    found = urlunsplit((scheme, host if port is None else f"{host}:{port}", parts.path, "", ""))
    given = urlunsplit((scheme, parts.netloc, parts.path, parts.query, ""))
    if given != found:
        _full[found] = given
    return found


def full(url: str) -> str:
    """Return the address as it was given to `bare`, in this process or in the one that started it."""
    if url not in _full and (path := os.environ.get(_SECRETS_FILE)):
        with suppress(OSError):  # the driver is gone; the request itself will say that it was refused
            _full.update({**json.loads(Path(path).read_text(encoding="utf-8")), **_full})
    return _full.get(url, url)


def below(base: str, entry: str) -> str:
    """Return the bare address of a file below a base; it is asked for with the base's user, password and query."""
    entry = entry.lstrip("/")
    if not base.startswith("s3://"):
        base = full(bare(base))
    path, mark, query = base.partition("?")
    return bare(f"{path.rstrip('/')}/{entry}{mark}{query}")


def share() -> None:
    """Let processes started from here on resolve what `bare` took away. Nothing of it enters a run's folder."""
    if not _full:
        return
    path = os.environ.get(_SECRETS_FILE)
    if path is None:
        handle, path = tempfile.mkstemp(prefix="curate-urls-")  # readable by this user alone
        os.close(handle)
        os.environ[_SECRETS_FILE] = path
        atexit.register(_forget, path, os.getpid())
    Path(path).write_text(json.dumps(_full), encoding="utf-8")


def _forget(path: str, pid: int) -> None:
    if os.getpid() == pid:
        Path(path).unlink(missing_ok=True)
