//! Deployments: the commits that touch a service's part of the repository, by GitHub's API.

pub mod settings;
