"""Studies: many runs of one scenario on the same draws, and what may be concluded from them."""
