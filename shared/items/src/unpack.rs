//! Unpacks compressed objects.

use std::io::{self, Read};

use bytes::Bytes;
use flate2::bufread::GzDecoder;
use longshore_model::QuarantineReason;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::name::{Compression, Name, by_magic, shown};
use super::sniff::{ADVICE, check_start, is_json_start, other_format};
use super::{Budget, Fault, Limits};

/// Bytes that are unpacked between checks of the budget.
const PIECE_BYTES: usize = 64 * 1024;

/// Maximum gzip members of one object. Block-wise gzip has one for each 64 KiB, so at most 4,096. Each takes a few
/// microseconds even if it is empty, and without a limit 64 MiB could have three million.
const MAX_MEMBERS: usize = 100_000;

/// The largest block of a zstd frame, in bytes.
const BLOCK_BYTES: usize = 128 * 1024;

/// The bytes that a zstd decoder takes besides its window. They are not counted, because few objects are unpacked at
/// the same time.
const RING_SLACK: usize = 4 * BLOCK_BYTES;

/// The largest window of a zstd frame, in bytes: that of `zstd --long=27`. Other decoders also refuse larger windows by
/// default.
const MAX_WINDOW: u64 = 128 * 1024 * 1024;

/// How often an object may be packed. Uploads and downloads that pack what is packed already do so twice.
const MOST_LAYERS: usize = 4;

/// Unpacks an object if its name or its first bytes show that it is compressed, again and again if it is packed several
/// times. An object that is named as compressed may be plain: tools unpack on the way and keep the name.
///
/// Takes from the budget before it allocates. If the object states its size correctly, the unpacked bytes are not
/// copied.
///
/// # Errors
/// The name is that of another format; the bytes are damaged or empty; or they exceed the limits or the budget.
pub(super) fn unpack(key: &str, bytes: Bytes, limits: &Limits, budget: &mut Budget) -> Result<Vec<u8>, Fault> {
    let (name, named) = check(key, bytes.len() as u64, limits)?;
    budget.take(bytes.len())?;
    let named = named.filter(|_| !is_json_start(&bytes) && other_format(&bytes).is_none());
    let Some(first) = by_magic(&bytes).or(named) else {
        if bytes.len() > limits.max_unpacked_bytes {
            return Err(too_large("has", limits.max_unpacked_bytes));
        }
        check_start(&name, &bytes)?;
        // No copy, unless something else holds the body too.
        return Ok(Vec::from(bytes));
    };
    let mut unpacked = layer(first, &bytes, limits, budget)?;
    drop(bytes);
    for _ in 1..MOST_LAYERS {
        let Some(next) = by_magic(&unpacked) else {
            check_start(&name, &unpacked)?;
            return Ok(unpacked);
        };
        unpacked = layer(next, &unpacked, limits, budget)?;
    }
    if by_magic(&unpacked).is_some() {
        let detail = format!("The object is compressed more than {MOST_LAYERS} times. Compress it once.");
        return Err(Fault::new(QuarantineReason::CorruptCompression, detail));
    }
    check_start(&name, &unpacked)?;
    Ok(unpacked)
}

/// Unpacks one layer, whose packed bytes are not needed after it.
fn layer(compression: Compression, packed: &[u8], limits: &Limits, budget: &mut Budget) -> Result<Vec<u8>, Fault> {
    let mut unpacked = UnpackBuffer { bytes: Vec::new(), max: limits.max_unpacked_bytes, budget };
    match compression {
        Compression::Gzip => gunzip(packed, &mut unpacked)?,
        Compression::Zstd => unzstd(packed, &mut unpacked)?,
    }
    let unpacked = unpacked.bytes;
    budget.give(packed.len());
    Ok(unpacked)
}

/// Checks the key and the size of an object. Returns what the name says.
///
/// # Errors
/// The name is that of another format, the object is empty, or it exceeds the limit.
pub(super) fn check(key: &str, size: u64, limits: &Limits) -> Result<(Name, Option<Compression>), Fault> {
    let (name, named) = Name::of(key);
    if let Name::Other(ending) = &name {
        return Err(Fault::new(
            QuarantineReason::UnsupportedExtension,
            format!(
                "Extension .{} is that of another format than JSON: tasks are in .json, .jsonl and .ndjson, plain or with .gz or \
                 .zst. {ADVICE}",
                shown(ending)
            ),
        ));
    }
    if size > limits.max_object_bytes as u64 {
        return Err(too_large("is stored with", limits.max_object_bytes));
    }
    if size == 0 {
        return Err(Fault::new(QuarantineReason::Empty, "The object is empty. Upload it again."));
    }
    Ok((name, named))
}

/// Whether the object is compressed, or has a name that is refused anyway.
pub(super) fn is_packed(key: &str, bytes: &[u8]) -> bool {
    let (name, named) = Name::of(key);
    matches!(name, Name::Other(_)) || named.is_some() || by_magic(bytes).is_some()
}

/// The bytes that were unpacked so far.
struct UnpackBuffer<'a> {
    bytes: Vec<u8>,
    max: usize,
    budget: &'a mut Budget,
}

impl UnpackBuffer<'_> {
    /// Allocates the size that an object states. If that is wrong, the memory grows later.
    fn expect(&mut self, bytes: u64) -> Result<(), Fault> {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let believable = bytes <= self.max && bytes <= self.budget.left();
        if believable && bytes > self.bytes.capacity() { self.grow(bytes) } else { Ok(()) }
    }

    /// Moves the bytes to larger memory. During the move, both are allocated.
    fn grow(&mut self, capacity: usize) -> Result<(), Fault> {
        let before = self.bytes.capacity();
        self.budget.take(capacity)?;
        self.bytes.reserve_exact(capacity - self.bytes.len());
        self.budget.give(before);
        Ok(())
    }

    fn add(&mut self, piece: &[u8]) -> Result<(), Fault> {
        // Also checks whether the attempt still needs the result.
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

/// Unpacks member after member. Damage after the size limit is not found.
fn gunzip(mut packed: &[u8], unpacked: &mut UnpackBuffer<'_>) -> Result<(), Fault> {
    // The last four bytes have the length of the last member, which is usually the only one.
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

/// Unpacks frame after frame, block by block. A decoder keeps the last window of the unpacked bytes, whose memory is
/// counted as it grows.
fn unzstd(mut packed: &[u8], unpacked: &mut UnpackBuffer<'_>) -> Result<(), Fault> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut decoder = FrameDecoder::new();
    while !packed.is_empty() {
        unpacked.budget.take(0)?;
        let frame = packed;
        // Frames with small windows share a decoder, because an object may have a million of them. A decoder that is
        // used again allocates its whole window immediately, so each frame with a large window gets a new one.
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
                let detail =
                    "The object is compressed with a dictionary, which Longshore does not have. Compress it without.";
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

/// Unpacks the blocks of a frame. Returns the bytes that were counted for the decoder's window.
fn frame_blocks(
    decoder: &mut FrameDecoder,
    packed: &mut &[u8],
    window: usize,
    piece: &mut [u8],
    unpacked: &mut UnpackBuffer<'_>,
) -> Result<usize, Fault> {
    let mut ring = RING_SLACK;
    loop {
        let held = window.min(decoder.blocks_decoded().saturating_mul(BLOCK_BYTES)) + BLOCK_BYTES;
        if held > ring {
            // The ring doubles, and while its content moves, both rings are allocated.
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
