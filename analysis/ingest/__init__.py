"""The wire formats of phone systems: bytes in, events out, without I/O."""
