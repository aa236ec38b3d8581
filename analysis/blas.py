"""Keeps the library that multiplies NumPy's matrices to one thread; imported before NumPy is.

The engine's products are small and many: threads for them wait for each other in busy loops, and take the
processors from everything else.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
