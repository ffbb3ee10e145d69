"""The preview: boards on real data as pages that need no Grafana."""
