"""The plain-Python twin of the text kernels: it defines every signal, slowly. Tests compare the two.

Each function takes a text and, where words matter, its words and the name of their variant. White-space words are
str.split's, Unicode words `unicode_words` of `plain_words.py`; spaCy's English tokenizer defines the third variant,
white space left out.
"""

from __future__ import annotations

import re
import statistics
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence

from curate.kernels.text.tables import SENTENCE_END, STOP_WORDS, SYMBOL, TERMINAL, flags_of
from curate.signals import DUP, TOP

CITATION = re.compile(r"\[\d*]|\[edit]|\[citation needed]")
POLICIES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")

Split = Callable[[str], list[str]]


def characters_of(text: str) -> dict[str, int]:
    """Return the signals of the families `characters` and `classes`."""
    n_ellipses = text.count("...") + text.count("…")
    return {
        "n_text_chars": len(text),
        "n_newlines": text.count("\n"),
        "n_chars_without_newlines": len(text.replace("\n", "")),
        "n_hash_signs": text.count("#"),
        "n_ellipses": n_ellipses,
        "n_symbols_dclm": text.count("#") + n_ellipses + text.count(". . ."),
        "n_letters": sum(map(str.isalpha, text)),
        "n_upper_chars": sum(map(str.isupper, text)),
        "n_digit_chars": sum(map(str.isdecimal, text)),
        "n_white_space_chars": sum(map(str.isspace, text)),
        "n_symbol_chars": sum(bool(flags_of(char) & SYMBOL) for char in text),
        "n_mark_chars": sum(unicodedata.category(char).startswith("M") for char in text),
    }


def lines_of(text: str) -> dict[str, int]:
    """Return the signals of the families `lines`, `fineweb` and `repeated_lines`."""
    lines = text.splitlines()
    n_paragraphs, n_dup_paragraphs, dup_paragraph_chars = _repeats(re.split(r"\n{2,}", text.strip()))
    n_pieces, n_dup_pieces, dup_piece_chars = _repeats(re.split(r"\n+", text))
    all_lines = text.split("\n")
    filled = [line for line in all_lines if line.strip()]
    n_copies, copies_chars = _copies(all_lines)
    return {
        "n_lines": len(lines),
        "n_bullet_lines": sum(line.lstrip().startswith(("•", "-")) for line in lines),
        "n_ellipsis_lines": sum(line.rstrip().endswith(("...", "…")) for line in lines),
        "n_paragraphs": n_paragraphs,
        "n_dup_paragraphs": n_dup_paragraphs,
        "dup_paragraph_chars": dup_paragraph_chars,
        "n_newline_lines": n_pieces,
        "n_dup_lines": n_dup_pieces,
        "dup_line_chars": dup_piece_chars,
        "n_filled_lines": len(filled),
        "n_terminal_lines": sum(bool(flags_of(line[-1]) & TERMINAL) for line in filled),
        "n_short_lines": sum(len(line) <= 30 for line in filled),
        "dup_filled_line_chars": _repeats(filled)[2],
        "n_lines_dolma": len(all_lines),
        "n_bullet_lines_dolma": sum(line.startswith(("*", "-")) for line in all_lines),
        "n_ellipsis_lines_dolma": sum(line.endswith("…") for line in all_lines),
        "n_dup_lines_dolma": n_copies,
        "dup_line_chars_dolma": copies_chars,
    }


def dclm_lines_of(text: str) -> dict[str, int]:
    """Return the signals of the family `dclm_lines`."""
    lines = [piece for line in text.split("\n") if (piece := line.strip())]
    paragraphs = [piece for paragraph in text.split("\n\n") if (piece := paragraph.strip())]
    n_lines, lines_chars = _copies(lines)
    n_paragraphs, paragraphs_chars = _copies(paragraphs)
    return {
        "n_lines_dclm": len(lines),
        "line_chars_dclm": sum(map(len, lines)),
        "n_bullet_lines_dclm": sum(line.startswith(("●", "•", "*", "-")) for line in lines),
        "n_ellipsis_lines_dclm": sum(line.endswith(("...", ". . .", "…")) for line in lines),
        "n_dup_lines_dclm": n_lines,
        "dup_line_chars_dclm": lines_chars,
        "n_paragraphs_dclm": len(paragraphs),
        "paragraph_chars_dclm": sum(map(len, paragraphs)),
        "n_dup_paragraphs_dclm": n_paragraphs,
        "dup_paragraph_chars_dclm": paragraphs_chars,
    }


