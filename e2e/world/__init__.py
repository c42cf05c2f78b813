"""The end-to-end world: a real Kubernetes cluster with real guests on one bare machine."""
