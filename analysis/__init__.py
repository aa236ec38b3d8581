"""Hears phone calls: audio in, findings out. Knows no web framework, no clock and no database."""

import analysis.blas  # noqa: F401 - before anything that imports NumPy
from analysis.bank import CallAnalyzer, CallBank
from analysis.findings import Finding

__all__ = ["CallAnalyzer", "CallBank", "Finding"]
