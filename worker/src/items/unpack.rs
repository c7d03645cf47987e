//! Which objects are read at all, and what is inside the compressed ones.

use std::io::{self, Read};

use bytes::Bytes;
use flate2::bufread::GzDecoder;
use longshore_model::QuarantineReason;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::{Budget, Fault, Limits};

/// What is unpacked between looks at the budget.
const PIECE_BYTES: usize = 64 * 1024;

/// Gzip members of one object. Block-wise gzip has one for each 64 KiB, 4,096 at most; each takes some microseconds
/// even if it is empty, and without a limit 64 MiB would be three million.
const MAX_MEMBERS: usize = 100_000;

/// The largest block of a zstd frame.
const BLOCK_BYTES: usize = 128 * 1024;

/// What a zstd decoder takes beside its window and needs no count: few objects are unpacked at once.
const RING_SLACK: usize = 4 * BLOCK_BYTES;

/// The largest window of a zstd frame: that of `zstd --long=27`, above which other decoders must be asked, too.
const MAX_WINDOW: u64 = 128 * 1024 * 1024;

/// Unpacks an object, as its extension or its first bytes say; plain ones stay as they are.
///
/// The budget is taken before memory is. Nothing unpacked is copied whole, if the object says its size rightly.
///
/// # Errors
/// The extension is not one of JSON, the bytes are damaged, empty, or more than limits and budget allow.
pub(super) fn unpack(key: &str, bytes: Bytes, limits: &Limits, budget: &mut Budget) -> Result<Vec<u8>, Fault> {
    let named = check(key, bytes.len() as u64, limits)?;
    budget.take(bytes.len())?;
    let Some(compression) = named.or_else(|| by_magic(&bytes)) else {
        if bytes.len() > limits.max_unpacked_bytes {
            return Err(too_large("has", limits.max_unpacked_bytes));
        }
        // No copy, unless something else holds the body too.
        return Ok(Vec::from(bytes));
    };
    let mut unpacked = Unpacked { bytes: Vec::new(), max: limits.max_unpacked_bytes, budget };
    match compression {
        Compression::Gzip => gunzip(&bytes, &mut unpacked)?,
        Compression::Zstd => unzstd(&bytes, &mut unpacked)?,
    }
    let unpacked = unpacked.bytes;
    budget.give(bytes.len());
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

/// Whether the object is compressed, or has a key that is refused anyway.
pub(super) fn is_packed(key: &str, bytes: &[u8]) -> bool {
    by_extension(key).map_or(true, |named| named.or_else(|| by_magic(bytes)).is_some())
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

/// What was unpacked so far.
struct Unpacked<'a> {
    bytes: Vec<u8>,
    max: usize,
    budget: &'a mut Budget,
}

impl Unpacked<'_> {
    /// Makes room for what an object says that it unpacks to. A lie costs nothing but growing later.
    fn expect(&mut self, bytes: u64) -> Result<(), Fault> {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let believable = bytes <= self.max && bytes <= self.budget.left();
        if believable && bytes > self.bytes.capacity() { self.grow(bytes) } else { Ok(()) }
    }

    /// Moves to a larger place; while it does, both are held.
    fn grow(&mut self, capacity: usize) -> Result<(), Fault> {
        let before = self.bytes.capacity();
        self.budget.take(capacity)?;
        self.bytes.reserve_exact(capacity - self.bytes.len());
        self.budget.give(before);
        Ok(())
    }

    fn add(&mut self, piece: &[u8]) -> Result<(), Fault> {
        // Asks also whether to go on.
        self.budget.take(0)?;
        let length = self.bytes.len() + piece.len();
        if length > self.max {
            return Err(too_large("unpacks to", self.max));
        }
        if length > self.bytes.capacity() {
            self.grow((self.bytes.capacity() + self.bytes.capacity() / 2).max(length))?;
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }
}

/// Unpacks member after member; damage behind what is too large is not seen.
fn gunzip(mut packed: &[u8], unpacked: &mut Unpacked<'_>) -> Result<(), Fault> {
    // The last four bytes say the length of the last member, usually the only one.
    if let Some(length) = packed.last_chunk::<4>() {
        unpacked.expect(u32::from_le_bytes(*length).into())?;
    }
    let mut piece = vec![0; PIECE_BYTES];
    for _ in 0..MAX_MEMBERS {
        unpacked.budget.take(0)?;
        let mut member = GzDecoder::new(&mut packed);
        loop {
            match member.read(&mut piece).map_err(|error| damaged(&error))? {
                0 => break,
                length => unpacked.add(&piece[..length])?,
            }
        }
        if packed.is_empty() {
            return Ok(());
        }
    }
    let detail = format!("The object has more than {MAX_MEMBERS} compressed members. Compress it again as one.");
    Err(Fault::new(QuarantineReason::TooLarge, detail))
}

/// Unpacks frame after frame, block by block. A decoder keeps the last window of what it unpacked, which is counted
/// as it grows.
fn unzstd(mut packed: &[u8], unpacked: &mut Unpacked<'_>) -> Result<(), Fault> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut decoder = FrameDecoder::new();
    while !packed.is_empty() {
        unpacked.budget.take(0)?;
        let frame = packed;
        // A decoder is kept for frames with small windows, as an object may have a million of them. One that is used
        // again takes a whole window at once, so others get their own.
        decoder.set_max_window_size(BLOCK_BYTES as u64);
        let (mut started, mut window) = (decoder.reset(&mut packed), BLOCK_BYTES);
        if let Err(FrameDecoderError::WindowSizeTooBig { requested, .. }) = started {
            window = usize::try_from(requested).unwrap_or(usize::MAX);
            decoder = FrameDecoder::new();
            decoder.set_max_window_size(MAX_WINDOW);
            packed = frame;
            started = decoder.reset(&mut packed);
        }
        match started {
            Ok(()) => {}
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                packed = packed.get(length as usize..).ok_or_else(|| damaged(&io::ErrorKind::UnexpectedEof.into()))?;
                continue;
            }
            Err(FrameDecoderError::WindowSizeTooBig { .. }) => {
                let detail = "The object is compressed with a window of more than 128 MiB. Compress it without --long.";
                return Err(Fault::new(QuarantineReason::TooLarge, detail));
            }
            Err(FrameDecoderError::DictNotProvided { .. }) => {
                let detail = "The object is compressed with a dictionary, which is not here. Compress it without.";
                return Err(Fault::new(QuarantineReason::CorruptCompression, detail));
            }
            Err(error) => return Err(damaged(&io::Error::other(error))),
        }
        let length = decoder.content_size();
        if length.saturating_add(unpacked.bytes.len() as u64) > unpacked.max as u64 {
            return Err(too_large("unpacks to", unpacked.max));
        }
        unpacked.expect(length.saturating_add(unpacked.bytes.len() as u64))?;
        let ring = frame_blocks(&mut decoder, &mut packed, window, &mut piece, unpacked)?;
        let stored = decoder.get_checksum_from_data();
        if stored.is_some() && stored != decoder.get_calculated_checksum() {
            return Err(damaged(&io::Error::other("the checksum does not match")));
        }
        if ring > RING_SLACK {
            decoder = FrameDecoder::new();
            unpacked.budget.give(ring);
        }
    }
    Ok(())
}

