//! What every command begins with: the configuration, a running daemon's address and the tokens for it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use url::Url;

use super::client::{self, Client, ReadsWithToken};
use super::terminal::complain;
use super::{Api, Common, Decide, Format, decide};
use crate::config::{Config, Errors, Warning};
use crate::domain::address;
use crate::domain::secret::Secret;
use crate::knowledge::Decision;
use crate::server;
use crate::telemetry::LogFormat;

impl Common {
    /// The daemon that the configuration would start, unless the command names another; its token and certificate in
    /// either case. Of the configuration nothing else is read: whatever is wrong in it, a person can stop the daemon.
    pub(super) fn client(&self, api: Api) -> anyhow::Result<Client> {
        let without = api.url.as_ref().map(|_| "the command line");
        let settings = self.settings(without)?;
        let mut flags = Vec::new();
        flags.extend(self.config.as_ref().map(|file| ("--config", file.display().to_string())));
        flags.extend(
            api.url
                .as_ref()
                .map(|url| ("--url", address::redacted(url).trim_end_matches('/').to_owned())),
        );
        flags.extend(api.ca.as_ref().map(|file| ("--ca", file.display().to_string())));
        Ok(Self::client_by(settings, api)?.named_by(&flags))
    }

    /// `without`: what there is to go by where the configuration cannot be read.
    pub(super) fn settings(&self, without: Option<&str>) -> anyhow::Result<server::Settings> {
        let read = Config::load_client(self.config.as_deref(), &environment);
        let (settings, warnings) = match (read, without) {
            (Ok(read), _) => read,
            (Err(errors), Some(without)) => {
                complain(&format!(
                    "warning: the configuration is not used, only {without}: {errors}"
                ));
                Config::parse_client("", &environment)?
            }
            (Err(errors), None) => return Err(errors.into()),
        };
        for warning in warnings {
            complain(&format!("warning: {warning}"));
        }
        Ok(settings)
    }

    pub(super) fn client_by(settings: server::Settings, api: Api) -> anyhow::Result<Client> {
        let own = client::local_url(&settings);
        let configured = client::configured_url(&settings);
        let is_own = api.url.as_ref().is_none_or(|url| {
            let is_it = |own: &str| Url::parse(own).is_ok_and(|own| own == *url);
            is_it(&own) || is_it(&configured)
        });
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
    pub(super) fn prober(&self, url: Option<Url>, ca: Option<PathBuf>) -> anyhow::Result<Client> {
        match url {
            Some(url) if url.scheme() == "http" => Ok(Client::new(url.as_str(), None)),
            url => {
                let settings = self.settings(Some("the command line and the defaults"))?;
                Ok(Self::client_by(settings, Api { url, token: None, ca })?.without_tokens())
            }
        }
    }

    pub(super) async fn decide(
        &self,
        arguments: Decide,
        decision: Decision,
        reason: Option<String>,
    ) -> anyhow::Result<ExitCode> {
        let Decide { proposal, revision, plan_hash, yes, by, api, output } = arguments;
        let by = decide::decider(by)?;
        let client = self.client(api)?;
        let named = decide::Named { subject: proposal, revision, plan_hash };
        let consent = decide::Consent::of(yes);
        let word = decide::Word { decision, named, by, reason, consent };
        decide::run(&client, word, output, &mut std::io::stdout()).await?;
        Ok(ExitCode::SUCCESS)
    }

    pub(super) fn read(&self) -> anyhow::Result<(Config, Vec<Warning>)> {
        Ok(Config::load(self.config.as_deref(), &environment)?)
    }

    /// For the daemon, and for the commands that check its configuration.
    pub(super) fn advised(path: Option<&Path>) -> Result<(Config, Vec<Warning>), Errors> {
        let (config, mut warnings) = Config::load(path, &environment)?;
        warnings.extend(config.advice());
        Ok((config, warnings))
    }

    /// For commands that speak to a person.
    pub(super) fn load(&self) -> anyhow::Result<Config> {
        let (config, warnings) = self.read()?;
        for warning in warnings {
            complain(&format!("warning: {warning}"));
        }
        Ok(config)
    }

    pub(super) fn logs(&self) -> Option<LogFormat> {
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
