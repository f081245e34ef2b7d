"""The trainer: a readable decoder-only Transformer that learns from token shards; `train.api` is its front door."""
