//! The commands of `mape-k`, one file each; this file reads the command line and calls them.

pub mod charter;
pub mod check_config;
pub mod client;
mod common;
pub mod config_diff;
pub mod decide;
pub mod demo;
pub mod doctor;
pub mod explain;
pub mod health;
pub mod history;
pub mod observe;
pub mod pause;
pub mod rehearsal;
pub mod run;
pub mod status;
pub mod terminal;
mod trust;
mod words;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use url::Url;

use crate::config::Config;
use crate::knowledge::Decision;
use crate::telemetry::{self, LogFormat};

/// Keeps a distributed system healthy by itself, and says why.
///
/// Reads Prometheus, Alertmanager and Kubernetes, finds what is wrong, chooses the best action and executes it through
/// Charter's control API or hooks. It notifies people of what it cannot or may not fix.
#[derive(Debug, Parser)]
#[command(name = "mape-k", version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub struct Common {
    /// Configuration file [default: $MAPE_K_CONFIG, else ./config/mape_k_config.yaml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Log as JSON lines or as text, whatever logging.format says
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    log_format: Option<Format>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Json,
    Text,
}

/// How a command prints its data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon until SIGTERM or SIGINT stops it
    Run {
        /// Run one cycle, print its report and exit
        #[arg(long)]
        once: bool,
        /// Read, conclude, plan and report, and send nothing that changes any system (guardrails.mode: observe)
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        rehearsal: rehearsal::Arguments,
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
    /// Check the configuration; print every error at once, or the effective configuration
    CheckConfig {
        /// Print only what differs from the defaults, and from the daemon that runs, if one answers
        #[arg(long)]
        diff: bool,
        #[command(flatten)]
        api: Api,
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
    /// Read every source once, print every rule with its value, threshold and result, and exit; nothing is stored or
    /// changed. Exit code 0: all was read and nothing is wrong; 1: something is wrong; 2: something could not be read
    Observe {
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
    /// Watch the loop heal every fault of the reference Charter, at 30 times the speed of life
    Demo {
        /// Give up after this many seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 300)]
        duration: u64,
        /// Seed of the reference Charter's load
        #[arg(long, default_value_t = 1)]
        seed: u64,
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
    /// Serve the reference Charter: a queueing system that really degrades, for demo, staging and tests
    Charter(charter::Arguments),
    /// Check every connection and permission that the configuration needs, without a running daemon, and say what to fix.
    /// Exit code 0: all is well; 1: there is something to fix
    Doctor {
        /// Send a test message into every configured channel
        #[arg(long)]
        notify: bool,
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
    /// Show what a running daemon sees, does and waits for
    Status {
        /// Show it again every 2 seconds until Ctrl-C
        #[arg(short, long)]
        watch: bool,
        #[command(flatten)]
        api: Api,
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
    /// Show what a running daemon did, and what people decided, paused and resumed: when, what, why, by whom, and did it help
    History {
        /// How far back: 90s, 30m, 12h, 1h30m, 7d
        #[arg(long, value_name = "TIME", default_value = "24h", value_parser = pause::duration)]
        since: Duration,
        /// Only what was done to this target or component, such as kubernetes/shop/deployment/cart
        #[arg(long, value_name = "TARGET")]
        target: Option<String>,
        #[command(flatten)]
        api: Api,
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
    /// Ask a running daemon, or Charter, whether it is alive: exit code 0 when it is, for health checks
    Health {
        /// The address to ask [default: the daemon's API, http://localhost:<api.port>, https with api.tls]
        #[arg(long, value_name = "URL")]
        url: Option<Url>,
        /// PEM file of certificates to trust for https [default: api.tls.cert of the configuration]
        #[arg(long, value_name = "FILE")]
        ca: Option<PathBuf>,
    },
    /// Say why a running daemon did or did not act: in the latest cycle, or about one violation, proposal, action or incident
    Explain {
        #[arg(value_enum, default_value_t)]
        about: explain::About,
        /// Its id; without one the latest cycle
        id: Option<String>,
        #[command(flatten)]
        api: Api,
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
    /// Approve a proposal of a running daemon: the next cycle executes exactly that, if its guards still let it
    Approve(Decide),
    /// Reject a proposal of a running daemon
    Reject {
        #[command(flatten)]
        decide: Decide,
        /// Why; kept with the proposal, shown by explain and history
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Pause a running daemon: it sends no action to any system and undoes none; it goes on observing and notifying
    Pause {
        /// Why; status, explain and history show it
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// The pause ends by itself after this time: 90s, 30m, 1h30m, up to 7d
        #[arg(long = "for", value_name = "TIME", default_value = "1h", value_parser = pause::lasting)]
        lasts: Duration,
        /// Shorten a pause that ends later; without this flag the later end applies
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        person: Person,
    },
    /// End the pause of a running daemon
    Resume(Person),
    /// Print a script that completes commands and flags in a shell
    Completions {
        #[arg(value_enum)]
        shell: Shell,
    },
}

/// Shells that a script is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Who pauses or resumes, and which daemon.
#[derive(Debug, Args)]
struct Person {
    /// Your name; the record keeps it [default: $USER]
    #[arg(long)]
    by: Option<String>,
    #[command(flatten)]
    api: Api,
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Where the running daemon is.
#[derive(Debug, Args)]
struct Api {
    /// The daemon's API [default: http://localhost:<api.port>, https with api.tls]
    #[arg(long, value_name = "URL")]
    url: Option<Url>,
    /// Token to send [default: to read, api.read_token of the configuration, else api.token; to decide, api.token]
    #[arg(long, env = "MAPE_K_API_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// PEM file of certificates to trust for https [default: api.tls.cert of the configuration]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Decide {
    /// At least the first 8 characters of a plan hash, an incident's id or a policy's id, as `mape-k status` shows them
    #[arg(value_name = "INCIDENT|POLICY|HASH")]
    proposal: String,
    /// The revision that you read; when it has changed, the command asks you
    #[arg(long)]
    revision: Option<u32>,
    /// The plan hash that you read, or at least its first 8 characters; when it has changed, the command asks you
    #[arg(long, value_name = "HASH")]
    plan_hash: Option<String>,
    /// Decide on what is proposed now without asking, even if it has changed since you read it
    #[arg(short, long)]
    yes: bool,
    /// Your name; the record keeps it [default: $USER]
    #[arg(long)]
    by: Option<String>,
    #[command(flatten)]
    api: Api,
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Runs the command; an error is printed by the caller and ends with a failure.
pub async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let common = cli.common;
    match cli.command {
        Command::Run { once, dry_run, rehearsal, output } => {
            let (mut config, warnings) =
                rehearsal::prepare(Common::advised(common.config.as_deref())?, &rehearsal).await?;
            let narrowed = move |config: &mut Config| {
                if dry_run {
                    config.only_observe();
                }
            };
            narrowed(&mut config);
            if once {
                Box::pin(run::once((config, warnings), common.logs(), output)).await
            } else {
                let (format, path) = (common.logs(), common.config);
                let source = Arc::new(move || {
                    let (mut config, warnings) = Common::advised(path.as_deref())?;
                    narrowed(&mut config);
                    Ok((config, warnings))
                });
                Box::pin(run::daemon((config, warnings), format, source)).await
            }
        }
        Command::CheckConfig { diff: false, output, .. } => {
            Ok(check_config::run(common.config.as_deref(), output))
        }
        Command::CheckConfig { diff: true, api, output } => {
            let read = Common::advised(common.config.as_deref())?;
            let is_named = api.url.is_some();
            let client = common.client(api)?;
            config_diff::run(read, &client, is_named, output, &mut std::io::stdout()).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Observe { output } => {
            Box::pin(observe::run(common.load()?, common.logs(), output)).await
        }
        Command::Demo { duration, seed, output } => {
            demo::run(Duration::from_secs(duration), seed, output).await
        }
        Command::Charter(arguments) => charter::run(arguments, common.logs()).await,
        Command::Doctor { notify, output } => {
            Box::pin(doctor::run(common.read()?, common.logs(), notify, output)).await
        }
        Command::Status { watch, api, output } => {
            let client = common.client(api)?;
            let mut out = std::io::stdout();
            if watch {
                let is_terminal = out.is_terminal();
                status::watch(&client, output, is_terminal, &mut out).await?;
            } else {
                status::run(&client, output, &mut out).await?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::History { since, target, api, output } => {
            let client = common.client(api)?;
            let out = &mut std::io::stdout();
            history::run(&client, since, target.as_deref(), output, out).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Health { url, ca } => {
            health::run(&common.prober(url, ca)?, &mut std::io::stdout()).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Explain { about, id, api, output } => {
            let client = common.client(api)?;
            explain::run(&client, about, id.as_deref(), output, &mut std::io::stdout()).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Approve(arguments) => common.decide(arguments, Decision::Approve, None).await,
        Command::Reject { decide, reason } => common.decide(decide, Decision::Reject, reason).await,
        Command::Pause { reason, lasts, replace, person: Person { by, api, output } } => {
            let by = decide::decider(by)?;
            let (client, out) = (common.client(api)?, &mut std::io::stdout());
            pause::pause(&client, &reason, lasts, replace, &by, output, out).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Resume(Person { by, api, output }) => {
            let by = decide::decider(by)?;
            let client = common.client(api)?;
            pause::resume(&client, &by, output, &mut std::io::stdout()).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Completions { shell } => {
            let shell = match shell {
                Shell::Bash => clap_complete::Shell::Bash,
                Shell::Zsh => clap_complete::Shell::Zsh,
                Shell::Fish => clap_complete::Shell::Fish,
            };
            let out = &mut std::io::stdout();
            clap_complete::generate(shell, &mut Cli::command(), "mape-k", out);
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Starts logging as configured; keep the guard until the end, it flushes.
pub(crate) fn start_logs(
    settings: &telemetry::Settings,
    format: Option<LogFormat>,
) -> anyhow::Result<telemetry::Guard> {
    let format = format.unwrap_or(settings.format);
    Ok(telemetry::init(&telemetry::Settings { format, ..settings.clone() })?)
}
