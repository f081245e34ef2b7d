"""Mirrors curate/sources/remote/{file,web,retry}.py: whatever a server does, the right bytes or an error by name."""

from __future__ import annotations

import io
import logging
import random
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.errors import CurateError, InputError
from curate.sources.remote import RemoteError, file
from curate.sources.remote.file import RemoteFile
from curate.sources.remote.retry import Patience
from tests.sources.remote import server as faults
from tests.sources.remote.server import Server

DATA = random.Random(7).randbytes(300_000)


@pytest.fixture
def url(server: Server) -> str:
    server.files["folder/data.bin"] = DATA
    return server.url("folder/data.bin")


def _read(url: str) -> bytes:
    """Read to the end in steps, so that it takes several requests."""
    with RemoteFile(url) as opened:
        return b"".join(iter(lambda: opened.read(10_000), b""))


def test_reads_and_seeks_as_a_local_file_does(url: str) -> None:
    local, remote = io.BytesIO(DATA), RemoteFile(url)
    draw = random.Random(1)
    for _ in range(200):
        where = draw.choice(((draw.randrange(len(DATA) + 50), 0), (-draw.randrange(1000), 2), (0, 1)))
        assert remote.seek(*where) == local.seek(*where)
        n = draw.choice((0, 1, 17, 5000, 100_000, -1))
        assert remote.read(n) == local.read(n)
        assert remote.tell() == local.tell()
    with pytest.raises(ValueError, match="before"):
        remote.seek(-1)
    assert remote.size_bytes == len(DATA)
    assert (remote.readable(), remote.seekable(), remote.writable()) == (True, True, False)


def test_reading_on_takes_few_requests_and_looking_at_the_head_one_small_one(server: Server, url: str) -> None:
    with RemoteFile(url) as opened:
        opened.read(2000)
        assert [headers["range"] for _, headers in server.requests] == ["bytes=0-4095"]
        while opened.read(10_000):
            pass
    assert len(server.requests) < 10
    assert all(headers["accept-encoding"] == "identity" for _, headers in server.requests)
    assert all(headers["if-match"] == faults.etag_of(DATA) for _, headers in server.requests[1:])


PASSING = {
    "reset before the reply": [faults.reset] * 3,
    "429": [faults.status(429)],
    "503 with Retry-After": [faults.status(503, retry_after="0")] * 3,
    "500, 502, 504": [faults.status(500), faults.status(502), faults.status(504)],
    "breaks off at once": [faults.breaks_off(0)] * 2,
    "breaks off in the middle": [faults.breaks_off(1000), faults.breaks_off(1000)],
    "reset in the middle": [faults.breaks_off(1000, reset=True)] * 2,
    "fewer bytes than asked for": [faults.shorter(7), faults.shorter(1)] * 5,
    "another range": [faults.shifted(10), faults.shifted(-1)],
    "no Content-Range": [faults.header(content_range=None)],
    "a Content-Range that is none": [faults.header(content_range="bytes 0-/9")],
    "Content-Length lies": [faults.header(content_length="17"), faults.header(content_length="9999999")],
    "the ETag is missing once": [faults.header(etag=None)],
    "a byte now and then": [faults.slowly(3, 0.0)],
}


@pytest.mark.parametrize("case", PASSING)
@pytest.mark.parametrize("healthy_first", [0, 1, 2])
def test_what_may_pass_is_tried_again_and_the_bytes_are_right(
    server: Server, url: str, case: str, healthy_first: int
) -> None:
    server.faults.extend([None] * max(healthy_first, 1 if "ETag" in case or "-1" in case else 0))
    server.faults.extend(PASSING[case])
    assert _read(url) == DATA
    assert not server.faults


LASTING = {
    "reset": (faults.reset, "the connection broke off"),
    "503": (faults.status(503), "the server answered 503"),
    "429": (faults.status(429, retry_after="0"), "the server answered 429"),
    "404": (faults.status(404), "no such file"),
    "403": (faults.status(403), "access refused"),
    "400": (faults.status(400), "the server answered 400"),
    "302 without a place": (faults.status(302), "no place to go to"),
    "asks for an hour": (faults.status(503, retry_after="3600"), "asks to come back in 3600 s"),
    "breaks off": (faults.breaks_off(0), "broke off"),
    "another range": (faults.shifted(10), "were asked for"),
    "length unknown": (faults.header(content_range="bytes 0-4095/*"), "does not say how long"),
    "encoded": (faults.header(content_encoding="gzip"), "'gzip'-encoded"),
    "redirects to a file": (faults.to("file:///etc/passwd"), "no web address"),
    "redirects to nothing": (faults.to("gopher://x/"), "no web address"),
}


