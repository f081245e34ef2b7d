"""Sentences of a text, their hashed features, and the sums of a linear model over them, in one compiled pass."""
