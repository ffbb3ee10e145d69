"""The bundle in a Kubernetes cluster: manifests, and the values of kube-prometheus-stack."""
