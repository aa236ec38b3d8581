"""Measures what the project promises: each module runs alone, prints a table and, last, one line of JSON."""
