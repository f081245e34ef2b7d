"""The table of every text signal: its column, how it is counted, and where the definition comes from.

A signal is an integer about one text; rules divide signals by each other (`curate.rules`). `measure` in
`curate.kernels.text.measure` counts them. A signal that depends on words carries their variant behind `__`:

- `spacy_en`: the words of spaCy's English tokenizer, as datatrove uses it, white space left out.
- `unicode`: the segments of Unicode's word boundaries (UAX #29) that begin with a letter or a digit, as DCLM
  counts them.
- `whitespace`: what stands between white space, as `str.split` cuts and dolma and C4 count.

Scripts without spaces: `unicode` makes a word of every Han, Hiragana, Thai, Lao or Khmer character and of a run of
Katakana; `spacy_en` and `whitespace` take the whole run for one word. Rules made for English say little about them.

A signal is null where the text is null, where a word signal's text has more than MAX_WORDS words, and where a line
signal's text has more than MAX_LINES lines (`UNMEASURED`): never a truncated number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from curate.corpus_signals import (
    BIGSCIENCE,
    BIGSCIENCE_CHARS,
    BIGSCIENCE_SOURCE,
    BIGSCIENCE_WORDS,
    REDPAJAMA,
    REDPAJAMA_SOURCE,
    REDPAJAMA_WORDS,
    REFINEDWEB,
    REFINEDWEB_SOURCE,
)

# Gopher drops docs above 100,000 words; ten times that is room enough, and bounds the scratch memory.
MAX_WORDS = 1 << 20
MAX_LINES = 1 << 20  # bounds the table of lines and paragraphs seen before

# Why a signal of a text that is not null was not measured, by the signal's family; families not named here always are.
UNMEASURED: Mapping[str, str] = MappingProxyType(
    {
        "words": "too_many_words",
        "ngrams": "too_many_words",
        "c4": "too_many_words",
        "repeated_lines": "too_many_lines",
        "dclm_lines": "too_many_lines",
        "redpajama2_words": "too_many_words",
        "bigscience_words": "too_many_words",
        "bigscience_chars": "too_many_chars",
    }
)

# Families that are compiled together, those that take longest first.
COMPILED_TOGETHER: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "redpajama2": ("redpajama2", "redpajama2_words"),
        "refinedweb": ("refinedweb",),
        "c4": ("c4",),
        "ngrams": ("ngrams",),
        "lines": ("lines", "fineweb", "repeated_lines"),
        "bigscience": ("bigscience", "bigscience_words", "bigscience_chars"),
        "dclm_lines": ("dclm_lines",),
        "words": ("words",),
        "characters": ("characters", "classes"),
    }
)

WordsVariant = Literal["spacy_en", "unicode", "whitespace"]
WORDS: tuple[WordsVariant, ...] = ("spacy_en", "unicode", "whitespace")
TOP = range(2, 5)  # orders of the most frequent n-gram, Gopher table A1
DUP = range(5, 11)  # orders of repeated n-grams

GOPHER_A1 = "Rae et al. 2021 (Gopher), appendix A.1.1"
TABLE_A1 = "Rae et al. 2021 (Gopher), table A1"
DATATROVE = "datatrove 0.10"
DCLM = "DCLM, baselines/mappers/filters/content_filters.py"
DOLMA = "dolma, taggers/gopher.py"
TFDS = "tensorflow_datasets, text/c4_utils.py"


@dataclass(frozen=True)
class Signal:
    """An int64 column that `measure` can fill.

    `help` is exact enough to count it again; `words` the variant it depends on, None where words do not matter.
    """

    name: str
    family: str
    words: str | None
    help: str
    source: str


def _plain(family: str, source: str, helps: Mapping[str, str]) -> list[Signal]:
    return [Signal(name, family, None, text, source) for name, text in helps.items()]


def _characters() -> list[Signal]:
    return [
        *_plain(
            "characters",
            DATATROVE,
            {
                "n_text_chars": "characters (code points) of the text",
                "n_newlines": "newline characters",
                "n_chars_without_newlines": "characters that are not newlines",
                "n_hash_signs": "`#` characters",
                "n_ellipses": "`...` (three full stops, not overlapping) and `…`",
            },
        ),
        *_plain("characters", DCLM, {"n_symbols_dclm": "`#`, `...`, `. . .` and `…`, each counted like str.count"}),
        *_plain(
            "classes",
            "Python's str methods and Unicode categories",
            {
                "n_letters": "characters that str.isalpha holds for",
                "n_upper_chars": "characters that str.isupper holds for",
                "n_digit_chars": "characters that str.isdigit holds for",
                "n_white_space_chars": "characters that str.isspace holds for",
                "n_symbol_chars": "characters of datatrove's PUNCTUATION_SET, which holds control characters too",
                "n_mark_chars": "characters of the Unicode categories Mn, Mc and Me",
            },
        ),
    ]


def _lines() -> list[Signal]:
    return [
        *_plain(
            "lines",
            f"{GOPHER_A1}; {DATATROVE}",
            {
                "n_lines": "lines of str.splitlines",
                "n_bullet_lines": "of these, stripped, those that start with `•` or `-`",
                "n_ellipsis_lines": "of these, stripped, those that end in `...` or `…`",
            },
        ),
        *_plain(
            "repeated_lines",
            f"{TABLE_A1}; {DATATROVE}",
            {
                "n_paragraphs": r"pieces of the stripped text between two or more newlines (re.split(r'\n{2,}'))",
                "n_dup_paragraphs": "of these, those that equal an earlier one",
                "dup_paragraph_chars": "characters of these repetitions",
                "n_newline_lines": r"pieces of the text between runs of newlines (re.split(r'\n+')), empty ones too",
                "n_dup_lines": "of these, those that equal an earlier one",
                "dup_line_chars": "characters of these repetitions",
            },
        ),
        *_plain(
            "fineweb",
            "Penedo et al. 2024 (FineWeb); datatrove 0.10, FineWebQualityFilter",
            {
                "n_filled_lines": "lines between single newlines that are not blank (unstripped)",
                "n_terminal_lines": "of these, those whose last character is in datatrove's TERMINAL_PUNCTUATION",
                "n_short_lines": "of these, those of at most 30 characters",
            },
        ),
        *_plain(
            "repeated_lines",
            "Penedo et al. 2024 (FineWeb); datatrove 0.10, FineWebQualityFilter",
            {"dup_filled_line_chars": "characters of non-blank lines that equal an earlier one"},
        ),
        *_plain(
            "repeated_lines",
            DOLMA,
            {
                "n_lines_dolma": "lines between single newlines, empty ones too: newlines + 1",
                "n_bullet_lines_dolma": "of these, those that start with `*` or `-`, not stripped",
                "n_ellipsis_lines_dolma": "of these, those that end in `…`, not stripped",
                "n_dup_lines_dolma": "of these, all copies of those that stand more than once",
                "dup_line_chars_dolma": "characters of these copies",
            },
        ),
        *_plain(
            "dclm_lines",
            DCLM,
            {
                "n_lines_dclm": "lines between single newlines, stripped, not empty",
                "line_chars_dclm": "their characters",
                "n_bullet_lines_dclm": "of these, those that start with `●`, `•`, `*` or `-`",
                "n_ellipsis_lines_dclm": "of these, those that end in `...`, `. . .` or `…`",
                "n_dup_lines_dclm": "of these, all copies of those that stand more than once",
                "dup_line_chars_dclm": "characters of these copies",
                "n_paragraphs_dclm": "pieces between two newlines, stripped, not empty",
                "paragraph_chars_dclm": "their characters",
                "n_dup_paragraphs_dclm": "of these, all copies of those that stand more than once",
                "dup_paragraph_chars_dclm": "characters of these copies",
            },
        ),
    ]


def _words(v: str) -> list[Signal]:
    stop_words = "the, be, to, of, and, that, have, with"
    helps = {
        "n_words": ("words", DATATROVE),
        "word_chars": ("characters of all words", DCLM),
        "n_plain_words": ("words with a character outside datatrove's PUNCTUATION_SET", DATATROVE),
        "plain_word_chars": ("characters of these words", DATATROVE),
        "n_alpha_words": ("words with a character that str.isalpha holds for", GOPHER_A1),
        "n_non_alpha_words": ("words without such a character", DCLM),
        "n_alnum_words": ("words whose first character str.isalnum holds for", DCLM),
        "n_stop_words": (f"how many of {stop_words} stand among the words (lower case)", f"{GOPHER_A1}; {DATATROVE}"),
        "n_stop_word_uses": (f"words that are one of {stop_words} (lower case)", DOLMA),
        "n_stop_word_uses_any_case": (f"words that are, in lower case, one of {stop_words}", DCLM),
        "n_symbol_words": ("words that hold `#` or `…`", DOLMA),
        "twice_median_word_chars": ("twice the median of the words' lengths in characters, 0 without words", DOLMA),
    }
    return [Signal(f"{name}__{v}", "words", v, text, source) for name, (text, source) in helps.items()]


def _ngrams(v: str) -> list[Signal]:
    found = []
    for n in TOP:
        found += [
            (f"top{n}_chars__{v}", f"{n}-gram, joined with blanks, of several the first to appear", DATATROVE),
            (f"top{n}_chars__{v}_first", f"{n}-gram, joined with nothing, of several the first to appear", DOLMA),
            (f"top{n}_chars__{v}_longest", f"{n}-gram, the longest of several; 0 if none repeats", DCLM),
        ]
    signals = [
        Signal(name, "ngrams", v, f"length times count of the most frequent {text}", f"{TABLE_A1}; {source}")
        for name, text, source in found
    ]
    for n in DUP:
        helps = {
            f"dup{n}_chars__{v}_greedy": (
                f"characters of {n}-grams (joined with nothing) that equal an earlier one; from the left, a repetition "
                "jumps over its words and is not remembered",
                DATATROVE,
            ),
            f"dup{n}_chars__{v}_all": (
                f"characters of the words that stand in any {n}-gram that stands more than once, each word once",
                DCLM,
            ),
            f"dup{n}_chars__{v}_overlapping": (
                f"characters of all {n}-grams that stand more than once, overlaps counted again",
                DOLMA,
            ),
            f"ngram{n}_chars__{v}": (f"characters of all {n}-grams, overlaps counted again", DOLMA),
        }
        signals += [Signal(name, "ngrams", v, text, f"{TABLE_A1}; {source}") for name, (text, source) in helps.items()]
    return signals


# C4's two published sets of line rules, each with and without its rule on how a line must end.
C4_VARIANTS: Mapping[str, str] = MappingProxyType(
    {
        "c4_datatrove": "lines of at least 3 words, ending in . ? ! \" or '",
        "c4_datatrove_any_end": "lines of at least 3 words",
        "c4_tfds": 'lines of at least 5 words (counted without citation marks), ending in . ? ! or "',
        "c4_tfds_any_end": "lines of at least 5 words (counted without citation marks)",
    }
)


def _c4() -> list[Signal]:
    signals = []
    for variant, lines in C4_VARIANTS.items():
        source = f"Raffel et al. 2020 (T5), section 2.2; {TFDS if 'tfds' in variant else DATATROVE}"
        # "..." is no end in either set, and a word of more than 1,000 characters drops its line.
        helps = {
            "kept_lines": "that C4's line rules keep",
            "lorem_ipsum_lines": "that hold `lorem ipsum`",
            "curly_bracket_lines": "that hold `{` and neither `lorem ipsum` nor `javascript`",
        }
        signals += [
            Signal(f"{variant}_{name}", "c4", "spacy_en", f"{lines}, {text}", source) for name, text in helps.items()
        ]
        text = f"{lines}: sentences of those kept, as spaCy's rule-based sentencizer counts them line by line"
        signals.append(Signal(f"{variant}_sentences__spacy_en", "c4", "spacy_en", text, source))
    return signals


def _table(signals: Iterable[Signal]) -> Mapping[str, Signal]:
    table = {}
    for signal in signals:
        assert signal.name not in table, signal.name
        table[signal.name] = signal
    return MappingProxyType(table)


def _all() -> list[Signal]:
    return [
        *_characters(),
        *_lines(),
        *(signal for v in WORDS for signal in _words(v)),
        *(signal for v in WORDS for signal in _ngrams(v)),
        *_c4(),
        *_plain("redpajama2", REDPAJAMA_SOURCE, REDPAJAMA),
        *_plain("redpajama2_words", REDPAJAMA_SOURCE, REDPAJAMA_WORDS),
        *_plain("refinedweb", REFINEDWEB_SOURCE, REFINEDWEB),
        *_plain("bigscience", BIGSCIENCE_SOURCE, BIGSCIENCE),
        *_plain("bigscience_words", BIGSCIENCE_SOURCE, BIGSCIENCE_WORDS),
        *_plain("bigscience_chars", BIGSCIENCE_SOURCE, BIGSCIENCE_CHARS),
    ]


SIGNALS: Mapping[str, Signal] = _table(_all())


def _of(words: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{name}__{words}" for name in names)


def _tops(words: str, end: str) -> tuple[str, ...]:
    return tuple(f"top{n}_chars__{words}{end}" for n in TOP)


def _dups(words: str, end: str) -> tuple[str, ...]:
    return tuple(f"dup{n}_chars__{words}_{end}" for n in DUP)


def _c4_set(variant: str) -> tuple[str, ...]:
    ends = ("kept_lines", "lorem_ipsum_lines", "curly_bracket_lines", "sentences__spacy_en")
    return ("n_words__spacy_en", "n_lines", *(f"{variant}_{end}" for end in ends))


# What each published set of rules looks at, by the set's name.
SETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "gopher/datatrove": (
            *_of("spacy_en", "n_words", "n_plain_words", "plain_word_chars", "n_alpha_words", "n_stop_words"),
            "n_hash_signs", "n_ellipses", "n_lines", "n_bullet_lines", "n_ellipsis_lines",
        ),
        "gopher/dclm": (
            "n_words__unicode",
            *_of("whitespace", "n_words", "n_alnum_words", "word_chars", "n_non_alpha_words"),
            "n_stop_word_uses_any_case__whitespace",
            "n_symbols_dclm", "n_lines_dclm", "n_bullet_lines_dclm", "n_ellipsis_lines_dclm",
        ),
        "gopher/dolma": (
            *_of("whitespace", "n_words", "twice_median_word_chars", "n_symbol_words", "n_alpha_words"),
            "n_stop_word_uses__whitespace",
            "n_lines_dolma", "n_bullet_lines_dolma", "n_ellipsis_lines_dolma",
        ),
        "gopher_repetition/datatrove": (
            "n_words__spacy_en", "n_text_chars", "n_paragraphs", "n_dup_paragraphs", "dup_paragraph_chars",
            "n_newline_lines", "n_dup_lines", "dup_line_chars", *_tops("spacy_en", ""), *_dups("spacy_en", "greedy"),
        ),
        "gopher_repetition/dclm": (
            "n_words__unicode", "word_chars__unicode",
            *(name for name in SIGNALS if name.endswith("_dclm") and ("line" in name or "paragraph" in name)),
            *_tops("unicode", "_longest"), *_dups("unicode", "all"),
        ),
        "gopher_repetition/dolma": (
            "n_words__whitespace", "word_chars__whitespace",
            "n_lines_dolma", "n_dup_lines_dolma", "dup_line_chars_dolma",
            *_tops("whitespace", "_first"), *_dups("whitespace", "overlapping"),
            *(f"ngram{n}_chars__whitespace" for n in DUP),
        ),
        "c4/datatrove": _c4_set("c4_datatrove"),
        "c4/datatrove_any_end": _c4_set("c4_datatrove_any_end"),
        "c4/tfds": ("n_text_chars", *_c4_set("c4_tfds")),
        "c4/tfds_any_end": ("n_text_chars", *_c4_set("c4_tfds_any_end")),
        "fineweb": (
            "n_words__spacy_en", "n_newlines", "n_chars_without_newlines", "n_filled_lines", "n_terminal_lines",
            "n_short_lines", "dup_filled_line_chars",
        ),
        "redpajama2": ("n_text_chars", *REDPAJAMA, *REDPAJAMA_WORDS),
        "refinedweb": tuple(REFINEDWEB),
        "bigscience": ("n_text_chars", *BIGSCIENCE, *BIGSCIENCE_WORDS, *BIGSCIENCE_CHARS),
    }
)  # fmt: skip
