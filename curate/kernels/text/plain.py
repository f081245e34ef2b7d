"""The plain-Python twin of the text kernels: it defines every signal, slowly. Tests compare the two.

Each function takes a text and its words. The words are defined by spaCy's English tokenizer, white space left out.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence

from curate.kernels.text.tables import SENTENCE_END, STOP_WORDS, SYMBOL, flags_of

CITATION = re.compile(r"\[\d*]|\[edit]|\[citation needed]")
POLICIES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")

Words = Callable[[str], list[str]]


def gopher_of(text: str, words: Sequence[str]) -> dict[str, int]:
    """Return the signals of `signals.GOPHER`."""
    plain = [word for word in words if not all(flags_of(char) & SYMBOL for char in word)]
    lines = text.splitlines()
    return {
        "n_words__spacy_en": len(words),
        "n_plain_words__spacy_en": len(plain),
        "plain_word_chars__spacy_en": sum(map(len, plain)),
        "n_alpha_words__spacy_en": sum(any(char.isalpha() for char in word) for word in words),
        "n_stop_words__spacy_en": len(set(STOP_WORDS) & set(words)),
        "n_hash_signs": text.count("#"),
        "n_ellipses": text.count("...") + text.count("…"),
        "n_lines": len(lines),
        "n_bullet_lines": sum(line.lstrip().startswith(("•", "-")) for line in lines),
        "n_ellipsis_lines": sum(line.rstrip().endswith(("...", "…")) for line in lines),
    }


def repetition_of(text: str, words: Sequence[str]) -> dict[str, int]:
    """Return the signals of `signals.REPETITION`."""
    n_paragraphs, n_dup_paragraphs, dup_paragraph_chars = _repeats(re.split(r"\n{2,}", text.strip()))
    n_lines, n_dup_lines, dup_line_chars = _repeats(re.split(r"\n+", text))
    return {
        "n_words__spacy_en": len(words),
        "n_text_chars": len(text),
        "n_paragraphs": n_paragraphs,
        "n_dup_paragraphs": n_dup_paragraphs,
        "dup_paragraph_chars": dup_paragraph_chars,
        "n_newline_lines": n_lines,
        "n_dup_lines": n_dup_lines,
        "dup_line_chars": dup_line_chars,
        **{f"top{n}_chars__spacy_en": _top_chars(words, n) for n in range(2, 5)},
        **{f"dup{n}_chars__spacy_en_greedy": _dup_chars(words, n) for n in range(5, 11)},
    }


def c4_of(
    text: str, split: Words, *, min_words: float = 3, max_word_chars: float = 1000, terminal_punctuation: bool = True
) -> tuple[dict[str, int], str]:
    """Return the signals of `signals.C4` and the text that remains; `split` gives the words of a line."""
    counts = Counter[str]()
    kept = []
    for whole_line in text.splitlines():
        spaced = whole_line.split()
        line = CITATION.sub("", whole_line.strip())
        folded = line.lower()
        if len(spaced) < min_words or any(len(word) > max_word_chars for word in spaced):
            continue
        if terminal_punctuation and (not line.endswith((".", "?", "!", '"', "'")) or line.endswith("...")):
            continue
        if "lorem ipsum" in folded:
            counts["c4_lorem_ipsum_lines"] += 1
        elif "javascript" in folded:
            continue
        elif "{" in line:
            counts["c4_curly_bracket_lines"] += 1
        elif not any(policy in folded for policy in POLICIES):
            counts["c4_sentences__spacy_en"] += n_sentences_of(line, split(line))
            kept.append(line)
    signals = {
        "n_words__spacy_en": len(split(text)),
        "c4_lines": len(text.splitlines()),
        "c4_kept_lines": len(kept),
        "c4_lorem_ipsum_lines": counts["c4_lorem_ipsum_lines"],
        "c4_curly_bracket_lines": counts["c4_curly_bracket_lines"],
        "c4_sentences__spacy_en": counts["c4_sentences__spacy_en"],
    }
    return signals, "\n".join(kept).strip()


def n_sentences_of(line: str, words: Sequence[str]) -> int:
    """Return the sentences spaCy's rule-based sentencizer finds in a line, at least 1.

    A sentence ends before the first word that is no punctuation behind a mark such as `.`. White space other than a
    single blank is such a word.
    """
    n = 1
    ended = False
    for word in _with_white_space(line, words):
        ends = len(word) == 1 and bool(flags_of(word) & SENTENCE_END)
        if ends:
            ended = True
        elif ended and not all(unicodedata.category(char).startswith("P") for char in word):
            n += 1
            ended = False
    return n


def _with_white_space(line: str, words: Sequence[str]) -> list[str]:
    """Return the words and, between and behind them, white space that spaCy makes a word of its own."""
    out = []
    end = 0
    for k, word in enumerate([*words, ""]):
        start = line.index(word, end) if word else len(line)
        gap = line[end:start]
        if k > 0 and gap not in ("", " "):
            out.append(gap)
        if word:
            out.append(word)
        end = start + len(word)
    return out


def _repeats(pieces: Sequence[str]) -> tuple[int, int, int]:
    """Return (pieces, pieces seen before, their characters)."""
    seen: set[str] = set()
    n = chars = 0
    for piece in pieces:
        if piece in seen:
            n += 1
            chars += len(piece)
        seen.add(piece)
    return len(pieces), n, chars


def _top_chars(words: Sequence[str], n: int) -> int:
    """Return length x count of the most frequent n-gram, joined with blanks; of ties the first."""
    grams = Counter(" ".join(words[k : k + n]) for k in range(len(words) - n + 1))
    return max(((count, len(gram) * count) for gram, count in grams.items()), key=lambda pair: pair[0], default=(0, 0))[
        1
    ]


def _dup_chars(words: Sequence[str], n: int) -> int:
    """Return the characters of repeated n-grams, joined with nothing; a hit jumps over its words."""
    seen: set[str] = set()
    chars = k = 0
    while k <= len(words) - n:
        gram = "".join(words[k : k + n])
        if gram in seen:
            chars += len(gram)
            k += n
        else:
            seen.add(gram)
            k += 1
    return chars
