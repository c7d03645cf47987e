//! Synthetic buckets: the name has the number and form of the keys, and the latency.
//!
//! Key `i` is computed from `i` alone, in ascending order, so a bucket with many millions of keys needs no memory, and
//! a page costs only its own keys.

use std::fmt;
use std::io::Write;
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, bail};

/// A bucket, written as `flat-1000000-list50-get10-put10`: form, keys, milliseconds per request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    pub form: Form,
    pub count: u64,
    pub list: Duration,
    pub get: Duration,
    pub put: Duration,
}

/// What the keys look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One folder, numbered: `images/0000001234.jpg`.
    Flat,
    /// A folder a day: `2003/11/29/IMG_000412.jpg`.
    Dates,
    /// `3f0c9b1e-....jpg`, evenly spread.
    Uuids,
    /// One folder of task files: `tasks/0000001234.json`.
    Tasks,
}

impl Form {
    const ALL: [(Self, &str); 4] =
        [(Self::Flat, "flat"), (Self::Dates, "dates"), (Self::Uuids, "uuids"), (Self::Tasks, "tasks")];

    /// Keys in one day's folder.
    const PER_DAY: u64 = 5_000;
}

impl Bucket {
    pub fn new(form: Form, count: u64) -> Self {
        Self { form, count, list: Duration::ZERO, get: Duration::ZERO, put: Duration::ZERO }
    }

    pub fn list_ms(self, ms: u64) -> Self {
        Self { list: Duration::from_millis(ms), ..self }
    }

    pub fn get_ms(self, ms: u64) -> Self {
        Self { get: Duration::from_millis(ms), ..self }
    }

    pub fn put_ms(self, ms: u64) -> Self {
        Self { put: Duration::from_millis(ms), ..self }
    }

    pub fn key(&self, index: u64) -> String {
        let mut key = Vec::new();
        self.write_key(index, &mut key);
        String::from_utf8(key).unwrap_or_default()
    }

    /// Appends key `index`.
    pub fn write_key(&self, index: u64, out: &mut Vec<u8>) {
        // Writing to a `Vec` does not fail.
        let written = match self.form {
            Form::Flat => numbered(out, "images/", index, ".jpg"),
            Form::Tasks => numbered(out, "tasks/", index, ".json"),
            Form::Dates => {
                let (day, number) = (index / Form::PER_DAY, index % Form::PER_DAY);
                // Months of 30 days: these are names, not a calendar.
                write!(out, "{:04}/{:02}/{:02}/IMG_{number:06}.jpg", 2000 + day / 360, day % 360 / 30 + 1, day % 30 + 1)
            }
            Form::Uuids => {
                let step = u64::MAX / self.count.max(1);
                let (high, low) = (index * step + scatter(index) % step.max(1), scatter(!index));
                write!(
                    out,
                    "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}.jpg",
                    high >> 32,
                    high >> 16 & 0xffff,
                    high & 0xffff,
                    low >> 48,
                    low & 0xffff_ffff_ffff
                )
            }
        };
        written.unwrap_or_default();
    }

    /// The keys that start with `prefix` and come after `after`, as a range of indices.
    pub fn range(&self, prefix: &[u8], after: &[u8]) -> Range<u64> {
        let start = self.first(|key| key >= prefix && (after.is_empty() || key > after));
        let end = self.first(|key| key > prefix && !key.starts_with(prefix));
        start..end.max(start)
    }

    /// The first index whose key meets a condition that every later key meets too.
    pub fn first(&self, meets: impl Fn(&[u8]) -> bool) -> u64 {
        let (mut low, mut high) = (0, self.count);
        let mut key = Vec::new();
        while low < high {
            let middle = low + (high - low) / 2;
            key.clear();
            self.write_key(middle, &mut key);
            if meets(&key) { high = middle } else { low = middle + 1 }
        }
        low
    }
}

/// Mixes the bits of a number; from SplitMix64.
fn scatter(number: u64) -> u64 {
    let mixed = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// Without `write!`, which would be most of the cost of a page.
fn numbered(out: &mut Vec<u8>, before: &str, index: u64, after: &str) -> std::io::Result<()> {
    out.extend_from_slice(before.as_bytes());
    let at = out.len();
    out.extend_from_slice(b"0000000000");
    let mut rest = index;
    for digit in out[at..].iter_mut().rev() {
        *digit += u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
    }
    out.extend_from_slice(after.as_bytes());
    Ok(())
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = Form::ALL.iter().find(|(form, _)| *form == self.form).map_or("flat", |(_, name)| name);
        write!(f, "{form}-{}", self.count)?;
        for (op, wait) in [("list", self.list), ("get", self.get), ("put", self.put)] {
            if !wait.is_zero() {
                write!(f, "-{op}{}", wait.as_millis())?;
            }
        }
        Ok(())
    }
}

impl FromStr for Bucket {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let mut words = text.split('-');
        let form = words.next().unwrap_or_default();
        let form = Form::ALL.iter().find(|(_, name)| *name == form).context("an unknown form of keys")?.0;
        let mut bucket = Self::new(form, words.next().context("no number of keys")?.parse()?);
        for word in words {
            let split = word.find(|char: char| char.is_ascii_digit()).context("no milliseconds")?;
            let wait = Duration::from_millis(word[split..].parse()?);
            match &word[..split] {
                "list" => bucket.list = wait,
                "get" => bucket.get = wait,
                "put" => bucket.put = wait,
                op => bail!("no operation is called {op}"),
            }
        }
        Ok(bucket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_ascend_and_are_found_by_range() {
        for (form, _) in Form::ALL {
            let bucket = Bucket::new(form, 20_000);
            let keys: Vec<String> = (0..bucket.count).map(|index| bucket.key(index)).collect();
            assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "{form:?}");
            for index in [0, 1, 4_999, 5_000, 19_998] {
                assert_eq!(bucket.range(b"", keys[index].as_bytes()), index as u64 + 1..20_000, "{form:?}");
            }
        }
    }

    #[test]
    fn a_prefix_holds_the_keys_that_start_with_it() {
        let bucket = Bucket::new(Form::Dates, 200 * Form::PER_DAY);
        assert_eq!(bucket.range(b"2000/02/", b""), 30 * Form::PER_DAY..60 * Form::PER_DAY);
        assert_eq!(bucket.range(b"2000/02/", b"2000/02/01/IMG_000000.jpg").start, 30 * Form::PER_DAY + 1);
        assert!(bucket.range(b"1999/", b"").is_empty() && bucket.range(b"x", b"").is_empty());
    }

    #[test]
    fn a_name_has_all_properties_of_a_bucket() {
        let bucket = Bucket::new(Form::Tasks, 50_000).list_ms(50).get_ms(10).put_ms(3);
        assert_eq!(bucket.to_string(), "tasks-50000-list50-get10-put3");
        assert_eq!(bucket.to_string().parse::<Bucket>().unwrap(), bucket);
        assert!("bench".parse::<Bucket>().is_err());
    }
}
