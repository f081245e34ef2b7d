"""Readers: one module per input format, each turns bytes into batches of docs."""
