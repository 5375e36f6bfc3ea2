//! The Grafana dashboards: shape, and every panel's query against a real Prometheus.
