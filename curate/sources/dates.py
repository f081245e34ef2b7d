"""Reads the dates that crawls and corpora give."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_DATE = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)(?:[T ]?(\d\d):?(\d\d)(?::?(\d\d)(?:\.\d+)?)?)?", re.ASCII)


def timestamp_of(text: str) -> datetime | None:
    """Return an ISO 8601 date or 14 digits, taken as UTC, to the second; None where it is no date."""
    found = _DATE.match(text.strip())
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.groups(default="0"))
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
