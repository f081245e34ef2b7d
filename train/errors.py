"""Every error the trainer raises on purpose; `exit_code` is what the command line returns.

TrainError              exit code 1
  ConfigError           exit code 2    a wrong option, file or folder: nothing was done
  DataError             exit code 2    token shards that are missing, too small or not the ones the run began with
  CheckpointError       exit code 2    a checkpoint that is incomplete or damaged
  Diverged              exit code 1    loss or gradient is no longer finite
  PeerLost              exit code 75   another of several processes ended: that one says why, if it can
  Stopped               exit code 75   stopped by SIGTERM after a checkpoint; the same command goes on
  Interrupted           exit code 130  the same, by Ctrl-C
"""

from __future__ import annotations


class TrainError(Exception):
    """Base of all errors raised on purpose."""

    exit_code = 1


class ConfigError(TrainError):
    """The configuration is wrong; nothing was written."""

    exit_code = 2


class DataError(TrainError):
    """The token shards are missing, too small, or not the ones this run began with."""

    exit_code = 2


class CheckpointError(TrainError):
    """A checkpoint is missing, incomplete or damaged."""

    exit_code = 2


class Diverged(TrainError):
    """The loss or the gradient is no longer finite; the last checkpoint is untouched."""


class Stopped(TrainError):
    """The run was stopped after a checkpoint and can be resumed with the same command."""

    exit_code = 75


class PeerLost(TrainError):
    """Another of the processes that train together has ended; the same command goes on from the last checkpoint."""

    exit_code = 75


class Interrupted(Stopped):
    """The run was interrupted from the keyboard after a checkpoint."""

    exit_code = 130
