"""What `scripts/reproduce.py` consists of: the plan of its runs, the estimate of their time, the report."""
