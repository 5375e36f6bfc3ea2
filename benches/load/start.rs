//! From the start of the process until it listens and until it answers.

use super::daemon::Daemon;
use super::upstream::Upstream;
use super::{row, spread};

const STARTS: usize = 20;

pub async fn to_listening() {
    let upstream = Upstream::start(0);
    let mut times = Vec::new();
    for _ in 0..STARTS {
        times.push(Daemon::start(&upstream, "30", "", "").await.listening_after);
    }
    row("start to listening", &spread(times));
}
