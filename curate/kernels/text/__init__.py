"""Text-quality signals, measured by compiled loops over the UTF-8 bytes of an Arrow column."""
