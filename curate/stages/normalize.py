"""Give every text one form: mojibake repaired, Unicode composed, white space folded."""

from __future__ import annotations

import functools
import re
import unicodedata
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.registry import stage
from curate.stage import Verdict, flag

MAX_ROUNDS = 8  # repairs can uncover further repairs; real pages need two, hostile ones could ask for millions

# Ends of lines other than "\n": CR LF, CR, vertical tab, form feed, Unicode's line separator.
_LINE_END = re.compile("\r\n|[\r\v\f\u2028]")
_TERMINAL_ESCAPE = re.compile("\x1b\\[[0-9;]*[a-zA-Z]")
# Characters that show nothing: C0 controls, soft hyphen, zero-width space and word joiner, marks of writing
# direction, invisible operators, byte order mark, interlinear and object anchors, tag characters (they can
# smuggle hidden words). ZWJ and ZWNJ stay: Persian, the scripts of India and emoji need them.
_INVISIBLE = (
    "\x00-\x08\x0e-\x1f\x7f\xad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffc"
    "\U000e0000-\U000e007f"
)
_INVISIBLE_CHARS = re.compile(f"[{_INVISIBLE}]")
_C1_CHARS = re.compile("[\x80-\x9f]")
_BLANK = "\t\xa0\u1680\u2000-\u200a\u202f\u205f\u3000"  # every other blank Unicode knows
_BLANKS = re.compile(f"[{_BLANK}][ {_BLANK}]*| [ {_BLANK}]+")
_BLANKS_AT_LINE_ENDS = re.compile(" *\n *")
_EMPTY_LINES = re.compile("\n{3,}")

# What `tidy` may change, for Arrow's RE2: all of the above, and any char that is not known to be composed
# already. The ranges spared are NFC_Quick_Check=Yes and never combine with what stands before them.
_COMPOSED = (
    "\x00-\u02ff\u0400-\u0482\u048a-\u052f\u05d0-\u05ea\u0621-\u063a\u0641-\u064a\u2010-\u2027\u2030-\u205e"
    "\u20a0-\u20c0\u3001-\u3020\u3041-\u3096\u30a1-\u30ff\u4e00-\u9fff\uac00-\ud7a3\uff01-\uff5e\U0001f300-\U0001faff"
)
_UNTIDY = f"[\r\v\f\u2028\u2029{_INVISIBLE}{_BLANK}]|[^{_COMPOSED}]|  | \n|\n |\n\n\n|\\A[ \n]|[ \n]\\z"

# A named or numbered character reference, with its semicolon. `&amp;amp;…` is undone at once: one layer a
# round would let a hostile page cost the square of its length.
_ENTITY = "&#?[0-9A-Za-z]{1,24};"
_AMPERSANDS = re.compile("&(?:(?:amp|AMP|#0{0,5}38|#[xX]0{0,4}26);)+")


@stage(
    version=1,
    reads=["text"],
    writes={"text": pa.string()},
    reasons=["empty"],
    uses=["ftfy"],
)
class Normalize:
    """Rewrite each text in one form; drop it as `empty` if nothing but white space was there.

    Shapes: reads and writes text[n_docs]; null counts as empty and becomes "". Applying it twice changes
    nothing more. In this order, until nothing changes:

    - line ends become "\\n"; terminal escapes, control and invisible characters go (ZWJ and ZWNJ stay);
    - Unicode NFC;
    - any run of blanks becomes one space, none is left at the ends of a line (so indentation is lost), and
      two or more empty lines become one: a paragraph break is "\\n\\n" (RefinedWeb and DCLM, at most 2
      consecutive newlines);
    - character references (`&eacute;`, `&#233;`, with the semicolon) are decoded;
    - ftfy's repairs per line, only where its own pattern finds mojibake: `fix_encoding` with
      `restore_byte_a0`, `replace_lossy_sequences`, `decode_inconsistent_utf8` and `fix_c1_controls`; C1
      controls that are left go.

    Unlike datatrove's FTFYFormatter it leaves curled quotes, ligatures and full-width forms alone: they are
    what the author wrote. A text that has not settled after 8 rounds, which takes a hostile page, gets the
    first three items only.
    """

    def __call__(self, batch: pa.RecordBatch) -> Verdict:
        # Suspects twice: the soft hyphens and hard spaces that `tidy` folds can be halves of mojibake, and
        # what it removes can have hidden some. On clean text this is three scans by RE2 and nothing else.
        text = _rewritten(pc.fill_null(batch["text"], ""), _suspect_pattern(), normalized)
        text = _rewritten(text, _UNTIDY, tidy)
        text = _rewritten(text, _suspect_pattern(), normalized)
        return Verdict({"text": text}, flag(pc.equal(text, ""), "empty"))


