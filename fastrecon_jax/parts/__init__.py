"""Fitted parts for inspection: fit and calibrate on good images, keep in one file, score, judge, extend."""
