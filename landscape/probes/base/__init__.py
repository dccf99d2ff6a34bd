"""What all probes share: the model and inputs of a probe, its result, and how texts are scored."""
