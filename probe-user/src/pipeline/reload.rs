//! Policies and configuration read again while the daemon runs.

use super::site::Site;
use super::start::start_helper;
use super::{Daemon, PipelineError, clock};
use crate::agent;
use crate::engine::Input;

impl Daemon {
    /// All or nothing: what is wrong leaves everything as it is.
    pub(super) fn reload(&mut self) -> Result<(), PipelineError> {
        let now = clock::now();
        let new = match self.prepared.again() {
            Ok(new) => new,
            Err(wrong) => {
                tracing::error!("reload refused:\n{wrong}");
                self.outlets.tell(agent::reload_failed(now, &wrong.to_string(), wrong.len()));
                return Ok(());
            }
        };
        let fixed = self.prepared.config.fixed_differences(&new.config);
        if !fixed.is_empty() {
            let names = fixed.join(", ");
            let why = format!("{names} cannot change while the daemon runs: restart it, or take the change back");
            tracing::error!("reload refused: {why}");
            self.outlets.tell(agent::reload_failed(now, &why, fixed.len()));
            return Ok(());
        }
        let wanted = match self.outlets.want(&new.config.collectors) {
            Ok(wanted) => wanted,
            Err(error) => {
                tracing::error!("reload refused: {error}");
                self.outlets.tell(agent::reload_failed(now, &error.to_string(), 1));
                return Ok(());
            }
        };
        let neighbours = match self.site.want(&new.config) {
            Ok(neighbours) => neighbours,
            Err(error) => {
                tracing::error!("reload refused: {error}");
                self.outlets.tell(agent::reload_failed(now, &error.to_string(), 1));
                return Ok(());
            }
        };
        self.outlets.set_collectors(wanted);
        self.site.reload(neighbours);
        self.prepared = new;
        self.prepared.notes.extend(Site::lacks(&self.prepared));
        if let Err(error) = self.outlets.report_metrics(&self.prepared.config.collectors, &self.queries) {
            tracing::warn!("collectors get no metrics: {error}");
            self.prepared.notes.push(format!("collectors get no metrics: {error}"));
        }
        self.measures.set_policies(&self.prepared.policies);
        for note in &self.prepared.notes {
            tracing::warn!("{note}");
        }
        self.limits_changed();
        if let Some(note) = start_helper(&self.prepared, &mut self.acting, self.core.engine_mut()) {
            tracing::warn!("{note}");
            self.prepared.notes.push(note);
        }
        for note in self.outlets.set_destinations(&self.prepared.policies) {
            tracing::warn!("{note}");
            self.prepared.notes.push(note);
        }
        self.http.reload(&self.prepared.config.http, &self.queries);
        if let Some(note) = self.http.note() {
            tracing::warn!("{note}");
            self.prepared.notes.push(note);
        }
        self.noting.anew();
        self.core.input(Input::Policies(self.prepared.policies.clone(), self.prepared.users.clone()))?;
        let notes = self.logs.watch(&self.prepared.policies, &self.prepared.config.state_dir, &self.feed);
        for note in notes {
            tracing::warn!("{note}");
            self.degraded.push(note);
        }
        self.outlets.tell(agent::reloaded(now, agent::Held::of(&self.prepared.policies), &self.prepared.notes));
        Ok(())
    }
}
