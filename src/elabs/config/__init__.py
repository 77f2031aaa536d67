"""`elabs.yaml`: the one model, the units people write, and where an instance keeps everything."""
