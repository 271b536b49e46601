//! Reads a destination of alarms. Its URL may hold a secret: no error repeats it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;

use super::{Draft, Origin, body};
use crate::diagnostic::{nearest, quoted};
use crate::policy::keys::{DESTINATION, FILE_PATH, LABEL, LABEL_VALUE, RATE, URL};
use crate::policy::spec::{Destination, DestinationKind, Rate};
use crate::yaml::{Decoder, Entry, Fields, Node, units};

/// How long a request may take where nothing is said.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The most that can be said: a destination that is slower is down.
const TIMEOUT_MAX: Duration = Duration::from_mins(5);
/// Labels that alarms have by themselves.
const OWN_LABELS: [&str; 8] = ["alertname", "policy", "kind", "measure", "bound", "severity", "host", "instance"];
/// Longest value of a label, in bytes.
const LABEL_MAX: usize = 256;

/// A destination as its file declares it.
pub(super) fn read<'s>(d: &mut Decoder<'_>, origin: Origin<'s>, entry: &Entry) -> Option<Draft<'s, Destination>> {
    let node = body(entry);
    let fields = d.fields(&node, &DESTINATION)?;
    let timeout = fields.get("timeout").and_then(|node| {
        let timeout = d.some_duration(node)?;
        if timeout > TIMEOUT_MAX {
            d.error(node.span, "the longest `timeout` of a request is 5m");
        }
        Some(timeout)
    });
    let destination = Destination {
        name: Arc::from(&*entry.key),
        declared: origin.source.declared(entry.span),
        kind: kind(d, &fields),
        token_file: file_path(d, &fields, "token_file"),
        timeout: timeout.unwrap_or(TIMEOUT),
        max_rate: rate(d, &fields, "max_rate"),
    };
    Some(origin.draft(entry.span, destination))
}

/// What speaks there. A destination that is wrong is one all the same, so that others may name it.
fn kind(d: &mut Decoder<'_>, fields: &Fields<'_>) -> DestinationKind {
    let secret_file = file_path(d, fields, "secret_file");
    let labels = fields.get("labels").map(|node| labels(d, node)).unwrap_or_default();
    let misplaced = |d: &mut Decoder<'_>, name: &str, help: &str| {
        if let Some(entry) = fields.entry(name) {
            d.error_help(entry.span, format!("`{name}` cannot be given here"), help);
        }
    };
    let webhook = fields.get("webhook").map(|node| url(d, node));
    if let Some(node) = fields.get("alertmanager") {
        misplaced(d, "webhook", "a destination is a webhook or an Alertmanager: make it two");
        misplaced(d, "secret_file", "Alertmanager knows no signatures; a webhook can be signed");
        let urls = d.one_or_many(node).iter().filter_map(|item| url(d, item)).collect();
        return DestinationKind::Alertmanager { urls, labels };
    }
    misplaced(d, "labels", "labels are Alertmanager's; a webhook gets the whole event");
    DestinationKind::Webhook { url: webhook.flatten().unwrap_or_default(), secret_file }
}

/// An http or https URL without a password in it.
fn url(d: &mut Decoder<'_>, node: &Node) -> Option<Arc<str>> {
    let text = d.text(node, &URL)?;
    let wrong = match Url::parse(text) {
        Err(error) => (format!("not a URL ({error})"), "such as https://ops.example/hook"),
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            (format!("the URL starts with http:// or https://, not with {}:", quoted(url.scheme())), "")
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            ("the URL has a user or a password in it".to_owned(), "secrets stand in a file of their own: `token_file`")
        }
        Ok(url) if url.fragment().is_some() => {
            ("the URL has a fragment (#) in it".to_owned(), "it would never be sent: leave it out")
        }
        Ok(_) => return Some(Arc::from(text)),
    };
    let (message, help) = wrong;
    if help.is_empty() {
        d.error(node.span, message);
    } else {
        d.error_help(node.span, message, help);
    }
    None
}

fn file_path(d: &mut Decoder<'_>, fields: &Fields<'_>, name: &str) -> Option<Arc<str>> {
    d.form(fields.get(name)?, &FILE_PATH, |text| {
        if text.starts_with('/') && !text.contains(|c: char| c.is_control()) {
            Ok(Arc::from(text))
        } else {
            Err("a daemon has no folder of its own to start from: the path begins with a /".to_owned())
        }
    })
}

fn labels(d: &mut Decoder<'_>, node: &Node) -> Vec<(Arc<str>, Arc<str>)> {
    let entries = d.entries(node, "labels (a map)", "`{ team: databases }`");
    let mut labels = Vec::new();
    for entry in entries {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let key = &*entry.key;
        if key.is_empty()
            || key.len() > 100
            || key.starts_with(|c: char| c.is_ascii_digit())
            || !key.chars().all(allowed)
        {
            let help = format!("letters, digits and `_`, such as `{}`", LABEL.examples.first().unwrap_or(&""));
            d.error_help(entry.span, format!("{} cannot be the name of a label", quoted(key)), help);
        } else if OWN_LABELS.contains(&key) {
            let own: BTreeSet<&str> = OWN_LABELS.into();
            let help = format!(
                "alarms have {} by themselves",
                own.iter().map(|of| format!("`{of}`")).collect::<Vec<_>>().join(", ")
            );
            d.error_help(entry.span, format!("the label {} cannot be given", quoted(key)), help);
        }
        let value = d.form(&entry.value, &LABEL_VALUE, |text| match text {
            "" => Err("an empty label is none: leave it out".to_owned()),
            _ if text.len() > LABEL_MAX || text.contains(|c: char| c.is_control()) => {
                Err(format!("at most {LABEL_MAX} bytes of printable text"))
            }
            _ => Ok(Arc::<str>::from(text)),
        });
        labels.extend(value.map(|value| (Arc::from(key), value)));
    }
    labels
}

/// `3 per 1h`
pub(super) fn rate(d: &mut Decoder<'_>, fields: &Fields<'_>, name: &str) -> Option<Rate> {
    const COUNT_MAX: u32 = 1_000_000;
    d.form(fields.get(name)?, &RATE, |text| {
        let Some((count, per)) = text.split_once(" per ") else {
            return Err("how many, and within which time".to_owned());
        };
        let digits = count.bytes().all(|byte| byte.is_ascii_digit());
        let count: u32 = count
            .parse()
            .ok()
            .filter(|count| digits && (1..=COUNT_MAX).contains(count))
            .ok_or_else(|| format!("a whole number from 1 to {COUNT_MAX} comes first"))?;
        // `3 per hour` is what people say.
        let words = [("second", "1s"), ("minute", "1m"), ("hour", "1h"), ("day", "1d")];
        if let Some(meant) = nearest(per, words.map(|(word, _)| word)) {
            let short = words.iter().find(|(word, _)| *word == meant).map_or("1h", |(_, short)| short);
            return Err(format!("write {count} per {short}"));
        }
        let per = units::duration(per)?;
        if per.is_zero() { Err("the time must be longer than 0".to_owned()) } else { Ok(Rate { count, per }) }
    })
}
