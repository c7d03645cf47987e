//! Which objects are read at all, and what is inside the compressed ones.

use std::borrow::Cow;
use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use longshore_model::QuarantineReason;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use super::{Fault, Limits};

/// Unpacks an object, as its extension or its first bytes say; plain ones are borrowed.
///
/// # Errors
/// The extension is not one of JSON, the bytes are damaged, empty, or more than the limits allow.
pub(super) fn unpack<'a>(key: &str, bytes: &'a [u8], limits: &Limits) -> Result<Cow<'a, [u8]>, Fault> {
    let named = check(key, bytes.len() as u64, limits)?;
    let unpacked = match named.or_else(|| by_magic(bytes)) {
        None => Cow::Borrowed(bytes),
        Some(compression) => Cow::Owned(decompress(compression, bytes, limits.max_unpacked_bytes)?),
    };
    if unpacked.len() > limits.max_unpacked_bytes {
        return Err(too_large("unpacks to", limits.max_unpacked_bytes));
    }
    Ok(unpacked)
}

/// What the key and the size alone say: the compression that the extension names, if any.
///
/// # Errors
/// The extension is not one of JSON, or the size cannot be right.
pub(super) fn check(key: &str, size: u64, limits: &Limits) -> Result<Option<Compression>, Fault> {
    let named = by_extension(key)?;
    if size > limits.max_object_bytes as u64 {
        return Err(too_large("is stored with", limits.max_object_bytes));
    }
    if size == 0 {
        return Err(Fault::new(QuarantineReason::Empty, "The object is empty. Upload it again."));
    }
    Ok(named)
}

#[derive(Clone, Copy)]
pub(super) enum Compression {
    Gzip,
    Zstd,
}

/// What the extension says; objects without one are judged by content.
fn by_extension(key: &str) -> Result<Option<Compression>, Fault> {
    let name = key.rsplit('/').next().unwrap_or(key).to_ascii_lowercase();
    let (stem, compression) = match name.rsplit_once('.') {
        Some((stem, "gz")) => (stem, Some(Compression::Gzip)),
        Some((stem, "zst")) => (stem, Some(Compression::Zstd)),
        _ => (name.as_str(), None),
    };
    match stem.rsplit_once('.') {
        None | Some((_, "" | "json" | "jsonl" | "ndjson")) => Ok(compression),
        Some((_, other)) => Err(Fault::new(
            QuarantineReason::UnsupportedExtension,
            format!(
                "Extension .{} is not one of .json, .jsonl and .ndjson, plain or with .gz or .zst. To import images, \
                 audio, text and other media, switch on \"Treat every bucket object as a source file\".",
                other.escape_default()
            ),
        )),
    }
}

/// What the first bytes say: an object may be stored compressed under a plain name, as web servers like it.
fn by_magic(bytes: &[u8]) -> Option<Compression> {
    match bytes {
        [0x1f, 0x8b, ..] => Some(Compression::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Compression::Zstd),
        _ => None,
    }
}

/// Unpacks until the end, or until there is one byte more than allowed: damage after it is not seen.
fn decompress(compression: Compression, bytes: &[u8], max: usize) -> Result<Vec<u8>, Fault> {
    let mut unpacked = Vec::new();
    let bound = max.saturating_add(1);
    let done = match compression {
        Compression::Gzip => MultiGzDecoder::new(bytes).take(bound as u64).read_to_end(&mut unpacked).map(drop),
        Compression::Zstd => unzstd(bytes, bound, &mut unpacked),
    };
    match done {
        Ok(()) => Ok(unpacked),
        Err(error) => Err(Fault::new(
            QuarantineReason::CorruptCompression,
            format!("The compressed object does not unpack: {error}. Compress and upload it again."),
        )),
    }
}

/// Unpacks frame after frame; the library reads one, and leaves frames to skip and checksums to its user.
fn unzstd(mut packed: &[u8], bound: usize, unpacked: &mut Vec<u8>) -> io::Result<()> {
    // One for all frames: its tables are large, and an object may have a million tiny frames.
    let mut decoder = FrameDecoder::new();
    while !packed.is_empty() && unpacked.len() < bound {
        let mut frame = match StreamingDecoder::new_with_decoder(&mut packed, &mut decoder) {
            Ok(frame) => frame,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                packed = packed.get(length as usize..).ok_or(io::ErrorKind::UnexpectedEof)?;
                continue;
            }
            Err(error) => return Err(io::Error::other(error)),
        };
        frame.by_ref().take((bound - unpacked.len()) as u64).read_to_end(unpacked)?;
        let stored = frame.decoder.get_checksum_from_data();
        if unpacked.len() < bound && stored.is_some() && stored != frame.decoder.get_calculated_checksum() {
            return Err(io::Error::other("the checksum does not match"));
        }
    }
    Ok(())
}

fn too_large(what: &str, max: usize) -> Fault {
    Fault::new(
        QuarantineReason::TooLarge,
        format!("The object {what} more than {max} bytes. Split it into several objects."),
    )
}
