"""Trains the block model of `curate.extractors.blocks` from labelled pages, and scores extraction engines on them."""
