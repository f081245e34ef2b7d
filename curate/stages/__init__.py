"""Stages: one module per per-document step. A stage never imports another."""
