"""How much memory this process uses. It must not know what is done about it."""

from __future__ import annotations

import os
import sys
from typing import Final

_STATM: Final = "/proc/self/statm"


def resident_bytes() -> int:
    """The resident set of this process; where the system does not report it, its maximum so far."""
    try:
        with open(_STATM, encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        import resource  # POSIX only

        largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return largest if sys.platform == "darwin" else largest * 1024  # elsewhere in KiB
