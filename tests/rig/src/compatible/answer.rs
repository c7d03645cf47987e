//! The answer to a listing, in the words of a store.

use std::collections::BTreeSet;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::document;
use super::profile::{Continuation, Profile, SecondVersion, Spelling, Start, Truncation};

const URL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'/');
const SLASHES: &AsciiSet = &URL.add(b'/');

/// When a key was stored, the key, and its size.
type Entry<'a> = (usize, &'a str, usize);

/// A listing's parameters.
#[derive(Debug, Default)]
pub(super) struct Query {
    pub(super) prefix: String,
    pub(super) after: String,
    pub(super) token: String,
    pub(super) marker: String,
    pub(super) limit: usize,
    pub(super) has_delimiter: bool,
    pub(super) is_second_version: bool,
    pub(super) is_encoded: bool,
}

/// The bytes of the page that a store lists of its keys, or the status and the code of its refusal. `keys` are in the
/// order in which they were stored.
pub(super) fn page(profile: &Profile, keys: &[(String, usize)], query: &Query) -> Result<Vec<u8>, (u16, &'static str)> {
    let is_second = query.is_second_version && profile.second_version == SecondVersion::Answered;
    if let (true, SecondVersion::Refused(status, code)) = (query.is_second_version, profile.second_version) {
        return Err((status, code));
    }
    let mut keys: Vec<Entry<'_>> = keys
        .iter()
        .enumerate()
        .filter(|(_, (key, _))| profile.ignores_prefix || key.starts_with(&query.prefix))
        .map(|(time, (key, size))| (time, key.as_str(), *size))
        .collect();
    keys.sort_by(|a, b| profile.order.compare((a.1, a.0), (b.1, b.0)));
    let token = if is_second { &query.token } else { &query.marker };
    let is_under_token = !token.is_empty() && profile.honors_tokens;
    let (from, was_empty) = if is_under_token { after_token(profile, &keys, token) } else { (0, false) };
    let mut keys = keys.split_off(from.min(keys.len()));
    if token.is_empty() && is_second && !query.after.is_empty() {
        start(profile, &mut keys, query);
    }
    let most = if profile.ignores_limit { profile.page } else { query.limit.min(profile.page) };
    let is_empty = profile.empty_pages > 0 && !was_empty && (from / most.max(1)).is_multiple_of(profile.empty_pages);
    let is_circle = profile.continuation == Continuation::Circle && is_under_token;
    let is_empty = is_circle || (is_empty && is_second && query.limit > 1);
    let listed = if is_empty { &[][..] } else { &keys[..most.min(keys.len())] };
    let is_truncated = listed.len() < keys.len() && !(profile.short_is_last && query.limit < 1_000);
    let next = match (profile.continuation, listed.last()) {
        (Continuation::Circle, _) => if token == "there" { "back" } else { "there" }.to_owned(),
        (Continuation::Opaque, _) => format!("+{}/%3D=", from + listed.len()),
        _ if is_empty => format!("e{from}"),
        (_, Some((_, key, _))) if is_second => format!("k{key}"),
        (_, Some((_, key, _))) => (*key).to_owned(),
        (_, None) => String::new(),
    };
    let has_next = profile.has_tokens && (is_truncated || profile.continuation == Continuation::Always);
    let next = has_next.then_some(next).filter(|next| !next.is_empty());
    Ok(document::bytes(profile, &write(profile, query, is_second, listed, next, is_truncated)))
}

