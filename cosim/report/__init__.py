"""What people look at: figures and the table on the screen, drawn from a run's own files."""
