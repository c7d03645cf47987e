//! Times as Python reads them: in the forms of ISO 8601, and in Django's own form.

use jiff::civil::{Date, DateTime, ISOWeekDate, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use longshore_model::python;

use super::text;
use crate::values::given;

/// A time. Without an offset it is in UTC, and a date alone is its midnight. Digits after the microseconds are cut off.
pub(crate) fn time(member: Option<&str>) -> Result<Option<Timestamp>, &str> {
    let Some(json) = given(member) else { return Ok(None) };
    text(json).and_then(|text| iso(&text).or_else(|| django(&text))).map(Some).ok_or(json)
}

/// A time within a day, or how far a zone is from UTC.
#[derive(Clone, Copy, Default)]
struct Clock {
    hour: i8,
    minute: i8,
    second: i8,
    microsecond: i32,
}

impl Clock {
    fn duration(self) -> SignedDuration {
        SignedDuration::from_hours(self.hour.into())
            + SignedDuration::from_mins(self.minute.into())
            + SignedDuration::from_secs(self.second.into())
            + SignedDuration::from_micros(self.microsecond.into())
    }
}

/// What is not read yet of a text.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// Takes a number with `min` to `max` digits.
    fn number<T: TryFrom<u32>>(&mut self, min: usize, max: usize) -> Option<T> {
        let length = self.0.bytes().take(max).take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.0.split_at(length);
        self.0 = rest;
        if length < min { None } else { digits.parse::<u32>().ok()?.try_into().ok() }
    }

    /// Takes one of these letters, if it is next.
    fn take(&mut self, letters: &[char]) -> Option<char> {
        let letter = self.0.chars().next().filter(|letter| letters.contains(letter))?;
        self.0 = &self.0[letter.len_utf8()..];
        Some(letter)
    }

    /// Takes the digits after a decimal point as microseconds, at most `max` of them.
    fn microseconds(&mut self, max: usize) -> Option<i32> {
        let length = self.0.bytes().take_while(u8::is_ascii_digit).count();
        if length == 0 || length > max {
            return None;
        }
        let digits = format!("{:0<6.6}", &self.0[..length]);
        self.0 = &self.0[length..];
        digits.parse().ok()
    }

    /// Takes a date: `YYYY-MM-DD` or `YYYY-Www-D`, also without hyphens, and weeks also without their day.
    fn date(&mut self) -> Option<Date> {
        let year = self.number(4, 4)?;
        let hyphens = self.take(&['-']).is_some();
        if self.take(&['W']).is_none() {
            let month = self.number(2, 2)?;
            if hyphens {
                self.take(&['-'])?;
            }
            return Date::new(year, month, self.number(2, 2)?).ok();
        }
        let week = self.number(2, 2)?;
        let digits = self.0.bytes().take_while(u8::is_ascii_digit).count();
        // What follows a week without its day may begin with a hyphen or a digit, too: Python looks at what is next.
        let has_day = if hyphens {
            self.0.starts_with('-') && !self.0.as_bytes().get(2).is_some_and(u8::is_ascii_digit)
        } else {
            digits == 1 || (digits > 0 && digits % 2 == 0)
        };
        let mut day = 1;
        if has_day {
            if hyphens {
                self.take(&['-'])?;
            }
            day = self.number(1, 1)?;
        }
        Some(ISOWeekDate::new(year, week, Weekday::from_monday_one_offset(day).ok()?).ok()?.date())
    }

    /// Takes `HH`, `HH:MM` or `HH:MM:SS` with or without a fraction, also without colons, up to the end.
    fn clock(mut self) -> Option<Clock> {
        let mut clock = Clock { hour: self.number(2, 2)?, ..Clock::default() };
        let colons = self.take(&[':']).is_some();
        if colons || !self.0.is_empty() {
            clock.minute = self.number(2, 2)?;
        }
        let more = if colons { self.take(&[':']).is_some() } else { !self.0.is_empty() };
        if more {
            clock.second = self.number(2, 2)?;
            if self.take(&['.', ',']).is_some() {
                clock.microsecond = self.microseconds(usize::MAX)?;
            }
        }
        self.0.is_empty().then_some(clock)
    }
}

/// A time in the form of ISO 8601, with any letter between date and time.
fn iso(text: &str) -> Option<Timestamp> {
    let mut rest = Rest(text);
    let date = rest.date()?;
    let mut letters = rest.0.chars();
    if letters.next().is_none() {
        return timestamp(date, Clock::default(), Clock::default(), 1);
    }
    let text = letters.as_str();
    let (clock, zone) = text.split_at(text.find(['+', '-', 'Z']).unwrap_or(text.len()));
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let offset = match zone {
        "" | "Z" => Clock::default(),
        zone => Rest(zone.strip_prefix(['+', '-'])?).clock()?,
    };
    timestamp(date, Rest(clock).clock()?, offset, sign)
}

