"""Market mechanisms: one file each."""
