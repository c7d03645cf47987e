//! Says how a listing of more than one page is continued.

use longshore_model::{Capabilities, KeyOrder, Paging, StartAfter};

/// What a probe found, for people.
pub(super) fn note(found: &Capabilities) -> String {
    let Capabilities { paging, order, start_after, raw_keys } = found;
    let way = match paging {
        None => "all keys fit on one page; how more are listed is found out by the first sync that has more",
        Some(Paging::Key) => "in key order, so that several workers can list parts of the storage at the same time",
        Some(Paging::Token) => "with the server's tokens, by one worker at a time",
        Some(Paging::Marker) => "with markers, as in the first version of the listing, by one worker at a time",
    };
    let mut notes = vec![way.to_owned()];
    if *order == Some(KeyOrder::Other) {
        notes.push("the server's order is not that of the bytes of the keys".to_owned());
    }
    match start_after {
        Some(StartAfter::Inclusive) => notes.push("a listing begins with the key that it is to start after".to_owned()),
        Some(StartAfter::Ignored) => notes.push("the server ignores where a listing is to start".to_owned()),
        Some(StartAfter::Strict) | None => {}
    }
    if *raw_keys == Some(true) {
        notes.push("the server sends keys as they are, although they are asked for encoded".to_owned());
    }
    notes.join("; ")
}
