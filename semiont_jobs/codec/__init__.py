"""JSON bytes <-> `Job`, losslessly: `documents` on top of `strict` and `jsontext`.

The only package that imports cattrs.
"""

from semiont_jobs.codec.documents import MAX_JOB_BYTES, Codec, Turn

__all__ = ["MAX_JOB_BYTES", "Codec", "Turn"]
