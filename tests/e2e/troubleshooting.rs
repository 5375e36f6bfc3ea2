//! A61: the section Troubleshooting of docs/OPERATIONS.md, typed step by step on the running stack. Leaves out bringing
//! the stack up and down.

#[path = "../it/support/troubleshooting.rs"]
mod page;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use page::{Step, Symptom, sections, shows};

/// The slowest evidence on the page is an alert whose window, wait and scrape make under seven minutes.
const PATIENCE: Duration = Duration::from_secs(480);
/// Between two tries of a step whose evidence is not there yet.
const BETWEEN_TRIES: Duration = Duration::from_secs(5);

/// Types every step in `folder`, that of docker-compose.staging.yml, with the stack up and healthy. What a section makes
/// is undone before the next one begins, whatever its steps have shown; all that failed is told at the end.
pub async fn every_step_gives_its_evidence(folder: &Path) {
    let page = std::fs::read_to_string(folder.join("docs/OPERATIONS.md")).expect("the page");
    let symptoms = sections(&page).unwrap_or_else(|problem| panic!("{problem}"));
    assert!(!symptoms.is_empty(), "docs/OPERATIONS.md has no section Troubleshooting");
    let mut failures = Vec::new();
    for symptom in &symptoms {
        println!("--- {}", symptom.title);
        failures.extend(tried(symptom, folder).await);
    }
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n\n"));
}

async fn tried(symptom: &Symptom, folder: &Path) -> Vec<String> {
    let mut failures = all_done(&symptom.make, symptom, folder);
    for step in &symptom.steps {
        failures.extend(shown(step, symptom, folder).await.err());
    }
    failures.extend(all_done(&symptom.undo, symptom, folder));
    failures
}

/// What makes or undoes a symptom has to succeed.
fn all_done(commands: &[String], symptom: &Symptom, folder: &Path) -> Vec<String> {
    let failed = |command: &String| {
        let (succeeded, output) = typed(command, folder);
        (!succeeded).then(|| format!("{}: `{command}` failed:\n{output}", symptom.title))
    };
    commands.iter().filter_map(failed).collect()
}

/// A step's exit code says nothing: `curl -f` of what is down is evidence, too.
async fn shown(step: &Step, symptom: &Symptom, folder: &Path) -> Result<(), String> {
    let began = Instant::now();
    loop {
        let (_, output) = typed(&step.command, folder);
        if shows(&output, &step.evidence) {
            println!("    step {}: after {} s", step.number, began.elapsed().as_secs());
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            return Err(format!(
                "{}, step {}:\n{}\nwas to show\n{}\nand showed\n{output}",
                symptom.title, step.number, step.command, step.evidence
            ));
        }
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
}

/// Whether it succeeded, and everything that it printed.
fn typed(command: &str, folder: &Path) -> (bool, String) {
    let output = Command::new("sh")
        .args(["-c", &format!("exec 2>&1\n{command}")])
        .current_dir(folder)
        .output()
        .expect("sh runs");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}
