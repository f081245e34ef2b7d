"""Every error this project raises on purpose, and how untrusted text is shown in them.

CurateError                 exit code 1
  InputError                exit code 2   bad recipe, bad path, bad file: nothing was done
    RecipeError             exit code 2   carries the recipe's file and line
  ShardsFailed              exit code 3   finished or stopped with failed shards
  AccountingError           exit code 4   docs or bytes do not add up
  Stopped                   exit code 75  stopped on purpose, resumable: disk full, SIGTERM
"""

from __future__ import annotations


class CurateError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command line returns."""

    exit_code = 1


class InputError(CurateError):
    """The input or the configuration is wrong; nothing was written."""

    exit_code = 2


class RecipeError(InputError):
    """A recipe is wrong; `where` is `file:line`."""

    def __init__(self, message: str, where: str = "") -> None:
        super().__init__(f"{where}: {message}" if where else message)
        self.where = where


class ShardsFailed(CurateError):
    """Some shards could not be done after all retries."""

    exit_code = 3


class AccountingError(CurateError):
    """An equation of the accounting does not hold."""

    exit_code = 4


class Stopped(CurateError):
    """The run was stopped and can be resumed with the same command."""

    exit_code = 75


def printable(text: str) -> str:
    """Return one line that cannot steer a terminal: line breaks, control and direction characters are shown escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