@pytest.mark.parametrize("case", LASTING)
def test_what_does_not_pass_is_an_error_that_names_the_file(server: Server, url: str, case: str) -> None:
    fault, said = LASTING[case]
    server.always = fault
    started_s = time.monotonic()
    with pytest.raises(RemoteError, match=said) as raised:
        _read(url)
    assert str(raised.value).startswith(url)
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code != InputError.exit_code  # the shard fails, other shards go on
    assert time.monotonic() - started_s < 60  # not the hour that one of them asks for


def test_a_file_that_changes_while_it_is_read_is_an_error_never_mixed(server: Server, url: str) -> None:
    with RemoteFile(url) as opened:
        assert opened.read(4096) == DATA[:4096]
        server.files["folder/data.bin"] = DATA[::-1]
        with pytest.raises(RemoteError, match="changed while the run was going on"):
            opened.read()


@pytest.mark.parametrize("etag", [True, False])
def test_a_changed_file_is_found_without_if_match_and_without_etag(server: Server, url: str, etag: bool) -> None:
    """The server ignores If-Match; without an ETag the time of the last change tells, else the length."""

    def other(handler: faults.Handler, data: bytes) -> bool:
        start, end = handler.wanted(data)
        new = data[::-1]
        headers = {"etag": '"new"'} if etag else {"last_modified": "Tue, 02 Jan 2024 00:00:00 GMT"}
        handler.answer(206, new[start:end], content_range=f"bytes {start}-{end - 1}/{len(data)}", **headers)
        return True

    first = {} if etag else {"etag": None, "last_modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
    server.faults.extend([faults.header(**first), other])
    with RemoteFile(url) as opened, pytest.raises(RemoteError, match="changed"):
        opened.read()


def test_a_file_that_grows_is_found_though_it_has_neither_etag_nor_date(server: Server, url: str) -> None:
    server.etag = False
    with RemoteFile(url) as opened:
        assert opened.validator is None
        server.files["folder/data.bin"] = DATA + b"more"
        with pytest.raises(RemoteError, match="changed"):
            opened.read()


def test_a_file_is_held_to_what_was_planned(server: Server, url: str) -> None:
    good = RemoteFile(url, size_bytes=len(DATA), validator=faults.etag_of(DATA))
    assert not server.requests  # opening asks for nothing
    assert good.read() == DATA
    for size_bytes, validator in ((len(DATA) - 1, None), (len(DATA), '"other"'), (len(DATA), 'W/"other"')):
        with pytest.raises(RemoteError, match="changed"):
            RemoteFile(url, size_bytes=size_bytes, validator=validator).read()


def test_a_server_without_ranges_is_read_from_start_to_end_only(server: Server, url: str) -> None:
    server.always = faults.whole
    assert _read(url) == DATA
    assert len(server.requests) == 1
    with RemoteFile(url) as opened:
        assert opened.read(10) == DATA[:10]
        opened.seek(200_000)
        with pytest.raises(RemoteError, match="sends the whole file where a part was asked for"):
            opened.read(10)


def test_a_server_without_ranges_that_breaks_off_is_an_error(server: Server, url: str) -> None:
    server.always = (
        lambda handler, data: (  # the length is that of the whole, the body is not
            handler.answer(200, data[:5000], content_length=str(len(data)), etag=faults.etag_of(data))
            or handler.hang_up()
            or True
        )
    )
    with pytest.raises(RemoteError, match="whole file"):
        _read(url)


def test_redirects_are_followed_a_few_times(server: Server, url: str) -> None:
    server.files["here"] = b"x"
    server.faults.extend([faults.to(url), faults.to("/folder/data.bin?signed=1", 307)])
    assert RemoteFile(server.url("here")).size_bytes == len(DATA)
    server.always = faults.to("/here")
    with pytest.raises(RemoteError, match="redirected more than 5 times"):
        RemoteFile(server.url("here"))
    assert len(server.requests) < 20


def test_encryption_is_not_given_up_on_the_way(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    from curate.sources.remote import web

    class Response:
        status, headers = 302, {"location": url}

        def close(self) -> None: ...

    monkeypatch.setattr(web, "_get", lambda *args: Response())
    with pytest.raises(RemoteError, match="from https to http"):
        RemoteFile("https://127.0.0.1/x")


def test_a_stored_compression_that_is_announced_is_taken_as_it_is(server: Server) -> None:
    server.files["a.jsonl.gz"] = DATA
    server.always = faults.header(content_encoding="gzip")
    assert _read(server.url("a.jsonl.gz")) == DATA


def test_an_empty_file_is_said_to_be_empty(server: Server) -> None:
    server.files["empty"] = b""
    with pytest.raises(RemoteError, match="empty"):
        RemoteFile(server.url("empty"))


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x", "http://no-such-host.invalid/x"])
def test_nobody_there(url: str) -> None:
    with pytest.raises(RemoteError, match=r"the host is not known|the connection failed") as raised:
        RemoteFile(url)
    assert str(raised.value).startswith(url)


def test_a_silent_server_is_given_up(server: Server, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURATE_REMOTE_TIMEOUT_S", "0.05")
    monkeypatch.setenv("CURATE_REMOTE_TRIES", "2")
    server.always = lambda handler, data: time.sleep(0.09) or faults.reset(handler, data)
    with pytest.raises(RemoteError, match="no answer in time"):
        _read(url)


def test_a_byte_now_and_then_is_too_slow(server: Server, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes before the timeout, so that only the pace of the whole reply tells."""
    monkeypatch.setenv("CURATE_REMOTE_TIMEOUT_S", "0.05")
    monkeypatch.setenv("CURATE_REMOTE_MIN_BYTES_PER_S", "1000000")
    monkeypatch.setenv("CURATE_REMOTE_TRIES", "2")
    server.always = faults.slowly(20, 0.01)
    with pytest.raises(RemoteError, match="too slowly"):
        _read(url)


def test_patience_ends_by_the_clock_too(server: Server, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURATE_REMOTE_GIVE_UP_S", "0.01")
    monkeypatch.setenv("CURATE_REMOTE_WAIT_S", "0.1")
    monkeypatch.setenv("CURATE_REMOTE_MAX_WAIT_S", "0.1")
    server.always = faults.status(503)
    with pytest.raises(RemoteError, match="given up after"):
        _read(url)


def test_a_server_that_asks_for_time_is_given_it(server: Server, url: str) -> None:
    server.faults.append(faults.status(429, retry_after="1"))
    waited: list[float] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("curate.sources.remote.retry.sleep", waited.append)
        assert _read(url) == DATA
    assert waited == [1.0]


def test_waits_grow_to_a_cap_and_differ_between_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    from curate.sources.remote.retry import Retry

    waited: list[float] = []
    monkeypatch.setattr("curate.sources.remote.retry.sleep", waited.append)
    for _ in range(2):
        for n_tries in range(1, 8):
            Patience().pause(n_tries, Retry("no"), "x", time.monotonic())
    for wait_s, full_s in zip(waited, [1, 2, 4, 8, 16, 20, 20] * 2, strict=True):
        assert full_s / 2 <= wait_s <= full_s
    assert waited[:7] != waited[7:]


@pytest.mark.parametrize("value", ["0", "-1", "soon", "nan", "inf"])
def test_limits_from_the_environment_are_checked(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("CURATE_REMOTE_TRIES", value)
    with pytest.raises(InputError, match="CURATE_REMOTE_TRIES"):
        Patience.from_environment()


def test_what_is_secret_in_an_address_is_sent_and_never_said(
    server: Server, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret = url.replace("http://", "http://me:pass%20word@") + "?X-Amz-Signature=abc123&token=t0ken"
    with caplog.at_level(logging.DEBUG):
        opened = RemoteFile(secret)
        assert opened.read() == DATA
        server.always = faults.status(403)
        with pytest.raises(CurateError) as raised:
            RemoteFile(secret)
    sent, headers = server.requests[0]
    assert sent == "/folder/data.bin?X-Amz-Signature=abc123&token=t0ken"
    assert headers["authorization"] == "Basic bWU6cGFzcyB3b3Jk"  # me:pass word
    said = f"{raised.value} {raised.value.__cause__} {opened.url} {caplog.text}"
    assert not [word for word in ("abc123", "t0ken", "pass", "bWU6") if word in said]


def test_errors_pass_through_arrow_as_they_are(server: Server) -> None:
    sink, digits = pa.BufferOutputStream(), DATA.hex()
    texts = [digits[i : i + 900] for i in range(0, len(digits), 900)]
    pq.write_table(pa.table({"text": texts}), sink, compression="none", use_dictionary=False)
    server.files["a.parquet"] = sink.getvalue().to_pybytes()
    with RemoteFile(server.url("a.parquet")) as opened:
        table = pq.ParquetFile(opened)
        server.always = faults.reset
        with pytest.raises(RemoteError, match="broke off"):
            table.read(use_threads=False)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_mixture_of_faults_gives_the_bytes_or_an_error(
    server: Server, url: str, monkeypatch: pytest.MonkeyPatch, data: st.DataObject
) -> None:
    monkeypatch.setattr(file, "MAX_BYTES", 32 << 10)
    kinds = [fault for case in PASSING.values() for fault in case] + [None] * 10
    drawn = data.draw(st.lists(st.sampled_from(range(len(kinds))), max_size=30))
    server.faults.clear()
    server.faults.extend([None, *(kinds[i] for i in drawn)])
    try:
        found = _read(url)
    except RemoteError as error:
        found = DATA if str(error).startswith(url) else b"an error that does not name the file"
    assert found == DATA
