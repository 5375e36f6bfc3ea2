//! A real PostgreSQL as an ordinary user, with durable writes: one that tests share, or one of a test's own that it may
//! stop, kill and start again.
//!
//! PostgreSQL does not run as root. There it runs as nobody, or, where nobody may not reach the programs, as a user of a
//! user namespace.

use std::fs::Permissions;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use mape_k::knowledge::settings::PostgresUrl;
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

use super::eventually::eventually;
use super::ports::free_port;
use super::process::Process;
use super::tools::tools;

/// It is there within a second or two; this leaves room for a loaded machine and the replay of a log.
const READY_WITHIN: Duration = Duration::from_mins(1);
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// The superuser, whom every connection from this machine is believed to be.
const SUPERUSER: &str = "postgres";

/// Debian's `nobody`.
const NOBODY: u32 = 65_534;

/// How to become a user whom PostgreSQL accepts; empty for somebody who is one.
fn ordinary_user() -> &'static [&'static str] {
    const NOBODY: &[&str] = &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];
    const NAMESPACE: &[&str] =
        &["unshare", "--user", "--map-user=65534", "--map-group=65534", "--"];
    static WAY: OnceLock<&[&str]> = OnceLock::new();
    WAY.get_or_init(|| {
        if !is_root() {
            return &[];
        }
        let mut tried = Vec::new();
        for way in [NOBODY, NAMESPACE] {
            let mut command = Command::new(way[0]);
            let output = command.args(&way[1..]).arg(&tools().postgres).arg("--version").output();
            match output {
                Ok(output) if output.status.success() => return way,
                failed => tried.push(format!("{way:?}: {failed:?}")),
            }
        }
        panic!("PostgreSQL does not run as root, and no other user can run it here: {tried:?}")
    })
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("the command id exists");
    id.stdout.trim_ascii() == b"0"
}

fn command(program: &Path) -> Command {
    let Some((first, more)) = ordinary_user().split_first() else { return Command::new(program) };
    let mut command = Command::new(first);
    command.args(more).arg(program);
    command
}

/// Makes an empty cluster in `folder`, which the server's user then owns; where its data are.
fn initialize(folder: &Path) -> PathBuf {
    if ordinary_user().first() == Some(&"setpriv") {
        chown(folder, Some(NOBODY), Some(NOBODY)).expect("root may give away");
    }
    let data = folder.join("data");
    // The cluster itself need not survive a crash of this machine, so it is not synced.
    let output = command(&tools().initdb)
        .args(["--encoding=UTF8", "--locale=C", "--auth=trust", "--no-sync", "--username"])
        .args([SUPERUSER, "--pgdata"])
        .arg(&data)
        .current_dir(folder)
        .output()
        .expect("initdb starts");
    assert!(output.status.success(), "initdb: {output:?}");
    data
}

fn arguments(data: &Path, port: u16) -> Vec<String> {
    let mut arguments = vec!["-D".to_owned(), data.display().to_string(), "-p".to_owned()];
    arguments.push(port.to_string());
    for setting in [
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "fsync=on",
        "jit=off",
        "max_connections=200",
        "shared_buffers=16MB",
    ] {
        arguments.extend(["-c".to_owned(), setting.to_owned()]);
    }
    arguments
}

/// The database behind `url`, as its superuser.
pub async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap_or_else(|error| panic!("{url}: {error}"))
}

/// What the store is given.
pub fn address(url: &str) -> PostgresUrl {
    PostgresUrl::parse(url).expect("an address")
}

/// The server that the tests of this run share. It ends with the run: its shell waits for the end of a pipe.
struct Shared {
    port: u16,
    _shell: Child,
    _pipe: ChildStdin,
}

const HOLD: &str = r#"trap '' INT; folder=$1; shift
"$@" >"$folder/log" 2>&1 &
server=$!
echo started
cat >/dev/null
kill -s QUIT "$server"; wait "$server"; rm -rf "$folder""#;

/// An empty database of its own on the shared server; its address.
pub async fn database() -> String {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let shared = SHARED.get_or_init(|| {
        let folder =
            tempfile::Builder::new().prefix("mape-k-postgres").tempdir().expect("a folder");
        let port = free_port();
        let data = initialize(folder.path());
        // The shell removes it.
        let folder = folder.keep();
        let mut shell = Command::new("sh");
        shell.args(["-c", HOLD, "sh"]).arg(&folder).args(ordinary_user()).arg(&tools().postgres);
        let mut shell = shell
            .args(arguments(&data, port))
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the command sh exists");
        let pipe = shell.stdin.take().expect("a pipe");
        let mut said = String::new();
        BufReader::new(shell.stdout.take().expect("a pipe")).read_line(&mut said).expect("text");
        Shared { port, _shell: shell, _pipe: pipe }
    });
    let name = format!("mape_k_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let base = format!("postgres://{SUPERUSER}@127.0.0.1:{}", shared.port);
    create(&base, &name).await;
    format!("{base}/{name}")
}

async fn create(base: &str, name: &str) {
    let mut session = eventually(READY_WITHIN, "PostgreSQL is ready", async || {
        PgConnection::connect(&format!("{base}/postgres")).await
    })
    .await;
    let create = format!("CREATE DATABASE {name}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(create)).execute(&mut session).await.expect("created");
}

/// A server of a test's own.
pub struct Postgres {
    port: u16,
    folder: TempDir,
    data: PathBuf,
    process: Option<Process>,
}

impl Postgres {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder for PostgreSQL");
        let data = initialize(folder.path());
        let mut server = Self { port: free_port(), folder, data, process: None };
        server.start_again().await;
        create(&server.base(), "mape_k").await;
        server
    }

    fn base(&self) -> String {
        format!("postgres://{SUPERUSER}@127.0.0.1:{}", self.port)
    }

    /// The address of its one database.
    pub fn url(&self) -> String {
        format!("{}/mape_k", self.base())
    }

    /// The same database as another user.
    pub fn url_of(&self, user: &str) -> String {
        self.url().replacen(&format!("{SUPERUSER}@"), &format!("{user}@"), 1)
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Makes a file one that only the server may read, as it demands of its keys.
    pub fn give(&self, file: &Path) {
        std::fs::set_permissions(file, Permissions::from_mode(0o600)).expect("permissions");
        let owner = std::fs::metadata(&self.data).expect("the data").uid();
        chown(file, Some(owner), None).expect("its owner");
    }

    pub async fn start_again(&mut self) {
        assert!(self.process.is_none(), "PostgreSQL runs already");
        let mut command = command(&tools().postgres);
        command.args(arguments(&self.data, self.port)).current_dir(self.folder.path());
        let mut process = Process::start("postgres", &mut command);
        let url = format!("{}/postgres", self.base());
        eventually(READY_WITHIN, "PostgreSQL is ready", async || {
            if let Some(status) = process.ended() {
                panic!("postgres ended at its start ({status})\n{}", process.tail());
            }
            PgConnection::connect(&url).await.map(drop)
        })
        .await;
        self.process = Some(process);
    }

    /// Stops it in order, cutting whoever is connected.
    pub async fn stop(&mut self) {
        let mut process = self.process.take().expect("PostgreSQL runs");
        process.signal("INT");
        process.finished(STOP_WITHIN).await;
    }

    /// Ends it as a crash would: at once, without a last checkpoint, so that its log is all it has at the next start.
    pub async fn crash(&mut self) {
        let mut process = self.process.take().expect("PostgreSQL runs");
        // KILL would leave its backends behind, which keep the next one from starting until they notice.
        process.signal("QUIT");
        process.finished(STOP_WITHIN).await;
    }
}
