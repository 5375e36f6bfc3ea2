//! The stack as a person has it: scripts/staging.sh and compose to drive it, its published ports to look at it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::eventually::eventually;

pub const PROMETHEUS: &str = "http://localhost:9090";
pub const ALERTMANAGER: &str = "http://localhost:9093";
pub const CHARTER: &str = "http://localhost:8000";
pub const MAPE_K: &str = "http://localhost:8001";

pub const FILE: &str = "docker-compose.staging.yml";

/// Ten times the two minutes that the stack has to become healthy in; how long it took is printed.
const HEALTHY_WITHIN: &str = "1200";
/// For what takes a scrape or a cycle: ten times 30 s.
pub const SOON: Duration = Duration::from_mins(5);
const ANSWER: Duration = Duration::from_secs(15);

/// Compose itself, without Grafana left out.
pub fn d01_the_whole_file_is_accepted() {
    let whole = compose(&["config"]).unwrap_or_else(|said| panic!("{FILE}: {said}"));
    for service in ["prometheus", "alertmanager", "charter", "mape-k", "grafana"] {
        assert!(whole.contains(&format!("\n  {service}:\n")), "{service} is in {whole}");
    }
}

pub async fn d01_every_service_becomes_healthy_and_answers() {
    staging(&["start"]);
    for (url, said) in [
        (format!("{PROMETHEUS}/-/healthy"), "Healthy"),
        (format!("{ALERTMANAGER}/-/healthy"), "OK"),
        (format!("{CHARTER}/health"), "\"ok\""),
        (format!("{MAPE_K}/health"), "\"status\":"),
    ] {
        let answer = text(&url).await.unwrap_or_else(|error| panic!("{error}"));
        assert!(answer.contains(said), "{url}: {answer}");
    }
    eventually(SOON, "D01 both jobs are scraped and the daemon sees all it needs", async || {
        let up = query("up == 1").await?;
        let health = json(&format!("{MAPE_K}/health")).await?;
        if up.len() >= 2 && health["status"] == "ok" {
            Ok(())
        } else {
            Err(format!("{} targets up, {health}", up.len()))
        }
    })
    .await;
}

/// scripts/staging.sh, which says itself what goes wrong.
pub fn staging(args: &[&str]) {
    println!("$ scripts/staging.sh {}", args.join(" "));
    let ended = command("sh")
        .arg("scripts/staging.sh")
        .args(args)
        .env("STAGING_HEALTHY_WITHIN", HEALTHY_WITHIN)
        .status()
        .expect("sh runs");
    assert!(ended.success(), "scripts/staging.sh {} failed; it says why above", args.join(" "));
}

/// Compose, v2 or the older one, on the shipped file.
pub fn compose(args: &[&str]) -> Result<String, String> {
    compose_with(&[], args)
}

/// With these files over the shipped one.
pub fn compose_with(over: &[&str], args: &[&str]) -> Result<String, String> {
    let files = [FILE].iter().chain(over).flat_map(|file| ["-f", file]);
    if output(command("docker").args(["compose", "version"])).is_ok() {
        output(command("docker").arg("compose").args(files).args(args))
    } else {
        output(command("docker-compose").args(files).args(args))
    }
}

pub fn docker(args: &[&str]) -> Result<String, String> {
    output(command("docker").args(args))
}

/// The container that serves `service` now.
pub fn container(service: &str) -> String {
    let id = compose(&["ps", "-q", service]).expect("compose lists its containers");
    assert!(!id.trim().is_empty(), "{service} has no container");
    id.trim().to_owned()
}

/// In the repository's folder.
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")));
    command
}

/// What it printed; or, when it failed, that and its errors.
pub fn output(command: &mut Command) -> Result<String, String> {
    let ended = command.output().map_err(|error| format!("{command:?} did not run: {error}"))?;
    let printed = String::from_utf8_lossy(&ended.stdout).into_owned();
    if ended.status.success() {
        Ok(printed)
    } else {
        Err(format!(
            "{command:?}: {}: {printed}{}",
            ended.status,
            String::from_utf8_lossy(&ended.stderr)
        ))
    }
}

pub async fn text(url: &str) -> Result<String, String> {
    let answer = reqwest::Client::new().get(url).timeout(ANSWER).send().await;
    let answer = answer.and_then(reqwest::Response::error_for_status).map_err(|e| e.to_string())?;
    answer.text().await.map_err(|error| error.to_string())
}

pub async fn json(url: &str) -> Result<Value, String> {
    serde_json::from_str(&text(url).await?).map_err(|error| format!("{url}: {error}"))
}

/// What `GET /api/v1/<of>` lists, newest first.
pub async fn list(of: &str) -> Result<Vec<Value>, String> {
    let page = json(&format!("{MAPE_K}/api/v1/{of}")).await?;
    page["items"].as_array().cloned().ok_or_else(|| format!("{of}: no list: {page}"))
}

/// One entry per series, as the stack's Prometheus answers.
pub async fn query(promql: &str) -> Result<Vec<Value>, String> {
    let asked: String = url::form_urlencoded::byte_serialize(promql.as_bytes()).collect();
    let answer = json(&format!("{PROMETHEUS}/api/v1/query?query={asked}")).await?;
    answer["data"]["result"].as_array().cloned().ok_or_else(|| format!("{promql}: {answer}"))
}
