//! The paths of the API, from the description that its router is made of, so that no route can be forgotten by a test.

/// Every path under `/api/v1`, with something in the place of its parameters.
pub fn api_paths() -> Vec<String> {
    let description = mape_k::server::description::document();
    let routes = description["paths"].as_object().expect("paths").keys();
    let filled = |path: &String| {
        let parts = path.split('/').map(|part| if part.starts_with('{') { "7" } else { part });
        parts.collect::<Vec<_>>().join("/")
    };
    let paths: Vec<String> =
        routes.filter(|path| path.starts_with("/api/v1/")).map(filled).collect();
    assert!(paths.len() > 10, "only {} paths are described", paths.len());
    paths
}
