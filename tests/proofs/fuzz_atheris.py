"""The decoder under atheris, which finds inputs by coverage: run by hand, not by pytest.

``pip install atheris``, then ``PYTHONPATH=.:tests python tests/proofs/fuzz_atheris.py
-max_total_time=600 [CORPUS]``. It stops at the first input for which a promise does not hold.
"""

from __future__ import annotations

import sys

import atheris  # type: ignore[import-not-found]

with atheris.instrument_imports(include=["semiont_jobs"]):
    from proofs.decoding import judge

if __name__ == "__main__":
    atheris.Setup(sys.argv, lambda data: judge(data) and None)
    atheris.Fuzz()
