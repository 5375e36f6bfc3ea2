//! What the daemon is shipped with, held to what it promises: image and stack, manifests, alert rules, dashboards, the
//! description of the API, the pages made from the code. The stack itself runs in `tests/e2e`.

mod support;

#[path = "../it/fake_charter.rs"]
#[allow(dead_code, reason = "shared with the other test binaries")]
mod fake_charter;

mod alert_rules;
mod api_description;
mod configuration_page;
mod dashboards;
mod manifests;
mod stack_file;