/// Where the keys under a token begin, and whether it is that of an empty page.
fn after_token(profile: &Profile, keys: &[Entry<'_>], token: &str) -> (usize, bool) {
    if let Some(from) = token.strip_prefix('e').and_then(|from| from.parse().ok()) {
        return (from, true);
    }
    if profile.continuation == Continuation::Opaque {
        // Of a text that is not its own, such a store knows nothing.
        let from = token.strip_prefix('+').and_then(|rest| rest.strip_suffix("/%3D="));
        return (from.and_then(|from| from.parse().ok()).unwrap_or_default(), false);
    }
    let key = token.strip_prefix('k').unwrap_or(token);
    let next = usize::from(profile.continuation != Continuation::Overlapping);
    (keys.iter().position(|(_, other, _)| *other == key).map_or(0, |at| at + next), false)
}

fn start(profile: &Profile, keys: &mut Vec<Entry<'_>>, query: &Query) {
    let after = query.after.as_str();
    if profile.start_must_be_below_prefix && !after.starts_with(&query.prefix) {
        return keys.clear();
    }
    match profile.start {
        Start::Strict => keys.retain(|(_, key, _)| *key > after),
        Start::Inclusive => keys.retain(|(_, key, _)| *key >= after),
        Start::OfKeysOnly => {
            let at = keys.iter().position(|(_, key, _)| *key == after).map_or(0, |at| at + 1);
            keys.drain(..at);
        }
        Start::Ignored => {}
    }
}

fn write(
    profile: &Profile,
    query: &Query,
    is_second: bool,
    listed: &[Entry<'_>],
    next: Option<String>,
    is_truncated: bool,
) -> String {
    let spell = |text: &str| {
        let text = match profile.spelling {
            Spelling::Url | Spelling::UnclaimedUrl if query.is_encoded => {
                utf8_percent_encode(text, URL).to_string().replace("%20", "+")
            }
            Spelling::Slashes if query.is_encoded => utf8_percent_encode(text, SLASHES).to_string(),
            _ => text.to_owned(),
        };
        escape(&text)
    };
    let mut xml = Elements { profile, text: String::new() };
    xml.add("Name", "bucket");
    xml.add("Prefix", &spell(&query.prefix));
    xml.add("MaxKeys", &query.limit.to_string());
    if query.is_encoded && !matches!(profile.spelling, Spelling::Raw | Spelling::UnclaimedUrl) {
        xml.add("EncodingType", "url");
    }
    match (profile.truncation, is_truncated) {
        (Truncation::Said { yes, .. }, true) => xml.add("IsTruncated", yes),
        (Truncation::Said { no, .. }, false) => xml.add("IsTruncated", no),
        (Truncation::IfMore, true) => xml.add("IsTruncated", "true"),
        (Truncation::IfMore, false) | (Truncation::Unsaid, _) => {}
    }
    if is_second {
        xml.add("KeyCount", &listed.len().to_string());
    } else {
        xml.add("Marker", &spell(&query.marker));
    }
    match next {
        Some(next) if is_second => xml.add("NextContinuationToken", &escape(&next)),
        Some(next) if profile.continuation == Continuation::Opaque => xml.add("NextMarker", &escape(&next)),
        Some(next) => xml.add("NextMarker", &spell(&next)),
        None => {}
    }
    let rolls_up = profile.rolls_up || (query.has_delimiter && !profile.ignores_delimiter);
    let mut folders = BTreeSet::new();
    for (time, key, size) in listed {
        let below = key.strip_prefix(&query.prefix).unwrap_or(key);
        if let Some((folder, _)) = below.split_once('/').filter(|_| rolls_up) {
            folders.insert(format!("{}{folder}/", query.prefix));
            continue;
        }
        let prefix = xml.prefix();
        xml.text += &format!("<{prefix}Contents>");
        xml.add("Key", &spell(key));
        xml.add("LastModified", "2026-01-02T03:04:05.000Z");
        xml.add("ETag", &format!("&quot;e{time}&quot;"));
        xml.add("Size", &size.to_string());
        xml.add("StorageClass", "STANDARD");
        xml.text += &format!("</{prefix}Contents>");
    }
    for folder in folders {
        xml.text += &format!("<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", spell(&folder));
    }
    let (prefix, text) = (xml.prefix(), xml.text);
    let space = if prefix.is_empty() { "xmlns".to_owned() } else { format!("xmlns:{}", profile.namespace) };
    format!(
        "<{prefix}ListBucketResult {space}=\"http://s3.amazonaws.com/doc/2006-03-01/\">{text}</{prefix}ListBucketResult>"
    )
}

struct Elements<'a> {
    profile: &'a Profile,
    text: String,
}

impl Elements<'_> {
    fn prefix(&self) -> String {
        if self.profile.namespace.is_empty() { String::new() } else { format!("{}:", self.profile.namespace) }
    }

    fn add(&mut self, name: &str, text: &str) {
        if !self.profile.omitted.contains(&name) {
            let prefix = self.prefix();
            self.text += &format!("<{prefix}{name}>{text}</{prefix}{name}>");
        }
    }
}

fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    // As XML 1.1 writes it.
    text.replace('\u{1}', "&#x1;")
}

#[cfg(test)]
mod tests {
    use super::super::profile::KeyOrder;
    use super::super::stores::AWS;
    use super::*;

    #[test]
    fn orders_differ_and_tokens_lead_through_all_keys() {
        let keys: Vec<(String, usize)> = ["b", "A", "a/1", "a-1", "C"].map(|key| (key.to_owned(), 1)).into();
        let listed = |order, token: &str| {
            let profile = Profile { order, page: 3, ..AWS };
            let query = Query { limit: 1_000, is_second_version: true, token: token.to_owned(), ..Query::default() };
            String::from_utf8(page(&profile, &keys, &query).unwrap()).unwrap()
        };
        let first = listed(KeyOrder::Bytes, "");
        assert!(first.find("<Key>A<").unwrap() < first.find("<Key>C<").unwrap(), "{first}");
        assert!(first.contains("<NextContinuationToken>ka-1<"), "{first}");
        let rest = listed(KeyOrder::Bytes, "ka-1");
        assert!(rest.contains("<Key>a/1<") && rest.contains("<IsTruncated>false<"), "{rest}");
        assert!(
            listed(KeyOrder::Time, "").find("<Key>C<").unwrap() < listed(KeyOrder::Time, "").find("<Key>a-1<").unwrap()
        );
        let folders = listed(KeyOrder::Folders, "kA");
        assert!(folders.find("<Key>a/1<").unwrap() < folders.find("<Key>a-1<").unwrap(), "{folders}");
    }
}
