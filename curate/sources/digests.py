"""Compares WARC records with the digests in their headers."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping

from curate.sources import codings, http

ALGORITHMS = {"sha1": "sha1", "sha-1": "sha1", "sha256": "sha256", "sha-256": "sha256", "sha512": "sha512"}
ALGORITHMS |= {"sha-512": "sha512", "md5": "md5", "sha384": "sha384", "sha-384": "sha384"}
_HEX = re.compile(r"[0-9a-fA-F]+")
_BASE32 = re.compile(r"[A-Za-z2-7]+={0,6}")


class DigestError(Exception):
    """A record is not what its digest says."""


def check_digests(fields: Mapping[str, str], block: memoryview) -> int:
    """Compare block and payload of a record with its digests; return how many are of no known algorithm or form.

    Digests are sha1, sha256, sha384, sha512 or md5, in base32 or hex. Tools do not agree on what a payload is: the
    body of a response as it was sent (the standard), without its chunks, or without its content coding as well. All
    three are right here. A block that a crawler cut on its way (WARC-Truncated) need not have the payload's digest.

    Raises DigestError.
    """
    n_unknown = 0
    if digest := fields.get("warc-block-digest"):
        matches = _matches(digest, iter([block]))
        n_unknown += matches is None
        if matches is False:
            raise DigestError("the digest of a record's block differs")
    if (digest := fields.get("warc-payload-digest")) and not fields.get("warc-truncated"):
        matches = _matches(digest, _payloads(fields, block))
        n_unknown += matches is None
        if matches is False:
            raise DigestError("the digest of a record's payload differs")
    return n_unknown


def _matches(digest: str, candidates: Iterator[bytes | memoryview]) -> bool | None:
    """Say whether any candidate has the digest; None where algorithm or form are unknown."""
    name, _, text = digest.strip().partition(":")
    algorithm = ALGORITHMS.get(name.strip().lower())
    if algorithm is None:
        return None
    expected = _decoded(text.strip(), hashlib.new(algorithm, usedforsecurity=False).digest_size)
    if expected is None:
        return None
    return any(hashlib.new(algorithm, data, usedforsecurity=False).digest() == expected for data in candidates)


def _decoded(text: str, n_bytes: int) -> bytes | None:
    if len(text) == 2 * n_bytes and _HEX.fullmatch(text):
        return bytes.fromhex(text)
    bare = text.rstrip("=").upper()
    if len(bare) == -(-8 * n_bytes // 5) and _BASE32.fullmatch(text):
        return base64.b32decode(bare + "=" * (-len(bare) % 8))
    return None


def _payloads(fields: Mapping[str, str], block: memoryview) -> Iterator[bytes | memoryview]:
    """Yield what tools take for the payload of a record."""
    if not fields.get("content-type", "").replace(" ", "").lower().startswith("application/http"):
        yield block
        return
    data = bytes(block)
    place = re.search(rb"\n\r?\n", data)
    body = data[place.end() :] if place else b""
    yield body
    response = http.parse_response(data)
    if response is None:
        return
    yield codings.dechunk(body)
    try:
        yield http.payload_of(response)
    except (http.UndecodableError, http.TooLargeError, http.DecompressRatioError):
        return
