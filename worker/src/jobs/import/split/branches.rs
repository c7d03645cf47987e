//! Finds where the keys of a range branch. The only question to the storage is: which key comes after this text?

use std::collections::BTreeSet;

use futures::future::try_join_all;

/// A text with this character appended sorts after all keys that start with the text: keys contain no noncharacters.
const LAST: char = '\u{10FFFF}';

/// How many characters of the last key are searched for a branch. S3 keys have up to 1,024 bytes; if keys share a
/// longer start than this, a later split of the range finds the branch.
const DEEPEST: usize = 128;

/// Concurrent probes for one span of characters.
const PROBES: u32 = 16;

/// Rounds of probes for the characters: sixteen to the fifth power is more than the number of Unicode characters.
const ROUNDS: usize = 5;

/// The first characters of writing systems, so that the first round separates digits, letters and scripts.
const LANDMARKS: [u32; 26] = [
    0x20, 0x28, 0x30, 0x38, 0x40, 0x48, 0x50, 0x58, 0x60, 0x68, 0x70, 0x78, 0x80, 0x100, 0x370, 0x400, 0x600, 0x900,
    0x1E00, 0x3000, 0x4E00, 0x6000, 0x8000, 0xAC00, 0x1_0000, 0x2_0000,
];

/// The rest of a job's range.
pub(super) struct Range<'a> {
    /// The prefix of all keys.
    pub(super) prefix: &'a str,
    /// The last key that is finished.
    pub(super) after: &'a str,
    /// The last key that belongs to the range, if there is a bound.
    pub(super) until: Option<&'a str>,
}

impl Range<'_> {
    fn holds(&self, key: &str) -> bool {
        key > self.after && self.until.is_none_or(|until| key <= until)
    }
}

/// Finds up to `parts` texts, ascending and strictly inside the range, that cut it where its keys branch.
///
/// Empty if no branch is found: the remaining keys differ from the last key only beyond [`DEEPEST`] characters, or no
/// key remains.
///
/// # Errors
/// A probe failed.
pub(super) async fn find<F, E>(
    range: &Range<'_>,
    parts: usize,
    probe: impl Fn(String) -> F + Sync + Send,
) -> Result<Vec<String>, E>
where
    F: Future<Output = Result<Option<String>, E>> + Send,
    E: Send,
{
    let mut found = BTreeSet::new();
    for stem in stems(range, &probe).await? {
        let chars = chars_after(range, stem, parts, &probe).await?;
        let cuts: Vec<String> = chars
            .into_iter()
            .map(|char| format!("{stem}{char}"))
            .filter(|cut| cut.as_str() > range.after && range.until.is_none_or(|until| cut.as_str() < until))
            .collect();
        // The first branches separate the most keys. If there are too few, the part with the last key is cut at deeper
        // branches.
        found.extend(evenly(cuts, parts - found.len()));
        if found.len() >= parts {
            break;
        }
    }
    Ok(found.into_iter().collect())
}

/// The starts of the last key after which remaining keys differ from it, the shortest first. All remaining keys begin
/// with the shortest.
///
/// Probes, for each start of the last key, for the first key after all keys with that start. If there is one, that
/// start is one character longer than a text where keys branch.
async fn stems<'a, F, E>(range: &Range<'a>, probe: &(impl Fn(String) -> F + Sync)) -> Result<Vec<&'a str>, E>
where
    F: Future<Output = Result<Option<String>, E>> + Send,
    E: Send,
{
    let last = range.after;
    let from = if last.starts_with(range.prefix) { range.prefix.len() } else { 0 };
    let starts: Vec<(usize, usize)> =
        last[from..].char_indices().take(DEEPEST).map(|(at, char)| (from + at, from + at + char.len_utf8())).collect();
    let answers = try_join_all(starts.iter().map(|(_, end)| probe(format!("{}{LAST}", &last[..*end])))).await?;
    let mut stems: Vec<&str> = Vec::new();
    for ((start, _), answer) in starts.iter().zip(&answers) {
        let Some(key) = answer.as_ref().filter(|key| range.holds(key)) else { continue };
        // Longer starts get the same answer until keys branch there as well.
        if key.starts_with(&last[..*start]) {
            stems.push(&last[..*start]);
        }
    }
    // Keys that begin with the whole last key come before all others.
    if starts.len() < DEEPEST {
        stems.push(last);
    }
    Ok(stems)
}

/// The characters that follow the stem in remaining keys, except those up to the last key's character.
async fn chars_after<F, E>(
    range: &Range<'_>,
    stem: &str,
    parts: usize,
    probe: &(impl Fn(String) -> F + Sync),
) -> Result<BTreeSet<char>, E>
where
    F: Future<Output = Result<Option<String>, E>> + Send,
    E: Send,
{
    let low = range.after[stem.len()..].chars().next().map_or(0, |char| u32::from(char) + 1);
    let high = range.until.and_then(|until| until.strip_prefix(stem)).and_then(|rest| rest.chars().next());
    let end = high.map_or(u32::from(LAST), |char| u32::from(char) + 1);

    let mut found = BTreeSet::new();
    let inner = LANDMARKS.into_iter().filter(|mark| (low + 1..end).contains(mark));
    let mut points: Vec<u32> = std::iter::once(low).chain(inner).chain([end]).collect();
    for _ in 0..ROUNDS {
        let spans: Vec<(u32, u32)> = points.windows(2).map(|pair| (pair[0], pair[1])).filter(|(a, b)| a < b).collect();
        let firsts = try_join_all(spans.iter().map(|(start, _)| first_char(range, stem, *start, probe))).await?;
        // If the first character is outside of the span, the span has none; otherwise it may have more after that one.
        points.clear();
        for ((start, end), first) in spans.into_iter().zip(firsts) {
            let Some(first) = first.filter(|char| (start..end).contains(&u32::from(*char))) else { continue };
            found.insert(first);
            let rest = u32::from(first) + 1;
            let step = end.saturating_sub(rest).div_ceil(PROBES).max(1);
            points.extend((rest..end).step_by(step as usize));
            points.push(end);
        }
        points.dedup();
        if points.is_empty() || found.len() > parts.saturating_mul(2) {
            break;
        }
    }
    Ok(found)
}

/// The character that follows the stem in the first remaining key, if that character is `start` or later.
async fn first_char<F, E>(
    range: &Range<'_>,
    stem: &str,
    start: u32,
    probe: &(impl Fn(String) -> F + Sync),
) -> Result<Option<char>, E>
where
    F: Future<Output = Result<Option<String>, E>> + Send,
    E: Send,
{
    // The probe lists keys after a text: here after all keys in which an earlier character follows the stem.
    let before = (0..start).rev().find_map(char::from_u32);
    let text = match before {
        Some(before) => format!("{stem}{before}{LAST}"),
        None => stem.to_owned(),
    };
    let key = probe(text.max(range.after.to_owned())).await?;
    Ok(key.filter(|key| range.holds(key)).and_then(|key| key.strip_prefix(stem)?.chars().next()))
}

/// Up to `parts` of the cuts, evenly distributed.
fn evenly(cuts: Vec<String>, parts: usize) -> Vec<String> {
    let count = cuts.len();
    if count <= parts {
        return cuts;
    }
    // Divides the cuts into `parts + 1` stretches; each stretch except the first begins with a chosen cut.
    let chosen: BTreeSet<usize> = (1..=parts).map(|part| part * count / (parts + 1)).collect();
    cuts.into_iter().enumerate().filter(|(at, _)| chosen.contains(at)).map(|(_, cut)| cut).collect()
}

#[cfg(test)]
mod tests;
