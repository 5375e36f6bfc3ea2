//! S14: TLS on both listeners with a certificate of a test's own, and what the commands make of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::Datelike;
use mape_k::config::Config;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedKey, IsCa, KeyPair, date_time_ymd,
    generate_simple_self_signed,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::config::{shipped, write};
use crate::support::eventually::eventually;
use crate::support::ports::free_port;
use crate::support::process::{Finished, Process};
use crate::support::tools::root;

/// Ten times what a start or a command needs.
const SOON: Duration = Duration::from_secs(60);

const TOKEN: &str = "operate-0123456789abcdef";

/// A certificate of its own for `names` and its key, as PEM files in `folder`.
fn certificate(folder: &Path, name: &str, names: &[&str]) -> (PathBuf, PathBuf) {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(names).expect("a certificate");
    let (crt, key) = (folder.join(format!("{name}.crt")), folder.join(format!("{name}.key")));
    fs::write(&crt, cert.pem()).expect("written");
    fs::write(&key, signing_key.serialize_pem()).expect("written");
    (crt, key)
}

/// A daemon that speaks TLS and has nothing around it.
struct Encrypted {
    process: Process,
    folder: TempDir,
    config: PathBuf,
    cert: PathBuf,
    api: u16,
    webhook: u16,
}

impl Encrypted {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (cert, key) = certificate(folder.path(), "own", &["localhost", "127.0.0.1"]);
        Self::start_in(folder, cert, &key).await
    }

    async fn start_with(cert: &Path, key: &Path) -> Self {
        Self::start_in(tempfile::tempdir().expect("a folder"), cert.to_owned(), key).await
    }

    async fn start_in(folder: TempDir, cert: PathBuf, key: &Path) -> Self {
        let (api, webhook) = (free_port(), free_port());
        let mut file = shipped("mape_k_config.yaml");
        file["api"]["port"] = json!(api);
        file["api"]["token"] = json!(TOKEN);
        file["api"]["read_token"] = json!("read-0123456789abcdef");
        file["api"]["rate_limit"] = json!(20);
        file["api"]["tls"] = json!({"cert": cert, "key": key});
        file["alertmanager"]["webhook_port"] = json!(webhook);
        for (section, key) in
            [("alertmanager", "url"), ("monitor", "prometheus_url"), ("execute", "charter_url")]
        {
            file[section][key] = json!("http://127.0.0.1:9");
        }
        file["knowledge"]["database"] = json!("memory");
        file["escalation"]["reports_dir"] = json!(folder.path().join("logs"));
        let config = write(&folder.path().join("mape_k_config.yaml"), &file);
        let text = config.to_str().expect("a plain path");
        let mut process = Process::start_mape_k(&["run", "--config", text], &[]);
        // Whether its certificate can be trusted is what some tests are about.
        let http = reqwest::Client::builder().tls_danger_accept_invalid_certs(true);
        let http = http.timeout(SOON).build().expect("an HTTP client");
        let url = format!("https://localhost:{api}/health");
        eventually(SOON, "the daemon answers over TLS", async || {
            if let Some(status) = process.ended() {
                panic!("the daemon ended at its start ({status})\n{}", process.tail());
            }
            http.get(&url).send().await.map(drop)
        })
        .await;
        Self { process, folder, config, cert, api, webhook }
    }
}

/// Issue 14: the manifests' probe: strangers on every place of a listener that speaks TLS, tokens configured, none given.
#[tokio::test]
async fn s14_the_probe_gets_through_to_a_full_listener_with_tls_and_tokens() {
    rlimit::increase_nofile_limit(u64::MAX).expect("the limit of open files");
    let daemon = Encrypted::start().await;
    let mut strangers = Vec::new();
    for number in 0..520 {
        let socket = TcpSocket::new_v4().expect("a socket");
        let from = [127, 0, 0, u8::try_from(2 + number % 5).expect("a small number")];
        socket.bind((from, 0).into()).expect("an address of this machine");
        let to = ([127, 0, 0, 1], daemon.api).into();
        strangers.push(socket.connect(to).await.expect("a connection"));
    }
    let config = daemon.config.to_str().expect("a plain path");
    for _ in 0..3 {
        let health = mape_k(&["health", "--config", config], &[]).await;
        assert!(health.status.success(), "{health:?}");
    }
    drop(strangers);
}

