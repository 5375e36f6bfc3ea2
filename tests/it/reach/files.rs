//! Issue 14, §2: what a secret file may be, who may read what is written, and what stands in a URL. Each kind of file that is
//! refused has a regular one beside it that is taken.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::TryRecvError;
use std::time::{Duration, Instant};

use mape_k::config::Config;
use mape_k::domain::secret::Secret;
use mape_k::http::read_secret_file;
use mape_k::knowledge::sqlite::SqliteStore;
use mape_k::telemetry;
use url::Url;

use super::{parsed, refused, warnings};
use crate::support::process::Process;

fn mode(path: &Path) -> u32 {
    fs::metadata(path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .permissions()
        .mode()
        & 0o777
}

fn with_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
}

/// Loads it on a thread of its own: a hang would be a hang of the start.
fn load(yaml: String) -> Result<(Config, Vec<String>), String> {
    let (done, loaded) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let loaded = Config::parse(&yaml, &|_| None);
        let loaded = loaded.map_err(|errors| errors.to_string());
        // Nobody waits any more when it took too long.
        let _ = done.send(loaded.map(|(config, warnings)| {
            (config, warnings.iter().map(ToString::to_string).collect())
        }));
    });
    loaded.recv_timeout(Duration::from_secs(20)).expect("loading ends")
}

#[test]
fn s14_only_a_regular_file_holds_a_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let made = Command::new("mkfifo").arg(at("fifo")).status().expect("mkfifo runs");
    assert!(made.success());
    let _socket = UnixListener::bind(at("socket")).expect("a socket");
    fs::create_dir(at("dir")).expect("a folder");
    fs::write(at("file"), " s3cret\n").expect("written");
    with_mode(&at("file"), 0o600);
    for name in ["fifo", "socket", "dir", "file"] {
        symlink(at(name), at(&format!("link-{name}"))).expect("a link");
    }
    symlink("/dev/zero", at("link-device")).expect("a link");
    symlink(at("nothing"), at("link-nothing")).expect("a link");
    for (key, path) in [
        ("monitor: {bearer_token_file", "monitor.bearer_token_file"),
        ("execute: {charter_api_key_file", "execute.charter_api_key_file"),
        ("api: {token_file", "api.token_file"),
        (
            "alertmanager: {http: {basic_auth: {username: me, password_file",
            "basic_auth.password_file",
        ),
        ("slack: {http: {headers: {X-Key: {file", "slack.http.headers.X-Key.file"),
    ] {
        let close = "}".repeat(key.matches('{').count());
        let yaml = |name: &str| format!("{key}: {}{close}", at(name).display());
        for (name, kind) in [
            ("fifo", "named pipe"),
            ("socket", "socket"),
            ("dir", "folder"),
            ("link-fifo", "named pipe"),
            ("link-socket", "socket"),
            ("link-dir", "folder"),
            ("link-device", "device"),
            ("link-nothing", "No such file"),
        ] {
            let text = load(yaml(name)).expect_err(name);
            assert!(text.contains(path) && text.contains(kind), "{name}: {text}");
        }
        for name in ["file", "link-file"] {
            let (_, warnings) = load(yaml(name)).expect(name);
            assert!(!warnings.iter().any(|text| text.contains("mode")), "{warnings:?}");
        }
    }
    let (config, _) =
        load(format!("monitor: {{bearer_token_file: {}}}", at("link-file").display()))
            .expect("taken");
    assert_eq!(config.monitor.bearer_token.as_ref().map(Secret::expose), Some("s3cret"));
}

/// Loose is what others may change, or what everybody on the machine may read; not what Kubernetes mounts by default.
#[test]
fn s14_a_loose_mode_of_a_secret_file_is_warned_about() {
    let folder = tempfile::tempdir().expect("a folder");
    let volume = folder.path().join("volume/..2026_11_29_12_00_00.123");
    fs::create_dir_all(&volume).expect("a folder");
    symlink("..2026_11_29_12_00_00.123", folder.path().join("volume/..data")).expect("a link");
    symlink("..data/token", folder.path().join("volume/token")).expect("a link");
    fs::write(volume.join("token"), "s3cret").expect("written");
    let plain = folder.path().join("token");
    fs::write(&plain, "s3cret").expect("written");
    let said = |path: &Path| {
        let all = warnings(&format!("monitor: {{bearer_token_file: {}}}", path.display()));
        all.into_iter().find(|text| text.contains("mode"))
    };
    for (mode, word) in [
        (0o600, None),
        (0o400, None),
        (0o640, None),
        (0o440, None),
        (0o644, Some("may read")),
        (0o604, Some("may read")),
        (0o620, Some("may replace")),
        (0o666, Some("may replace")),
        (0o602, Some("may replace")),
    ] {
        with_mode(&plain, mode);
        let text = said(&plain);
        assert_eq!(text.is_some(), word.is_some(), "{mode:o}: {text:?}");
        if let (Some(text), Some(word)) = (text, word) {
            let mode = format!("{mode:04o}");
            assert!(
                text.contains("monitor.bearer_token_file")
                    && text.contains(&mode)
                    && text.contains(word),
                "{text}"
            );
        }
    }
    let mounted = folder.path().join("volume/token");
    with_mode(&volume.join("token"), 0o644);
    assert_eq!(said(&mounted), None);
    with_mode(&volume.join("token"), 0o666);
    assert!(said(&mounted).expect("a warning").contains("may replace"));
}

