"""The training loop: one update after another, with metrics, held-out scores, checkpoints and orderly stops."""

from __future__ import annotations

import hashlib
import logging
import math
import time
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from train.checkpoint import (
    Progress,
    latest_checkpoint,
    read_scaler,
    remove_old_checkpoints,
    save_checkpoint,
)
from train.config import TrainConfig
from train.copies import open_copies, refuse_missing
from train.data import Batch, Corpus
from train.device import choose_autocast
from train.errors import CheckpointError, DataError, Diverged
from train.evals import HeldOut, evaluate
from train.export import load_weights
from train.meter import Meter
from train.metrics import MetricsLog
from train.model import Decoder, init_weights
from train.optim import Optimizers
from train.parallel import World, not_yet_averaged, spread, whole
from train.prefetch import Prefetcher
from train.progress import Lines, Shown, shown_for
from train.runfolder import RunFolder
from train.sampler import SAMPLER_VERSION, Samples, rank_slice
from train.samples import in_one_piece, write_samples
from train.schedule import learning_rate_at
from train.signals import StopSignals
from train.summary import Summary, summarise, write_page
from train.tensor_files import load_into

LEAST_LOSS_SCALE = 1e-4  # fairseq's --min-loss-scale: fp16 gradients that overflow even then are no accident
log = logging.getLogger("train")


@dataclass(frozen=True)
class StepLoss:
    """What one step measured."""

    loss: float  # nats per token
    grad_norm: float | None  # before clipping; None where fp16 gradients overflowed and the update was left out
    n_tokens: int


