//! The staging stack on a real engine, from build to healed fault, seen through its published ports alone.
//! `make e2e` runs it.
//!
//! One test, for there is one stack: what a step leaves is what the next one finds. Nothing is changed in what is shipped,
//! no time, no rule, no port.

use std::path::Path;

#[path = "../it/support/eventually.rs"]
mod eventually;
mod stack;

mod alerts;
mod dashboards;
mod healing;
mod image;
mod troubleshooting;
mod volumes;

#[tokio::test]
async fn d01_to_d06_and_a61_the_staging_stack_does_what_the_page_says() {
    stack::d01_the_whole_file_is_accepted();
    stack::d01_every_service_becomes_healthy_and_answers().await;
    image::d06_it_runs_without_root_shell_or_a_place_to_write();
    healing::d02_an_overload_is_healed_and_its_outcome_recorded().await;
    dashboards::every_panel_answers(stack::PROMETHEUS).await;
    healing::a_person_stops_it_by_the_command_that_the_file_names().await;
    volumes::d01_what_was_learned_outlives_its_container().await;
    troubleshooting::every_step_gives_its_evidence(Path::new(env!("CARGO_MANIFEST_DIR"))).await;
    alerts::d03_the_three_named_alerts_fire_when_their_cause_is_made().await;
}
