//! `mape-k charter`: serves the reference Charter.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::rehearsal::speed;
use super::start_logs;
use crate::charter_sandbox::{self, Options};
use crate::telemetry::{self, LogFormat};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:8000", value_name = "ADDRESS")]
    listen: String,
    /// Seed of the load's noise: the same seed, the same plant
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Key that /api/v1 calls must carry
    #[arg(long, env = "CHARTER_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// Serve /sandbox/*: inject faults, see the true state and every call
    #[arg(long)]
    sandbox: bool,
    /// Run the plant N times as fast as life, from 1 to 1000: beside `mape-k run --speed N`
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = speed)]
    speed: f64,
}

pub async fn run(arguments: Arguments, format: Option<LogFormat>) -> anyhow::Result<ExitCode> {
    let settings =
        telemetry::Settings { format: LogFormat::Text, ..telemetry::Settings::default() };
    let _logs = start_logs(&settings, format)?;
    let listener = TcpListener::bind(&arguments.listen)
        .await
        .with_context(|| format!("cannot listen on {}", arguments.listen))?;
    let options = Options {
        seed: arguments.seed,
        api_key: arguments.api_key,
        sandbox: arguments.sandbox,
        speed: arguments.speed,
        ..Options::default()
    };
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be handled")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be handled")?;
    tracing::info!(address = %listener.local_addr()?, sandbox = options.sandbox, speed = options.speed, "reference charter listens");
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    charter_sandbox::serve(listener, options, stop).await?;
    Ok(ExitCode::SUCCESS)
}
