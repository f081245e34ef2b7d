"""The columns of the block model: what each feature is called and where it stands, and the classes of tags."""

from __future__ import annotations

import numpy as np

from curate.kernels.html.tags import ANCESTOR_BIT, NAMES

_FLAGGED = (
    "nav footer header aside article main section form table li blockquote figure button a heading hidden p td ul dl"
    " address details figcaption pre code caption aria_hidden menu"
)
FLAGGED = tuple(_FLAGGED.split())
_OWN = (
    "log_units words link_frac links digit_frac commas_per_100 marks_per_100 ends_with_mark short_frac capital_frac"
    " breaks word_chars cjk_frac duplicates title_frac title_words depth tag_class"
)
_SCORES = "score_sum score_max score_min score_own"
_PLACE = (
    "units_before_frac block_frac offset_frac mass_before_frac container_mass container_mass_frac container_blocks"
    " container_link_frac container_mean_units grand_mass grand_mass_frac grand_link_frac in_top in_top_parent"
    " blocks_from_top depth_from_top group_blocks group_mean_units group_frac group_run blocks_from_h1 has_h1"
    " blocks_from_heading heading_level heading_link_frac heading_score heading_title_frac blocks_from_title"
    " siblings sibling_mean_units sibling_link_frac blocks_after_prose blocks_before_prose mass_4 mass_12"
)
_PAGE = "page_units page_link_frac page_blocks page_longest page_prose_frac page_articles page_cjk_frac"
NEAR = (-3, -2, -1, 1, 2, 3)  # blocks before and after whose columns a block has too
_OF_NEIGHBOUR = "log_units link_frac score_sum tag_class ends_with_mark digit_frac"
FEATURES = (
    *_OWN.split(),
    *(f"in_{name}" for name in FLAGGED),
    *_SCORES.split(),
    *_PLACE.split(),
    *_PAGE.split(),
    *(f"{name}@{step:+d}" for step in NEAR for name in _OF_NEIGHBOUR.split()),
)
N_FEATURES = len(FEATURES)
COLUMN = {name: k for k, name in enumerate(FEATURES)}
FLAG_BITS = np.array([ANCESTOR_BIT[name] for name in FLAGGED], np.uint64)

# Classes of the block's own tag, in an order in which near numbers are alike.
_CLASS_NAMES = "p blockquote pre h1 h2 h3 h4 li dd td figcaption ? div section"
_CLASSES = _CLASS_NAMES.split()
_LIKE = {
    "h5": "h4", "h6": "h4", "dt": "dd", "dl": "dd", "th": "td", "tr": "td", "table": "td", "tbody": "td",
    "caption": "figcaption", "figure": "figcaption", "article": "section", "main": "section", "listing": "pre",
    "xmp": "pre", "plaintext": "pre", "ul": "li", "ol": "li", "summary": "h4", "hgroup": "h4", "center": "div",
}  # fmt: skip
TAG_CLASS = np.array([_CLASSES.index(name if name in _CLASSES else _LIKE.get(name, "?")) for name in NAMES], np.int64)
TAG_CLASSES = tuple(_CLASSES)