/// Unpacks the blocks of a frame, and gives the memory that was counted for the decoder's window.
fn frame_blocks(
    decoder: &mut FrameDecoder,
    packed: &mut &[u8],
    window: usize,
    piece: &mut [u8],
    unpacked: &mut Unpacked<'_>,
) -> Result<usize, Fault> {
    let mut ring = RING_SLACK;
    loop {
        let held = window.min(decoder.blocks_decoded().saturating_mul(BLOCK_BYTES)) + BLOCK_BYTES;
        if held > ring {
            // The ring doubles, and while it moves it is there twice.
            let doubled = held.next_power_of_two() + RING_SLACK;
            unpacked.budget.take(doubled)?;
            unpacked.budget.give(if ring > RING_SLACK { ring } else { 0 });
            ring = doubled;
        }
        if !decoder.is_finished() {
            decoder
                .decode_blocks(&mut *packed, BlockDecodingStrategy::UptoBlocks(1))
                .map_err(|error| damaged(&io::Error::other(error)))?;
        }
        while decoder.can_collect() > 0 {
            let length = decoder.read(piece).map_err(|error| damaged(&error))?;
            unpacked.add(&piece[..length])?;
        }
        if decoder.is_finished() {
            return Ok(ring);
        }
        unpacked.budget.take(0)?;
    }
}

fn damaged(error: &io::Error) -> Fault {
    Fault::new(
        QuarantineReason::CorruptCompression,
        format!("The compressed object does not unpack: {error}. Compress and upload it again."),
    )
}

fn too_large(what: &str, max: usize) -> Fault {
    Fault::new(
        QuarantineReason::TooLarge,
        format!("The object {what} more than {max} bytes. Split it into several objects."),
    )
}
