"""Trains the block model, and for each fold of sites one that has not seen them; deterministic on one thread.

    OMP_NUM_THREADS=1 python -m benchmarks.extraction.train --data ../shared/data --cache DIR --out DIR

Writes OUT/extractor.npz (all sites), OUT/fold-K.npz and OUT/training.json (hashes of the inputs, sizes, versions).
Needs scikit-learn; trafilatura and Resiliparse label what people did not, and run once into the cache.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.extraction.engines import run_engine
from benchmarks.extraction.forest import N_COMMENT_LEAVES, N_COMMENT_TREES, compact, fit_trees
from benchmarks.extraction.labels import Labels, label_page, sample, site_weights
from benchmarks.extraction.pages import Page, fold_of, input_sha256, load_pages
from benchmarks.extraction.tokens import block_tokens, fit_token_weights, token_matrix
from curate.extractors.blocks import BlockModel, pack_forest
from curate.kernels.html.feature_columns import FEATURES
from curate.kernels.html.features import block_features, make_room
from curate.kernels.html.scan import Scanner

N_FOLDS = 5
TEACHERS = ("trafilatura_precision", "resiliparse", "trafilatura")
TOKEN_STEPS = 100  # token weights are kept as whole steps of 1 / TOKEN_STEPS, from -127 to 127
LEAST_TOKEN_STEPS = 3  # smaller ones are 0
_STEP = np.float32(1 / TOKEN_STEPS)


class Dataset(NamedTuple):
    """All blocks with labels, pages one after the other."""

    pages: list[Page]
    labels: list[Labels]
    tokens: Any  # sparse [n_blocks, 65536]
    fold: npt.NDArray[np.int64]  # [n_blocks]
    is_main: npt.NDArray[np.bool_]  # [n_blocks]
    weight: npt.NDArray[np.float32]  # [n_blocks], 0 where the label is unknown
    is_comment: npt.NDArray[np.float32]  # [n_blocks]: 1, 0, or -1 for unknown


def load_dataset(data: Path, cache: Path) -> Dataset:
    """Return the labelled blocks of the data folder; runs the teachers where the cache lacks them."""
    engines = {name: run_engine(name, data, cache) for name in TEACHERS}
    scanner, pages, labels, tokens = Scanner(), [], [], []
    for page in sample(load_pages(data)):
        scanned = scanner.scan(page.utf8, want_tokens=True)
        found = label_page(page, scanned.texts(), engines)
        if found is not None:
            pages.append(page)
            labels.append(found)
            tokens.append(block_tokens(scanned))
    n_blocks = [len(found.main) for found in labels]
    of_page = site_weights([page.site if page.gold else f"{page.site} {page.source}" for page in pages])
    return Dataset(
        pages,
        labels,
        token_matrix(tokens),
        np.repeat([fold_of(page.site, N_FOLDS) for page in pages], n_blocks),
        np.concatenate([found.main for found in labels]) >= 0.5,
        np.concatenate([found.weight * weight for found, weight in zip(labels, of_page, strict=True)]),
        np.concatenate([found.is_comment for found in labels]),
    )


def rounded(weights: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
    """Return token weights as the steps that the file keeps."""
    steps = np.clip(np.rint(weights * TOKEN_STEPS), -127, 127)
    return np.where(np.abs(steps) < LEAST_TOKEN_STEPS, 0, steps).astype(np.int8)


def weights_of(steps: npt.NDArray[np.int8]) -> npt.NDArray[np.float32]:
    """Return the token weights of steps, as they are read from the file."""
    return steps.astype(np.float32) * _STEP


def fit_tables(dataset: Dataset) -> list[npt.NDArray[np.int8]]:
    """Return the token weights for each fold, learned without it, and behind them those learned from all."""
    tables = []
    for fold in range(N_FOLDS + 1):
        rows = (dataset.weight > 0) & (dataset.fold != fold)
        tables.append(rounded(fit_token_weights(dataset.tokens[rows], dataset.is_main[rows], dataset.weight[rows])))
    return tables


def all_features(dataset: Dataset, tables: list[npt.NDArray[np.int8]]) -> npt.NDArray[np.float32]:
    """Return float32[n_blocks, N_FEATURES]; the token weights of a block never saw its own site."""
    scanners = [Scanner(weights_of(table)) for table in tables]
    found = []
    for page in dataset.pages:
        scanned = scanners[fold_of(page.site, N_FOLDS)].scan(page.utf8)
        room = make_room(len(scanned.counts), len(scanned.element_parent))
        found.append(block_features(scanned, room).copy())
    return np.concatenate(found)


def fit(dataset: Dataset, features: npt.NDArray[np.float32], table: npt.NDArray[np.int8], fold: int) -> BlockModel:
    """Return the model learned from all sites but those of a fold; N_FOLDS leaves out none."""
    others = dataset.fold != fold
    rows = others & (dataset.weight > 0)
    main = fit_trees(features[rows], dataset.is_main[rows], dataset.weight[rows])
    rows = others & (dataset.is_comment >= 0)
    weight = np.where(dataset.is_comment[rows] == 1, 1.0, 0.2).astype(np.float32) * np.log1p(features[rows, 0])
    comments = fit_trees(features[rows], dataset.is_comment[rows] == 1, weight, N_COMMENT_TREES, N_COMMENT_LEAVES)
    return BlockModel(weights_of(table), compact(main), compact(comments))


def save(model: BlockModel, path: Path) -> str:
    """Write a model and return the sha256 of the file; the same model gives the same bytes."""
    steps = np.rint(model.token_weights * TOKEN_STEPS).astype(np.int8)
    parts = {
        "features": np.array(FEATURES),
        "token_weights": steps,
        "token_scale": np.array(_STEP),
        **pack_forest(model.main, "main"),
        **pack_forest(model.comments, "comments"),
    }
    np.savez_compressed(path, allow_pickle=False, **parts)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def summary(dataset: Dataset, data: Path) -> dict[str, Any]:
    """Return what the model was trained on, and with what."""
    by_kind: dict[str, list[float]] = {}
    for page, labels in zip(dataset.pages, dataset.labels, strict=True):
        row = by_kind.setdefault(f"{page.source.split(':')[0]} ({page.kind})", [0, 0, 0.0])
        row[0] += 1
        row[1] += int((labels.weight > 0).sum())
        row[2] += float(labels.weight.sum())
    return {
        "inputs_sha256": input_sha256(data),
        "packages": {name: version(name) for name in ("numpy", "scipy", "scikit-learn", "trafilatura", "resiliparse")},
        "n_pages": len(dataset.pages),
        "n_sites": len({page.site for page in dataset.pages}),
        "n_blocks": int((dataset.weight > 0).sum()),
        "n_comment_blocks": int((dataset.is_comment == 1).sum()),
        "by_source": {name: [n, blocks, round(weight, 1)] for name, (n, blocks, weight) in sorted(by_kind.items())},
    }


def train(data: Path, cache: Path, out: Path, folds: bool = True) -> None:
    """Train and write the models; without `folds` only the one of all sites."""
    out.mkdir(parents=True, exist_ok=True)
    dataset = load_dataset(data, cache)
    tables = fit_tables(dataset)
    features = all_features(dataset, tables)
    hashes = {}
    for fold in range(N_FOLDS + 1) if folds else [N_FOLDS]:
        name = "extractor.npz" if fold == N_FOLDS else f"fold-{fold}.npz"
        hashes[name] = save(fit(dataset, features, tables[fold], fold), out / name)
        print(f"{name} {(out / name).stat().st_size} bytes, sha256 {hashes[name]}", flush=True)
    facts = {**summary(dataset, data), "models_sha256": hashes}
    (out / "training.json").write_text(json.dumps(facts, indent=1) + "\n")


def main() -> None:
    """Train from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the data folder; pages are in its pages/")
    parser.add_argument("--cache", type=Path, required=True, help="where the teachers' extracts are kept")
    parser.add_argument("--out", type=Path, required=True, help="where the models go")
    parser.add_argument("--folds", action=argparse.BooleanOptionalAction, default=True)
    args = parser.parse_args()
    train(args.data, args.cache, args.out, args.folds)


if __name__ == "__main__":
    main()
