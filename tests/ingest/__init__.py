"""Tests of what phone systems send: the decoders, who may send, and the sockets."""
