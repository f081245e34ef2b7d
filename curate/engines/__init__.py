"""Engines: where tasks run. They only schedule; receipts make the work exactly-once."""
