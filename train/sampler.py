"""Which window of which source the i-th training sample is: a closed formula, so any step can be recomputed.

The order of an epoch is a keyed permutation: a Feistel network over the next power of four, with cycle-walking down to
the size (Black and Rogaway, CT-RSA 2002). A mixture by weights is made of blocks of 1,024 samples with a fixed whole
number per source.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from train.errors import ConfigError

SAMPLER_VERSION = 1  # stored in checkpoints; a change of the order of samples, or of their rows, changes it
BLOCK = 1_024
CHUNK = 8_192  # samples computed at once and kept, at most: a few at a time cost as much as a thousand
ROUNDS = 6
SMALL_DOMAIN = 1_024

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Samples:
    """Parallel arrays, one entry per sample: source number, window of that source, how often it came before."""

    source: Indices
    window: Indices
    epoch: Indices

    def part(self, first: int, stop: int) -> Samples:
        """Return samples first … stop - 1 of these."""
        return Samples(self.source[first:stop], self.window[first:stop], self.epoch[first:stop])


def permute(index: Indices, n: int, *key: int) -> Indices:
    """Map indices in [0, n) one to one onto [0, n), in an order decided by the key alone."""
    return _walked(index, n, key, _feistel)


def unpermute(index: Indices, n: int, *key: int) -> Indices:
    """Return where `permute` takes each index from: its inverse."""
    return _walked(index, n, key, _feistel_back)


def _walked(index: Indices, n: int, key: Sequence[int], network: Callable[..., NDArray[np.uint64]]) -> Indices:
    """Send indices through a Feistel network again and again until they lie in [0, n)."""
    if n < 1 or (len(index) and not 0 <= int(index.min()) <= int(index.max()) < n):
        raise ValueError(f"indices must lie in [0, {n})")
    half_bits = max(1, ((n - 1).bit_length() + 1) // 2)
    round_keys = _round_keys(key)
    domain = 1 << (2 * half_bits)
    table = None
    if domain <= max(SMALL_DOMAIN, 4 * len(index)):  # all of it at once costs less than a walk of many short steps
        table = network(np.arange(domain, dtype=np.uint64), half_bits, round_keys)
    out = index.astype(np.uint64)
    outside = np.arange(len(out))
    while len(outside):  # on average at most 4 rounds: the domain is at most 4 n
        walked = network(out[outside], half_bits, round_keys) if table is None else table[out[outside]]
        out[outside] = walked
        outside = outside[walked >= n]
    return out.astype(np.int64)


def _round_keys(key: Sequence[int]) -> NDArray[np.uint64]:
    message = b"".join(part.to_bytes(8, "little") for part in key)
    return np.frombuffer(hashlib.blake2b(message, digest_size=8 * ROUNDS).digest(), dtype="<u8")


def _feistel(x: NDArray[np.uint64], half_bits: int, round_keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    shift, mask = np.uint64(half_bits), np.uint64((1 << half_bits) - 1)
    left, right = x >> shift, x & mask
    for round_key in round_keys:
        left, right = right, left ^ (_mix(right + round_key) & mask)
    return (left << shift) | right


def _feistel_back(x: NDArray[np.uint64], half_bits: int, round_keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    shift, mask = np.uint64(half_bits), np.uint64((1 << half_bits) - 1)
    left, right = x >> shift, x & mask
    for round_key in round_keys[::-1]:
        left, right = right ^ (_mix(left + round_key) & mask), left
    return (left << shift) | right


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele, Lea and Flood, OOPSLA 2014); arithmetic wraps at 64 bits."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@dataclass(frozen=True, slots=True)
class Sampler:
    """The order of samples over sources of `n_windows` each; without `weights` every window comes once per epoch."""

    n_windows: tuple[int, ...]
    seed: int
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.n_windows or min(self.n_windows) < 1:
            raise ConfigError("every source needs at least one window")
        if self.weights and min(self.quotas()) < 1:
            raise ConfigError(
                f"a source's weight is below 1/{BLOCK} of the mixture; leave the source out or raise its weight"
            )

    def quotas(self) -> tuple[int, ...]:
        """Samples of each source in a block of 1,024: the weights, rounded so that they add up (largest remainder)."""
        shares = np.asarray(self.weights, dtype=np.float64) / sum(self.weights) * BLOCK
        quotas = np.floor(shares).astype(np.int64)
        by_remainder = np.argsort(-(shares - quotas), kind="stable")
        quotas[by_remainder[: BLOCK - int(quotas.sum())]] += 1
        return tuple(int(quota) for quota in quotas)

    def samples(self, first: int, stop: int) -> Samples:
        """Return samples first … stop - 1 of the endless sequence."""
        size = self._chunk_size()
        chunks = [_chunk(self, number, size) for number in range(first // size, max(first, stop - 1) // size + 1)]
        low, high = first % size, first % size + max(0, stop - first)
        if len(chunks) == 1:
            return chunks[0].part(low, high)
        columns = zip(*((chunk.source, chunk.window, chunk.epoch) for chunk in chunks), strict=True)
        return Samples(*map(np.concatenate, columns)).part(low, high)

    def _chunk_size(self) -> int:
        """Samples computed at once: fewer where that many would be of many epochs, each of which costs a round."""
        return min(CHUNK, max(32, min(self.n_windows) if self.weights else sum(self.n_windows)))

    def _by_size(self, index: Indices) -> Samples:
        ends = np.cumsum(np.asarray(self.n_windows, dtype=np.int64))
        total = int(ends[-1])
        epoch = index // total
        place = np.empty_like(index)
        for e in np.unique(epoch):
            chosen = epoch == e
            place[chosen] = permute(index[chosen] % total, total, self.seed, 0, int(e))
        source = np.searchsorted(ends, place, side="right").astype(np.int64)
        return Samples(source, place - (ends - self.n_windows)[source], epoch)

    def _by_weight(self, index: Indices) -> Samples:
        quotas = np.asarray(self.quotas(), dtype=np.int64)
        ends = np.cumsum(quotas)
        block = index // BLOCK
        slot = np.empty_like(index)
        for b in np.unique(block):
            chosen = block == b
            slot[chosen] = permute(index[chosen] % BLOCK, BLOCK, self.seed, 1, int(b))
        source = np.searchsorted(ends, slot, side="right").astype(np.int64)
        turn = block * quotas[source] + slot - (ends - quotas)[source]
        sizes = np.asarray(self.n_windows, dtype=np.int64)
        epoch, window = turn // sizes[source], turn % sizes[source]
        for s in range(len(sizes)):
            mine = np.flatnonzero(source == s)
            for e in np.unique(epoch[mine]).tolist():
                chosen = mine[epoch[mine] == e]
                window[chosen] = permute(window[chosen], self.n_windows[s], self.seed, 2, s, e)
        return Samples(source, window, epoch)

    def places(self, source: int, window: int, n_samples: int) -> Indices:
        """Return which of the first `n_samples` samples are this window of this source: `samples` inverted."""
        if self.weights:
            return self._places_by_weight(source, window, n_samples)
        total = sum(self.n_windows)
        place = np.array([sum(self.n_windows[:source]) + window], dtype=np.int64)
        n_epochs = -(-n_samples // total)
        found = [e * total + int(unpermute(place, total, self.seed, 0, e)[0]) for e in range(n_epochs)]
        return np.array([sample for sample in found if sample < n_samples], dtype=np.int64)

    def _places_by_weight(self, source: int, window: int, n_samples: int) -> Indices:
        quotas, size = self.quotas(), self.n_windows[source]
        n_turns = -(-n_samples // BLOCK) * quotas[source]
        found = []
        for e in range(-(-n_turns // size)):
            turn = e * size + int(unpermute(np.array([window]), size, self.seed, 2, source, e)[0])
            block, rest = divmod(turn, quotas[source])
            slot = np.array([sum(quotas[:source]) + rest])
            found.append(block * BLOCK + int(unpermute(slot, BLOCK, self.seed, 1, block)[0]))
        return np.array(sorted(sample for sample in found if sample < n_samples), dtype=np.int64)


@lru_cache(maxsize=8)
def _chunk(sampler: Sampler, number: int, size: int) -> Samples:
    """Compute `size` samples from number * size on; nobody may write into them."""
    index = np.arange(number * size, (number + 1) * size, dtype=np.int64)
    samples = sampler._by_weight(index) if sampler.weights else sampler._by_size(index)
    for column in (samples.source, samples.window, samples.epoch):
        column.flags.writeable = False
    return samples


def rank_slice(first: int, n_samples: int, rank: int, n_ranks: int) -> tuple[int, int]:
    """Return (first, stop) of one rank's share of the batch that begins at sample `first`.

    The order never depends on the ranks.
    """
    if n_samples % n_ranks:
        raise ConfigError(f"batch_size ({n_samples}) must be a multiple of the number of ranks ({n_ranks})")
    share = n_samples // n_ranks
    return first + rank * share, first + (rank + 1) * share
