//! The other side of OTLP: a real OpenTelemetry collector (rotel), and a receiver that decodes with code that is not ours.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::daemon::PATIENCE;
use crate::port;

const FETCHED: &str = "`cargo xtask test` fetches it";

/// Decodes what it is sent. Dropped, it is killed.
#[derive(Debug)]
pub struct Receiver {
    child: Child,
    port: u16,
    heard: Arc<Mutex<Vec<Value>>>,
}

/// A collector that hands on to a [`Receiver`]. Dropped, it is killed.
#[derive(Debug)]
pub struct Rotel {
    child: Child,
    address: SocketAddr,
}

impl Receiver {
    /// Starts it and waits until it listens.
    pub fn start() -> Self {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("otlp/receiver.py");
        let mut child = Command::new("python3")
            .arg(script)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start python3: {error}; {FETCHED}"));
        let Some(stdout) = child.stdout.take() else { panic!("no pipe") };
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let first = lines.next().and_then(|line| serde_json::from_str::<Value>(&line).ok()).unwrap_or_default();
        let port = first["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        let port = port.unwrap_or_else(|| panic!("the receiver does not start: {first}; {FETCHED}"));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&heard);
        thread::spawn(move || {
            for line in lines {
                let said = serde_json::from_str(&line).unwrap_or_else(|error| json!({ "fault": error.to_string() }));
                log.lock().unwrap_or_else(PoisonError::into_inner).push(said);
            }
        });
        Self { child, port, heard }
    }

    /// For `url` of a collector.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The `Content-Encoding` of each request.
    pub fn encodings(&self) -> Vec<Option<String>> {
        self.heard().iter().map(|said| said["encoding"].as_str().map(str::to_owned)).collect()
    }

    /// Log records as the events that they were, in the order in which they came. Panics on what could not be decoded.
    pub fn events(&self) -> Vec<Value> {
        let mut events = Vec::new();
        for request in self.of("logs") {
            for logs in list(&request["resource_logs"]) {
                let resource = attributes(&logs["resource"]["attributes"]);
                for scope in list(&logs["scope_logs"]) {
                    assert_eq!(scope["scope"]["name"], "procprobe", "{scope}");
                    events.extend(list(&scope["log_records"]).iter().map(|record| event(record, &resource)));
                }
            }
        }
        events
    }

    /// Every point of this metric, in the order in which they came: its labels, its value, and its metric without points.
    pub fn points(&self, name: &str) -> Vec<(Value, f64, Value)> {
        let mut points = Vec::new();
        for request in self.of("metrics") {
            for metrics in list(&request["resource_metrics"]).iter().flat_map(|one| list(&one["scope_metrics"])) {
                for metric in list(&metrics["metrics"]).iter().filter(|metric| metric["name"] == name) {
                    let mut rest = metric.clone();
                    for kind in ["gauge", "sum"] {
                        for point in list(&metric[kind]["data_points"]) {
                            let value = point["as_double"].as_f64().unwrap_or_default();
                            rest[kind]["data_points"] = Value::Null;
                            points.push((attributes(&point["attributes"]), value, rest.clone()));
                        }
                    }
                }
            }
        }
        points
    }

    /// Waits until this finds something. Panics with what was heard after [`PATIENCE`].
    pub fn wait_for<T>(&self, what: &str, find: impl Fn(&Self) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = find(self) {
                return found;
            }
            assert!(Instant::now() < deadline, "{what} did not come: {:?}", self.heard());
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn heard(&self) -> Vec<Value> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn of(&self, signal: &str) -> Vec<Value> {
        let heard = self.heard();
        let faults: Vec<_> = heard.iter().filter(|said| said.get("fault").is_some()).collect();
        assert!(faults.is_empty(), "{faults:?}");
        heard.into_iter().filter(|said| said["signal"] == signal).map(|mut said| said["message"].take()).collect()
    }
}

impl Rotel {
    /// Starts it on ports of its own and waits until it listens; all that it gets goes on to the receiver.
    pub fn start(to: &Receiver) -> Self {
        let (address, grpc) = (port::free(), port::free());
        let mut command = Command::new(program());
        command.args(["start", "--exporter", "otlp", "--otlp-exporter-protocol", "http"]);
        command.args(["--otlp-exporter-endpoint", &to.url(), "--batch-timeout", "100ms"]);
        command.args(["--otlp-http-endpoint", &address.to_string(), "--otlp-grpc-endpoint", &grpc.to_string()]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}; {FETCHED}"));
        let rotel = Self { child, address };
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = TcpStream::connect(address) {
            assert!(Instant::now() < deadline, "rotel does not listen: {error}");
            thread::sleep(Duration::from_millis(20));
        }
        rotel
    }

    /// For `url` of a collector.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // It may have ended already; both are right.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Rotel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The collector comes as a Python package with the program inside.
fn program() -> PathBuf {
    let asked = Command::new("python3").args(["-c", "import rotel; print(rotel.__path__[0])"]).output();
    let asked = asked.unwrap_or_else(|error| panic!("cannot start python3: {error}; {FETCHED}"));
    assert!(asked.status.success(), "Python has no rotel; {FETCHED}: {asked:?}");
    PathBuf::from(String::from_utf8_lossy(&asked.stdout).trim()).join("rotel-agent")
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// A log record as the event that it was, by the contract's names.
fn event(record: &Value, resource: &Value) -> Value {
    let mut attributes = attributes(&record["attributes"]);
    let mut host = resource.clone();
    let (own, host_fields) = (attributes.as_object_mut(), host.as_object_mut());
    let take = |from: Option<&mut Map<String, Value>>, name: &str| {
        from.and_then(|fields| fields.shift_remove(name)).unwrap_or_else(|| panic!("no {name}: {record}"))
    };
    let host_fields =
        host_fields.map(|fields| (take(Some(fields), "service.name"), take(Some(fields), "service.version")));
    assert_eq!(host_fields.map(|(name, _)| name), Some(json!("procprobe")));
    let (id, seq) =
        own.map_or_else(Default::default, |own| (take(Some(own), "log.record.uid"), take(Some(own), "procprobe.seq")));
    assert_eq!(record["time_unix_nano"], record["observed_time_unix_nano"], "{record}");
    let number = match record["severity_text"].as_str() {
        Some("info") => "SEVERITY_NUMBER_INFO",
        Some("warning") => "SEVERITY_NUMBER_WARN",
        _ => "SEVERITY_NUMBER_ERROR2",
    };
    assert_eq!(record["severity_number"], number, "{record}");
    json!({
        "id": id,
        "seq": seq,
        "time": time(&record["time_unix_nano"]),
        "name": record["event_name"],
        "severity": record["severity_text"],
        "body": any(&record["body"]),
        "host": host,
        "attributes": attributes,
    })
}

/// Nanoseconds since 1970 as the contract writes a time.
fn time(nanos: &Value) -> Value {
    let nanos: i128 = nanos.as_str().and_then(|text| text.parse().ok()).unwrap_or_default();
    let time = jiff::Timestamp::from_nanosecond(nanos).unwrap_or_else(|error| panic!("{nanos}: {error}"));
    json!(format!("{time:.9}"))
}

fn attributes(list: &Value) -> Value {
    let pairs = self::list(list)
        .into_iter()
        .map(|mut pair| (pair["key"].as_str().unwrap_or_default().to_owned(), any(&pair["value"].take())));
    Value::Object(pairs.collect())
}

/// Protobuf's JSON of a value as plain JSON; its whole numbers are text there.
fn any(value: &Value) -> Value {
    let Some((kind, inner)) = value.as_object().and_then(|value| value.iter().next()) else { return Value::Null };
    match kind.as_str() {
        "int_value" => inner.as_str().and_then(|text| text.parse::<i64>().ok()).map_or(Value::Null, Value::from),
        "array_value" => list(&inner["values"]).iter().map(any).collect(),
        "kvlist_value" => attributes(&inner["values"]),
        _ => inner.clone(),
    }
}