fn trusting(cert: &Path) -> reqwest::Client {
    let pem = fs::read(cert).expect("the certificate");
    let cert = reqwest::Certificate::from_pem(&pem).expect("a certificate");
    reqwest::Client::builder().tls_certs_only([cert]).timeout(SOON).build().expect("an HTTP client")
}

async fn mape_k(args: &[&str], env: &[(&str, &str)]) -> Finished {
    Process::start_mape_k(args, env).finished(SOON).await
}

#[tokio::test]
async fn s14_both_listeners_speak_tls_and_the_commands_find_and_trust_them() {
    let mut daemon = Encrypted::start().await;
    let config = daemon.config.to_str().expect("a plain path");

    // By the configuration alone: address, certificate and token.
    let status = mape_k(&["status", "--config", config], &[]).await;
    assert!(status.status.success(), "{status:?}");
    assert!(status.stdout.contains(&format!("at https://localhost:{}", daemon.api)), "{status:?}");

    let health = mape_k(&["health", "--config", config], &[]).await;
    assert!(health.status.success(), "{health:?}");

    // From elsewhere: by address, token and a certificate to trust.
    let url = format!("https://127.0.0.1:{}", daemon.api);
    let ca = daemon.cert.to_str().expect("a plain path");
    let by_read_token = [("MAPE_K_API_READ_TOKEN", "read-0123456789abcdef")];
    let status = mape_k(&["status", "--url", &url, "--ca", ca], &by_read_token).await;
    assert!(status.status.success(), "{status:?}");
    let token = [("MAPE_K_API_TOKEN", TOKEN), ("MAPE_K_API_READ_TOKEN", "")];
    let decided = mape_k(&["approve", "7", "--by", "ada", "--url", &url, "--ca", ca], &token).await;
    assert!(decided.stderr.contains("names no proposal"), "{decided:?}");

    // Neither without trust nor without a token.
    let untrusted = mape_k(&["status", "--url", &url], &token).await;
    assert!(!untrusted.status.success(), "{untrusted:?}");
    let untrusted = mape_k(&["health", "--url", &url], &[]).await;
    assert_eq!(untrusted.status.code(), Some(1), "{untrusted:?}");
    let health = mape_k(&["health", "--url", &url, "--ca", ca], &[]).await;
    assert!(health.status.success(), "{health:?}");
    let (other, _) = certificate(daemon.folder.path(), "other", &["localhost", "127.0.0.1"]);
    let other = other.to_str().expect("a plain path");
    let untrusted = mape_k(&["status", "--url", &url, "--ca", other], &token).await;
    assert!(!untrusted.status.success(), "{untrusted:?}");
    let nameless = mape_k(&["status", "--url", &url, "--ca", ca], &[]).await;
    assert!(!nameless.status.success() && nameless.stderr.contains("401"), "{nameless:?}");
    let missing = mape_k(&["status", "--url", &url, "--ca", "/nowhere.pem"], &token).await;
    assert!(missing.stderr.contains("/nowhere.pem"), "{missing:?}");

    // The webhook, as Alertmanager sends it.
    let http = trusting(&daemon.cert);
    let payload = fs::read(root().join("tests/fixtures/alertmanager/webhook_critical_firing.json"));
    let url = format!("https://localhost:{}/webhooks/alerts", daemon.webhook);
    let answer = http.post(url).body(payload.expect("a fixture")).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);

    daemon.process.terminate();
    assert!(daemon.process.finished(SOON).await.status.success());
}

