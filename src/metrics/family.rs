//! Counters and gauges over typed labels: every series is created with its family, so a missing one means a bug.

use std::marker::PhantomData;

use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts,
    Registry,
    core::{Collector, MetricVec, MetricVecBuilder},
};

use super::labels::Label;

/// The series of one metric with one label.
#[derive(Debug)]
pub struct Family<V, A> {
    vec: V,
    label: PhantomData<A>,
}

/// With two labels.
#[derive(Debug)]
pub struct Table<V, A, B> {
    vec: V,
    labels: PhantomData<(A, B)>,
}

pub type Counters<A> = Family<IntCounterVec, A>;
pub type CounterTable<A, B> = Table<IntCounterVec, A, B>;
pub type Gauges<A> = Family<GaugeVec, A>;
pub type GaugeTable<A, B> = Table<GaugeVec, A, B>;
pub type Histograms<A> = Family<HistogramVec, A>;

impl<A: Label> Counters<A> {
    pub fn add(&self, label: A, by: u64) {
        self.vec.with_label_values(&[label.text()]).inc_by(by);
    }

    #[must_use]
    pub fn value(&self, label: A) -> u64 {
        self.vec.with_label_values(&[label.text()]).get()
    }
}

impl<A: Label, B: Label> CounterTable<A, B> {
    pub fn add(&self, first: A, second: B, by: u64) {
        self.vec.with_label_values(&[first.text(), second.text()]).inc_by(by);
    }
}

impl<A: Label> Gauges<A> {
    pub fn set(&self, label: A, value: f64) {
        self.vec.with_label_values(&[label.text()]).set(value);
    }
}

impl<A: Label, B: Label> GaugeTable<A, B> {
    pub fn set(&self, first: A, second: B, value: f64) {
        self.vec.with_label_values(&[first.text(), second.text()]).set(value);
    }
}

impl<A: Label> Histograms<A> {
    pub fn observe(&self, label: A, seconds: f64) {
        self.vec.with_label_values(&[label.text()]).observe(seconds);
    }
}

/// Creates families in one registry. All names are constants of this program, so an error here is a defect that the
/// first start of any build shows; hence `expect`.
pub(super) struct Families<'a>(pub &'a Registry);

impl Families<'_> {
    fn add<C: Collector + Clone + 'static>(&self, made: prometheus::Result<C>) -> C {
        let collector = made.expect("metric names, labels and buckets are valid constants");
        self.0.register(Box::new(collector.clone())).expect("metric names are distinct constants");
        collector
    }

    pub fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.add(IntCounter::new(name, help))
    }

    pub fn gauge(&self, name: &str, help: &str) -> Gauge {
        self.add(Gauge::new(name, help))
    }

    pub fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        self.add(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec())))
    }

    /// A family whose series all exist from the start.
    fn family<M: MetricVecBuilder + Clone + 'static, A: Label>(
        &self,
        made: prometheus::Result<MetricVec<M>>,
    ) -> Family<MetricVec<M>, A>
    where
        MetricVec<M>: Collector,
    {
        let vec = self.add(made);
        for a in A::all() {
            vec.with_label_values(&[a.text()]);
        }
        Family { vec, label: PhantomData }
    }

    pub fn counters<A: Label>(&self, name: &str, help: &str, label: &str) -> Counters<A> {
        self.family(IntCounterVec::new(Opts::new(name, help), &[label]))
    }

    pub fn table<A: Label, B: Label>(
        &self,
        name: &str,
        help: &str,
        labels: [&str; 2],
    ) -> CounterTable<A, B> {
        let vec = self.add(IntCounterVec::new(Opts::new(name, help), &labels));
        for a in A::all() {
            for b in B::all() {
                vec.with_label_values(&[a.text(), b.text()]);
            }
        }
        Table { vec, labels: PhantomData }
    }

    pub fn gauges<A: Label>(&self, name: &str, help: &str, label: &str) -> Gauges<A> {
        self.family(GaugeVec::new(Opts::new(name, help), &[label]))
    }

    /// Every series begins at `at_first`.
    pub fn gauge_table<A: Label, B: Label>(
        &self,
        name: &str,
        help: &str,
        labels: [&str; 2],
        at_first: f64,
    ) -> GaugeTable<A, B> {
        let vec = self.add(GaugeVec::new(Opts::new(name, help), &labels));
        for a in A::all() {
            for b in B::all() {
                vec.with_label_values(&[a.text(), b.text()]).set(at_first);
            }
        }
        Table { vec, labels: PhantomData }
    }

    pub fn histograms<A: Label>(
        &self,
        name: &str,
        help: &str,
        label: &str,
        buckets: &[f64],
    ) -> Histograms<A> {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.family(HistogramVec::new(options, &[label]))
    }

    /// `build_info`: constant 1, the facts are its labels.
    pub fn build_info(&self, version: &str) {
        let options =
            Opts::new("mape_k_build_info", "Constant 1; the version of this build is a label.")
                .const_label("version", version);
        self.add(Gauge::with_opts(options)).set(1.0);
    }
}
