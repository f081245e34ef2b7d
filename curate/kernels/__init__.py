"""Compiled passes over Arrow text buffers, each beside the plain Python that defines it."""
