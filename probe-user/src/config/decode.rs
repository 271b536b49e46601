//! From the text of a configuration file to a [`Config`], every error at once. Pure.

use std::path::PathBuf;
use std::time::Duration;

use regex::{Regex, RegexBuilder};

use super::keys::{self, CONFIG};
use super::{Api, Config, Events, Http, Node as HostNode, peers, values};
use crate::agent::Limits;
use crate::diagnostic::{Diagnostics, Source};
use crate::engine::Processes;
use crate::forward::{ClientFiles, Compression, Endpoint, Protocol, Settings, Tls, Wire};
use crate::spool::WhenFull;
use crate::yaml::keys::Kind;
use crate::yaml::units;
use crate::yaml::{Decoder, Fields, Node, parse};
use probe_common::record::ARGS_CAP;

/// Most memory that one compiled pattern takes.
const REGEX_BYTES: usize = 1 << 20;
/// Longest name or label.
const NAME_MAX: usize = 253;
/// Longest name or label of a host that has peers, and how many labels it has at most: packets are small.
const PEER_WORD_MAX: usize = 64;
const PEER_LABELS_MAX: usize = 16;
/// Most that all its labels take together.
const PEER_LABEL_BYTES_MAX: usize = 400;

/// Reads a whole file's text.
pub(super) fn decode(source: &Source) -> Result<Config, Diagnostics> {
    let mut diagnostics = Diagnostics::new();
    let mut config = Config::default();
    if let Some(tree) = parse(source, &mut diagnostics) {
        let mut decoder = Decoder::new(source, &mut diagnostics);
        if let Some(fields) = decoder.fields(&tree, &CONFIG) {
            whole(&mut decoder, &fields, &mut config);
        }
    }
    diagnostics.or(config)
}

fn whole(decoder: &mut Decoder<'_>, fields: &Fields<'_>, config: &mut Config) {
    if let Some(fields) = table(decoder, fields, "node") {
        config.node = node(decoder, &fields);
    }
    if let Some(given) = fields.get("policies") {
        config.policies = Some(decoder.one_or_many(given).iter().filter_map(|item| path(decoder, item)).collect());
    }
    if let Some(given) = fields.get("sample_interval") {
        set(&mut config.sample_interval, sample_interval(decoder, given));
    }
    if let Some(given) = fields.get("start_grace") {
        set(&mut config.start_grace, decoder.duration(given));
    }
    if let Some(fields) = table(decoder, fields, "events") {
        events(decoder, &fields, &mut config.events);
    }
    if let Some(given) = fields.get("collector") {
        for item in decoder.one_or_many(given) {
            config.collectors.extend(collector(decoder, item));
        }
    }
    if let Some(fields) = table(decoder, fields, "state") {
        state(decoder, &fields, config);
    }
    if let Some(given) = fields.get("pins") {
        set(&mut config.pins, decoder.form(given, &keys::PINS, values::pins));
    }
    if let Some(fields) = table(decoder, fields, "api") {
        api(decoder, &fields, &mut config.api);
    }
    if let Some(fields) = table(decoder, fields, "http") {
        http(decoder, &fields, &mut config.http);
    }
    if let Some(peers) = table(decoder, fields, "peers") {
        config.peers = peers::peers(decoder, &peers);
        own_words(decoder, fields, &config.node);
    }
    if let Some(fields) = table(decoder, fields, "limits") {
        limits(decoder, &fields, &mut config.limits);
    }
}

/// The fields of the table under a key.
fn table<'t>(decoder: &mut Decoder<'_>, fields: &Fields<'t>, name: &str) -> Option<Fields<'t>> {
    let (key, entry) = fields.iter().find(|(key, _)| key.name == name)?;
    match key.kind {
        Kind::Table(table) => decoder.fields(&entry.value, table),
        _ => None,
    }
}

