"""Policies: one file each; trained ones under ``trained/<name>/`` with their card."""
