"""Mirrors curate/kernels/html/licences.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.kernels.html.licences import FAMILIES, family_of, license_of_text, license_of_url


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://creativecommons.org/licenses/by/4.0/", "cc-by-4.0"),
        ("http://www.creativecommons.org/licenses/by-nc-sa/2.0/de/", "cc-by-nc-sa-2.0-de"),
        ("https://creativecommons.org/licenses/by-sa/4.0/deed.en", "cc-by-sa-4.0"),
        ("https://creativecommons.org/licenses/by-sa/4.0/legalcode", "cc-by-sa-4.0"),
        ("//creativecommons.org/licenses/by-sa-nc/3.0/", "cc-by-nc-sa-3.0"),
        ("https://creativecommons.org/licenses/by-nd-nc/1.0", "cc-by-nc-nd-1.0"),
        ("HTTPS://CREATIVECOMMONS.ORG/LICENSES/BY/4.0?ref=x", "cc-by-4.0"),
        ("https://creativecommons.org/licences/by", "cc-by"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "cc0-1.0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/", "pdm-1.0"),
        ("https://creativecommons.org/licenses/publicdomain/", "publicdomain"),
        ("https://creativecommons.org/licenses/sampling+/1.0/", "other"),
        ("https://creativecommons.org/licenses/", None),
        ("https://creativecommons.org/", None),
        ("https://evil.example/?to=creativecommons.orgs/licenses/by/4.0/", None),
        ("https://notcreativecommons.org/licenses/by/4.0/", None),
        ("https://www.gnu.org/licenses/fdl-1.3.html", "gfdl-1.3"),
        ("http://www.gnu.org/copyleft/fdl.html", "gfdl"),
        ("https://www.nationalarchives.gov.uk/doc/open-government-licence/version/3/", "ogl-uk-3.0"),
        ("https://opendatacommons.org/licenses/odbl/1-0/", "odbl-1.0"),
        ("https://www.apache.org/licenses/LICENSE-2.0", "apache-2.0"),
        ("https://opensource.org/licenses/MIT", "mit"),
        ("https://example.org/license", None),
    ],
)
def test_urls(url: str, name: str | None) -> None:
    assert license_of_url(url) == name
    if name is not None:
        assert family_of(name) in FAMILIES


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("CC BY-SA 4.0", "cc-by-sa-4.0"),
        ("licensed CC-BY", "cc-by"),
        ("CC0", "cc0-1.0"),
        ("Creative Commons Attribution-NonCommercial-ShareAlike 3.0 Unported", "cc-by-nc-sa-3.0"),
        ("Creative Commons: Attribution – No Derivatives 4.0", "cc-by-nd-4.0"),
        ("Creative Commons", None),
        ("acc by 4.0", None),
        ("All rights reserved", None),
        ("", None),
    ],
)
def test_texts(text: str, name: str | None) -> None:
    assert license_of_text(text) == name


@pytest.mark.parametrize(
    ("name", "family"), [("cc-by-sa-3.0-de", "cc-by-sa"), ("cc-by", "cc-by"), ("cc0-1.0", "cc0"), ("other", "other")]
)
def test_families(name: str, family: str) -> None:
    assert family_of(name) == family


@given(st.text(alphabet="/.-abcdnyszero0123 ", max_size=60))
def test_every_name_has_a_known_family(rest: str) -> None:
    for name in (license_of_url(f"https://creativecommons.org/{rest}"), license_of_text(f"cc {rest}")):
        assert name is None or family_of(name) in FAMILIES
