"""What a part finds and what it forgives, from good photographs alone: the command report and its page."""
