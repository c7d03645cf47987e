//! Buckets in a file, so that a restarted server has the same objects: one JSON line per bucket and per object.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::buckets::{Buckets, Object};

/// A bucket, or an object if there is a key.
#[derive(Serialize, Deserialize)]
struct Line {
    bucket: String,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    content_type: Option<String>,
    #[serde(default)]
    content_encoding: Option<String>,
    #[serde(default)]
    encryption: Option<String>,
    #[serde(default)]
    kms_key_id: Option<String>,
    #[serde(default)]
    modified: u64,
    /// In base64.
    #[serde(default)]
    bytes: String,
}

/// Reads the buckets of a file. Without the file there are none.
///
/// # Errors
/// The file cannot be read, or [`save`] did not write it.
pub fn load(buckets: &Buckets, path: &Path) -> io::Result<()> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    for line in BufReader::new(file).lines() {
        let line: Line = serde_json::from_str(&line?)?;
        buckets.create(&line.bucket);
        if let Some(key) = line.key {
            let bytes = STANDARD.decode(&line.bytes).map_err(io::Error::other)?;
            let mut object = Object::new(bytes);
            object.content_type = line.content_type;
            object.content_encoding = line.content_encoding;
            object.encryption = line.encryption;
            object.kms_key_id = line.kms_key_id;
            object.modified = line.modified;
            buckets.put(&line.bucket, &key, object);
        }
    }
    Ok(())
}

/// Replaces the file as a whole, so that a crash leaves the old one. Only its owner may read it.
///
/// # Errors
/// The file cannot be written.
pub fn save(buckets: &Buckets, path: &Path) -> io::Result<()> {
    let draft = path.with_extension("draft");
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    let mut writer = BufWriter::new(file);
    buckets.visit(|bucket, object| -> io::Result<()> {
        let object_of = |(key, object): (&str, &Object)| Line {
            bucket: bucket.to_owned(),
            key: Some(key.to_owned()),
            content_type: object.content_type.clone(),
            content_encoding: object.content_encoding.clone(),
            encryption: object.encryption.clone(),
            kms_key_id: object.kms_key_id.clone(),
            modified: object.modified,
            bytes: STANDARD.encode(&object.bytes),
        };
        let empty = || Line {
            bucket: bucket.to_owned(),
            key: None,
            content_type: None,
            content_encoding: None,
            encryption: None,
            kms_key_id: None,
            modified: 0,
            bytes: String::new(),
        };
        serde_json::to_writer(&mut writer, &object.map_or_else(empty, object_of))?;
        writer.write_all(b"\n")
    })?;
    writer.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    std::fs::rename(&draft, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saved_buckets_are_the_same_after_a_restart() {
        let folder = std::env::temp_dir().join(format!("longshore-s3-saved-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("objects.jsonl");
        let buckets = Buckets::default();
        load(&buckets, &path).unwrap();
        assert!(buckets.names().is_empty());
        buckets.create("empty");
        let mut object = Object::new(vec![0, 255, b'\n']);
        (object.content_type, object.modified) = (Some("image/png".to_owned()), 7);
        for key in ["a//b", "line\nbreak", "é\u{202e}"] {
            buckets.put("images", key, object.clone());
        }
        save(&buckets, &path).unwrap();

        let again = Buckets::default();
        load(&again, &path).unwrap();
        assert_eq!(again.names(), ["empty", "images"]);
        assert_eq!(again.objects("images"), buckets.objects("images"));
        let read = again.get("images", "a//b").unwrap();
        assert_eq!((read.content_type.as_deref(), read.modified), (Some("image/png"), 7));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
