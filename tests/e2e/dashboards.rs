//! Every query of the shipped dashboards, asked as Grafana asks it, of a Prometheus that watches a daemon and a Charter
//! that have healed something. Shared by the stack's test and `tests/deployment`.
//!
//! Leaves out what a dashboard must look like (`tests/deployment/dashboards.rs`).

use std::path::Path;

use serde_json::Value;

/// What Grafana makes of three hours on a screen, more or less.
const STEP_SECONDS: u64 = 15;
/// How far back the queries over time go: what happened shortly before.
const LOOK_BACK_SECONDS: i64 = 600;

/// The shipped dashboards, by name.
pub fn shipped_dashboards() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/grafana/dashboards");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    let read = |file: &std::path::PathBuf| {
        let text = std::fs::read_to_string(file).expect("a dashboard can be read");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    };
    files.iter().map(read).collect()
}

/// The panels that ask something.
pub fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    items(&dashboard["panels"]).iter().filter(|panel| panel["type"] != "row")
}

pub fn items(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a text was expected instead of {value}"))
}

/// D04: each query of each panel is answered without error or warning and with at least one finite number, and so is the
/// query that marks actions; the variables offer what they stand at. Prints what a person would read.
///
/// # Panics
/// With every query that fell short.
pub async fn every_panel_answers(prometheus: &str) {
    let prometheus = Api { http: reqwest::Client::new(), url: prometheus.to_owned() };
    let mut wrong = Vec::new();
    let mut asked = 0;
    for dashboard in shipped_dashboards() {
        let title = text(&dashboard["title"]);
        for variable in items(&dashboard["templating"]["list"]).iter().skip(1) {
            if let Err(problem) = prometheus.offers(&dashboard, variable).await {
                wrong.push(format!("{title}, variable {}: {problem}", variable["name"]));
            }
        }
        for panel in panels(&dashboard) {
            for target in items(&panel["targets"]) {
                asked += 1;
                let query = concrete(&dashboard, target);
                let named = format!("{title} | {} | {}", text(&panel["title"]), target["refId"]);
                match prometheus.numbers(&query, target["instant"] == true).await {
                    Ok(numbers) if numbers.is_empty() => {
                        wrong.push(format!("{named}: no finite number from {query}"));
                    }
                    Ok(numbers) => {
                        print(&named, text(&panel["fieldConfig"]["defaults"]["unit"]), &numbers);
                    }
                    Err(problem) => wrong.push(format!("{named}: {problem}\n  {query}")),
                }
            }
        }
        for annotation in items(&dashboard["annotations"]["list"]) {
            let query = concrete(&dashboard, &annotation["target"]);
            let named = format!("{title} | mark of {}", text(&annotation["name"]));
            match prometheus.numbers(&query, false).await {
                Ok(numbers) if numbers.is_empty() && annotation["name"] == "Actions" => {
                    wrong.push(format!("{named}: no action is marked by {query}"));
                }
                Ok(numbers) => print(&named, "marks", &numbers),
                Err(problem) => wrong.push(format!("{named}: {problem}\n  {query}")),
            }
        }
    }
    assert!(asked > 100, "only {asked} queries found: the scan is blind");
    assert!(wrong.is_empty(), "{} of {asked}:\n{}", wrong.len(), wrong.join("\n"));
    println!("{asked} queries answered");
}

fn print(named: &str, unit: &str, numbers: &[(String, f64)]) {
    println!("{named} ({unit})");
    for (labels, number) in numbers {
        println!("    {labels} {number}");
    }
}

/// The query with every variable replaced as Grafana would.
fn concrete(dashboard: &Value, target: &Value) -> String {
    let least = target["interval"].as_str().map_or(STEP_SECONDS, |seconds| {
        seconds.trim_end_matches('s').parse().expect("a number of seconds")
    });
    let rate = (STEP_SECONDS.max(least) + least).max(4 * least);
    let range = text(&dashboard["time"]["from"]).trim_start_matches("now-");
    let query = text(&target["expr"])
        .replace("$__rate_interval", &format!("{rate}s"))
        .replace("$__range", range)
        .replace("$__interval", &format!("{least}s"));
    items(&dashboard["templating"]["list"]).iter().fold(query, |query, variable| {
        let stands_at = variable["allValue"].as_str().or(variable["current"]["value"].as_str());
        query.replace(&format!("${}", text(&variable["name"])), stands_at.expect("a value"))
    })
}

struct Api {
    http: reqwest::Client,
    url: String,
}

impl Api {
    async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let request = self.http.get(format!("{}{path}", self.url)).query(parameters);
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let answer: Value = answer.json().await.map_err(|error| error.to_string())?;
        let clean = ["error", "warnings", "infos"].iter().all(|said| answer.get(said).is_none());
        if clean && answer["status"] == "success" { Ok(answer) } else { Err(answer.to_string()) }
    }

    /// The last finite number of each series that has one, with its labels.
    async fn numbers(&self, query: &str, instant: bool) -> Result<Vec<(String, f64)>, String> {
        let now = chrono::Utc::now().timestamp();
        let (start, end) = ((now - LOOK_BACK_SECONDS).to_string(), now.to_string());
        let step = STEP_SECONDS.to_string();
        let answer = if instant {
            self.get("/api/v1/query", &[("query", query)]).await?
        } else {
            let over = [("query", query), ("start", &start), ("end", &end), ("step", &step)];
            self.get("/api/v1/query_range", &over).await?
        };
        let series = items(&answer["data"]["result"]).iter();
        Ok(series.filter_map(|s| Some((s["metric"].to_string(), last_finite(s)?))).collect())
    }

    /// What a variable stands at is among what it offers.
    async fn offers(&self, dashboard: &Value, variable: &Value) -> Result<(), String> {
        let query = text(&variable["query"]["query"]);
        let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
        let (series, label) =
            inner.and_then(|inner| inner.rsplit_once(", ")).expect("label_values(series, label)");
        let job = text(&items(&dashboard["templating"]["list"])[1]["current"]["value"]);
        let series = series.replace("$job", job);
        let path = format!("/api/v1/label/{label}/values");
        let answer = self.get(&path, &[("match[]", &series)]).await?;
        let offered = items(&answer["data"]);
        let stands_at = &variable["current"]["value"];
        // All is offered by Grafana itself, but not among nothing.
        let there =
            if stands_at.is_array() { !offered.is_empty() } else { offered.contains(stands_at) };
        if there {
            Ok(())
        } else {
            Err(format!("{series} offers {offered:?}, it stands at {stands_at}"))
        }
    }
}

fn last_finite(series: &Value) -> Option<f64> {
    let number = |sample: &Value| sample[1].as_str()?.parse().ok().filter(|n: &f64| n.is_finite());
    let samples = items(&series["values"]).iter().rev();
    samples.chain([&series["value"]]).find_map(number)
}
