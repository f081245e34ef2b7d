"""The training loop: one update after another, with metrics, held-out scores, checkpoints and orderly stops."""

from __future__ import annotations

import errno
import logging
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from train.checkpoint import (
    Progress,
    latest_checkpoint,
    load_tensors,
    read_progress,
    remove_old_checkpoints,
    save_checkpoint,
)
from train.config import TrainConfig
from train.data import Batch, Corpus
from train.device import choose_autocast, choose_device
from train.errors import CheckpointError, DataError, Diverged, Stopped
from train.evals import HeldOut, evaluate
from train.export import load_weights
from train.metrics import MetricsLog, peak_flops
from train.model import Decoder, init_weights
from train.optim import build_optimizer, load_optimizer_tensors, optimizer_tensors, set_learning_rate
from train.runfolder import RunFolder
from train.sampler import SAMPLER_VERSION, rank_slice
from train.schedule import learning_rate_at
from train.signals import StopSignals
from train.summary import Summary, summarise, write_page

LOG_EVERY_S = 2.0
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
log = logging.getLogger("train")


@dataclass(frozen=True)
class StepLoss:
    """What one step measured."""

    loss: float  # nats per token
    grad_norm: float  # before clipping
    n_tokens: int


class Trainer:
    """One run on one process: model, optimizer and position, moved on a step at a time."""

    def __init__(self, folder: RunFolder, config: TrainConfig, corpus: Corpus) -> None:
        self.folder, self.config, self.corpus = folder, config, corpus
        self.device = choose_device(config.loop.device)
        self.autocast = choose_autocast(self.device, config.loop.precision)
        self.model = Decoder(config.model)
        init_weights(self.model, config.loop.seed)
        if config.loop.init_from:
            load_weights(self.model, Path(config.loop.init_from))
        self.model.to(self.device)
        if self.device.type == "cuda" and config.loop.compile:
            for layer in self.model.layers:
                layer.compile()
        self.optimizer = build_optimizer(self.model, config.optim)
        self.sampler = corpus.sampler(config.loop.seed)
        self.progress = Progress(0, 0, 0, config.loop.seed, SAMPLER_VERSION, corpus.shards.sha256)
        self.saved_step = -1
        self.reported_s = 0.0

    def restore(self) -> None:
        """Go back to the latest checkpoint, if there is one.

        Raises DataError when the shards are not those it was trained on.
        """
        checkpoint = latest_checkpoint(self.folder.checkpoints)
        if checkpoint is None:
            return
        saved = read_progress(checkpoint)
        for name in ("manifest_sha256", "sampler_version", "seed"):
            if getattr(saved, name) != getattr(self.progress, name):
                raise DataError(f"{checkpoint} was trained with another {name}: {getattr(saved, name)}")
        try:
            self.model.load_state_dict(load_tensors(checkpoint, "model"))
        except RuntimeError as error:
            raise CheckpointError(f"{checkpoint} does not fit the model: {str(error).splitlines()[0]}") from error
        load_optimizer_tensors(self.model, self.optimizer, load_tensors(checkpoint, "optimizer"))
        self.progress, self.saved_step = saved, saved.step

    def run(self) -> None:
        """Train to the last step.

        Raises Stopped or Interrupted after a checkpoint, Diverged without one, and Stopped when the disk is full.
        """
        metrics = MetricsLog(self.folder.metrics, keep_to_step=self.progress.step)
        try:
            with StopSignals() as stop:
                self._all_steps(metrics, stop)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            raise Stopped(f"no room to write: {error}; make some, and the same command goes on") from error
        finally:
            metrics.close()

    def _all_steps(self, metrics: MetricsLog, stop: StopSignals) -> None:
        loop = self.config.loop
        while self.progress.step < loop.steps:
            self._one_step(metrics)
            done = self.progress.step
            last = done == loop.steps
            if last or (loop.eval_every and done % loop.eval_every == 0):
                self._evaluate(metrics)
            if last or stop.received or (loop.checkpoint_every and done % loop.checkpoint_every == 0):
                self._save()
            if stop.received and not last:
                raise stop.error(f"stopped after step {done} of {loop.steps}; the same command goes on from there")

    def _one_step(self, metrics: MetricsLog) -> None:
        started = time.perf_counter()
        step = self.progress.step
        learning_rate = learning_rate_at(step, self.config.optim, self.config.loop.steps)
        set_learning_rate(self.optimizer, learning_rate)
        result = self._train(self._next_batch())
        self.progress = Progress(
            step + 1,
            self.progress.consumed_samples + self.config.data.batch_size,
            self.progress.trained_tokens + result.n_tokens,
            self.progress.seed,
            SAMPLER_VERSION,
            self.progress.manifest_sha256,
        )
        rate = result.n_tokens / (time.perf_counter() - started)
        row = {"step": step + 1, "loss": result.loss, "learning_rate": learning_rate, "grad_norm": result.grad_norm}
        row |= {"n_tokens": self.progress.trained_tokens, "tokens_per_s": round(rate, 1)} | self._utilisation(rate)
        metrics.add(row)
        self._report(step + 1, result.loss, rate)

    def _next_batch(self) -> Batch:
        first, stop = rank_slice(self.progress.consumed_samples, self.config.data.batch_size, rank=0, n_ranks=1)
        return self.corpus.read(self.sampler.samples(first, stop))

    def _train(self, batch: Batch) -> StepLoss:
        """Do one update; the losses are divided by the tokens of all micro-batches, so their cut does not matter."""
        n_labels = batch.n_labels
        total = torch.zeros((), device=self.device)
        for tokens_BT, labels_BT in self._micro_batches(batch):
            with self.autocast:
                loss = self.model.token_losses(tokens_BT, labels_BT, self.config.data.mask_documents).sum() / n_labels
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.optim.max_grad_norm)
        loss_nats, grad_norm = float(total), float(norm)
        if not (math.isfinite(loss_nats) and math.isfinite(grad_norm)):
            raise Diverged(
                f"step {self.progress.step + 1}: loss {loss_nats}, gradient norm {grad_norm}; "
                "the last checkpoint is untouched. Look at the step with `trace`, or lower the learning rate"
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return StepLoss(loss_nats, grad_norm, n_labels)

    def _micro_batches(self, batch: Batch) -> list[tuple[Tensor, Tensor]]:
        rows = self.config.data.micro_batch_size or self.config.data.batch_size
        tokens, labels = torch.from_numpy(batch.tokens), torch.from_numpy(batch.labels)
        if self.device.type == "cuda":
            tokens, labels = tokens.pin_memory(), labels.pin_memory()
        tokens, labels = tokens.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)
        return list(zip(torch.split(tokens, rows), torch.split(labels, rows), strict=True))

    def _evaluate(self, metrics: MetricsLog) -> list[HeldOut]:
        scores = evaluate(self.model, self.corpus, self.config.loop.eval_tokens, self.autocast)
        for score in scores:
            split = "val" if score.domain is None else "val-domain"
            metrics.add({"step": self.progress.step, "split": split, **asdict(score)})
            if score.domain is None:
                log.info(
                    "step %d  held-out %s: %.4f nats per token", self.progress.step, score.source, score.nats_per_token
                )
        return scores

    def _save(self) -> None:
        if self.saved_step == self.progress.step:
            return
        tokenizer = self.corpus.shards.folder / "tokenizer.json"
        optimizer = optimizer_tensors(self.model, self.optimizer)
        save_checkpoint(
            self.folder.checkpoints, self.model.state_dict(), optimizer, self.config, self.progress, tokenizer
        )
        self.saved_step = self.progress.step
        remove_old_checkpoints(self.folder.checkpoints, self.config.loop.keep_checkpoints)
        write_page(self.folder, self.config, self.summary())

    def summary(self) -> Summary:
        """Return what the run has come to at its latest checkpoint; raises CheckpointError when it has none."""
        checkpoint = latest_checkpoint(self.folder.checkpoints)
        if checkpoint is None:
            raise CheckpointError(f"{self.folder.path} has no checkpoint yet")
        return summarise(self.folder, self.model.n_params(), self.corpus.n_tokens, checkpoint, "trained")

    def _utilisation(self, tokens_per_s: float) -> dict[str, float]:
        """Share of the device's dense bf16 peak; nothing on devices whose peak is not known."""
        peak = peak_flops(torch.cuda.get_device_name(self.device)) if self.device.type == "cuda" else None
        if peak is None:
            return {}
        return {"mfu_frac": round(tokens_per_s * self.model.flops_per_token(self.config.data.seq_len) / peak, 4)}

    def _report(self, step: int, loss: float, rate: float) -> None:
        now = time.monotonic()
        if step == self.config.loop.steps or now - self.reported_s >= LOG_EVERY_S:
            self.reported_s = now
            log.info("step %d of %d  loss %.4f  %.0f tokens/s", step, self.config.loop.steps, loss, rate)
