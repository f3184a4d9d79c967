"""JSON bytes <-> `Job`, losslessly: `documents`, `fitting` and `outlines`, on `turns`, `quick`,
`strict`, `carrying` and `jsontext`.

The only package that imports cattrs.
"""

from semiont_jobs.codec.documents import MAX_JOB_BYTES
from semiont_jobs.codec.fitting import Codec
from semiont_jobs.codec.jsontext import Written
from semiont_jobs.codec.outlines import read_outline
from semiont_jobs.codec.turns import Turn, read_turn

__all__ = ["MAX_JOB_BYTES", "Codec", "Turn", "Written", "read_outline", "read_turn"]
