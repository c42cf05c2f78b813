"""A stand-in for virt-controller and virt-handler. It is not KubeVirt: see README.md beside it."""