/// A handshake is the peer's time and nobody else's: whoever speaks plain HTTP, or nothing, is hung up on.
#[tokio::test]
async fn s14_who_does_not_shake_hands_is_hung_up_on_and_holds_up_nobody() {
    let daemon = Encrypted::start().await;
    let address = ("127.0.0.1", daemon.api);
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(address).await.expect("a connection"));
    }
    let health = format!("https://localhost:{}/health", daemon.api);
    let answer = trusting(&daemon.cert).get(health).send().await.expect("an answer meanwhile");
    assert_eq!(answer.status(), 200);

    for (port, head) in [
        (daemon.api, "GET /health HTTP/1.1\r\nhost: mape-k\r\n\r\n"),
        (
            daemon.webhook,
            "POST /webhooks/alerts HTTP/1.1\r\nhost: mape-k\r\ncontent-length: 2\r\n\r\n{}",
        ),
    ] {
        let mut plain = TcpStream::connect(("127.0.0.1", port)).await.expect("a connection");
        plain.write_all(head.as_bytes()).await.expect("sent");
        let mut said = Vec::new();
        let read = plain.read_to_end(&mut said);
        // A reset is an end as well.
        let _ = tokio::time::timeout(SOON, read).await.expect("hung up on");
        assert!(!String::from_utf8_lossy(&said).contains("HTTP/"), "{said:?}");
    }
    for mut stream in silent {
        let mut said = Vec::new();
        let ended = tokio::time::timeout(SOON, stream.read_to_end(&mut said)).await;
        ended.expect("a handshake ends in bounded time").expect("closed");
        assert!(said.is_empty());
    }
}

/// A certificate of its own as people make them: `openssl req -x509` marks it as an authority; and one for another name.
#[tokio::test]
async fn s14_the_daemons_own_certificate_is_trusted_whatever_it_says_of_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let (crt, key) = (folder.path().join("x509.crt"), folder.path().join("x509.key"));
    let mut params = CertificateParams::new(vec!["mape-k.example".to_owned()]).expect("names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pair = KeyPair::generate().expect("a key");
    fs::write(&crt, params.self_signed(&pair).expect("signed").pem()).expect("written");
    fs::write(&key, pair.serialize_pem()).expect("written");
    let daemon = Encrypted::start_with(&crt, &key).await;
    let config = daemon.config.to_str().expect("a plain path");
    let status = mape_k(&["status", "--config", config], &[]).await;
    assert!(status.status.success(), "{status:?}");

    // An address of one's own takes neither token nor certificate of the configuration away.
    let url = format!("https://127.0.0.1:{}", daemon.api);
    let status = mape_k(&["status", "--config", config, "--url", &url], &[]).await;
    assert!(status.status.success(), "{status:?}");

    // What fails is told as what it is.
    let (other, _) = certificate(daemon.folder.path(), "other", &["localhost", "127.0.0.1"]);
    let other = other.to_str().expect("a plain path");
    let wrong = mape_k(&["status", "--config", config, "--ca", other], &[]).await;
    assert!(!wrong.status.success() && wrong.stderr.contains("TLS"), "{wrong:?}");
    assert!(!wrong.stderr.contains("no daemon answers"), "{wrong:?}");
}

