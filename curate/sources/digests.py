"""Compares WARC records with the digests in their headers."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping

from curate.sources import codings, http
from curate.sources.formats import Hash

ALGORITHMS = {"sha1": "sha1", "sha-1": "sha1", "sha256": "sha256", "sha-256": "sha256", "sha512": "sha512"}
ALGORITHMS |= {"sha-512": "sha512", "md5": "md5", "sha384": "sha384", "sha-384": "sha384"}


class DigestError(Exception):
    """A record is not what its digest says."""


def check_digests(kind: str, fields: Mapping[str, str], block: memoryview) -> int:
    """Compare block and payload of a record with its digests; return how many are of no known algorithm or form.

    Digests are sha1, sha256, sha384, sha512 or md5, in base32, base64 or hex. Tools do not agree on what a payload
    is: the body of a response as it was sent (the standard), without its chunks, or without its content coding as
    well. All three are right here. A `revisit` has the digest of a payload that stands elsewhere, and so may a record
    that the crawler cut on its way (WARC-Truncated) or a segment: their payloads are not compared.

    Raises DigestError.
    """
    n_unknown = 0
    if digest := fields.get("warc-block-digest"):
        matches = _matches(digest, iter([block]))
        n_unknown += matches is None
        if matches is False:
            raise DigestError("the digest of a record's block differs")
    is_partial = kind == "revisit" or fields.get("warc-truncated") or fields.get("warc-segment-number")
    if (digest := fields.get("warc-payload-digest")) and not is_partial:
        matches = _matches(digest, _payloads(fields, block))
        n_unknown += matches is None
        if matches is False:
            raise DigestError("the digest of a record's payload differs")
    return n_unknown


def digest_of(text: str) -> tuple[Hash, bytes] | None:
    """Return what hashes by the algorithm that a header field names, and the field's digest; None where unknown."""
    name, _, value = text.strip().partition(":")
    algorithm = ALGORITHMS.get(name.strip().lower())
    if algorithm is None:
        return None
    hasher = hashlib.new(algorithm, usedforsecurity=False)
    expected = _decoded(value.strip(), hasher.digest_size)
    return None if expected is None else (hasher, expected)


def _matches(text: str, candidates: Iterator[bytes | memoryview]) -> bool | None:
    """Say whether any candidate has the digest; None where algorithm or form are unknown."""
    digest = digest_of(text)
    if digest is None:
        return None
    hasher, expected = digest
    return any(hashlib.new(hasher.name, data, usedforsecurity=False).digest() == expected for data in candidates)


def _decoded(text: str, n_bytes: int) -> bytes | None:
    """Return the bytes of a digest, told by its length; b"" where it has letters that its form has not."""
    bare = text.rstrip("=")
    try:
        if len(bare) == 2 * n_bytes:
            return bytes.fromhex(bare)
        if len(bare) == -(-8 * n_bytes // 5):
            return base64.b32decode(bare.upper() + "=" * (-len(bare) % 8))
        if len(bare) == -(-8 * n_bytes // 6):
            return base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_" if set(bare) & {"-", "_"} else None)
    except ValueError:
        return b""
    return None


def _payloads(fields: Mapping[str, str], block: memoryview) -> Iterator[bytes | memoryview]:
    """Yield what tools take for the payload of a record."""
    if not fields.get("content-type", "").replace(" ", "").lower().startswith("application/http"):
        yield block
        return
    data = bytes(block)
    place = re.search(rb"\n\r{0,2}\n", data)
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
