//! B10, B12: reports as files, whole or not at all, and no more of them than are wanted.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use mape_k::domain::cycle::{CycleReport, CycleStatus};
use mape_k::knowledge::report_files::ReportFiles;
use serde_json::Value;

use super::town::Town;

async fn a_report() -> CycleReport {
    Town::new().await.start().await.cycle().await
}

fn named(report: &CycleReport, number: u64, status: CycleStatus) -> CycleReport {
    let id = format!("20261122_{:06}", 120_000 + number);
    CycleReport { id, number, status, ..report.clone() }
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).expect("the folder");
    entries
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect()
}

#[tokio::test]
async fn b12_a_process_that_dies_while_it_writes_leaves_a_whole_report_or_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let report = named(&Box::pin(a_report()).await, 1, CycleStatus::Completed);
    let name = format!("cycle_{}.json", report.id);
    let (mut none, mut whole) = (0, 0);
    // Ended after every number of steps that the writing has.
    for steps in 0..200 {
        let mut files = ReportFiles::new(folder.path().to_owned(), 2000);
        let mut left = steps;
        let mut writing = Box::pin(files.write(&report));
        let died = std::future::poll_fn(|context| {
            if left == 0 {
                return std::task::Poll::Ready(true);
            }
            left -= 1;
            writing.as_mut().poll(context).map(|written| {
                written.expect("the report is written");
                false
            })
        })
        .await;
        drop(writing);
        match std::fs::read(folder.path().join(&name)) {
            Err(_) => none += 1,
            Ok(bytes) => {
                let value: Value = serde_json::from_slice(&bytes).expect("a whole report");
                assert_eq!(value["cycle_id"], report.id);
                whole += 1;
            }
        }
        if !died {
            break;
        }
        let _ = std::fs::remove_file(folder.path().join(&name));
    }
    println!("ended early {none} times without a file, {whole} times with a whole one");
    assert!(none > 0 && whole > 0);
    // What it left half written is gone with the next start.
    let partial = folder.path().join(format!("{name}.partial"));
    std::fs::write(&partial, "{\"cycle_id\": \"2026").expect("a leftover");
    let mut files = ReportFiles::new(folder.path().to_owned(), 2000);
    files.write(&named(&report, 2, CycleStatus::Healthy)).await.expect("written");
    let left = names(folder.path());
    assert!(left.iter().all(|name| !name.contains("partial")), "{left:?}");
}

#[tokio::test]
async fn b10_the_newest_hundred_healthy_reports_stay_and_of_the_others_as_many_as_fit() {
    let folder = tempfile::tempdir().expect("a folder");
    let report = Box::pin(a_report()).await;
    let mut files = ReportFiles::new(folder.path().to_owned(), 150);
    for number in 0..130 {
        files.write(&named(&report, number, CycleStatus::Healthy)).await.expect("written");
    }
    for number in 130..200 {
        // A restart now and then changes nothing.
        if number % 20 == 0 {
            files = ReportFiles::new(folder.path().to_owned(), 150);
        }
        files.write(&named(&report, number, CycleStatus::Failed)).await.expect("written");
    }
    let kept = names(folder.path());
    let of = |numbers: std::ops::Range<u64>| {
        numbers
            .filter(|n| kept.contains(&format!("cycle_20261122_{:06}.json", 120_000 + n)))
            .count()
    };
    assert_eq!((of(0..30), of(30..130)), (0, 100), "the newest hundred healthy ones");
    assert_eq!((of(130..150), of(150..200)), (0, 50), "and the newest of the others");
    assert_eq!(kept.len(), 150);
}

#[tokio::test]
async fn b10_a_folder_that_cannot_be_written_fails_no_cycle_and_is_said() {
    let mut town = Town::new().await;
    let file = town.folder.path().join("in-the-way");
    std::fs::write(&file, "a file").expect("written");
    town.loops.config.escalation.reports_dir = Some(file.join("logs"));
    let mut running = town.start().await;
    let report = running.cycle().await;
    assert_eq!(report.status, CycleStatus::Healthy);
    running.cycle().await;
    let problem = running.view().people.problem.clone().expect("health says so");
    assert!(problem.contains("reports_dir"), "{problem}");
    assert!(report.duration_seconds < Duration::from_mins(1).as_secs_f64());
}
