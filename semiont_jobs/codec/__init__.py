"""JSON bytes <-> `Job`, losslessly: `documents` and `turns` on top of `strict` and `jsontext`.

The only package that imports cattrs.
"""

from semiont_jobs.codec.documents import MAX_JOB_BYTES, Codec
from semiont_jobs.codec.jsontext import Written
from semiont_jobs.codec.turns import Turn, turn_of

__all__ = ["MAX_JOB_BYTES", "Codec", "Turn", "Written", "turn_of"]
