"""Hears phone calls: audio in, findings out. Knows no web framework, no clock and no database."""

from analysis.bank import CallAnalyzer, CallBank
from analysis.findings import Finding

__all__ = ["CallAnalyzer", "CallBank", "Finding"]
