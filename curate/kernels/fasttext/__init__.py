"""fastText's prediction, compiled: the same numbers as its C++, several times as fast, straight from a model's file."""
