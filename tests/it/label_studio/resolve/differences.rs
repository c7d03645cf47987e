//! Where both answer differently for an object, on purpose.

/// Where both answer differently.
#[derive(Debug)]
pub(crate) struct Difference {
    /// Name of the entry in `deploy/label-studio/differences.md`.
    pub(crate) entry: &'static str,
    /// The kind, and the key or the range.
    pub(super) case: &'static str,
    pub(super) theirs: &'static str,
    pub(super) ours: &'static str,
}

/// The entry for kinds whose objects Label Studio does not serve by their URIs.
pub(crate) const MORE_KINDS: &str = "more-kinds";

const fn of(entry: &'static str, case: &'static str, theirs: &'static str, ours: &'static str) -> Difference {
    Difference { entry, case, theirs, ours }
}

/// All differences of the kinds that both serve.
#[rustfmt::skip]
pub(crate) const LISTED: &[Difference] = &[
    of("odd-keys", "s3 /d.png", "424", "200 image/png: a slash first"),
    of("odd-keys", "s3 q?.jpg", "424", "200 image/jpeg: a question mark"),
    of("odd-keys", "s3 presigned /d.png", "303 /BUCKET/d.png as image/png for 420, no-store, max-age=420",
        "303 /BUCKET//d.png as image/png for 420, no-store, max-age=420"),
    of("odd-keys", "s3 presigned q?.jpg", "303 /BUCKET/q for 420, no-store, max-age=420",
        "303 /BUCKET/q?.jpg as image/jpeg for 420, no-store, max-age=420"),
    of("content-type", "s3 sound.wav", "200 audio/x-wav: wav", "200 audio/wav: wav"),
    of("content-type", "s3 no-extension", "200 binary/octet-stream: ?", "200 application/octet-stream: ?"),
    of("content-type", "s3 presigned sound.wav", "303 /BUCKET/sound.wav as audio/x-wav for 420, no-store, max-age=420",
        "303 /BUCKET/sound.wav as audio/wav for 420, no-store, max-age=420"),
    of("missing-object", "s3 missing.jpg", "424", "404"),
    of("byte-ranges", "s3 bytes=-3", "206 image/jpeg, bytes 0-9/10: 0123456789", "206 image/jpeg, bytes 7-9/10: 789"),
    of("byte-ranges", "s3 bytes=10-", "424", "416"),
    of("byte-ranges", "s3 bytes=5-2", "424", "200 image/jpeg: 0123456789"),
    of("byte-ranges", "s3 items=1-2", "206 image/jpeg, bytes 1-2/10: 12", "200 image/jpeg: 0123456789"),
    of("byte-ranges", "s3 bytes=0-1,4-5", "206 image/jpeg, bytes 0-9/10: 0123456789", "200 image/jpeg: 0123456789"),

    of("odd-keys", "gcs /d.png", "424", "200 image/png: a slash first"),
    of("odd-keys", "gcs q?.jpg", "424", "200 image/jpeg: a question mark"),
    of("odd-keys", "gcs presigned /d.png", "303 /BUCKET/d.png for 420, no-store, max-age=420",
        "303 /BUCKET//d.png for 420, no-store, max-age=420"),
    of("odd-keys", "gcs presigned q?.jpg", "303 /BUCKET/q for 420, no-store, max-age=420",
        "303 /BUCKET/q?.jpg for 420, no-store, max-age=420"),
    of("content-type", "gcs sound.wav", "200 audio/x-wav: wav", "200 audio/wav: wav"),
    of("empty-object", "gcs empty.jpg", "424", "200 image/jpeg: "),
    of("missing-object", "gcs missing.jpg", "424", "404"),
    of("byte-ranges", "gcs bytes=0-", "206 image/jpeg, bytes 0-1/10: 01", "206 image/jpeg, bytes 0-9/10: 0123456789"),
    of("byte-ranges", "gcs bytes=0-0", "206 image/jpeg, bytes 0-1/10: 01", "206 image/jpeg, bytes 0-0/10: 0"),
    of("byte-ranges", "gcs bytes=-3", "206 image/jpeg, bytes 0-1/10: 01", "206 image/jpeg, bytes 7-9/10: 789"),
    of("byte-ranges", "gcs bytes=10-", "424", "416"),
    of("byte-ranges", "gcs items=1-2", "206 image/jpeg, bytes 1-2/10: 12", "200 image/jpeg: 0123456789"),
    of("byte-ranges", "gcs bytes=0-1,4-5", "206 image/jpeg, bytes 0-1/10: 01", "200 image/jpeg: 0123456789"),

    of("odd-keys", "azure /d.png", "424", "200 image/png: a slash first"),
    of("odd-keys", "azure q?.jpg", "424", "200 image/jpeg: a question mark"),
    of("odd-keys", "azure presigned /d.png", "303 /BUCKET/d.png sp=r for a time, no-store, max-age=420",
        "303 /BUCKET//d.png sp=r for a time, no-store, max-age=420"),
    of("odd-keys", "azure presigned 100%25.jpg", "303 /BUCKET/100%.jpg sp=r for a time, no-store, max-age=420",
        "303 /BUCKET/100%25.jpg sp=r for a time, no-store, max-age=420"),
    of("odd-keys", "azure presigned q?.jpg", "303 /BUCKET/q sp=r for a time, no-store, max-age=420",
        "303 /BUCKET/q?.jpg sp=r for a time, no-store, max-age=420"),
    of("odd-keys", "azure presigned h#.jpg", "303 /BUCKET/h and a fragment for a time, no-store, max-age=420",
        "303 /BUCKET/h#.jpg sp=r for a time, no-store, max-age=420"),
    of("content-type", "azure sound.wav", "200 audio/x-wav: wav", "200 audio/wav: wav"),
    of("missing-object", "azure missing.jpg", "424", "404"),
    of("byte-ranges", "azure bytes=2-5", "206 image/jpeg, bytes 2-4/10: 234", "206 image/jpeg, bytes 2-5/10: 2345"),
    of("byte-ranges", "azure bytes=-3", "206 image/jpeg, bytes 0-9/10: 0123456789", "206 image/jpeg, bytes 7-9/10: 789"),
    of("byte-ranges", "azure bytes=10-", "206 image/jpeg, bytes 10-9/10: ", "416"),
    of("byte-ranges", "azure bytes=5-2", "424", "200 image/jpeg: 0123456789"),
    of("byte-ranges", "azure items=1-2", "206 image/jpeg, bytes 1-1/10: 1", "200 image/jpeg: 0123456789"),
    of("byte-ranges", "azure bytes=0-1,4-5", "206 image/jpeg, bytes 0-9/10: 0123456789", "200 image/jpeg: 0123456789"),
];
