//! One command of a hook: its process group from its start to the end of everything in it, and what it printed.
//!
//! ```text
//! start ─▶ stdin fed, output kept ─┬─▶ it exits ─────────────▶ what it left running is ended ─▶ answer
//!                                  └─▶ time-out, cancellation ─▶ TERM ─▶ 10 s ─▶ KILL ─────────▶ answer
//! ```
//! Each command runs in a task of its own, so that one whose caller has gone away is still ended in order; [`Commands::stop`]
//! waits for all of them. Leaves out what an exit code means ([`super::reply`]).

use std::ffi::OsString;
use std::io;
use std::pin::{Pin, pin};
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{
    Pid, Signal, WaitOptions, kill_process_group, test_kill_process_group, waitpgid,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Kept of what a command prints, both outputs together; the rest is read and thrown away, so that it never blocks.
pub(super) const KEPT: usize = 64 << 10;

/// How often to check whether a process group that got the signal to end has ended.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// When the process stops, it has 9 s in all, most of which the loop may have used.
const KILL_AT_STOP_AFTER: Duration = Duration::from_millis(500);

/// What cannot even be killed (in the middle of a read from a dead disk) is not waited for any longer.
const GIVE_UP_AFTER: Duration = Duration::from_secs(1);

/// What a group printed is in the pipe when it is gone; only what left the group keeps the pipe open for longer.
const LAST_OUTPUT: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Call {
    pub argv: Vec<String>,
    pub environment: Vec<(String, OsString)>,
    pub stdin: Vec<u8>,
    pub timeout: Duration,
}

/// How a command ended. Nothing of its process group runs any more.
#[derive(Debug)]
pub(super) enum End {
    NotStarted(io::Error),
    Exited(ExitStatus),
    /// How it ended could not be read.
    Lost(io::Error),
    TimedOut,
    /// This process stops.
    Stopped,
}

/// What both outputs said, at most [`KEPT`] bytes in all.
#[derive(Debug, Default)]
pub(super) struct Output {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub is_cut: bool,
}

impl Output {
    fn keep(&mut self, chunk: &[u8], is_stderr: bool) {
        let room = KEPT - self.stdout.len() - self.stderr.len();
        let kept = &chunk[..chunk.len().min(room)];
        self.is_cut |= kept.len() < chunk.len();
        let stream = if is_stderr { &mut self.stderr } else { &mut self.stdout };
        stream.extend_from_slice(kept);
    }
}

/// Every command that runs.
#[derive(Debug)]
pub(super) struct Commands {
    running: TaskTracker,
    stopping: CancellationToken,
    kill_after: Duration,
}

impl Commands {
    pub(super) fn new(kill_after: Duration) -> Self {
        Self { running: TaskTracker::new(), stopping: CancellationToken::new(), kill_after }
    }

    /// The same commands, of which those that begin from now on are killed after this time.
    pub(super) fn with(&self, kill_after: Duration) -> Self {
        Self { running: self.running.clone(), stopping: self.stopping.clone(), kill_after }
    }

    /// Runs a command to its end. When the caller goes away before, the command is ended all the same.
    pub(super) async fn run(&self, call: Call) -> (End, Output) {
        if self.stopping.is_cancelled() {
            let stops = io::Error::other("mape-k stops");
            return (End::NotStarted(stops), Output::default());
        }
        let (tell, told) = oneshot::channel();
        let abandoned = CancellationToken::new();
        let _abandons = abandoned.clone().drop_guard();
        let (stopping, kill_after) = (self.stopping.clone(), self.kill_after);
        self.running.spawn(async move {
            // Nobody may be waiting any more.
            let _ = tell.send(run(call, abandoned, stopping, kill_after).await);
        });
        // The task sends before it ends, unless the runtime itself is going down.
        told.await.unwrap_or((End::Stopped, Output::default()))
    }

    /// Ends every command, and starts none any more.
    pub(super) async fn stop(&self) {
        self.stopping.cancel();
        self.running.close();
        self.running.wait().await;
    }
}

async fn run(
    call: Call,
    abandoned: CancellationToken,
    stopping: CancellationToken,
    kill_after: Duration,
) -> (End, Output) {
    let mut child = match start(&call) {
        Ok(child) => child,
        Err(error) => return (End::NotStarted(error), Output::default()),
    };
    let mut group = Group::of(&child);
    let output = Mutex::new(Output::default());
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // Fails when the command does not read, which is its own business.
            let _ = stdin.write_all(&call.stdin).await;
        }
    };
    let both =
        async { tokio::join!(feed, keep(stdout, &output, false), keep(stderr, &output, true)) };
    let mut io = Io { both: pin!(both), is_done: false };
    let end = tokio::select! {
        status = exit(&mut child, &mut io) => status.map_or_else(End::Lost, End::Exited),
        () = tokio::time::sleep(call.timeout) => End::TimedOut,
        () = abandoned.cancelled() => End::TimedOut,
        () = stopping.cancelled() => End::Stopped,
    };
    group.end(&mut child, &mut io, &stopping, kill_after).await;
    if !io.is_done {
        // What is missing by then is written by a process that left the group.
        let _ = tokio::time::timeout(LAST_OUTPUT, io.both.as_mut()).await;
    }
    let output = std::mem::take(&mut *locked(&output));
    (end, output)
}