/// The kill switch works with what its user may read, whatever is wrong in the rest of the file.
#[tokio::test]
async fn s04_a_configuration_that_would_not_start_does_not_keep_a_person_from_pausing() {
    let daemon = Encrypted::start().await;
    let mut file: Value =
        serde_json::from_str(&fs::read_to_string(&daemon.config).expect("the configuration"))
            .expect("as it was written");
    // What the operator may not read is to the command the same as what is not there.
    file["api"]["tls"]["key"] = json!("/nowhere/only-root-reads-this.key");
    file["api"]["rate_limt"] = json!(7);
    file["plan"]["min_scroe"] = json!(0.5);
    file["monitor"]["poll_interval"] = json!("soon");
    let config = write(&daemon.folder.path().join("broken.yaml"), &file);
    let config = config.to_str().expect("a plain path");
    let checked = mape_k(&["check-config", "--config", config], &[]).await;
    assert!(!checked.status.success(), "{checked:?}");
    for command in [
        &["pause", "--reason", "x", "--by", "ada"][..],
        &["status"],
        &["explain"],
        &["resume", "--by", "ada"],
    ] {
        let done = mape_k(&[command, &["--config", config]].concat(), &[]).await;
        let answered = done.status.success() || done.stderr.contains("404");
        assert!(answered, "{command:?}: {done:?}");
    }
    // Where the daemon is, is never guessed.
    file["api"]["port"] = json!("the usual");
    let config = write(&daemon.folder.path().join("lost.yaml"), &file);
    let lost = mape_k(&["status", "--config", config.to_str().expect("a path")], &[]).await;
    assert!(!lost.status.success() && lost.stderr.contains("api.port"), "{lost:?}");
}

/// Found where it can still be mended: an expired certificate never starts, one that soon will is a warning.
#[test]
fn s14_the_end_of_a_certificate_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let until = |name: &str, days: i64| {
        let (crt, key) = (folder.path().join(name), folder.path().join(format!("{name}.key")));
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("names");
        let end = chrono::Utc::now() + chrono::TimeDelta::days(days);
        params.not_after = date_time_ymd(
            end.year(),
            u8::try_from(end.month()).expect("a month"),
            u8::try_from(end.day()).expect("a day"),
        );
        let pair = KeyPair::generate().expect("a key");
        fs::write(&crt, params.self_signed(&pair).expect("signed").pem()).expect("written");
        fs::write(&key, pair.serialize_pem()).expect("written");
        let file = json!({"api": {"tls": {"cert": crt, "key": key}}});
        Config::parse(&file.to_string(), &|_| None)
    };
    let expired = until("expired.crt", -2).expect_err("refused").to_string();
    assert!(expired.contains("api.tls.cert") && expired.contains("expired.crt"), "{expired}");
    let (_, warnings) = until("soon.crt", 7).expect("accepted");
    assert!(warnings.iter().any(|w| w.to_string().contains("expires at")), "{warnings:?}");
    let (_, warnings) = until("fresh.crt", 60).expect("accepted");
    assert!(!warnings.iter().any(|w| w.to_string().contains("expires")), "{warnings:?}");
}

/// That of the webhook cannot be left out where it is made.
#[tokio::test]
async fn s14_the_running_daemon_holds_the_configured_limits() {
    let daemon = Encrypted::start().await;
    let http = trusting(&daemon.cert);
    let url = format!("https://localhost:{}/api/v1/resume", daemon.api);
    let asked =
        (0..60).map(|_| http.post(&url).bearer_auth(TOKEN).json(&json!({"by": "a"})).send());
    let answers = futures::future::join_all(asked).await;
    let codes: Vec<u16> =
        answers.into_iter().map(|a| a.expect("an answer").status().into()).collect();
    assert!(codes.contains(&200) && codes.contains(&429), "{codes:?}");
}

