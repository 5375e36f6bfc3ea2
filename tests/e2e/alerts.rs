//! D03: the three alerts whose names people's runbooks know, each with its cause made in the stack, by the shipped rules in
//! their own time (MAFEKLoopFailure takes ten minutes).

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::eventually::eventually;
use crate::stack::{
    ALERTMANAGER, MAPE_K, PROMETHEUS, SOON, command, compose, compose_with, json, output, query,
};

/// Twice the ten minutes and what scrapes take.
const FIRES_WITHIN: Duration = Duration::from_mins(25);

/// Charter is stopped; the daemon's disk hangs, so that it answers and its loop moves no more.
pub async fn d03_the_three_named_alerts_fire_when_their_cause_is_made() {
    let disk = Disk::mount();
    let over = disk.under_the_daemon();
    compose_with(&[&over], &["up", "-d", "--no-build", "--no-deps", "mape-k"])
        .expect("another disk");
    eventually(SOON, "the daemon on a disk of its own runs cycles", async || {
        let cycles = query("mape_k_loop_duration_seconds_count > 1").await?;
        let health = json(&format!("{MAPE_K}/health")).await?;
        if cycles.is_empty() || health["status"] != "ok" { Err(health.to_string()) } else { Ok(()) }
    })
    .await;

    disk.freeze();
    compose(&["stop", "charter"]).expect("stopped");
    for name in ["CharterAPIDown", "PrometheusScrapeFailure", "MAFEKLoopFailure"] {
        let what = format!("D03 {name} fires");
        let alert = eventually(FIRES_WITHIN, &what, async || firing(name).await).await;
        println!("{name}: {}", alert["annotations"]["summary"]);
        eventually(SOON, &format!("D03 {name} has come to Alertmanager"), async || {
            let alerts =
                json(&format!("{ALERTMANAGER}/api/v2/alerts?filter=alertname=%22{name}%22"))
                    .await?;
            if alerts.as_array().is_some_and(|alerts| !alerts.is_empty()) {
                Ok(())
            } else {
                Err(alerts.to_string())
            }
        })
        .await;
    }

    disk.thaw();
    compose(&["start", "charter"]).expect("started");
    eventually(FIRES_WITHIN, "D03 none of them fires once its cause is gone", async || {
        for name in ["CharterAPIDown", "PrometheusScrapeFailure", "MAFEKLoopFailure"] {
            if firing(name).await.is_ok() {
                return Err(name.to_owned());
            }
        }
        Ok(())
    })
    .await;
}

/// Of the alert what Prometheus says of it while it fires.
async fn firing(name: &str) -> Result<Value, String> {
    let answer = json(&format!("{PROMETHEUS}/api/v1/alerts")).await?;
    let alerts = answer["data"]["alerts"].as_array().cloned().unwrap_or_default();
    let named =
        alerts.into_iter().find(|a| a["labels"]["alertname"] == name && a["state"] == "firing");
    named.ok_or_else(|| "not firing".to_owned())
}

/// A file system of its own that can be made to hang: every write waits, as on a disk that no longer answers.
struct Disk {
    folder: PathBuf,
}

impl Disk {
    fn mount() -> Self {
        let work = Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e-disk");
        let folder = work.join("data");
        // What a run that was killed has left.
        let disk = Self { folder };
        disk.release();
        fs::create_dir_all(&disk.folder).expect("a folder for the disk");
        let image = work.join("disk.img");
        let image_file = fs::File::create(&image).expect("the disk's file");
        image_file.set_len(256 * 1024 * 1024).expect("its size");
        run("mkfs.ext4", &["-q", "-F", path(&image)]).expect("mkfs.ext4 (e2fsprogs)");
        run("mount", &["-o", "loop", path(&image), path(&disk.folder)])
            .expect("a loop device can be mounted; it needs root");
        run("chown", &["65532:65532", path(&disk.folder)]).expect("the daemon's own");
        disk
    }

    /// A compose file that puts it where the store is.
    fn under_the_daemon(&self) -> String {
        let file = self.folder.with_file_name("disk.yml");
        let mounted = format!("{}:/app/data", path(&self.folder));
        let over = serde_json::json!({"services": {"mape-k": {"volumes": [mounted]}}});
        fs::write(&file, over.to_string()).expect("written");
        path(&file).to_owned()
    }

    fn freeze(&self) {
        run("fsfreeze", &["-f", path(&self.folder)]).expect("frozen");
    }

    fn thaw(&self) {
        run("fsfreeze", &["-u", path(&self.folder)]).expect("thawed");
    }

    /// Whatever state it is in; what fails here was not so.
    fn release(&self) {
        for (program, args) in [("fsfreeze", ["-u"]), ("umount", ["-l"])] {
            run(program, &[args[0], path(&self.folder)]).ok();
        }
    }
}

impl Drop for Disk {
    /// A container whose disk hangs could not even be killed.
    fn drop(&mut self) {
        self.release();
    }
}

fn run(program: &str, args: &[&str]) -> Result<String, String> {
    output(command(program).args(args))
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}
