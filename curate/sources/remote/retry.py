"""How often and how patiently a request is made again, and the error when that was of no use."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from email.utils import parsedate_to_datetime
from time import sleep
from typing import TypeVar

from curate.errors import CurateError, InputError

T = TypeVar("T")


class RemoteError(CurateError):
    """A remote input cannot be read, or is not what was planned: the shard fails, under the input's name."""


class Retry(Exception):
    """A request failed in a way that may pass."""

    def __init__(self, cause: str, *, after_s: float | None = None, max_tries: int | None = None) -> None:
        super().__init__(cause)
        self.after_s = after_s  # what the server asks for
        self.max_tries = max_tries


@dataclass(frozen=True)
class Patience:
    """Limits of one request and its repetitions; `CURATE_REMOTE_<FIELD>` in the environment sets one.

    Tries and waits are those of AWS's "standard" retry mode (a base of 1 s doubled up to 20 s, with jitter), with
    more tries, since a crawl's servers answer 503 for minutes at a time.
    """

    tries: int = 8
    wait_s: float = 1.0  # before the second try; doubles
    max_wait_s: float = 20.0
    max_retry_after_s: float = 120.0  # a server that asks for more has failed
    timeout_s: float = 60.0  # without a byte
    min_bytes_per_s: int = 16 << 10  # a reply slower than this, `timeout_s` aside, is broken off
    give_up_s: float = 900.0  # for one block with all its tries; under the time after which a worker is taken for hung

    @staticmethod
    def from_environment() -> Patience:
        """Return the limits that are in force. Raises InputError for a value that is no positive number."""
        given = {}
        for field in fields(Patience):
            name = f"CURATE_REMOTE_{field.name.upper()}"
            text = os.environ.get(name)
            if text is None:
                continue
            try:
                value = float(text)
            except ValueError:
                value = 0.0
            if not 0 < value < 1e9:
                raise InputError(f"{name}={text!r}: a number above 0 is wanted")
            given[field.name] = int(value) if field.name in ("tries", "min_bytes_per_s") else value
        return Patience(**given)  # type: ignore[arg-type]

    def pause(self, n_tries: int, failed: Retry, shown: str, started_s: float) -> None:
        """Wait before the next try, or raise RemoteError if there is none. The jitter is written nowhere."""
        if failed.after_s is not None and failed.after_s > self.max_retry_after_s:
            raise RemoteError(f"{shown}: {failed}; the server asks to come back in {failed.after_s:.0f} s")
        if n_tries >= min(self.tries, failed.max_tries or self.tries):
            raise RemoteError(f"{shown}: {failed} ({n_tries} tries)")
        backoff_s = min(self.max_wait_s, self.wait_s * 2 ** (n_tries - 1)) * random.uniform(0.5, 1.0)
        wait_s = max(backoff_s, failed.after_s or 0.0)
        if time.monotonic() + wait_s - started_s > self.give_up_s:
            raise RemoteError(f"{shown}: {failed} (given up after {time.monotonic() - started_s:.0f} s)")
        sleep(wait_s)


def patiently(work: Callable[[], T], shown: str, patience: Patience) -> T:
    """Return what `work` returns; again after a pause while it raises Retry. Raises RemoteError in the end."""
    started_s, n_tries = time.monotonic(), 0
    while True:
        try:
            return work()
        except Retry as failed:
            n_tries += 1
            patience.pause(n_tries, failed, shown, started_s)


def retry_after_s(header: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for, a number or a date; None where it is neither."""
    if not header:
        return None
    if header.strip().isdigit():
        return float(header.strip()[:9])
    try:
        date = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, date.timestamp() - time.time())
