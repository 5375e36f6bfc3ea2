//! `--speed N`: the configuration of a loop that runs N times as fast as life, or why it is refused.
//!
//! What is on trial must not be production, and Prometheus must hold enough samples for the shortened windows. Both are
//! asked before anything starts.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use reqwest::Method;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use url::Url;

use crate::clock::Clock;
use crate::config::{self, Config, Origin, SHORTEST_INTERVAL, Warning};
use crate::domain::address;
use crate::domain::rule::{Measure, Rule};
use crate::http::{self, Access, Connections, Endpoint, Failure, Http};
use crate::monitor::MetricsSource;
use crate::monitor::prometheus::{Prometheus, Sampled};
use crate::monitor::promql;

/// At this speed a second holds 17 minutes of life. Charter's answers, Prometheus' scrapes and the store's writes, which
/// become no faster, then take most of the shortened times.
const FASTEST: f64 = 1000.0;

/// An increase over fewer samples than this is a matter of luck: one late scrape takes a third of it away.
const LEAST_SCRAPES: f64 = 4.0;

/// A scrape comes a few milliseconds early or late; an interval that is longer by so little is still the same.
const JITTER: f64 = 1.05;

/// Of an answer of a sandbox: some KB.
const MAX_ANSWER: usize = 1 << 20;

/// For Charter and Prometheus that were started in the same breath: three scrapes 3 s apart.
const WAIT: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub struct Arguments {
    /// Rehearse: run the loop N times as fast as life, from 1 to 1000. Divides every duration of the configuration by N,
    /// except the time-outs of calls, the clock skew, the lease and how long records are kept
    #[arg(long, value_name = "N", value_parser = speed)]
    speed: Option<f64>,
    /// Say that the target of --speed is not production although it does not answer /sandbox calls
    #[arg(long, requires = "speed")]
    rehearsal: bool,
    /// How often Prometheus scrapes the target, for --speed [default: measured from the samples in Prometheus]
    #[arg(long, value_name = "TIME", requires = "speed", value_parser = interval)]
    scrape_interval: Option<Duration>,
}

/// What `--speed` takes.
pub fn speed(text: &str) -> Result<f64, String> {
    let speed = text.parse().ok().filter(|speed| (1.0..=FASTEST).contains(speed));
    speed.ok_or_else(|| format!("a number from 1 to {FASTEST}"))
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = config::duration(text).filter(|interval| !interval.is_zero());
    interval.ok_or_else(|| "a duration above 0, such as 1s, 500ms or 1m".to_owned())
}

/// The configuration to run with. Without `--speed`, or at 1, the one that was given.
pub async fn prepare(
    (config, mut warnings): (Config, Vec<Warning>),
    arguments: &Arguments,
) -> anyhow::Result<(Config, Vec<Warning>)> {
    let Some(speed) = arguments.speed.filter(|speed| *speed > 1.0) else {
        return Ok((config, warnings));
    };
    let deadline = Instant::now() + WAIT;
    let mut problems = too_short(&config, speed);
    if !arguments.rehearsal
        && let Err(problem) = answers_sandbox(&config, deadline).await
    {
        problems.push(format!(
            "{problem}. At this speed the loop may act {speed} times as often as the configuration allows. If the target is not production, say so with --rehearsal"
        ));
    }
    match scrapes(&config, speed, arguments.scrape_interval, deadline).await {
        Ok(scrapes) => problems.extend(too_few_samples(&config, speed, &scrapes)),
        Err(problem) => problems.push(problem),
    }
    if !problems.is_empty() {
        bail!("--speed {speed} is refused:\n  - {}", problems.join("\n  - "));
    }
    warnings.extend(undivided(&config.monitor.rules, speed));
    Ok((config.scaled(speed), warnings))
}

