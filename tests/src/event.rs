//! An event as the daemon printed it, read by the field names of the contract.

use serde_json::{Map, Value};

/// One line of the daemon's stdout.
#[derive(Clone, Debug, PartialEq)]
pub struct Event(pub Value);

impl Event {
    /// The `name` field.
    pub fn name(&self) -> &str {
        self.0["name"].as_str().unwrap_or_default()
    }

    /// The `seq` field; 0 when it is not there, which no event has.
    pub fn seq(&self) -> u64 {
        self.0["seq"].as_u64().unwrap_or_default()
    }

    /// The `body` field.
    pub fn body(&self) -> &str {
        self.0["body"].as_str().unwrap_or_default()
    }

    /// One attribute; null when it is not there.
    pub fn attribute(&self, name: &str) -> &Value {
        &self.0["attributes"][name]
    }

    /// An attribute that is text; "" when it is not.
    pub fn text(&self, name: &str) -> &str {
        self.attribute(name).as_str().unwrap_or_default()
    }

    /// An attribute that is a whole number.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.attribute(name).as_u64()
    }

    /// An attribute that is any number.
    pub fn float(&self, name: &str) -> Option<f64> {
        self.attribute(name).as_f64()
    }

    /// `process.pid`
    pub fn pid(&self) -> Option<u32> {
        self.number("process.pid").and_then(|pid| u32::try_from(pid).ok())
    }

    /// `process.command_args`
    pub fn args(&self) -> Vec<&str> {
        self.attribute("process.command_args").as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// Whether a word is among the arguments.
    pub fn has_arg(&self, word: &str) -> bool {
        self.args().contains(&word)
    }

    /// `procprobe.process.start` of a process.
    pub fn is_start(&self) -> bool {
        self.name() == "procprobe.process.start"
    }

    /// `procprobe.process.exit` of a process.
    pub fn is_exit(&self) -> bool {
        self.name() == "procprobe.process.exit"
    }

    /// `procprobe.process.exit` of this process.
    pub fn is_exit_of(&self, pid: u32) -> bool {
        self.is_exit() && self.pid() == Some(pid)
    }

    /// An alarm, `firing` or `resolved`, written as in policies: `group.measure.bound`.
    pub fn is_alarm(&self, state: &str, alarm: &str) -> bool {
        let named = [self.text("policy.name"), self.text("measure"), self.text("bound")];
        self.name().strip_prefix("procprobe.policy.") == Some(state) && alarm.split('.').eq(named)
    }

    /// The evidence of an alarm.
    pub fn evidence(&self) -> Vec<&Map<String, Value>> {
        self.attribute("evidence").as_array().into_iter().flatten().filter_map(Value::as_object).collect()
    }
}
