"""The hub in a cluster: its labs are pods that KubeSpawner makes, told by `elabs.runtime.kubernetes`; the chart gives it its place by environment variables."""
