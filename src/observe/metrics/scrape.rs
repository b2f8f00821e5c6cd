//! Figures that are read when somebody asks for them.

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{CounterVec, GaugeVec, Opts};

/// The families of one answer.
#[derive(Default)]
pub struct Scrape {
    families: Vec<MetricFamily>,
}

impl Scrape {
    /// Numbers that go up and down. Each sample has a value for every label.
    pub fn gauge<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&str; N],
        samples: impl IntoIterator<Item = ([String; N], f64)>,
    ) {
        let made = GaugeVec::new(Opts::new(name, help), &labels).inspect(|vector| {
            for (values, number) in samples {
                vector.with_label_values(&values).set(number);
            }
        });
        self.take(name, made);
    }

    /// Numbers that only grow.
    pub fn counter<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&str; N],
        samples: impl IntoIterator<Item = ([String; N], u64)>,
    ) {
        let made = CounterVec::new(Opts::new(name, help), &labels).inspect(|vector| {
            for (values, number) in samples {
                #[allow(clippy::cast_precision_loss, reason = "the text format counts in floating point")]
                vector.with_label_values(&values).inc_by(number as f64);
            }
        });
        self.take(name, made);
    }

    fn take(&mut self, name: &str, made: prometheus::Result<impl Collector>) {
        match made {
            Ok(vector) => {
                let full = |family: &MetricFamily| !family.get_metric().is_empty();
                self.families.extend(vector.collect().into_iter().filter(full));
            }
            Err(error) => tracing::error!(name, %error, "a metric can't be made"),
        }
    }

    pub(super) fn into_families(self) -> Vec<MetricFamily> {
        self.families
    }
}
