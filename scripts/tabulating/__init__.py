"""What `scripts/paper_table.py` consists of: runs joined, the table, its significance, RegAD's meta-training."""
