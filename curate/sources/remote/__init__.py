"""Inputs on other machines: `https://`, `http://` and `s3://`, read in verified ranges.

The file itself is `curate.sources.remote.file.RemoteFile`; it is imported where one is opened, since urllib3 takes a
while to load.
"""

from curate.sources.remote.address import bare, below, is_remote, share
from curate.sources.remote.retry import RemoteError

__all__ = ["RemoteError", "bare", "below", "is_remote", "share"]
