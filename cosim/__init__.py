"""cosim: discrete-event co-simulation of local energy markets on a real feeder."""
