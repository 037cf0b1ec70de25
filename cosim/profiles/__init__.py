"""Sources of homes and their profiles: one file each."""
