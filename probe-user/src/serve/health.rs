//! Whether the daemon does its work. Not whether what it watches is well: alarms are the policies' affair, and whoever
//! restarts a daemon for its health must not do so because nginx is down, nor because a collector is.

use super::StatusReport;

/// Why it does not, one sentence each.
pub fn reasons(report: &StatusReport) -> Vec<String> {
    let mut reasons = Vec::new();
    if report.engine.degraded {
        let seconds = report.engine.degraded_seconds.unwrap_or_default();
        reasons.push(format!(
            "records were lost {seconds:.1} s ago and the process table is not right yet: nothing is judged"
        ));
    }
    if let Some(why) = &report.spool.failing {
        reasons.push(format!("events cannot be written to disk, {} wait in memory: {why}", report.spool.unwritten));
    }
    reasons
}
