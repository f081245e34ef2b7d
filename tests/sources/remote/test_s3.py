"""Mirrors curate/sources/remote/s3.py, against moto's S3 server."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from curate.errors import InputError
from curate.inputs import expand
from curate.sources.remote import RemoteError, s3
from curate.sources.remote.file import RemoteFile
from curate.sources.remote.retry import Patience
from tests.sources.remote import server as faults
from tests.sources.remote.server import Server

moto_server = pytest.importorskip("moto.server")
DATA = random.Random(8).randbytes(100_000)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    import logging

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto_server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a client; the bucket `crawls` is there and empty."""
    import boto3

    aws(monkeypatch, endpoint)
    client = boto3.client("s3", region_name="us-east-1")
    client.create_bucket(Bucket="crawls")
    yield client
    for entry in client.list_objects_v2(Bucket="crawls").get("Contents", ()):
        client.delete_object(Bucket="crawls", Key=entry["Key"])


def aws(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    """Point botocore at a server of the test, with keys of its own."""
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "testing-key",
        "AWS_SECRET_ACCESS_KEY": "testing-secret",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv(s3.ANONYMOUS, raising=False)
    s3._client.cache_clear()
    s3._region.clear()


@pytest.mark.parametrize("key", ["a.bin", "deep/er/a.bin", "with space+plus%20and#hash?.bin", "naïve/文.bin"])
def test_an_object_is_read_whatever_its_key(bucket: Any, key: str) -> None:
    bucket.put_object(Bucket="crawls", Key=key, Body=DATA)
    with RemoteFile(f"s3://crawls/{key}") as opened:
        assert (opened.size_bytes, opened.read()) == (len(DATA), DATA)
        opened.seek(-10, 2)
        assert opened.read() == DATA[-10:]
        assert opened.validator is not None
        assert opened.url == f"s3://crawls/{key}"


def test_a_changed_object_is_found_in_mid_read(bucket: Any) -> None:
    bucket.put_object(Bucket="crawls", Key="a", Body=DATA)
    with RemoteFile("s3://crawls/a") as opened:
        opened.read(100)
        bucket.put_object(Bucket="crawls", Key="a", Body=DATA[::-1])
        with pytest.raises(RemoteError, match=r"s3://crawls/a changed"):
            opened.read()


def test_what_is_not_there_is_said(bucket: Any) -> None:
    for url in ("s3://crawls/none", "s3://no-such-bucket/a"):
        with pytest.raises(RemoteError, match=f"{url}: no such file"):
            RemoteFile(url)
    with pytest.raises(InputError, match="no files in s3://crawls/none/"):
        expand("s3://crawls/none/", ".")
    with pytest.raises(InputError, match="NoSuchBucket"):
        expand("s3://no-such-bucket/", ".")


def test_prefixes_and_globs_stand_for_objects(bucket: Any) -> None:
    keys = [
        "2024/a.warc.gz", "2024/b.warc.gz", "2024/deep/c.warc.gz", "2024/deep/d.jsonl", "2024/_SUCCESS",
        "2024/.tmp/e.warc.gz", "2024/[1].warc.gz", "2025/a.warc.gz", "top.jsonl",
    ]  # fmt: skip
    for key in [*keys, "2024/"]:
        bucket.put_object(Bucket="crawls", Key=key, Body=b"x")

    def found(text: str) -> list[str]:
        return [url.removeprefix("s3://crawls/") for url in expand(f"s3://crawls/{text}", ".")]

    shown = [keys[6], *keys[:4]]
    assert found("2024/") == shown
    assert found("") == [*shown, *keys[7:]]
    assert found("2024/*.warc.gz") == [keys[6], *keys[:2]]
    assert found("2024/**/*.warc.gz") == [keys[6], *keys[:3]]
    assert found("202?/[ab].warc.gz") == [*keys[:2], keys[7]]
    assert found("202[!4]/*") == [keys[7]]
    assert found("2024/[1].warc.gz") == ["2024/[1].warc.gz"]  # no object matches it, one is called so
    assert found("top.jsonl") == ["top.jsonl"]


def test_listings_of_more_than_a_page(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [f"many/{n:03}" for n in range(25)]
    for key in keys:
        bucket.put_object(Bucket="crawls", Key=key, Body=b"x" * 3)
    client = s3._client(None)
    pages = client.list_objects_v2
    monkeypatch.setattr(client, "list_objects_v2", lambda **given: pages(MaxKeys=10, **given))
    assert list(s3.listed("s3://crawls/many/", Patience())) == [(f"s3://crawls/{key}", 3) for key in keys]


def test_a_public_bucket_is_read_without_keys(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.put_object(Bucket="crawls", Key="a", Body=DATA)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    s3._client.cache_clear()
    with pytest.raises(
        RemoteError, match="no AWS credentials were found; for a public bucket set AWS_NO_SIGN_REQUEST=1"
    ):
        RemoteFile("s3://crawls/a")
    monkeypatch.setenv(s3.ANONYMOUS, "1")
    s3._client.cache_clear()
    assert "?" not in s3.signed("s3://crawls/a")


# -- what moto does not do: our own server in its place


@pytest.fixture
def own(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    aws(monkeypatch, server.url().rstrip("/"))
    server.files["crawls/a"] = DATA
    return server


def _error(code: str, status: int, **headers: str) -> faults.Fault:
    def fault(handler: faults.Handler, data: bytes) -> bool:
        handler.answer(status, f"<?xml version='1.0'?><Error><Code>{code}</Code></Error>".encode(), **headers)
        return True

    return fault


def test_slow_down_and_friends_are_tried_again(own: Server) -> None:
    own.faults.extend([_error("SlowDown", 503), _error("InternalError", 500), _error("RequestTimeout", 400)])
    with RemoteFile("s3://crawls/a") as opened:
        own.faults.extend([_error("OperationAborted", 409), faults.breaks_off(5000, reset=True)])
        assert opened.read() == DATA


def test_errors_name_the_object_and_the_code_and_no_signature(own: Server) -> None:
    for code, status, said in (
        ("ExpiredToken", 400, "the server answered 400 ExpiredToken"),
        ("AccessDenied", 403, "access refused (403 AccessDenied)"),
        ("SlowDown", 503, "the server answered 503 SlowDown (4 tries)"),
    ):
        own.always = _error(code, status)
        with pytest.raises(RemoteError) as raised:
            RemoteFile("s3://crawls/a")
        assert str(raised.value) == f"s3://crawls/a: {said}"
    assert "X-Amz-Signature" in own.requests[0][0]


def test_a_bucket_in_another_region_is_found_there(own: Server) -> None:
    own.faults.append(_error("AuthorizationHeaderMalformed", 400, x_amz_bucket_region="eu-central-1"))
    assert RemoteFile("s3://crawls/a").read() == DATA
    assert "%2Feu-central-1%2F" in own.requests[1][0]
    own.always = _error("PermanentRedirect", 301, x_amz_bucket_region="eu-central-1")
    with pytest.raises(RemoteError, match="from region to region"):
        RemoteFile("s3://crawls/a")


def test_slow_down_while_listing_is_tried_again(own: Server) -> None:
    listing = (
        b'<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>p/a</Key>'
        b"<Size>7</Size></Contents></ListBucketResult>"
    )
    own.files["crawls"] = b"?"
    own.faults.extend([_error("SlowDown", 503), _error("InternalError", 500), faults.reset])
    own.always = lambda handler, data: handler.answer(200, listing) or True
    assert expand("s3://crawls/p/", ".") == ["s3://crawls/p/a"]
    own.always = _error("SlowDown", 503)
    with pytest.raises(InputError, match=r"s3://crawls/p/: S3 answered SlowDown \(4 tries\)"):
        expand("s3://crawls/p/", ".")
