"""The local learning coefficient: draws around a checkpoint, and numbers with errors from them."""