def normalized(text: str) -> str:
    """Return the text as the stage writes it; the result is a fixed point of this function."""
    tidied = tidy(text)
    for start in (text, tidied):
        settled = _settled(start)
        if settled is not None:
            return settled
    return tidied


def tidy(text: str) -> str:
    """Return the text with line ends, invisible characters, composition and white space in order."""
    text = _LINE_END.sub("\n", text).replace("\u2029", "\n\n")
    text = _INVISIBLE_CHARS.sub("", _TERMINAL_ESCAPE.sub("", text))
    text = unicodedata.normalize("NFC", text)
    text = _BLANKS_AT_LINE_ENDS.sub("\n", _BLANKS.sub(" ", text))
    return _EMPTY_LINES.sub("\n\n", text).strip(" \n")


def _settled(text: str) -> str | None:
    """Return the text repaired and tidied until nothing changes; None if that takes more than MAX_ROUNDS."""
    for _ in range(MAX_ROUNDS):
        better = tidy(_C1_CHARS.sub("", "\n".join(map(_repaired_line, text.split("\n")))))
        if better == text:
            return better
        text = better
    return None


def _repaired_line(line: str) -> str:
    import ftfy
    from ftfy.fixes import unescape_html

    if "&" in line:
        line = unescape_html(_AMPERSANDS.sub("&", line))
    return line if line.isascii() else ftfy.fix_text(line, _ftfy_config())


@functools.cache
def _ftfy_config() -> Any:
    import ftfy

    return ftfy.TextFixerConfig(
        unescape_html=False,
        remove_terminal_escapes=False,
        fix_encoding=True,
        restore_byte_a0=True,
        replace_lossy_sequences=True,
        decode_inconsistent_utf8=True,
        fix_c1_controls=True,
        fix_latin_ligatures=False,
        fix_character_width=False,
        uncurl_quotes=False,
        fix_line_breaks=False,
        fix_surrogates=False,
        remove_control_chars=False,
        normalization=None,
        explain=False,
    )


@functools.cache
def _suspect_pattern() -> str:
    """Return a pattern for RE2 that finds every text a repair could change.

    It is ftfy's own badness pattern in RE2's syntax (430 MB/s there, 5 in Python), where the
    classes for words and blanks, ASCII in RE2, are widened to all that is not ASCII.
    """
    from ftfy.badness import BADNESS_RE

    bad = _compact(BADNESS_RE.pattern).replace(r"\w", r"[\w\x{80}-\x{10ffff}]").replace(r"\s", r"[\s\x{80}-\x{10ffff}]")
    return f"{bad}|^[ÂÃ] |[\x80-\x9f]|{_ENTITY}"


def _compact(pattern: str) -> str:
    """Return a verbose pattern without its layout: RE2 has no verbose mode."""
    tokens = re.findall(r"\[(?:\\.|[^\]])*\]|\\.|#[^\n]*|\s+|.", pattern)
    return "".join(token for token in tokens if not (token.isspace() or token.startswith("#")))


def _rewritten(text: pa.StringArray, pattern: str, rewrite: Any) -> pa.StringArray:
    """Return the texts, those in which RE2 finds `pattern` replaced by what `rewrite` makes of them."""
    found = pc.match_substring_regex(text, pattern)
    if not pc.any(found).as_py():
        return text
    return pc.replace_with_mask(text, found, pa.array(map(rewrite, text.filter(found).to_pylist()), pa.string()))
