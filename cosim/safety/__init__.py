"""Calibrating the supervisor and showing what it sees; it runs many days, so no run needs it."""
