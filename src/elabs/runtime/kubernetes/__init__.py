"""Labs in a cluster: what KubeSpawner is told of each, as pure functions from the settings to plain values. Nothing here asks the cluster anything."""
