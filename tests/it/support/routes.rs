//! The paths of the API, read from where its router is built, so that no route can be forgotten by a test.

use super::tools::root;

/// Every path under `/api/v1`, with something in the place of its parameters.
pub fn api_paths() -> Vec<String> {
    let text = std::fs::read_to_string(root().join("src/server/api.rs")).expect("the router");
    let routes = text.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next());
    let filled = |path: &str| {
        let parts = path.split('/').map(|part| if part.starts_with('{') { "7" } else { part });
        parts.collect::<Vec<_>>().join("/")
    };
    let paths: Vec<String> = routes.map(filled).collect();
    assert!(paths.len() > 10, "only {} paths found: the scan is blind", paths.len());
    paths
}
