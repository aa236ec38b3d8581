"""Benchmarks are programs too: their labels and scores are tested here."""
