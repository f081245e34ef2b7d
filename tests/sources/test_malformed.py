"""What comes out of genuine files with faults: docs, records by kind, bad spans, held as they are."""

from __future__ import annotations

import pytest

from tests.helpers import shared_data
from tests.sources.build import read, whole

CUT_MEMBER = "the file ends inside a gzip member"
NO_MEMBER = "gzip member cannot be inflated: Error -4 Invalid gzip/zlib wrapper found"
NO_ARC = "not an ARC record"
NO_WARC = "not a WARC record"
CUT = "a record is cut off: its length reaches beyond the end"
CUT_HEAD = "a record header is cut off"
LENGTH = "the length of a record does not lead to its end"
NO_LENGTH = "a record has no valid Content-Length"

# Why, where it is not plain:
# - blackbook-truncated.arc is cut between two records: nothing shows it.
# - example-space-in-url.arc: its length is 9 more than the file has. warcio gives what is there, without a word.
# - example-trunc.warc, example-bad-length.warc: a length is too small. warcio takes it, and warns on stderr.
# - missing-status-text.warc: all line ends are \r\r\n.
# - invalid-warcheaderfieldpolicy-*: headers alone; that of -2 has an empty block.
# - test-arc-1.0-invalid-fields.arc: 80 blanks stand behind the last block.
EXPECTED: dict[str, tuple[int, str, list[tuple[int, int, str]]]] = {
    "IAH-20080430204825-00000-blackbook-truncated.arc": (2, "dns=1 filedesc=1 mime:image=3 mime:text=2 response=2", []),
    "alexa_short_header.arc.gz": (0, "filedesc=1 not_http=1", []),
    "bad.arc": (0, "not_http=1", [(0, 202, NO_ARC), (262, 69, NO_ARC)]),
    "bad_http_chunked_content.warc": (0, "mime:none=1", []),
    "badexample.arc.gz": (0, "dns=1 filedesc=1 mime:text=1", [(918, 92, NO_ARC), (1010, 211, CUT)]),
    "c1_warcinfo.warc": (0, "warcinfo=1", []),
    "clipped.warc.gz": (0, "", [(0, 18184, CUT_MEMBER)]),
    "corrupted-mid-record.warc.gz.open": (12, "response=12", [(1219, 34, NO_MEMBER)]),
    "corrupted-trailing-bytes.warc.gz.open": (30, "response=30", [(2362, 55, NO_MEMBER)]),
    "empty.warc.gz.open": (0, "", []),
    "example-bad-length.warc": (0, "request=2 revisit=1 warcinfo=2", [(1197, 1369, LENGTH)]),
    "example-bad-non-chunked.warc.gz": (1, "request=2 response=1 revisit=1 warcinfo=2", []),
    "example-bad.warc.gz.bad": (1, "request=2 response=1 revisit=1 status:302=1 warcinfo=1", []),
    "example-space-in-target-uri.warc.gz": (0, "mime:image=1 warcinfo=1", []),
    "example-space-in-url.arc": (0, "filedesc=1", [(151, 1722, CUT)]),
    "example-trunc.warc": (0, "request=1 warcinfo=2", [(1197, 1369, LENGTH)]),
    "example-wget-bad-target-uri.warc.gz": (1, "metadata=1 mime:text=2 request=1 response=1 warcinfo=1", []),
    "example-wrong-chunks.warc.gz": (1, "request=1 response=1", []),
    "invalid-arcfile-record-then-garbage.arc": (1, "response=1", [(2329, 25, CUT_HEAD)]),
    "invalid-warcfile-contenttype-warcinfo-recommended.warc": (0, "warcinfo=1", []),
    "invalid-warcfile-digest-fields.warc": (4, "response=4", []),
    "invalid-warcfile-duplicate-fields.warc": (0, "warcinfo=1", []),
    "invalid-warcfile-encoding-headers.warc.gz": (2, "mime:image=1 response=2 warcinfo=1", []),
    "invalid-warcfile-fields-invalidformat.warc": (0, "", [(0, 492, NO_LENGTH)]),
    "invalid-warcfile-lonely-monkeys.warc": (0, "", [(0, 31, NO_LENGTH)]),
    "invalid-warcfile-lonely-revisit.warc": (0, "", [(0, 36, NO_LENGTH)]),
    "invalid-warcfile-record-then-garbage.warc": (0, "mime:text=1", [(1135, 55, NO_WARC)]),
    "invalid-warcheaderfieldpolicy-1.warc": (0, "", [(0, 36, NO_LENGTH)]),
    "invalid-warcheaderfieldpolicy-13.warc": (0, "", [(0, 361, CUT)]),
    "invalid-warcheaderfieldpolicy-16.warc": (0, "", [(0, 355, CUT)]),
    "invalid-warcheaderfieldpolicy-2.warc": (0, "warcinfo=1", []),
    "invalid-warcheaderfieldpolicy-4.warc": (0, "", [(0, 416, CUT)]),
    "invalid-warcheaderfieldpolicy-5.warc": (0, "", [(0, 211, CUT)]),
    "invalid-warcheaderfieldpolicy-6.warc": (0, "", [(0, 353, CUT)]),
    "invalid-warcheaderfieldpolicy-7.warc": (0, "", [(0, 173, CUT)]),
    "invalid-warcheaderversion-1.warc": (0, "", [(0, 11, CUT_HEAD)]),
    "invalid-warcheaderversion-10.warc": (0, "", [(0, 12, CUT_HEAD)]),
    "invalid-warcheaderversion-11.warc": (0, "", [(0, 12, CUT_HEAD)]),
    "invalid-warcheaderversion-13.warc": (0, "", [(0, 16, CUT_HEAD)]),
    "invalid-warcheaderversion-14.warc": (0, "", [(0, 7, CUT_HEAD)]),
    "invalid-warcheaderversion-15.warc": (0, "", [(0, 11, CUT_HEAD)]),
    "invalid-warcheaderversion-16.warc": (0, "", [(0, 6, CUT_HEAD)]),
    "invalid-warcheaderversion-17.warc": (0, "", [(0, 4, CUT_HEAD)]),
    "invalid-warcheaderversion-18.warc": (0, "", [(0, 21, CUT_HEAD)]),
    "invalid-warcheaderversion-19.warc": (0, "", [(0, 25, NO_WARC)]),
    "invalid-warcheaderversion-20.warc": (0, "", []),
    "invalid-warcheaderversion-22.warc": (0, "", [(0, 29, CUT_HEAD)]),
    "invalid-warcheaderversion-23.warc": (0, "", [(0, 31, CUT_HEAD)]),
    "invalid-warcheaderversion-24.warc": (0, "", [(0, 30, CUT_HEAD)]),
    "invalid-warcheaderversion-3.warc": (0, "", [(0, 11, CUT_HEAD)]),
    "invalid-warcreader-diagnosis-1.warc": (0, "", [(2, 55, NO_WARC)]),
    "invalid-warcrecord-3.warc": (0, "mime:text=3", [(1073, 973, LENGTH), (4192, 1173, LENGTH), (5365, 973, CUT)]),
    "invalid-warcrecorddigests-1.warc": (0, "mime:text=7", []),
    "invalid-warcrecorddigests-2.warc": (0, "mime:text=2", []),
    "invalid_example_1.wacz": (0, "", [(0, 485, NO_WARC)]),
    "issue-493.warc": (4, "mime:image=5 request=15 response=4 revisit=5 status:301=1 warcinfo=2", []),
    "issue-514.warc": (1, "metadata=1 mime:text=2 request=2 response=1 status:307=1 warcinfo=1", []),
    "missing-status-text.warc": (0, "", [(0, 491, NO_WARC)]),
    "mutliple-headers.warc": (1, "response=1", []),
    "not_utf8_http_header.warc": (0, "mime:none=1", []),
    "skip-non-open.warc.gz": (10, "response=10", []),
    "test-arc-1.0-invalid-fields.arc": (1, "response=1", [(0, 141, NO_ARC), (4492, 80, NO_ARC)]),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_malformed_files_give_what_is_whole_and_report_the_rest(name: str) -> None:
    """`read` checks that the bytes of the file add up."""
    path = shared_data("malformed", name)
    table, tally = read(whole(path, "arc" if ".arc" in name else "warc"))
    records = " ".join(f"{kind}={count}" for kind, count in sorted(tally.records.items()))
    spans = [(span.offset_bytes, span.n_bytes, span.cause) for span in tally.bad_spans]
    assert (table.num_rows, records, spans) == EXPECTED[name]


def test_every_malformed_file_is_in_the_table() -> None:
    names = {path.name for path in shared_data("malformed").iterdir() if path.stat().st_size}
    assert names == set(EXPECTED)
