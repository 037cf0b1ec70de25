"""Time series from files: tables, clocks, and rows on the grid of a run."""
