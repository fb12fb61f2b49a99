"""What can go wrong on an errand, by what follows from it: another attempt, a person, or nothing for that file.

Their texts go into logs and lists of dead letters: they name no files and quote no server, as either may say who a patient is.
"""

from __future__ import annotations

from fiveways.errors import FivewaysError


class LineLost(FivewaysError):
    """The server cannot be reached, has gone away, does not answer, or says what is not SFTP. Another attempt may succeed."""


class NotTrusted(FivewaysError):
    """The server's host key is none of those that are pinned: it is another server, or its key was changed. A person decides."""


class NotAdmitted(FivewaysError):
    """The server does not let us in, or we have nothing to show it. A person decides."""


class FileRefused(FivewaysError):
    """This file is not moved, and would not be at the next attempt either; the others are."""


class FileFailed(FivewaysError):
    """This file was not moved this time; it is tried again, and the others go on."""


class FileChanged(FileFailed):
    """The file was changed while it was moved: what was moved is nothing that ever was."""
