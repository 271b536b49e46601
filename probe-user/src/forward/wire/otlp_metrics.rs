//! Measures as OTLP metrics: gauges, and cumulative sums that began with the daemon. Names, units and labels are those of
//! the Prometheus endpoint; the host is the resource, as it is of events.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
};

use super::any::text;
use super::otlp_logs::{resource, scope};
use crate::event::Host;
use crate::metrics::{Family, Kind};
use crate::time::Wall;

/// All measures of one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Of whom.
    pub host: Arc<Host>,
    /// When what only rises was 0.
    pub began: Wall,
    /// The moment.
    pub at: Wall,
    /// The measures.
    pub families: Vec<Family>,
}

impl Snapshot {
    /// How many values it has.
    pub(in crate::forward) fn points(&self) -> u64 {
        self.families.iter().map(|family| family.points.len() as u64).sum()
    }
}

pub(in crate::forward) fn request(snapshot: &Snapshot) -> ExportMetricsServiceRequest {
    let host = &snapshot.host;
    let names = [("host.name", &host.name), ("host.id", &host.id), ("boot.id", &host.boot_id)];
    let host = names.map(|(key, value)| text(key, value)).to_vec();
    let metrics = snapshot.families.iter().map(|family| metric(family, snapshot)).collect();
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope()), metrics, ..ScopeMetrics::default() }];
    let resource = Some(resource(host));
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() }],
    }
}

fn metric(family: &Family, snapshot: &Snapshot) -> Metric {
    let nanos = |wall: Wall| u64::try_from(wall.0).unwrap_or_default();
    let start_time_unix_nano = match family.kind {
        Kind::Gauge => 0,
        Kind::Counter => nanos(snapshot.began),
    };
    let points = family.points.iter().map(|point| NumberDataPoint {
        attributes: point.labels.iter().map(|(name, value)| text(*name, &**value)).collect(),
        start_time_unix_nano,
        time_unix_nano: nanos(snapshot.at),
        value: Some(Value::AsDouble(point.value)),
        ..NumberDataPoint::default()
    });
    let data_points = points.collect();
    let data = match family.kind {
        Kind::Gauge => Data::Gauge(Gauge { data_points }),
        Kind::Counter => Data::Sum(Sum {
            data_points,
            aggregation_temporality: AggregationTemporality::Cumulative.into(),
            is_monotonic: true,
        }),
    };
    Metric {
        name: family.name.to_owned(),
        description: family.help.to_owned(),
        unit: family.unit.to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}
