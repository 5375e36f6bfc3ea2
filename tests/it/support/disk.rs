//! A file system of a test's own, for what only a real one answers: no space left, read-only.
//!
//! It lives in a mount namespace that a process of its own holds, made by root or, in a user namespace, by anybody.
//! Nobody else sees it, and nothing of it is left when that process ends, which it does with the test run.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// Room for a store and a log of a test's size; small enough to fill at once.
const SIZE: &str = "16M";

/// The most of /dev/shm that a test fills: a container has 64 MiB there by default, a machine half of its memory.
const MOST_SHARED_KIB: u64 = 256 * 1024;

const IN_MEMORY: &str = r#"mount -t tmpfs -o size="$2" mape-k-test "$1""#;

/// Unlike one in memory this goes read-only under files that are open, as a real one does after an error.
const ON_A_LOOP_DEVICE: &str =
    r#"truncate -s "$2" "$3" && mkfs.ext4 -q -F "$3" && mount -o loop,errors=remount-ro "$3" "$1""#;

/// Ends when its standard input does.
const HOLD: &str = " && echo mounted && exec cat";

pub struct Disk {
    folder: TempDir,
    /// Beside the folder: what a loop device shows in it.
    image: TempDir,
    /// `None` on the machine's own /dev/shm.
    holder: Option<Holder>,
}

struct Holder {
    process: Child,
    in_user_namespace: bool,
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl Disk {
    /// One that can be filled.
    pub fn small() -> Self {
        let mounted = Self::mounted(IN_MEMORY, &["-m", "-Urm"]);
        mounted.or_else(|tried| Self::shared(&tried)).unwrap_or_else(|why| {
            panic!(
                "a test of a full disk needs a file system of its own: run it as root with the right to mount, \
                 allow user namespaces (on Ubuntu: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0), \
                 or in a container have a /dev/shm of at most {MOST_SHARED_KIB} KiB. Tried:\n{why}"
            )
        })
    }

    /// One that can become read-only while it is in use, which needs root and a loop device; or why there is none.
    pub fn breakable() -> Result<Self, String> {
        Self::mounted(ON_A_LOOP_DEVICE, &["-m"])
    }

    fn mounted(mount: &str, ways: &[&str]) -> Result<Self, String> {
        let folder = tempfile::tempdir().expect("a folder to mount on");
        let image = tempfile::tempdir().expect("a folder for an image");
        let mut tried = String::new();
        for way in ways {
            let mut process = Command::new("unshare")
                .args([*way, "--", "sh", "-c", format!("{mount}{HOLD}").as_str(), "sh"])
                .arg(folder.path())
                .arg(SIZE)
                .arg(image.path().join("image"))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("the command unshare exists (Debian package util-linux)");
            let mut said = String::new();
            BufReader::new(process.stdout.take().expect("a pipe")).read_line(&mut said).ok();
            if said.trim() == "mounted" {
                let holder = Some(Holder { process, in_user_namespace: way.contains('U') });
                return Ok(Self { folder, image, holder });
            }
            process.stderr.take().expect("a pipe").read_to_string(&mut said).ok();
            process.wait().ok();
            tried.extend(["unshare ", way, ": ", said.trim(), "\n"]);
        }
        Err(tried)
    }

    /// What every container has, where nobody may mount.
    fn shared(tried: &str) -> Result<Self, String> {
        let asked = Command::new("df").args(["--output=size", "-k", "/dev/shm"]).output();
        let printed = asked.map(|df| String::from_utf8_lossy(&df.stdout).into_owned());
        let size = printed.ok().and_then(|text| text.lines().nth(1)?.trim().parse::<u64>().ok());
        match size {
            Some(size) if size <= MOST_SHARED_KIB => {
                let folder = tempfile::tempdir_in("/dev/shm").map_err(|e| format!("{tried}{e}"))?;
                let image = tempfile::tempdir().expect("a folder");
                Ok(Self { folder, image, holder: None })
            }
            size => Err(format!("{tried}/dev/shm: {size:?} KiB\n")),
        }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A command that sees the disk; the process it becomes is the program itself.
    pub fn command(&self, program: &str) -> Command {
        let Some(holder) = &self.holder else { return Command::new(program) };
        let mut command = Command::new("nsenter");
        command.arg(format!("--target={}", holder.process.id())).arg("--mount");
        if holder.in_user_namespace {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.arg("--").arg(program);
        command
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    /// Not a byte is left.
    pub fn fill(&self) {
        let mut fill = self.command("sh");
        fill.args(["-c", r#"cat /dev/zero >"$1""#, "sh"]).arg(self.filler()).env("LC_ALL", "C");
        let output = fill.output().expect("the command sh exists");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("No space left on device"), "{said}");
    }

    pub fn make_room(&self) {
        self.run("rm", &[self.filler().as_path()]);
    }

    /// As after an error of the device: from now on the kernel refuses every write, through open files too.
    pub fn become_read_only(&self) {
        self.run("mount", &["-o".as_ref(), "remount,abort".as_ref(), self.path()]);
    }

    /// What a person does then. Nothing may have a file open.
    pub fn repair(&self) {
        let image = self.image.path().join("image");
        self.run("umount", &[self.path()]);
        // 1 says that errors were corrected.
        let check = self.command("e2fsck").arg("-p").arg(&image).output().expect("e2fsck");
        assert!(matches!(check.status.code(), Some(0 | 1)), "{check:?}");
        self.run("mount", &["-o".as_ref(), "loop".as_ref(), &image, self.path()]);
    }

    /// Copies a file to where everybody sees it.
    pub fn copy_out(&self, file: &Path, to: &Path) {
        self.run("cp", &[file, to]);
    }

    fn run(&self, program: &str, args: &[&Path]) {
        let output = self.command(program).args(args).output().expect("a command of util-linux");
        assert!(output.status.success(), "{program} {args:?}: {output:?}");
    }
}
