"""Inputs on other machines: `https://`, `http://` and `s3://`, read in verified ranges."""

from curate.sources.remote.address import bare, below, is_remote, share
from curate.sources.remote.file import RemoteFile
from curate.sources.remote.retry import RemoteError

__all__ = ["RemoteError", "RemoteFile", "bare", "below", "is_remote", "share"]
