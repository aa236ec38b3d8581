"""Alerts about calls: stored once, decided in one place, delivered to who may see them."""
