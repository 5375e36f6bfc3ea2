//! Findings: what is wrong in the cluster, by the objects' own state. Pure.
