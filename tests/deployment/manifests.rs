//! The Kubernetes manifests: what they promise of rights, probes, storage and names.
