"""Mirrors curate/sites.py; the vectors are the Public Suffix List's own."""

import gzip
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.sites import (
    PSL_ASSET,
    PSL_DATE,
    has_listed_suffix,
    host_of,
    is_ip,
    public_suffix,
    registrable_domain,
    site_of,
)
from curate.stages.url_filter import UrlFilter
from tests.helpers import shared_data

# From publicsuffix/list@e8c9a2b2b2:tests/tests.txt, dedicated to the public domain (CC0-1.0).
VECTORS = """
COM null
WwW.example.COM example.com
.example.com null
a.b.example.example example.example
biz null
a.b.domain.biz domain.biz
uk.com null
b.example.uk.com example.uk.com
test.ac test.ac
mm null
c.mm null
a.b.c.mm b.c.mm
test.ac.jp test.ac.jp
ide.kyoto.jp null
a.b.ide.kyoto.jp b.ide.kyoto.jp
c.kobe.jp null
a.b.c.kobe.jp b.c.kobe.jp
www.city.kobe.jp city.kobe.jp
test.ck null
a.b.test.ck b.test.ck
www.www.ck www.ck
k12.ak.us null
www.test.k12.ak.us test.k12.ak.us
www.食狮.公司.cn 食狮.公司.cn
公司.cn null
shishi.中国 shishi.中国
xn--85x722f.com.cn xn--85x722f.com.cn
www.xn--85x722f.xn--55qx5d.cn xn--85x722f.xn--55qx5d.cn
xn--fiqs8s null
"""


def check(vectors: str) -> int:
    lines = [line.split() for line in vectors.splitlines() if line.strip() and not line.startswith("//")]
    for host, expected in lines:
        got = registrable_domain(None if host == "null" else host)
        assert got == (None if expected == "null" else expected), host
    return len(lines)


def test_vectors_of_the_list() -> None:
    assert check(VECTORS) == 29


def test_all_vectors_of_the_list() -> None:
    assert check(gzip.decompress(shared_data("urls", "tests.txt.gz").read_bytes()).decode()) > 70


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://user:pa@ss@Example.COM:8080/x", "example.com"),
        ("https://example.com:443", "example.com"),
        ("https://example.com.?q", "example.com"),
        ("  //example.org#top", "example.org"),
        ("http:\\\\example.com\\a", "example.com"),
        ("http://exa\tmple.com/", "example.com"),
        ("http://ex%41mple.com", "example.com"),
        ("HTTP://ＢＢＣ。co.uk", "bbc.co.uk"),
        ("https://xn--85x722f.com.cn/a@b", "食狮.com.cn"),
        ("https://xn--a.com", "xn--a.com"),  # not punycode of anything
        ("http://my_blog.example.com/", "my_blog.example.com"),
        ("http://127.1/", "127.0.0.1"),
        ("http://0x7f.0.0.1:80/", "127.0.0.1"),
        ("http://[2001:DB8:0::1]:80/a", "[2001:db8::1]"),
        (None, None),
        ("", None),
        ("mailto:a@example.com", None),
        ("page/index.html", None),
        ("http://", None),
        ("http://a..b/", None),
        ("http://a b.com/", None),
        ("http://ex\u00adample\u200b.com/", "example.com"),
        ("http://\u202emoc.com/", None),
        ("http://نامه\u200cای.com/", "نامه\u200cای.com"),
        ("http://a%2fb.com/", None),
        ("http://example.com:99x/", None),
        ("http://256.1.1.1/", None),
        ("http://1.2.3.4.5/", None),
        ("http://[::1/", None),
        ("http://" + "a" * 1_000_000, None),
        ("http://" + "é" * 64 + ".com", None),
    ],
)
def test_host(url: str | None, host: str | None) -> None:
    assert host_of(url) == host


@pytest.mark.parametrize(
    ("host", "suffix", "site"),
    [
        ("www.bbc.co.uk", "co.uk", "bbc.co.uk"),
        ("alice.github.io", "github.io", "alice.github.io"),
        ("github.io", "github.io", "github.io"),
        ("www.食狮.公司.cn", "公司.cn", "食狮.公司.cn"),
        ("intranet", "intranet", "intranet"),
        ("192.0.2.7", None, "192.0.2.7"),
        ("[::1]", None, "[::1]"),
    ],
)
def test_suffix_and_site(host: str, suffix: str | None, site: str) -> None:
    assert public_suffix(host) == suffix
    assert site_of(host) == site


@given(st.text(max_size=60) | st.text("./:@[]%x0n-1a?#\\", max_size=30))
def test_any_text_gives_a_host_that_stands_by_itself(text: str) -> None:
    host = host_of("http://" + text)
    if host is not None:
        assert host_of(f"https://{host}/") == host
        assert is_ip(host) or site_of(host).endswith(public_suffix(host) or "?")
        assert host.endswith(site_of(host))


@given(
    st.lists(
        st.sampled_from(["a", "b", "com", "co", "uk", "kobe", "jp", "city", "ck", "www", "github", "io"]), min_size=1
    )
)
def test_a_site_is_its_own_site_and_one_label_above_the_suffix(labels: list[str]) -> None:
    host = ".".join(labels)
    site, suffix = registrable_domain(host), public_suffix(host)
    assert suffix is not None
    if site is None:
        assert suffix == host
    else:
        assert site.split(".", 1)[1] == suffix
        assert registrable_domain(site) == site


def test_agrees_with_tldextract_on_real_hosts() -> None:
    tldextract = pytest.importorskip("tldextract")
    lines = gzip.decompress(shared_data("urls", "opendns-top-domains.txt.gz").read_bytes()).decode().split()
    rules = files("curate") / "assets" / PSL_ASSET
    suffixes = gzip.decompress(rules.read_bytes()).decode()
    oracle = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None, include_psl_private_domains=True)
    # Its own snapshot is of another day: compare where the suffix it finds is in ours too, word for word.
    listed = set(suffixes.splitlines())
    n_compared = 0
    for host in [f"www.{line}" for line in lines]:
        found = oracle(host)
        if found.suffix in listed and public_suffix(host) in listed:
            n_compared += 1
            assert registrable_domain(host) == (found.top_domain_under_public_suffix or None), host
    assert n_compared > 9_000


def test_the_snapshot_is_dated_where_people_look() -> None:
    rules = gzip.decompress((files("curate") / "assets" / PSL_ASSET).read_bytes()).decode()
    assert f"gtlds.json on {PSL_DATE}T" in rules
    assert PSL_DATE in (UrlFilter.__doc__ or "")
    assert PSL_DATE in (files("curate") / "assets" / "public_suffix_list.NOTICE").read_text("utf-8")


@pytest.mark.parametrize(
    ("host", "is_listed"),
    [
        ("example.com", True),
        ("a.b.co.uk", True),
        ("alice.github.io", True),
        ("x.kobe.jp", False),
        ("b.x.kobe.jp", True),
        ("city.kobe.jp", True),
        ("食狮.公司.cn", True),
        ("xn--85x722f.xn--55qx5d.cn", True),
        ("index.html", False),
        ("co.uk", False),
        ("localhost", False),
        ("192.0.2.7", False),
        (None, False),
    ],
)
def test_suffixes_that_are_listed(host: str | None, is_listed: bool) -> None:
    assert has_listed_suffix(host) is is_listed
