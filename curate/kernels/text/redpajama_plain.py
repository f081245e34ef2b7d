"""The plain-Python twin of the RedPajama-v2 kernels: it defines every signal, slowly. Tests compare the two."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from curate.kernels.text.redpajama_ngrams import entropy_step
from curate.kernels.text.redpajama_tables import REDPAJAMA_LANGUAGES, flagged_words, normalized, stop_words

RAW_WORD = re.compile(r"\w+|[^\w\s]+")
BULLETS = ("•", "‣", "▶", "◀", "◦", "■", "□", "▪", "▫", "–")


def redpajama_of(text: str) -> dict[str, int]:
    """Return the signals of `corpus_signals.REDPAJAMA` and `REDPAJAMA_WORDS`."""
    normal = normalized(text)
    return {**_doc(text, normal), **_lines(text), **_words(normal.split())}


def _doc(text: str, normal: str) -> dict[str, int]:
    words = normal.split()
    raw = RAW_WORD.findall(text)
    return {
        "rps_doc_word_count": len(words),
        "rps_doc_word_chars": sum(map(len, words)),
        "rps_doc_raw_words": len(raw),
        "rps_doc_symbols": text.count("#") + text.count("...") + text.count("…"),
        "rps_doc_no_alph_words": sum(not re.search("[a-zA-Z]", word) for word in raw),
        "rps_doc_all_caps_words": sum(map(str.isupper, raw)),
        "rps_doc_num_sentences": len(re.findall(r"\b[^.!?]+[.!?]*", text)),
        "rps_doc_curly_brackets": text.count("{") + text.count("}"),
        "rps_doc_lorem_ipsum": normal.count("lorem ipsum"),
        **{
            f"rps_doc_stop_words__{language}": sum(word in listed for word in raw)
            for language in REDPAJAMA_LANGUAGES
            for listed in [set(stop_words(language))]
        },
        "rps_doc_normalized_chars": len(normal),
    }


def _lines(text: str) -> dict[str, int]:
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    stripped = [line.strip() for line in lines]
    normal = [normalized(line) for line in lines]
    n_upper = [sum(map(str.isupper, line)) for line in lines]
    n_numeric = [sum(map(str.isnumeric, line)) for line in normal]
    return {
        "rps_lines": len(lines),
        "rps_lines_ending_with_ellipsis": sum(line.endswith(("...", "…")) for line in stripped),
        "rps_lines_ending_with_terminal_punctution_mark": sum(line.endswith((".", "!", "?", "”")) for line in stripped),
        "rps_lines_start_with_bulletpoint": sum(line.startswith(BULLETS) for line in stripped),
        "rps_lines_javascript_counts": sum(line.split().count("javascript") for line in normal),
        "rps_lines_below_3_words": sum(len(line.split()) < 3 for line in normal),
        "rps_lines_uppercase_letters": sum(n_upper),
        "rps_lines_uppercase_over_half": sum(2 * n > len(line) for n, line in zip(n_upper, lines, strict=True)),
        "rps_lines_numerical_chars": sum(n_numeric),
        "rps_lines_normalized_chars": sum(map(len, normal)),
        "rps_lines_numerical_over_half": sum(2 * n > len(line) for n, line in zip(n_numeric, normal, strict=True)),
    }


def _words(words: Sequence[str]) -> dict[str, int]:
    copies = Counter(words)
    steps = sum(entropy_step(c) for count in copies.values() for c in range(2, count + 1))
    nats = math.log(len(words)) - steps / (1e9 * len(words)) if words else 0.0
    return {
        "rps_doc_unique_words": len(copies),
        "rps_doc_unigram_entropy_micronats": math.floor(1e6 * nats + 0.5),
        **{f"rps_doc_chars_top_{n}gram": _top_chars(words, n) for n in (2, 3, 4)},
        **{f"rps_doc_chars_dupe_{n}grams": _dupe_chars(words, n) for n in range(5, 11)},
        **{f"rps_doc_ldnoobw_words__{language}": _n_flagged(words, language) for language in REDPAJAMA_LANGUAGES},
    }


def _ngrams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[k : k + n]) for k in range(len(words) - n + 1)]


def _top_chars(words: Sequence[str], n: int) -> int:
    """Return characters times count of the most frequent n-gram, the first of several; 0 where none repeats."""
    (gram, count), *_ = Counter(_ngrams(words, n)).most_common(1) or [((), 0)]
    return sum(map(len, gram)) * count if count > 1 else 0


def _dupe_chars(words: Sequence[str], n: int) -> int:
    """Return the characters of the words in any repeated n-gram, each word once."""
    grams = _ngrams(words, n)
    copies = Counter(grams)
    covered = {j for k, gram in enumerate(grams) if copies[gram] > 1 for j in range(k, k + n)}
    return sum(len(words[j]) for j in covered)


def _n_flagged(words: Sequence[str], language: str) -> int:
    """Return how many words and n-grams stand in the list as they are."""
    listed = set(flagged_words(language))
    return sum(" ".join(gram) in listed for n in range(1, 7) for gram in _ngrams(words, n))
