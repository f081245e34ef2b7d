"""Objects on S3: signed addresses for single objects, and listings of a prefix. Needs botocore.

Only signing, endpoints, credentials and listings are botocore's. The bytes come through `web`, so that S3 and
plain HTTP keep one set of promises.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from typing import Any

from curate.errors import InputError
from curate.sources.remote.retry import Patience, RemoteError, Retry, patiently

SIGNED_FOR_S = 3600
ANONYMOUS = "AWS_NO_SIGN_REQUEST"  # as GDAL and others call it; for public buckets
_region: dict[str, str] = {}  # bucket → where it was found to be
_TRANSIENT = ("SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "Throttling", "503", "500", "502")


def split(url: str) -> tuple[str, str]:
    """Return the bucket and key of an `s3://` URL."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return bucket, key


def signed(url: str) -> str:
    """Return a web address under which an object can be read for the next hour. Raises RemoteError."""
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, key = split(url)
    try:
        return str(
            _client(_region.get(bucket)).generate_presigned_url(
                "get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=SIGNED_FOR_S
            )
        )
    except (BotoCoreError, ClientError) as error:
        raise _refused(error, url) from error


def moved(url: str, region: str) -> bool:
    """Note the region of a bucket; False where it was known, so that nobody is sent in circles."""
    bucket, _ = split(url)
    known = _region.get(bucket)
    _region[bucket] = region
    return known != region


def listed(prefix: str, patience: Patience) -> Iterator[tuple[str, int]]:
    """Yield (URL, size in bytes) of every object whose URL begins with `prefix`, in order. Raises RemoteError."""
    bucket, start = split(prefix)
    token: dict[str, str] = {}
    while True:
        page = patiently(lambda: _page(bucket, start, token), prefix, patience)  # noqa: B023 (called at once)
        for entry in page.get("Contents", ()):
            yield f"s3://{bucket}/{entry['Key']}", int(entry["Size"])
        if not page.get("IsTruncated"):
            return
        token = {"ContinuationToken": page["NextContinuationToken"]}


def _page(bucket: str, prefix: str, token: dict[str, str]) -> dict[str, Any]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return dict(_client(_region.get(bucket)).list_objects_v2(Bucket=bucket, Prefix=prefix, **token))
    except (BotoCoreError, ClientError) as error:
        raise _refused(error, f"s3://{bucket}/{prefix}") from error


def _refused(error: Exception, url: str) -> Exception:
    from botocore.exceptions import ConnectionError, HTTPClientError, NoCredentialsError, PartialCredentialsError

    if isinstance(error, (NoCredentialsError, PartialCredentialsError)):
        return RemoteError(f"{url}: no AWS credentials were found; for a public bucket set {ANONYMOUS}=1")
    if isinstance(error, (ConnectionError, HTTPClientError)):
        return Retry("the connection failed or broke off", max_tries=5)
    code = str(getattr(error, "response", {}).get("Error", {}).get("Code", type(error).__name__))
    if code in _TRANSIENT:
        return Retry(f"S3 answered {code}")
    return RemoteError(f"{url}: S3 answered {code}")


@cache
def _client(region: str | None) -> Any:
    try:
        import botocore.session
        from botocore import UNSIGNED
        from botocore.config import Config
    except ModuleNotFoundError as error:
        raise InputError("s3:// inputs need botocore: pip install 'curate[s3]'") from error
    anonymous = os.environ.get(ANONYMOUS, "").lower() in ("1", "yes", "true")
    config = Config(
        signature_version=UNSIGNED if anonymous else "s3v4",
        connect_timeout=10,
        read_timeout=60,
        retries={"total_max_attempts": 1},  # ours are made by `patiently`
    )
    session = botocore.session.get_session()
    return session.create_client(
        "s3", region_name=region or session.get_config_variable("region") or "us-east-1", config=config
    )