#[tokio::test]
async fn s14_the_store_is_its_owners_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("data/deeper/knowledge.db");
    let store = SqliteStore::open(&path).await.expect("a store");
    let of = |suffix: &str| mode(&folder.path().join(format!("data/deeper/knowledge.db{suffix}")));
    assert_eq!(["", "-wal", "-shm", ".lock"].map(of), [0o600; 4]);
    assert_eq!(
        [mode(&folder.path().join("data")), mode(&folder.path().join("data/deeper"))],
        [0o700; 2]
    );
    drop(store);
    // The twin: a file that somebody has opened to a group stays so.
    with_mode(&path, 0o640);
    SqliteStore::open(&path).await.expect("a store");
    assert_eq!(mode(&path), 0o640);
}

#[test]
fn s14_logs_are_their_owners_alone_and_so_are_rotated_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("logs/mape-k.log");
    let settings = telemetry::Settings {
        file: Some(path.clone()),
        max_bytes: 400,
        backup_count: 2,
        ..telemetry::Settings::default()
    };
    let (dispatch, guard) = telemetry::build(&settings).expect("a log");
    tracing::dispatcher::with_default(&dispatch, || {
        for number in 0..20 {
            tracing::error!(
                number,
                "a line of a log that is long enough to rotate it now and then"
            );
        }
    });
    drop(guard);
    let files = ["mape-k.log", "mape-k.log.1", "mape-k.log.2"];
    assert_eq!(files.map(|name| mode(&folder.path().join("logs").join(name))), [0o600; 3]);
    assert_eq!(mode(&folder.path().join("logs")), 0o700);
}

/// Issue 14, §1: a raw # in a URL's password.
#[test]
fn s14_a_raw_sign_in_a_password_is_to_be_percent_encoded() {
    for (url, code) in [
        ("http://me:pa#ss@host:9090", "'#': percent-encode it as %23"),
        ("http://me:12#3@host:9090", "%23"),
        ("https://me#you:pw@host", "%23"),
        ("http://me:pa/ss@host", "'/': percent-encode it as %2F"),
        ("http://me:pa?ss@host", "'?': percent-encode it as %3F"),
        ("http://me:12?3@host", "%3F"),
        ("http://me:pa\\\\ss@host", "%5C"),
    ] {
        for key in [
            "monitor: {prometheus_url",
            "alertmanager: {url",
            "execute: {charter_url",
            "github: {api_url",
            "slack: {http: {proxy",
        ] {
            let close = "}".repeat(key.matches('{').count());
            let text = refused(&format!("{key}: \"{url}\"{close}"));
            assert!(text.contains(code), "{key} {url}: {text}");
            assert!(
                !text.contains("pa#") && !text.contains("ss@") && !text.contains("me:"),
                "{text}"
            );
        }
    }
    for url in [
        "postgres://me:pa#ss@db/mape_k",
        "postgres://me:pa/ss@db/mape_k",
        "postgres://me:1?2@db/mape_k",
    ] {
        let text = refused(&format!("knowledge: {{database: postgres, postgres_url: '{url}'}}"));
        assert!(
            text.contains("percent-encode") && !text.contains("pa#") && !text.contains("ss@"),
            "{text}"
        );
    }
    let text = refused("monitor: {source: scrape, scrape_url: 'http://me:12#3@host/metrics'}");
    assert!(text.contains("%23"), "{text}");
    // The twins: encoded it is the password that was meant, an @ is no trouble, and other mistakes get no such advice.
    let config = parsed("monitor: {prometheus_url: 'http://me:pa%23ss@host:9090'}");
    assert_eq!(config.monitor.prometheus_url.as_ref().and_then(Url::password), Some("pa%23ss"));
    let config = parsed("monitor: {prometheus_url: 'http://me:p@ss@host:9090'}");
    assert_eq!(config.monitor.prometheus_url.as_ref().and_then(Url::host_str), Some("host"));
    for url in ["http://host:port", "ftp://me:pw@host", "http://host/?a=b", "host:9090"] {
        let text = refused(&format!("monitor: {{prometheus_url: '{url}'}}"));
        assert!(!text.contains("percent-encode"), "{text}");
    }
}