class Trainer:
    """One process of a run: model, optimizer and position, moved on a step at a time."""

    def __init__(
        self, folder: RunFolder, config: TrainConfig, corpus: Corpus, world: World, *, starts: bool = True
    ) -> None:
        """Build model and optimizer; `starts` unless a checkpoint is restored, which needs no first weights."""
        self.folder, self.config, self.corpus, self.world = folder, config, corpus, world
        self.device, loop = world.device, config.loop
        refuse_missing(loop)
        precision = loop.precision_on(self.device.type)
        sharded = world.size > 1 and loop.parallel == "fsdp"  # its own policy casts the parameters
        self.autocast = choose_autocast(self.device, "fp32" if sharded else precision)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=precision == "fp16")
        backend = loop.attention_on(self.device.type, config.model.dropout)
        self.model = Decoder(config.model, backend, loop.recompute)
        init_weights(self.model, loop.seed)
        if loop.init_from and starts:
            theirs = load_weights(self.model, Path(loop.init_from))
            if world.leads and theirs not in (None, (corpus.shards.folder / "tokenizer.json").read_bytes()):
                log.warning("%s has another tokenizer.json than the token shards", loop.init_from)
        self.model.to(self.device)
        self.n_params = self.model.n_params()
        self.meter = Meter(config, corpus, world, self.model.flops_per_token(config.data.seq_len))
        self.shown: Shown = Lines(loop.steps)
        self.losses = spread(self.model, world, loop)
        self.optimizers = Optimizers(self.model, config.optim)
        self.sampler = corpus.sampler(loop.seed)
        self.progress = Progress(0, 0, 0, loop.seed, SAMPLER_VERSION, corpus.shards.sha256)
        self.saved_step = -1
        rank_slice(0, config.data.batch_size, world.rank, world.size)  # refuses a batch that the processes cannot share

    def restore(self, checkpoint: Path, saved: Progress, former_data: Collection[str] = ()) -> None:
        """Go back to a checkpoint.

        Raises DataError when the shards are neither those it was trained on nor allowed in the place of those, whose
        manifests' sha256 are `former_data`.
        """
        if saved.manifest_sha256 in former_data:
            saved = replace(saved, manifest_sha256=self.progress.manifest_sha256)
        for name in ("manifest_sha256", "sampler_version", "seed"):
            if getattr(saved, name) != getattr(self.progress, name):
                raise DataError(f"{checkpoint} was trained with another {name}: {getattr(saved, name)}")
        alone = self.world.size == 1
        weights = self.model.state_dict()
        load_into(checkpoint, "model", weights, alone=alone)
        self.model.load_state_dict(weights)
        moments = self.optimizers.blank_tensors()
        load_into(checkpoint, "optimizer", moments, alone=alone)
        self.optimizers.load(moments)
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(read_scaler(checkpoint))
        self.progress, self.saved_step = saved, saved.step

    def run(self) -> None:
        """Train to the last step.

        Raises Stopped or Interrupted after a checkpoint, Diverged without one.
        """
        metrics = self._open_metrics() if self.world.leads else None
        batches = Prefetcher(self._read, self.progress.step, self.config.loop.steps)
        try:
            with StopSignals() as stop:
                self._all_steps(batches, metrics, stop)
        finally:
            batches.close()
            self.shown.close()
            if metrics is not None:
                metrics.close()

    def _all_steps(self, batches: Prefetcher[Batch], metrics: MetricsLog | None, stop: StopSignals) -> None:
        loop = self.config.loop
        while self.progress.step < loop.steps:
            asked_to_stop = self._one_step(batches, metrics, stop)
            done = self.progress.step
            last = done == loop.steps
            if last or (loop.eval_every and done % loop.eval_every == 0):
                self._evaluate(metrics)
            if last and loop.sample_prompts:
                self._write_samples(metrics)
            if last or asked_to_stop or (loop.checkpoint_every and done % loop.checkpoint_every == 0):
                self._save()
            if asked_to_stop and not last:
                raise stop.error(f"stopped after step {done} of {loop.steps}; the same command goes on from there")

    def _one_step(self, batches: Prefetcher[Batch], metrics: MetricsLog | None, stop: StopSignals) -> bool:
        """Do one step; return whether a process was asked to stop."""
        started = time.perf_counter()
        step = self.progress.step
        learning_rate = learning_rate_at(step, self.config.optim, self.config.loop.steps)
        self.optimizers.set_learning_rate(learning_rate)
        batch = batches.next()
        waited_s = time.perf_counter() - started
        n_labels = self.corpus.count_labels(self._samples(step))
        result, asked_to_stop = self._train(batch, n_labels, stop.received is not None)
        self.progress = replace(
            self.progress,
            step=step + 1,
            consumed_samples=self.progress.consumed_samples + self.config.data.batch_size,
            trained_tokens=self.progress.trained_tokens + result.n_tokens,
            skipped=self.progress.skipped + (result.grad_norm is None),
        )
        took_s = time.perf_counter() - started
        if metrics is not None:
            row: dict[str, Any] = {"step": step + 1, "loss": result.loss, "learning_rate": learning_rate}
            row |= {"grad_norm": result.grad_norm, "n_tokens": self.progress.trained_tokens}
            row |= {"skipped": self.progress.skipped} if self.scaler.is_enabled() else {}
            row |= self.meter.step(result.loss, result.n_tokens, took_s, waited_s)
            metrics.add(row)
            self.shown.step(row)
        return asked_to_stop

    def _samples(self, step: int, rank: int = 0, n_ranks: int = 1) -> Samples:
        """Return the samples of a step, or one process's share of them."""
        size = self.config.data.batch_size
        return self.sampler.samples(*rank_slice(step * size, size, rank, n_ranks))

    def _read(self, step: int) -> Batch:
        """Read this process's share of a step's batch, ready to go to the device."""
        try:
            batch = self.corpus.read(self._samples(step, self.world.rank, self.world.size))
        except DataError as error:
            if not self.world.leads:  # the others have read no such thing: here it must be said
                log.error("process %d: %s", self.world.rank, error)
            raise
        return batch.pinned() if self.device.type == "cuda" else batch

    def _train(self, batch: Batch, n_labels: int, asked_to_stop: bool) -> tuple[StepLoss, bool]:
        """Do one update; the losses are divided by `n_labels`, those of all micro-batches of all processes.

        So it does not matter how the batch is cut. Nothing is read back from the device before the last micro-batch.
        Return what was measured, and whether any process was asked to stop.
        """
        if self.config.model.dropout:
            torch.manual_seed(_dropout_seed(self.config.loop.seed, self.progress.step, self.world.rank))
        total = torch.zeros(2, device=self.device)
        pieces = self._micro_batches(batch)
        for number, (tokens_BT, labels_BT) in enumerate(pieces):
            with not_yet_averaged(self.losses, more_follow=number + 1 < len(pieces)):
                with self.autocast:
                    losses_BT = self.losses(tokens_BT, labels_BT, self.config.data.mask_documents)
                loss = losses_BT.sum() / n_labels
                self.scaler.scale(loss * self.world.size).backward()  # gradients of the processes are averaged
            total[0] += loss.detach()
        for part in self.optimizers.parts:
            self.scaler.unscale_(part)
        norm = whole(torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.optim.max_grad_norm))
        total[1] = float(asked_to_stop)
        loss_nats, n_asked = self.world.sum(total).tolist()
        grad_norm = float(norm)
        overflowed = self._overflowed(loss_nats, grad_norm)
        self.optimizers.step(self.scaler, leave_out=overflowed)
        self.optimizers.zero_grad()
        return StepLoss(loss_nats, None if overflowed else grad_norm, n_labels), n_asked > 0

    def _overflowed(self, loss_nats: float, grad_norm: float) -> bool:
        """Say whether fp16 gradients overflowed, which the next scale may mend; raise Diverged for anything worse."""
        finite = math.isfinite(loss_nats) and math.isfinite(grad_norm)
        scaled = self.scaler.is_enabled() and math.isfinite(loss_nats)
        if finite or (scaled and self.scaler.get_scale() >= LEAST_LOSS_SCALE):
            return not finite
        raise Diverged(
            f"step {self.progress.step + 1}: loss {loss_nats}, gradient norm {grad_norm}; "
            "the last checkpoint is untouched. Look at the step with `trace`, or lower the learning rate"
        )

    def _micro_batches(self, batch: Batch) -> list[tuple[Tensor, Tensor]]:
        rows = self.config.data.micro_batch_size or self.config.data.batch_size
        tokens, labels = batch.tensors()
        tokens, labels = tokens.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)
        return list(zip(torch.split(tokens, rows), torch.split(labels, rows), strict=True))

    def _evaluate(self, metrics: MetricsLog | None) -> list[HeldOut]:
        scores = evaluate(self.model, self.corpus, self.config.loop.eval_tokens, self.autocast, world=self.world)
        for score in scores if metrics is not None else ():
            split = "val" if score.domain is None else "val-domain"
            assert metrics is not None
            metrics.add({"step": self.progress.step, "split": split, **asdict(score)})
            if score.domain is None:
                log.info("step %d  held-out %s: %s", self.progress.step, score.source, score.in_words())
        return scores

    def _write_samples(self, metrics: MetricsLog | None) -> None:
        """Log what the model writes after each of the prompts."""
        loop, step = self.config.loop, self.progress.step
        model = in_one_piece(self.model, self.world.leads)
        if model is None or metrics is None:
            return
        tokenizer = self.corpus.shards.folder / "tokenizer.json"
        for prompt, text in write_samples(model, tokenizer, loop.sample_prompts, self.config.data.seq_len, loop.seed):
            metrics.add({"step": step, "split": "sample", "prompt": prompt, "text": text})

    def _open_metrics(self) -> MetricsLog:
        step = self.progress.step
        metrics = MetricsLog(self.folder.metrics, step, open_copies(self.folder.path, self.config, step))
        metrics.add(self.meter.setup(step))
        self.shown = shown_for(self.config.loop.steps)
        return metrics

    def _save(self) -> None:
        if self.saved_step == self.progress.step:
            return
        tokenizer = self.corpus.shards.folder / "tokenizer.json"
        moments = self.optimizers.tensors() or self.optimizers.blank_tensors()  # before the first update they are zeros
        tensors = {"model": self.model.state_dict(), "optimizer": moments}
        scaler = self.scaler.state_dict() if self.scaler.is_enabled() else None
        save_checkpoint(self.folder.checkpoints, tensors, self.config, self.progress, tokenizer, self.world, scaler)
        self.saved_step = self.progress.step
        if self.world.leads:
            remove_old_checkpoints(self.folder.checkpoints, self.config.loop.keep_checkpoints)
            write_page(self.folder, self.config, self.summary())
        self.world.wait()  # after the last one the processes part: none is to hang up on another

    def summary(self) -> Summary:
        """Return what the run has come to at its latest checkpoint; raises CheckpointError when it has none."""
        checkpoint = latest_checkpoint(self.folder.checkpoints)
        if checkpoint is None:
            raise CheckpointError(f"{self.folder.path} has no checkpoint yet")
        return summarise(self.folder, self.n_params, self.corpus.n_tokens, checkpoint, "trained")


def _dropout_seed(seed: int, step: int, rank: int) -> int:
    """Return the seed of a step's dropout on one process: of that step alone, so that any step can be done again."""
    key = b"".join(part.to_bytes(8, "little") for part in (seed, step, rank))
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "little") >> 1
