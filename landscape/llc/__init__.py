"""The local learning coefficient: chains around a checkpoint, and estimates with errors from them."""