fn start(call: &Call) -> io::Result<Child> {
    let Some((program, arguments)) = call.argv.split_first() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "an empty command"));
    };
    Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(call.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

/// Feeding the command and keeping what it prints, until all of its pipes are closed.
struct Io<'a, F> {
    both: Pin<&'a mut F>,
    is_done: bool,
}

impl<F: Future> Io<'_, F> {
    /// Goes on with it for as long as it takes; then waits for ever.
    async fn go_on(&mut self) {
        if !self.is_done {
            self.both.as_mut().await;
            self.is_done = true;
        }
        std::future::pending::<()>().await;
    }
}

async fn exit<F: Future>(child: &mut Child, io: &mut Io<'_, F>) -> io::Result<ExitStatus> {
    tokio::select! {
        status = child.wait() => status,
        () = io.go_on() => std::future::pending().await,
    }
}

async fn keep(stream: Option<impl AsyncRead + Unpin>, output: &Mutex<Output>, is_stderr: bool) {
    let Some(mut stream) = stream else { return };
    let mut chunk = vec![0; 8 << 10];
    // Ends with the stream, which ends with the group.
    while let Ok(read @ 1..) = stream.read(&mut chunk).await {
        locked(output).keep(&chunk[..read], is_stderr);
    }
}

fn locked(output: &Mutex<Output>) -> MutexGuard<'_, Output> {
    output.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The process group that the command leads. Killed when it is dropped before it is gone.
struct Group {
    id: Option<Pid>,
}

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Self { id }
    }

    fn signal(&self, signal: Signal) {
        if let Some(id) = self.id {
            // Fails when nobody is left in it, or all that is left belongs to another user.
            let _ = kill_process_group(id, signal);
        }
    }

    /// Is nobody left in it? Asked only when its leader has been waited for.
    fn is_empty(&self) -> bool {
        let Some(id) = self.id else { return true };
        // As process 1 of a container we inherit what the command left behind, and nobody else waits for it.
        while let Ok(Some(_)) = waitpgid(id, WaitOptions::NOHANG) {}
        test_kill_process_group(id) == Err(rustix::io::Errno::SRCH)
    }

    /// Ends all that is in it: asked to first, then made to.
    async fn end<F: Future>(
        &mut self,
        child: &mut Child,
        io: &mut Io<'_, F>,
        stopping: &CancellationToken,
        kill_after: Duration,
    ) {
        let mut asked_at: Option<Instant> = None;
        let mut killed_at: Option<Instant> = None;
        loop {
            let has_ended = matches!(child.try_wait(), Ok(Some(_)));
            if has_ended && self.is_empty() {
                break;
            }
            let grace = if stopping.is_cancelled() { KILL_AT_STOP_AFTER } else { kill_after };
            match (asked_at, killed_at) {
                (None, _) => {
                    self.signal(Signal::TERM);
                    asked_at = Some(Instant::now());
                }
                (Some(asked_at), None) if asked_at.elapsed() >= grace => {
                    self.signal(Signal::KILL);
                    killed_at = Some(Instant::now());
                }
                (_, Some(killed_at)) if killed_at.elapsed() >= GIVE_UP_AFTER => {
                    tracing::warn!(
                        group = self.id.map(Pid::as_raw_nonzero),
                        "a process of a hook cannot be ended; mape-k no longer waits for it"
                    );
                    break;
                }
                (Some(_), _) => {}
            }
            tokio::select! {
                () = tokio::time::sleep(BETWEEN_LOOKS) => {}
                () = io.go_on() => {}
            }
        }
        self.id = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