#[test]
fn s14_a_database_that_may_be_spoken_to_in_plain_text_is_warned_about() {
    let said = |rest: &str| {
        let all = warnings(&format!(
            "knowledge: {{database: postgres, postgres_url: 'postgres://{rest}'}}"
        ));
        all.into_iter().find(|text| text.contains("plain text"))
    };
    for rest in [
        "me:s3cret@db/mape_k",
        "db.example:5432/mape_k?sslmode=prefer",
        "10.0.0.7/mape_k?sslmode=allow",
        "db/mape_k?sslmode=disable",
        "db/mape_k?sslrootcert=/ca.crt",
        "[2001:db8::1]/mape_k",
    ] {
        let text = said(rest).unwrap_or_else(|| panic!("{rest}: no warning"));
        assert!(text.contains("knowledge.postgres_url") && text.contains("require"), "{text}");
        assert!(!text.contains("s3cret"), "{text}");
    }
    for rest in [
        "db/mape_k?sslmode=require",
        "db/mape_k?sslmode=verify-ca",
        "db/mape_k?sslmode=verify-full",
        "localhost/mape_k",
        "127.0.0.1:5433/mape_k?sslmode=prefer",
        "[::1]/mape_k",
        "/mape_k?host=/run/postgresql",
        "%2Frun%2Fpostgresql/mape_k",
    ] {
        assert_eq!(said(rest), None, "{rest}");
    }
}

/// All that a daemon writes, by its own start: store, log, reports.
#[tokio::test]
async fn s14_what_a_daemon_writes_is_its_owners_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let outside = "http://127.0.0.1:9";
    let text = format!(
        "monitor: {{prometheus_url: \"{outside}\"}}\nexecute: {{charter_url: \"{outside}\"}}\n\
         alertmanager: {{enabled: false}}\nknowledge: {{sqlite_path: {}}}\nescalation: {{reports_dir: {}}}\n\
         logging: {{file: {}}}\napi: {{port: 0}}\n",
        at("written/data/knowledge.db").display(),
        at("written/reports").display(),
        at("written/log/mape-k.log").display(),
    );
    fs::write(at("config.yaml"), text).expect("written");
    let config = at("config.yaml").display().to_string();
    let arguments = ["run", "--once", "--config", &config];
    let finished = Process::start_mape_k(&arguments, &[]).finished(Duration::from_secs(60)).await;
    let mut names = Vec::new();
    let mut folders = vec![at("written")];
    while let Some(folder) = folders.pop() {
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
        for entry in fs::read_dir(&folder).expect("a folder").flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                assert_eq!(mode(&entry.path()), 0o600, "{}", entry.path().display());
                names.push(entry.file_name().into_string().expect("a name"));
            }
        }
    }
    for wanted in ["knowledge.db", "mape-k.log", "cycle_"] {
        let is_there = names.iter().any(|name| name.starts_with(wanted));
        assert!(is_there, "{wanted} is not among {names:?}: {}", finished.stderr);
    }
}

/// Issue 14: what two files hold is compared, not which files they are.
#[test]
fn s14_equal_tokens_from_two_files_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let written = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("written");
        with_mode(&path, 0o600);
        path.display().to_string()
    };
    let (one, same) = ("0123456789abcdef\n", "0123456789abcdef");
    let (operate, read) = (written("operate", one), written("read", same));
    let other = written("other", "fedcba9876543210");
    for yaml in [
        format!("api: {{token_file: {operate}, read_token_file: {read}}}"),
        format!("api: {{token_file: {operate}, read_token: {same}}}"),
        format!("api: {{token: {same}, read_token_file: {read}}}"),
    ] {
        let text = refused(&yaml);
        assert!(text.contains("api.read_token") && text.contains("could also operate"), "{text}");
    }
    parsed(&format!("api: {{token_file: {operate}, read_token_file: {other}}}"));
}

/// Issue 14: what is read is what was checked, though another kind of file takes the path's place in between.
#[test]
fn s14_a_secret_file_that_becomes_a_named_pipe_hangs_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let made = Command::new("mkfifo").arg(at("fifo")).status().expect("mkfifo runs");
    assert!(made.success());
    fs::write(at("file"), "s3cret").expect("written");
    symlink(at("file"), at("path")).expect("a link");
    let (done, ended) = std::sync::mpsc::channel();
    let path = at("path");
    std::thread::spawn(move || {
        let (mut taken, mut refused) = (0, 0);
        for _ in 0..20_000 {
            match read_secret_file(&path) {
                Ok((secret, _)) => {
                    assert_eq!(secret, "s3cret");
                    taken += 1;
                }
                Err(error) => {
                    assert!(error.to_string().contains("named pipe"), "{error}");
                    refused += 1;
                }
            }
        }
        // Nobody waits any more when it took too long.
        let _ = done.send((taken, refused));
    });
    let deadline = Instant::now() + Duration::from_secs(60);
    let counted = loop {
        for kind in ["fifo", "file"] {
            symlink(at(kind), at("next")).expect("a link");
            fs::rename(at("next"), at("path")).expect("replaced");
        }
        match ended.try_recv() {
            Ok(counted) => break counted,
            Err(TryRecvError::Empty) => assert!(Instant::now() < deadline, "reading hangs"),
            Err(TryRecvError::Disconnected) => panic!("reading failed"),
        }
    };
    assert!(counted.0 > 0, "{counted:?}");
}
