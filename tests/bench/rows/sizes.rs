//! Two sizes a factor of ten apart: the cost of an object must not depend on the number of objects, or figures of a
//! small bucket would not apply to a large one.

use crate::deployment::CompletedSync;
use crate::figure::{Figure, whole};
use crate::usage::Seconds;

/// The factor between the two sizes.
pub(super) const FACTOR: u64 = 10;

/// The costs at both sizes must agree within this factor. Quadratic work would cost several times as much.
const AGREEMENT: f64 = 1.2;

/// The cost at one size.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) objects: u64,
    seconds: f64,
    cpu: Seconds,
}

impl Sample {
    pub(super) fn new(objects: u64, ended: &CompletedSync) -> Self {
        Self { objects, seconds: ended.seconds, cpu: ended.cpu }
    }

    fn per_object(self, seconds: f64) -> f64 {
        seconds * 1e6 / self.objects as f64
    }

    /// Processor time per object in microseconds, without the object store.
    fn micros(self) -> f64 {
        let Seconds { worker, scheduler, postgres, broker, .. } = self.cpu;
        self.per_object(worker + scheduler + postgres + broker)
    }

    fn to_text(self) -> String {
        format!(
            "{} objects: {:.1} µs of CPU each (worker {:.1}, Postgres {:.1}), {}/s",
            whole(self.objects as f64),
            self.micros(),
            self.per_object(self.cpu.worker),
            self.per_object(self.cpu.postgres),
            whole(self.objects as f64 / self.seconds),
        )
    }
}

/// The cost of an object at the larger size by that at the smaller.
pub(super) fn compare(row: u8, what: &str, small: Sample, large: Sample) -> Figure {
    Figure::new(
        row,
        format!("{what}: cost of an object at ten times the size ÷ at the size"),
        large.micros() / small.micros(),
    )
    .within(AGREEMENT)
    .conditions(format!("{}; {}", small.to_text(), large.to_text()))
    .raw("small_objects", small.objects)
    .raw("small_cpu_micros", small.micros())
    .raw("small_postgres_micros", small.per_object(small.cpu.postgres))
    .raw("large_objects", large.objects)
    .raw("large_cpu_micros", large.micros())
    .raw("large_postgres_micros", large.per_object(large.cpu.postgres))
}
