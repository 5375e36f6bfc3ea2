//! The commands of `mape-k`, one file each; this file reads the command line and calls them.

pub mod charter;
pub mod check_config;
pub mod client;
pub mod config_diff;
pub mod decide;
pub mod demo;
pub mod explain;
pub mod health;
pub mod observe;
pub mod pause;
pub mod rehearsal;
pub mod run;
pub mod status;
pub mod terminal;
mod trust;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use url::Url;

use self::client::{Client, ReadsWithToken};
use self::terminal::complain;
use crate::config::{Config, Errors, Warning};
use crate::domain::secret::Secret;
use crate::knowledge::Decision;
use crate::server;
use crate::telemetry::{self, LogFormat};

/// Keeps a distributed system healthy by itself, and says why.
///
/// Reads Prometheus and Alertmanager, finds what is wrong, chooses the best remedy and applies it through Charter's
/// control API. What it cannot or may not fix it escalates.
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
    /// Run the daemon until it is told to stop
    Run {
        /// Run one cycle, print its report and leave
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
    /// Read every source once, print what is wrong and leave; nothing is stored or changed. Exit code 0: all was read;
    /// 2: a source could not be read, and is named
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
    /// Show what a running daemon sees, does and waits for
    Status {
        #[command(flatten)]
        api: Api,
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
    /// Ask a running daemon, or Charter, whether it is alive: exit code 0 when it is, for health checks
    Health {
        /// Whom to ask [default: the daemon's API, http://localhost:<api.port>, https with api.tls]
        #[arg(long, value_name = "URL")]
        url: Option<Url>,
        /// PEM file of certificates to trust for https [default: api.tls.cert of the configuration]
        #[arg(long, value_name = "FILE")]
        ca: Option<PathBuf>,
    },
    /// Say why a running daemon did or did not act: the latest cycle, or what is named
    Explain {
        #[arg(value_enum, default_value_t)]
        about: explain::About,
        /// Which one; of cycles the latest without it
        id: Option<String>,
        #[command(flatten)]
        api: Api,
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
    /// Approve a pending policy of a running daemon
    Approve(Decide),
    /// Reject a pending policy of a running daemon
    Reject(Decide),
    /// Kill switch: a running daemon carries out no action on any system and undoes nothing; it observes on
    Pause {
        /// Why: everybody who wonders reads it
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// It ends by itself after this time: 90s, 30m, 1h, up to 7d
        #[arg(long = "for", value_name = "TIME", default_value = "1h", value_parser = pause::duration)]
        lasts: Duration,
        /// End a longer pause that holds at the time asked here; without it the later end stands
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        person: Person,
    },
    /// End the pause of a running daemon
    Resume(Person),
}

/// Who says it, and to which daemon.
#[derive(Debug, Args)]
struct Person {
    /// Who says it [default: $USER]
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
    /// The policy's id, as `mape-k status` shows it
    policy: String,
    /// The revision that was read [default: the present one]
    #[arg(long)]
    revision: Option<u32>,
    /// The plan hash that was read, or at least its first 12 characters [default: the present one]
    #[arg(long, value_name = "HASH")]
    plan_hash: Option<String>,
    /// Who decides [default: $USER]
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
        Command::Status { api, output } => {
            let client = common.client(api)?;
            status::run(&client, output, &mut std::io::stdout()).await?;
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
        Command::Approve(arguments) => common.decide(arguments, Decision::Approve).await,
        Command::Reject(arguments) => common.decide(arguments, Decision::Reject).await,
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
    }
}

impl Common {
    /// The daemon that the configuration would start, unless the command names another; its token and certificate in
    /// either case. Of the configuration nothing else is read: whatever is wrong in it, a person can stop the daemon.
    fn client(&self, api: Api) -> anyhow::Result<Client> {
        let without = api.url.as_ref().map(|_| "the command line");
        let settings = self.settings(without)?;
        Self::client_by(settings, api)
    }

    /// `without`: what there is to go by where the configuration cannot be read.
    fn settings(&self, without: Option<&str>) -> anyhow::Result<server::Settings> {
        let env = |name: &str| std::env::var(name).ok();
        let read = Config::load_client(self.config.as_deref(), &env);
        let (settings, warnings) = match (read, without) {
            (Ok(read), _) => read,
            (Err(errors), Some(without)) => {
                complain(&format!("warning: going by {without} alone: {errors}"));
                Config::parse_client("", &env)?
            }
            (Err(errors), None) => return Err(errors.into()),
        };
        for warning in warnings {
            complain(&format!("warning: {warning}"));
        }
        Ok(settings)
    }

    fn client_by(settings: server::Settings, api: Api) -> anyhow::Result<Client> {
        let own = client::local_url(&settings);
        let is_own =
            api.url.as_ref().is_none_or(|url| Url::parse(&own).is_ok_and(|own| own == *url));
        let url = api.url.map_or(own, |url| url.to_string());
        // Compose files pass on variables that are set but empty.
        let token = api.token.filter(|token| !token.is_empty()).map(Secret::new);
        let client = if let Some(token) = token {
            // One that was given for this call is meant for all of it; the variable stands over api.token, as in the daemon.
            let is_configured = settings.token.as_ref() == Some(&token);
            let read_token = settings.read_token.filter(|_| is_configured);
            Client::new(&url, Some(token)).reading_with(read_token)
        } else {
            let reads = if is_own { ReadsWithToken::WhenRefused } else { ReadsWithToken::Never };
            Client::new(&url, settings.token).reading(reads).reading_with(settings.read_token)
        };
        let own = settings.tls.map(|tls| tls.cert).filter(|_| url.starts_with("https:"));
        Ok(match api.ca.or(own) {
            Some(ca) => client.trusting(&ca)?,
            None => client,
        })
    }

    /// /health needs no token and is sent none, for what answers may be Charter; a plain address needs no configuration.
    /// A file that was spoiled after the daemon's start gets no healthy daemon restarted.
    fn prober(&self, url: Option<Url>, ca: Option<PathBuf>) -> anyhow::Result<Client> {
        match url {
            Some(url) if url.scheme() == "http" => Ok(Client::new(url.as_str(), None)),
            url => {
                let settings = self.settings(Some("the command line and the defaults"))?;
                Ok(Self::client_by(settings, Api { url, token: None, ca })?.without_tokens())
            }
        }
    }

    async fn decide(&self, arguments: Decide, decision: Decision) -> anyhow::Result<ExitCode> {
        let by = decide::decider(arguments.by)?;
        let client = self.client(arguments.api)?;
        let read = decide::Read {
            id: arguments.policy,
            revision: arguments.revision,
            plan_hash: arguments.plan_hash,
        };
        let out = &mut std::io::stdout();
        decide::run(&client, decision, read, &by, arguments.output, out).await?;
        Ok(ExitCode::SUCCESS)
    }

    fn read(&self) -> anyhow::Result<(Config, Vec<Warning>)> {
        Ok(Config::load(self.config.as_deref(), &environment)?)
    }

    /// For the daemon, and for whoever asks what its configuration is worth.
    fn advised(path: Option<&Path>) -> Result<(Config, Vec<Warning>), Errors> {
        let (config, mut warnings) = Config::load(path, &environment)?;
        warnings.extend(config.advice());
        Ok((config, warnings))
    }

    /// For commands that speak to a person.
    fn load(&self) -> anyhow::Result<Config> {
        let (config, warnings) = self.read()?;
        for warning in warnings {
            complain(&format!("warning: {warning}"));
        }
        Ok(config)
    }

    fn logs(&self) -> Option<LogFormat> {
        self.log_format.map(|format| match format {
            Format::Json => LogFormat::Json,
            Format::Text => LogFormat::Text,
        })
    }
}

/// Of this process.
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Starts logging as configured; keep the guard until the end, it flushes.
pub(crate) fn start_logs(
    settings: &telemetry::Settings,
    format: Option<LogFormat>,
) -> anyhow::Result<telemetry::Guard> {
    let format = format.unwrap_or(settings.format);
    Ok(telemetry::init(&telemetry::Settings { format, ..settings.clone() })?)
}
