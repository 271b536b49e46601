//! Why a process belongs to a group, or which field keeps it out.

use serde::Serialize;

use super::Engine;
use super::group::GroupState;
use super::track::Track;
use crate::model::Process;
use crate::policy::select::Field;
use crate::record::ProcessKey;

/// The answer of one group, or of one job, about one process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Its name.
    pub group: String,
    /// It is a job: what belongs is a run of it, or part of one.
    pub job: bool,
    /// Where it was declared, `file:line`.
    pub declared: String,
    /// Belongs or not, and why.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// Whether a process belongs to a group, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// `match` selects it.
    Selected,
    /// It descends from a member, and the group includes children.
    Descends,
    /// It would belong, but `except` takes it out.
    TakenOut,
    /// This field of `match` keeps it out.
    KeptOut {
        /// The first one that does, in the order in which fields are looked at.
        #[serde(serialize_with = "field_name")]
        field: Field,
    },
}

impl Verdict {
    /// It belongs.
    pub const fn belongs(self) -> bool {
        matches!(self, Self::Selected | Self::Descends)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn field_name<S: serde::Serializer>(field: &Field, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(field)
}

impl Engine {
    /// What each group and job says about a process of the table, in their order; empty for an unknown process.
    pub fn explain(&self, key: ProcessKey) -> Vec<Explanation> {
        let Some((process, track)) = self.table.both(key) else { return Vec::new() };
        self.groups.iter().enumerate().map(|(index, group)| self.explain_one(index, group, process, track)).collect()
    }

    fn explain_one(&self, index: usize, group: &GroupState, process: &Process, track: &Track) -> Explanation {
        let parent =
            process.identity.parent.and_then(|parent| self.table.beside(parent)).filter(|parent| !parent.ended);
        let parent_in = |name: &str| {
            parent.zip(self.index.by_name(name)).is_some_and(|(parent, group)| parent.belongs.contains(&group))
        };
        let field = group.spec.select.mismatch(process, &self.users, &parent_in);
        let excepted =
            || group.except.as_ref().is_some_and(|except| except.mismatch(process, &self.users, &parent_in).is_none());
        let verdict = match field {
            Some(field) if !track.descends.contains(&index) => Verdict::KeptOut { field },
            _ if excepted() => Verdict::TakenOut,
            Some(_) => Verdict::Descends,
            None => Verdict::Selected,
        };
        Explanation {
            group: group.spec.name.to_string(),
            job: group.job.is_some(),
            declared: group.spec.declared.to_string(),
            verdict,
        }
    }
}
