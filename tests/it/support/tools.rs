//! The real `prometheus`, `promtool`, `alertmanager`, `amtool`, `postgres` and `initdb`, as `scripts/fetch-tools.sh`
//! provides them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

pub struct Tools {
    pub prometheus: PathBuf,
    pub promtool: PathBuf,
    pub alertmanager: PathBuf,
    pub amtool: PathBuf,
    pub postgres: PathBuf,
    pub initdb: PathBuf,
}

/// The repository's folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The programs, fetched on first use. A machine that cannot have them fails the test, with what to install.
pub fn tools() -> &'static Tools {
    static TOOLS: OnceLock<Result<Tools, String>> = OnceLock::new();
    match TOOLS.get_or_init(fetch) {
        Ok(tools) => tools,
        Err(reason) => panic!("{reason}"),
    }
}

fn fetch() -> Result<Tools, String> {
    let script = root().join("scripts/fetch-tools.sh");
    let output = Command::new("bash")
        .arg(&script)
        .output()
        .map_err(|error| format!("bash could not run {}: {error}", script.display()))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let paths: Vec<PathBuf> =
        String::from_utf8_lossy(&output.stdout).lines().map(PathBuf::from).collect();
    let [prometheus, promtool, alertmanager, amtool, postgres, initdb] =
        <[PathBuf; 6]>::try_from(paths).map_err(|paths| {
            format!("{} printed {paths:?} instead of six paths", script.display())
        })?;
    Ok(Tools { prometheus, promtool, alertmanager, amtool, postgres, initdb })
}

/// Runs one of the checkers in `folder` and returns whether it accepted, with all it printed.
pub fn check(tool: &Path, args: &[&str], folder: &Path) -> Result<String, String> {
    let output = Command::new(tool)
        .args(args)
        .current_dir(folder)
        .output()
        .map_err(|error| format!("{} did not run: {error}", tool.display()))?;
    let printed = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    if output.status.success() { Ok(printed) } else { Err(printed) }
}

/// Everything promtool prints; `Err` when it refuses.
pub fn promtool_check_metrics(text: &str) -> Result<String, String> {
    let mut promtool = Command::new(&tools().promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool starts");
    promtool.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("promtool reads");
    let output = promtool.wait_with_output().expect("promtool ends");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    if output.status.success() { Ok(said) } else { Err(said) }
}
