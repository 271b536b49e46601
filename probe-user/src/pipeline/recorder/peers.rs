//! What the host's daemon knows of the other hosts of its site, for a recording: asked every other second over its local
//! API, and handed on when it has changed.
//!
//! The recorder is no member of the site: a second voice in the host's name would confuse the others. Where no daemon
//! answers nothing is recorded of other hosts, and that is told once.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::RecordSettings;
use crate::engine::Input;
use crate::pipeline::clock;
use crate::record::{PeerNews, PeerStanding, PeerView};
use crate::serve::client;

/// How often it is asked.
const EVERY: Duration = Duration::from_secs(2);

/// Follows what the daemon knows, where some policy is about it.
pub(super) fn follow(settings: &RecordSettings, feed: &mpsc::Sender<Input>) -> Option<JoinHandle<()>> {
    if settings.policies.peers.is_empty() {
        return None;
    }
    let (socket, feed) = (settings.socket.clone(), feed.clone());
    Some(tokio::spawn(async move { ask(&socket, &feed).await }))
}

async fn ask(socket: &Path, feed: &mpsc::Sender<Input>) {
    let (mut last, mut told) = (None, false);
    loop {
        match client::peers(socket).await {
            Ok(report) => {
                let members = members(&report);
                // The moments of silence move with the question; what is held of everybody is what counts.
                let stands: Vec<_> = members.iter().map(|peer| (Arc::clone(&peer.name), peer.standing)).collect();
                if last.as_ref() != Some(&stands) {
                    if feed.send(Input::Peers(PeerNews::Members(members))).await.is_err() {
                        return;
                    }
                    last = Some(stands);
                }
            }
            Err(error) if !told => {
                tracing::warn!("other hosts are not recorded: {error}");
                told = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// The members of a report; what this version does not understand of it is left out.
fn members(report: &Value) -> Vec<PeerView> {
    let now = clock::now();
    let text = |value: &Value| value.as_str().map(Arc::from);
    let member = |member: &Value| {
        let standing = member["verdict"].as_str()?;
        let labels = member["labels"].as_object().into_iter().flatten();
        let silent = member["silent_seconds"].as_f64().and_then(|secs| Duration::try_from_secs_f64(secs).ok());
        Some(PeerView {
            name: text(&member["name"])?,
            zone: text(&member["zone"]).unwrap_or_else(|| "".into()),
            labels: labels.filter_map(|(key, value)| Some((Arc::from(key.as_str()), text(value)?))).collect(),
            standing: PeerStanding::ALL.into_iter().find(|known| known.as_str() == standing)?,
            since: silent.map(|silent| now.before(silent)),
        })
    };
    report["members"].as_array().into_iter().flatten().filter_map(member).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_understood_of_a_report_is_taken() {
        let report = json!({"members": [
            {"name": "a", "zone": "z", "labels": {"role": "web"}, "verdict": "host_down", "silent_seconds": 0.5},
            {"name": "b", "verdict": "alive"},
            {"name": "c", "verdict": "on fire"},
            {"verdict": "alive"},
        ]});
        let members = members(&report);
        assert_eq!(members.len(), 2);
        assert_eq!(members[0].labels, [("role".into(), "web".into())]);
        assert_eq!((members[0].standing, members[0].since.is_some()), (PeerStanding::HostDown, true));
        assert_eq!((&*members[1].zone, members[1].since), ("", None));
        assert!(super::members(&json!(null)).is_empty());
    }
}
