"""What can go wrong: results that are wrong without saying so, and faults of machines, each provoked and looked at."""
