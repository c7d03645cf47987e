//! Buckets that outlive their server: they are read from its journal at the start.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::buckets::Buckets;
use super::journal::{Change, Journal, Line};

/// Reads the buckets of a file, and writes every later change to it before the change is made. Without the file there are no
/// buckets yet.
///
/// # Errors
/// The file cannot be read or written, or it is not a journal.
pub fn keep(buckets: &Buckets, path: &Path) -> io::Result<()> {
    load(buckets, path)?;
    // Without what was replaced or removed, and without a torn line: the next line must not continue it.
    buckets.attach(Journal::new(write(buckets, path)?));
    Ok(())
}

fn load(buckets: &Buckets, path: &Path) -> io::Result<()> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let mut reader = BufReader::new(file);
    let mut text = Vec::new();
    while reader.read_until(b'\n', &mut text)? > 0 {
        // The server was killed while it wrote this line, so it has not answered the request.
        if text.last() != Some(&b'\n') {
            break;
        }
        apply(buckets, serde_json::from_slice(&text)?)?;
        text.clear();
    }
    Ok(())
}

fn apply(buckets: &Buckets, line: Line) -> io::Result<()> {
    buckets.create(&line.bucket);
    let Some(key) = line.key.clone() else { return Ok(()) };
    if line.removed {
        buckets.remove(&line.bucket, &key);
        return Ok(());
    }
    let bucket = line.bucket.clone();
    buckets.put(&bucket, &key, line.object()?);
    Ok(())
}

/// Replaces the file as a whole, so that a crash leaves the old one. Only its owner may read it. Returns it, at its end.
fn write(buckets: &Buckets, path: &Path) -> io::Result<File> {
    let draft = path.with_extension("draft");
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    let mut writer = BufWriter::new(file);
    buckets.visit(|bucket, object| -> io::Result<()> {
        let change = match object {
            Some((key, object)) => Change::Put { bucket, key, object },
            None => Change::Create { bucket },
        };
        serde_json::to_writer(&mut writer, &Line::from(change))?;
        writer.write_all(b"\n")
    })?;
    let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::super::object::Object;
    use super::*;

    /// Goal: a server that is killed keeps what it has answered. Method: changes of every sort without a clean end, then a
    /// torn line, as of a server that was killed while it wrote.
    #[test]
    fn changes_are_kept_without_a_clean_end() {
        let folder = std::env::temp_dir().join(format!("longshore-s3-journal-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("objects.jsonl");
        let buckets = Buckets::default();
        keep(&buckets, &path).unwrap();
        assert!(buckets.names().is_empty());
        buckets.create("empty");
        let mut object = Object::new(vec![0, 255, b'\n']);
        (object.content_type, object.modified) = (Some("image/png".to_owned()), 7);
        for key in ["a//b", "line\nbreak", "é\u{202e}", "removed", "replaced"] {
            buckets.put("images", key, object.clone());
        }
        assert!(buckets.remove("images", "removed"));
        buckets.put("images", "replaced", Object::new("later"));

        for _ in 0..2 {
            OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"bucket\":\"to").unwrap();
            let again = Buckets::default();
            keep(&again, &path).unwrap();
            assert_eq!(again.names(), ["empty", "images"]);
            assert_eq!(again.objects("images"), buckets.objects("images"));
            assert_eq!(again.objects("images").len(), 4);
            let read = again.get("images", "a//b").unwrap();
            assert_eq!((read.content_type.as_deref(), read.modified), (Some("image/png"), 7));
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
