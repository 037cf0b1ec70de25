"""Forecasts: one file for each way of knowing the coming interval."""