#[test]
fn s14_tls_needs_both_files_and_names_the_one_that_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let (cert, key) = certificate(folder.path(), "own", &["localhost"]);
    let (_, foreign) = certificate(folder.path(), "foreign", &["localhost"]);
    let empty = folder.path().join("empty.pem");
    fs::write(&empty, "no PEM").expect("written");
    let missing = folder.path().join("missing.pem");
    let parsed = |tls: Value| {
        Config::parse(&json!({"api": {"tls": tls}}).to_string(), &|_| None)
            .map(|(config, _)| config)
            .map_err(|errors| errors.to_string())
    };
    let config = parsed(json!({"cert": cert, "key": key})).expect("accepted");
    let yaml = config.to_yaml().expect("prints");
    let printed = Config::parse(&yaml, &|_| None).expect("what is printed loads again").0;
    assert_eq!(printed.api.tls.as_ref().map(|tls| &tls.cert), Some(&cert));
    assert_eq!(parsed(json!(null)).expect("accepted").api.tls, None);
    assert_eq!(parsed(json!({})).expect("accepted").api.tls, None);

    for (tls, path, named) in [
        (json!({"cert": cert}), "api.tls.key", "both or none"),
        (json!({"key": key}), "api.tls.cert", "both or none"),
        (json!({"cert": missing, "key": key}), "api.tls.cert", "missing.pem"),
        (json!({"cert": cert, "key": missing}), "api.tls.key", "missing.pem"),
        (json!({"cert": empty, "key": key}), "api.tls.cert", "empty.pem"),
        (json!({"cert": cert, "key": empty}), "api.tls.key", "empty.pem"),
        (json!({"cert": key, "key": cert}), "api.tls.cert", "own.key"),
        (json!({"cert": cert, "key": foreign}), "api.tls.key", "foreign.key"),
        (json!({"cert": cert, "key": key, "ca": cert}), "api.tls.ca", "unknown key"),
    ] {
        let error = parsed(tls.clone()).expect_err("refused");
        assert!(error.contains(path) && error.contains(named), "{tls}: {error}");
        assert!(!error.contains("PRIVATE KEY"), "{error}");
    }
}

/// Found by `check-config` and refused at the start alike, with the file's name.
#[tokio::test]
async fn s14_a_key_that_does_not_fit_never_starts() {
    let folder = tempfile::tempdir().expect("a folder");
    let (cert, _) = certificate(folder.path(), "own", &["localhost"]);
    let (_, foreign) = certificate(folder.path(), "foreign", &["localhost"]);
    let file = json!({"api": {"port": 0, "tls": {"cert": cert, "key": foreign}}});
    let config = write(&folder.path().join("wrong.yaml"), &file);
    let config = config.to_str().expect("a plain path");
    for command in ["check-config", "run"] {
        let finished = mape_k(&[command, "--config", config], &[]).await;
        assert_eq!(finished.status.code(), Some(1), "{finished:?}");
        let said = finished.stdout + &finished.stderr;
        assert!(said.contains("foreign.key") && said.contains("does not fit"), "{said}");
    }
}

/// The scopes and origins as the configuration takes them.
#[test]
fn s14_tokens_and_origins_are_checked_before_they_are_believed() {
    let parsed = |api: Value| Config::parse(&json!({"api": api}).to_string(), &|_| None);
    let same = parsed(json!({"token": TOKEN, "read_token": TOKEN})).expect_err("refused");
    assert!(same.to_string().contains("api.read_token"), "{same}");
    let (_, warnings) = parsed(json!({"token": "short"})).expect("accepted");
    assert!(warnings[0].to_string().contains("openssl rand"), "{warnings:?}");
    for origin in [
        "*",
        "null",
        "dashboard.example",
        "https://a.example/",
        "https://a.example/path",
        "ftp://a.example",
        "https://a.example:443",
    ] {
        let refused = parsed(json!({"cors_origins": [origin]})).expect_err(origin);
        assert!(refused.to_string().contains("api.cors_origins[0]"), "{refused}");
    }
    let refused = parsed(json!({"rate_limit": 19})).expect_err("refused");
    assert!(refused.to_string().contains("api.rate_limit"), "{refused}");
    let env = |name: &str| match name {
        "MAPE_K_API_TOKEN" => Some("from-env-operate".to_owned()),
        "MAPE_K_API_READ_TOKEN" => Some("from-env-read".to_owned()),
        "MAPE_K_WEBHOOK_TOKEN" => Some("from-env-webhook".to_owned()),
        _ => None,
    };
    let (config, _) = Config::parse("api: {token: of-the-file}", &env).expect("accepted");
    let exposed = [config.api.token, config.api.read_token, config.alertmanager.webhook_token]
        .map(|secret| secret.map(|secret| secret.expose().to_owned()).unwrap_or_default());
    assert_eq!(exposed, ["from-env-operate", "from-env-read", "from-env-webhook"]);
}
