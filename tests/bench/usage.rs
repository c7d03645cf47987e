//! Processor time and memory of processes, from `/proc`.

use std::fs;

use anyhow::{Context, Result};

/// Processor seconds of the parts of a deployment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seconds {
    pub worker: f64,
    pub scheduler: f64,
    pub postgres: f64,
    pub broker: f64,
    pub store: f64,
}

impl Seconds {
    /// The seconds since `before`.
    pub fn since(self, before: Self) -> Self {
        Self {
            worker: self.worker - before.worker,
            scheduler: self.scheduler - before.scheduler,
            postgres: self.postgres - before.postgres,
            broker: self.broker - before.broker,
            store: self.store - before.store,
        }
    }

    pub fn to_text(self) -> String {
        format!(
            "CPU s: worker {:.1}, Postgres {:.1}, scheduler {:.1}, broker {:.1}, object store {:.1}",
            self.worker, self.postgres, self.scheduler, self.broker, self.store
        )
    }
}

/// Processor seconds of a process and of its children, dead ones included if it waited for them.
pub fn seconds(pid: Option<u32>) -> f64 {
    let Some(pid) = pid else { return 0.0 };
    let children = fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| {
        let child: u32 = entry.file_name().to_str()?.parse().ok()?;
        let fields = stat(child)?;
        (fields.get(1)?.parse() == Ok(pid)).then(|| ticks(&fields, 11..13))
    });
    let own = stat(pid).map_or(0.0, |fields| ticks(&fields, 11..15));
    (own + children.sum::<f64>()) / ticks_per_second()
}

/// Peak resident memory of a process in MiB.
pub fn peak_mib(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}

/// The fields of `/proc/<pid>/stat` after the name, which may hold spaces: state first, parent second.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(") ")?.1.split_whitespace().map(str::to_owned).collect())
}

fn ticks(fields: &[String], range: std::ops::Range<usize>) -> f64 {
    fields.get(range).unwrap_or_default().iter().filter_map(|field| field.parse::<f64>().ok()).sum()
}

/// `USER_HZ`: 100 on all architectures that Longshore runs on.
fn ticks_per_second() -> f64 {
    100.0
}
