"""One ranged request over HTTP, and everything a reply is checked for before a byte of it is believed."""

from __future__ import annotations

import logging
import re
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

import urllib3
from urllib3.exceptions import (
    HTTPError,
    LocationValueError,
    NameResolutionError,
    NewConnectionError,
    SSLError,
    TimeoutError,
)

from curate import __version__
from curate.sources.remote.address import full
from curate.sources.remote.retry import Patience, RemoteError, Retry, retry_after_s

MAX_REDIRECTS = 5
N_CONNECTIONS = 16  # kept open to one host
MAX_ERROR_BYTES = 4096  # read of a reply that says what went wrong
# A file that is stored compressed may be announced so; its bytes are taken as they are.
_STORED = {"gzip": (".gz", ".tgz"), "x-gzip": (".gz", ".tgz"), "zstd": (".zst",)}
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_CODE = re.compile(rb"<Code>(\w{1,60})</Code>")  # of an error of S3


class Reply(NamedTuple):
    """A reply that was found to be what was asked for, its body not read yet."""

    start: int
    end: int
    size_bytes: int  # of the whole file
    validator: str | None  # ETag, else Last-Modified: changes when the file does
    is_whole: bool  # the server has no ranges and sends all from the first byte on
    body: Any


class Moved(Exception):
    """The bucket lies in another region."""

    def __init__(self, region: str) -> None:
        super().__init__(region)
        self.region = region


@cache
def _pool() -> urllib3.PoolManager:
    # at DEBUG it logs paths with their queries, and so the signatures of presigned URLs
    logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)
    return urllib3.PoolManager(num_pools=64, maxsize=N_CONNECTIONS, retries=False)


def ask(url: str, shown: str, start: int, end: int, validator: str | None, patience: Patience) -> Reply:
    """Ask for the bytes [start, end) of a URL. The reply may end earlier, never start elsewhere.

    `validator` is what an earlier reply had: another file under the same name is an error. Raises Retry for what
    may pass, RemoteError for what will not, Moved for a bucket of another region.
    """
    headers = {
        "Range": f"bytes={start}-{end - 1}",
        "Accept-Encoding": "identity",
        "User-Agent": f"curate/{__version__}",
    }
    if validator is not None and validator.startswith('"'):  # a weak one never matches
        headers["If-Match"] = validator
    response = _following(full(url), shown, headers, patience)
    try:
        return _checked(response, shown, start, end, validator)
    except BaseException:
        response.close()
        raise


def _following(url: str, shown: str, headers: dict[str, str], patience: Patience) -> Any:
    """Return the reply to a GET, after at most MAX_REDIRECTS redirects that do not give up encryption."""
    for _ in range(MAX_REDIRECTS + 1):
        response = _get(url, shown, headers, patience)
        if response.status not in (301, 302, 303, 307, 308):
            return response
        region, location = response.headers.get("x-amz-bucket-region"), response.headers.get("location")
        response.close()
        if not location:
            if region:
                raise Moved(region)
            raise RemoteError(f"{shown}: answered with {response.status} and no place to go to")
        target = urljoin(url, location)
        if not target.startswith(("https://", "http://")):
            raise RemoteError(f"{shown}: redirected to what is no web address")
        if url.startswith("https://") and not target.startswith("https://"):
            raise RemoteError(f"{shown}: redirected from https to http")
        url = target
    raise RemoteError(f"{shown}: redirected more than {MAX_REDIRECTS} times")


def _get(url: str, shown: str, headers: dict[str, str], patience: Patience) -> Any:
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    if user:
        headers = {**headers, **urllib3.make_headers(basic_auth=unquote(user))}
    url = urlunsplit((parts.scheme, host, parts.path, parts.query, ""))
    timeout = urllib3.Timeout(connect=min(10.0, patience.timeout_s), read=patience.timeout_s)
    try:
        return _pool().request(
            "GET", url, headers=headers, timeout=timeout, redirect=False, preload_content=False, decode_content=False
        )
    except HTTPError as error:
        raise failed(error, shown) from error