def words_of(words: Sequence[str], variant: str) -> dict[str, int]:
    """Return the signals of the family `words` for one variant of words."""
    plain = [word for word in words if not all(flags_of(char) & SYMBOL for char in word)]
    n_alpha = sum(any(char.isalpha() for char in word) for word in words)
    lengths = list(map(len, words))
    found = {
        "n_words": len(words),
        "word_chars": sum(lengths),
        "n_plain_words": len(plain),
        "plain_word_chars": sum(map(len, plain)),
        "n_alpha_words": n_alpha,
        "n_non_alpha_words": len(words) - n_alpha,
        "n_alnum_words": sum(word[0].isalnum() for word in words),
        "n_symbol_words": sum("#" in word or "…" in word for word in words),
        "n_stop_words": len(set(STOP_WORDS) & set(words)),
        "n_stop_word_uses": sum(word in STOP_WORDS for word in words),
        "n_stop_word_uses_any_case": sum(word.lower() in STOP_WORDS for word in words),
        "twice_median_word_chars": round(2 * statistics.median(lengths)) if words else 0,
    }
    return {f"{name}__{variant}": value for name, value in found.items()}


def ngrams_of(words: Sequence[str], variant: str) -> dict[str, int]:
    """Return the signals of the family `ngrams` for one variant of words."""
    found = {}
    for n in TOP:
        grams = Counter(tuple(words[k : k + n]) for k in range(len(words) - n + 1))
        highest = max(grams.values(), default=0)
        chars = [sum(map(len, gram)) for gram, count in grams.items() if count == highest] or [0]
        found[f"top{n}_chars__{variant}"] = (chars[0] + n - 1) * highest
        found[f"top{n}_chars__{variant}_first"] = chars[0] * highest
        found[f"top{n}_chars__{variant}_longest"] = max(chars) * highest if highest > 1 else 0
    for n in DUP:
        grams_at = [tuple(words[k : k + n]) for k in range(len(words) - n + 1)]
        grams = Counter(grams_at)
        repeated = [k for k, gram in enumerate(grams_at) if grams[gram] > 1]
        inside = {k + j for k in repeated for j in range(n)}
        found[f"dup{n}_chars__{variant}_greedy"] = _greedy_chars(words, n)
        found[f"dup{n}_chars__{variant}_all"] = sum(len(words[k]) for k in inside)
        found[f"dup{n}_chars__{variant}_overlapping"] = sum(len("".join(grams_at[k])) for k in repeated)
        found[f"ngram{n}_chars__{variant}"] = sum(len("".join(gram)) for gram in grams_at)
    return found


def c4_of(
    text: str,
    split: Split,
    *,
    min_words: float = 3,
    min_clean_words: float = 0,
    max_word_chars: float = 1000,
    ends: tuple[str, ...] = (".", "?", "!", '"', "'"),
) -> tuple[dict[str, int], str]:
    """Return C4's counts of lines and the text that remains; `split` gives spaCy's words of a line.

    A line has `min_words` with its citation marks and `min_clean_words` without them; no `ends`: it ends as it likes.
    """
    counts = {"kept_lines": 0, "lorem_ipsum_lines": 0, "curly_bracket_lines": 0, "sentences__spacy_en": 0}
    kept = []
    for whole_line in text.splitlines():
        spaced = whole_line.split()
        line = CITATION.sub("", whole_line.strip())
        folded = line.lower()
        if any(len(word) > max_word_chars for word in spaced):
            continue
        if len(spaced) < min_words or len(line.split()) < min_clean_words:
            continue
        if ends and (not line.endswith(ends) or line.endswith("...")):
            continue
        if "lorem ipsum" in folded:
            counts["lorem_ipsum_lines"] += 1
        elif "javascript" in folded:
            continue
        elif "{" in line:
            counts["curly_bracket_lines"] += 1
        elif not any(policy in folded for policy in POLICIES):
            counts["sentences__spacy_en"] += n_sentences_of(line, split(line))
            kept.append(line)
    counts["kept_lines"] = len(kept)
    return counts, "\n".join(kept).strip()


def published_c4_of(text: str, split: Split) -> dict[str, int]:
    """Return the signals of the family `c4`."""
    variants: dict[str, dict[str, int]] = {
        "c4_datatrove": c4_of(text, split)[0],
        "c4_datatrove_any_end": c4_of(text, split, ends=())[0],
        "c4_tfds": c4_of(text, split, min_words=0, min_clean_words=5, ends=(".", "?", "!", '"'))[0],
        "c4_tfds_any_end": c4_of(text, split, min_words=0, min_clean_words=5, ends=())[0],
    }
    return {f"{variant}_{name}": value for variant, counts in variants.items() for name, value in counts.items()}


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


def _copies(pieces: Sequence[str]) -> tuple[int, int]:
    """Return (all copies of pieces that stand more than once, their characters)."""
    repeated = {piece: count for piece, count in Counter(pieces).items() if count > 1}
    return sum(repeated.values()), sum(len(piece) * count for piece, count in repeated.items())


def _greedy_chars(words: Sequence[str], n: int) -> int:
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
