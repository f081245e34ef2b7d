"""Extracts the main text of a page: one linear scan into blocks, and a small forest that says which of them to keep."""

from __future__ import annotations

import functools
import hashlib
import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from curate.errors import InputError
from curate.extractors import Extraction
from curate.kernels.html.choose import COMMENT_THRESHOLD, THRESHOLDS, Keep, choose
from curate.kernels.html.feature_columns import FEATURES, N_FEATURES
from curate.kernels.html.features import Room, block_features, make_room
from curate.kernels.html.render import render
from curate.kernels.html.scan import N_TOKEN_WEIGHTS, Page, Scanner
from curate.kernels.html.state import UNITS
from curate.kernels.html.trees import NODE, Forest, forest_scores, splits_of
from curate.kernels.html.whole import keep_whole
from curate.models import asset

ASSET = "extractor.npz"
ASSET_SHA256 = "1469855e1c83b78bbc72e7c261eda91aff5ab6e54b95d723a7dd88ca3d1bd2ea"

_SMALLEST_ROOM_BLOCKS = 1 << 10
_LARGE_ROOM_BLOCKS = 1 << 14  # 10 MB; given back once pages are much smaller again


class BlockModel(NamedTuple):
    """What was learned from labelled pages, see the model card beside the asset."""

    token_weights: npt.NDArray[np.float32]  # [65536], of the tokens of class and id attributes
    main: Forest
    comments: Forest


class BlockExtractor:
    """Extracts pages one after the other, with buffers that are kept between them.

    Memory grows with the largest page, by about 700 bytes for each of its blocks, and shrinks once pages are small
    again. `keep` moves the threshold on a block's score; `comments` also keeps what looks like readers' comments.
    """

    def __init__(
        self,
        *,
        keep: Keep = "balanced",
        markdown: bool = False,
        comments: bool = False,
        model: BlockModel | None = None,
    ) -> None:
        if keep not in THRESHOLDS:
            raise InputError(f"keep is {keep!r}; allowed: {', '.join(THRESHOLDS)}")
        self.keep, self.markdown, self.comments = keep, markdown, comments
        self._model = shipped_model() if model is None else model
        self._main = splits_of(self._model.main)
        self._comments = splits_of(self._model.comments) if comments else None
        self._scanner = Scanner(self._model.token_weights)
        self._make_room(_SMALLEST_ROOM_BLOCKS, _SMALLEST_ROOM_BLOCKS)

    def __call__(self, utf8: bytes) -> Extraction:
        """Return the main text of a page, valid UTF-8; "" where it shows no text."""
        page = self._scanner.scan(utf8)
        if not len(page.counts):
            return Extraction("", page.caps_hit)
        return Extraction(render(page, self.kept(page), markdown=self.markdown), page.caps_hit)

    def kept(self, page: Page) -> npt.NDArray[np.bool_]:
        """Return bool[n_blocks]: which blocks of a page, scanned with the model's token weights, to keep."""
        n_blocks, n_elements = len(page.counts), len(page.element_parent)
        too_large = len(self._scores) > _LARGE_ROOM_BLOCKS and n_blocks < len(self._scores) // 8
        if n_blocks > len(self._scores) or n_elements > len(self._room.last) or too_large:
            self._make_room(n_blocks, n_elements)
        features = block_features(page, self._room)
        scores = forest_scores(self._main, features, self._scores)
        kept = keep_whole(page, scores, choose(scores, page.counts[:, UNITS], self.keep))
        if self._comments is not None:
            kept |= forest_scores(self._comments, features, self._scores) >= np.float32(COMMENT_THRESHOLD)
        return kept

    def _make_room(self, n_blocks: int, n_elements: int) -> None:
        n_blocks, n_elements = (max(_SMALLEST_ROOM_BLOCKS, 1 << (n - 1).bit_length()) for n in (n_blocks, n_elements))
        self._room: Room = make_room(n_blocks, n_elements)
        self._scores = np.empty(n_blocks, np.float32)


@functools.cache
def shipped_model() -> BlockModel:
    """Return the model shipped with the package."""
    return load_block_model(asset(ASSET), ASSET_SHA256)


def load_block_model(path: Path, sha256: str | None = None) -> BlockModel:
    """Return the model in a file; raises InputError where it is missing, differs from its sha256, or is none."""
    if not path.is_file():
        raise InputError(f"block model {str(path)!r} is not a file")
    packed = path.read_bytes()
    found = hashlib.sha256(packed).hexdigest()
    if sha256 is not None and found != sha256:
        raise InputError(f"block model {str(path)!r} has sha256 {found}, expected {sha256}")
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        parts = dict(arrays)
    if tuple(parts["features"].tolist()) != FEATURES:
        raise InputError(f"block model {str(path)!r} was trained on other features than this version computes")
    weights = parts["token_weights"].astype(np.float32) * parts["token_scale"]
    if weights.shape != (N_TOKEN_WEIGHTS,):
        raise InputError(f"block model {str(path)!r} has {len(weights)} token weights, expected {N_TOKEN_WEIGHTS}")
    return BlockModel(weights, unpack_forest(parts, "main"), unpack_forest(parts, "comments"))


def pack_forest(forest: Forest, name: str) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a forest as they stand in the model's file."""
    columns = {column: np.ascontiguousarray(forest.nodes[column]) for column in NODE.names or ()}
    columns |= {"value": forest.values, "first": forest.first, "depth": forest.depth, "base": np.array(forest.base)}
    return {f"{name}_{column}": array for column, array in columns.items()}


def unpack_forest(parts: dict[str, npt.NDArray[Any]], name: str) -> Forest:
    """Return the forest of `pack_forest`; raises InputError where a node leads outside its tree."""
    nodes = np.zeros(len(parts[f"{name}_feature"]), NODE)
    for column in NODE.names or ():
        nodes[column] = parts[f"{name}_{column}"]
    first = parts[f"{name}_first"]
    size = np.repeat(np.diff(first), np.diff(first))
    goes_on = np.isfinite(nodes["threshold"])
    if (nodes["left"] + goes_on >= size).any() or (nodes["feature"] >= N_FEATURES).any():
        raise InputError(f"block model: a node of {name} leads outside its tree or the features")
    return Forest(nodes, parts[f"{name}_value"], first, parts[f"{name}_depth"], np.float32(parts[f"{name}_base"]))