/// A time with numbers of one digit, or with blanks before its zone.
fn django(text: &str) -> Option<Timestamp> {
    let mut rest = Rest(text);
    let year = rest.number(4, 4)?;
    rest.take(&['-'])?;
    let month = rest.number(1, 2)?;
    rest.take(&['-'])?;
    let date = Date::new(year, month, rest.number(1, 2)?).ok()?;
    rest.take(&['T', ' '])?;
    let mut clock = Clock { hour: rest.number(1, 2)?, ..Clock::default() };
    rest.take(&[':'])?;
    clock.minute = rest.number(1, 2)?;
    if rest.take(&[':']).is_some() {
        clock.second = rest.number(1, 2)?;
        if rest.take(&['.', ',']).is_some() {
            clock.microsecond = rest.microseconds(12)?;
        }
    }
    rest.0 = python::trim_start(rest.0);
    let (mut offset, mut sign) = (Clock::default(), 1);
    if let Some(letter @ ('+' | '-')) = rest.take(&['Z', '+', '-']) {
        sign = if letter == '-' { -1 } else { 1 };
        offset.hour = rest.number(2, 2)?;
        if rest.take(&[':']).is_some() || rest.0.starts_with(|next: char| next.is_ascii_digit()) {
            offset.minute = rest.number(2, 2)?;
        }
    }
    if matches!(rest.0, "" | "\n") { timestamp(date, clock, offset, sign) } else { None }
}

/// The time in UTC, if all of its parts are in their ranges.
fn timestamp(date: Date, clock: Clock, offset: Clock, sign: i32) -> Option<Timestamp> {
    let time = Time::new(clock.hour, clock.minute, clock.second, clock.microsecond * 1_000).ok()?;
    let offset = offset.duration();
    if offset >= SignedDuration::from_hours(24) || date.year() < 1 {
        return None;
    }
    let utc = DateTime::from_parts(date, time).checked_sub(offset * sign).ok().filter(|time| time.year() >= 1)?;
    utc.to_zoned(TimeZone::UTC).ok().map(|time| time.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_may_have_any_form_that_python_reads() {
        for (text, utc) in [
            ("2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z"),
            ("2024-01-02", "2024-01-02T00:00:00Z"),
            ("20240102", "2024-01-02T00:00:00Z"),
            ("2024-W01-2", "2024-01-02T00:00:00Z"),
            ("2024W012", "2024-01-02T00:00:00Z"),
            ("2024-W01", "2024-01-01T00:00:00Z"),
            ("2024W01", "2024-01-01T00:00:00Z"),
            ("2024-W01-03:04", "2024-01-01T03:04:00Z"),
            ("2024W01203", "2024-01-01T03:00:00Z"),
            ("2024-W01-2T03:04:05", "2024-01-02T03:04:05Z"),
            ("2024-01-02T03", "2024-01-02T03:00:00Z"),
            ("2024-01-02 03:04", "2024-01-02T03:04:00Z"),
            ("20240102T030405Z", "2024-01-02T03:04:05Z"),
            ("2024-01-02\u{e9}0304", "2024-01-02T03:04:00Z"),
            ("2024-01-02T03:04:05,5", "2024-01-02T03:04:05.5Z"),
            ("2024-01-02T03:04:05.999999999+00", "2024-01-02T03:04:05.999999Z"),
            ("2024-01-02T03:04:05+0200", "2024-01-02T01:04:05Z"),
            ("2024-01-02T03:04:05.5+02:00:30.5", "2024-01-02T01:03:35Z"),
            ("2024-01-02T03:04:05-23:59", "2024-01-03T03:03:05Z"),
            ("2024-01-02T03:04:05+02:60", "2024-01-02T00:04:05Z"),
            ("0001-01-01T00:00:00", "0001-01-01T00:00:00Z"),
            // In Django's own form.
            ("2024-1-2 3:4", "2024-01-02T03:04:00Z"),
            ("2024-1-2T3:4:5.25  +02", "2024-01-02T01:04:05.25Z"),
            ("2024-01-02T03:04:05 Z", "2024-01-02T03:04:05Z"),
            ("2024-01-02T03:04:05 ", "2024-01-02T03:04:05Z"),
            ("2024-01-02T03:04:05Z\\n", "2024-01-02T03:04:05Z"),
        ] {
            assert_eq!(time(Some(&format!("\"{text}\""))), Ok(utc.parse().ok()), "{text}");
        }
        assert_eq!([None, Some("null")].map(time), [Ok(None); 2]);
    }

    #[test]
    fn what_python_cannot_read_as_a_time_is_refused() {
        for text in [
            "",
            " ",
            "yesterday",
            "1700000000",
            "2024",
            "2024-01",
            "2024-1-2",
            "2024-001",
            "2024-02-30",
            "2024-0102",
            "0000-01-01",
            "-2024-01-02",
            "2024-01-02T",
            "2024-01-02T03:",
            "2024-01-02Z",
            "2024-01-02T24:00",
            "2024-01-02T23:59:60",
            "2024-01-02T03:04:05z",
            "2024-01-02T03:04:05.",
            "2024-01-02T03:0405",
            "2024-01-02T03:04:05+24:00",
            "2024-01-02T03:04:05+2",
            "2024-01-02T03:04:05[UTC]",
            " 2024-01-02T03:04:05",
            "2024-01-02T03:04:05Z ",
            "2024-1-2 3:04:05+02:0",
            "0001-01-01T00:00:00+02:00",
            "2023-W53-1",
        ] {
            let json = format!("\"{text}\"");
            assert_eq!(time(Some(&json)), Err(&*json));
        }
        for json in ["5", "1.5", "true", "[]", "{}"] {
            assert_eq!(time(Some(json)), Err(json));
        }
    }
}
