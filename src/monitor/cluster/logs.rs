//! The last lines of a container's log, for the finding about it: asked for one container at a time, bounded, optional.

use std::pin::pin;
use std::time::Duration;

use futures::io::AsyncReadExt;
use kube::Client;
use kube::core::Request;
use kube::core::subresource::LogParams;
use tokio::time::timeout;

use super::watch::quietly;

/// The kubelet answers in milliseconds; a finding does not wait for a node that is gone.
const ANSWER: Duration = Duration::from_secs(5);

/// What is read of the lines that were asked for, the oldest first: a log of very long lines may lose its end.
const READ_BYTES: u32 = 256 * 1024;

/// What is kept of them, the newest: a message of Slack takes less.
const KEPT_BYTES: usize = 16 * 1024;

pub(super) struct LogRequest<'a> {
    pub namespace: &'a str,
    pub pod: &'a str,
    pub container: &'a str,
    pub previous: bool,
}

pub(super) async fn last_lines(
    client: &Client,
    wanted: &LogRequest<'_>,
    lines: u32,
) -> Option<Vec<String>> {
    if lines == 0 {
        return None;
    }
    let params = LogParams {
        container: Some(wanted.container.to_owned()),
        previous: wanted.previous,
        tail_lines: Some(i64::from(lines)),
        limit_bytes: Some(i64::from(READ_BYTES)),
        ..LogParams::default()
    };
    let pods = Request::new(format!("/api/v1/namespaces/{}/pods", wanted.namespace));
    let request = pods.logs(wanted.pod, &params).ok()?;
    let read = async {
        let body = client
            .request_stream(request)
            .await
            .map_err(|error| super::failure::of_kube(&error).what)?;
        let mut bytes = Vec::new();
        pin!(body)
            .take(u64::from(READ_BYTES))
            .read_to_end(&mut bytes)
            .await
            .map_err(|error| error.to_string())?;
        Ok::<_, String>(bytes)
    };
    let LogRequest { namespace, pod, container, .. } = *wanted;
    match timeout(ANSWER, quietly(read)).await {
        Ok(Ok(bytes)) => Some(newest(&bytes, lines)),
        Ok(Err(cause)) => {
            tracing::debug!(namespace, pod, container, cause, "no log of a container");
            None
        }
        Err(_) => {
            tracing::debug!(
                namespace,
                pod,
                container,
                cause = "no answer in time",
                "no log of a container"
            );
            None
        }
    }
}

/// The last lines that fit, oldest first, without what would drive a terminal.
fn newest(bytes: &[u8], lines: u32) -> Vec<String> {
    let mut room = KEPT_BYTES;
    let mut kept: Vec<String> = String::from_utf8_lossy(bytes)
        .lines()
        .rev()
        .take(lines as usize)
        .map(|line| line.chars().filter(|c| !c.is_control() || *c == '\t').collect::<String>())
        .take_while(|line| {
            let fits = line.len() <= room;
            room = room.saturating_sub(line.len());
            fits
        })
        .collect();
    kept.reverse();
    kept
}
