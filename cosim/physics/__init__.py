"""Assets as array functions: one file each, pure, any leading axes."""
