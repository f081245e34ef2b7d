"""Models and lists, loaded once per process: fastText models, recognisers of personal data, word lists."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.errors import InputError
from curate.imports import without

if TYPE_CHECKING:
    from curate.kernels.language.identify import Identifier

LID_176 = "lid.176.ftz"
LID_176_SHA256 = "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83"
# Its labels: ISO 639-1 where there is one, else 639-3 or the code of a Wikipedia (als is Alemannic).
_LID_176_CODES = """
    af als am an ar arz as ast av az azb ba bar bcl be bg bh bn bo bpy br bs bxr ca cbk ce ceb ckb co cs cv
    cy da de diq dsb dty dv el eml en eo es et eu fa fi fr frr fy ga gd gl gn gom gu gv he hi hif hr hsb ht
    hu hy ia id ie ilo io is it ja jbo jv ka kk km kn ko krc ku kv kw ky la lb lez li lmo lo lrc lt lv mai mg
    mhr min mk ml mn mr mrj ms mt mwl my myv mzn nah nap nds ne new nl nn no oc or os pa pam pfl pl pms pnb
    ps pt qu rm ro ru rue sa sah sc scn sco sd sh si sk sl so sq sr su sv sw ta te tg th tk tl tr tt tyv ug
    uk ur uz vec vep vi vls vo wa war wuu xal xmf yi yo yue zh
"""
LID_176_LANGUAGES = frozenset(_LID_176_CODES.split())
# What presidio tries for its NLP engines, none of which is used here: 4 of the 5 s of CPU it took to import.
PRESIDIO_ENGINES = ("torch", "transformers", "stanza", "gliner", "spacy_huggingface_pipelines", "langextract")
LABEL = "__label__"


def asset(name: str) -> Path:
    """Return the path of a file shipped under `curate/assets/`."""
    return Path(str(files("curate"))) / "assets" / name


@functools.cache
def load_fasttext(path: Path, sha256: str | None = None) -> Any:
    """Return the fastText model in a file; `.f.predict(line, k, min_probability, "strict")` asks it.

    A line must end in "\\n" (fastText's end-of-sentence token) and hold no other. Raises InputError where the
    file is missing, is no model, or differs from the sha256 that pins it.
    """
    if not path.is_file():
        raise InputError(f"fastText model {str(path)!r} is not a file")
    if sha256 is not None:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != sha256:
            raise InputError(f"fastText model {str(path)!r} has sha256 {found}, expected {sha256}")
    from fasttext.FastText import _FastText

    from curate.kernels.fasttext.model_file import check_whole

    check_whole(path)
    try:
        return _FastText(str(path))  # `fasttext.load_model` is this and a warning on stderr
    except ValueError as error:
        raise InputError(f"{str(path)!r} is not a fastText model: {error}") from error


@functools.cache
def language_identifier(path: Path | None) -> Identifier:
    """Return the compiled language identifier of a fastText model; None is the bundled lid.176.ftz.

    Raises InputError where the file is missing, is no classifier, or differs from the bundled one's sha256.
    """
    from curate.kernels.fasttext.model_file import read
    from curate.kernels.language.identify import identifier_of

    if path is None:
        path = asset(LID_176)
        if (found := hashlib.sha256(path.read_bytes()).hexdigest()) != LID_176_SHA256:
            raise InputError(f"fastText model {str(path)!r} has sha256 {found}, expected {LID_176_SHA256}")
    return identifier_of(read(path))


@functools.cache
def language_codes(path: Path | None) -> frozenset[str]:
    """Return the languages a model can answer with; for the bundled one without loading it."""
    return LID_176_LANGUAGES if path is None else frozenset(language_identifier(path).fasttext.labels)


@functools.cache
def pii_recognizers(phone_regions: tuple[str, ...]) -> Any:
    """Return presidio's pattern recognisers as `curate.kernels.pii.Recognizers`; no NLP model, no network.

    Raises InputError where presidio is not installed, and for a region libphonenumber does not know.
    """
    try:
        import phonenumbers
        import tldextract

        with without(*PRESIDIO_ENGINES):
            from presidio_analyzer import Pattern, predefined_recognizers
    except ImportError as error:
        raise InputError("redact needs pip install curate[pii]") from error
    from curate.kernels.pii import Recognizers

    for region in phone_regions:
        if region not in phonenumbers.SUPPORTED_REGIONS:
            hint = "; Great Britain is GB" if region == "UK" else ""
            raise InputError(f"redact: phone_regions has {region!r}, which is no ISO 3166 code of a region{hint}")
    extract = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)  # the default one asks the network first

    class EmailRecognizer(predefined_recognizers.EmailRecognizer):
        def validate_result(self, pattern_text: str) -> bool:
            return bool(extract(pattern_text.rpartition("@")[2]).fqdn)

    # presidio's own pattern leaves out Mastercard's 2-series, Maestro and cards of 17 to 19 digits.
    card = Pattern("card numbers", r"\b(?:[2-6]\d{3}|1800)(?:[- ]?\d){8,15}\b", 0.3)
    return Recognizers(
        email=EmailRecognizer(),
        phone=predefined_recognizers.PhoneRecognizer(supported_regions=phone_regions),
        phone_abroad=predefined_recognizers.PhoneRecognizer(supported_regions=("ZZ",)),
        ip=predefined_recognizers.IpRecognizer(),
        iban=predefined_recognizers.IbanRecognizer(),
        credit_card=predefined_recognizers.CreditCardRecognizer(patterns=[card]),
        us_ssn=predefined_recognizers.UsSsnRecognizer(),
    )


@functools.cache
def load_url_words(path: Path | None) -> Mapping[str, frozenset[str]]:
    """Return the words under [strict], [hard] and [soft] in a file; None is the bundled list.

    Raises InputError for a missing file and for a word outside a section.
    """
    words: dict[str, set[str]] = {"strict": set(), "hard": set(), "soft": set()}
    found: set[str] | None = None
    source = asset("url_words.txt") if path is None else path
    if not source.is_file():
        raise InputError(f"word list {str(source)!r} is not a file")
    for number, line in enumerate(source.read_text("utf-8").splitlines(), 1):
        text = line.partition("#")[0].strip().lower()
        if text.startswith("["):
            found = words.get(text.strip("[]"))
        elif text and found is None:
            raise InputError(f"{source}:{number}: words belong under [strict], [hard] or [soft]")
        elif text and found is not None:
            found.update(text.split())
    return {kind: frozenset(terms) for kind, terms in words.items()}