/// Durations that would become shorter than the configuration takes them.
fn too_short(config: &Config, speed: f64) -> Vec<String> {
    let mut problems = Vec::new();
    let interval = config.orchestrator.loop_interval;
    if interval.div_f64(speed) < SHORTEST_INTERVAL {
        problems.push(format!(
            "orchestrator.loop_interval {}: shorter than {}, the shortest that is accepted. {}",
            divided(interval, speed),
            shown(SHORTEST_INTERVAL),
            at_most(interval.div_duration_f64(SHORTEST_INTERVAL))
        ));
    }
    for (cause, strategies) in &config.plan.strategies {
        for strategy in strategies {
            let Some(lasts) = strategy.duration_seconds.filter(|l| l.as_secs_f64() < speed) else {
                continue;
            };
            problems.push(format!(
                "plan.strategies.{cause}, {}, duration_seconds {}: shorter than 1 s, and Charter counts whole seconds. {}",
                strategy.action,
                divided(lasts, speed),
                at_most(lasts.as_secs_f64())
            ));
        }
    }
    problems
}

/// A sandbox lists its faults and shows its state. Whatever answers every path alike does not do both.
async fn answers_sandbox(config: &Config, deadline: Instant) -> Result<(), String> {
    let settings = &config.execute;
    let Some(url) = &settings.charter_url else {
        return Err(
            "execute.charter_url is null, so that no reference Charter can say that the target is not production"
                .to_owned(),
        );
    };
    let http = settings.http.as_deref();
    let no_client = |error: http::SetupError| error.to_string();
    let wire = Http::reaching(url, http, Connections::default()).map_err(no_client)?;
    let access = Access { section: "execute", http, token: settings.charter_api_key.as_ref() };
    let charter = Endpoint::new(Arc::new(wire), url.clone(), access);
    let get = async |what: &str| {
        let url = charter.below(["sandbox", what]);
        let request = charter.request(Method::GET, url).timeout(settings.timeout_seconds);
        let answer = charter.exchange(request, MAX_ANSWER).await?;
        let value: Option<Value> = serde_json::from_slice(&answer.body).ok();
        Ok::<_, Failure>((answer.status, value.filter(|_| answer.status.is_success())))
    };
    let ask = async || {
        let ((faults_status, faults), (state_status, state)) =
            (get("faults").await?, get("state").await?);
        let is_sandbox = faults.is_some_and(|faults| faults.is_array())
            && state.is_some_and(|state| state.is_object());
        Ok::<_, Failure>(if is_sandbox { None } else { Some((faults_status, state_status)) })
    };
    let says_no = |why: String| {
        let url = address::redacted(url);
        format!(
            "Charter at {url} (execute.charter_url) does not answer its /sandbox calls, so it may be production: {why}"
        )
    };
    loop {
        match ask().await {
            Ok(None) => return Ok(()),
            Ok(Some((faults, state))) => {
                return Err(says_no(format!(
                    "GET /sandbox/faults and /sandbox/state answer {faults} and {state}, and not a list of faults and a state"
                )));
            }
            Err(Failure::NotSent(_)) if Instant::now() < deadline => {
                sleep(Duration::from_millis(500)).await;
            }
            Err(Failure::NotSent(why)) => {
                return Err(says_no(format!("nothing answers there ({})", charter.hide(why))));
            }
            Err(Failure::Broken(why)) => return Err(says_no(charter.hide(why))),
            Err(Failure::TimedOut) => return Err(says_no("it did not answer in time".to_owned())),
        }
    }
}

/// How far apart the samples of the target are while the loop runs at this speed.
struct Scrapes {
    interval: Duration,
    /// How that is known.
    known: String,
    /// Once a cycle by ourselves, and so faster with the loop.
    own: bool,
}

/// `given`: by `--scrape-interval`.
async fn scrapes(
    config: &Config,
    speed: f64,
    given: Option<Duration>,
    deadline: Instant,
) -> Result<Scrapes, String> {
    let is_asked = config.monitor.source == MetricsSource::Prometheus;
    let prometheus = config.monitor.server().filter(|_| is_asked);
    let Some(prometheus) = prometheus else {
        let interval = config.orchestrator.loop_interval.div_f64(speed);
        return Ok(Scrapes { interval, known: "one each cycle".to_owned(), own: true });
    };
    if let Some(interval) = given {
        return Ok(Scrapes { interval, known: "--scrape-interval".to_owned(), own: false });
    }
    let Sampled { rule, interval } = measured(config, prometheus, deadline).await?;
    let known = format!("measured on the samples of rule {rule}");
    Ok(Scrapes { interval, known, own: false })
}

