"""Weighs the tokens of class and id attributes: how likely text inside an element that bears one is main text."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse
from numba import njit
from sklearn.linear_model import LogisticRegression

from curate.kernels.html.scan import Page
from curate.kernels.html.state import ELEMENT

N_TOKENS = 1 << 16
MAX_TOKENS_OF_BLOCK = 200
# Inverse strength of the L2 penalty and the mean weight of a row, tuned out of fold.
INVERSE_PENALTY, ROW_WEIGHT = 0.3, 0.2
MAX_STEPS = 60


@njit(cache=True, nogil=True)
def _chain(parent: Any, first: Any, tokens: Any, elements: Any, out: Any, ends: Any) -> int:
    n = 0
    for i in range(len(elements)):
        start, e = n, elements[i]
        while e > 0 and n - start < MAX_TOKENS_OF_BLOCK:
            for t in range(first[e], first[e + 1]):
                if n - start < MAX_TOKENS_OF_BLOCK:
                    out[n] = tokens[t]
                    n += 1
            e = parent[e]
        ends[i] = n
    return n


def block_tokens(page: Page) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int64]]:
    """Return (token ids, end of each block's): those of a block's element and of all above it."""
    elements = page.counts[:, ELEMENT].astype(np.int64)
    out = np.empty(len(elements) * MAX_TOKENS_OF_BLOCK, np.uint16)
    ends = np.zeros(len(elements), np.int64)
    n = _chain(page.element_parent, page.element_first_token, page.token_ids, elements, out, ends)
    return out[:n].copy(), ends


def token_matrix(of_pages: list[tuple[npt.NDArray[np.uint16], npt.NDArray[np.int64]]]) -> Any:
    """Return the sparse matrix [n_blocks, N_TOKENS] of how often each block has a token, at most 3."""
    ids = np.concatenate([ids for ids, _ in of_pages]).astype(np.int32)
    starts = np.cumsum([0, *(len(ids) for ids, _ in of_pages)])
    ends = np.concatenate([[0], *(start + ends for start, (_, ends) in zip(starts, of_pages, strict=False))])
    matrix = scipy.sparse.csr_matrix((np.ones(len(ids), np.float32), ids, ends), shape=(len(ends) - 1, N_TOKENS))
    matrix.sum_duplicates()
    matrix.data = np.minimum(matrix.data, 3)
    return matrix


def fit_token_weights(matrix: Any, is_main: npt.NDArray[np.bool_], weight: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return float32[N_TOKENS]: the logistic regression of labels on tokens."""
    model = LogisticRegression(C=INVERSE_PENALTY, max_iter=MAX_STEPS)
    model.fit(matrix, is_main, sample_weight=weight / weight.mean() * ROW_WEIGHT)
    return np.ascontiguousarray(model.coef_[0], np.float32)
