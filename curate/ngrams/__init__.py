"""N-gram models: reading and writing ARPA files, estimating with Kneser-Ney smoothing, scoring texts."""