pub(super) fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn node(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> HostNode {
    let mut node = HostNode { name: fields.get("name").and_then(|given| name(decoder, given)), ..HostNode::default() };
    if let Some(given) = fields.get("labels") {
        for entry in decoder.entries(given, "labels (a map)", "`{ role: web }`") {
            if let Some(value) = name(decoder, &entry.value) {
                node.labels.insert(entry.key.clone(), value);
            }
        }
    }
    if let Some(given) = fields.get("zone")
        && let Some(zone) = name(decoder, given)
        && node.labels.insert("zone".into(), zone).is_some()
    {
        decoder.error_help(given.span, "the zone is given twice", "take the label `zone` out");
    }
    node
}

/// What a host of a site says of itself has to fit into small packets.
fn own_words(decoder: &mut Decoder<'_>, fields: &Fields<'_>, node: &HostNode) {
    let Some(entry) = fields.entry("node") else { return };
    let words = node.name.iter().chain(node.labels.keys()).chain(node.labels.values());
    if words.into_iter().any(|word| word.len() > PEER_WORD_MAX) {
        let message =
            format!("a host with `peers` has a name, a zone and labels of at most {PEER_WORD_MAX} bytes each");
        decoder.error(entry.span, message);
    }
    let labels = || node.labels.iter().filter(|(key, _)| *key != "zone");
    let bytes: usize = labels().map(|(key, value)| key.len() + value.len() + 2).sum();
    if bytes > PEER_LABEL_BYTES_MAX {
        let message = format!("the labels of a host with `peers` take at most {PEER_LABEL_BYTES_MAX} bytes together");
        decoder.error(entry.span, message);
    }
    if labels().count() > PEER_LABELS_MAX {
        decoder.error(entry.span, format!("a host with `peers` has at most {PEER_LABELS_MAX} labels"));
    }
}

/// One short line of printable text.
fn name(decoder: &mut Decoder<'_>, given: &Node) -> Option<String> {
    decoder.form(given, &keys::NAME, |text| match text {
        "" => Err("it is empty".into()),
        _ if text.len() > NAME_MAX => Err(format!("it has more than {NAME_MAX} bytes")),
        _ if text.contains(char::is_control) => Err("it has control characters in it".into()),
        _ => Ok(text.to_owned()),
    })
}

pub(super) fn path(decoder: &mut Decoder<'_>, given: &Node) -> Option<PathBuf> {
    decoder.form(given, &keys::PATH, |text| {
        if text.starts_with('/') && !text.contains('\0') {
            Ok(PathBuf::from(text))
        } else {
            Err("a daemon has no folder of its own to start from".into())
        }
    })
}

fn sample_interval(decoder: &mut Decoder<'_>, given: &Node) -> Option<Duration> {
    let interval = decoder.duration(given)?;
    match values::sample_interval(interval) {
        Ok(interval) => Some(interval),
        Err(why) => {
            decoder.error(given.span, why);
            None
        }
    }
}

fn limits(decoder: &mut Decoder<'_>, fields: &Fields<'_>, limits: &mut Limits) {
    if let Some(given) = fields.get("cpu")
        && let Some(share) = decoder.form(given, &units::PERCENT, units::percent)
    {
        match values::cpu_limit(share) {
            Ok(share) => limits.cpu = share,
            Err(why) => decoder.error(given.span, why),
        }
    }
    if let Some(given) = fields.get("memory")
        && let Some(bytes) = decoder.size(given)
    {
        match values::memory_limit(bytes) {
            Ok(bytes) => limits.memory = bytes,
            Err(why) => decoder.error(given.span, why),
        }
    }
}

fn events(decoder: &mut Decoder<'_>, fields: &Fields<'_>, events: &mut Events) {
    if let Some(given) = fields.get("processes") {
        let choices = [Processes::Matched, Processes::All, Processes::None];
        let chosen = decoder.choice(given, &keys::PROCESSES);
        set(&mut events.processes, chosen.and_then(|index| choices.get(index).copied()));
    }
    if let Some(given) = fields.get("forks") {
        set(&mut events.forks, decoder.bool(given));
    }
    if let Some(given) = fields.get("args") {
        set(&mut events.args, decoder.bool(given));
    }
    if let Some(given) = fields.get("args_max")
        && let Some(size) = decoder.size(given)
    {
        match u32::try_from(size) {
            Ok(size) if usize::try_from(size).is_ok_and(|size| size <= ARGS_CAP) => events.args_max = size,
            _ => decoder.error(given.span, format!("{size} bytes are more than the {ARGS_CAP} that can be recorded")),
        }
    }
    if let Some(given) = fields.get("redact") {
        events.redact = decoder.one_or_many(given).iter().filter_map(|item| regex(decoder, item)).collect();
    }
}

fn regex(decoder: &mut Decoder<'_>, given: &Node) -> Option<Regex> {
    let text = decoder.text(given, &keys::REGEX)?;
    match RegexBuilder::new(text).size_limit(REGEX_BYTES).build() {
        Ok(regex) => Some(regex),
        Err(error) => {
            let why = error.to_string();
            let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
            decoder.error(given.span, format!("the regular expression does not compile: {why}"));
            None
        }
    }
}

fn collector(decoder: &mut Decoder<'_>, given: &Node) -> Option<Settings> {
    let Kind::OneOrMany(Kind::Table(table)) = CONFIG.key("collector")?.kind else {
        return None;
    };
    let fields = decoder.fields(given, table)?;
    let mut wire = wire(decoder, &fields);
    let urls = fields.get("url")?;
    let endpoints: Vec<_> = decoder.one_or_many(urls).iter().filter_map(|item| endpoint(decoder, item)).collect();
    if fields.get("protocol").is_none() && endpoints.iter().any(Endpoint::looks_like_otlp) {
        let help = "say `protocol: otlp`, or `protocol: ndjson` where one JSON object a line is what it takes";
        decoder.error_help(urls.span, "port and path are those of OTLP, but no protocol is given", help);
    }
    if let Some(fields) = self::table(decoder, &fields, "tls") {
        wire.tls = tls(decoder, &fields);
        if !endpoints.is_empty() && !endpoints.iter().any(Endpoint::is_https) {
            decoder.error_help(fields.span, "`tls` without a URL that uses it", "write the URL with https://");
        }
    }
    let token_file = fields.get("token_file").and_then(|given| path(decoder, given));
    let rate = |text: &str| units::rate(text).and_then(values::catch_up);
    let catch_up = fields.get("catch_up").and_then(|given| decoder.form(given, &units::RATE, rate));
    let alarms_first = fields.get("first").and_then(|given| decoder.choice(given, &keys::FIRST)) == Some(1);
    Some(Settings { token_file, wire, catch_up, alarms_first, ..Settings::to(endpoints) })
}

fn wire(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Wire {
    let mut wire = Wire::default();
    if let Some(given) = fields.get("protocol") {
        let chosen = decoder.choice(given, &keys::PROTOCOLS);
        set(&mut wire.protocol, chosen.and_then(|index| [Protocol::Ndjson, Protocol::Otlp].get(index).copied()));
    }
    if let Some(given) = fields.get("compression") {
        let choices = [Compression::None, Compression::Gzip, Compression::Zstd];
        let chosen = decoder.choice(given, &keys::COMPRESSIONS);
        set(&mut wire.compression, chosen.and_then(|index| choices.get(index).copied()));
    }
    if let Some(given) = fields.get("metrics_interval") {
        set(&mut wire.metrics_interval, decoder.form(given, &keys::INTERVAL, values::metrics_interval));
        if wire.protocol != Protocol::Otlp {
            decoder.error_help(given.span, "only `protocol: otlp` sends metrics", "leave `metrics_interval` out");
        }
    }
    wire
}

fn tls(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Tls {
    let mut file = |name| fields.get(name).and_then(|given| path(decoder, given));
    let (ca_file, cert_file, key_file) = (file("ca_file"), file("cert_file"), file("key_file"));
    if fields.get("cert_file").is_some() != fields.get("key_file").is_some() {
        decoder.error_help(
            fields.span,
            "a certificate and its key go together",
            "give both `cert_file` and `key_file`",
        );
    }
    let client = cert_file.zip(key_file).map(|(cert_file, key_file)| ClientFiles { cert_file, key_file });
    Tls { ca_file, client }
}

fn state(decoder: &mut Decoder<'_>, fields: &Fields<'_>, config: &mut Config) {
    if let Some(given) = fields.get("dir") {
        set(&mut config.state_dir, path(decoder, given));
    }
    if let Some(given) = fields.get("spool_max")
        && let Some(size) = decoder.size(given)
    {
        match values::spool_max(size) {
            Ok(size) => config.spool_max = size,
            Err(why) => decoder.error(given.span, why),
        }
    }
    if let Some(given) = fields.get("measures_max")
        && let Some(size) = decoder.size(given)
    {
        match values::measures_max(size) {
            Ok(size) => config.measures_max = size,
            Err(why) => decoder.error(given.span, why),
        }
    }
    if let Some(given) = fields.get("when_full") {
        let choices = [WhenFull::DropOldest, WhenFull::DropNewest];
        let chosen = decoder.choice(given, &keys::WHEN_FULL);
        set(&mut config.when_full, chosen.and_then(|index| choices.get(index).copied()));
    }
}

/// Errors never repeat the URL.
fn endpoint(decoder: &mut Decoder<'_>, given: &Node) -> Option<Endpoint> {
    let text = decoder.text(given, &keys::URL)?;
    Endpoint::parse(text).map_err(|error| decoder.error(given.span, error.to_string())).ok()
}

fn api(decoder: &mut Decoder<'_>, fields: &Fields<'_>, api: &mut Api) {
    if let Some(given) = fields.get("socket")
        && let Some(socket) = path(decoder, given)
    {
        match values::socket(socket) {
            Ok(socket) => api.socket = socket,
            Err(why) => decoder.error(given.span, why),
        }
    }
    if let Some(given) = fields.get("mode") {
        let mode = decoder.form(given, &keys::MODE, |text| {
            let digits = text.strip_prefix('0').filter(|rest| rest.len() == 3).unwrap_or(text);
            let octal = digits.len() == 3 && digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
            let mode = if octal { u32::from_str_radix(digits, 8).ok() } else { None };
            mode.ok_or_else(|| "three octal digits, maybe after a 0".into())
        });
        set(&mut api.mode, mode);
    }
    if let Some(given) = fields.get("group") {
        api.group = name(decoder, given);
    }
}

fn http(decoder: &mut Decoder<'_>, fields: &Fields<'_>, http: &mut Http) {
    let token_file = fields.get("token_file");
    http.token_file = token_file.and_then(|given| path(decoder, given));
    let Some(given) = fields.get("listen") else { return };
    let Some(values::Listen(listen)) = decoder.form(given, &keys::LISTEN, values::listen) else { return };
    http.listen = listen;
    if listen.is_some_and(|address| !values::is_loopback(address)) && token_file.is_none() {
        decoder.error_help(
            given.span,
            "whoever reaches this address could read the metrics",
            "set token_file as well, or listen on 127.0.0.1 or [::1]",
        );
    }
}
