"""The language and the script of texts, found by compiled passes over the UTF-8 bytes of an Arrow column."""
