"""Training: learners, their environment and exporters; the only place with torch."""
