//! The spelling of keys in a listing: as they are, or as `encoding-type=url` asks for.
//!
//! Some servers say that they encode keys and do not; others encode them and do not say so. Where the answer does not show
//! which it is, the objects do: a key that is not certain is in [`Listing::respelled`].

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::Listing;
use crate::{ListedObject, Respelled};

/// Decodes the keys of a listing that says whether it `is_claimed` to be encoded. `is_raw` is what is known of the server.
pub(super) fn decode(listing: &mut Listing, is_claimed: bool, is_raw: Option<bool>) {
    if is_raw == Some(true) {
        return;
    }
    let is_encoded = is_claimed || is_raw == Some(false);
    // A server that sends signs as they are encodes nothing, unless it says so.
    if !is_encoded && listing.objects.iter().any(|listed| has_plain_signs(listed.key())) {
        return;
    }
    let last = last_entry(listing);
    for listed in &mut listing.objects {
        let key = &mut listed.meta.key;
        let Some(decoded) = decoded(key) else { continue };
        if is_raw.is_none() && listing.respelled.is_none() {
            let (sent, decoded) = (key.clone(), decoded.clone());
            listing.respelled = Some(Respelled { sent, decoded, is_claimed });
        }
        if is_encoded {
            *key = decoded;
        }
    }
    if !is_encoded {
        return;
    }
    for prefix in &mut listing.prefixes {
        if let Some(decoded) = decoded(prefix) {
            *prefix = decoded;
        }
    }
    if let Some(marker) = &mut listing.marker {
        // Most servers name the last key. Others have texts of their own, which they do not encode.
        let is_own = Some(&*marker) != last.as_ref() && marker.contains('+');
        if let Some(decoded) = decoded(marker).filter(|_| !is_own) {
            *marker = decoded;
        }
    }
}

/// The last key or folder, as it was sent.
fn last_entry(listing: &Listing) -> Option<String> {
    listing.marker.as_ref()?;
    let keys = listing.objects.last().map(ListedObject::key);
    keys.max(listing.prefixes.last().map(String::as_str)).map(str::to_owned)
}

/// Whether a text has signs that no encoded one has.
fn has_plain_signs(text: &str) -> bool {
    !text.is_ascii() || text.bytes().any(|byte| byte == b' ' || byte.is_ascii_control())
}

/// Decodes `encoding-type=url`, which writes a space as `+` and a plus sign as `%2B`. `None` for a text that is the same, or
/// cannot be encoded.
fn decoded(text: &str) -> Option<String> {
    if !text.contains(['%', '+']) {
        return None;
    }
    let spaced = if text.contains('+') { Cow::Owned(text.replace('+', " ")) } else { Cow::Borrowed(text) };
    let decoded = percent_decode_str(&spaced).decode_utf8().ok()?;
    (decoded != text).then(|| decoded.into_owned())
}
