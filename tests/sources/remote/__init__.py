"""Remote inputs, against real servers on this machine."""
