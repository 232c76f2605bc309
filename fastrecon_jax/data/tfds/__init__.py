"""Data sets prepared by TFDS: written by the builders of datasets/, read without TensorFlow."""
