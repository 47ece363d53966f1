//! Counters, spreads of durations, and the text that Prometheus reads
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
//!
//! Whoever has something to count owns its counters; `telemetry` reads them. No value of a label
//! is chosen by who sends requests: there would be no end to them.

use std::{
    fmt::{Display, Write as _},
    sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    pub fn read(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// How many there are at the moment.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    pub fn more(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    pub fn less(&self) {
        self.0.fetch_sub(1, Relaxed);
    }

    pub fn read(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// Upper ends of the buckets of every histogram, in microseconds.
pub const BUCKETS: [u64; 16] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000,
    30_000_000,
];

/// Durations, counted by bucket.
#[derive(Debug, Default)]
pub struct Histogram {
    /// One more than there are ends: what is longer than all of them.
    buckets: [AtomicU64; BUCKETS.len() + 1],
    nanos: AtomicU64,
}

/// A histogram as of one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// By bucket, not summed up; the last has no upper end.
    pub counts: [u64; BUCKETS.len() + 1],
    pub sum: Duration,
}

impl Histogram {
    pub fn observe(&self, span: Duration) {
        let micros = u64::try_from(span.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX);
        let bucket = BUCKETS.partition_point(|end| *end < micros);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.nanos.fetch_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    pub fn read(&self) -> Spread {
        let counts = std::array::from_fn(|at| self.buckets[at].load(Relaxed));
        Spread { counts, sum: Duration::from_nanos(self.nanos.load(Relaxed)) }
    }
}

impl Spread {
    /// Upper ends in seconds, none for the last, and how many took at most as long.
    pub fn cumulative(&self) -> impl Iterator<Item = (Option<f64>, u64)> {
        let ends = BUCKETS.iter().map(|micros| Some(Duration::from_micros(*micros).as_secs_f64())).chain([None]);
        ends.zip(self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        }))
    }
}

/// What a scrape is answered.
#[derive(Debug, Default)]
pub struct Text(String);

/// Names and values: of a program's making, or an admin's.
pub type Labels<'a> = &'a [(&'static str, &'a str)];

impl Text {
    pub const MEDIA_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    pub fn counter(&mut self, name: &str, help: &str) {
        self.family(name, "counter", help);
    }

    pub fn gauge(&mut self, name: &str, help: &str) {
        self.family(name, "gauge", help);
    }

    pub fn histogram(&mut self, name: &str, help: &str) {
        self.family(name, "histogram", help);
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// Of the family that was begun last.
    pub fn sample(&mut self, name: &str, labels: Labels<'_>, value: impl Display) {
        self.0.push_str(name);
        for (at, (label, value)) in labels.iter().enumerate() {
            self.0.push(if at == 0 { '{' } else { ',' });
            let _ = write!(self.0, "{label}=\"{}\"", escaped(value));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{end} {value}");
    }

    pub fn spread(&mut self, name: &str, labels: Labels<'_>, spread: &Spread) {
        let (bucket, mut all) = (format!("{name}_bucket"), 0);
        for (end, count) in spread.cumulative() {
            let end = end.map_or_else(|| "+Inf".to_owned(), |end| end.to_string());
            self.sample(&bucket, &[labels, &[("le", &end)]].concat(), count);
            all = count;
        }
        self.sample(&format!("{name}_sum"), labels, spread.sum.as_secs_f64());
        self.sample(&format!("{name}_count"), labels, all);
    }

    pub fn into_string(self) -> String {
        self.0
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_first_bucket_that_it_does_not_exceed() {
        let histogram = Histogram::default();
        for micros in [0, 50, 51, 30_000_000, 30_000_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        histogram.observe(Duration::from_nanos(50_001));
        let read = histogram.read();
        assert_eq!((read.counts[0], read.counts[1], read.counts[15], read.counts[16]), (2, 2, 1, 1));
        let summed: Vec<_> = read.cumulative().collect();
        assert_eq!((summed[0], summed[15], summed[16]), ((Some(0.000_05), 2), (Some(30.0), 5), (None, 6)));
    }

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let mut text = Text::default();
        text.counter("x_total", "All of it.");
        text.sample("x_total", &[], 3);
        text.sample("x_total", &[("a", "q\"\\\n"), ("b", "")], 4.5);
        let histogram = Histogram::default();
        histogram.observe(Duration::from_millis(3));
        text.histogram("y_seconds", "How long.");
        text.spread("y_seconds", &[("a", "b")], &histogram.read());
        let text = text.into_string();
        assert!(text.starts_with(
            "# HELP x_total All of it.\n# TYPE x_total counter\nx_total 3\nx_total{a=\"q\\\"\\\\\\n\",b=\"\"} 4.5\n"
        ));
        assert!(text.contains("y_seconds_bucket{a=\"b\",le=\"0.0025\"} 0\ny_seconds_bucket{a=\"b\",le=\"0.005\"} 1\n"));
        assert!(text.ends_with(
            "y_seconds_bucket{a=\"b\",le=\"+Inf\"} 1\ny_seconds_sum{a=\"b\"} 0.003\ny_seconds_count{a=\"b\"} 1\n"
        ));
    }
}