/// Asks until there is an answer: a Prometheus that was just started has no samples yet.
async fn measured(config: &Config, url: &Url, deadline: Instant) -> Result<Sampled, String> {
    let settings = &config.monitor;
    let prometheus =
        Prometheus::new(url, settings, Clock::start()).map_err(|error| error.to_string())?;
    loop {
        let until = Instant::now() + settings.query_timeout;
        let problem = match prometheus.slowest_sampled(&settings.rules, until).await {
            Ok(Some(sampled)) => return Ok(sampled),
            Ok(None) => format!(
                "Prometheus at {} (monitor.prometheus_url) holds no series of monitor.metrics with 3 samples in the last 5 \
                 minutes",
                address::redacted(url)
            ),
            Err(failure) => failure.text,
        };
        if Instant::now() >= deadline {
            return Err(format!(
                "how often the target is scraped cannot be found out: {problem}. If the loop reads it all the same, say how \
                 often it is scraped with --scrape-interval"
            ));
        }
        sleep(Duration::from_millis(500)).await;
    }
}

/// What Prometheus scrapes too rarely for this speed.
fn too_few_samples(config: &Config, speed: f64, scrapes: &Scrapes) -> Vec<String> {
    let Scrapes { interval, known, own } = scrapes;
    let advice = |fits: f64, what: &str| match own {
        true => format!("Lengthen {what}, or shorten orchestrator.loop_interval"),
        false => format!("Scrape the target more often. {}", at_most(fits)),
    };
    let needs = |lasts: Duration, count: f64| lasts.div_duration_f64(interval.mul_f64(count));
    let mut problems = Vec::new();
    let poll = config.monitor.poll_interval;
    if needs(poll.div_f64(speed), 1.0) * JITTER < 1.0 {
        problems.push(format!(
            "monitor.poll_interval {}: shorter than the scrape interval of {} ({known}), so that most cycles would see no new \
             sample. {}",
            divided(poll, speed),
            shown(*interval),
            advice(needs(poll, 1.0), "it")
        ));
    }
    for rule in &config.monitor.rules {
        let Some(window) = rule.increase_over() else { continue };
        let holds = needs(window.div_f64(speed), 1.0);
        if holds * JITTER < LEAST_SCRAPES {
            problems.push(format!(
                "increase_over of rule {}, {}: holds {holds:.1} scrapes at a scrape interval of {} ({known}), and an increase \
                 needs {LEAST_SCRAPES}. {}",
                rule.name,
                divided(window, speed),
                shown(*interval),
                advice(needs(window, LEAST_SCRAPES), "it")
            ));
        }
    }
    problems
}

/// Durations in the user's own PromQL are text.
fn undivided(rules: &[Arc<Rule>], speed: f64) -> Option<Warning> {
    let holds = |rule: &&Arc<Rule>| match &rule.measure {
        Measure::Metric(_) => false,
        Measure::Query { promql, .. } => promql::holds_duration(promql),
        Measure::Condition { promql, present } => {
            promql::holds_duration(promql) || present.as_deref().is_some_and(promql::holds_duration)
        }
    };
    let names: Vec<&str> = rules.iter().filter(holds).map(|rule| rule.name.as_str()).collect();
    (!names.is_empty()).then(|| Warning {
        path: "monitor.queries".to_owned(),
        origin: Origin::Default,
        text: format!(
            "--speed {speed} cannot divide the durations inside your own PromQL: these rules look back as far as ever, and see \
             a recovery {speed} times too late: {}",
            names.join(", ")
        ),
    })
}

/// `300 s / 30 = 10 s`
fn divided(duration: Duration, speed: f64) -> String {
    format!("{} / {speed} = {}", shown(duration), shown(duration.div_f64(speed)))
}

fn shown(duration: Duration) -> String {
    let millis = (duration.as_secs_f64() * 1000.0).round();
    format!("{} s", millis / 1000.0)
}

/// The fastest that fits.
fn at_most(fits: f64) -> String {
    let fits = (fits * 10.0).floor() / 10.0;
    if fits > 1.0 {
        format!("--speed {fits} is the fastest that fits")
    } else {
        "No --speed fits as it is".to_owned()
    }
}
