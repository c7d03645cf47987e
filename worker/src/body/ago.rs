//! Time spans as text, as the host writes them.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, Zoned};

/// Separates number and unit, so that a line never breaks there.
const NO_BREAK_SPACE: char = '\u{a0}';

const UNITS: [&str; 6] = ["year", "month", "week", "day", "hour", "minute"];

/// The time from `then` to `now`, in the largest unit and the next smaller one, such as `2 days, 3 hours`.
///
/// Less than a minute, and times in the future, give `0 minutes`.
pub(super) fn ago(then: Timestamp, now: Timestamp) -> String {
    let (then, now) = (then.to_zoned(TimeZone::UTC), now.to_zoned(TimeZone::UTC));
    let calendar_months =
        12 * (i32::from(now.year()) - i32::from(then.year())) + i32::from(now.month()) - i32::from(then.month());
    // The last of these months may not be over yet.
    let months = [calendar_months, calendar_months - 1];
    let months = months.into_iter().find(|&count| count > 0 && months_later(&then, count).is_some_and(|at| at <= now));
    let months = months.unwrap_or(0);
    let rest = months_later(&then, months).map_or(0, |at| now.duration_since(&at).as_mins().max(0));

    let counts = [
        i64::from(months / 12),
        i64::from(months % 12),
        rest / (7 * 24 * 60),
        rest / (24 * 60) % 7,
        rest / 60 % 24,
        rest % 60,
    ];
    let parts = UNITS.iter().zip(counts);
    let parts: Vec<String> = parts
        .skip_while(|(_, count)| *count == 0)
        .take(2)
        .take_while(|(_, count)| *count > 0)
        .map(|(unit, count)| format!("{count}{NO_BREAK_SPACE}{unit}{}", if count == 1 { "" } else { "s" }))
        .collect();
    if parts.is_empty() { format!("0{NO_BREAK_SPACE}minutes") } else { parts.join(", ") }
}

fn months_later(then: &Zoned, months: i32) -> Option<Zoned> {
    then.checked_add(months.months()).ok()
}