def failed(error: HTTPError, shown: str) -> Retry | RemoteError:
    """Return what a failure of the connection means. The words are ours: the library's may hold the whole URL."""
    if isinstance(error, SSLError):
        if "CERTIFICATE" in str(error).upper():
            return RemoteError(f"{shown}: the server's certificate is not trusted")
        return Retry("the encrypted connection failed")
    if isinstance(error, LocationValueError):
        return RemoteError(f"{shown}: not a URL")
    if isinstance(error, NameResolutionError):
        return Retry("the host is not known", max_tries=3)
    if isinstance(error, NewConnectionError):
        return Retry("the connection failed", max_tries=5)  # nobody listens there
    if isinstance(error, TimeoutError):
        return Retry("no answer in time")
    return Retry("the connection broke off")


def _checked(response: Any, shown: str, start: int, end: int, validator: str | None) -> Reply:
    status, headers = response.status, response.headers
    if status not in (200, 206):
        raise _refusal(response, shown, is_first=validator is None)
    coding = headers.get("content-encoding", "").strip().lower()
    if coding not in ("", "identity") and not shown.lower().endswith(_STORED.get(coding, ())):
        raise RemoteError(f"{shown}: the server sends it {coding[:20]!r}-encoded, though asked not to")
    found = headers.get("etag") or headers.get("last-modified")
    if validator is not None and found != validator:
        if found is None:
            raise Retry("the reply has no ETag, the one before had")
        raise changed(shown)
    length = headers.get("content-length", "")
    n_bytes = int(length) if length.isascii() and length.isdigit() and len(length) < 19 else None
    if status == 200:
        if start > 0:
            raise RemoteError(f"{shown}: the server sends the whole file where a part was asked for; copy it here")
        if n_bytes is None:
            raise RemoteError(f"{shown}: the server does not say how long it is; copy it here")
        return Reply(0, n_bytes, n_bytes, found, True, response)
    given = _RANGE.fullmatch(headers.get("content-range", "").strip())
    if given is None:
        raise Retry("the reply does not say which bytes it holds, or of how many")
    if given[3] == "*":
        raise RemoteError(f"{shown}: the server does not say how long it is; copy it here")
    first, after, size_bytes = int(given[1]), int(given[2]) + 1, int(given[3])
    if first != start or not start < after <= min(end, size_bytes):
        raise Retry(f"bytes {start} to {end - 1} were asked for, {first} to {after - 1} came")
    if n_bytes is not None and n_bytes != after - first:
        raise Retry(f"the reply says it holds {after - first} bytes and {n_bytes} bytes")
    return Reply(first, after, size_bytes, found, False, response)


def _refusal(response: Any, shown: str, *, is_first: bool) -> Exception:
    status, headers = response.status, response.headers
    if (region := headers.get("x-amz-bucket-region")) and status in (301, 307, 400, 403):
        code = _code(response)
        if code in ("PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "IllegalLocation", ""):
            return Moved(region)
    else:
        code = _code(response)
    said = f"{status} {code}".strip()
    if status == 412:
        return changed(shown)
    if status == 416:
        if headers.get("content-range", "").strip() == "bytes */0":
            return RemoteError(f"{shown}: the file is empty")
        return RemoteError(f"{shown}: the server sends no parts of it ({said})") if is_first else changed(shown)
    if status in (408, 409, 425, 429) or status >= 500 or code in ("RequestTimeout", "SlowDown"):
        return Retry(f"the server answered {said}", after_s=retry_after_s(headers.get("retry-after")))
    if status in (404, 410):
        return RemoteError(f"{shown}: no such file ({said})")
    if status in (401, 403):
        return RemoteError(f"{shown}: access refused ({said})")
    return RemoteError(f"{shown}: the server answered {said}")


def _code(response: Any) -> str:
    try:
        found = _CODE.search(response.read(MAX_ERROR_BYTES))
    except HTTPError:  # the status has said enough
        return ""
    return found[1].decode() if found else ""


def changed(shown: str) -> RemoteError:
    """Return the error for a file that is another one than was planned."""
    return RemoteError(f"{shown} changed while the run was going on; start again with another -o")
